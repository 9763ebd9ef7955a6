//! The shape of a network: Hugging Face's `config.json` of the Llama, Qwen2 and Qwen3 families.

use crate::{Error, FileDtype};
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

    fn class_prefix(self) -> &'static str {
        Family::ALL[self as usize].2
    }

    fn model_type(self) -> &'static str {
        Family::ALL[self as usize].0
    }
}

/// Llama 3's stretching of rotary frequencies for long contexts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Llama3Scaling {
    /// Low frequencies are divided by this.
    pub factor: f64,
    /// Wavelengths above `original_positions / low_freq_factor` are stretched fully.
    pub low_freq_factor: f64,
    /// Wavelengths below `original_positions / high_freq_factor` are left alone.
    pub high_freq_factor: f64,
    /// Context length of the first training.
    pub original_positions: f64,
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
    /// Llama 3's rotary scaling, if any.
    pub rope_scaling: Option<Llama3Scaling>,
    /// Whether the vocabulary head is the embedding table.
    pub tied: bool,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// First token of every text, if the model wants one.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text.
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

    /// Reads `config.json` of a Hugging Face directory.
    pub fn load(dir: &Path) -> Result<ModelConfig, Error> {
        let path = dir.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        let value: Value = serde_json::from_str(&text).map_err(|e| Error::content(&path, format!("not JSON: {e}")))?;
        let Value::Object(map) = value else { return Err(Error::content(&path, "expected a JSON object")) };
        Reader { map }.config().map_err(|problem| Error::content(&path, problem))
    }

    /// Inverse frequencies of the rotary positions, `[head_size / 2]`, radians per token.
    pub(crate) fn inverse_frequencies(&self) -> Vec<f64> {
        let size = self.attention.head_size;
        let plain = (0..size / 2).map(|i| libm::pow(self.rope_theta, -((2 * i) as f64) / size as f64));
        plain.map(|f| self.rope_scaling.map_or(f, |s| s.stretch(f))).collect()
    }

    /// The content of `config.json` for a model with a vocabulary head or (a critic) a scalar head.
    pub(crate) fn to_json(&self, critic: bool, dtype: FileDtype) -> Value {
        let mut map = self.other.clone();
        let class = if critic { "ForTokenClassification" } else { "ForCausalLM" };
        let rope = match self.rope_scaling {
            None => json!({"rope_type": "default", "rope_theta": self.rope_theta}),
            Some(s) => json!({
                "rope_type": "llama3", "rope_theta": self.rope_theta, "factor": s.factor,
                "low_freq_factor": s.low_freq_factor, "high_freq_factor": s.high_freq_factor,
                "original_max_position_embeddings": s.original_positions as u64,
            }),
        };
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

impl Llama3Scaling {
    fn stretch(&self, frequency: f64) -> f64 {
        let wavelength = 2.0 * std::f64::consts::PI / frequency;
        let (long, short) =
            (self.original_positions / self.low_freq_factor, self.original_positions / self.high_freq_factor);
        if wavelength > long {
            frequency / self.factor
        } else if wavelength < short {
            frequency
        } else {
            let smooth = (self.original_positions / wavelength - self.low_freq_factor)
                / (self.high_freq_factor - self.low_freq_factor);
            (1.0 - smooth) * frequency / self.factor + smooth * frequency
        }
    }
}

/// Reads the keys of a `config.json`; every message names the key.
struct Reader {
    map: Map<String, Value>,
}

impl Reader {
    fn config(self) -> Result<ModelConfig, String> {
        let model_type = self.text("model_type")?;
        let family = Family::ALL.iter().find(|f| f.0 == model_type).map(|f| f.1).ok_or_else(|| {
            let known: Vec<&str> = Family::ALL.iter().map(|f| f.0).collect();
            format!("model_type `{model_type}` is not supported (supported: {})", known.join(", "))
        })?;
        self.refuse_variants(family)?;
        let (hidden_size, heads) = (self.size("hidden_size")?, self.size("num_attention_heads")?);
        let kv_heads = self.optional_size("num_key_value_heads")?.unwrap_or(heads);
        let head_size = self.optional_size("head_dim")?.unwrap_or(hidden_size / heads);
        if heads % kv_heads != 0 {
            return Err(format!(
                "num_attention_heads ({heads}) must be a multiple of num_key_value_heads ({kv_heads})"
            ));
        }
        if !head_size.is_multiple_of(2) || head_size == 0 {
            return Err(format!("head_dim ({head_size}) must be even and above 0"));
        }
        let rope = self.map.get("rope_parameters").filter(|v| !v.is_null());
        let theta = rope.and_then(|r| r.get("rope_theta")).or(self.map.get("rope_theta"));
        let rope_theta = match theta {
            None => 10_000.0,
            Some(v) => v
                .as_f64()
                .filter(|t| *t > 0.0)
                .ok_or_else(|| format!("rope_theta must be a positive number, found {v}"))?,
        };
        let config = ModelConfig {
            family,
            vocab_size: self.size("vocab_size")?,
            hidden_size,
            intermediate_size: self.size("intermediate_size")?,
            num_layers: self.size("num_hidden_layers")?,
            attention: AttentionShape { heads, kv_heads, head_size },
            rms_norm_eps: self.map.get("rms_norm_eps").and_then(Value::as_f64).unwrap_or(1e-6) as f32,
            rope_theta,
            rope_scaling: scaling(rope.or(self.map.get("rope_scaling").filter(|v| !v.is_null())))?,
            tied: self.map.get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(false),
            max_position_embeddings: self.optional_size("max_position_embeddings")?.unwrap_or(2048),
            bos_token_id: self.map.get("bos_token_id").and_then(Value::as_u64).map(|t| t as u32),
            eos_token_ids: token_list(self.map.get("eos_token_id"))?,
            other: Map::new(),
        };
        Ok(ModelConfig { other: self.map, ..config })
    }

    /// Settings that would change the arithmetic and that the engine does not have.
    fn refuse_variants(&self, family: Family) -> Result<(), String> {
        let on = |key: &str| self.map.get(key).and_then(Value::as_bool).unwrap_or(false);
        for key in ["attention_bias", "mlp_bias", "use_sliding_window"] {
            if on(key) && !(key == "attention_bias" && family == Family::Qwen2) {
                return Err(format!("`{key}`: true is not supported"));
            }
        }
        match self.map.get("hidden_act").and_then(Value::as_str) {
            None | Some("silu") => Ok(()),
            Some(other) => Err(format!("hidden_act `{other}` is not supported (supported: silu)")),
        }
    }

    fn text(&self, key: &str) -> Result<&str, String> {
        let value = self.map.get(key).ok_or_else(|| format!("key `{key}` is missing"))?;
        value.as_str().ok_or_else(|| format!("key `{key}` must be a string, found {value}"))
    }

    fn size(&self, key: &str) -> Result<usize, String> {
        self.optional_size(key)?.ok_or_else(|| format!("key `{key}` is missing"))
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>, String> {
        /// Far above any model, far below where products of sizes overflow.
        const LIMIT: u64 = 1 << 30;
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(v) => match v.as_u64() {
                Some(n) if (1..=LIMIT).contains(&n) => Ok(Some(n as usize)),
                _ => Err(format!("key `{key}` must be an integer between 1 and {LIMIT}, found {v}")),
            },
        }
    }
}

fn scaling(rope: Option<&Value>) -> Result<Option<Llama3Scaling>, String> {
    let Some(rope) = rope else { return Ok(None) };
    let kind = rope.get("rope_type").or(rope.get("type")).and_then(Value::as_str).unwrap_or("default");
    let number = |key: &str| {
        rope.get(key)
            .and_then(Value::as_f64)
            .filter(|x| *x > 0.0)
            .ok_or_else(|| format!("rope scaling `{key}` must be a positive number"))
    };
    match kind {
        "default" => Ok(None),
        "llama3" => Ok(Some(Llama3Scaling {
            factor: number("factor")?,
            low_freq_factor: number("low_freq_factor")?,
            high_freq_factor: number("high_freq_factor")?,
            original_positions: number("original_max_position_embeddings")?,
        })),
        other => Err(format!("rope scaling `{other}` is not supported (supported: default, llama3)")),
    }
}

pub(crate) fn token_list(value: Option<&Value>) -> Result<Vec<u32>, String> {
    let one =
        |v: &Value| v.as_u64().and_then(|t| u32::try_from(t).ok()).ok_or_else(|| format!("`{v}` is not a token id"));
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(one).collect(),
        Some(v) => Ok(vec![one(v)?]),
    }
}
