//! The shape of a network, from and to `config.json`. What the engine supports is taken; what would change the arithmetic
//! and is not supported is refused by name.

use super::family::Family;
use super::keys::{Keys, check_tokens, positive, read_object, token_list};
use super::rope::RopeScaling;
use crate::files::path_in;
use crate::{Error, WeightDtype};
use serde_json::{Map, Value, json};
use std::path::Path;
use vapo_kernels::AttentionShape;

const MAX_LAYERS: usize = 10_000;
/// Weights of all tensors together, so that sums of sizes stay within 64 bits.
const MAX_PARAMETERS: u128 = 1 << 44;
/// Entries of the tables of rotary positions that any network may have; one with more weights may have as many as weights, so
/// that a small file cannot claim much memory.
const MAX_ROTARY_TABLE: u128 = 1 << 24;

/// The shape of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Architecture.
    pub family: Family,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated layer.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_layers: usize,
    /// Query heads, key/value heads and their size.
    pub attention: AttentionShape,
    /// Added to the mean square in every norm.
    pub rms_norm_eps: f32,
    /// Base of the rotary wavelengths.
    pub rope_theta: f64,
    /// How rotary frequencies are stretched for long contexts, if they are.
    pub rope_scaling: Option<RopeScaling>,
    /// Whether the vocabulary head is the embedding table.
    pub tied: bool,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// First token of every text, if the model needs one.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text: those of `generation_config.json`, or else of `config.json`.
    pub eos_token_ids: Vec<u32>,
    /// Keys of a `config.json` that change nothing here, written back as they were.
    other: Map<String, Value>,
}

/// Sizes for [`ModelConfig::new`].
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Number of tokens.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated layer.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_layers: usize,
    /// Query heads.
    pub num_heads: usize,
    /// Key/value heads.
    pub num_kv_heads: usize,
    /// Longest sequence.
    pub max_positions: usize,
}

impl ModelConfig {
    /// A Llama-shaped configuration with a tied head.
    pub fn new(sizes: Sizes) -> ModelConfig {
        ModelConfig {
            family: Family::Llama,
            vocab_size: sizes.vocab_size,
            hidden_size: sizes.hidden_size,
            intermediate_size: sizes.intermediate_size,
            num_layers: sizes.num_layers,
            attention: AttentionShape {
                heads: sizes.num_heads,
                kv_heads: sizes.num_kv_heads,
                head_size: sizes.hidden_size / sizes.num_heads,
            },
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            rope_scaling: None,
            tied: true,
            max_position_embeddings: sizes.max_positions,
            bos_token_id: None,
            eos_token_ids: Vec::new(),
            other: Map::new(),
        }
    }

    /// Reads `config.json` of a Hugging Face directory, and from `generation_config.json` the tokens that end a text.
    ///
    /// # Errors
    /// A file cannot be read, or describes a network that is not supported.
    pub fn load(dir: &Path) -> Result<ModelConfig, Error> {
        let path = path_in(dir, "config.json")?;
        let mut config =
            ModelConfig::from_json(read_object(&path)?).map_err(|problem| Error::content(&path, problem))?;
        let path = path_in(dir, "generation_config.json")?;
        if path.is_file()
            && let Some(tokens) = read_object(&path)?.get("eos_token_id").filter(|tokens| !tokens.is_null())
        {
            config.eos_token_ids = token_list(Some(tokens))
                .and_then(|tokens| check_tokens("eos_token_id", tokens, config.vocab_size))
                .map_err(|problem| Error::content(&path, problem))?;
        }
        Ok(config)
    }

    /// The shape that the keys of a `config.json` describe; an error names the key.
    pub(crate) fn from_json(keys: Map<String, Value>) -> Result<ModelConfig, String> {
        let keys = &Keys(keys);
        let family = family(keys)?;
        refuse_variants(keys, family)?;
        let rope = keys.get("rope_parameters").or(keys.get("rope_scaling"));
        let vocab_size = keys.size("vocab_size")?;
        let config = ModelConfig {
            family,
            vocab_size,
            hidden_size: keys.size("hidden_size")?,
            intermediate_size: keys.size("intermediate_size")?,
            num_layers: keys.size("num_hidden_layers")?,
            attention: attention(keys, family)?,
            rms_norm_eps: keys.positive("rms_norm_eps")?.unwrap_or(1e-6) as f32,
            rope_theta: rope_theta(keys)?,
            rope_scaling: rope.map_or(Ok(None), RopeScaling::from_json)?,
            tied: keys.flag("tie_word_embeddings")?,
            max_position_embeddings: keys.optional_size("max_position_embeddings")?.unwrap_or(2048),
            bos_token_id: keys.tokens("bos_token_id", vocab_size)?.first().copied(),
            eos_token_ids: keys.tokens("eos_token_id", vocab_size)?,
            other: Map::new(),
        };
        refuse_sliding_window(keys, &config)?;
        refuse_excess(&config)?;
        Ok(ModelConfig { other: keys.0.clone(), ..config })
    }

    /// Inverse frequencies of the rotary positions, `[head_size / 2]`, radians per token.
    pub(crate) fn inverse_frequencies(&self) -> Vec<f64> {
        let size = self.attention.head_size;
        let plain = (0..size / 2).map(|i| libm::pow(self.rope_theta, -((2 * i) as f64) / size as f64));
        plain.map(|f| self.rope_scaling.map_or(f, |s| s.stretch(f))).collect()
    }

    /// The content of `config.json` for a model with a vocabulary head or (a critic) a scalar head.
    pub(crate) fn to_json(&self, critic: bool, dtype: WeightDtype) -> Value {
        let mut map = self.other.clone();
        let class = if critic { "ForTokenClassification" } else { "ForCausalLM" };
        let mut rope = self.rope_scaling.map_or_else(|| json!({"rope_type": "default"}), RopeScaling::to_json);
        rope["rope_theta"] = json!(self.rope_theta);
        let mut put = |key: &str, value: Value| {
            map.insert(key.into(), value);
        };
        put("architectures", json!([format!("{}{class}", self.family.class_prefix())]));
        put("model_type", json!(self.family.model_type()));
        put("vocab_size", json!(self.vocab_size));
        put("hidden_size", json!(self.hidden_size));
        put("intermediate_size", json!(self.intermediate_size));
        put("num_hidden_layers", json!(self.num_layers));
        put("num_attention_heads", json!(self.attention.heads));
        put("num_key_value_heads", json!(self.attention.kv_heads));
        put("head_dim", json!(self.attention.head_size));
        put("hidden_act", json!("silu"));
        put("rms_norm_eps", json!(self.rms_norm_eps.to_string().parse::<f64>().unwrap_or(1e-5)));
        // Both spellings: `rope_parameters` is read by transformers 5, the others by transformers 4.
        put("rope_theta", json!(self.rope_theta));
        if self.rope_scaling.is_some() {
            put("rope_scaling", rope.clone());
        }
        put("rope_parameters", rope);
        put("tie_word_embeddings", json!(self.tied && !critic));
        put("max_position_embeddings", json!(self.max_position_embeddings));
        put("attention_bias", json!(false));
        // Both spellings again: transformers 5 reads `dtype`.
        put("torch_dtype", json!(dtype.name()));
        put("dtype", json!(dtype.name()));
        if let Some(bos) = self.bos_token_id {
            put("bos_token_id", json!(bos));
        }
        match self.eos_token_ids[..] {
            _ if self.other.contains_key("eos_token_id") => {}
            [] => {}
            [one] => put("eos_token_id", json!(one)),
            _ => put("eos_token_id", json!(self.eos_token_ids)),
        }
        if critic {
            put("num_labels", json!(1));
            put("id2label", json!({"0": "value"}));
            put("label2id", json!({"value": 0}));
            put("classifier_dropout", json!(0.0));
        }
        Value::Object(map)
    }
}

fn family(keys: &Keys) -> Result<Family, String> {
    let model_type = keys.text("model_type")?;
    Family::named(model_type).ok_or_else(|| {
        format!("model_type `{model_type}` is not supported (supported: {})", Family::names().join(", "))
    })
}

fn attention(keys: &Keys, family: Family) -> Result<AttentionShape, String> {
    let (hidden_size, heads) = (keys.size("hidden_size")?, keys.size("num_attention_heads")?);
    let kv_heads = match family {
        Family::Llama => keys.optional_size("num_key_value_heads")?.unwrap_or(heads),
        Family::Qwen2 | Family::Qwen3 => keys.size("num_key_value_heads")?,
    };
    if heads % kv_heads != 0 {
        return Err(format!("num_attention_heads ({heads}) must be a multiple of num_key_value_heads ({kv_heads})"));
    }
    let head_size = match (keys.optional_size("head_dim")?, family) {
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

fn rope_theta(keys: &Keys) -> Result<f64, String> {
    let rope = keys.get("rope_parameters").or(keys.get("rope_scaling"));
    match rope.and_then(|rope| rope.get("rope_theta")).or(keys.get("rope_theta")) {
        None => Ok(10_000.0),
        Some(value) => positive("rope_theta", value),
    }
}

/// Settings that would change the arithmetic and that the engine does not have.
fn refuse_variants(keys: &Keys, family: Family) -> Result<(), String> {
    for key in ["attention_bias", "mlp_bias"] {
        // Qwen2's biases do not depend on it.
        if keys.flag(key)? && !(key == "attention_bias" && family == Family::Qwen2) {
            return Err(format!("`{key}`: true is not supported for {}", family.model_type()));
        }
    }
    if let Some(quantization) = keys.get("quantization_config") {
        let method = quantization.get("quant_method").and_then(Value::as_str).unwrap_or("unnamed");
        return Err(format!(
            "quantization_config (`{method}`) is not supported: expected weights in float32, float16 or bfloat16"
        ));
    }
    let rope = keys.get("rope_parameters").or(keys.get("rope_scaling"));
    let partial = rope.and_then(|rope| rope.get("partial_rotary_factor")).or(keys.get("partial_rotary_factor"));
    if let Some(factor) = partial.filter(|factor| factor.as_f64() != Some(1.0)) {
        return Err(format!("partial_rotary_factor {factor} is not supported (supported: 1)"));
    }
    match keys.get("hidden_act").map(|act| act.as_str().unwrap_or("")) {
        None | Some("silu") => Ok(()),
        Some(other) => Err(format!("hidden_act `{other}` is not supported (supported: silu)")),
    }
}

/// A window that no text can outgrow changes nothing.
fn refuse_sliding_window(keys: &Keys, config: &ModelConfig) -> Result<(), String> {
    let listed = keys.get("layer_types").and_then(Value::as_array);
    let slides = match listed {
        Some(types) => types.iter().any(|kind| kind.as_str() != Some("full_attention")),
        None => {
            let first = keys.get("max_window_layers").and_then(Value::as_u64).unwrap_or(0);
            keys.flag("use_sliding_window")? && first < config.num_layers as u64
        }
    };
    let window = keys.optional_size("sliding_window")?.unwrap_or(config.max_position_embeddings);
    if slides && window < config.max_position_embeddings {
        return Err(format!(
            "a sliding window of {window} tokens is not supported where max_position_embeddings is {}; \
             setting max_position_embeddings to {window} gives the same outputs for texts up to that length",
            config.max_position_embeddings
        ));
    }
    Ok(())
}

/// Sizes that are fine one by one can still be absurd together.
fn refuse_excess(config: &ModelConfig) -> Result<(), String> {
    if config.num_layers > MAX_LAYERS {
        return Err(format!("num_hidden_layers ({}) must be at most {MAX_LAYERS}", config.num_layers));
    }
    let wide = |n: usize| n as u128;
    let hidden = wide(config.hidden_size);
    let attention = config.attention;
    let projections = wide(2 * attention.heads + 2 * attention.kv_heads) * wide(attention.head_size) * hidden;
    let layer = projections + 3 * hidden * wide(config.intermediate_size);
    let parameters = 2 * wide(config.vocab_size) * hidden + wide(config.num_layers) * layer;
    if parameters > MAX_PARAMETERS {
        return Err(format!("the sizes make {parameters} weights, at most {MAX_PARAMETERS} are supported"));
    }
    let most = parameters.max(MAX_ROTARY_TABLE);
    if wide(config.max_position_embeddings) * wide(attention.head_size / 2) > most {
        return Err(format!(
            "max_position_embeddings x head_dim / 2 ({} x {}) must be at most {most} in a network of {parameters} weights",
            config.max_position_embeddings,
            attention.head_size / 2
        ));
    }
    Ok(())
}
