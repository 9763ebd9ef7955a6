//! Where each tensor lies in the one flat parameter buffer, and what Hugging Face calls it.
//!
//! Gradients and optimizer moments are buffers of the same layout, so that norm, AdamW and checkpoints are loops over
//! one slice. The order is fixed: embedding, layers, final norm, head.

use crate::config::{Family, ModelConfig};
use std::ops::Range;
use vapo_kernels::Device;

/// What the last layer produces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// A logit per token of the vocabulary: a policy.
    Language,
    /// One number per position: a critic.
    Value,
}

/// A weight matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Matrix {
    pub(crate) offset: usize,
    /// Values in the buffer, with what the device adds.
    pub(crate) len: usize,
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
}

impl Matrix {
    pub(crate) fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len
    }
}

/// A tensor as it is named and shaped in files.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) place: Place,
}

/// How a tensor lies in the buffer.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Matrix(Matrix),
    Vector(Range<usize>),
    /// A matrix of one row, kept as a vector.
    Row(Range<usize>),
}

impl Place {
    /// Its part of a flat buffer.
    pub(crate) fn range(&self) -> Range<usize> {
        match self {
            Place::Matrix(m) => m.range(),
            Place::Vector(range) | Place::Row(range) => range.clone(),
        }
    }

    pub(crate) fn shape(&self) -> Vec<usize> {
        match self {
            Place::Matrix(m) => vec![m.outputs, m.inputs],
            Place::Vector(r) => vec![r.len()],
            Place::Row(r) => vec![1, r.len()],
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) input_norm: Range<usize>,
    /// Queries, keys, values.
    pub(crate) qkv: [Matrix; 3],
    pub(crate) qkv_bias: Option<[Range<usize>; 3]>,
    /// Norm weights of queries and keys.
    pub(crate) qk_norm: Option<[Range<usize>; 2]>,
    pub(crate) output: Matrix,
    pub(crate) post_norm: Range<usize>,
    pub(crate) gate_up: [Matrix; 2],
    pub(crate) down: Matrix,
}

#[derive(Clone, Debug)]
pub(crate) enum HeadPlace {
    Vocabulary(Matrix),
    Scalar { weight: Range<usize>, bias: Range<usize> },
}

#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) len: usize,
    pub(crate) embedding: Matrix,
    pub(crate) layers: Vec<Layer>,
    pub(crate) final_norm: Range<usize>,
    pub(crate) head: HeadPlace,
}

impl Layout {
    /// The layout on a device, which decides how many values a tensor takes.
    pub(crate) fn new(device: &Device, config: &ModelConfig, head: Head) -> Layout {
        let mut b = Builder { device, tensors: Vec::new(), len: 0 };
        let (hidden, size) = (config.hidden_size, config.attention.head_size);
        let (queries, keys) = (config.attention.heads * size, config.attention.kv_heads * size);
        let embedding = b.matrix("model.embed_tokens.weight".into(), config.vocab_size, hidden);
        let layers = (0..config.num_layers)
            .map(|i| {
                let name = |part: &str| format!("model.layers.{i}.{part}");
                let attention = |part: &str| name(&format!("self_attn.{part}"));
                Layer {
                    input_norm: b.vector(name("input_layernorm.weight"), hidden),
                    qkv: [
                        b.matrix(attention("q_proj.weight"), queries, hidden),
                        b.matrix(attention("k_proj.weight"), keys, hidden),
                        b.matrix(attention("v_proj.weight"), keys, hidden),
                    ],
                    qkv_bias: (config.family == Family::Qwen2).then(|| {
                        [("q", queries), ("k", keys), ("v", keys)]
                            .map(|(p, n)| b.vector(attention(&format!("{p}_proj.bias")), n))
                    }),
                    qk_norm: (config.family == Family::Qwen3)
                        .then(|| ["q", "k"].map(|p| b.vector(attention(&format!("{p}_norm.weight")), size))),
                    output: b.matrix(attention("o_proj.weight"), hidden, queries),
                    post_norm: b.vector(name("post_attention_layernorm.weight"), hidden),
                    gate_up: ["gate", "up"]
                        .map(|p| b.matrix(name(&format!("mlp.{p}_proj.weight")), config.intermediate_size, hidden)),
                    down: b.matrix(name("mlp.down_proj.weight"), hidden, config.intermediate_size),
                }
            })
            .collect();
        let final_norm = b.vector("model.norm.weight".into(), hidden);
        let head = match head {
            Head::Language if config.tied => HeadPlace::Vocabulary(embedding),
            Head::Language => HeadPlace::Vocabulary(b.matrix("lm_head.weight".into(), config.vocab_size, hidden)),
            Head::Value => HeadPlace::Scalar {
                weight: b.row("score.weight".into(), hidden),
                bias: b.vector("score.bias".into(), 1),
            },
        };
        Layout { tensors: b.tensors, len: b.len, embedding, layers, final_norm, head }
    }

    /// Names and shapes of a network's tensors, which do not depend on a device.
    pub(crate) fn shapes(config: &ModelConfig, head: Head) -> Vec<(String, Vec<usize>)> {
        Layout::new(&Device::cpu(1), config, head).named_shapes()
    }

    /// Number of weights, without what the device adds.
    pub(crate) fn num_params(&self) -> usize {
        self.tensors.iter().map(|t| t.place.shape().iter().product::<usize>()).sum()
    }

    /// The tensor of this name.
    pub(crate) fn place(&self, name: &str) -> Option<&Place> {
        self.tensors.iter().find(|t| t.name == name).map(|t| &t.place)
    }

    /// Names and shapes as in files.
    pub(crate) fn named_shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.tensors.iter().map(|tensor| (tensor.name.clone(), tensor.place.shape())).collect()
    }
}

struct Builder<'a> {
    device: &'a Device,
    tensors: Vec<Tensor>,
    len: usize,
}

impl Builder<'_> {
    fn matrix(&mut self, name: String, outputs: usize, inputs: usize) -> Matrix {
        let matrix = Matrix { offset: self.len, len: self.device.matrix_len(outputs, inputs), outputs, inputs };
        self.len += matrix.len;
        self.tensors.push(Tensor { name, place: Place::Matrix(matrix) });
        matrix
    }

    fn vector(&mut self, name: String, len: usize) -> Range<usize> {
        let range = self.take(len);
        self.tensors.push(Tensor { name, place: Place::Vector(range.clone()) });
        range
    }

    fn row(&mut self, name: String, len: usize) -> Range<usize> {
        let range = self.take(len);
        self.tensors.push(Tensor { name, place: Place::Row(range.clone()) });
        range
    }

    fn take(&mut self, len: usize) -> Range<usize> {
        let range = self.len..self.len + len;
        self.len += self.device.vector_len(len);
        range
    }
}
