//! The updates of critic and policy: their losses as closures inside the model's backward pass.
//!
//! Every denominator counts the tokens of the whole update ([`Reduction::token_weights`]), so the gradient does not depend on
//! how the engine divides an update into micro-batches.

use std::ops::Range;

use vapo_algo::{PolicyStats, Reduction, Summary, ValueBatch, ValueBound, ValueStats, value_loss};
use vapo_lm::{Buffer, Engine, Model};

use crate::{
    batch::Minibatch,
    config::{AlgorithmConfig, BoundKind, CriticConfig},
    credit::ValueCredit,
    division::Division,
    error::Result,
    metrics::{Row, keys},
    network::{Network, Update},
    objective::{Objective, PolicySums, StepColumns},
    trace::TokenTrace,
};

/// Statistics of the critic's updates in a step.
#[derive(Clone, Debug, Default)]
pub struct CriticReport {
    /// Loss of each update.
    pub loss: Summary,
    /// Gradient norm of each update, before clipping.
    pub grad_norm: Summary,
    /// Learning rate of the last update.
    pub learning_rate: f32,
    /// Values and clips over all updates.
    pub stats: ValueStats,
    /// Updates skipped because their gradient was not finite.
    pub skipped: u64,
}

impl CriticReport {
    pub(crate) fn write(&self, row: &mut Row) {
        row.number(keys::VALUE_LOSS, self.loss.mean());
        row.number(keys::VALUE_CLIP_FRAC, self.stats.clip_frac());
        row.number(keys::VALUE_PREDICTION_MEAN, self.stats.values.mean());
        row.number(keys::CRITIC_GRAD_NORM, self.grad_norm.mean());
        row.number(keys::CRITIC_LEARNING_RATE, f64::from(self.learning_rate));
        row.count(keys::CRITIC_SKIPPED_UPDATES, self.skipped);
    }
}

/// Statistics of the policy's updates in a step.
#[derive(Clone, Debug, Default)]
pub struct PolicyReport {
    /// Clipped policy loss of each update, without the terms below.
    pub loss: Summary,
    /// Positive-example LM loss (unweighted) of each update with a right answer.
    pub positive_lm_loss: Summary,
    /// KL divergence from the reference policy (unweighted), if it is in the loss.
    pub kl_loss: Summary,
    /// Entropy of each token's distribution.
    pub entropy: Summary,
    /// Gradient norm of each update, before clipping.
    pub grad_norm: Summary,
    /// Learning rate of the last update.
    pub learning_rate: f32,
    /// Ratios and clips over all updates.
    pub stats: PolicyStats,
    /// Largest |log ratio| in the first update, in which the policy is still the one that sampled, so it must be 0.
    pub first_log_ratio_max: Option<f64>,
    /// Updates skipped because their gradient was not finite.
    pub skipped: u64,
    /// What the updates did with each token, if the step is recorded.
    pub trace: Option<TokenTrace>,
}

impl PolicyReport {
    fn add(&mut self, sums: PolicySums, update: Update) {
        self.learning_rate = update.learning_rate;
        let Ok(grad_norm) = update.grad_norm else {
            self.skipped += 1;
            return;
        };
        self.grad_norm.push(f64::from(grad_norm));
        self.loss.push(sums.loss);
        sums.positive_lm_loss.into_iter().for_each(|loss| self.positive_lm_loss.push(loss));
        sums.kl_loss.into_iter().for_each(|loss| self.kl_loss.push(loss));
        if self.first_log_ratio_max.is_none() {
            self.first_log_ratio_max = sums.stats.max_abs_log_ratio();
        }
        self.stats.merge(&sums.stats);
        self.entropy.merge(&sums.entropy);
    }
    /// Share of tokens clipped at either bound.
    pub fn clip_share(&self) -> Option<f64> {
        self.stats.clip_low_frac().zip(self.stats.clip_high_frac()).map(|(low, high)| low + high)
    }

    pub(crate) fn write(&self, row: &mut Row) {
        row.number(keys::POLICY_LOSS, self.loss.mean());
        row.number(keys::POLICY_CLIP_FRAC, self.clip_share());
        row.number(keys::POLICY_CLIP_DUAL_FRAC, self.stats.clip_dual_frac());
        row.number(keys::PPO_KL, self.stats.approx_kl());
        row.number(keys::ENTROPY, self.entropy.mean());
        row.number(keys::KL_LOSS, self.kl_loss.mean());
        row.number(keys::POLICY_GRAD_NORM, self.grad_norm.mean());
        row.number(keys::POLICY_LEARNING_RATE, f64::from(self.learning_rate));
        row.count(keys::POLICY_SKIPPED_UPDATES, self.skipped);
        row.number(keys::POSITIVE_LM_LOSS, self.positive_lm_loss.mean());
        row.number(keys::CLIP_LOW_FRAC, self.stats.clip_low_frac());
        row.number(keys::CLIP_HIGH_FRAC, self.stats.clip_high_frac());
        row.number(keys::RATIO_MAX, self.stats.ratio.max());
        row.number(keys::RATIO_MIN, self.stats.ratio.min());
    }
}

/// How a critic's raw outputs are mapped to values, from the settings and the range of rewards.
pub fn value_bound(critic: &CriticConfig, [lo, hi]: [f64; 2]) -> ValueBound {
    match critic.bound {
        BoundKind::None => ValueBound::Unbounded,
        BoundKind::Sigmoid => ValueBound::Sigmoid { lo, hi },
        BoundKind::Atan => ValueBound::Atan { lo, hi },
    }
}

/// What the critic's values of a minibatch are compared with, and each token's weight `[n]`.
pub(crate) struct ValueTargets {
    old_values: Vec<f32>,
    targets: Vec<f32>,
    weights: Vec<f32>,
}

impl ValueTargets {
    pub(crate) fn new(minibatch: &Minibatch<'_>, old_values: Vec<f32>, targets: Vec<f32>) -> Self {
        let all = vec![true; minibatch.lengths.len()];
        Self { old_values, targets, weights: Reduction::TokenMean.token_weights(&minibatch.lengths, &all) }
    }
}

/// Adds the gradient of the critic's loss on some of a minibatch's responses; returns the loss and its statistics.
pub(crate) fn critic_gradient(
    engine: &mut Engine,
    (model, gradients): (&Model, &mut Buffer),
    (minibatch, responses): (&Minibatch<'_>, Range<usize>),
    ValueTargets { old_values, targets, weights }: &ValueTargets,
    (bound, clip): (ValueBound, Option<f64>),
) -> (f64, ValueStats) {
    let batch = ValueBatch { targets, old_values, weights };
    let first = minibatch.tokens_before(responses.start);
    let (mut loss_sum, mut stats) = (0.0, ValueStats::default());
    engine.critic_backward(model, gradients, &minibatch.sequences[responses], |tokens, raw| {
        let values: Vec<f32> = raw.iter().map(|&raw| bound.value(raw)).collect();
        let loss = value_loss(&values, batch.slice(first + tokens.start..first + tokens.end), clip);
        loss_sum += loss.loss;
        stats.merge(&loss.stats);
        loss.dvalue.iter().zip(raw).map(|(&dvalue, &raw)| dvalue * bound.derivative(raw)).collect()
    });
    (loss_sum, stats)
}

/// Adds the gradient of the policy's objective on some of a minibatch's responses.
pub(crate) fn policy_gradient(
    engine: &mut Engine,
    (model, gradients): (&Model, &mut Buffer),
    (minibatch, responses): (&Minibatch<'_>, Range<usize>),
    temperature: f32,
    objective: &mut Objective<'_>,
) {
    let first = minibatch.tokens_before(responses.start);
    engine.policy_backward(model, gradients, &minibatch.sequences[responses], temperature, |tokens, scored| {
        objective.token_grad(scored, first + tokens.start..first + tokens.end)
    });
}

/// One update of the critic on a minibatch.
///
/// # Errors
/// Another rank failed.
pub(crate) fn update_critic(
    critic: &mut Network,
    (engine, division): (&mut Engine, &mut Division),
    minibatch: &Minibatch<'_>,
    credit: &ValueCredit,
    settings: (ValueBound, Option<f64>),
    report: &mut CriticReport,
) -> Result<Update> {
    let (old_values, targets) = (minibatch.gather(&credit.old_values), minibatch.gather(&credit.targets));
    let targets = ValueTargets::new(minibatch, old_values, targets);
    let backward = &mut |model: &Model, gradients: &mut Buffer, responses| {
        critic_gradient(engine, (model, gradients), (minibatch, responses), &targets, settings)
    };
    let (update, shards) = critic.update(division, &minibatch.lengths, backward)?;
    let (loss, stats) = shards
        .into_iter()
        .reduce(|(loss, mut stats), (more, other)| {
            stats.merge(&other);
            (loss + more, stats)
        })
        .unwrap_or_default();
    report.learning_rate = update.learning_rate;
    match update.grad_norm {
        Ok(grad_norm) => {
            report.grad_norm.push(f64::from(grad_norm));
            report.loss.push(loss);
            report.stats.merge(&stats);
        }
        Err(_) => report.skipped += 1,
    }
    Ok(update)
}

/// One update of the policy on a minibatch.
///
/// # Errors
/// Another rank failed.
pub(crate) fn update_policy(
    policy: &mut Network,
    (engine, division): (&mut Engine, &mut Division),
    minibatch: &Minibatch<'_>,
    columns: &StepColumns<'_>,
    (algorithm, temperature): (&AlgorithmConfig, f32),
    report: &mut PolicyReport,
) -> Result<Update> {
    let mut objective = Objective::new(minibatch, columns, algorithm).traced(report.trace.as_mut(), minibatch);
    let backward = &mut |model: &Model, gradients: &mut Buffer, responses| {
        policy_gradient(engine, (model, gradients), (minibatch, responses), temperature, &mut objective);
        objective.take_sums()
    };
    let (update, shards) = policy.update(division, &minibatch.lengths, backward)?;
    let sums = shards.into_iter().reduce(|mut sums, other| {
        sums.merge(&other);
        sums
    });
    report.add(sums.unwrap_or_default(), update);
    if let Some(trace) = &mut report.trace {
        trace.share(division, minibatch)?;
    }
    Ok(update)
}
