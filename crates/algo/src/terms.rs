//! Losses that are added to a policy loss.

/// A loss of token log-probs with its gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLoss {
    /// `sum_t w_t l_t` over the tokens given.
    pub loss: f64,
    /// Its derivative with respect to each token's log-prob, `[N]`.
    pub dlogp: Vec<f32>,
    /// Tokens of non-zero weight.
    pub tokens: u64,
}

impl TokenLoss {
    /// Sums weighted token losses; `token` returns the loss of token t and its derivative with respect to `logp[t]`.
    pub(crate) fn sum(logp: &[f32], weights: &[f32], token: impl Fn(usize) -> (f64, f64)) -> TokenLoss {
        assert_eq!(weights.len(), logp.len(), "one weight per token");
        let mut result = TokenLoss { loss: 0.0, dlogp: vec![0.0; logp.len()], tokens: 0 };
        for (t, &weight) in weights.iter().enumerate() {
            if weight != 0.0 {
                let (loss, slope) = token(t);
                result.loss += f64::from(weight) * loss;
                result.dlogp[t] = (f64::from(weight) * slope) as f32;
                result.tokens += 1;
            }
        }
        result
    }
}

/// Computes the positive-example LM loss (VAPO eq. 9): imitation of the policy's own correct answers.
///
/// ```text
/// L_NLL = -(1 / sum_{i in T} |o_i|) sum_{i in T} sum_t logp_{i,t},    T = correct answers
/// ```
///
/// `weights` are [`Reduction::TokenMean`](crate::Reduction::TokenMean) over the correct answers of the whole
/// optimizer step; "correct" is the verifier's verdict, not a shaped reward. At ratio 1 the term with
/// coefficient mu is equivalent to adding mu/p to the advantage of every positive token, where p is their share; a
/// denominator of all tokens, or of a micro-batch's positives, would be a different algorithm. Without
/// correct answers, loss and gradient are 0.
///
/// `logp`, `weights` `[N]`.
///
/// # Panics
/// If the slices differ in length.
pub fn positive_lm_loss(logp: &[f32], weights: &[f32]) -> TokenLoss {
    TokenLoss::sum(logp, weights, |t| (-f64::from(logp[t]), -1.0))
}

/// An entropy bonus with its gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct EntropyBonus {
    /// `-coefficient sum_t w_t H_t`.
    pub loss: f64,
    /// Its derivative with respect to each token's entropy, `[N]`.
    pub dentropy: Vec<f32>,
}

/// Rewards entropy: `L = -coefficient sum_t w_t H_t`, where H_t (nats) is the entropy of the distribution
/// that token t was drawn from.
///
/// `entropy`, `weights` `[N]`.
///
/// # Panics
/// If the slices differ in length.
pub fn entropy_bonus(entropy: &[f32], weights: &[f32], coefficient: f64) -> EntropyBonus {
    assert_eq!(weights.len(), entropy.len(), "one weight per token");
    let tokens = entropy.iter().zip(weights).filter(|&(_, &weight)| weight != 0.0);
    let sum: f64 = tokens.map(|(&entropy, &weight)| f64::from(weight) * f64::from(entropy)).sum();
    EntropyBonus {
        loss: -coefficient * sum,
        dentropy: weights.iter().map(|&weight| (-coefficient * f64::from(weight)) as f32).collect(),
    }
}
