//! The updates of critic and policy: their losses as closures inside the model's backward pass.
//!
//! Every denominator counts the tokens of the whole update ([`Reduction::token_weights`]), so the gradient does not depend on
//! how the engine cuts an update into micro-batches.

use vapo_algo::{
    Clip, PolicyBatch, PolicyStats, RatioRange, Reduction, Summary, ValueBatch, ValueBound, ValueStats,
    clipped_policy_loss, entropy_bonus, kl_loss, positive_lm_loss, value_loss,
};
use vapo_lm::{Engine, Scored, TokenGrad};

use crate::{
    batch::Minibatch,
    config::{AlgorithmConfig, BoundKind, CriticConfig},
    credit::{Credit, ValueCredit},
    error::Result,
    network::{Network, Update},
};

/// What the critic's updates of a step saw.
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
    /// Updates left out, here too, because their gradient was not finite.
    pub skipped: u64,
}

/// What the policy's updates of a step saw.
#[derive(Clone, Debug, Default)]
pub struct PolicyReport {
    /// Clipped policy loss of each update, without the terms below.
    pub loss: Summary,
    /// Positive-example LM loss (unweighted) of each update that holds a right answer.
    pub positive_lm_loss: Summary,
    /// Divergence from the reference (unweighted), if it is in the loss.
    pub kl_loss: Summary,
    /// Entropy of each token's distribution.
    pub entropy: Summary,
    /// Gradient norm of each update, before clipping.
    pub grad_norm: Summary,
    /// Learning rate of the last update.
    pub learning_rate: f32,
    /// Ratios and clips over all updates.
    pub stats: PolicyStats,
    /// Largest |log ratio| in the first update, where the policy is still the one that sampled: 0.
    pub first_log_ratio_max: Option<f64>,
    /// Updates left out, here too, because their gradient was not finite.
    pub skipped: u64,
}

/// How a critic's raw outputs become values, by the settings and the range of rewards.
pub fn value_bound(critic: &CriticConfig, [lo, hi]: [f64; 2]) -> ValueBound {
    match critic.bound {
        BoundKind::None => ValueBound::Unbounded,
        BoundKind::Sigmoid => ValueBound::Sigmoid { lo, hi },
        BoundKind::Atan => ValueBound::Atan { lo, hi },
    }
}

/// One update of the critic on a minibatch.
pub(crate) fn update_critic(
    critic: &mut Network,
    engine: &mut Engine,
    minibatch: &Minibatch<'_>,
    credit: &ValueCredit,
    settings: (ValueBound, Option<f64>),
    report: &mut CriticReport,
) -> Result<Update> {
    let (bound, clip) = settings;
    let (old_values, targets) = (minibatch.gather(&credit.old_values), minibatch.gather(&credit.targets));
    let weights = Reduction::TokenMean.token_weights(&minibatch.lengths, &vec![true; minibatch.lengths.len()]);
    let batch = ValueBatch { targets: &targets, old_values: &old_values, weights: &weights };
    let (mut loss_sum, mut stats) = (0.0, ValueStats::default());
    let update = critic.update(engine, |engine, model, gradients| {
        engine.critic_backward(model, gradients, &minibatch.sequences, |tokens, raw| {
            let values: Vec<f32> = raw.iter().map(|&raw| bound.value(raw)).collect();
            let loss = value_loss(&values, batch.slice(tokens), clip);
            loss_sum += loss.loss;
            stats.merge(&loss.stats);
            loss.dvalue.iter().zip(raw).map(|(&dvalue, &raw)| dvalue * bound.derivative(raw)).collect()
        });
    })?;
    report.learning_rate = update.learning_rate;
    match update.grad_norm {
        Some(grad_norm) => {
            report.grad_norm.push(f64::from(grad_norm));
            report.loss.push(loss_sum);
            report.stats.merge(&stats);
        }
        None => report.skipped += 1,
    }
    Ok(update)
}

/// Per-token columns of a policy update.
struct PolicyColumns {
    old_logp: Vec<f32>,
    advantages: Vec<f32>,
    weights: Vec<f32>,
    positive_weights: Vec<f32>,
    reference_logp: Option<Vec<f32>>,
}

impl PolicyColumns {
    fn new(minibatch: &Minibatch<'_>, columns: &StepColumns<'_>, reduction: Reduction) -> Self {
        let included = vec![true; minibatch.lengths.len()];
        Self {
            old_logp: minibatch.gather(columns.old_logp),
            advantages: minibatch.gather(&columns.credit.advantages),
            weights: reduction.token_weights(&minibatch.lengths, &included),
            positive_weights: Reduction::TokenMean.token_weights(&minibatch.lengths, &minibatch.correct),
            reference_logp: columns.reference_logp.map(|logp| minibatch.gather(logp)),
        }
    }
}

/// Per-token columns of a step that the policy's updates read `[N]`.
pub(crate) struct StepColumns<'a> {
    pub(crate) old_logp: &'a [f32],
    pub(crate) credit: &'a Credit,
    /// Under the initial policy; only when the divergence from it is in the loss.
    pub(crate) reference_logp: Option<&'a [f32]>,
}

/// Sums over an update's micro-batches.
#[derive(Default)]
struct PolicySums {
    loss: f64,
    positive_lm_loss: f64,
    kl_loss: f64,
    stats: PolicyStats,
    entropy: Summary,
}

/// One update of the policy on a minibatch.
pub(crate) fn update_policy(
    policy: &mut Network,
    engine: &mut Engine,
    minibatch: &Minibatch<'_>,
    columns: &StepColumns<'_>,
    (algorithm, temperature): (&AlgorithmConfig, f32),
    report: &mut PolicyReport,
) -> Result<Update> {
    let columns = PolicyColumns::new(minibatch, columns, algorithm.loss_reduction);
    let mut sums = PolicySums::default();
    let update = policy.update(engine, |engine, model, gradients| {
        engine.policy_backward(model, gradients, &minibatch.sequences, temperature, |tokens, scored| {
            token_grad(scored, tokens, &columns, algorithm, &mut sums)
        });
    })?;
    report.add(sums, update, minibatch.correct.contains(&true), columns.reference_logp.is_some());
    Ok(update)
}

/// The loss of a micro-batch: clipped policy loss + mu * positive-example LM loss (+ KL, - entropy bonus), VAPO eq. 8 to 10.
fn token_grad(
    scored: &Scored,
    tokens: std::ops::Range<usize>,
    columns: &PolicyColumns,
    algorithm: &AlgorithmConfig,
    sums: &mut PolicySums,
) -> TokenGrad {
    let weights = &columns.weights[tokens.clone()];
    let batch = PolicyBatch { old_logp: &columns.old_logp, advantages: &columns.advantages, weights: &columns.weights };
    let clip = Clip::Ratio(RatioRange { low: algorithm.clip_low, high: algorithm.clip_high });
    let mut loss = clipped_policy_loss(&scored.logp, batch.slice(tokens.clone()), clip, algorithm.clip_dual);
    sums.loss += loss.loss;
    sums.stats.merge(&loss.stats);
    sums.entropy.merge(&Summary::of(&scored.entropy));

    let positive = positive_lm_loss(&scored.logp, &columns.positive_weights[tokens.clone()]);
    sums.positive_lm_loss += positive.loss;
    loss.add(algorithm.positive_lm_weight, &positive);
    if let Some(reference) = &columns.reference_logp {
        let kl = kl_loss(&scored.logp, &reference[tokens], weights, algorithm.kl_estimator);
        sums.kl_loss += kl.loss;
        loss.add(algorithm.kl_weight, &kl);
    }
    let bonus = (algorithm.entropy_weight > 0.0)
        .then(|| entropy_bonus(&scored.entropy, weights, algorithm.entropy_weight).dentropy);
    TokenGrad { dlogp: loss.dlogp, dentropy: bonus }
}

impl PolicyReport {
    fn add(&mut self, sums: PolicySums, update: Update, any_correct: bool, has_reference: bool) {
        self.learning_rate = update.learning_rate;
        let Some(grad_norm) = update.grad_norm else {
            self.skipped += 1;
            return;
        };
        self.grad_norm.push(f64::from(grad_norm));
        self.loss.push(sums.loss);
        if any_correct {
            self.positive_lm_loss.push(sums.positive_lm_loss);
        }
        if has_reference {
            self.kl_loss.push(sums.kl_loss);
        }
        if self.first_log_ratio_max.is_none() {
            self.first_log_ratio_max = sums.stats.max_abs_log_ratio();
        }
        self.stats.merge(&sums.stats);
        self.entropy.merge(&sums.entropy);
    }
}
