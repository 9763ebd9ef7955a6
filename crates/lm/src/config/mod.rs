//! The shape of a network: Hugging Face's `config.json`. A family is a row of `family`'s table.

mod family;
mod keys;
mod layers;
mod model;
mod read;
mod rope;

pub use family::Family;
pub(crate) use family::{Norms, QueryKeyNorm};
pub use layers::LayerKind;
pub use model::{Biases, ModelConfig, Sizes};
pub use rope::{Llama3Scaling, LongRopeScaling, Rope, RopeScaling, YarnScaling};
