//! Ranges and relations of the method's settings; contradictions are refused with the names of both.

use serde::Serialize;

use super::{
    AdvantageKind, BoundKind, Config, KlPlace, PolicyLossKind,
    check::{Failures, MAX_RESPONSES},
};
use vapo_algo::KlEstimator;

/// Maximum number of passes over the responses of a step.
const MAX_PASSES: usize = 1_000_000;
/// Largest size of the reward of a right or wrong answer.
const MAX_REWARD: f64 = 1e6;

impl Config {
    pub(super) fn check_algorithm(&self, failures: &mut Failures) {
        let algorithm = &self.algorithm;
        failures.within("algorithm.gamma", algorithm.gamma, 0.0, 1.0);
        failures.within("algorithm.lambda_policy", algorithm.lambda_policy, 0.0, 1.0);
        failures.within("algorithm.lambda_critic", algorithm.lambda_critic.unwrap_or(1.0), 0.0, 1.0);
        failures.positive_or_off("algorithm.length_adaptive_alpha", algorithm.length_adaptive_alpha);
        failures.not_negative("algorithm.positive_lm_weight", algorithm.positive_lm_weight);
        failures.not_negative("algorithm.entropy_weight", algorithm.entropy_weight);
        failures.within("algorithm.reward_right", algorithm.reward_right, -MAX_REWARD, MAX_REWARD);
        failures.within("algorithm.reward_wrong", algorithm.reward_wrong, -MAX_REWARD, MAX_REWARD);
        failures.unless(algorithm.reward_right > algorithm.reward_wrong, || {
            format!(
                "algorithm.reward_right ({}) must be greater than algorithm.reward_wrong ({})",
                algorithm.reward_right, algorithm.reward_wrong
            )
        });
        self.check_advantage(failures);
        self.check_policy_loss(failures);
        self.check_divergence(failures);
        self.check_overlong(failures);
        self.check_updates(failures);
    }

    /// Group baselines need groups of at least two; methods without a critic have none to pretrain.
    fn check_advantage(&self, failures: &mut Failures) {
        let (algorithm, group_size) = (&self.algorithm, self.rollout.group_size);
        let advantage = word(algorithm.advantage);
        let compares = matches!(algorithm.advantage, AdvantageKind::Group | AdvantageKind::LeaveOneOut);
        failures.unless(!compares || group_size >= 2, || {
            format!("rollout.group_size ({group_size}) must be at least 2 when algorithm.advantage is `{advantage}`")
        });
        failures.unless(self.has_critic() || self.value_pretraining.steps == 0, || {
            format!(
                "value_pretraining.steps ({}) must be 0 when algorithm.advantage is `{advantage}`, which has no critic",
                self.value_pretraining.steps
            )
        });
        let Some(rounds) = algorithm.dynamic_sampling_rounds else { return };
        failures.count("algorithm.dynamic_sampling_rounds", rounds, MAX_RESPONSES);
        failures.unless(group_size >= 2, || {
            format!(
                "rollout.group_size ({group_size}) must be at least 2 when algorithm.dynamic_sampling_rounds ({rounds}) is set, which compares the answers of a group"
            )
        });
    }

    fn check_policy_loss(&self, failures: &mut Failures) {
        let algorithm = &self.algorithm;
        let loss = word(algorithm.policy_loss);
        failures.within("algorithm.clip_low", algorithm.clip_low.unwrap_or(0.0), 0.0, 1.0);
        failures.not_negative("algorithm.clip_high", algorithm.clip_high.unwrap_or(0.0));
        let or_off = |bound: Option<f64>| bound.map_or("off".into(), |bound| bound.to_string());
        let shift = algorithm.policy_loss == PolicyLossKind::ProbabilityShift;
        failures.unless(!shift || (algorithm.clip_high.is_some() && algorithm.clip_low == algorithm.clip_high), || {
            format!(
                "algorithm.clip_low ({}) and algorithm.clip_high ({}) must be equal when algorithm.policy_loss is `{loss}`, whose range is symmetric",
                or_off(algorithm.clip_low),
                or_off(algorithm.clip_high)
            )
        });
        failures.positive_or_off("algorithm.importance_cap", algorithm.importance_cap);
        let Some(dual) = algorithm.clip_dual else { return };
        failures.unless(matches!(algorithm.policy_loss, PolicyLossKind::Clip | PolicyLossKind::ProbabilityShift), || {
            format!(
                "algorithm.clip_dual ({dual}) must be \"off\" when algorithm.policy_loss is `{loss}`, which has no dual clip"
            )
        });
        failures.unless(dual > 1.0 + algorithm.clip_high.unwrap_or(0.0), || {
            format!(
                "algorithm.clip_dual ({dual}) must be greater than 1 + algorithm.clip_high ({})",
                or_off(algorithm.clip_high)
            )
        });
    }

    fn check_divergence(&self, failures: &mut Failures) {
        let algorithm = &self.algorithm;
        failures.not_negative("algorithm.kl_weight", algorithm.kl_weight);
        if !self.has_reference() {
            return;
        }
        failures.unless(algorithm.kl_in == KlPlace::Reward || algorithm.kl_estimator != KlEstimator::K1, || {
            "algorithm.kl_estimator `k1` must be applied in the reward (algorithm.kl_in = \"reward\"): in the loss its expected gradient is 0".into()
        });
        let bound = self.critic.bound;
        failures.unless(algorithm.kl_in == KlPlace::Loss || bound == BoundKind::None || !self.has_critic(), || {
            format!(
                "critic.bound must be `none` when algorithm.kl_in is `reward`, found `{}`: the penalty can push returns outside the range of rewards",
                word(bound)
            )
        });
    }

    fn check_overlong(&self, failures: &mut Failures) {
        let algorithm = &self.algorithm;
        failures.not_negative("algorithm.overlong_penalty", algorithm.overlong_penalty);
        if let Some(buffer) = algorithm.overlong_buffer {
            failures.unless(buffer > 0.0 && buffer <= 1.0, || {
                format!("algorithm.overlong_buffer ({buffer}) must be greater than 0 and at most 1, because it is a share of rollout.max_new_tokens")
            });
        }
    }

    fn check_updates(&self, failures: &mut Failures) {
        let (algorithm, pretraining) = (&self.algorithm, &self.value_pretraining);
        failures.at_least("algorithm.minibatches_per_epoch", algorithm.minibatches_per_epoch, 1);
        failures.at_least("algorithm.critic_minibatches_per_epoch", self.critic_minibatches_per_epoch(), 1);
        failures.count("algorithm.epochs", algorithm.epochs, MAX_PASSES);
        failures.count("algorithm.critic_epochs", self.critic_epochs(), MAX_PASSES);
        let shapes = [
            ("rollout", self.rollout.prompts_per_step, self.rollout.group_size),
            ("value_pretraining", pretraining.prompts_per_step, pretraining.group_size),
        ];
        let used = if pretraining.steps > 0 { 2 } else { 1 };
        let parts = [
            ("algorithm.minibatches_per_epoch", algorithm.minibatches_per_epoch),
            ("algorithm.critic_minibatches_per_epoch", algorithm.critic_minibatches_per_epoch.unwrap_or(0)),
        ];
        for ((section, prompts, group_size), (key, parts)) in
            shapes[..used].iter().flat_map(|shape| parts.map(|part| (*shape, part)))
        {
            failures.unless(parts <= prompts.saturating_mul(group_size), || {
                format!("{key} ({parts}) must not exceed {section}.prompts_per_step x {section}.group_size ({prompts} x {group_size})")
            });
        }
    }
}

/// A choice as it is written in a config.
fn word(choice: impl Serialize) -> String {
    toml::Value::try_from(choice).ok().and_then(|value| value.as_str().map(str::to_string)).unwrap_or_default()
}
