//! How responses are sampled: temperature, filters, limits and stop conditions, from `[rollout]` and `[eval]`.

use vapo_lm::{Model, Sampling, StopStrings};

use crate::{base::TextFiles, config::Config};

/// The sampling settings of training.
pub(crate) fn training_sampling(config: &Config, policy: &Model, text: &TextFiles) -> Sampling {
    let rollout = &config.rollout;
    Sampling {
        temperature: rollout.temperature as f32,
        top_k: rollout.top_k,
        top_p: rollout.top_p as f32,
        min_p: rollout.min_p as f32,
        num_tokens: Some(text.tokenizer.num_ids()),
        max_new_tokens: rollout.max_new_tokens,
        stop_tokens: stop_tokens(config, policy, text),
        stop_strings: StopStrings::new(&text.tokenizer, &rollout.stop_strings),
        slots: rollout.slots,
    }
}

/// The sampling settings of an evaluation: `[eval]`, with the run's stop tokens, stop strings and slots.
pub fn eval_sampling(config: &Config, policy: &Model, text: &TextFiles) -> Sampling {
    let eval = &config.eval;
    Sampling {
        temperature: eval.temperature as f32,
        top_k: eval.top_k,
        top_p: eval.top_p as f32,
        min_p: eval.min_p as f32,
        max_new_tokens: config.longest_eval_response(),
        ..training_sampling(config, policy, text)
    }
}

/// The model's end-of-sequence tokens, the token that ends an answer in its chat template, and the user's stop tokens.
fn stop_tokens(config: &Config, policy: &Model, text: &TextFiles) -> Vec<u32> {
    let mut tokens = policy.config().eos_token_ids.clone();
    tokens.extend(text.end_of_turn());
    tokens.extend(&config.rollout.stop_tokens);
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

/// A warning if only the length limit ends a response.
pub(crate) fn endless_warning(sampling: &Sampling) -> Option<String> {
    (sampling.stop_tokens.is_empty() && sampling.stop_strings.is_none()).then(|| {
        "the model has no end token: every response runs until it is cut off; set eos_token_id in its config.json, rollout.stop_tokens or rollout.stop_strings".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_cannot_end_an_answer_gets_a_warning() {
        let endless = Sampling::default();
        assert!(endless_warning(&endless).unwrap().starts_with("the model has no end token"));
        assert_eq!(endless_warning(&Sampling { stop_tokens: vec![1], ..endless }), None);
    }
}
