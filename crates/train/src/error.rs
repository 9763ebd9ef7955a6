//! Errors of a run.

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
    /// A setting that cannot be parsed.
    #[error("{origin}: {message}")]
    Setting {
        /// File and line, or `--set`.
        origin: String,
        /// What was expected and found.
        message: String,
    },
    /// Settings that are out of range or contradict each other, one per line.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// A verb: read, write, create.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file has unexpected content.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// A run cannot start or continue.
    #[error("{0}")]
    Run(String),
    /// Problems or verifier.
    #[error(transparent)]
    Task(#[from] vapo_tasks::Error),
    /// The language model.
    #[error(transparent)]
    Lm(#[from] vapo_lm::Error),
    /// The ranks of the run.
    #[error(transparent)]
    Link(#[from] vapo_link::Error),
}

impl Error {
    /// Converts an `io::Error` into an error that names the action and the file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// A file with unexpected content.
    pub(crate) fn file(path: &Path, message: impl Into<String>) -> Self {
        Self::File { path: path.to_path_buf(), message: message.into() }
    }
}
