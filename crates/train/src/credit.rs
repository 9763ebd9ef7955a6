//! Advantages and value targets of a step's responses.

use vapo_algo::{
    Reward, Summary, gae, group_centered, group_standardized, kl_penalized_rewards, leave_one_out,
    length_adaptive_lambda, value_targets,
};

use crate::{
    batch::Batch,
    config::{AdvantageKind, AlgorithmConfig, KlPlace},
};

/// Credit for each token `[N]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Credit {
    /// Advantages, for the policy.
    pub advantages: Vec<f32>,
    /// The critic's part; `None` for methods without a critic.
    pub values: Option<ValueCredit>,
    /// KL divergence from the initial policy per token, if it is subtracted from the reward.
    pub reward_kl: Option<Summary>,
}

/// The critic's values and targets.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueCredit {
    /// V(s_t) before the update `[N]`.
    pub old_values: Vec<f32>,
    /// Targets `[N]`, with the critic's lambda.
    pub targets: Vec<f32>,
    /// Monte-Carlo returns `[N]`, against which the explained variance is reported.
    pub returns: Vec<f32>,
    /// The policy's lambda of each response `[R]`.
    pub policy_lambdas: Vec<f64>,
}

impl Credit {
    /// Assigns credit with the critic's values `[N]` or, without them, from the rewards only. `reference_logp` `[N]` are the
    /// initial policy's, if the divergence from it is measured.
    pub fn assign(
        batch: &Batch<'_>,
        values: Option<Vec<f32>>,
        reference_logp: Option<&[f32]>,
        algorithm: &AlgorithmConfig,
    ) -> Self {
        let penalty = match reference_logp {
            Some(reference) if algorithm.kl_in == KlPlace::Reward => Some(KlPenalty::new(batch, reference, algorithm)),
            _ => None,
        };
        let rewards = Rewards { batch, penalized: penalty.as_ref().map(|penalty| penalty.rewards.as_slice()) };
        let (mut advantages, values) = match values {
            Some(values) => {
                let (advantages, values) = by_critic(rewards, values, algorithm);
                (advantages, Some(values))
            }
            None if algorithm.advantage == AdvantageKind::Return => (returns_to_go(rewards, algorithm.gamma), None),
            None => (by_group(rewards, algorithm), None),
        };
        let included = batch.included(algorithm.overlong_filtering);
        algorithm.advantage_normalization.apply(&mut advantages, &batch.lengths(), &included);
        Credit { advantages, values, reward_kl: penalty.map(|penalty| penalty.kl) }
    }
}

/// Rewards of a batch with a divergence subtracted at every token.
struct KlPenalty {
    /// `[N]`
    rewards: Vec<f32>,
    kl: Summary,
}

impl KlPenalty {
    fn new(batch: &Batch<'_>, reference_logp: &[f32], algorithm: &AlgorithmConfig) -> Self {
        let (logp, estimator) = (batch.old_logp(), algorithm.kl_estimator);
        let (mut rewards, mut kl) = (Vec::with_capacity(logp.len()), Summary::default());
        for (response, &reward) in batch.rewards().iter().enumerate() {
            let tokens = batch.tokens_of(response);
            let (logp, reference) = (&logp[tokens.clone()], &reference_logp[tokens]);
            rewards.extend(kl_penalized_rewards(reward, logp, reference, algorithm.kl_weight, estimator));
            logp.iter().zip(reference).for_each(|(&logp, &reference)| kl.push(estimator.value(logp, reference)));
        }
        Self { rewards, kl }
    }
}

/// The rewards of each response.
#[derive(Clone, Copy)]
struct Rewards<'a> {
    batch: &'a Batch<'a>,
    /// Per token `[N]`, if there is a penalty per token.
    penalized: Option<&'a [f32]>,
}

impl<'a> Rewards<'a> {
    fn of(self, response: usize) -> Reward<'a> {
        match self.penalized {
            Some(rewards) => Reward::PerToken(&rewards[self.batch.tokens_of(response)]),
            None => Reward::Terminal(self.batch.rewards()[response]),
        }
    }

    /// The reward of each answer as one action `[R]`.
    fn totals(self) -> Vec<f32> {
        let Some(rewards) = self.penalized else { return self.batch.rewards().to_vec() };
        let total = |response| {
            let tokens = rewards[self.batch.tokens_of(response)].iter();
            tokens.map(|&reward| f64::from(reward)).sum::<f64>() as f32
        };
        (0..self.batch.responses().len()).map(total).collect()
    }
}

/// Decoupled GAE: the policy's lambda per response for advantages, the critic's for targets (VAPO sections 4.1 and 4.2).
fn by_critic(rewards: Rewards<'_>, values: Vec<f32>, algorithm: &AlgorithmConfig) -> (Vec<f32>, ValueCredit) {
    let batch = rewards.batch;
    assert_eq!(values.len(), batch.num_tokens(), "one value per response token");
    let (mut advantages, mut targets, mut returns) = (Vec::new(), Vec::new(), Vec::new());
    let mut policy_lambdas = Vec::new();
    for response in 0..batch.responses().len() {
        let (values, reward) = (&values[batch.tokens_of(response)], rewards.of(response));
        let lambda = match algorithm.length_adaptive_alpha {
            Some(alpha) => length_adaptive_lambda(alpha, values.len()),
            None => algorithm.lambda_policy,
        };
        advantages.extend(gae(reward, values, algorithm.gamma, lambda));
        targets.extend(value_targets(reward, values, algorithm.gamma, algorithm.lambda_critic.unwrap_or(lambda)));
        returns.extend(value_targets(reward, values, algorithm.gamma, 1.0));
        policy_lambdas.push(lambda);
    }
    (advantages, ValueCredit { old_values: values, targets, returns, policy_lambdas })
}

/// The sum of rewards from each token on: GAE with values of 0 and lambda 1 (REINFORCE++).
fn returns_to_go(rewards: Rewards<'_>, gamma: f64) -> Vec<f32> {
    let lengths = rewards.batch.lengths().into_iter().enumerate();
    lengths.flat_map(|(response, length)| gae(rewards.of(response), &vec![0.0; length], gamma, 1.0)).collect()
}

/// Every token of an answer gets the answer's reward minus its group's baseline.
fn by_group(rewards: Rewards<'_>, algorithm: &AlgorithmConfig) -> Vec<f32> {
    let baseline = match algorithm.advantage {
        AdvantageKind::LeaveOneOut => leave_one_out,
        _ if algorithm.group_std => group_standardized,
        _ => group_centered,
    };
    let (totals, lengths) = (rewards.totals(), rewards.batch.lengths());
    let mut advantages = Vec::with_capacity(rewards.batch.num_tokens());
    for group in rewards.batch.groups() {
        for (advantage, &length) in baseline(&totals[group.clone()]).into_iter().zip(&lengths[group]) {
            advantages.extend(std::iter::repeat_n(advantage, length));
        }
    }
    advantages
}

#[cfg(test)]
mod tests {
    use vapo_algo::Normalization;
    use vapo_tasks::Verdict;

    use super::*;
    use crate::batch::{
        RewardRules,
        tests::{graded, prompt},
    };

    const RULES: RewardRules = RewardRules { right: 1.0, wrong: 0.0, max_failed_share: 0.0, overlong: None };

    fn assert_close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        assert!(
            found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4),
            "found {found:?}, expected {expected:?}"
        );
    }

    /// V = (0.2, 0.5, 0.8), R = 1, lambda 1/6: the example worked out in BPCO's tests.
    #[test]
    fn each_response_has_its_own_lambda_and_credit_stops_at_its_border() {
        let prompt = prompt(0);
        let responses =
            vec![graded(&prompt, &[1, 2, 3], Verdict::graded(true)), graded(&prompt, &[1], Verdict::graded(false))];
        let batch = Batch::new(responses, RULES).unwrap();
        let mut algorithm = AlgorithmConfig { length_adaptive_alpha: Some(0.4), ..AlgorithmConfig::default() };
        let credit = Credit::assign(&batch, Some(vec![0.2, 0.5, 0.8, 0.3]), None, &algorithm);
        assert_close(&credit.advantages, &[0.3556, 0.3333, 0.2, -0.3]);
        let values = credit.values.unwrap();
        assert_eq!(values.targets, [1.0, 1.0, 1.0, 0.0], "lambda_critic 1: the return");
        assert_close(&[values.policy_lambdas[0] as f32, values.policy_lambdas[1] as f32], &[1.0 / 6.0, 0.0]);

        algorithm.lambda_critic = None;
        let coupled = Credit::assign(&batch, Some(vec![0.2, 0.5, 0.8, 0.3]), None, &algorithm).values.unwrap();
        assert_close(&coupled.targets, &[0.5556, 0.8333, 1.0, 0.0]);
        assert_eq!(coupled.returns, [1.0, 1.0, 1.0, 0.0], "explained variance stays Monte-Carlo");
    }

    #[test]
    fn groups_are_compared_within_themselves() {
        let (first, second) = (prompt(0), prompt(1));
        let responses = vec![
            graded(&first, &[1, 2], Verdict::graded(true)),
            graded(&first, &[1], Verdict::graded(false)),
            graded(&second, &[1], Verdict::graded(true)),
            graded(&second, &[1], Verdict::graded(true)),
        ];
        let batch = Batch::new(responses, RULES).unwrap();
        let algorithm = AlgorithmConfig {
            advantage: AdvantageKind::Group,
            group_std: false,
            advantage_normalization: Normalization::None,
            ..AlgorithmConfig::default()
        };
        let credit = Credit::assign(&batch, None, None, &algorithm);
        assert_close(&credit.advantages, &[0.5, 0.5, -0.5, 0.0, 0.0]);
        assert_eq!(credit.values, None);
    }
    /// Two answers to one prompt, of two tokens and one, right and wrong; old log-probs -1, -2 and -1.
    fn pair<'a>(prompt: &'a crate::rollout::Prompt) -> Batch<'a> {
        let right = graded(prompt, &[1, 2], Verdict::graded(true));
        Batch::new(vec![right, graded(prompt, &[1], Verdict::graded(false))], RULES).unwrap()
    }

    /// Divergences k1 of 0.5, -1 and 0.25; in the reward with weight 0.1: -0.05, 1 + 0.1 and -0.025.
    const REFERENCE: [f32; 3] = [-1.5, -1.0, -1.25];

    fn penalized(advantage: AdvantageKind) -> AlgorithmConfig {
        AlgorithmConfig {
            advantage,
            group_std: false,
            kl_weight: 0.1,
            kl_in: KlPlace::Reward,
            kl_estimator: vapo_algo::KlEstimator::K1,
            ..AlgorithmConfig::default()
        }
    }

    #[test]
    fn a_divergence_in_the_reward_reaches_every_kind_of_credit() {
        let prompt = prompt(0);
        let batch = pair(&prompt);
        let assign = |algorithm: &AlgorithmConfig, values| Credit::assign(&batch, values, Some(&REFERENCE), algorithm);

        let to_go = assign(&penalized(AdvantageKind::Return), None);
        assert_close(&to_go.advantages, &[1.05, 1.1, -0.025]);
        assert!((to_go.reward_kl.unwrap().mean().unwrap() - -0.25 / 3.0).abs() < 1e-6);
        // Totals 1.05 and -0.025: each against the other, and each against their mean.
        assert_close(&assign(&penalized(AdvantageKind::LeaveOneOut), None).advantages, &[1.075, 1.075, -1.075]);
        assert_close(&assign(&penalized(AdvantageKind::Group), None).advantages, &[0.5375, 0.5375, -0.5375]);

        let critic =
            AlgorithmConfig { length_adaptive_alpha: None, lambda_policy: 1.0, ..penalized(AdvantageKind::Gae) };
        let by_critic = assign(&critic, Some(vec![0.5, 0.5, 0.25]));
        assert_close(&by_critic.advantages, &[0.55, 0.6, -0.275]);
        assert_close(&by_critic.values.unwrap().targets, &[1.05, 1.1, -0.025]);

        let in_loss = AlgorithmConfig { kl_in: KlPlace::Loss, ..penalized(AdvantageKind::Return) };
        let untouched = assign(&in_loss, None);
        assert_close(&untouched.advantages, &[1.0, 1.0, 0.0]);
        assert_eq!(untouched.reward_kl, None);
    }

    /// A filtered response has no advantage and is not part of the statistics: the deviation of the others is that of (1, 1, 0).
    #[test]
    fn overlong_filtering_leaves_the_cut_off_out_of_normalization() {
        let prompt = prompt(0);
        let mut cut = graded(&prompt, &[1, 1], Verdict::graded(false));
        cut.rollout.completion.stop = vapo_lm::StopReason::Length;
        let responses =
            vec![graded(&prompt, &[1, 2], Verdict::graded(true)), cut, graded(&prompt, &[1], Verdict::graded(false))];
        let batch = Batch::new(responses, RULES).unwrap();
        let algorithm = AlgorithmConfig {
            advantage: AdvantageKind::Return,
            advantage_normalization: Normalization::Std,
            overlong_filtering: true,
            ..AlgorithmConfig::default()
        };
        let std = (1.0f32 / 3.0).sqrt();
        assert_close(
            &Credit::assign(&batch, None, None, &algorithm).advantages,
            &[1.0 / std, 1.0 / std, 0.0, 0.0, 0.0],
        );
    }
}
