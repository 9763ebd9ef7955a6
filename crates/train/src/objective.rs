//! The policy's objective on an update: one of the policy losses and what is added to it, as a closure of token log-probs.

use std::ops::Range;

use vapo_algo::{
    Clip, PolicyBatch, PolicyLoss, PolicyStats, RatioRange, Reduction, Summary, cispo_loss, clipped_policy_loss,
    dis_loss, entropy_bonus, gspo_loss, kl_loss, positive_lm_loss,
};
use vapo_lm::{Scored, TokenGrad};

use crate::{
    batch::Minibatch,
    config::{AlgorithmConfig, KlPlace, PolicyLossKind},
    credit::Credit,
};

/// Per-token columns of a step that the policy's updates read `[N]`.
pub(crate) struct StepColumns<'a> {
    pub(crate) old_logp: &'a [f32],
    pub(crate) credit: &'a Credit,
    /// Under the initial policy; only when the divergence from it is measured.
    pub(crate) reference_logp: Option<&'a [f32]>,
}

/// The objective of one update: its columns, with weights that count the whole update, and the sums over its micro-batches.
pub(crate) struct Objective<'a> {
    algorithm: &'a AlgorithmConfig,
    lengths: &'a [usize],
    old_logp: Vec<f32>,
    advantages: Vec<f32>,
    weights: Vec<f32>,
    positive_weights: Vec<f32>,
    /// Only when the divergence is in the loss.
    reference_logp: Option<Vec<f32>>,
    pub(crate) sums: PolicySums,
}

/// Sums over an update's micro-batches. The terms that do not exist are none.
#[derive(Default)]
pub(crate) struct PolicySums {
    pub(crate) loss: f64,
    pub(crate) positive_lm_loss: Option<f64>,
    pub(crate) kl_loss: Option<f64>,
    pub(crate) stats: PolicyStats,
    pub(crate) entropy: Summary,
}

impl<'a> Objective<'a> {
    pub(crate) fn new(minibatch: &'a Minibatch<'_>, columns: &StepColumns<'_>, algorithm: &'a AlgorithmConfig) -> Self {
        let included = minibatch.included(algorithm.overlong_filtering);
        let positive: Vec<bool> =
            minibatch.correct.iter().zip(&included).map(|(&right, &included)| right && included).collect();
        let in_loss = columns.reference_logp.filter(|_| algorithm.kl_in == KlPlace::Loss);
        Self {
            algorithm,
            lengths: &minibatch.lengths,
            old_logp: minibatch.gather(columns.old_logp),
            advantages: minibatch.gather(&columns.credit.advantages),
            weights: algorithm.loss_reduction.token_weights(&minibatch.lengths, &included),
            positive_weights: Reduction::TokenMean.token_weights(&minibatch.lengths, &positive),
            reference_logp: in_loss.map(|logp| minibatch.gather(logp)),
            sums: PolicySums {
                positive_lm_loss: positive.contains(&true).then_some(0.0),
                kl_loss: in_loss.map(|_| 0.0),
                ..PolicySums::default()
            },
        }
    }

    /// Adds a micro-batch's loss and gives its gradient: policy loss + mu * positive-example LM loss (+ KL, - entropy
    /// bonus), VAPO eq. 8 to 10. `tokens` are its place among the update's `[n]`.
    pub(crate) fn token_grad(&mut self, scored: &Scored, tokens: Range<usize>) -> TokenGrad {
        let algorithm = self.algorithm;
        let weights = &self.weights[tokens.clone()];
        let mut loss = self.policy_loss(&scored.logp, tokens.clone());
        self.sums.loss += loss.loss;
        self.sums.stats.merge(&loss.stats);
        self.sums.entropy.merge(&Summary::of(&scored.entropy));

        if let Some(sum) = &mut self.sums.positive_lm_loss {
            let positive = positive_lm_loss(&scored.logp, &self.positive_weights[tokens.clone()]);
            *sum += positive.loss;
            loss.add(algorithm.positive_lm_weight, &positive);
        }
        if let (Some(sum), Some(reference)) = (&mut self.sums.kl_loss, &self.reference_logp) {
            let kl = kl_loss(&scored.logp, &reference[tokens], weights, algorithm.kl_estimator);
            *sum += kl.loss;
            loss.add(algorithm.kl_weight, &kl);
        }
        let bonus = (algorithm.entropy_weight > 0.0)
            .then(|| entropy_bonus(&scored.entropy, weights, algorithm.entropy_weight).dentropy);
        TokenGrad { dlogp: loss.dlogp, dentropy: bonus }
    }

    fn policy_loss(&self, logp: &[f32], tokens: Range<usize>) -> PolicyLoss {
        let algorithm = self.algorithm;
        let unbounded = f64::INFINITY;
        let range =
            RatioRange { low: algorithm.clip_low.unwrap_or(unbounded), high: algorithm.clip_high.unwrap_or(unbounded) };
        let batch = PolicyBatch { old_logp: &self.old_logp, advantages: &self.advantages, weights: &self.weights };
        let batch = batch.slice(tokens.clone());
        match algorithm.policy_loss {
            PolicyLossKind::Clip => clipped_policy_loss(logp, batch, Clip::Ratio(range), algorithm.clip_dual),
            PolicyLossKind::ProbabilityShift => {
                clipped_policy_loss(logp, batch, Clip::ProbabilityShift(range.high), algorithm.clip_dual)
            }
            PolicyLossKind::Gspo => gspo_loss(logp, batch, self.lengths_within(tokens), range),
            PolicyLossKind::Cispo => cispo_loss(logp, batch, range),
            PolicyLossKind::Dis => dis_loss(logp, batch, range),
        }
    }

    /// Lengths of the responses that a micro-batch holds: whole ones, in order.
    fn lengths_within(&self, tokens: Range<usize>) -> &[usize] {
        let responses_before = |end: usize| {
            let ends = self.lengths.iter().scan(0, |sum, length| {
                *sum += length;
                Some(*sum)
            });
            ends.take_while(|&sum| sum <= end).count()
        };
        &self.lengths[responses_before(tokens.start)..responses_before(tokens.end)]
    }
}
