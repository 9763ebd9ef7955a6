//! The architectures that the engine runs, and what each does differently: a family is a row of the table [`FACTS`].
//!
//! Facts and defaults are those of the classes of `transformers` 5 (`configuration_*.py`, `modeling_*.py`).

/// Which architecture a `config.json` describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Llama 2 and 3, SmolLM2 ..
    Llama,
    /// Mistral 7B, Nemo, Ministral 8B (2410): a window over all layers, or none.
    Mistral,
    /// Ministral: windows on some layers.
    Ministral,
    /// Qwen 2 and 2.5: biases on queries, keys and values.
    Qwen2,
    /// Qwen 3: normalized queries and keys.
    Qwen3,
    /// Gemma 3, the text models.
    Gemma3,
    /// Phi 3 and 4-mini: fused weights, a part of each head rotated.
    Phi3,
    /// OLMo 2: norms after attention and the gated layer.
    Olmo2,
    /// OLMo 3: OLMo 2 with windows on three of four layers.
    Olmo3,
    /// SmolLM 3: layers without rotary positions.
    SmolLm3,
}

/// Where the norms of a layer stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Norms {
    /// Before attention and before the gated layer.
    Before,
    /// On what attention and the gated layer add to the residual stream.
    After,
    /// Both.
    Around,
}

/// What the norms of queries and keys span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueryKeyNorm {
    /// Each head by itself.
    Head,
    /// All heads together.
    Projection,
}

/// Which biases attention has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttentionBias {
    /// None, and `attention_bias` must not ask for them.
    Never,
    /// On queries, keys and values, whatever `attention_bias` says.
    QueriesKeysValues,
    /// On these and the output where `attention_bias` is true.
    OnRequest,
}

/// Which layers have a window where `sliding_window` gives one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Windows {
    /// None.
    Never,
    /// All.
    All,
    /// Those that `layer_types` lists; without it, those that [`Unlisted`] says. With `on_request`, only where
    /// `use_sliding_window` is true.
    Listed { unlisted: Unlisted, on_request: bool },
}

/// Which layers have a window where `layer_types` is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unlisted {
    /// All.
    All,
    /// Those from `max_window_layers` on.
    FromMaxWindowLayers,
    /// All but every n-th: n is `sliding_window_pattern`, or else this.
    AllButEvery(usize),
    /// Those without rotary positions.
    Unrotated,
}

/// Where the rotary base of layers with a window comes from, if it is not that of the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LocalRope {
    /// The key outside of `rope_parameters`.
    pub(crate) key: &'static str,
    pub(crate) default: f64,
}

/// What all models of a family have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) family: Family,
    pub(crate) model_type: &'static str,
    /// Prefix of the class with a vocabulary head, and of that with a value head.
    pub(crate) classes: [&'static str; 2],
    pub(crate) norms: Norms,
    /// What is added to the weights of norms.
    pub(crate) norm_offset: f32,
    pub(crate) query_key_norm: Option<QueryKeyNorm>,
    pub(crate) attention_bias: AttentionBias,
    /// Whether `mlp_bias` is obeyed.
    pub(crate) mlp_bias: bool,
    /// Whether queries, keys and values are one tensor of files, and both halves of the gated layer another.
    pub(crate) fused: bool,
    /// Whether embeddings are multiplied by the root of their width.
    pub(crate) scaled_embeddings: bool,
    /// Divides scores by the root of this key in place of that of the head's size; with its default.
    pub(crate) query_scalar: Option<(&'static str, f64)>,
    /// Key of the gate's function, and its default.
    pub(crate) activation: (&'static str, &'static str),
    pub(crate) windows: Windows,
    pub(crate) local_rope: Option<LocalRope>,
    /// Whether `partial_rotary_factor` is obeyed.
    pub(crate) partial_rotary: bool,
    /// Whether `yarn` in a config is LongRoPE, as early files have it.
    pub(crate) yarn_is_longrope: bool,
    /// Context length of the first training where `original_max_position_embeddings` is absent.
    pub(crate) original_positions: Option<f64>,
    /// One layer in so many has no rotary positions where neither `no_rope_layers` nor `no_rope_layer_interval` says.
    pub(crate) unrotated_every: Option<usize>,
    // What absent keys mean.
    /// None: as many as there are query heads.
    pub(crate) kv_heads: Option<usize>,
    /// None: the width divided by the number of heads.
    pub(crate) head_size: Option<usize>,
    pub(crate) eps: f64,
    pub(crate) max_positions: usize,
    pub(crate) rope_theta: f64,
    pub(crate) tied: bool,
    pub(crate) window: Option<usize>,
}

const LLAMA: Facts = Facts {
    family: Family::Llama,
    model_type: "llama",
    classes: ["Llama"; 2],
    norms: Norms::Before,
    norm_offset: 0.0,
    query_key_norm: None,
    attention_bias: AttentionBias::OnRequest,
    mlp_bias: true,
    fused: false,
    scaled_embeddings: false,
    query_scalar: None,
    activation: ("hidden_act", "silu"),
    windows: Windows::Never,
    local_rope: None,
    partial_rotary: false,
    yarn_is_longrope: false,
    original_positions: None,
    unrotated_every: None,
    kv_heads: None,
    head_size: None,
    eps: 1e-6,
    max_positions: 2048,
    rope_theta: 10_000.0,
    tied: false,
    window: None,
};

const MISTRAL: Facts = Facts {
    family: Family::Mistral,
    model_type: "mistral",
    classes: ["Mistral"; 2],
    attention_bias: AttentionBias::Never,
    mlp_bias: false,
    windows: Windows::All,
    kv_heads: Some(8),
    max_positions: 131_072,
    window: Some(4096),
    ..LLAMA
};

const QWEN2: Facts = Facts {
    family: Family::Qwen2,
    model_type: "qwen2",
    classes: ["Qwen2"; 2],
    attention_bias: AttentionBias::QueriesKeysValues,
    mlp_bias: false,
    windows: Windows::Listed { unlisted: Unlisted::FromMaxWindowLayers, on_request: true },
    kv_heads: Some(32),
    max_positions: 32_768,
    window: Some(4096),
    ..LLAMA
};

const OLMO2: Facts = Facts {
    family: Family::Olmo2,
    model_type: "olmo2",
    classes: ["Olmo2"; 2],
    norms: Norms::After,
    query_key_norm: Some(QueryKeyNorm::Projection),
    mlp_bias: false,
    eps: 1e-5,
    ..LLAMA
};

/// One row per family, in the order of [`Family`].
const FACTS: [Facts; 10] = [
    LLAMA,
    MISTRAL,
    Facts {
        family: Family::Ministral,
        model_type: "ministral",
        classes: ["Ministral"; 2],
        windows: Windows::Listed { unlisted: Unlisted::All, on_request: false },
        ..MISTRAL
    },
    QWEN2,
    Facts {
        family: Family::Qwen3,
        model_type: "qwen3",
        classes: ["Qwen3"; 2],
        query_key_norm: Some(QueryKeyNorm::Head),
        attention_bias: AttentionBias::OnRequest,
        head_size: Some(128),
        ..QWEN2
    },
    Facts {
        family: Family::Gemma3,
        model_type: "gemma3_text",
        classes: ["Gemma3", "Gemma3Text"],
        norms: Norms::Around,
        norm_offset: 1.0,
        query_key_norm: Some(QueryKeyNorm::Head),
        mlp_bias: false,
        scaled_embeddings: true,
        query_scalar: Some(("query_pre_attn_scalar", 256.0)),
        activation: ("hidden_activation", "gelu_pytorch_tanh"),
        windows: Windows::Listed { unlisted: Unlisted::AllButEvery(6), on_request: false },
        local_rope: Some(LocalRope { key: "rope_local_base_freq", default: 10_000.0 }),
        kv_heads: Some(4),
        head_size: Some(256),
        max_positions: 131_072,
        rope_theta: 1_000_000.0,
        tied: true,
        window: Some(4096),
        ..LLAMA
    },
    Facts {
        family: Family::Phi3,
        model_type: "phi3",
        classes: ["Phi3"; 2],
        attention_bias: AttentionBias::Never,
        mlp_bias: false,
        fused: true,
        windows: Windows::All,
        partial_rotary: true,
        yarn_is_longrope: true,
        original_positions: Some(4096.0),
        eps: 1e-5,
        max_positions: 4096,
        ..LLAMA
    },
    OLMO2,
    Facts {
        family: Family::Olmo3,
        model_type: "olmo3",
        classes: ["Olmo3"; 2],
        windows: Windows::Listed { unlisted: Unlisted::AllButEvery(4), on_request: false },
        local_rope: Some(LocalRope { key: "rope_theta", default: 500_000.0 }),
        rope_theta: 500_000.0,
        window: Some(4096),
        ..OLMO2
    },
    Facts {
        family: Family::SmolLm3,
        model_type: "smollm3",
        classes: ["SmolLM3"; 2],
        windows: Windows::Listed { unlisted: Unlisted::Unrotated, on_request: true },
        unrotated_every: Some(4),
        kv_heads: Some(4),
        max_positions: 32_768,
        rope_theta: 2_000_000.0,
        tied: true,
        ..LLAMA
    },
];

impl Family {
    /// The family that a `model_type` names.
    pub(crate) fn named(model_type: &str) -> Option<Family> {
        FACTS.iter().find(|facts| facts.model_type == model_type).map(|facts| facts.family)
    }

    /// Every `model_type` that is supported.
    pub(crate) fn names() -> Vec<&'static str> {
        FACTS.iter().map(|facts| facts.model_type).collect()
    }

    pub(crate) fn facts(self) -> &'static Facts {
        &FACTS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_its_row() {
        for (row, facts) in FACTS.iter().enumerate() {
            assert_eq!(facts.family as usize, row, "{}", facts.model_type);
            assert_eq!(Family::named(facts.model_type), Some(facts.family));
        }
    }
}
