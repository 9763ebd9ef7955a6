//! The network that a GGUF file describes: its `config.json`, and the tensors under their Hugging Face names.

use super::read::{GgufFile, Metadata, TensorInfo, required};
use crate::config::{Family, Llama3Scaling, Rope, RopeScaling};
use crate::layout::Layout;
use crate::{Error, Head, ModelConfig};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Parts of a layer, Hugging Face's name and GGUF's.
const LAYER_PARTS: [(&str, &str); 11] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// Architectures whose tensors and metadata [`Network`] knows; their names are those of Hugging Face.
const ARCHITECTURES: [&str; 3] = ["llama", "qwen2", "qwen3"];

/// Divisors of the rotary frequencies, `[head_size / 2]`, which encode Llama 3's scaling.
const ROPE_FACTORS: &str = "rope_freqs.weight";

/// A network in a GGUF file.
pub(super) struct Network<'a> {
    file: &'a GgufFile,
    pub(super) config: ModelConfig,
}

impl<'a> Network<'a> {
    /// Reads the metadata, and checks that the tensors are those of the network.
    pub(super) fn new(file: &'a GgufFile) -> Result<Network<'a>, Error> {
        let wrong = |problem| Error::content(&file.path, problem);
        let mut config = ModelConfig::from_json(config_json(file).map_err(wrong)?).map_err(wrong)?;
        if let Some(factors) = file.tensors.get(ROPE_FACTORS) {
            let factors = file.read(ROPE_FACTORS, factors)?;
            config.ropes[0].scaling = Some(llama3_scaling(&config, &file.metadata, &factors).map_err(wrong)?);
        }
        let network = Network { file, config };
        network.check().map_err(wrong)?;
        Ok(network)
    }

    /// Names and shapes as Hugging Face has them.
    pub(super) fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        Layout::shapes(&self.config, Head::Language)
    }

    fn check(&self) -> Result<(), String> {
        let mut known = BTreeSet::from([ROPE_FACTORS.to_string()]);
        for (name, shape) in self.tensors() {
            let own = gguf_name(&name);
            let info = self.file.tensors.get(&own).ok_or_else(|| format!("tensor `{own}` is missing"))?;
            if info.shape != shape {
                return Err(format!("tensor `{own}` has shape {:?}, the metadata say {shape:?}", info.shape));
            }
            known.insert(own);
        }
        match self.file.tensors.keys().find(|name| !known.contains(*name)) {
            Some(name) => Err(format!("tensor `{name}` has no place in the network that the metadata describe")),
            None => Ok(()),
        }
    }

    /// A tensor's values, row-major, by its Hugging Face name.
    pub(super) fn read(&self, name: &str) -> Result<Vec<f32>, Error> {
        let own = gguf_name(name);
        let info: &TensorInfo = &self.file.tensors[&own];
        let values = self.file.read(&own, info)?;
        let attention = self.config.attention;
        let heads = match name.rsplit('.').nth(1) {
            Some("q_proj") => attention.heads,
            Some("k_proj") => attention.kv_heads,
            _ => return Ok(values),
        };
        match self.config.family {
            Family::Llama => Ok(halves_from_pairs(&values, heads, attention.head_size)),
            _ => Ok(values),
        }
    }
}

/// Rows of queries and keys of the architecture `llama` are stored for a rotation of neighbors (0, 1), (2, 3), ..;
/// Hugging Face rotates row i of a head with row i + head_size / 2.
fn halves_from_pairs(values: &[f32], heads: usize, head_size: usize) -> Vec<f32> {
    let width = values.len() / (heads * head_size);
    let mut rows = Vec::with_capacity(values.len());
    for head in values.chunks_exact(head_size * width) {
        for half in 0..2 {
            for pair in 0..head_size / 2 {
                let row = 2 * pair + half;
                rows.extend_from_slice(&head[row * width..(row + 1) * width]);
            }
        }
    }
    rows
}

fn gguf_name(name: &str) -> String {
    match name {
        "model.embed_tokens.weight" => "token_embd.weight".into(),
        "model.norm.weight" => "output_norm.weight".into(),
        "lm_head.weight" => "output.weight".into(),
        _ => {
            let rest = name.strip_prefix("model.layers.").unwrap_or(name);
            let (layer, part) = rest.split_once('.').unwrap_or((rest, ""));
            let (part, suffix) = part.rsplit_once('.').unwrap_or((part, ""));
            let own = LAYER_PARTS.iter().find(|names| names.0 == part).map_or(part, |names| names.1);
            format!("blk.{layer}.{own}.{suffix}")
        }
    }
}

/// The keys of a `config.json`.
fn config_json(file: &GgufFile) -> Result<Map<String, Value>, String> {
    let metadata = &file.metadata;
    let architecture = required("general.architecture", metadata.text("general.architecture"))?;
    if !ARCHITECTURES.contains(&architecture) {
        return Err(format!(
            "architecture `{architecture}` is not supported in GGUF files (supported: {})",
            ARCHITECTURES.join(", ")
        ));
    }
    refuse_variants(metadata, architecture)?;
    let key = |name: &str| format!("{architecture}.{name}");
    let size = |name: &str| required(&key(name), metadata.size(&key(name)));
    let mut keys = Map::new();
    let mut put = |name: &str, value: Value| keys.insert(name.into(), value);
    let (width, heads) = (size("embedding_length")?, size("attention.head_count")?);
    let kv_heads = metadata.size(&key("attention.head_count_kv"))?.unwrap_or(heads);
    put("model_type", json!(architecture));
    put("hidden_size", json!(width));
    put("intermediate_size", json!(size("feed_forward_length")?));
    put("num_hidden_layers", json!(size("block_count")?));
    put("num_attention_heads", json!(heads));
    put("num_key_value_heads", json!(kv_heads));
    put("max_position_embeddings", json!(size("context_length")?));
    if let Some(head_size) = metadata.size(&key("attention.key_length"))? {
        put("head_dim", json!(head_size));
    }
    let eps = key("attention.layer_norm_rms_epsilon");
    put("rms_norm_eps", json!(required(&eps, metadata.number(&eps))?));
    put("rope_theta", json!(metadata.number(&key("rope.freq_base"))?.unwrap_or(10_000.0)));
    if let Some(scaling) = rope_scaling(metadata, architecture)? {
        put("rope_scaling", scaling);
    }
    let embedding = file.tensors.get("token_embd.weight").ok_or("tensor `token_embd.weight` is missing")?;
    put("vocab_size", json!(embedding.shape[0]));
    put("tie_word_embeddings", json!(!file.tensors.contains_key("output.weight")));
    for (name, role) in [("bos_token_id", "bos"), ("eos_token_id", "eos"), ("pad_token_id", "padding")] {
        if let Some(token) = metadata.size(&format!("tokenizer.ggml.{role}_token_id"))? {
            put(name, json!(token));
        }
    }
    Ok(keys)
}

/// What would change the arithmetic and is not in the engine.
fn refuse_variants(metadata: &Metadata, architecture: &str) -> Result<(), String> {
    let size = |name: &str| metadata.size(&format!("{architecture}.{name}"));
    if let Some(count) = metadata.size("split.count")?.filter(|count| *count > 1) {
        return Err(format!(
            "this is one of {count} parts: join them first (`llama-gguf-split --merge FIRST.gguf WHOLE.gguf`)"
        ));
    }
    if let Some(experts) = size("expert_count")?.filter(|count| *count > 0) {
        return Err(format!("a mixture of {experts} experts is not supported"));
    }
    let context = size("context_length")?.unwrap_or(u64::MAX);
    if let Some(window) = size("attention.sliding_window")?.filter(|window| (1..context).contains(window)) {
        return Err(format!("a sliding window of {window} tokens is not supported"));
    }
    let (keys, values) = (size("attention.key_length")?, size("attention.value_length")?);
    if let (Some(keys), Some(values)) = (keys, values)
        && keys != values
    {
        return Err(format!("heads with keys of {keys} and values of {values} numbers are not supported"));
    }
    let head_size = keys.or(match (size("embedding_length")?, size("attention.head_count")?) {
        (Some(width), Some(heads)) if heads > 0 => Some(width / heads),
        _ => None,
    });
    match (size("rope.dimension_count")?, head_size) {
        (Some(rotated), Some(head_size)) if rotated != head_size => {
            Err(format!("heads of {head_size} numbers of which {rotated} are rotated are not supported"))
        }
        _ => Ok(()),
    }
}

fn rope_scaling(metadata: &Metadata, architecture: &str) -> Result<Option<Value>, String> {
    let key = |name: &str| format!("{architecture}.rope.scaling.{name}");
    match metadata.text(&key("type"))? {
        None | Some("none") => Ok(None),
        Some("linear") => {
            let factor = required(&key("factor"), metadata.number(&key("factor")))?;
            Ok(Some(json!({"rope_type": "linear", "factor": factor})))
        }
        Some(other) => Err(format!(
            "rope scaling `{other}` is not supported (supported: none, linear, and llama 3's {ROPE_FACTORS})"
        )),
    }
}

/// Llama 3's scaling from the divisors that it gives. Its largest is the factor; the other three numbers are those of every
/// published model of that family, and have to explain the divisors.
fn llama3_scaling(config: &ModelConfig, metadata: &Metadata, divisors: &[f32]) -> Result<RopeScaling, String> {
    let original = metadata.number("llama.rope.scaling.original_context_length")?.unwrap_or(8192.0);
    let scaling = Llama3Scaling {
        factor: divisors.iter().copied().fold(1.0, f32::max).into(),
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_positions: original,
    };
    let rope = &config.ropes[0];
    let plain = Rope { scaling: None, ..rope.clone() }.inverse_frequencies(config.max_position_embeddings);
    let explains = |(frequency, divisor): (&f64, &f32)| {
        let expected = frequency / scaling.stretch(*frequency);
        (expected - f64::from(*divisor)).abs() <= 1e-4 * expected
    };
    if plain.len() == divisors.len() && rope.scaling.is_none() && plain.iter().zip(divisors).all(explains) {
        return Ok(RopeScaling::Llama3(scaling));
    }
    Err(format!(
        "{ROPE_FACTORS} is not supported: its numbers are not those of Llama 3's scaling \
         (low_freq_factor 1, high_freq_factor 4, original_max_position_embeddings {original})"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tensors() {
        for (name, own) in [
            ("model.embed_tokens.weight", "token_embd.weight"),
            ("lm_head.weight", "output.weight"),
            ("model.layers.11.self_attn.q_proj.bias", "blk.11.attn_q.bias"),
            ("model.layers.0.self_attn.k_norm.weight", "blk.0.attn_k_norm.weight"),
            ("model.layers.3.post_attention_layernorm.weight", "blk.3.ffn_norm.weight"),
        ] {
            assert_eq!(gguf_name(name), own);
        }
    }

    #[test]
    fn rows_of_a_head_are_put_in_halves() {
        // Two heads of four rows of two numbers: rows 0, 1, 2, 3 become 0, 2, 1, 3.
        let values: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let want = [0., 1., 4., 5., 2., 3., 6., 7., 8., 9., 12., 13., 10., 11., 14., 15.];
        assert_eq!(halves_from_pairs(&values, 2, 4), want);
    }
}
