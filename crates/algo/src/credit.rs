//! Credit of one response: advantages and value targets from its rewards and the critic's values.
//!
//! Decoupled GAE (VAPO section 4.1, VC-PPO) is two calls with the same values, taken before the update:
//! [`value_targets`] with the critic's lambda (1 in the paper) and [`gae`] with the policy's.

/// The rewards of one response of T tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reward<'a> {
    /// One reward, earned by the last token: a verifier's verdict on the whole answer.
    Terminal(f32),
    /// A reward for each token, `[T]`.
    PerToken(&'a [f32]),
}

impl Reward<'_> {
    fn at(&self, token: usize, num_tokens: usize) -> f64 {
        match self {
            Reward::Terminal(reward) if token + 1 == num_tokens => f64::from(*reward),
            Reward::Terminal(_) => 0.0,
            Reward::PerToken(rewards) => f64::from(rewards[token]),
        }
    }
}

/// Estimates the advantage of each token by generalized advantage estimation (VAPO eq. 3).
///
/// ```text
/// delta_t = r_t + gamma V(s_{t+1}) - V(s_t)
/// A_t     = sum_{k>=0} (gamma lambda)^k delta_{t+k}
/// ```
///
/// V after the last token is 0: a response that ended by its length limit is treated as finished, as
/// the penalty for overlong answers in VAPO and DAPO implies. With gamma = lambda = 1 and a terminal
/// reward R, `A_t = R - V(s_t)`.
///
/// `values` `[T]`, result `[T]`.
///
/// # Panics
/// If per-token rewards and values differ in length.
///
/// ```
/// use vapo_algo::{Reward, gae};
/// // delta = (0.3, 0.3, 0.2); A_2 = 0.2, A_1 = 0.3 + 0.2/2, A_0 = 0.3 + 0.4/2
/// let advantages = gae(Reward::Terminal(1.0), &[0.2, 0.5, 0.8], 1.0, 0.5);
/// for (found, expected) in advantages.iter().zip([0.5, 0.4, 0.2]) {
///     assert!((found - expected).abs() < 1e-6);
/// }
/// ```
pub fn gae(reward: Reward, values: &[f32], gamma: f64, lambda: f64) -> Vec<f32> {
    let returns = lambda_returns(reward, values, gamma, lambda);
    returns.iter().zip(values).map(|(target, &value)| (target - f64::from(value)) as f32).collect()
}

/// Computes the critic's regression target of each token, its lambda-return: the GAE pass with the
/// critic's lambda plus V (VAPO section 4.1).
///
/// With gamma = lambda = 1 this is the Monte-Carlo return: exactly R at every token of a response with
/// terminal reward R, whatever the critic predicts.
///
/// `values` `[T]`, result `[T]`.
///
/// # Panics
/// If per-token rewards and values differ in length.
pub fn value_targets(reward: Reward, values: &[f32], gamma: f64, lambda: f64) -> Vec<f32> {
    lambda_returns(reward, values, gamma, lambda).into_iter().map(|target| target as f32).collect()
}

/// `G_t = r_t + gamma ((1 - lambda) V(s_{t+1}) + lambda G_{t+1})`, which is `A_t + V(s_t)`.
///
/// In this form the recursion does not add and subtract values at lambda = 1, so the Monte-Carlo
/// return is exact. It uses f64, because with lambda near 1, f32 errors add up over 20,000 tokens.
fn lambda_returns(reward: Reward, values: &[f32], gamma: f64, lambda: f64) -> Vec<f64> {
    let num_tokens = values.len();
    if let Reward::PerToken(rewards) = reward {
        assert_eq!(rewards.len(), num_tokens, "one reward per value");
    }
    let mut returns = vec![0.0; num_tokens];
    let (mut next_value, mut next_return) = (0.0, 0.0);
    for t in (0..num_tokens).rev() {
        let mixed = (1.0 - lambda) * next_value + lambda * next_return;
        returns[t] = reward.at(t, num_tokens) + gamma * mixed;
        (next_value, next_return) = (f64::from(values[t]), returns[t]);
    }
    returns
}

/// Chooses the policy's lambda so that the credit horizon grows with the response (VAPO eq. 4-5):
/// `1/(1 - lambda) = alpha l`, hence `lambda = 1 - 1/(alpha l)`, clamped to `[0, 1]`.
///
/// `response_tokens` l counts the response's tokens including its end token, never padding. The paper's
/// alpha is 0.05, which makes lambda 0 up to 20 tokens; without the clamp it would be negative there.
///
/// ```
/// use vapo_algo::length_adaptive_lambda;
/// assert_eq!(length_adaptive_lambda(0.05, 10), 0.0);
/// assert_eq!(length_adaptive_lambda(0.05, 400), 0.95);
/// ```
pub fn length_adaptive_lambda(alpha: f64, response_tokens: usize) -> f64 {
    let horizon_tokens = alpha * response_tokens as f64;
    (1.0 - 1.0 / horizon_tokens).clamp(0.0, 1.0)
}
