//! The shape of a network, from and to `config.json`.

use super::family::Family;
use super::keys::{check_tokens, read_object, token_list};
use super::layers::{LayerKind, ropes_to_json};
use super::rope::{Rope, RopeScaling};
use crate::absent::{Part, absent};
use crate::files::path_in;
use crate::{Error, WeightDtype};
use serde_json::{Map, Value, json};
use std::path::Path;
use vapo_kernels::{Activation, Attention, AttentionShape};

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
    /// What products of queries and keys are multiplied by.
    pub query_scale: f32,
    /// Function of the gate.
    pub activation: Activation,
    /// Which products have a bias.
    pub biases: Biases,
    /// How each layer attends.
    pub layers: Vec<LayerKind>,
    /// The rotary positions that layers choose from.
    pub ropes: Vec<Rope>,
    /// Whether the vocabulary head is the embedding table.
    pub tied: bool,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// First token of every text, if the model needs one.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text: those of `generation_config.json`, or else of `config.json`.
    pub eos_token_ids: Vec<u32>,
    /// Keys of a `config.json` that change nothing here, written back as they were.
    pub(super) other: Map<String, Value>,
}

/// Which products of a layer have a bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Biases {
    /// Queries, keys and values.
    pub qkv: bool,
    /// Output of attention.
    pub output: bool,
    /// All of the gated layer.
    pub mlp: bool,
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
        let head_size = sizes.hidden_size / sizes.num_heads;
        let attention = AttentionShape { heads: sizes.num_heads, kv_heads: sizes.num_kv_heads, head_size };
        ModelConfig {
            family: Family::Llama,
            vocab_size: sizes.vocab_size,
            hidden_size: sizes.hidden_size,
            intermediate_size: sizes.intermediate_size,
            num_layers: sizes.num_layers,
            attention,
            rms_norm_eps: 1e-5,
            query_scale: attention.full().scale,
            activation: Activation::Silu,
            biases: Biases::default(),
            layers: vec![LayerKind { window: None, rope: Some(0) }; sizes.num_layers],
            ropes: vec![Rope::plain(10_000.0, head_size)],
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
        if !path.exists() {
            return Err(absent(dir, Part::Config));
        }
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

    /// Lets no sequence be longer than this; saved files keep the number that was read.
    pub fn limit_positions(&mut self, positions: usize) {
        self.max_position_embeddings = self.max_position_embeddings.min(positions);
    }

    /// What embeddings are multiplied by.
    pub(crate) fn embedding_scale(&self) -> f32 {
        if self.family.facts().scaled_embeddings { (self.hidden_size as f32).sqrt() } else { 1.0 }
    }

    /// How a layer attends.
    pub fn layer_attention(&self, layer: usize) -> Attention {
        Attention { shape: self.attention, scale: self.query_scale, window: self.layers[layer].window }
    }

    /// The content of `config.json` for a model with a vocabulary head or (a critic) a scalar head.
    pub(crate) fn to_json(&self, critic: bool, dtype: WeightDtype) -> Value {
        let mut map = self.other.clone();
        let facts = self.family.facts();
        let head = if critic { "ForTokenClassification" } else { "ForCausalLM" };
        let class = format!("{}{head}", facts.classes[usize::from(critic)]);
        let mut put = |key: &str, value: Value| {
            map.insert(key.into(), value);
        };
        put("architectures", json!([class]));
        put("model_type", json!(facts.model_type));
        put("vocab_size", json!(self.vocab_size));
        put("hidden_size", json!(self.hidden_size));
        put("intermediate_size", json!(self.intermediate_size));
        put("num_hidden_layers", json!(self.num_layers));
        put("num_attention_heads", json!(self.attention.heads));
        put("num_key_value_heads", json!(self.attention.kv_heads));
        put("head_dim", json!(self.attention.head_size));
        put(facts.activation.0, json!(activation_name(self.activation)));
        put("rms_norm_eps", json!(self.rms_norm_eps.to_string().parse::<f64>().unwrap_or(1e-5)));
        self.put_ropes(&mut put);
        put("tie_word_embeddings", json!(self.tied && !critic));
        if !self.other.contains_key("max_position_embeddings") {
            put("max_position_embeddings", json!(self.max_position_embeddings));
        }
        put("attention_bias", json!(self.biases.output));
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

    /// Both spellings: `rope_parameters` is read by transformers 5, the others by transformers 4.
    fn put_ropes(&self, put: &mut dyn FnMut(&str, Value)) {
        let rope = &self.ropes[0];
        let partial = Some(rope.rotated as f64 / self.attention.head_size as f64).filter(|share| *share != 1.0);
        put("rope_theta", json!(rope.theta));
        if let Some(partial) = partial {
            put("partial_rotary_factor", json!(partial));
        }
        if let Some(RopeScaling::LongRope(scaling)) = &rope.scaling {
            put("original_max_position_embeddings", json!(scaling.original_positions as u64));
        }
        if let Some(scaling) = &rope.scaling {
            let older = scaling.to_json_of_transformers_4(self.saved_max_positions());
            put("rope_scaling", older.unwrap_or_else(|| ropes_to_json(&self.ropes[..1], partial)));
        }
        if let (Some(local), Some(rope)) = (self.family.facts().local_rope, self.ropes.get(1))
            && local.key != "rope_theta"
        {
            put(local.key, json!(rope.theta));
        }
        put("rope_parameters", ropes_to_json(&self.ropes, partial));
    }

    /// What saved files say: what was read, whatever the present limit is.
    fn saved_max_positions(&self) -> f64 {
        let read = self.other.get("max_position_embeddings").and_then(Value::as_f64);
        read.unwrap_or(self.max_position_embeddings as f64)
    }
}

/// Functions of the gate, and what `config.json` calls them.
pub(super) const ACTIVATIONS: [(&str, Activation); 2] =
    [("silu", Activation::Silu), ("gelu_pytorch_tanh", Activation::GeluTanh)];

fn activation_name(activation: Activation) -> &'static str {
    ACTIVATIONS.iter().find(|known| known.1 == activation).map_or("", |known| known.0)
}
