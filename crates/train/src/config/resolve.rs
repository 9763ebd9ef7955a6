//! A config from its layers: which preset decides the method, which value wins, and what is worth reporting.

use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};
use vapo_tasks::plain_words;

use super::{
    layers::{Entry, Origin, PRESET, Role, Settings},
    names, preset, renamed,
    root::{Config, is_marked, known_key},
    schema::Mark,
    unused::Unused,
};
use crate::error::{Error, Result};

/// A config, and what is worth telling whoever wrote it.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The settings.
    pub config: Config,
    /// Former spellings, and settings that a preset has replaced.
    pub warnings: Vec<String>,
    /// Chosen settings that training does not read under others.
    pub unused: Vec<String>,
}

impl Resolved {
    /// Writes layers over the defaults, the later over the earlier, and checks the result. Presets do not stack: the last one
    /// replaces every setting that is part of a method in the layers below it, except those that a study's arms share.
    ///
    /// # Errors
    /// A key is unknown, a value has the wrong type, or settings contradict each other.
    pub fn layered(layers: &[Settings]) -> Result<Self> {
        let mut warnings: Vec<String> = layers.iter().flat_map(|layer| layer.warnings.clone()).collect();
        let (mut draft, mut usual) = (Draft::new(), Draft::new());
        let chosen = layers.iter().enumerate().rev().find_map(|(index, layer)| Some((index, layer.preset()?)));
        let (lower, upper) = layers.split_at(chosen.map_or(0, |(index, _)| index));
        lower.iter().try_for_each(|layer| draft.write_layer(layer))?;
        let before = draft.config.clone();
        if let Some((_, preset)) = chosen {
            draft.choose_preset(preset)?;
            usual.choose_preset(preset)?;
            lower.iter().filter(|layer| layer.role == Role::Shared).try_for_each(|layer| draft.write_method(layer))?;
        }
        upper.iter().try_for_each(|layer| draft.write_layer(layer))?;
        if let Some((_, preset)) = chosen {
            warnings.extend(replaced(preset, lower, upper, [&before, &draft.config]));
        }
        let config = draft.finish();
        config.check()?;
        let given = |key: &str| layers.iter().any(|layer| layer.role == Role::Chosen && layer.has(key));
        let Unused { idle, contradictions } = Unused::of(&config, &usual.config, given);
        if !contradictions.is_empty() {
            return Err(Error::Settings(contradictions));
        }
        Ok(Self { config, warnings, unused: idle })
    }
}

/// Whether a setting takes a value.
pub(super) fn is_accepted(key: &str, value: &Value) -> bool {
    let entry = Entry { key: key.to_owned(), value: value.clone(), origin: Origin::Override, per_epoch: false };
    Draft::new().write(entry).is_ok()
}

/// Reports the chosen settings of the layers below a preset that it has replaced.
fn replaced(preset: &Entry, lower: &[Settings], upper: &[Settings], [before, after]: [&Config; 2]) -> Option<String> {
    let pairs = before.entries().into_iter().zip(after.entries());
    let lost: Vec<String> = pairs
        .filter(|((key, was), (_, is))| is_marked(key, Mark::Method) && was != is)
        .filter(|((key, _), _)| lower.iter().any(|layer| layer.role == Role::Chosen && layer.has(key)))
        .filter(|((key, _), _)| !upper.iter().any(|layer| layer.has(key)))
        .map(|((key, was), _)| format!("{key} = {was}"))
        .collect();
    let (origin, name) = (&preset.origin, &after.algorithm.preset);
    let what = lost.join(", ");
    (!lost.is_empty())
        .then(|| format!("{origin}: preset `{name}` replaces {what}; to keep a setting, repeat it with the preset"))
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

    fn choose_preset(&mut self, entry: &Entry) -> Result<()> {
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
            entry.error(format!("{}: {}{hint}", entry.key, plain_words(error.message())))
        })?;
        Ok(())
    }
}
