//! Advantages and value targets of a step's responses.

use vapo_algo::{Reward, gae, group_centered, group_standardized, length_adaptive_lambda, value_targets};

use crate::{
    batch::Batch,
    config::{AdvantageKind, AlgorithmConfig},
};

/// What the update is told about each token `[N]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Credit {
    /// How much better than expected, for the policy.
    pub advantages: Vec<f32>,
    /// The critic's part; none for methods without a critic.
    pub values: Option<ValueCredit>,
}

/// What the critic saw and what it shall learn.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueCredit {
    /// V(s_t) before the update `[N]`.
    pub old_values: Vec<f32>,
    /// Targets `[N]`, by the critic's lambda.
    pub targets: Vec<f32>,
    /// Monte-Carlo returns `[N]`, against which the explained variance is reported.
    pub returns: Vec<f32>,
    /// The policy's lambda of each response `[R]`.
    pub policy_lambdas: Vec<f64>,
}

impl Credit {
    /// Assigns credit by the critic's values `[N]`, or, without them, within groups.
    pub fn assign(batch: &Batch<'_>, values: Option<Vec<f32>>, algorithm: &AlgorithmConfig) -> Self {
        let mut credit = match values {
            Some(values) => by_critic(batch, values, algorithm),
            None => by_group(batch, algorithm),
        };
        let lengths = batch.lengths();
        let included = vec![true; lengths.len()];
        algorithm.advantage_normalization.apply(&mut credit.advantages, &lengths, &included);
        credit
    }
}

/// Decoupled GAE: the policy's lambda per response for advantages, the critic's for targets (VAPO sections 4.1 and 4.2).
fn by_critic(batch: &Batch<'_>, values: Vec<f32>, algorithm: &AlgorithmConfig) -> Credit {
    assert_eq!(values.len(), batch.num_tokens(), "one value per response token");
    let (mut advantages, mut targets, mut returns) = (Vec::new(), Vec::new(), Vec::new());
    let mut policy_lambdas = Vec::new();
    for (response, &reward) in batch.rewards().iter().enumerate() {
        let (values, reward) = (&values[batch.tokens_of(response)], Reward::Terminal(reward));
        let lambda = match algorithm.length_adaptive_alpha {
            Some(alpha) => length_adaptive_lambda(alpha, values.len()),
            None => algorithm.lambda_policy,
        };
        advantages.extend(gae(reward, values, algorithm.gamma, lambda));
        targets.extend(value_targets(reward, values, algorithm.gamma, algorithm.lambda_critic.unwrap_or(lambda)));
        returns.extend(value_targets(reward, values, algorithm.gamma, 1.0));
        policy_lambdas.push(lambda);
    }
    Credit { advantages, values: Some(ValueCredit { old_values: values, targets, returns, policy_lambdas }) }
}

fn by_group(batch: &Batch<'_>, algorithm: &AlgorithmConfig) -> Credit {
    debug_assert_eq!(algorithm.advantage, AdvantageKind::Group);
    let baseline = if algorithm.group_std { group_standardized } else { group_centered };
    let lengths = batch.lengths();
    let mut advantages = Vec::with_capacity(batch.num_tokens());
    for group in batch.groups() {
        for (advantage, &length) in baseline(&batch.rewards()[group.clone()]).into_iter().zip(&lengths[group]) {
            advantages.extend(std::iter::repeat_n(advantage, length));
        }
    }
    Credit { advantages, values: None }
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

    const RULES: RewardRules = RewardRules { right: 1.0, wrong: 0.0, max_failed_share: 0.0 };

    fn assert_close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        assert!(
            found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4),
            "found {found:?}, expected {expected:?}"
        );
    }

    /// V = (0.2, 0.5, 0.8), R = 1, lambda 1/6: the example worked in BPCO's tests.
    #[test]
    fn each_response_has_its_own_lambda_and_credit_stops_at_its_border() {
        let prompt = prompt(0);
        let responses =
            vec![graded(&prompt, &[1, 2, 3], Verdict::graded(true)), graded(&prompt, &[1], Verdict::graded(false))];
        let batch = Batch::new(responses, RULES).unwrap();
        let mut algorithm = AlgorithmConfig { length_adaptive_alpha: Some(0.4), ..AlgorithmConfig::default() };
        let credit = Credit::assign(&batch, Some(vec![0.2, 0.5, 0.8, 0.3]), &algorithm);
        assert_close(&credit.advantages, &[0.3556, 0.3333, 0.2, -0.3]);
        let values = credit.values.unwrap();
        assert_eq!(values.targets, [1.0, 1.0, 1.0, 0.0], "lambda_critic 1: the return");
        assert_close(&[values.policy_lambdas[0] as f32, values.policy_lambdas[1] as f32], &[1.0 / 6.0, 0.0]);

        algorithm.lambda_critic = None;
        let coupled = Credit::assign(&batch, Some(vec![0.2, 0.5, 0.8, 0.3]), &algorithm).values.unwrap();
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
        let credit = Credit::assign(&batch, None, &algorithm);
        assert_close(&credit.advantages, &[0.5, 0.5, -0.5, 0.0, 0.0]);
        assert_eq!(credit.values, None);
    }
}
