//! What can go wrong with a model's files.

use std::path::PathBuf;

/// An error of this crate: which file, what was expected, what was found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file was read, but its content is not what it should be.
    #[error("{path}: {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// Expected and found.
        problem: String,
    },
    /// A tokenizer refused its input.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A chat template is wrong, or refused a conversation.
    #[error("chat template: {0}")]
    ChatTemplate(String),
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }

    pub(crate) fn content(path: impl Into<PathBuf>, problem: impl Into<String>) -> Error {
        Error::Content { path: path.into(), problem: problem.into() }
    }
}
