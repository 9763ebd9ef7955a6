//! Layers of `key = value` over the defaults, each with the place it came from.

use std::{fmt, path::Path};

use serde::Deserialize;
use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue},
};

use super::{Config, SECTIONS, names, preset};
use crate::error::{Error, Result};

const PRESET: &str = "algorithm.preset";

/// Where a value was written.
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
struct Entry {
    key: String,
    value: Value,
    origin: Origin,
}

/// Settings, each with the place where it was written: a layer of a config.
#[derive(Clone, Debug, Default)]
pub struct Settings(Vec<Entry>);

impl Settings {
    /// The entries of a config file's text; `path` stands in messages.
    ///
    /// # Errors
    /// The text is no TOML.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self> {
        let table = DeTable::parse(text).map_err(|error| Error::Setting {
            origin: origin_in(text, path)(error.span().map_or(0, |span| span.start)).to_string(),
            message: error.message().to_string(),
        })?;
        Ok(Self::from_table(table.get_ref(), text, path))
    }

    /// The entries of a table that stands somewhere in `text`, the content of `path`.
    pub fn from_table(table: &DeTable<'_>, text: &str, path: &Path) -> Self {
        let mut entries = Vec::new();
        flatten(table, "", &origin_in(text, path), &mut entries);
        Self(entries)
    }

    /// `key=value` entries; a value that is no TOML is a string.
    ///
    /// # Errors
    /// A text without `=`.
    pub fn from_overrides(overrides: &[String]) -> Result<Self> {
        Ok(Self(overrides.iter().map(|text| parse_override(text)).collect::<Result<_>>()?))
    }

    fn preset(&self) -> Option<&Entry> {
        self.0.iter().rfind(|entry| entry.key == PRESET)
    }

    /// Keys and values in their order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|entry| (entry.key.as_str(), &entry.value))
    }
}

/// Turns an offset in a text into its place.
fn origin_in(text: &str, path: &Path) -> impl Fn(usize) -> Origin {
    move |offset| Origin::File {
        path: path.display().to_string(),
        line: 1 + text[..offset.min(text.len())].matches('\n').count(),
    }
}

/// A config in the making. Every entry is tried on its own, so that an error names the key and the place that caused it.
pub(super) struct Layers {
    table: Table,
    config: Config,
}

impl Layers {
    /// The defaults.
    pub(super) fn new() -> Self {
        let config = Config::default();
        let table = Table::try_from(&config).expect("the default config is valid TOML");
        Self { table, config }
    }

    /// Writes layers, the later over the earlier. A layer's preset comes before its other keys, so that they win; of several
    /// layers' presets only the last counts: presets do not stack.
    pub(super) fn add(&mut self, layers: &[Settings]) -> Result<()> {
        let last = layers.iter().rposition(|layer| layer.preset().is_some());
        for (index, layer) in layers.iter().enumerate() {
            if let Some(entry) = layer.preset().filter(|_| last == Some(index)) {
                self.apply_preset(entry)?;
            }
            let counts = |entry: &&Entry| entry.key != PRESET || last == Some(index);
            layer.0.iter().filter(counts).try_for_each(|entry| self.write(entry.clone()))?;
        }
        Ok(())
    }

    pub(super) fn into_config(self) -> Config {
        self.config
    }

    fn apply_preset(&mut self, entry: &Entry) -> Result<()> {
        let name = entry.value.as_str().unwrap_or_default();
        let preset = preset::find(name).ok_or_else(|| Error::Setting {
            origin: entry.origin.to_string(),
            message: format!(
                "algorithm.preset ({}) must be one of {}",
                entry.value,
                preset::PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ")
            ),
        })?;
        for text in [preset::COMMON, preset.toml] {
            let settings = Settings::from_toml(text, Path::new(preset.name))?;
            settings.0.into_iter().try_for_each(|entry| self.write(entry))?;
        }
        Ok(())
    }

    fn write(&mut self, entry: Entry) -> Result<()> {
        let Some((section, name)) = known_key(&entry.key) else {
            return Err(Error::UnknownKey {
                origin: entry.origin.to_string(),
                hint: names::hint(&entry.key),
                key: entry.key,
            });
        };
        if let Some(section) = self.table.get_mut(section).and_then(Value::as_table_mut) {
            section.insert(name.to_string(), entry.value);
        }
        self.config = Config::deserialize(self.table.clone()).map_err(|error| Error::Setting {
            origin: entry.origin.to_string(),
            message: format!("{}: {}", entry.key, error.message().trim_end()),
        })?;
        Ok(())
    }
}

/// Section and name of a key that exists.
fn known_key(key: &str) -> Option<(&str, &str)> {
    let (section, name) = key.split_once('.')?;
    let (_, fields) = SECTIONS.iter().find(|(known, _)| *known == section)?;
    fields.iter().any(|field| field.name == name).then_some((section, name))
}

/// Lists a table's leaves with their dotted keys and places. An array is a leaf, and a table that is a setting's value.
fn flatten(table: &DeTable<'_>, prefix: &str, origin: &dyn Fn(usize) -> Origin, entries: &mut Vec<Entry>) {
    for (name, value) in table.iter() {
        let key = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        match value.get_ref() {
            DeValue::Table(inner) if known_key(&key).is_none() => flatten(inner, &key, origin, entries),
            leaf => entries.push(Entry { key, value: owned(leaf), origin: origin(name.span().start) }),
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
    Ok(Entry {
        key: key.trim().to_string(),
        value: parsed.unwrap_or_else(|| Value::String(value.to_string())),
        origin: Origin::Override,
    })
}
