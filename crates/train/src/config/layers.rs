//! Layers of `key = value` over the defaults, each with the place it came from.

use std::{fmt, path::Path};

use serde::Deserialize;
use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue},
};

use super::{
    Config, Mark, Resolved, field, is_marked, names, preset,
    renamed::{self, Renamed},
    unused::Unused,
};
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
    /// Written under a former name whose values are to be multiplied by `algorithm.epochs`.
    per_epoch: bool,
}

impl Entry {
    fn new(key: String, value: Value, origin: Origin) -> Self {
        Self { key, value, origin, per_epoch: false }
    }

    fn error(&self, message: String) -> Error {
        Error::Setting { origin: self.origin.to_string(), message }
    }
}

/// What a layer is to the run, which decides what becomes of it when a later layer names a preset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Somebody chose these settings. A later preset replaces those of the method, and that is reported.
    #[default]
    Chosen,
    /// They come with the program, or a run recorded them. A later preset replaces those of the method.
    Recorded,
    /// All arms of a study share them, whichever preset an arm names.
    Shared,
}

/// Settings, each with the place where it was written: a layer of a config.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    entries: Vec<Entry>,
    role: Role,
    /// What was written in a former spelling.
    warnings: Vec<String>,
}

impl Settings {
    /// The entries of a config file's text; `path` is named in messages.
    ///
    /// # Errors
    /// The text is not TOML, or a key is given under its present and a former name.
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
    /// A key is given under its present and a former name.
    pub fn from_table(table: &DeTable<'_>, text: &str, path: &Path) -> Result<Self> {
        let mut entries = Vec::new();
        flatten(table, "", &origin_in(text, path), &mut entries);
        Self::read(entries)
    }

    /// `key=value` entries; a value that is not TOML is a string.
    ///
    /// # Errors
    /// A text without `=`, or a key is given under its present and a former name.
    pub fn from_overrides(overrides: &[String]) -> Result<Self> {
        Self::read(overrides.iter().map(|text| parse_override(text)).collect::<Result<_>>()?)
    }

    /// Turns former spellings into the present ones.
    fn read(mut entries: Vec<Entry>) -> Result<Self> {
        let given: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        let mut warnings = Vec::new();
        for entry in &mut entries {
            let Some(Renamed { key, value, note, per_epoch }) = renamed::present(&entry.key, &entry.value) else {
                continue;
            };
            if key != entry.key && given.iter().any(|given| given == key) {
                let message = format!(
                    "`{}` is the former name of `{key}`, which is given as well: expected one of them",
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

    /// The same settings in another role.
    pub fn with_role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    fn preset(&self) -> Option<&Entry> {
        self.entries.iter().rfind(|entry| entry.key == PRESET)
    }

    /// Keys and values in their order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|entry| (entry.key.as_str(), &entry.value))
    }
}

/// Turns an offset in a text into its place.
fn origin_in(text: &str, path: &Path) -> impl Fn(usize) -> Origin {
    move |offset| Origin::File {
        path: path.display().to_string(),
        line: 1 + text[..offset.min(text.len())].matches('\n').count(),
    }
}

/// Writes layers over the defaults and checks the result. See [`Resolved::layered`] for the rules.
pub(super) fn resolve(layers: &[Settings]) -> Result<Resolved> {
    let mut warnings: Vec<String> = layers.iter().flat_map(|layer| layer.warnings.clone()).collect();
    let (mut draft, mut usual) = (Draft::new(), Draft::new());
    match layers.iter().rposition(|layer| layer.preset().is_some()) {
        None => layers.iter().try_for_each(|layer| draft.write_layer(layer))?,
        Some(index) => {
            let (lower, upper) = layers.split_at(index);
            lower.iter().try_for_each(|layer| draft.write_layer(layer))?;
            let before = draft.config.clone();
            draft.choose_preset(layers[index].preset())?;
            usual.choose_preset(layers[index].preset())?;
            lower.iter().filter(|layer| layer.role == Role::Shared).try_for_each(|layer| draft.write_method(layer))?;
            upper.iter().try_for_each(|layer| draft.write_layer(layer))?;
            warnings.extend(replaced(layers, index, &before, &draft.config));
        }
    }
    let config = draft.finish();
    config.check()?;
    let given = |key: &str| layers.iter().any(|layer| layer.role == Role::Chosen && layer.has(key));
    let Unused { idle, contradictions } = Unused::of(&config, &usual.config, given);
    if !contradictions.is_empty() {
        return Err(Error::Settings(contradictions));
    }
    Ok(Resolved { config, warnings, unused: idle })
}

/// Reports the chosen settings below the preset that it has replaced.
fn replaced(layers: &[Settings], index: usize, before: &Config, after: &Config) -> Option<String> {
    let (lower, upper) = layers.split_at(index);
    let pairs = before.entries().into_iter().zip(after.entries());
    let lost: Vec<String> = pairs
        .filter(|((key, was), (_, is))| is_marked(key, Mark::Method) && was != is)
        .filter(|((key, _), _)| lower.iter().any(|layer| layer.role == Role::Chosen && layer.has(key)))
        .filter(|((key, _), _)| !upper.iter().any(|layer| layer.has(key)))
        .map(|((key, was), _)| format!("{key} = {was}"))
        .collect();
    let preset = layers[index].preset().filter(|_| !lost.is_empty())?;
    Some(format!(
        "{}: preset `{}` replaces {}: give again what shall stay",
        preset.origin,
        after.algorithm.preset,
        lost.join(", ")
    ))
}

/// A config in the making. Every entry is tried on its own, so that an error names the key and the place that caused it.
struct Draft {
    table: Table,
    config: Config,
    /// `algorithm.critic_epochs` as written is to be multiplied by `algorithm.epochs`, which a later layer may change.
    critic_epochs_are_per_epoch: bool,
}

impl Draft {
    /// The defaults.
    fn new() -> Self {
        let config = Config::default();
        let table = Table::try_from(&config).expect("the default config is valid TOML");
        Self { table, config, critic_epochs_are_per_epoch: false }
    }

    fn finish(mut self) -> Config {
        let algorithm = &mut self.config.algorithm;
        if let Some(passes) = algorithm.critic_epochs.as_mut().filter(|_| self.critic_epochs_are_per_epoch) {
            *passes = passes.saturating_mul(algorithm.epochs);
        }
        self.config
    }

    /// All settings of a layer but its preset.
    fn write_layer(&mut self, layer: &Settings) -> Result<()> {
        layer.entries.iter().filter(|entry| entry.key != PRESET).try_for_each(|entry| self.write(entry.clone()))
    }

    /// The settings of a layer that are part of a method.
    fn write_method(&mut self, layer: &Settings) -> Result<()> {
        let of_method = layer.entries.iter().filter(|entry| is_marked(&entry.key, Mark::Method));
        of_method.cloned().try_for_each(|entry| self.write(entry))
    }

    fn choose_preset(&mut self, entry: Option<&Entry>) -> Result<()> {
        let Some(entry) = entry else { return Ok(()) };
        let name = entry.value.as_str().unwrap_or_default();
        let preset = preset::find(name).ok_or_else(|| {
            let known: Vec<&str> = preset::PRESETS.iter().map(|preset| preset.name).collect();
            entry.error(format!("algorithm.preset ({}) must be one of {}", entry.value, known.join(", ")))
        })?;
        self.write(entry.clone())?;
        for text in [preset::COMMON, preset.toml] {
            self.write_layer(&Settings::from_toml(text, Path::new(preset.name))?)?;
        }
        Ok(())
    }

    fn write(&mut self, entry: Entry) -> Result<()> {
        let Some((section, name)) = known_key(&entry.key) else {
            let (origin, hint) = (entry.origin.to_string(), names::hint(&entry.key));
            return Err(Error::UnknownKey { origin, hint, key: entry.key });
        };
        if entry.key == renamed::CRITIC_EPOCHS {
            self.critic_epochs_are_per_epoch = entry.per_epoch;
        }
        if let Some(section) = self.table.get_mut(section).and_then(Value::as_table_mut) {
            section.insert(name.to_string(), entry.value.clone());
        }
        self.config = Config::deserialize(self.table.clone()).map_err(|error| {
            let is_off = entry.value.as_str() == Some("off") && is_marked(&entry.key, Mark::ZeroIsOff);
            let hint = if is_off { "; 0 switches it off" } else { "" };
            entry.error(format!("{}: {}{hint}", entry.key, error.message().trim_end()))
        })?;
        Ok(())
    }
}

/// Section and name of a key that exists.
fn known_key(key: &str) -> Option<(&str, &str)> {
    field(key).and(key.split_once('.'))
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
