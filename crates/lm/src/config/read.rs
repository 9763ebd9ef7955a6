//! Reading `config.json`: what the engine supports is taken; what would change the arithmetic and is not supported is refused
//! by name.

use super::family::{AttentionBias, Facts, Family};
use super::keys::Keys;
use super::layers::{layer_kinds, ropes};
use super::model::{ACTIVATIONS, Biases, ModelConfig};
use serde_json::{Map, Value};
use vapo_kernels::{Activation, AttentionShape};

const MAX_LAYERS: usize = 10_000;
/// Weights of all tensors together, so that sums of sizes stay within 64 bits.
const MAX_PARAMETERS: u128 = 1 << 44;
/// Entries of the tables of rotary positions that any network may have; one with more weights may have as many as weights, so
/// that a small file cannot claim much memory.
const MAX_ROTARY_TABLE: u128 = 1 << 24;

impl ModelConfig {
    /// The shape that the keys of a `config.json` describe; an error names the key.
    pub(crate) fn from_json(keys: Map<String, Value>) -> Result<ModelConfig, String> {
        let keys = &Keys(keys);
        let family = family(keys)?;
        let facts = family.facts();
        refuse_variants(keys)?;
        let vocab_size = keys.size("vocab_size")?;
        let (num_layers, attention) = (num_layers(keys)?, attention(keys, facts)?);
        let max_positions = keys.optional_size("max_position_embeddings")?.unwrap_or(facts.max_positions);
        let config = ModelConfig {
            family,
            vocab_size,
            hidden_size: keys.size("hidden_size")?,
            intermediate_size: keys.size("intermediate_size")?,
            num_layers,
            attention,
            rms_norm_eps: keys.positive("rms_norm_eps")?.unwrap_or(facts.eps) as f32,
            query_scale: query_scale(keys, facts, attention)?,
            activation: activation(keys, facts)?,
            biases: biases(keys, facts)?,
            layers: layer_kinds(keys, facts, num_layers, max_positions)?,
            ropes: ropes(keys, facts, attention.head_size, max_positions)?,
            tied: keys.optional_flag("tie_word_embeddings")?.unwrap_or(facts.tied),
            max_position_embeddings: max_positions,
            bos_token_id: keys.tokens("bos_token_id", vocab_size)?.first().copied(),
            eos_token_ids: keys.tokens("eos_token_id", vocab_size)?,
            other: Map::new(),
        };
        refuse_excess(&config)?;
        Ok(ModelConfig { other: keys.0.clone(), ..config })
    }
}

/// Few enough that a list of them is small.
fn num_layers(keys: &Keys) -> Result<usize, String> {
    match keys.size("num_hidden_layers")? {
        layers if layers > MAX_LAYERS => Err(format!("num_hidden_layers ({layers}) must be at most {MAX_LAYERS}")),
        layers => Ok(layers),
    }
}

fn family(keys: &Keys) -> Result<Family, String> {
    let model_type = keys.text("model_type")?;
    Family::named(model_type).ok_or_else(|| {
        format!("model_type `{model_type}` is not supported (supported: {})", Family::names().join(", "))
    })
}

fn attention(keys: &Keys, facts: &Facts) -> Result<AttentionShape, String> {
    let (hidden_size, heads) = (keys.size("hidden_size")?, keys.size("num_attention_heads")?);
    // Unlike an absent key, null means as many as there are query heads.
    let absent = if keys.0.contains_key("num_key_value_heads") { None } else { facts.kv_heads };
    let kv_heads = keys.optional_size("num_key_value_heads")?.or(absent).unwrap_or(heads);
    if heads % kv_heads != 0 {
        return Err(format!("num_attention_heads ({heads}) must be a multiple of num_key_value_heads ({kv_heads})"));
    }
    let head_size = match keys.optional_size("head_dim")?.or(facts.head_size) {
        Some(size) => size,
        None if hidden_size % heads == 0 => hidden_size / heads,
        None => {
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

/// What products of queries and keys are multiplied by.
fn query_scale(keys: &Keys, facts: &Facts, attention: AttentionShape) -> Result<f32, String> {
    let Some((key, default)) = facts.query_scalar else { return Ok(attention.full().scale) };
    Ok((1.0 / keys.positive(key)?.unwrap_or(default).sqrt()) as f32)
}

fn activation(keys: &Keys, facts: &Facts) -> Result<Activation, String> {
    let (key, default) = facts.activation;
    let name = match keys.get(key) {
        None => default,
        Some(name) => name.as_str().unwrap_or(""),
    };
    let known = ACTIVATIONS.iter().find(|known| known.0 == name);
    known.map(|known| known.1).ok_or_else(|| {
        let names: Vec<&str> = ACTIVATIONS.iter().map(|known| known.0).collect();
        format!("{key} `{name}` is not supported (supported: {})", names.join(", "))
    })
}

fn biases(keys: &Keys, facts: &Facts) -> Result<Biases, String> {
    let (attention, mlp) = (keys.flag("attention_bias")?, keys.flag("mlp_bias")?);
    let refuse = |key: &str| Err(format!("`{key}`: true is not supported for {}", facts.model_type));
    if mlp && !facts.mlp_bias {
        return refuse("mlp_bias");
    }
    match facts.attention_bias {
        AttentionBias::Never if attention => refuse("attention_bias"),
        AttentionBias::Never => Ok(Biases { qkv: false, output: false, mlp }),
        AttentionBias::QueriesKeysValues => Ok(Biases { qkv: true, output: false, mlp }),
        AttentionBias::OnRequest => Ok(Biases { qkv: attention, output: attention, mlp }),
    }
}

/// Settings that would change the arithmetic and that the engine does not have.
fn refuse_variants(keys: &Keys) -> Result<(), String> {
    if let Some(quantization) = keys.get("quantization_config") {
        let method = quantization.get("quant_method").and_then(Value::as_str).unwrap_or("unnamed");
        return Err(format!(
            "quantization_config (`{method}`) is not supported: expected weights in float32, float16 or bfloat16"
        ));
    }
    for key in ["final_logit_softcapping", "attn_logit_softcapping"] {
        if let Some(cap) = keys.get(key) {
            return Err(format!("{key} {cap} is not supported (supported: null)"));
        }
    }
    if keys.flag("use_bidirectional_attention")? {
        return Err("`use_bidirectional_attention`: true is not supported".into());
    }
    Ok(())
}

/// Sizes that are fine one by one can still be absurd together.
fn refuse_excess(config: &ModelConfig) -> Result<(), String> {
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
