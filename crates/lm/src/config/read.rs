//! Reading the keys of a `config.json`: what the engine has is taken, what would change the arithmetic and is not there
//! is refused by name.

use super::{Family, ModelConfig, RopeScaling};
use serde_json::{Map, Value};
use vapo_kernels::AttentionShape;

/// Far above any model, far below where products of sizes overflow.
const LARGEST_SIZE: u64 = 1 << 30;
const MOST_LAYERS: usize = 10_000;
/// Weights of all tensors together, so that sums of sizes stay within 64 bits.
const MOST_PARAMETERS: u128 = 1 << 44;
/// Entries of the tables of rotary positions.
const LARGEST_ROTARY_TABLE: usize = 1 << 28;

/// Reads the keys of a `config.json`; every message names the key.
pub(super) struct Reader {
    pub(super) keys: Map<String, Value>,
}

impl Reader {
    pub(super) fn config(self) -> Result<ModelConfig, String> {
        let family = self.family()?;
        self.refuse_variants(family)?;
        let rope = self.get("rope_parameters").or(self.get("rope_scaling"));
        let vocab_size = self.size("vocab_size")?;
        let config = ModelConfig {
            family,
            vocab_size,
            hidden_size: self.size("hidden_size")?,
            intermediate_size: self.size("intermediate_size")?,
            num_layers: self.size("num_hidden_layers")?,
            attention: self.attention(family)?,
            rms_norm_eps: self.positive("rms_norm_eps")?.unwrap_or(1e-6) as f32,
            rope_theta: self.rope_theta()?,
            rope_scaling: rope.map_or(Ok(None), RopeScaling::from_json)?,
            tied: self.flag("tie_word_embeddings")?,
            max_position_embeddings: self.optional_size("max_position_embeddings")?.unwrap_or(2048),
            bos_token_id: self.tokens("bos_token_id", vocab_size)?.first().copied(),
            eos_token_ids: self.tokens("eos_token_id", vocab_size)?,
            other: Map::new(),
        };
        self.refuse_sliding_window(&config)?;
        refuse_excess(&config)?;
        Ok(ModelConfig { other: self.keys, ..config })
    }

    fn family(&self) -> Result<Family, String> {
        let model_type = self.text("model_type")?;
        Family::named(model_type).ok_or_else(|| {
            format!("model_type `{model_type}` is not supported (supported: {})", Family::names().join(", "))
        })
    }

    fn attention(&self, family: Family) -> Result<AttentionShape, String> {
        let (hidden_size, heads) = (self.size("hidden_size")?, self.size("num_attention_heads")?);
        let kv_heads = match family {
            Family::Llama => self.optional_size("num_key_value_heads")?.unwrap_or(heads),
            Family::Qwen2 | Family::Qwen3 => self.size("num_key_value_heads")?,
        };
        if heads % kv_heads != 0 {
            return Err(format!(
                "num_attention_heads ({heads}) must be a multiple of num_key_value_heads ({kv_heads})"
            ));
        }
        let head_size = match (self.optional_size("head_dim")?, family) {
            (Some(size), _) => size,
            (None, Family::Qwen3) => 128,
            (None, _) if hidden_size % heads == 0 => hidden_size / heads,
            (None, _) => {
                return Err(format!(
                    "hidden_size ({hidden_size}) must be a multiple of num_attention_heads ({heads}) where head_dim is missing"
                ));
            }
        };
        if !head_size.is_multiple_of(2) {
            return Err(format!("head_dim ({head_size}) must be even"));
        }
        Ok(AttentionShape { heads, kv_heads, head_size })
    }

    fn rope_theta(&self) -> Result<f64, String> {
        let rope = self.get("rope_parameters").or(self.get("rope_scaling"));
        match rope.and_then(|rope| rope.get("rope_theta")).or(self.get("rope_theta")) {
            None => Ok(10_000.0),
            Some(value) => positive("rope_theta", value),
        }
    }

    /// Settings that would change the arithmetic and that the engine does not have.
    fn refuse_variants(&self, family: Family) -> Result<(), String> {
        for key in ["attention_bias", "mlp_bias"] {
            // Qwen2's biases do not depend on it.
            if self.flag(key)? && !(key == "attention_bias" && family == Family::Qwen2) {
                return Err(format!("`{key}`: true is not supported for {}", family.model_type()));
            }
        }
        if let Some(quantization) = self.get("quantization_config") {
            let method = quantization.get("quant_method").and_then(Value::as_str).unwrap_or("unnamed");
            return Err(format!(
                "quantization_config (`{method}`) is not supported: expected weights in float32, float16 or bfloat16"
            ));
        }
        let rope = self.get("rope_parameters").or(self.get("rope_scaling"));
        let partial = rope.and_then(|rope| rope.get("partial_rotary_factor")).or(self.get("partial_rotary_factor"));
        if let Some(factor) = partial.filter(|factor| factor.as_f64() != Some(1.0)) {
            return Err(format!("partial_rotary_factor {factor} is not supported (supported: 1)"));
        }
        match self.get("hidden_act").map(|act| act.as_str().unwrap_or("")) {
            None | Some("silu") => Ok(()),
            Some(other) => Err(format!("hidden_act `{other}` is not supported (supported: silu)")),
        }
    }

    /// A window that no text can outgrow changes nothing.
    fn refuse_sliding_window(&self, config: &ModelConfig) -> Result<(), String> {
        let listed = self.get("layer_types").and_then(Value::as_array);
        let slides = match listed {
            Some(types) => types.iter().any(|kind| kind.as_str() != Some("full_attention")),
            None => {
                let first = self.get("max_window_layers").and_then(Value::as_u64).unwrap_or(0);
                self.flag("use_sliding_window")? && first < config.num_layers as u64
            }
        };
        let window = self.optional_size("sliding_window")?.unwrap_or(config.max_position_embeddings);
        if slides && window < config.max_position_embeddings {
            return Err(format!(
                "a sliding window of {window} tokens is not supported where max_position_embeddings is {}; \
                 setting max_position_embeddings to {window} gives the same outputs for texts up to that length",
                config.max_position_embeddings
            ));
        }
        Ok(())
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.keys.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> Result<&str, String> {
        let value = self.get(key).ok_or_else(|| format!("key `{key}` is missing"))?;
        value.as_str().ok_or_else(|| format!("key `{key}` must be a string, found {value}"))
    }

    fn flag(&self, key: &str) -> Result<bool, String> {
        let Some(value) = self.get(key) else { return Ok(false) };
        value.as_bool().ok_or_else(|| format!("key `{key}` must be true or false, found {value}"))
    }

    fn positive(&self, key: &str) -> Result<Option<f64>, String> {
        self.get(key).map(|value| positive(key, value)).transpose()
    }

    fn tokens(&self, key: &str, vocab_size: usize) -> Result<Vec<u32>, String> {
        let tokens = token_list(self.get(key)).map_err(|problem| format!("key `{key}`: {problem}"))?;
        check_tokens(key, tokens, vocab_size)
    }

    fn size(&self, key: &str) -> Result<usize, String> {
        self.optional_size(key)?.ok_or_else(|| format!("key `{key}` is missing"))
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>, String> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_u64() {
            Some(n) if (1..=LARGEST_SIZE).contains(&n) => Ok(Some(n as usize)),
            _ => Err(format!("key `{key}` must be an integer between 1 and {LARGEST_SIZE}, found {value}")),
        }
    }
}

fn positive(key: &str, value: &Value) -> Result<f64, String> {
    let number = value.as_f64().filter(|x| *x > 0.0 && x.is_finite());
    number.ok_or_else(|| format!("key `{key}` must be a positive number, found {value}"))
}

/// Sizes that are fine one by one can still be absurd together.
fn refuse_excess(config: &ModelConfig) -> Result<(), String> {
    if config.num_layers > MOST_LAYERS {
        return Err(format!("num_hidden_layers ({}) must be at most {MOST_LAYERS}", config.num_layers));
    }
    let wide = |n: usize| n as u128;
    let hidden = wide(config.hidden_size);
    let attention = config.attention;
    let projections = wide(2 * attention.heads + 2 * attention.kv_heads) * wide(attention.head_size) * hidden;
    let layer = projections + 3 * hidden * wide(config.intermediate_size);
    let parameters = 2 * wide(config.vocab_size) * hidden + wide(config.num_layers) * layer;
    if parameters > MOST_PARAMETERS {
        return Err(format!("the sizes make {parameters} weights, at most {MOST_PARAMETERS} are supported"));
    }
    let table = config.max_position_embeddings.saturating_mul(attention.head_size / 2);
    if table > LARGEST_ROTARY_TABLE {
        return Err(format!(
            "max_position_embeddings x head_dim / 2 ({} x {}) must be at most {LARGEST_ROTARY_TABLE}",
            config.max_position_embeddings,
            attention.head_size / 2
        ));
    }
    Ok(())
}

/// A token id, a list of them, or nothing.
pub(super) fn token_list(value: Option<&Value>) -> Result<Vec<u32>, String> {
    let one =
        |v: &Value| v.as_u64().and_then(|t| u32::try_from(t).ok()).ok_or_else(|| format!("`{v}` is not a token id"));
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(one).collect(),
        Some(v) => Ok(vec![one(v)?]),
    }
}

/// The tokens, if the vocabulary has them.
pub(super) fn check_tokens(key: &str, tokens: Vec<u32>, vocab_size: usize) -> Result<Vec<u32>, String> {
    match tokens.iter().find(|token| **token as usize >= vocab_size) {
        Some(token) => Err(format!("key `{key}` holds {token}, expected tokens below vocab_size ({vocab_size})")),
        None => Ok(tokens),
    }
}
