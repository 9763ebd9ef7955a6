//! How completions are sampled.

use crate::StopStrings;
use vapo_kernels::SamplingParams;

/// How to sample.
#[derive(Clone, Debug)]
pub struct Sampling {
    /// Logits are divided by this; 0 always takes the likeliest token.
    pub temperature: f32,
    /// Only the `k` likeliest tokens.
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together hold this share; 1 for all.
    pub top_p: f32,
    /// Only tokens at least this share of the likeliest one's probability; 0 for all.
    pub min_p: f32,
    /// Only tokens below this id, the size of the tokenizer's vocabulary where the model has more logits.
    pub num_tokens: Option<usize>,
    /// Most tokens of a completion.
    pub max_new_tokens: usize,
    /// Tokens that end a completion and belong to it.
    pub stop_tokens: Vec<u32>,
    /// Texts that end a completion.
    pub stop_strings: Option<StopStrings>,
    /// Sequences decoded at once.
    pub slots: usize,
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling {
            temperature: 1.0,
            top_k: None,
            top_p: 1.0,
            min_p: 0.0,
            num_tokens: None,
            max_new_tokens: 256,
            stop_tokens: Vec::new(),
            stop_strings: None,
            slots: 64,
        }
    }
}

impl Sampling {
    /// How each token is drawn.
    pub(crate) fn params(&self) -> SamplingParams {
        let Sampling { temperature, top_k, top_p, min_p, num_tokens, .. } = *self;
        SamplingParams { temperature, top_k, top_p, min_p, num_tokens }
    }
}
