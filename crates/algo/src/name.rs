//! Names of choices, as written in configuration files.

use std::fmt;

/// A name that matches none of the choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseNameError {
    what: &'static str,
    found: String,
    expected: &'static str,
}

impl ParseNameError {
    pub(crate) fn new(what: &'static str, found: &str, expected: &'static str) -> ParseNameError {
        ParseNameError { what, found: found.to_owned(), expected }
    }
}

impl fmt::Display for ParseNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown {} `{}`, expected {}", self.what, self.found, self.expected)
    }
}

impl std::error::Error for ParseNameError {}
