//! Configuration: sections, presets, layers (defaults, file, `--set`), checks and the commented print.
//!
//! A config is built by writing one `key = value` after the other over the defaults. Naming a preset writes the preset's keys at
//! that place, so that the keys beside it win; a preset on the command line replaces the file's and wins over the file's keys.

mod check;
mod check_method;
mod data_files;
mod layers;
mod names;
mod preset;
mod print;
mod schema;
mod sections;

use std::path::Path;

use serde::{Deserialize, Serialize};
use vapo_tasks::{RewardTerm, Verifier, reward_range};

pub use data_files::{DataFile, DataFiles};
pub use layers::Settings;
pub use preset::{COMMON, PRESETS, Preset};
pub use schema::Field;
pub use sections::*;

use crate::{
    error::{Error, Result},
    phase::Phase,
};
use layers::Layers;

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

/// The run that `vapo train` does without a config file.
const BUILT_IN: &str = include_str!("built_in.toml");
const BUILT_IN_NAME: &str = "built-in config";

impl Config {
    /// The settings of the run that `vapo train` does without a config file.
    pub fn built_in() -> Settings {
        Settings::from_toml(BUILT_IN, Path::new(BUILT_IN_NAME)).expect("the built-in config is valid TOML")
    }

    /// Reads a config file (none: the built-in run), applies `key=value` overrides in order and checks the result.
    /// Relative paths in it mean what they mean to the process, not to the file.
    ///
    /// # Errors
    /// The file cannot be read, a key is unknown, a value has the wrong type, or settings contradict each other.
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<Self> {
        match file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
                Self::from_toml(&text, path, overrides)
            }
            None => Self::from_toml(BUILT_IN, Path::new(BUILT_IN_NAME), overrides),
        }
    }

    /// The same from a text; `path` stands in messages.
    ///
    /// # Errors
    /// As for [`Config::load`].
    pub fn from_toml(text: &str, path: &Path, overrides: &[String]) -> Result<Self> {
        Self::layered([Settings::from_toml(text, path)?, Settings::from_overrides(overrides)?])
    }

    /// Writes layers over the defaults, the later over the earlier, and checks the result. Only the last preset counts.
    ///
    /// # Errors
    /// As for [`Config::load`].
    pub fn layered(settings: impl IntoIterator<Item = Settings>) -> Result<Self> {
        let mut layers = Layers::new();
        layers.add(&settings.into_iter().collect::<Vec<_>>())?;
        layers.into_config().checked()
    }

    fn checked(self) -> Result<Self> {
        self.check()?;
        Ok(self)
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
        [lowest - self.algorithm.largest_punishment(), highest]
    }

    /// Critic updates per pass over a rollout.
    pub fn critic_minibatches(&self) -> usize {
        self.algorithm.critic_minibatches.unwrap_or(self.algorithm.updates_per_rollout)
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

impl AlgorithmConfig {
    /// What the longest answer loses of its reward.
    pub fn largest_punishment(&self) -> f64 {
        let share = if self.overlong_buffer.is_some() { self.overlong_penalty } else { 0.0 };
        share * (self.reward_right - self.reward_wrong)
    }
}
