//! Language model and critic: an explicit forward and backward of the Llama/Qwen family, no autograd.
//!
//! - [`Model`]: the weights of a policy or a critic in one flat buffer (f32, or bf16 with f32 masters), read from and written to Hugging Face directories.
//! - [`Engine`]: [`score`](Engine::score), [`values`](Engine::values), their gradients, and
//!   [`generate`](Engine::generate). The log-probs recorded while sampling are bit-equal to what `score` says later, so
//!   they *are* the old log-probs of the trainer.
//! - [`AdamW`], [`Schedule`]: the optimizer.
//! - [`Tokenizer`]: a `tokenizer.json`; [`ChatTemplate`]: messages to the text that a chat model was trained on.
//! - [`import_gguf`]: a GGUF file becomes a Hugging Face directory.
//!
//! Losses know no tensors: [`Engine::policy_backward`] runs forward, hands the log-probs of the response tokens to a
//! closure, and takes their derivatives back down.

#![forbid(unsafe_code)]

mod absent;
mod chat;
mod config;
mod decoder;
mod engine;
mod error;
mod files;
mod generate;
mod gguf;
mod layout;
mod legacy;
mod model;
mod optimizer;
mod parameters;
mod sampling;
mod save;
mod tensor_file;
mod tokenizer;
mod weights;
mod work;
mod workspace;

pub use absent::not_a_model;
pub use chat::{ChatTemplate, Message};
pub use config::{
    Biases, Family, LayerKind, Llama3Scaling, LongRopeScaling, ModelConfig, Rope, RopeScaling, Sizes, YarnScaling,
};
pub use engine::{Engine, Scored, Sequence, TokenGrad, rows_of_logits};
pub use error::Error;
pub use files::read_model_file;
pub use generate::{Completion, Generated, Request, StopReason, Streamed};
pub use gguf::{ImportedGguf, import_gguf};
pub use layout::Head;
pub use legacy::split_legacy_buffer;
pub use model::Model;
pub use optimizer::{AdamW, AdamWConfig, Decay, Schedule};
pub use sampling::Sampling;
pub use save::{WeightDtype, little_endian};
pub use tensor_file::TensorFile;
pub use tokenizer::{StopStrings, TextStream, Tokenizer};
pub use vapo_kernels::{Buffer, Device, Isa, KvCache, SQUARES_BLOCK, SampleCache, devices, fma_peak_gflops};
pub use work::PassSize;
pub use workspace::activation_bytes;
