//! Credit compared with published tables, hand-worked numbers and the definition as a double sum.

use vapo_algo::{Reward, gae, length_adaptive_lambda, value_targets};

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance, "found {found:?}, expected {expected:?}");
    }
}

/// `A_t = sum_k (gamma lambda)^k delta_{t+k}`, term by term.
fn gae_by_definition(rewards: &[f32], values: &[f32], gamma: f64, lambda: f64) -> Vec<f32> {
    let num = values.len();
    let value = |t: usize| if t < num { f64::from(values[t]) } else { 0.0 };
    let delta = |t: usize| f64::from(rewards[t]) + gamma * value(t + 1) - value(t);
    let advantage = |t: usize| {
        let mut power = 1.0;
        let mut sum = 0.0;
        for later in t..num {
            sum += power * delta(later);
            power *= gamma * lambda;
        }
        sum as f32
    };
    (0..num).map(advantage).collect()
}

/// The table of rlax's `multistep_test.py`, `TruncatedGeneralizedAdvantageEstimationTest` (Apache-2.0).
/// Its first row bootstraps from V = -1 at discount 0.99, which here is part of the last reward; its
/// second row ends an episode after four steps and contains one step of another episode.
#[test]
fn gae_matches_the_published_table_of_rlax() {
    let table: [(f64, [f32; 5], [f32; 4]); 3] = [
        (1.0, [-1.45118, -4.4557, 2.5396, 0.5249, -0.49], [3.0, 2.0, 1.0, 0.0]),
        (0.7, [-0.676979, -5.248167, 2.4846, 0.6704, -0.49], [2.2899, 1.73, 1.0, 0.0]),
        (0.4, [0.56731, -6.042, 2.3431, 0.815, -0.49], [1.725, 1.46, 1.0, 0.0]),
    ];
    for (lambda, bootstrapped, episode) in table {
        let rewards = Reward::PerToken(&[0.0, 0.0, 1.0, 0.0, -0.5 - 0.99]);
        assert_close(&gae(rewards, &[1.0, 4.0, -3.0, -2.0, -1.0], 0.99, lambda), &bootstrapped, 1e-3);
        let found = gae(Reward::Terminal(0.0), &[-3.0, -2.0, -1.0, 0.0], 0.9, lambda);
        assert_close(&found, &episode, 1e-3);
    }
    assert_close(&gae(Reward::Terminal(1.0 - 0.9), &[5.0], 0.9, 0.7), &[-4.9], 1e-6);
}

/// The example of BPCO's tests: A_2 = 0.2, A_1 = 0.3 + 0.2/6, A_0 = 0.3 + A_1/6.
#[test]
fn two_passes_over_the_same_values_decouple_policy_and_critic() {
    let (reward, values) = (Reward::Terminal(1.0), [0.2, 0.5, 0.8]);
    assert_close(&gae(reward, &values, 1.0, 1.0 / 6.0), &[0.355_556, 0.333_333, 0.2], 1e-5);
    assert_close(&value_targets(reward, &values, 1.0, 1.0), &[1.0; 3], 0.0);
}

#[test]
fn gae_equals_its_definition() {
    let values = [0.3, -0.2, 0.9, 0.45, -1.5, 0.05, 0.7];
    let rewards = [0.0, -0.1, 0.25, 0.0, 0.5, -0.75, 1.0];
    for gamma in [1.0, 0.9, 0.0] {
        for lambda in [0.0, 0.5, 0.95, 1.0] {
            let advantages = gae(Reward::PerToken(&rewards), &values, gamma, lambda);
            assert_close(&advantages, &gae_by_definition(&rewards, &values, gamma, lambda), 1e-6);
            let sums: Vec<f32> = advantages.iter().zip(values).map(|(a, v)| a + v).collect();
            assert_close(&value_targets(Reward::PerToken(&rewards), &values, gamma, lambda), &sums, 1e-6);
        }
    }
}

#[test]
fn a_terminal_reward_is_a_per_token_reward_at_the_last_token() {
    let values = [0.1, 0.2, 0.3];
    let per_token = gae(Reward::PerToken(&[0.0, 0.0, -1.0]), &values, 0.9, 0.8);
    assert_eq!(gae(Reward::Terminal(-1.0), &values, 0.9, 0.8), per_token);
}

#[test]
fn at_lambda_1_targets_are_the_reward_and_advantages_the_rest() {
    let values: Vec<f32> = (0..20_480).map(|t| 0.37 + 0.5 * libm::sin(f64::from(t)) as f32).collect();
    for reward in [1.0, 0.0, -1.0, 0.3] {
        let targets = value_targets(Reward::Terminal(reward), &values, 1.0, 1.0);
        assert!(targets.iter().all(|&target| target == reward), "exact at every one of 20,480 tokens");
        let advantages = gae(Reward::Terminal(reward), &values, 1.0, 1.0);
        let expected: Vec<f32> = values.iter().map(|value| reward - value).collect();
        assert_close(&advantages, &expected, 1e-6);
    }
}

#[test]
fn at_lambda_0_advantages_are_td_errors() {
    let found = gae(Reward::Terminal(1.0), &[0.25, 0.5, 0.875], 1.0, 0.0);
    assert_eq!(found, [0.25, 0.375, 0.125]);
}

#[test]
fn an_empty_response_has_no_credit() {
    assert!(gae(Reward::Terminal(1.0), &[], 1.0, 0.95).is_empty());
    assert!(value_targets(Reward::PerToken(&[]), &[], 1.0, 1.0).is_empty());
}

#[test]
#[should_panic(expected = "one reward per value")]
fn rewards_and_values_must_be_of_one_length() {
    gae(Reward::PerToken(&[1.0]), &[0.0, 0.0], 1.0, 1.0);
}

#[test]
fn length_adaptive_lambda_follows_the_table_for_the_papers_alpha() {
    let table = [
        (10, 0.0),
        (20, 0.0),
        (40, 0.5),
        (100, 0.8),
        (200, 0.9),
        (400, 0.95),
        (1000, 0.98),
        (4000, 0.995),
        (6500, 0.9969),
        (20480, 0.9990),
    ];
    for (tokens, expected) in table {
        let found = length_adaptive_lambda(0.05, tokens);
        assert!((found - expected).abs() < 5e-5, "{tokens} tokens: found {found}, expected {expected}");
    }
}

#[test]
fn length_adaptive_lambda_stays_between_0_and_1() {
    for alpha in [0.0, 1e-9, 0.05, 1.5, 1e9] {
        for tokens in [0, 1, 2, 20, 1_000_000] {
            let lambda = length_adaptive_lambda(alpha, tokens);
            assert!((0.0..=1.0).contains(&lambda), "alpha {alpha}, {tokens} tokens: {lambda}");
        }
    }
    assert_eq!(length_adaptive_lambda(0.05, 0), 0.0);
}

/// The weight of the terminal reward on the first token tends to exp(-1/alpha) at any length.
#[test]
fn length_adaptive_lambda_gives_the_first_token_a_weight_of_exp_minus_1_over_alpha() {
    for alpha in [0.05, 0.4, 1.5] {
        let num_tokens = 20_480;
        let lambda = length_adaptive_lambda(alpha, num_tokens);
        let first = gae(Reward::Terminal(1.0), &vec![0.0; num_tokens], 1.0, lambda)[0];
        let expected = libm::exp(-1.0 / alpha);
        let relative = f64::from(first) / expected - 1.0;
        assert!(relative.abs() < 0.02, "alpha {alpha}: found {first:e}, expected about {expected:e}");
    }
}
