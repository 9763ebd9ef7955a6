//! Terms added to a verifier's reward before credit is assigned.

use crate::kl::KlEstimator;

/// Penalizes answers close to or beyond the length limit (DAPO's soft overlong penalty):
///
/// ```text
/// 0                             if l <= max - cache
/// ((max - cache) - l) / cache   if max - cache < l <= max
/// -1                            if l > max
/// ```
///
/// The result is added to the reward. DAPO: `max_tokens` 20,480, `cache_tokens` 4,096. With a cache of
/// 0 the penalty is a step at `max_tokens`.
///
/// ```
/// use vapo_algo::soft_overlong_penalty;
/// assert_eq!(soft_overlong_penalty(16_384, 20_480, 4_096), 0.0);
/// assert_eq!(soft_overlong_penalty(18_432, 20_480, 4_096), -0.5);
/// ```
pub fn soft_overlong_penalty(response_tokens: usize, max_tokens: usize, cache_tokens: usize) -> f32 {
    let tokens_in_cache = (response_tokens + cache_tokens).saturating_sub(max_tokens);
    if tokens_in_cache == 0 {
        0.0
    } else if response_tokens > max_tokens {
        -1.0
    } else {
        -(tokens_in_cache as f64 / cache_tokens as f64) as f32
    }
}

/// Spreads a terminal reward over tokens and subtracts a KL penalty from each:
/// `r_t = -beta k(logp_t, ref_logp_t) + [t = T-1] R`.
///
/// RLOO and REINFORCE++ use KL in the reward (k1, the plain log-ratio); `logp` are the sampling
/// policy's. Pass the result to [`gae`](crate::gae) as [`Reward::PerToken`](crate::Reward::PerToken);
/// its sum is the reward of the whole answer treated as one action.
///
/// `logp`, `ref_logp` `[T]`, result `[T]`.
///
/// # Panics
/// If the slices differ in length.
pub fn kl_penalized_rewards(
    reward: f32,
    logp: &[f32],
    ref_logp: &[f32],
    beta: f64,
    estimator: KlEstimator,
) -> Vec<f32> {
    assert_eq!(ref_logp.len(), logp.len(), "one reference log-prob per token");
    let mut rewards: Vec<f64> =
        logp.iter().zip(ref_logp).map(|(&own, &reference)| -beta * estimator.value(own, reference)).collect();
    if let Some(last) = rewards.last_mut() {
        *last += f64::from(reward);
    }
    rewards.into_iter().map(|reward| reward as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlong_penalty_is_a_ramp_between_two_plateaus() {
        let penalty = |tokens| soft_overlong_penalty(tokens, 20_480, 4_096);
        assert_eq!(penalty(0), 0.0);
        assert_eq!(penalty(16_384), 0.0);
        assert_eq!(penalty(17_408), -0.25);
        assert_eq!(penalty(20_480), -1.0);
        assert_eq!(penalty(30_000), -1.0);
    }

    #[test]
    fn a_cache_longer_than_the_limit_begins_before_the_response() {
        // max - cache = -10: (-10 - l) / 20
        let penalties = [0, 5, 10, 11].map(|tokens| soft_overlong_penalty(tokens, 10, 20));
        assert_eq!(penalties, [-0.5, -0.75, -1.0, -1.0]);
    }

    #[test]
    fn overlong_penalty_without_a_cache_is_a_step() {
        assert_eq!(soft_overlong_penalty(100, 100, 0), 0.0);
        assert_eq!(soft_overlong_penalty(101, 100, 0), -1.0);
    }

    #[test]
    fn kl_penalty_is_subtracted_at_each_token_and_the_reward_comes_last() {
        let rewards = kl_penalized_rewards(1.0, &[-1.0, -2.0], &[-1.5, -1.0], 0.1, KlEstimator::K1);
        assert!((rewards[0] - -0.05).abs() < 1e-7, "{rewards:?}");
        assert!((rewards[1] - 1.1).abs() < 1e-6, "{rewards:?}");
        assert!(kl_penalized_rewards(1.0, &[], &[], 0.1, KlEstimator::K3).is_empty());
    }
}
