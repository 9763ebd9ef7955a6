//! The policy's objective in an update: one of the policy losses and its optional terms, as a closure over token log-probs.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use vapo_algo::{
    Clip, PolicyBatch, PolicyLoss, PolicyStats, RatioRange, Reduction, Summary, cispo_loss, clipped_policy_loss,
    dis_loss, entropy_bonus, gspo_loss, kl_loss, positive_lm_loss, truncated_importance_weights,
};
use vapo_lm::{Scored, TokenGrad};

use crate::{
    batch::Minibatch,
    config::{AlgorithmConfig, KlPlace, PolicyLossKind},
    credit::Credit,
    trace::TokenTrace,
};

/// Per-token columns of a step used in the policy's updates `[N]`.
pub(crate) struct StepColumns<'a> {
    pub(crate) old_logp: &'a [f32],
    pub(crate) sampler_logp: &'a [f32],
    pub(crate) credit: &'a Credit,
    /// Under the initial policy; only if the divergence from it is measured.
    pub(crate) reference_logp: Option<&'a [f32]>,
}

/// The objective of one update: its columns, with weights over the whole update, and the sums over its micro-batches.
pub(crate) struct Objective<'a> {
    algorithm: &'a AlgorithmConfig,
    lengths: &'a [usize],
    old_logp: Vec<f32>,
    advantages: Vec<f32>,
    weights: Vec<f32>,
    /// `weights` times the truncated importance weights.
    policy_weights: Vec<f32>,
    positive_weights: Vec<f32>,
    /// Only if the divergence is in the loss.
    reference_logp: Option<Vec<f32>>,
    /// Where it is noted what happens to each token, and the tokens' places there `[n]`.
    trace: Option<(&'a mut TokenTrace, &'a [usize])>,
    pub(crate) sums: PolicySums,
}

/// Sums over the micro-batches of an update, or of a shard of it. Terms that do not exist are `None`.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct PolicySums {
    pub(crate) loss: f64,
    pub(crate) positive_lm_loss: Option<f64>,
    pub(crate) kl_loss: Option<f64>,
    pub(crate) stats: PolicyStats,
    pub(crate) entropy: Summary,
}

impl PolicySums {
    /// Adds the sums of the next shard.
    pub(crate) fn merge(&mut self, other: &PolicySums) {
        let add = |sum: &mut Option<f64>, other: Option<f64>| {
            sum.iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
        };
        self.loss += other.loss;
        add(&mut self.positive_lm_loss, other.positive_lm_loss);
        add(&mut self.kl_loss, other.kl_loss);
        self.stats.merge(&other.stats);
        self.entropy.merge(&other.entropy);
    }
}

impl<'a> Objective<'a> {
    pub(crate) fn new(minibatch: &'a Minibatch<'_>, columns: &StepColumns<'_>, algorithm: &'a AlgorithmConfig) -> Self {
        let included = minibatch.included(algorithm.overlong_filtering);
        let positive: Vec<bool> =
            minibatch.correct.iter().zip(&included).map(|(&right, &included)| right && included).collect();
        let in_loss = columns.reference_logp.filter(|_| algorithm.kl_in == KlPlace::Loss);
        let old_logp = minibatch.gather(columns.old_logp);
        let weights = algorithm.loss_reduction.token_weights(&minibatch.lengths, &included);
        let policy_weights = match algorithm.importance_cap {
            Some(cap) => {
                let importance = truncated_importance_weights(&old_logp, &minibatch.gather(columns.sampler_logp), cap);
                weights.iter().zip(importance).map(|(weight, importance)| weight * importance).collect()
            }
            None => weights.clone(),
        };
        Self {
            algorithm,
            lengths: &minibatch.lengths,
            old_logp,
            advantages: minibatch.gather(&columns.credit.advantages),
            weights,
            policy_weights,
            positive_weights: Reduction::TokenMean.token_weights(&minibatch.lengths, &positive),
            reference_logp: in_loss.map(|logp| minibatch.gather(logp)),
            trace: None,
            sums: PolicySums {
                positive_lm_loss: positive.contains(&true).then_some(0.0),
                kl_loss: in_loss.map(|_| 0.0),
                ..PolicySums::default()
            },
        }
    }

    /// The same, which also notes what happens to each token of its minibatch.
    pub(crate) fn traced(self, trace: Option<&'a mut TokenTrace>, minibatch: &'a Minibatch<'_>) -> Self {
        Self { trace: trace.map(|trace| (trace, minibatch.tokens())), ..self }
    }

    /// The sums so far; the next ones begin at zero.
    pub(crate) fn take_sums(&mut self) -> PolicySums {
        let zeros = PolicySums {
            positive_lm_loss: self.sums.positive_lm_loss.map(|_| 0.0),
            kl_loss: self.sums.kl_loss.map(|_| 0.0),
            ..PolicySums::default()
        };
        std::mem::replace(&mut self.sums, zeros)
    }

    /// Adds a micro-batch's loss and returns its gradient: policy loss + mu * positive-example LM loss (+ KL, - entropy
    /// bonus), VAPO eq. 8 to 10. `tokens` is its range among the update's `[n]`.
    pub(crate) fn token_grad(&mut self, scored: &Scored, tokens: Range<usize>) -> TokenGrad {
        let algorithm = self.algorithm;
        let weights = &self.weights[tokens.clone()];
        let mut loss = self.policy_loss(&scored.logp, tokens.clone());
        self.sums.loss += loss.loss;
        self.sums.stats.merge(&loss.stats);
        self.sums.entropy.merge(&Summary::of(&scored.entropy));
        if let Some((trace, places)) = &mut self.trace {
            trace.note(&places[tokens.clone()], &scored.entropy, &loss);
        }

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
        let batch =
            PolicyBatch { old_logp: &self.old_logp, advantages: &self.advantages, weights: &self.policy_weights };
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

    /// Lengths of the responses in a micro-batch, which are complete and in order.
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

#[cfg(test)]
mod tests {
    use vapo_lm::StopReason;
    use vapo_tasks::Verdict;

    use super::*;
    use crate::{
        batch::{
            Batch, RewardRules,
            tests::{graded, prompt},
        },
        rollout::Prompt,
    };

    const ADVANTAGES: [f32; 6] = [0.5, 0.5, -1.0, -1.0, -1.0, 2.0];
    const REFERENCE: [f32; 6] = [-1.25, -1.75, -1.0, -2.5, -3.0, -1.0];
    /// A single micro-batch of all tokens.
    const WHOLE: &[Range<usize>] = std::slice::from_ref(&(0..6));
    /// Ratios on both sides of every bound.
    const MOVED: [f32; 6] = [0.4, 0.05, -0.3, 0.1, -0.02, 0.15];

    /// A right answer, a wrong one that was cut off, a right one.
    fn batch(prompt: &Prompt) -> Batch<'_> {
        let mut cut = graded(prompt, &[1, 2, 3], Verdict::graded(false));
        cut.rollout.completion.stop = StopReason::Length;
        let right = |tokens: &[u32]| graded(prompt, tokens, Verdict::graded(true));
        let rules = RewardRules { right: 1.0, wrong: 0.0, max_failed_share: 0.0, overlong: None };
        Batch::new(vec![right(&[1, 2]), cut, right(&[1])], rules).unwrap()
    }

    /// The objective's value and gradient with all terms, over micro-batches.
    fn objective(algorithm: &AlgorithmConfig, moved: &[f32], micro_batches: &[Range<usize>]) -> (f64, Vec<f32>) {
        let prompt = prompt(0);
        let batch = batch(&prompt);
        let credit = Credit { advantages: ADVANTAGES.to_vec(), values: None, reward_kl: None };
        let sampler_logp: Vec<f32> = batch.old_logp().iter().map(|logp| logp + 0.25).collect();
        let columns = StepColumns {
            old_logp: batch.old_logp(),
            sampler_logp: &sampler_logp,
            credit: &credit,
            reference_logp: Some(&REFERENCE),
        };
        let minibatch = batch.select(&[0, 1, 2]);
        let mut objective = Objective::new(&minibatch, &columns, algorithm);
        let logp: Vec<f32> = batch.old_logp().iter().zip(moved).map(|(old, moved)| old + moved).collect();
        let mut gradient = Vec::new();
        for tokens in micro_batches {
            let scored = Scored { logp: logp[tokens.clone()].to_vec(), entropy: vec![1.0; tokens.len()] };
            gradient.extend(objective.token_grad(&scored, tokens.clone()).dlogp);
        }
        let PolicySums { loss, positive_lm_loss, kl_loss, .. } = objective.sums;
        let positive = algorithm.positive_lm_weight * positive_lm_loss.unwrap_or(0.0);
        (loss + positive + algorithm.kl_weight * kl_loss.unwrap_or(0.0), gradient)
    }

    /// Ratios e^0.4, e^0.05, e^-0.3, e^0.1, e^-0.02, e^0.15 with advantages 0.5, 0.5, -1, -1, -1, 2 and bounds 0.8 and 1.28; the
    /// second response was cut off and is filtered out.
    #[test]
    fn the_trace_has_the_last_update_of_each_token_at_its_place() {
        use vapo_algo::ClipState::{High, Low, Unclipped, Unused};
        let prompt = prompt(0);
        let batch = batch(&prompt);
        let credit = Credit { advantages: ADVANTAGES.to_vec(), values: None, reward_kl: None };
        let (old_logp, sampler_logp) = (batch.old_logp(), batch.sampler_logp());
        let columns = StepColumns { old_logp, sampler_logp, credit: &credit, reference_logp: None };
        let mut trace = TokenTrace::new(6);
        let update = |trace: &mut TokenTrace, responses: &[usize], filtering, entropy: f32| {
            let algorithm = AlgorithmConfig { overlong_filtering: filtering, ..AlgorithmConfig::default() };
            let minibatch = batch.select(responses);
            let logp: Vec<f32> = batch.old_logp().iter().zip(MOVED).map(|(old, moved)| old + moved).collect();
            let logp = minibatch.gather(&logp);
            let mut objective = Objective::new(&minibatch, &columns, &algorithm).traced(Some(trace), &minibatch);
            for tokens in [0..minibatch.lengths[0], minibatch.lengths[0]..logp.len()] {
                let scored = Scored { logp: logp[tokens.clone()].to_vec(), entropy: vec![entropy; tokens.len()] };
                objective.token_grad(&scored, tokens);
            }
        };
        update(&mut trace, &[0, 1, 2], false, 1.0);
        update(&mut trace, &[1, 2], true, 2.0);
        assert_eq!(trace.clip, [High, Unclipped, Unused, Unused, Unused, Unclipped]);
        assert_eq!(trace.entropy, [1.0, 1.0, 2.0, 2.0, 2.0, 2.0]);
        let expected = [0.4f32.exp(), 0.05f32.exp(), 0.0, 0.0, 0.0, 0.15f32.exp()];
        assert!(trace.ratio.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{:?}", trace.ratio);
        update(&mut trace, &[0, 1], false, 3.0);
        assert_eq!(trace.clip, [High, Unclipped, Low, Unclipped, Unclipped, Unclipped]);
        assert_eq!(trace.entropy, [3.0, 3.0, 3.0, 3.0, 3.0, 2.0]);
    }

    fn all_terms(policy_loss: PolicyLossKind) -> AlgorithmConfig {
        AlgorithmConfig { policy_loss, kl_weight: 0.2, importance_cap: Some(2.0), ..AlgorithmConfig::default() }
    }

    #[test]
    fn gradients_are_those_of_the_value_and_do_not_depend_on_micro_batches() {
        use PolicyLossKind::{Clip, Gspo, ProbabilityShift};
        for kind in [Clip, ProbabilityShift, Gspo] {
            let algorithm = all_terms(kind);
            let (value, gradient) = objective(&algorithm, &MOVED, WHOLE);
            for (token, slope) in gradient.iter().enumerate() {
                let shifted = |by: f32| {
                    let mut moved = MOVED;
                    moved[token] += by;
                    objective(&algorithm, &moved, WHOLE).0
                };
                let quotient = (shifted(1e-3) - shifted(-1e-3)) / 2e-3;
                assert!((quotient - f64::from(*slope)).abs() < 2e-4, "{kind:?}, token {token}: {slope} {quotient}");
            }
            let (split_value, split_gradient) = objective(&algorithm, &MOVED, &[0..2, 2..5, 5..6]);
            assert!((split_value - value).abs() < 1e-12);
            assert_eq!(split_gradient, gradient, "{kind:?}");
        }
    }

    /// Ratio 1 and no other term: the gradient is -weight x advantage x min(policy / sampler, cap).
    #[test]
    fn importance_weights_scale_only_the_policy_loss() {
        let plain = AlgorithmConfig {
            positive_lm_weight: 0.0,
            kl_weight: 0.0,
            importance_cap: None,
            ..all_terms(PolicyLossKind::Clip)
        };
        let gradient = |cap| objective(&AlgorithmConfig { importance_cap: cap, ..plain.clone() }, &[0.0; 6], WHOLE).1;
        let unweighted: Vec<f32> = ADVANTAGES.iter().map(|advantage| -advantage / 6.0).collect();
        let close = |found: Vec<f32>, factor: f32| {
            assert!(found.iter().zip(&unweighted).all(|(a, b)| (a - factor * b).abs() < 1e-6), "{found:?}");
        };
        close(gradient(None), 1.0);
        close(gradient(Some(2.0)), (-0.25f32).exp());
        close(gradient(Some(0.5)), 0.5);
    }

    #[test]
    fn overlong_filtering_takes_cut_off_responses_out_of_the_denominator_too() {
        let algorithm =
            AlgorithmConfig { overlong_filtering: true, positive_lm_weight: 0.0, ..AlgorithmConfig::default() };
        let (_, gradient) = objective(&algorithm, &[0.0; 6], WHOLE);
        let weight = 1.0 / 3.0;
        let expected = [-0.5 * weight, -0.5 * weight, 0.0, 0.0, 0.0, -2.0 * weight];
        assert!(gradient.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{gradient:?}");
    }
}
