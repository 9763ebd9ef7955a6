//! The whole config and its settings by their dotted keys.

use serde::{Deserialize, Serialize};
use vapo_tasks::reward_range;

use super::{
    schema::{Field, Mark},
    sections::{
        AdvantageKind, AlgorithmConfig, CheckpointConfig, CriticConfig, DataConfig, DistributedConfig, EvalConfig,
        ModelConfig, OptimizerConfig, RecordsConfig, RewardConfig, RolloutConfig, RunConfig, TensorboardConfig,
        ValuePretrainingConfig,
    },
};
use crate::phase::Phase;

/// Everything that determines a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where and how long.
    pub run: RunConfig,
    /// Its ranks.
    pub distributed: DistributedConfig,
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
    /// Records of rollouts.
    pub records: RecordsConfig,
    /// Event files for TensorBoard.
    pub tensorboard: TensorboardConfig,
}

impl Default for Config {
    /// The paper's settings, at sizes for one machine.
    fn default() -> Self {
        Self {
            run: RunConfig::default(),
            distributed: DistributedConfig::default(),
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
            records: RecordsConfig::default(),
            tensorboard: TensorboardConfig::default(),
        }
    }
}

/// Sections in printed order with their fields.
pub const SECTIONS: &[(&str, &[Field])] = &[
    ("run", RunConfig::FIELDS),
    ("distributed", DistributedConfig::FIELDS),
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
    ("records", RecordsConfig::FIELDS),
    ("tensorboard", TensorboardConfig::FIELDS),
];

/// Whether the setting with that dotted key has a mark; `false` if there is no such setting.
pub fn is_marked(key: &str, mark: Mark) -> bool {
    field(key).is_some_and(|field| field.has(mark))
}

/// The setting with that dotted key.
pub(super) fn field(key: &str) -> Option<&'static Field> {
    let (section, name) = key.split_once('.')?;
    let (_, fields) = SECTIONS.iter().find(|(known, _)| *known == section)?;
    fields.iter().find(|field| field.name == name)
}

/// Section and name of a key that exists.
pub(super) fn known_key(key: &str) -> Option<(&str, &str)> {
    field(key).and(key.split_once('.'))
}

impl Config {
    /// All settings by their dotted keys, in printed order.
    pub fn entries(&self) -> Vec<(String, toml::Value)> {
        let table = toml::Table::try_from(self).expect("a config is valid TOML");
        let keys = SECTIONS.iter().flat_map(|(section, fields)| fields.iter().map(move |field| (section, field.name)));
        keys.map(|(section, name)| (format!("{section}.{name}"), table[*section][name].clone())).collect()
    }

    /// Maximum length of a response in an evaluation, in tokens.
    pub fn longest_eval_response(&self) -> usize {
        self.eval.max_new_tokens.unwrap_or(self.rollout.max_new_tokens)
    }

    /// The lowest and the highest reward.
    pub fn reward_range(&self) -> [f64; 2] {
        let (right, wrong) = (self.algorithm.reward_right, self.algorithm.reward_wrong);
        let [lowest, highest] = match self.data.train {
            Some(_) => reward_range(&self.reward.verifier, right, wrong),
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

    /// Whether the divergence from the initial policy is measured, which requires a copy of it.
    pub fn has_reference(&self) -> bool {
        self.algorithm.kl_weight > 0.0
    }

    /// Prompts of a step, and responses per prompt.
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
