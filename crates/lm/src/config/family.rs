//! The architectures that the engine runs.

/// Which architecture a `config.json` describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Llama 2 and 3, SmolLM2 ..: no biases.
    Llama,
    /// Qwen 2 and 2.5: biases on queries, keys and values.
    Qwen2,
    /// Qwen 3: normalized queries and keys.
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

    pub(super) fn class_prefix(self) -> &'static str {
        Family::ALL[self as usize].2
    }

    pub(super) fn model_type(self) -> &'static str {
        Family::ALL[self as usize].0
    }
}
