//! Errors of a study.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a study.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A study file is invalid.
    #[error("{}: {message}", path.display())]
    Study {
        /// The study file.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// An arm's settings are invalid.
    #[error("arm `{arm}`: {source}")]
    Arm {
        /// The arm.
        arm: String,
        /// What is wrong.
        source: Box<vapo_train::Error>,
    },
    /// Existing runs were made by a different study file.
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
        /// The system's error.
        source: io::Error,
    },
    /// A curve cannot be drawn.
    #[error("cannot draw {}: {message}", path.display())]
    Chart {
        /// The picture.
        path: PathBuf,
        /// The library's error.
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
