//! Config files.

use std::path::Path;

use super::{Config, Resolved, Settings, other_format};
use crate::error::{Error, Result};

impl Settings {
    /// The settings of a config file. Relative paths in it are relative to the file; `~/` is the home directory.
    ///
    /// # Errors
    /// The file cannot be read, is not valid TOML, gives a key under its current and a former name, or a path leads to something
    /// only from the current directory.
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
        let settings = Self::from_toml(&text, path);
        settings.map_err(|error| other_format::explained(&text, path).unwrap_or(error))?.with_paths_beside(path)
    }
}

impl Resolved {
    /// Reads a config file (none: the built-in run), applies `key=value` overrides in order and checks the result.
    /// Relative paths in the file are relative to it, those in overrides to the current directory.
    ///
    /// # Errors
    /// The file cannot be read, a key is unknown, a value has the wrong type, or settings contradict each other.
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<Self> {
        let settings = match file {
            Some(path) => Settings::from_file(path)?,
            None => Settings::built_in(),
        };
        Self::layered(&[settings, Settings::from_overrides(overrides)?])
    }
}

impl Config {
    /// [`Resolved::load`] without its warnings.
    ///
    /// # Errors
    /// As for [`Resolved::load`].
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<Self> {
        Ok(Resolved::load(file, overrides)?.config)
    }
}
