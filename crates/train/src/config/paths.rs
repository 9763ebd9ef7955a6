//! Paths in settings: `~` is the home directory, and a relative path in a config file is relative to the file.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::{
    layers::Settings,
    root::{Config, is_marked},
    schema::Mark,
};
use crate::error::{Error, Result};

/// Settings with files of problems, and the one with verifiers.
const DATA_FILES: [&str; 2] = ["data.train", "data.eval"];
const VERIFIER: &str = "reward.verifier";
/// Paths that are written, so they need not exist.
const WRITTEN: [&str; 2] = [RUN_DIRECTORY, "value_pretraining.save_critic"];
const RUN_DIRECTORY: &str = "run.dir";

impl Settings {
    /// The settings of a config file: relative paths are relative to the file, and so is what a verifier's program is given.
    ///
    /// # Errors
    /// Something exists only where a path leads from the current directory, or there is no home directory.
    pub fn with_paths_beside(self, file: &Path) -> Result<Self> {
        let base = file.parent().unwrap_or(Path::new(""));
        if is_record(base) {
            return Ok(self);
        }
        self.with_values(|key, value| {
            let must_exist = !WRITTEN.contains(&key);
            each_path(key, value, &mut |path| beside(path, base, must_exist))?;
            if key == VERIFIER { each_table(value, &mut |term| run_in(term, base)) } else { Ok(()) }
        })
    }

    /// The settings of a command line or a study, whose relative paths are relative to the current directory.
    ///
    /// # Errors
    /// There is no home directory.
    pub fn with_home(self) -> Result<Self> {
        self.with_values(|key, value| each_path(key, value, &mut |path| in_home(path)))
    }

    fn with_values(mut self, change: impl Fn(&str, &mut Value) -> Result<(), String>) -> Result<Self> {
        for entry in &mut self.entries {
            let changed = change(&entry.key, &mut entry.value);
            changed.map_err(|problem| entry.error(format!("{}: {problem}", entry.key)))?;
        }
        Ok(self)
    }
}

impl Config {
    /// The same with absolute paths of everything but the run itself, so that it means the same in every working directory.
    ///
    /// # Errors
    /// The working directory does not exist.
    pub fn with_absolute_paths(self) -> Result<Self> {
        let mut table = Table::try_from(&self).expect("a config is valid TOML");
        for (section, keys) in table.iter_mut() {
            for (name, value) in keys.as_table_mut().into_iter().flatten() {
                let key = format!("{section}.{name}");
                let absolute = |path: &str| std::path::absolute(path).map_err(|error| format!("{path}: {error}"));
                if key != RUN_DIRECTORY {
                    each_path(&key, value, &mut |path| absolute(path).map(written)).map_err(Error::Run)?;
                }
            }
        }
        Ok(Self::deserialize(table).expect("paths remain paths"))
    }
}

/// Changes every path in a setting's value.
fn each_path(
    key: &str,
    value: &mut Value,
    change: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Result<(), String> {
    match value {
        Value::Array(entries) if DATA_FILES.contains(&key) => {
            entries.iter_mut().try_for_each(|entry| each_path(key, entry, change))
        }
        Value::Table(file) if DATA_FILES.contains(&key) => {
            file.get_mut("path").map_or(Ok(()), |path| each_path(key, path, change))
        }
        Value::String(path) if DATA_FILES.contains(&key) || is_marked(key, Mark::Path) => {
            if path != "off" {
                *path = change(path)?;
            }
            Ok(())
        }
        terms if key == VERIFIER => each_table(terms, &mut |term| {
            for name in ["directory", "file", "interpreter"] {
                // A bare name of a program is looked up in `PATH`.
                let is_path = |path: &str| name != "interpreter" || path.contains('/');
                if let Some(Value::String(path)) = term.get_mut(name)
                    && is_path(path)
                {
                    *path = change(path)?;
                }
            }
            Ok(())
        }),
        _ => Ok(()),
    }
}

/// Whether a directory is that of a run or of a checkpoint, whose config was written with absolute paths. What is relative in it
/// (the run's directory, programs that were given with `--set`) was so to the directory where the run was started.
fn is_record(directory: &Path) -> bool {
    ["checkpoints", "state"].iter().any(|name| directory.join(name).is_dir())
}

/// The tables of a value that is one, or a list of them.
fn each_table(value: &mut Value, act: &mut dyn FnMut(&mut Table) -> Result<(), String>) -> Result<(), String> {
    match value {
        Value::Table(table) => act(table),
        Value::Array(entries) => entries.iter_mut().filter_map(Value::as_table_mut).try_for_each(act),
        _ => Ok(()),
    }
}

/// Lets a verifier's program run in a directory, unless the verifier names another.
fn run_in(term: &mut Table, base: &Path) -> Result<(), String> {
    let has_directory = term.contains_key("directory");
    let Some(Value::Array(command)) = term.get_mut("command") else { return Ok(()) };
    for argument in command {
        if let Value::String(argument) = argument {
            *argument = in_home(argument)?;
            if !has_directory {
                check_place(argument, &base.join(&*argument))?;
            }
        }
    }
    if !has_directory {
        let directory = if base.as_os_str().is_empty() { Path::new(".") } else { base };
        term.insert("directory".into(), Value::String(written(directory.to_path_buf())));
    }
    Ok(())
}

fn beside(path: &str, base: &Path, must_exist: bool) -> Result<String, String> {
    let path = in_home(path)?;
    let resolved = base.join(&path);
    if must_exist {
        check_place(&path, &resolved)?;
    }
    Ok(written(resolved))
}

/// # Errors
/// A file exists only where its path leads from the current directory.
fn check_place(path: &str, resolved: &Path) -> Result<(), String> {
    if resolved.exists() || !Path::new(path).exists() {
        return Ok(());
    }
    Err(format!(
        "there is no {}, but the current directory has {path}: in a config file, relative paths are relative to the file; begin \
         it with / or ~/, or give it with --set",
        resolved.display()
    ))
}

/// A path with the home directory in place of `~`.
fn in_home(path: &str) -> Result<String, String> {
    let rest = match path.strip_prefix('~') {
        Some("") => "",
        Some(rest) if rest.starts_with('/') => &rest[1..],
        _ => return Ok(path.to_owned()),
    };
    let home = std::env::home_dir().ok_or_else(|| format!("{path}: there is no home directory (HOME is not set)"))?;
    Ok(written(home.join(rest)))
}

/// A path as it is written in a config. Paths that are not UTF-8 cannot be.
fn written(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}
