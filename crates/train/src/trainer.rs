//! The state of a run: networks, counters and their inputs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vapo_lm::{Device, Engine, Model};
use vapo_tasks::Task;

use crate::{
    base::TextFiles,
    config::{Config, PretrainingRule, ValuePretrainingConfig},
    division::Division,
    models::Models,
    network::Network,
    phase::Phase,
    tensorboard::EventFile,
};

/// All counters. With the weights and moments they are the complete state of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Steps of both phases.
    pub global_step: u64,
    /// Steps of value pretraining among them.
    pub value_pretraining_steps: u64,
    /// Value loss and explained variance of each step of value pretraining.
    pub value_pretraining: Vec<CriticQuality>,
    /// Prompts drawn for training.
    pub prompts: u64,
    /// Responses sampled for training.
    pub responses: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Optimizer updates of the policy.
    pub policy_updates: u64,
    /// Optimizer updates of the critic.
    pub critic_updates: u64,
}

/// The critic's quality in one step, before its updates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CriticQuality {
    /// Mean value loss of the step's updates.
    pub loss: f64,
    /// Explained variance against the Monte-Carlo return; 0 if the returns do not vary.
    pub explained_variance: f64,
}

/// A run in memory.
pub(crate) struct Trainer {
    pub(crate) config: Config,
    pub(crate) engine: Engine,
    pub(crate) division: Division,
    pub(crate) task: Box<dyn Task>,
    pub(crate) text: TextFiles,
    pub(crate) policy: Network,
    pub(crate) critic: Option<Network>,
    /// The initial policy, if the divergence from it is measured.
    pub(crate) reference: Option<Model>,
    pub(crate) counters: Counters,
    /// Where updates are saved whose gradient was not finite.
    pub(crate) dumps: PathBuf,
    /// Where rollouts are recorded.
    pub(crate) rollouts: PathBuf,
    /// The session's TensorBoard file, if it has one.
    pub(crate) events: Option<EventFile>,
}

/// Prompts per step, and responses per prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) prompts: usize,
    pub(crate) group_size: usize,
}

impl Trainer {
    /// Builds a run with fresh moments and counters at 0.
    pub(crate) fn new(
        (device, division): (&Device, Division),
        config: Config,
        task: Box<dyn Task>,
        models: Models,
    ) -> Self {
        let dtype = config.model.dtype.into();
        let policy_updates = policy_updates(&config);
        let critic_updates = critic_updates(&config, config.value_pretraining.steps);
        Self {
            engine: Engine::new(device, config.run.micro_batch_tokens),
            division,
            task,
            text: models.policy.text,
            policy: Network::new(models.policy.model.with_dtype(dtype), &config.policy_optimizer, policy_updates),
            critic: models
                .critic
                .map(|model| Network::new(model.with_dtype(dtype), &config.critic_optimizer, critic_updates)),
            reference: models.reference.map(|model| model.for_inference(dtype)),
            counters: Counters::default(),
            dumps: PathBuf::from("dumps"),
            rollouts: PathBuf::from("rollouts"),
            events: None,
            config,
        }
    }

    /// Leaves each rank its part of the moments, once they are what the run begins with.
    pub(crate) fn divide(&mut self) {
        self.policy.divide(&self.division);
        self.critic.iter_mut().for_each(|critic| critic.divide(&self.division));
    }

    /// The phase of the next step; `None` when all steps are done.
    pub(crate) fn next_phase(&self) -> Option<Phase> {
        if self.critic.is_some()
            && self.policy_steps() == 0
            && !is_pretrained(&self.counters.value_pretraining, &self.config.value_pretraining)
        {
            return Some(Phase::ValuePretraining);
        }
        (self.policy_steps() < self.config.run.steps).then_some(Phase::Policy)
    }

    /// Whether the rollouts of the next step are recorded.
    pub(crate) fn records_step(&self) -> bool {
        self.config.records.every.is_some_and(|every| (self.counters.global_step + 1).is_multiple_of(every))
    }

    /// Whether it is noted what the updates of the next step do with each token.
    pub(crate) fn traces_step(&self) -> bool {
        self.config.tensorboard.enabled || self.records_step()
    }

    /// Number of steps that trained the policy.
    pub(crate) fn policy_steps(&self) -> u64 {
        self.counters.global_step - self.counters.value_pretraining_steps
    }

    /// Steps of value pretraining: the most there can be until it is over, then those there were. The rule "plateau" may
    /// end it early.
    pub(crate) fn planned_pretraining(&self) -> u64 {
        match self.next_phase() {
            Some(Phase::ValuePretraining) => self.config.value_pretraining.steps,
            _ => self.counters.value_pretraining_steps,
        }
    }

    /// Lets a falling learning rate of the critic end with the run's last update.
    pub(crate) fn plan_critic(&mut self) {
        let updates = critic_updates(&self.config, self.planned_pretraining());
        if let Some(critic) = &mut self.critic {
            critic.plan(updates);
        }
    }

    pub(crate) fn shape(&self, phase: Phase) -> Shape {
        let (prompts, group_size) = self.config.step_size(phase);
        Shape { prompts, group_size }
    }
}

/// Updates of the policy in a run.
pub(crate) fn policy_updates(config: &Config) -> u64 {
    config.run.steps.saturating_mul(config.policy_updates_per_step() as u64)
}

/// Updates of the critic in a run with so many steps of value pretraining.
pub(crate) fn critic_updates(config: &Config, pretraining_steps: u64) -> u64 {
    let per_step = config.critic_epochs() * config.critic_minibatches_per_epoch();
    (config.run.steps + pretraining_steps).saturating_mul(per_step as u64)
}

/// Whether value pretraining is finished according to its rule.
fn is_pretrained(history: &[CriticQuality], rule: &ValuePretrainingConfig) -> bool {
    let steps = history.len();
    if steps as u64 >= rule.steps {
        return true;
    }
    if rule.rule == PretrainingRule::Steps || steps < 2 * rule.window {
        return false;
    }
    let mean =
        |part: &[CriticQuality], of: fn(&CriticQuality) -> f64| part.iter().map(of).sum::<f64>() / part.len() as f64;
    let (before, last) = history[steps - 2 * rule.window..].split_at(rule.window);
    let variance_gain = mean(last, |step| step.explained_variance) - mean(before, |step| step.explained_variance);
    let loss_before = mean(before, |step| step.loss);
    let loss_drop = (loss_before - mean(last, |step| step.loss)) / loss_before.max(f64::MIN_POSITIVE);
    variance_gain < rule.min_progress && loss_drop < rule.min_progress
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(steps: &[(f64, f64)]) -> Vec<CriticQuality> {
        steps.iter().map(|&(loss, explained_variance)| CriticQuality { loss, explained_variance }).collect()
    }

    #[test]
    fn pretraining_ends_after_its_steps_or_on_the_plateau_of_both_measures() {
        let steps = ValuePretrainingConfig { steps: 3, ..ValuePretrainingConfig::default() };
        assert!(!is_pretrained(&history(&[(1.0, 0.0); 2]), &steps));
        assert!(is_pretrained(&history(&[(1.0, 0.0); 3]), &steps));

        let plateau = ValuePretrainingConfig {
            steps: 50,
            rule: PretrainingRule::Plateau,
            window: 2,
            min_progress: 0.05,
            ..ValuePretrainingConfig::default()
        };
        assert!(!is_pretrained(&history(&[(1.0, 0.0); 3]), &plateau), "too early to tell");
        assert!(is_pretrained(&history(&[(1.0, 0.0); 4]), &plateau));
        let rising_variance = [(1.0, 0.0), (1.0, 0.1), (1.0, 0.2), (1.0, 0.3)];
        assert!(!is_pretrained(&history(&rising_variance), &plateau));
        let falling_loss = [(1.0, 0.1), (0.9, 0.1), (0.8, 0.1), (0.7, 0.1)];
        assert!(!is_pretrained(&history(&falling_loss), &plateau));
        assert!(is_pretrained(&history(&[(1.0, 0.0); 50]), &plateau));
    }
}
