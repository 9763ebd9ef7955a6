//! The shape of a network: Hugging Face's `config.json` of the Llama, Qwen2 and Qwen3 families.

mod family;
mod keys;
mod model;
mod rope;

pub use family::Family;
pub use model::{ModelConfig, Sizes};
pub use rope::{Llama3Scaling, RopeScaling};
