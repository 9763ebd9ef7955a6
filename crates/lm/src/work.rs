//! How much arithmetic a pass is.

use crate::ModelConfig;
use crate::config::LayerKind;
use crate::layout::Head;

/// The size of a pass through a network.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PassSize {
    /// Tokens that pass.
    pub tokens: f64,
    /// Keys that a token attends to, mean over the tokens.
    pub keys: f64,
    /// Positions that the head is asked about.
    pub scored: f64,
}

impl PassSize {
    /// Both together.
    pub fn and(self, other: PassSize) -> PassSize {
        let tokens = self.tokens + other.tokens;
        let keys = (self.tokens * self.keys + other.tokens * other.keys) / tokens.max(1.0);
        PassSize { tokens, keys, scored: self.scored + other.scored }
    }
}

impl ModelConfig {
    /// Floating-point operations of a forward pass: two for each weight that a token meets, and four for each key,
    /// query head and component. Norms, activations and the softmax are left out.
    pub fn forward_flops(&self, head: Head, pass: PassSize) -> f64 {
        let a = self.attention;
        let attention = self.hidden_size * (2 * a.heads + 2 * a.kv_heads) * a.head_size;
        let layer = attention + 3 * self.hidden_size * self.intermediate_size;
        let outputs = if head == Head::Language { self.vocab_size } else { 1 };
        let keys = |layer: &LayerKind| layer.window.map_or(pass.keys, |window| pass.keys.min(window as f64));
        let keys: f64 = self.layers.iter().take(self.num_layers).map(keys).sum();
        let per_token = 2.0 * (self.num_layers * layer) as f64 + 4.0 * keys * (a.heads * a.head_size) as f64;
        pass.tokens * per_token + pass.scored * 2.0 * (outputs * self.hidden_size) as f64
    }

    /// Floating-point operations of a forward and a backward pass, which is two of them.
    pub fn training_flops(&self, head: Head, pass: PassSize) -> f64 {
        3.0 * self.forward_flops(head, pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Model, Sizes};

    #[test]
    fn two_operations_for_each_weight_and_four_for_each_key() {
        let config = ModelConfig::new(Sizes {
            vocab_size: 48,
            hidden_size: 16,
            intermediate_size: 32,
            num_layers: 3,
            num_heads: 4,
            num_kv_heads: 2,
            max_positions: 8,
        });
        let norms = (2 * 3 + 1) * 16;
        let matrices = Model::num_params_of(&config, Head::Language) - norms;
        let pass = PassSize { tokens: 5.0, keys: 0.0, scored: 5.0 };
        assert_eq!(config.forward_flops(Head::Language, pass), (5 * 2 * matrices) as f64, "a tied head is met once");
        let value_head = config.forward_flops(Head::Value, pass)
            - config.forward_flops(Head::Value, PassSize { scored: 0.0, ..pass });
        assert_eq!(value_head, 5.0 * 2.0 * 16.0);
        let keys = config.forward_flops(Head::Language, PassSize { keys: 7.0, ..pass });
        assert_eq!(keys - (5 * 2 * matrices) as f64, (5 * 3 * 4 * 7 * 16) as f64);
        assert_eq!(config.training_flops(Head::Language, pass), (5 * 6 * matrices) as f64);
    }

    #[test]
    fn passes_add_up() {
        let config = ModelConfig::new(Sizes {
            vocab_size: 48,
            hidden_size: 16,
            intermediate_size: 32,
            num_layers: 3,
            num_heads: 4,
            num_kv_heads: 2,
            max_positions: 8,
        });
        let (a, b) =
            (PassSize { tokens: 3.0, keys: 2.0, scored: 1.0 }, PassSize { tokens: 5.0, keys: 8.0, scored: 0.0 });
        let flops = |pass| config.forward_flops(Head::Language, pass);
        assert!((flops(a.and(b)) - flops(a) - flops(b)).abs() < 1e-6);
    }
}
