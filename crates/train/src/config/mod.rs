//! Configuration: sections, presets, layers (defaults, file, `--set`), checks and the commented print.
//!
//! A config is built by writing one `key = value` after the other over the defaults: those of the file, then those of the command
//! line. The last layer that names a preset decides the method: the preset sets every setting that is part of a method
//! ([`Mark::Method`]), whatever the layers below say, and the keys of its own layer and of those above win over it.

mod check;
mod check_method;
mod data_files;
mod layers;
mod names;
mod preset;
mod print;
mod renamed;
mod schema;
mod sections;
mod unused;

use std::path::Path;

use serde::{Deserialize, Serialize};
use vapo_tasks::{RewardTerm, Verifier, reward_range};

pub use data_files::{DataFile, DataFiles};
pub use layers::{Role, Settings};
pub use preset::{COMMON, PRESETS, Preset};
pub use schema::{Field, Mark};
pub use sections::*;

use crate::{
    error::{Error, Result},
    phase::Phase,
};

/// Everything that determines a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where and how long.
    pub run: RunConfig,
    /// The policy.
    pub model: ModelConfig,
    /// Problems.
    pub data: DataConfig,
    /// How responses are graded.
    pub reward: RewardConfig,
    /// Sampling of responses.
    pub rollout: RolloutConfig,
    /// The method.
    pub algorithm: AlgorithmConfig,
    /// Training of the critic before the policy's.
    pub value_pretraining: ValuePretrainingConfig,
    /// The value model.
    pub critic: CriticConfig,
    /// The policy's AdamW.
    pub policy_optimizer: OptimizerConfig,
    /// The critic's AdamW.
    pub critic_optimizer: OptimizerConfig,
    /// Held-out evaluation.
    pub eval: EvalConfig,
    /// Checkpoints.
    pub checkpoint: CheckpointConfig,
}

impl Default for Config {
    /// The paper's settings, at sizes for one machine.
    fn default() -> Self {
        Self {
            run: RunConfig::default(),
            model: ModelConfig::default(),
            data: DataConfig::default(),
            reward: RewardConfig::default(),
            rollout: RolloutConfig::default(),
            algorithm: AlgorithmConfig::default(),
            value_pretraining: ValuePretrainingConfig::default(),
            critic: CriticConfig::default(),
            policy_optimizer: OptimizerConfig::default(),
            critic_optimizer: OptimizerConfig { learning_rate: 2e-6, ..OptimizerConfig::default() },
            eval: EvalConfig::default(),
            checkpoint: CheckpointConfig::default(),
        }
    }
}

/// Sections in printed order with their fields.
pub const SECTIONS: &[(&str, &[Field])] = &[
    ("run", RunConfig::FIELDS),
    ("model", ModelConfig::FIELDS),
    ("data", DataConfig::FIELDS),
    ("reward", RewardConfig::FIELDS),
    ("rollout", RolloutConfig::FIELDS),
    ("algorithm", AlgorithmConfig::FIELDS),
    ("value_pretraining", ValuePretrainingConfig::FIELDS),
    ("critic", CriticConfig::FIELDS),
    ("policy_optimizer", OptimizerConfig::FIELDS),
    ("critic_optimizer", OptimizerConfig::FIELDS),
    ("eval", EvalConfig::FIELDS),
    ("checkpoint", CheckpointConfig::FIELDS),
];

/// Whether the setting with that dotted key has a mark; `false` if there is no such setting.
pub fn is_marked(key: &str, mark: Mark) -> bool {
    field(key).is_some_and(|field| field.has(mark))
}

/// The setting with that dotted key.
fn field(key: &str) -> Option<&'static Field> {
    let (section, name) = key.split_once('.')?;
    let (_, fields) = SECTIONS.iter().find(|(known, _)| *known == section)?;
    fields.iter().find(|field| field.name == name)
}

/// The run that `vapo train` does without a config file.
const BUILT_IN: &str = include_str!("built_in.toml");
const BUILT_IN_NAME: &str = "built-in config";

impl Config {
    /// The settings of the run that `vapo train` does without a config file.
    pub fn built_in() -> Settings {
        let settings =
            Settings::from_toml(BUILT_IN, Path::new(BUILT_IN_NAME)).expect("the built-in config is valid TOML");
        settings.with_role(Role::Recorded)
    }

    /// [`Resolved::load`] without its warnings.
    ///
    /// # Errors
    /// As for [`Resolved::load`].
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<Self> {
        Ok(Resolved::load(file, overrides)?.config)
    }

    /// All settings by their dotted keys, in printed order.
    pub fn entries(&self) -> Vec<(String, toml::Value)> {
        let table = toml::Table::try_from(self).expect("a config is valid TOML");
        let keys = SECTIONS.iter().flat_map(|(section, fields)| fields.iter().map(move |field| (section, field.name)));
        keys.map(|(section, name)| (format!("{section}.{name}"), table[*section][name].clone())).collect()
    }

    /// Most tokens of a response in an evaluation.
    pub fn longest_eval_response(&self) -> usize {
        self.eval.max_new_tokens.unwrap_or(self.rollout.max_new_tokens)
    }

    /// The terms of the reward, with what they take from the rest of the config.
    pub fn reward_terms(&self) -> Vec<RewardTerm> {
        let mut terms = self.reward.verifier.clone();
        for term in &mut terms {
            if let Verifier::Length { max_tokens, .. } = &mut term.verifier {
                max_tokens.get_or_insert(self.rollout.max_new_tokens);
            }
        }
        terms
    }

    /// The lowest and the highest reward.
    pub fn reward_range(&self) -> [f64; 2] {
        let (right, wrong) = (self.algorithm.reward_right, self.algorithm.reward_wrong);
        let [lowest, highest] = match self.data.train {
            Some(_) => reward_range(&self.reward_terms(), right, wrong),
            None => [wrong, right],
        };
        [lowest - self.algorithm.largest_overlong_penalty(), highest]
    }

    /// Optimizer updates of the policy in a step.
    pub fn policy_updates_per_step(&self) -> usize {
        self.algorithm.epochs * self.algorithm.minibatches_per_epoch
    }

    /// Passes of the critic over a rollout.
    pub fn critic_epochs(&self) -> usize {
        self.algorithm.critic_epochs.unwrap_or(self.algorithm.epochs)
    }

    /// Minibatches in each of these passes.
    pub fn critic_minibatches_per_epoch(&self) -> usize {
        self.algorithm.critic_minibatches_per_epoch.unwrap_or(self.algorithm.minibatches_per_epoch)
    }

    /// Whether the divergence from the initial policy is measured, which takes a copy of it.
    pub fn has_reference(&self) -> bool {
        self.algorithm.kl_weight > 0.0
    }

    /// Prompts of a step, and responses to each.
    pub fn step_size(&self, phase: Phase) -> (usize, usize) {
        match phase {
            Phase::Policy => (self.rollout.prompts_per_step, self.rollout.group_size),
            Phase::ValuePretraining => (self.value_pretraining.prompts_per_step, self.value_pretraining.group_size),
        }
    }

    /// Whether the method has a critic.
    pub fn has_critic(&self) -> bool {
        self.algorithm.advantage == AdvantageKind::Gae
    }
}

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
    /// Reads a config file (none: the built-in run), applies `key=value` overrides in order and checks the result.
    /// Relative paths in it mean what they mean to the process, not to the file.
    ///
    /// # Errors
    /// The file cannot be read, a key is unknown, a value has the wrong type, or settings contradict each other.
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<Self> {
        let settings = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
                Settings::from_toml(&text, path)?
            }
            None => Config::built_in(),
        };
        Self::layered(&[settings, Settings::from_overrides(overrides)?])
    }

    /// Writes layers over the defaults, the later over the earlier, and checks the result. Presets do not stack: the last one
    /// replaces every setting that is part of a method in the layers below it, except those that a study's arms share.
    ///
    /// # Errors
    /// As for [`Resolved::load`].
    pub fn layered(layers: &[Settings]) -> Result<Self> {
        layers::resolve(layers)
    }
}

impl AlgorithmConfig {
    /// What the longest answer loses of its reward.
    pub fn largest_overlong_penalty(&self) -> f64 {
        let share = if self.overlong_buffer.is_some() { self.overlong_penalty } else { 0.0 };
        share * (self.reward_right - self.reward_wrong)
    }
}
