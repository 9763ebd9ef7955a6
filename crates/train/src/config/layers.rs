//! Settings as they are written, `key = value`, each with its place: the layers of a config.

use std::{fmt, path::Path};

use serde::Deserialize;
use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue},
};

use super::{
    renamed::{self, Renamed},
    root::known_key,
};
use crate::error::{Error, Result};

pub(super) const PRESET: &str = "algorithm.preset";

/// The run that `vapo train` does without a config file.
const BUILT_IN: &str = include_str!("built_in.toml");
const BUILT_IN_NAME: &str = "built-in config";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A line of a file.
    File {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
    },
    /// `--set`.
    Override,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Override => f.write_str("--set"),
        }
    }
}

/// One `section.name = value`.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) origin: Origin,
    /// Written under a former name whose values are to be multiplied by `algorithm.epochs`.
    pub(super) per_epoch: bool,
}

impl Entry {
    fn new(key: String, value: Value, origin: Origin) -> Self {
        Self { key, value, origin, per_epoch: false }
    }

    pub(super) fn error(&self, message: String) -> Error {
        Error::Setting { origin: self.origin.to_string(), message }
    }
}

/// The role of a layer, which determines what happens to it when a later layer names a preset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Settings chosen by the user. A later preset replaces those of the method, which is reported.
    #[default]
    Chosen,
    /// Settings that come with the program or from a run's record. A later preset replaces those of the method.
    Recorded,
    /// Settings shared by all arms of a study, whichever preset an arm names.
    Shared,
}

/// A layer of a config: settings, each with its origin.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub(super) entries: Vec<Entry>,
    pub(super) role: Role,
    /// What was written in a former spelling.
    pub(super) warnings: Vec<String>,
}

impl Settings {
    /// The settings of the run that `vapo train` does without a config file.
    pub fn built_in() -> Self {
        let settings = Self::from_toml(BUILT_IN, Path::new(BUILT_IN_NAME)).expect("the built-in config is valid TOML");
        settings.with_role(Role::Recorded)
    }

    /// The entries of a config file's text; `path` is named in messages.
    ///
    /// # Errors
    /// The text is not valid TOML, or a key is given under both its current and a former name.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self> {
        let table = DeTable::parse(text).map_err(|error| Error::Setting {
            origin: origin_in(text, path)(error.span().map_or(0, |span| span.start)).to_string(),
            message: error.message().to_string(),
        })?;
        Self::from_table(table.get_ref(), text, path)
    }

    /// The entries of a table within `text`, the content of `path`.
    ///
    /// # Errors
    /// A key is given under both its current and a former name.
    pub fn from_table(table: &DeTable<'_>, text: &str, path: &Path) -> Result<Self> {
        let mut entries = Vec::new();
        flatten(table, "", &origin_in(text, path), &mut entries);
        Self::read(entries)
    }

    /// `key=value` entries; a value that is not valid TOML is a string. Their paths may begin with `~/`.
    ///
    /// # Errors
    /// A text without `=`, or a key is given under both its current and a former name.
    pub fn from_overrides(overrides: &[String]) -> Result<Self> {
        Self::read(overrides.iter().map(|text| parse_override(text)).collect::<Result<_>>()?)?.with_home()
    }

    /// Converts former spellings to the current ones.
    fn read(mut entries: Vec<Entry>) -> Result<Self> {
        let given: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        let mut warnings = Vec::new();
        for entry in &mut entries {
            let Some(Renamed { key, value, note, per_epoch }) = renamed::present(&entry.key, &entry.value) else {
                continue;
            };
            if key != entry.key && given.iter().any(|given| given == key) {
                let message = format!(
                    "`{}` is the former name of `{key}`, which is also given; expected only one of them",
                    entry.key
                );
                return Err(entry.error(message));
            }
            warnings.push(format!(
                "{}: `{} = {}` is now written `{key} = {value}`{note}",
                entry.origin, entry.key, entry.value
            ));
            *entry = Entry { key: key.to_owned(), value, origin: entry.origin.clone(), per_epoch };
        }
        Ok(Self { entries, role: Role::Chosen, warnings })
    }

    /// The same settings in a different role.
    pub fn with_role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    pub(super) fn preset(&self) -> Option<&Entry> {
        self.entries.iter().rfind(|entry| entry.key == PRESET)
    }

    /// Keys and values in order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|entry| (entry.key.as_str(), &entry.value))
    }
}

/// Converts an offset in a text into an origin.
fn origin_in(text: &str, path: &Path) -> impl Fn(usize) -> Origin {
    move |offset| Origin::File {
        path: path.display().to_string(),
        line: 1 + text[..offset.min(text.len())].matches('\n').count(),
    }
}

/// Lists a table's leaves with their dotted keys and places. An array is a leaf, and a table that is a setting's value.
fn flatten(table: &DeTable<'_>, prefix: &str, origin: &dyn Fn(usize) -> Origin, entries: &mut Vec<Entry>) {
    for (name, value) in table.iter() {
        let key = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        match value.get_ref() {
            DeValue::Table(inner) if known_key(&key).is_none() => flatten(inner, &key, origin, entries),
            leaf => entries.push(Entry::new(key, owned(leaf), origin(name.span().start))),
        }
    }
}

fn owned(value: &DeValue<'_>) -> Value {
    let spanned = Spanned::new(0..0, value.clone());
    Value::deserialize(toml::de::ValueDeserializer::from(spanned))
        .unwrap_or_else(|error| Value::String(error.to_string()))
}

fn parse_override(text: &str) -> Result<Entry> {
    let (key, value) = text.split_once('=').ok_or_else(|| Error::Setting {
        origin: Origin::Override.to_string(),
        message: format!("expected key=value, found `{text}`"),
    })?;
    let parsed = format!("value = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    let value = parsed.unwrap_or_else(|| Value::String(value.to_string()));
    Ok(Entry::new(key.trim().to_string(), value, Origin::Override))
}
