//! The study file, which defines what is compared.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use toml::de::{DeTable, DeValue};
use vapo_train::{
    Config,
    config::{Resolved, Role, Settings},
    plain_words,
};

use crate::error::{Error, Result};

/// Keys of a study file.
const STUDY_KEYS: &[&str] = &[
    "name",
    "about",
    "config",
    "settings",
    "seeds",
    "accuracies",
    "reference",
    "equal",
    "stalled_minutes",
    "arms_from",
    "charts",
    "arms",
];
/// Keys of an arm.
const ARM_KEYS: &[&str] = &["name", "like", "note", "set"];
/// Keys of a chart.
const CHART_KEYS: &[&str] = &["name", "arms"];
/// Settings that the study itself sets.
const OWN_SETTINGS: &[(&str, &str)] = &[("run.seed", "`seeds`"), ("run.dir", "`--out`")];
/// Maximum number of runs in a study.
const MAX_RUNS: usize = 10_000;
/// Minimum number of seeds for a meaningful interval.
pub(crate) const FEW_SEEDS: usize = 5;

/// A study: every arm with every seed.
#[derive(Clone, Debug)]
pub struct Study {
    /// Name of the study and of its directory.
    pub name: String,
    /// Its question, for the report; may be empty.
    pub about: String,
    /// Seeds of every arm.
    pub seeds: Vec<u64>,
    /// Accuracies whose cost is reported.
    pub accuracies: Vec<f64>,
    /// Arm whose final accuracy is added to these.
    pub reference: Option<String>,
    /// Budgets of policy training that must be equal in all arms.
    pub equal: Vec<Budget>,
    /// A run that writes no metrics row for this long is stopped.
    pub stalled: Duration,
    /// Curves drawn together; empty: all in one chart.
    pub charts: Vec<Chart>,
    /// The arms.
    pub arms: Vec<Arm>,
    /// The file's text.
    pub text: String,
}

/// One of the alternatives compared.
#[derive(Clone, Debug)]
pub struct Arm {
    /// Its name, also the name of its directory.
    pub name: String,
    /// Its description, for the report; may be empty.
    pub note: String,
    /// The settings that define it, including those of the arm named by `like`; later ones override earlier ones.
    pub set: Vec<(String, String)>,
    /// All settings; `run.seed` and `run.dir` are placeholders.
    pub config: Config,
    /// Warnings about its settings.
    pub warnings: Vec<String>,
}

/// Arms whose curves are drawn together.
#[derive(Clone, Debug, Deserialize)]
pub struct Chart {
    /// First part of the file's name.
    pub name: String,
    /// The arms.
    pub arms: Vec<String>,
}

/// A budget of policy training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// Prompts drawn.
    Prompts,
    /// Responses sampled.
    Samples,
    /// Optimizer updates of the policy.
    Updates,
}

impl Budget {
    /// All budgets.
    pub const ALL: [Self; 3] = [Self::Prompts, Self::Samples, Self::Updates];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prompts => "prompts",
            Self::Samples => "samples",
            Self::Updates => "updates",
        }
    }

    /// The amount planned by a config; a run may use a different amount (because of dynamic sampling or a crash).
    pub fn planned(self, config: &Config) -> u64 {
        let rollout = &config.rollout;
        let per_step = match self {
            Self::Prompts => rollout.prompts_per_step,
            Self::Samples => rollout.prompts_per_step * rollout.group_size,
            Self::Updates => config.policy_updates_per_step(),
        };
        config.run.steps.saturating_mul(per_step as u64)
    }
}

/// The plain values of a study file; tables of settings are read with their positions.
#[derive(Deserialize)]
struct Plain {
    name: String,
    #[serde(default)]
    about: String,
    config: Option<PathBuf>,
    seeds: Seeds,
    #[serde(default)]
    accuracies: Vec<f64>,
    reference: Option<String>,
    #[serde(default = "samples_and_updates")]
    equal: Vec<Budget>,
    #[serde(default = "half_an_hour")]
    stalled_minutes: f64,
    arms_from: Option<PathBuf>,
}

/// The lists of a study file.
#[derive(Deserialize)]
struct Lists {
    #[serde(default)]
    charts: Vec<Chart>,
    #[serde(default)]
    arms: Vec<PlainArm>,
}

#[derive(Deserialize)]
struct PlainArm {
    name: String,
    like: Option<String>,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number of seeds or a list of them")]
enum Seeds {
    Count(u64),
    List(Vec<u64>),
}

fn samples_and_updates() -> Vec<Budget> {
    vec![Budget::Samples, Budget::Updates]
}

fn half_an_hour() -> f64 {
    30.0
}

impl Study {
    /// Reads a study file and resolves every arm's config. Relative paths in it are relative to the working directory; those
    /// in the config that it names are relative to that file.
    ///
    /// # Errors
    /// The file cannot be read, a key is unknown, an arm's settings are invalid, or budgets that must be equal differ in the plan.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
        Self::from_toml(&text, path)
    }

    /// The same from a text; `path` is used in messages.
    ///
    /// # Errors
    /// As for [`Study::load`].
    pub fn from_toml(text: &str, path: &Path) -> Result<Self> {
        let table = &checked_table(text, path)?;
        let plain: Plain = toml::from_str(text).map_err(|error| at(text, path, &error))?;
        let base = base_layers(&plain, table, text, path)?;
        let (charts, arms) = match &plain.arms_from {
            None => charts_and_arms(table, text, path, &base)?,
            Some(_) if table.contains_key("arms") || table.contains_key("charts") => {
                return Err(Error::study(
                    path,
                    "`arms_from` takes arms and charts from another study, so this one must not have its own",
                ));
            }
            Some(sibling) => {
                let other = &path.with_file_name(sibling);
                let text = &fs::read_to_string(other).map_err(Error::io("read", other))?;
                charts_and_arms(&checked_table(text, other)?, text, other, &base)?
            }
        };
        let study = Self {
            seeds: match plain.seeds {
                Seeds::Count(count) => (0..count.min(MAX_RUNS as u64 + 1)).collect(),
                Seeds::List(seeds) => seeds,
            },
            name: plain.name,
            about: plain.about,
            accuracies: plain.accuracies,
            reference: plain.reference,
            equal: plain.equal,
            stalled: Duration::from_secs_f64((60.0 * plain.stalled_minutes).clamp(1.0, 1e8)),
            charts,
            arms,
            text: text.to_owned(),
        };
        study.check().map_err(|message| Error::study(path, message))?;
        Ok(study)
    }

    /// The arm with this name.
    pub fn arm(&self, name: &str) -> Option<&Arm> {
        self.arms.iter().find(|arm| arm.name == name)
    }

    /// A name for the problems on which all arms are evaluated.
    pub fn task(&self) -> String {
        let data = &self.arms[0].config.data;
        match &data.eval {
            Some(file) => file.to_string(),
            None => data.task.clone(),
        }
    }

    /// Warnings.
    pub fn warnings(&self) -> Vec<String> {
        let few = self.seeds.len() < FEW_SEEDS;
        let few = few.then(|| {
            let noun = if self.seeds.len() == 1 { "seed" } else { "seeds" };
            format!("{} {noun}: intervals over fewer than {FEW_SEEDS} seeds are not very meaningful", self.seeds.len())
        });
        let mut warnings: Vec<String> = few.into_iter().collect();
        for warning in self.arms.iter().flat_map(|arm| &arm.warnings) {
            // Warnings shared by all arms are given once.
            if !warnings.contains(warning) {
                warnings.push(warning.clone());
            }
        }
        warnings
    }

    fn check(&self) -> Result<(), String> {
        let names = std::iter::once(&self.name).chain(self.arms.iter().map(|arm| &arm.name));
        for name in names.chain(self.charts.iter().map(|chart| &chart.name)) {
            if !is_plain_name(name) {
                return Err(format!(
                    "name `{name}` may contain only a-z, 0-9, `-`, `_` and `+`, because it names a directory or file"
                ));
            }
        }
        if self.arms.is_empty() || self.seeds.is_empty() {
            return Err("expected at least one arm and one seed".into());
        }
        if self.arms.len().saturating_mul(self.seeds.len()) > MAX_RUNS {
            return Err(format!("expected at most {MAX_RUNS} runs"));
        }
        if let Some(twice) = repeated(self.arms.iter().map(|arm| arm.name.clone())) {
            return Err(format!("there are two arms `{twice}`"));
        }
        if let Some(twice) = repeated(self.seeds.iter().map(u64::to_string)) {
            return Err(format!("seed {twice} is listed twice"));
        }
        let charted = self.charts.iter().flat_map(|chart| &chart.arms);
        if let Some(name) = self.reference.iter().chain(charted).find(|name| self.arm(name).is_none()) {
            return Err(format!(
                "there is no arm `{name}`{}",
                did_you_mean(name, self.arms.iter().map(|arm| &*arm.name))
            ));
        }
        if let Some(wrong) = self.accuracies.iter().find(|accuracy| !(0.0..=1.0).contains(*accuracy)) {
            return Err(format!("accuracies ({wrong}) must be between 0 and 1"));
        }
        self.check_measure()?;
        self.equal.iter().try_for_each(|budget| self.check_budget(*budget))
    }

    /// Arms must be evaluated in the same way, or their accuracies are not comparable.
    fn check_measure(&self) -> Result<(), String> {
        let first = &self.arms[0];
        match self
            .arms
            .iter()
            .find(|arm| (&arm.config.eval, &arm.config.data) != (&first.config.eval, &first.config.data))
        {
            Some(other) => Err(format!(
                "arms `{}` and `{}` differ in [data] or [eval], expected the same problems and evaluation",
                first.name, other.name
            )),
            None => Ok(()),
        }
    }

    fn check_budget(&self, budget: Budget) -> Result<(), String> {
        let (first, name) = (&self.arms[0], budget.name());
        let planned = budget.planned(&first.config);
        match self.arms.iter().find(|arm| budget.planned(&arm.config) != planned) {
            Some(arm) => Err(format!(
                "arm `{}` plans {} {name} in policy training and arm `{}` {planned}, expected the same (see `equal`)",
                arm.name,
                budget.planned(&arm.config),
                first.name,
            )),
            None => Ok(()),
        }
    }
}

/// The base of all arms: one thread per run, the config file or the built-in run, the study's settings.
fn base_layers(plain: &Plain, table: &DeTable<'_>, text: &str, path: &Path) -> Result<Vec<Settings>> {
    let threads = Settings::from_toml("run.threads = 1", path)?.with_role(Role::Recorded);
    let base = match &plain.config {
        Some(file) => Settings::from_file(file)?.with_role(Role::Recorded),
        None => Settings::built_in(),
    };
    Ok(vec![threads, base, settings_of(table, "settings", text, path)?.with_role(Role::Shared)])
}

/// A study file with the positions of its values and checked keys.
fn checked_table<'a>(text: &'a str, path: &Path) -> Result<DeTable<'a>> {
    let table = DeTable::parse(text).map_err(|error| at(text, path, &error))?.into_inner();
    check_keys(&table, STUDY_KEYS, text, path)?;
    for (list, keys) in [("arms", ARM_KEYS), ("charts", CHART_KEYS)] {
        tables_of(&table, list).try_for_each(|table| check_keys(table, keys, text, path))?;
    }
    Ok(table)
}

/// The arms of a study file, over the settings of this or another study.
fn charts_and_arms(table: &DeTable<'_>, text: &str, path: &Path, base: &[Settings]) -> Result<(Vec<Chart>, Vec<Arm>)> {
    let lists: Lists = toml::from_str(text).map_err(|error| at(text, path, &error))?;
    let own: Result<Vec<Settings>> = tables_of(table, "arms").map(|arm| settings_of(arm, "set", text, path)).collect();
    Ok((lists.charts, resolve(&lists.arms, &own?, base, path)?))
}

/// Each arm's settings, over those of the arm named by `like`, over the base.
fn resolve(plain: &[PlainArm], own: &[Settings], base: &[Settings], path: &Path) -> Result<Vec<Arm>> {
    let mut arms: Vec<Arm> = Vec::new();
    let mut layers: Vec<Vec<Settings>> = Vec::new();
    for (arm, own) in plain.iter().zip(own) {
        let mut stack = match &arm.like {
            None => base.to_vec(),
            Some(like) => match arms.iter().position(|arm| arm.name == *like) {
                Some(index) => layers[index].clone(),
                None => {
                    let hint = did_you_mean(like, arms.iter().map(|arm| &*arm.name));
                    let message =
                        format!("arm `{}` is like `{like}`, expected the name of an arm above it{hint}", arm.name);
                    return Err(Error::study(path, message));
                }
            },
        };
        stack.push(own.clone());
        let Resolved { config, mut warnings, unused } = Resolved::layered(&stack)
            .map_err(|source| Error::Arm { arm: arm.name.clone(), source: Box::new(source) })?;
        warnings.extend(unused);
        let written = || stack[base.len()..].iter().flat_map(Settings::entries);
        for (key, owner) in OWN_SETTINGS {
            if stack.iter().skip(base.len() - 1).flat_map(Settings::entries).any(|(written, _)| written == *key) {
                return Err(Error::study(path, format!("{key} is set by the study: use {owner}")));
            }
        }
        let mut set: Vec<(String, String)> = Vec::new();
        for (key, value) in written() {
            set.retain(|(earlier, _)| earlier != key);
            set.push((key.to_owned(), value.to_string()));
        }
        arms.push(Arm { name: arm.name.clone(), note: arm.note.clone(), set, config, warnings });
        layers.push(stack);
    }
    Ok(arms)
}

fn settings_of(table: &DeTable<'_>, key: &str, text: &str, path: &Path) -> Result<Settings> {
    match table.get(key).map(|value| value.get_ref()) {
        Some(DeValue::Table(table)) => Ok(Settings::from_table(table, text, path)?.with_home()?),
        _ => Ok(Settings::default()),
    }
}

fn tables_of<'t, 'a>(table: &'t DeTable<'a>, key: &str) -> impl Iterator<Item = &'t DeTable<'a>> {
    let list = match table.get(key).map(|value| value.get_ref()) {
        Some(DeValue::Array(list)) => list.iter().collect(),
        _ => Vec::new(),
    };
    list.into_iter().filter_map(|value| match value.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    })
}

fn check_keys(table: &DeTable<'_>, known: &[&str], text: &str, path: &Path) -> Result<()> {
    for key in table.keys() {
        let name: &str = key.get_ref();
        if !known.contains(&name) {
            let (line, hint) = (line_of(text, key.span().start), did_you_mean(name, known.iter().copied()));
            return Err(Error::study(path, format!("line {line}: unknown key `{name}`{hint}")));
        }
    }
    for (key, must_be_table) in [("settings", true), ("set", true), ("arms", false), ("charts", false)] {
        let fits = |value: &DeValue<'_>| if must_be_table { value.is_table() } else { value.is_array() };
        if let Some(value) = table.get(key).filter(|value| !fits(value.get_ref())) {
            let expected = if must_be_table { "a table of settings" } else { "a list of tables" };
            let line = line_of(text, value.span().start);
            return Err(Error::study(path, format!("line {line}: `{key}` must be {expected}")));
        }
    }
    Ok(())
}

fn at(text: &str, path: &Path, error: &toml::de::Error) -> Error {
    let line = line_of(text, error.span().map_or(0, |span| span.start));
    Error::study(path, format!("line {line}: {}", plain_words(error.message())))
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text[..offset.min(text.len())].matches('\n').count()
}

fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_+".contains(c);
    !name.is_empty() && name.len() <= 80 && name.chars().all(plain)
}

fn repeated(mut names: impl Iterator<Item = String>) -> Option<String> {
    let mut seen = std::collections::BTreeSet::new();
    names.find(|name| !seen.insert(name.clone()))
}

/// `, did you mean ...?` or nothing.
fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let similar = known.map(|known| (strsim::normalized_damerau_levenshtein(known, name), known));
    match similar.filter(|(similarity, _)| *similarity >= 0.6).max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((_, known)) => format!(", did you mean `{known}`?"),
        None => String::new(),
    }
}
