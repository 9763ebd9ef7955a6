//! Advantages without a critic, from the rewards of the responses to one prompt.
//!
//! Each function maps the rewards of one group `[G]` to one advantage per response `[G]`, which every
//! token of the response shares. A group of one has no baseline: its advantage is 0.

use crate::stats::Summary;

/// Added to a group's standard deviation before dividing by it, so that a group of equal rewards gives 0.
const STD_EPSILON: f64 = 1e-6;

/// Standardizes within the group (GRPO, DeepSeekMath): `A_i = (r_i - mean(r)) / (std(r) + 1e-6)`.
///
/// This is the sample standard deviation (divisor G - 1), as in the public trainers.
///
/// ```
/// use vapo_algo::group_standardized;
/// let advantages = group_standardized(&[1.0, 0.0]); // mean 1/2, std sqrt(1/2)
/// assert!((advantages[0] - 0.5f32.sqrt()).abs() < 1e-5);
/// ```
pub fn group_standardized(rewards: &[f32]) -> Vec<f32> {
    let group = Summary::of(rewards);
    let scale = 1.0 / (group.std().unwrap_or(0.0) + STD_EPSILON);
    centered(rewards, &group).map(|difference| (difference * scale) as f32).collect()
}

/// Subtracts the group's mean without rescaling (Dr. GRPO): `A_i = r_i - mean(r)`.
pub fn group_centered(rewards: &[f32]) -> Vec<f32> {
    let group = Summary::of(rewards);
    centered(rewards, &group).map(|difference| difference as f32).collect()
}

/// Subtracts the mean of the *other* responses (RLOO): `A_i = r_i - sum_{j != i} r_j / (G - 1)`.
///
/// The baseline does not depend on the response itself, so it leaves the policy gradient unbiased.
pub fn leave_one_out(rewards: &[f32]) -> Vec<f32> {
    let group = Summary::of(rewards);
    // r_i - (G mean - r_i)/(G - 1) = (r_i - mean) G/(G - 1)
    let num = rewards.len() as f64;
    let scale = if rewards.len() > 1 { num / (num - 1.0) } else { 0.0 };
    centered(rewards, &group).map(|difference| (difference * scale) as f32).collect()
}

fn centered(rewards: &[f32], group: &Summary) -> impl Iterator<Item = f64> {
    let mean = group.mean().unwrap_or(0.0);
    rewards.iter().map(move |&reward| f64::from(reward) - mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-5, "found {found:?}, expected {expected:?}");
        }
    }

    // rewards (1, 0, 0, 1, 1): mean 0.6, sum of squares 3 * 0.16 + 2 * 0.36 = 1.2, sample std sqrt(0.3)
    const REWARDS: [f32; 5] = [1.0, 0.0, 0.0, 1.0, 1.0];

    #[test]
    fn standardized_divides_by_the_sample_deviation() {
        assert_close(&group_standardized(&REWARDS), &[0.730_295, -1.095_443, -1.095_443, 0.730_295, 0.730_295]);
    }

    #[test]
    fn centered_keeps_the_scale() {
        assert_close(&group_centered(&REWARDS), &[0.4, -0.6, -0.6, 0.4, 0.4]);
    }

    #[test]
    fn leave_one_out_compares_with_the_others() {
        // right answers: 1 - 2/4, wrong ones: 0 - 3/4
        assert_close(&leave_one_out(&REWARDS), &[0.5, -0.75, -0.75, 0.5, 0.5]);
    }

    #[test]
    fn equal_rewards_a_group_of_one_and_an_empty_group_carry_no_signal() {
        for baseline in [group_standardized, group_centered, leave_one_out] {
            assert_eq!(baseline(&[0.1, 0.1, 0.1]), [0.0; 3]);
            assert_eq!(baseline(&[1.0]), [0.0]);
            assert!(baseline(&[]).is_empty());
        }
    }
    #[test]
    fn a_tiny_deviation_is_not_blown_up() {
        // 5e-7 / (7.07107e-7 + 1e-6)
        assert_close(&group_standardized(&[1e-6, 0.0]), &[0.292_893, -0.292_893]);
    }
}
