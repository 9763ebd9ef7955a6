//! How token losses are combined into the loss of an optimizer step.
//!
//! The choice determines how much long and short answers contribute to the gradient. The denominators are counts
//! over the *whole* optimizer step, never over a micro-batch, a worker or an accumulation window.

use std::{fmt, str::FromStr};

use crate::ParseNameError;

/// How token losses are averaged. Names are verl's `loss_agg_mode`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reduction {
    /// `token-mean`: every token of the step has the same weight (VAPO eq. 6-7, DAPO): `1/sum_i |o_i|`.
    TokenMean,
    /// `seq-mean-token-mean`: mean over each response, then over responses (PPO, GRPO): `1/(R |o_i|)`.
    SequenceMeanTokenMean,
    /// `seq-mean-token-sum`: sum over each response, mean over responses (BPCO): `1/R`.
    SequenceMeanTokenSum,
    /// `seq-mean-token-sum-norm:BUDGET`: the same divided by a constant (Dr. GRPO): `1/(R budget)`.
    SequenceMeanTokenSumNorm {
        /// Number of tokens by which every response's sum is divided; at least 1.
        budget: usize,
    },
}

/// Counts for the optimizer step over all its micro-batches and workers, without excluded responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepCounts {
    /// Response tokens.
    pub tokens: usize,
    /// Responses that have tokens.
    pub responses: usize,
}

impl StepCounts {
    /// Counts the included responses, given the number of tokens in each response.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn of(lengths: &[usize], included: &[bool]) -> StepCounts {
        assert_eq!(included.len(), lengths.len(), "one inclusion flag per response");
        let counted = lengths.iter().zip(included).filter(|&(&length, &included)| included && length > 0);
        counted.fold(StepCounts::default(), |counts, (&length, _)| StepCounts {
            tokens: counts.tokens + length,
            responses: counts.responses + 1,
        })
    }
}

impl Reduction {
    /// Weight of each token of an included response of `response_tokens` tokens; 0 if no tokens count.
    pub fn token_weight(self, step: StepCounts, response_tokens: usize) -> f32 {
        let denominator = match self {
            Reduction::TokenMean => step.tokens as f64,
            Reduction::SequenceMeanTokenMean => step.responses as f64 * response_tokens as f64,
            Reduction::SequenceMeanTokenSum => step.responses as f64,
            Reduction::SequenceMeanTokenSumNorm { budget } => step.responses as f64 * budget as f64,
        };
        if denominator > 0.0 { (1.0 / denominator) as f32 } else { 0.0 }
    }

    /// Weights of all tokens `[N]` of an optimizer step whose responses have `lengths` `[R]` tokens; those
    /// of responses not `included` `[R]` are 0. Micro-batches take their slice of the result.
    ///
    /// With `included` = "the answer is right", [`Reduction::TokenMean`] gives the weights of the
    /// positive-example LM loss, all 0 when no answer is right.
    ///
    /// # Panics
    /// If the slices differ in length.
    ///
    /// ```
    /// use vapo_algo::Reduction;
    /// let weights = Reduction::SequenceMeanTokenMean.token_weights(&[2, 1, 3], &[true, true, false]);
    /// assert_eq!(weights, [0.25, 0.25, 0.5, 0.0, 0.0, 0.0]);
    /// ```
    pub fn token_weights(self, lengths: &[usize], included: &[bool]) -> Vec<f32> {
        let step = StepCounts::of(lengths, included);
        let responses = lengths.iter().zip(included);
        responses
            .flat_map(|(&length, &included)| {
                let weight = if included { self.token_weight(step, length) } else { 0.0 };
                std::iter::repeat_n(weight, length)
            })
            .collect()
    }
}

const NAMES: &str =
    "token-mean, seq-mean-token-mean, seq-mean-token-sum or seq-mean-token-sum-norm:BUDGET (BUDGET in tokens)";

impl fmt::Display for Reduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reduction::TokenMean => f.write_str("token-mean"),
            Reduction::SequenceMeanTokenMean => f.write_str("seq-mean-token-mean"),
            Reduction::SequenceMeanTokenSum => f.write_str("seq-mean-token-sum"),
            Reduction::SequenceMeanTokenSumNorm { budget } => {
                write!(f, "seq-mean-token-sum-norm:{budget}")
            }
        }
    }
}

impl FromStr for Reduction {
    type Err = ParseNameError;

    fn from_str(name: &str) -> Result<Reduction, ParseNameError> {
        let budget = || {
            let budget = name.strip_prefix("seq-mean-token-sum-norm:")?.parse().ok()?;
            (budget > 0).then_some(budget)
        };
        match name {
            "token-mean" => Ok(Reduction::TokenMean),
            "seq-mean-token-mean" => Ok(Reduction::SequenceMeanTokenMean),
            "seq-mean-token-sum" => Ok(Reduction::SequenceMeanTokenSum),
            _ => budget()
                .map(|budget| Reduction::SequenceMeanTokenSumNorm { budget })
                .ok_or_else(|| ParseNameError::new("reduction", name, NAMES)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Reduction; 4] = [
        Reduction::TokenMean,
        Reduction::SequenceMeanTokenMean,
        Reduction::SequenceMeanTokenSum,
        Reduction::SequenceMeanTokenSumNorm { budget: 10 },
    ];

    #[test]
    fn weights_follow_the_definitions_and_skip_excluded_responses() {
        let weights = |reduction: Reduction| reduction.token_weights(&[1, 2, 3], &[true, false, true]);
        let expected = |first: f32, last: f32| vec![first, 0.0, 0.0, last, last, last];
        assert_eq!(weights(ALL[0]), expected(0.25, 0.25));
        assert_eq!(weights(ALL[1]), expected(0.5, 1.0 / 6.0));
        assert_eq!(weights(ALL[2]), expected(0.5, 0.5));
        assert_eq!(weights(ALL[3]), expected(0.05, 0.05));
    }

    #[test]
    fn nothing_included_gives_zero_weights() {
        for reduction in ALL {
            assert_eq!(reduction.token_weights(&[2, 1], &[false, false]), [0.0; 3]);
            assert!(reduction.token_weights(&[], &[]).is_empty());
            assert_eq!(reduction.token_weight(StepCounts::default(), 3), 0.0);
        }
    }

    #[test]
    fn empty_responses_do_not_count() {
        assert_eq!(Reduction::SequenceMeanTokenMean.token_weights(&[0, 2], &[true, true]), [0.5, 0.5]);
    }

    #[test]
    fn workers_that_share_the_counts_agree_with_the_whole() {
        let step = StepCounts::of(&[4, 2, 6], &[true; 3]);
        for reduction in ALL {
            let whole = reduction.token_weights(&[4, 2, 6], &[true; 3]);
            assert_eq!(reduction.token_weight(step, 2), whole[4]);
        }
    }

    #[test]
    fn names_round_trip() {
        for reduction in ALL {
            assert_eq!(reduction.to_string().parse(), Ok(reduction));
        }
        assert_eq!(ALL[3].to_string(), "seq-mean-token-sum-norm:10");
    }

    #[test]
    fn unknown_names_and_budgets_are_refused() {
        for name in ["mean", "", "seq-mean-token-sum-norm", "seq-mean-token-sum-norm:0", "Token-Mean"] {
            let message = name.parse::<Reduction>().unwrap_err().to_string();
            assert!(message.starts_with(&format!("unknown reduction `{name}`, expected token-mean, ")), "{message}");
        }
    }
}
