//! The shape of a network: Hugging Face's `config.json` of the Llama, Qwen2 and Qwen3 families.

mod read;
mod rope;

pub use rope::{Llama3Scaling, RopeScaling};

use crate::files::read_bounded;
use crate::{Error, WeightDtype};
use read::{Reader, check_tokens, token_list};
use serde_json::{Map, Value, json};
use std::path::Path;
use vapo_kernels::AttentionShape;

/// Which architecture a `config.json` describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Llama 2 and 3, SmolLM2 ..: no biases.
    Llama,
    /// Qwen 2 and 2.5: biases on queries, keys and values.
    Qwen2,
    /// Qwen 3: normalised queries and keys.
    Qwen3,
}

impl Family {
    const ALL: [(&'static str, Family, &'static str); 3] =
        [("llama", Family::Llama, "Llama"), ("qwen2", Family::Qwen2, "Qwen2"), ("qwen3", Family::Qwen3, "Qwen3")];

    /// The family that a `model_type` names.
    pub(crate) fn named(model_type: &str) -> Option<Family> {
        Family::ALL.iter().find(|family| family.0 == model_type).map(|family| family.1)
    }

    /// Every `model_type` that is supported.
    pub(crate) fn names() -> Vec<&'static str> {
        Family::ALL.iter().map(|family| family.0).collect()
    }

    fn class_prefix(self) -> &'static str {
        Family::ALL[self as usize].2
    }

    fn model_type(self) -> &'static str {
        Family::ALL[self as usize].0
    }
}

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
    /// First token of every text, if the model wants one.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text: those of `generation_config.json`, or else of `config.json`.
    pub eos_token_ids: Vec<u32>,
    /// Keys of a `config.json` that change nothing here, written back as they were.
    other: Map<String, Value>,
}

/// Largest JSON file of a model directory that is read whole, in bytes.
const LARGEST_JSON: u64 = 16 << 20;

fn read_object(path: &Path) -> Result<Map<String, Value>, Error> {
    let bytes = read_bounded(path, LARGEST_JSON)?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(keys)) => Ok(keys),
        Ok(_) => Err(Error::content(path, "expected a JSON object")),
        Err(error) => Err(Error::content(path, format!("not JSON: {error}"))),
    }
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
        let path = dir.join("config.json");
        let mut config =
            ModelConfig::from_json(read_object(&path)?).map_err(|problem| Error::content(&path, problem))?;
        let path = dir.join("generation_config.json");
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
        Reader { keys }.config()
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
