//! Errors of reading a run.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Why a run, or a part of it, cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It existed before and does not any longer.
    #[error("{} does not exist any longer", .0.display())]
    Gone(PathBuf),
    /// Nothing has this name below the directory of runs.
    #[error("there is no {0}")]
    Unknown(String),
    /// A file cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file's content is not what it should be.
    #[error("{}: {message}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// From the run itself.
    #[error(transparent)]
    Run(#[from] vapo_train::Error),
    /// From a study.
    #[error(transparent)]
    Study(#[from] vapo_study::Error),
}

/// A result with this crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err` after an operation on a file; a file that is missing was there before.
    pub(crate) fn io(path: &Path) -> impl Fn(std::io::Error) -> Self {
        |source| match source.kind() {
            ErrorKind::NotFound => Self::Gone(path.to_path_buf()),
            _ => Self::Io { path: path.to_path_buf(), source },
        }
    }
}
