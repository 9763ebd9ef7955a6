//! Language model and critic.
#![allow(missing_docs, unused_variables, dead_code)] // API sketch, bodies to come
use std::{ops::{ControlFlow, Range}, path::Path};

/// A prompt with a response; every response token is an action that was sampled.
/// Both parts hold at least one token.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'a> { pub prompt: &'a [u32], pub response: &'a [u32] }

/// What the last layer produces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head { Language, Value }

#[derive(Clone, Debug)]
pub struct ModelConfig { pub vocab_size: usize, pub hidden_size: usize, pub max_position_embeddings: usize, pub eos_token_ids: Vec<u32> }

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error { #[error("{0}")] Todo(String) }

/// Weights of one network: a policy (`Head::Language`) or a critic (`Head::Value`).
#[derive(Clone)]
pub struct Model { pub config: ModelConfig, pub head: Head, params: Vec<f32> }
impl Model {
    pub fn random(config: ModelConfig, head: Head, seed: u64) -> Model { todo!() }
    /// Reads a Hugging Face directory (config.json, model.safetensors or shards).
    pub fn load(dir: &Path, head: Head) -> Result<Model, Error> { todo!() }
    /// Writes config.json and model.safetensors (f32).
    pub fn save(&self, dir: &Path) -> Result<(), Error> { todo!() }
    /// A critic with this trunk and a value head of zeros.
    pub fn to_critic(&self) -> Model { todo!() }
    pub fn num_params(&self) -> usize { todo!() }
}

/// Threads and reusable buffers. Same bits for any number of threads and any `micro_batch_tokens`' forward.
pub struct Engine {}
/// Log-probability of each response token under the temperature-scaled distribution, and that distribution's entropy (nats). `[N]`.
pub struct Scored { pub logp: Vec<f32>, pub entropy: Vec<f32> }
/// Derivative of a loss by each token's log-prob and (if used) entropy. `[N]`
pub struct TokenGrad { pub dlogp: Vec<f32>, pub dentropy: Option<Vec<f32>> }
impl Engine {
    /// `threads`: at least 1. `micro_batch_tokens`: sequences are processed in groups of at most about this many tokens.
    pub fn new(threads: usize, micro_batch_tokens: usize) -> Engine { todo!() }
    pub fn threads(&self) -> usize { todo!() }
    /// `[N]` over all response tokens of all sequences, in order.
    pub fn score(&mut self, policy: &Model, sequences: &[Sequence], temperature: f32) -> Scored { todo!() }
    /// `[N]`: V(s_t), read at the position before action t.
    pub fn values(&mut self, critic: &Model, sequences: &[Sequence]) -> Vec<f32> { todo!() }
    /// Adds the loss's gradient to `grads` (same length and order as the model's parameters). `loss` is called once per micro-batch
    /// with the range of response tokens (of the N) that it holds and their scores.
    pub fn policy_backward(&mut self, policy: &Model, grads: &mut [f32], sequences: &[Sequence], temperature: f32,
        loss: impl FnMut(Range<usize>, &Scored) -> TokenGrad) { todo!() }
    /// The same for the critic: `loss` gets the values `[n]` and returns dL/dV `[n]`.
    pub fn critic_backward(&mut self, critic: &Model, grads: &mut [f32], sequences: &[Sequence],
        loss: impl FnMut(Range<usize>, &[f32]) -> Vec<f32>) { todo!() }
    /// Samples `samples` responses for each request; result `[requests][samples]`. A sample depends on `seed`, its request's
    /// `key`, its sample index and the weights alone. `progress` gets (tokens so far, sequences finished); Break stops early with an empty result.
    pub fn generate(&mut self, policy: &Model, requests: &[Request], sampling: &Sampling, seed: u64,
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>) -> Option<Vec<Vec<Sample>>> { todo!() }
}

#[derive(Clone, Debug)]
pub struct Request<'a> { pub prompt: &'a [u32], pub samples: usize, /** identifies the prompt in the random stream, e.g. its row */ pub key: u64 }
#[derive(Clone, Debug)]
pub struct Sampling { pub temperature: f32 /* 0 = greedy */, pub top_k: Option<usize>, pub top_p: f32, pub min_p: f32,
    pub max_new_tokens: usize, pub stop_tokens: Vec<u32>, pub slots: usize /* sequences decoded at once */ }
#[derive(Clone, Debug, PartialEq)]
pub struct Sample { pub tokens: Vec<u32> /* incl. the stop token */, pub logps: Vec<f32>, pub stop: StopReason }
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason { /** a stop token, the last token of the sample */ StopToken, /** a stop string was completed */ StopString, Length }

#[derive(Clone, Debug)]
pub struct AdamWConfig { pub beta1: f32, pub beta2: f32, pub eps: f32, pub weight_decay: f32, pub max_grad_norm: Option<f32> }
/// AdamW with decoupled weight decay; state is public to the checkpoint.
pub struct AdamW { pub config: AdamWConfig, pub first_moment: Vec<f32>, pub second_moment: Vec<f32>, pub steps: u64 }
impl AdamW {
    pub fn new(config: AdamWConfig, num_params: usize) -> AdamW { todo!() }
    /// Clips `grads` to the global norm, updates the model, zeroes `grads`; returns the norm before clipping (f64 accumulation).
    pub fn update(&mut self, engine: &mut Engine, model: &mut Model, grads: &mut [f32], learning_rate: f32) -> f32 { todo!() }
}
/// Learning rate over updates: linear warmup then constant, cosine or linear decay.
pub struct Schedule { pub learning_rate: f32, pub warmup: u64, pub kind: Decay }
pub enum Decay { Constant, Cosine { total: u64, min_ratio: f32 }, Linear { total: u64, min_ratio: f32 } }
impl Schedule { /** `update` counts from 0 */ pub fn at(&self, update: u64) -> f32 { todo!() } }

/// A Hugging Face tokenizer.json (crate `tokenizers`) with its special tokens.
pub struct Tokenizer {}
impl Tokenizer {
    pub fn load(dir: &Path) -> Result<Tokenizer, Error> { todo!() }
    pub fn from_json(json: &[u8]) -> Result<Tokenizer, Error> { todo!() }
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> { todo!() } // no special tokens added
    pub fn decode(&self, tokens: &[u32]) -> Result<String, Error> { todo!() } // special tokens skipped
    pub fn token_text(&self, token: u32) -> String { todo!() }
    pub fn token_id(&self, text: &str) -> Option<u32> { todo!() }
    pub fn vocab_size(&self) -> usize { todo!() }
    pub fn to_json(&self) -> Vec<u8> { todo!() }
}
