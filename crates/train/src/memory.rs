//! What a run will need of the machine's memory, counted before anything is loaded.

use vapo_lm::{Head, KvCache, Model, ModelConfig};

use crate::{
    config::Config,
    error::{Error, Result},
};

/// Bytes of each part of a run at its peak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Name and bytes of each part.
    pub parts: Vec<(&'static str, u64)>,
}

/// Most logits the engine holds at once.
const MAX_LOGITS: usize = 1 << 25;
const BYTES_PER_VALUE: u64 = 4;

impl MemoryPlan {
    /// Counts for a model of this shape and prompts of at most `prompt_tokens` tokens.
    pub fn new(config: &Config, shape: &ModelConfig, prompt_tokens: usize) -> Self {
        let policy = Model::flat_len_of(shape, Head::Language);
        let critic = if config.has_critic() { Model::flat_len_of(shape, Head::Value) } else { 0 };
        let reference = if config.has_reference() { policy } else { 0 };
        let longest = prompt_tokens + config.longest_response();
        // A longer sequence passes alone.
        let rows = config.run.micro_batch_tokens.max(longest);
        let parts = [
            ("parameters", policy + critic + reference),
            ("gradients", policy + critic),
            ("moments", 2 * (policy + critic)),
            ("activations", rows * activations_per_token(shape)),
            ("logits", logits(config, shape, rows)),
            ("key/value caches", caches(config, shape, prompt_tokens)),
            // A checkpoint is written one tensor at a time, the largest of which is a moment.
            ("checkpoint", policy.max(critic)),
        ];
        Self { parts: parts.map(|(name, values)| (name, values as u64 * BYTES_PER_VALUE)).to_vec() }
    }

    /// Sum of all parts in bytes.
    pub fn total(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Refuses a run that does not fit `available` bytes.
    ///
    /// # Errors
    /// Names every part, the sum and what is available.
    pub fn check(&self, available: u64) -> Result<()> {
        if self.total() <= available {
            return Ok(());
        }
        let parts: Vec<String> =
            self.parts.iter().map(|(name, bytes)| format!("{name} {}", megabytes(*bytes))).collect();
        Err(Error::Run(format!(
            "the run needs {} of memory ({}), {} are available; \
             smaller: rollout.slots, rollout.max_new_tokens, run.micro_batch_tokens, or a model with fewer parameters",
            megabytes(self.total()),
            parts.join(", "),
            megabytes(available)
        )))
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}

/// Values that forward and backward keep for a token: each layer's inputs, and one set of gradients.
fn activations_per_token(shape: &ModelConfig) -> usize {
    let attention = shape.attention;
    let (hidden, qkv) = (shape.hidden_size, attention.width());
    let attended = attention.heads * attention.head_size;
    let layer = 2 * hidden + qkv + attended + 2 * shape.intermediate_size;
    let shared = 8 * hidden + qkv + attended + 2 * shape.intermediate_size;
    shape.num_layers * layer + shared
}

/// Logits exist for the rows of a training pass or of a decoding step, whichever are more.
fn logits(config: &Config, shape: &ModelConfig, rows: usize) -> usize {
    let trained = (rows * shape.vocab_size).min(MAX_LOGITS.max(shape.vocab_size));
    trained.max(config.rollout.slots * shape.vocab_size)
}

/// Each slot's own cache, and the prompts that slots share.
fn caches(config: &Config, shape: &ModelConfig, prompt_tokens: usize) -> usize {
    let values = |tokens| KvCache::num_values(shape.attention, shape.num_layers, tokens);
    config.rollout.slots * (values(config.longest_response()) + values(prompt_tokens))
}

#[cfg(test)]
mod tests {
    use vapo_lm::Sizes;

    use super::*;

    /// Width 64, 2 layers, 4 heads of 16, gated width 176, 40 tokens.
    fn shape() -> ModelConfig {
        ModelConfig::new(Sizes {
            vocab_size: 40,
            hidden_size: 64,
            intermediate_size: 176,
            num_layers: 2,
            num_heads: 4,
            num_kv_heads: 4,
            max_positions: 512,
        })
    }

    #[test]
    fn a_run_that_does_not_fit_is_refused_with_both_figures() {
        let mut config = Config::default();
        let small = MemoryPlan::new(&config, &shape(), 40);
        assert!(small.check(300_000_000).is_ok(), "{small:?}");
        let error = small.check(1_000_000).unwrap_err().to_string();
        assert!(
            error
                .starts_with(&format!("the run needs {} MB of memory (parameters ", small.total().div_ceil(1_000_000)))
        );
        assert!(error.contains("1 MB are available"), "{error}");

        let part = |plan: &MemoryPlan, name: &str| plan.parts.iter().find(|part| part.0 == name).unwrap().1;
        config.rollout.slots *= 2;
        let more_slots = MemoryPlan::new(&config, &shape(), 40);
        assert_eq!(part(&more_slots, "key/value caches"), 2 * part(&small, "key/value caches"));
        config.algorithm.kl_weight = 0.1;
        let with_reference = MemoryPlan::new(&config, &shape(), 40);
        assert!(part(&with_reference, "parameters") > part(&small, "parameters"));
        assert_eq!(part(&with_reference, "moments"), part(&small, "moments"), "the reference is not trained");
    }
}
