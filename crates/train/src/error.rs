//! What can go wrong, in words.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a run: a setting, a file, a model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A config key that does not exist.
    #[error("{origin}: unknown key `{key}`{hint}")]
    UnknownKey {
        /// File and line, or `--set`.
        origin: String,
        /// The dotted key.
        key: String,
        /// `, did you mean ...?` or empty.
        hint: String,
    },
    /// A setting that cannot be read.
    #[error("{origin}: {message}")]
    Setting {
        /// File and line, or `--set`.
        origin: String,
        /// What was expected and found.
        message: String,
    },
    /// Settings out of range or at odds with each other, one per line.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// A verb: read, write, create.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// A run cannot start or go on.
    #[error("{0}")]
    Run(String),
    /// Problems or verifier.
    #[error(transparent)]
    Task(#[from] vapo_tasks::Error),
    /// The language model.
    #[error(transparent)]
    Lm(#[from] vapo_lm::Error),
}

impl Error {
    /// Turns an `io::Error` into one that says what was tried on which file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// A file with unexpected content.
    pub(crate) fn file(path: &Path, message: impl Into<String>) -> Self {
        Self::File { path: path.to_path_buf(), message: message.into() }
    }
}
