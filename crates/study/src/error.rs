//! What can go wrong, in words.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a study.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A study file says something that cannot be.
    #[error("{}: {message}", path.display())]
    Study {
        /// The study file.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// An arm's settings are wrong.
    #[error("arm `{arm}`: {source}")]
    Arm {
        /// The arm.
        arm: String,
        /// What is wrong.
        source: Box<vapo_train::Error>,
    },
    /// Runs that are there were made by another study file.
    #[error("{0}")]
    Changed(String),
    /// A run's files.
    #[error(transparent)]
    Run(Box<vapo_train::Error>),
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// A verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A curve cannot be drawn.
    #[error("cannot draw {}: {message}", path.display())]
    Chart {
        /// The picture.
        path: PathBuf,
        /// What the library said.
        message: String,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn study(path: &Path, message: impl Into<String>) -> Self {
        Self::Study { path: path.to_path_buf(), message: message.into() }
    }
}

impl From<vapo_train::Error> for Error {
    fn from(error: vapo_train::Error) -> Self {
        Error::Run(Box::new(error))
    }
}
