//! A run's settings, next to the defaults and its preset's, with what each means.

use std::{collections::HashMap, fs, sync::LazyLock};

use serde::Serialize;
use toml::Value;
use vapo_train::{
    Config, RunDir,
    config::{Mark, PRESETS, Resolved, SECTIONS, Settings, is_marked},
};

use crate::error::{Error, Result};

/// Settings that say where a run is, and which one of several.
const IDENTITY: [&str; 3] = ["run.dir", "run.seed", "algorithm.preset"];
/// Sections that a tag leaves out, because their settings are known by their names.
const PLAIN_SECTIONS: [&str; 2] = ["algorithm.", "rollout."];

/// A setting of a run. Values are written as in TOML.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its dotted key.
    pub key: String,
    /// Its value in the run.
    pub value: String,
    /// Its value where nothing is set; `None` if this version does not have the setting.
    pub default: Option<String>,
    /// Its value with the run's preset alone; `None` if this version does not have the setting, or the preset.
    pub preset: Option<String>,
    /// Its explanation.
    pub doc: String,
    /// Whether the run departs from its preset here. Seed and directory only say which run it is.
    pub differs: bool,
}

/// The settings in a run's `config.toml`.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordedConfig {
    entries: Vec<(String, Value)>,
    /// What is unusual about the file.
    pub(crate) notes: Vec<String>,
}

impl RecordedConfig {
    /// Reads the file as it is written, without checking it: that of a newer version too.
    pub(crate) fn written(run: &RunDir) -> Self {
        match written(run) {
            Ok(entries) => Self { entries, notes: Vec::new() },
            Err(error) => Self { entries: Vec::new(), notes: vec![error.to_string()] },
        }
    }

    /// Reads and checks the file; if it is not valid here, it is shown as it is written.
    pub(crate) fn read(run: &RunDir) -> Self {
        match run.config() {
            Ok(config) => Self { entries: config.entries(), notes: Vec::new() },
            Err(error) => {
                let mut written = Self::written(run);
                if written.notes.is_empty() {
                    written.notes.push(format!(
                        "config.toml is not one of this version of vapo, and is shown as it is written: {error}"
                    ));
                }
                written
            }
        }
    }

    pub(crate) fn entries(&self) -> &[(String, Value)] {
        &self.entries
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.value(key)?.as_str()
    }

    pub(crate) fn count(&self, key: &str) -> Option<u64> {
        u64::try_from(self.value(key)?.as_integer()?).ok()
    }

    pub(crate) fn preset(&self) -> &str {
        self.text("algorithm.preset").unwrap_or_default()
    }

    /// The model's name.
    pub(crate) fn model(&self) -> String {
        match self.text("model.path") {
            None | Some("off") => "built-in".into(),
            Some(path) => file_name(path).to_owned(),
        }
    }

    /// The name of the built-in task, or the names of the data files.
    pub(crate) fn task(&self) -> String {
        match self.value("data.train").map(file_names) {
            Some(names) if names != ["off"] => names.join(", "),
            _ => self.text("data.task").unwrap_or_default().to_owned(),
        }
    }

    pub(crate) fn has_critic(&self) -> bool {
        self.text("algorithm.advantage").is_none_or(|kind| kind == "gae")
    }

    /// Steps of both phases, as planned.
    pub(crate) fn steps(&self) -> u64 {
        let pretraining = self.count("value_pretraining.steps").filter(|_| self.has_critic());
        self.count("run.steps").unwrap_or(0).saturating_add(pretraining.unwrap_or(0))
    }

    /// Words to search a run by: preset, model, task, whether it has a critic, and in what its method departs from the preset.
    pub(crate) fn tags(&self) -> Vec<String> {
        let critic = if self.has_critic() { "critic" } else { "no critic" };
        let mut tags = vec![self.preset().to_owned(), self.model(), self.task(), critic.to_owned()];
        let preset = preset_values(self.preset());
        for (key, value) in self.entries.iter().filter(|(key, _)| is_marked(key, Mark::Method)) {
            if preset.is_some_and(|preset| preset.get(key) != Some(value)) {
                let name = PLAIN_SECTIONS.iter().find_map(|section| key.strip_prefix(section)).unwrap_or(key);
                tags.push(format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
            }
        }
        tags
    }

    /// All settings in printed order, then those that this version does not have.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        let (defaults, preset) = (&*DEFAULTS, preset_values(self.preset()));
        let text = |values: &Values, key: &str| values.get(key).map(Value::to_string);
        let mut settings = Vec::new();
        for (section, fields) in SECTIONS {
            for field in *fields {
                let key = format!("{section}.{}", field.name);
                // Settings that did not exist when the run was made have the value that changed nothing.
                let preset = preset.and_then(|preset| text(preset, &key));
                let default = text(defaults, &key);
                let value = self.value(&key).map(Value::to_string).or(preset.clone()).or(default.clone());
                let doc = field.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
                let differs = !IDENTITY.contains(&key.as_str()) && preset != value;
                settings.push(Setting { value: value.unwrap_or_default(), default, preset, doc, differs, key });
            }
        }
        let unknown = self.entries.iter().filter(|(key, _)| !defaults.contains_key(key));
        settings.extend(unknown.map(|(key, value)| Setting {
            key: key.clone(),
            value: value.to_string(),
            default: None,
            preset: None,
            doc: "This version of vapo does not have it.".into(),
            differs: true,
        }));
        settings
    }
}

fn written(run: &RunDir) -> Result<Vec<(String, Value)>> {
    let path = run.path().join("config.toml");
    let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
    let settings = Settings::from_toml(&text, &path)?;
    Ok(settings.entries().map(|(key, value)| (key.to_owned(), value.clone())).collect())
}

/// Values by dotted keys.
type Values = HashMap<String, Value>;

static DEFAULTS: LazyLock<Values> = LazyLock::new(|| Config::default().entries().into_iter().collect());

/// The settings of each preset over the defaults.
static PRESET_VALUES: LazyLock<HashMap<&str, Values>> = LazyLock::new(|| {
    let values = |name: &str| {
        let chosen = Settings::from_overrides(&[format!("algorithm.preset={name}")]);
        let resolved = chosen.and_then(|chosen| Resolved::layered(&[chosen]));
        resolved.map(|resolved| resolved.config.entries().into_iter().collect())
    };
    PRESETS.iter().filter_map(|preset| Some((preset.name, values(preset.name).ok()?))).collect()
});

fn preset_values(name: &str) -> Option<&'static Values> {
    PRESET_VALUES.get(name)
}

/// The names in `data.train`: a path, a table with one, or a list of these.
fn file_names(value: &Value) -> Vec<&str> {
    match value {
        Value::String(path) => vec![file_name(path)],
        Value::Array(files) => files.iter().flat_map(file_names).collect(),
        Value::Table(file) => file.get("path").map(file_names).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn file_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{TestRun, write_run};

    fn differing(config: &RecordedConfig) -> Vec<String> {
        config.settings().into_iter().filter(|setting| setting.differs).map(|setting| setting.key).collect()
    }

    #[test]
    fn every_preset_has_values_and_departs_from_itself_in_nothing() {
        for preset in PRESETS {
            let values = preset_values(preset.name).unwrap_or_else(|| panic!("{} is not valid alone", preset.name));
            let entries = values.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            let config = RecordedConfig { entries, notes: Vec::new() };
            assert_eq!(differing(&config), [""; 0], "{}", preset.name);
            assert_eq!(config.tags().len(), 4, "{:?}", config.tags());
        }
    }

    #[test]
    fn a_runs_settings_are_told_from_its_presets() {
        let run = TestRun::new();
        write_run(run.path(), &["algorithm.preset=grpo", "algorithm.clip_high=0.3", "run.seed=7", "eval.every=5"]);
        let config = RecordedConfig::read(&run.directory());
        assert_eq!(config.notes, [""; 0]);
        let settings = config.settings();
        let of = |key: &str| settings.iter().find(|setting| setting.key == key).unwrap();
        let clip = of("algorithm.clip_high");
        assert_eq!((&*clip.value, clip.preset.as_deref(), clip.differs), ("0.3", Some("0.2"), true));
        assert!(!clip.doc.is_empty() && clip.default.is_some());
        assert!(!of("run.seed").differs && !of("run.dir").differs && of("eval.every").differs);
        assert_eq!(config.tags(), ["grpo", "built-in", "chain", "no critic", "clip_high=0.3"]);
        assert_eq!((config.steps(), config.has_critic()), (70, false));
    }

    #[test]
    fn a_config_of_another_version_is_shown_as_it_is_written() {
        let run = TestRun::new();
        let path = run.path().join("config.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}\n[future]\nspeed = 9\n")).unwrap();
        let config = RecordedConfig::read(&run.directory());
        assert!(config.notes[0].contains("unknown key `future"), "{:?}", config.notes);
        assert_eq!((config.preset(), config.steps()), ("vapo", 75));
        let unknown = config.settings().pop().unwrap();
        assert_eq!((&*unknown.key, &*unknown.value, unknown.default), ("future.speed", "9", None));

        fs::write(&path, "[run\n").unwrap();
        let config = RecordedConfig::read(&run.directory());
        assert!(config.notes.len() == 1 && config.notes[0].contains("config.toml:1"), "{:?}", config.notes);
        assert_eq!((config.preset(), config.model(), config.task()), ("", "built-in".into(), String::new()));
    }

    #[test]
    fn data_files_name_the_task() {
        let config = |text: &str| {
            let table: toml::Table = text.parse().unwrap();
            let entries = table.into_iter().map(|(key, value)| (key.replace('_', "."), value)).collect();
            RecordedConfig { entries, notes: Vec::new() }
        };
        assert_eq!(config("data_train = '/data/gsm8k.jsonl'").task(), "gsm8k.jsonl");
        assert_eq!(
            config("data_train = ['a/b.parquet', { path = 'c.jsonl', weight = 2.0 }]").task(),
            "b.parquet, c.jsonl"
        );
        assert_eq!(config("model_path = '/models/SmolLM2-135M/'").model(), "SmolLM2-135M");
    }
}
