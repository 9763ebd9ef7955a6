//! Where each tensor lies in the one flat parameter buffer, and what Hugging Face calls it.
//!
//! Gradients and optimizer moments are buffers of the same layout, so that norm, AdamW and checkpoints are loops over
//! one slice. The order is fixed: embedding, layers, final norm, head.

use crate::config::{ModelConfig, Norms, QueryKeyNorm};
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
    /// Matrices with the same inputs, one after the other: a tensor of all their rows.
    Stack(Vec<Matrix>),
    Vector(Range<usize>),
    /// A matrix of one row, kept as a vector.
    Row(Range<usize>),
}

impl Place {
    /// Its part of a flat buffer.
    pub(crate) fn range(&self) -> Range<usize> {
        match self {
            Place::Matrix(m) => m.range(),
            Place::Stack(parts) => parts[0].offset..parts[parts.len() - 1].range().end,
            Place::Vector(range) | Place::Row(range) => range.clone(),
        }
    }

    pub(crate) fn shape(&self) -> Vec<usize> {
        match self {
            Place::Matrix(m) => vec![m.outputs, m.inputs],
            Place::Stack(parts) => vec![parts.iter().map(|m| m.outputs).sum(), parts[0].inputs],
            Place::Vector(r) => vec![r.len()],
            Place::Row(r) => vec![1, r.len()],
        }
    }
}

/// Attention or the gated layer: what surrounds its inner part.
#[derive(Clone, Debug)]
pub(crate) struct Sublayer {
    /// Norm of its input.
    pub(crate) before: Option<Range<usize>>,
    /// Its last product, whose result is added to the residual stream.
    pub(crate) output: Matrix,
    pub(crate) output_bias: Option<Range<usize>>,
    /// Norm of that result.
    pub(crate) after: Option<Range<usize>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) attention: Sublayer,
    /// Queries, keys, values.
    pub(crate) qkv: [Matrix; 3],
    pub(crate) qkv_bias: Option<[Range<usize>; 3]>,
    /// Norm weights of queries and keys.
    pub(crate) qk_norm: Option<[Range<usize>; 2]>,
    pub(crate) mlp: Sublayer,
    pub(crate) gate_up: [Matrix; 2],
    pub(crate) gate_up_bias: Option<[Range<usize>; 2]>,
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
        let hidden = config.hidden_size;
        let embedding = b.matrix("model.embed_tokens.weight".into(), config.vocab_size, hidden);
        let layers = (0..config.num_layers).map(|i| b.layer(&format!("model.layers.{i}"), config)).collect();
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

/// Which of a layer's norms of its residual stream a name stands for.
struct NormNames {
    attention: [Option<&'static str>; 2],
    mlp: [Option<&'static str>; 2],
}

/// Names before and after each sublayer: where norms stand around it, what other families call the norm before the gated
/// layer is the one after attention.
fn norm_names(norms: Norms) -> NormNames {
    let [input, attention] = ["input_layernorm", "post_attention_layernorm"].map(Some);
    let [before_mlp, after_mlp] = ["pre_feedforward_layernorm", "post_feedforward_layernorm"].map(Some);
    match norms {
        Norms::Before => NormNames { attention: [input, None], mlp: [attention, None] },
        Norms::After => NormNames { attention: [None, attention], mlp: [None, after_mlp] },
        Norms::Around => NormNames { attention: [input, attention], mlp: [before_mlp, after_mlp] },
    }
}

impl Builder<'_> {
    fn layer(&mut self, layer: &str, config: &ModelConfig) -> Layer {
        let (facts, shape, hidden) = (config.family.facts(), config.attention, config.hidden_size);
        let (queries, keys, inner) = (shape.query_width(), shape.key_width(), config.intermediate_size);
        let own = |part: &str| format!("{layer}.self_attn.{part}");
        let mlp = |part: &str| format!("{layer}.mlp.{part}");
        let names = norm_names(facts.norms);

        let before = self.norm(layer, names.attention[0], hidden);
        let qkv_names = ["q_proj", "k_proj", "v_proj"];
        let widths = [queries, keys, keys];
        let qkv = if facts.fused {
            self.stack(own("qkv_proj.weight"), widths, hidden)
        } else {
            std::array::from_fn(|i| self.matrix(own(&format!("{}.weight", qkv_names[i])), widths[i], hidden))
        };
        let qkv_bias = config
            .biases
            .qkv
            .then(|| std::array::from_fn(|i| self.vector(own(&format!("{}.bias", qkv_names[i])), widths[i])));
        let qk_norm = facts.query_key_norm.map(|norm| {
            let widths = match norm {
                QueryKeyNorm::Head => [shape.head_size; 2],
                QueryKeyNorm::Projection => [queries, keys],
            };
            std::array::from_fn(|i| self.vector(own(["q_norm.weight", "k_norm.weight"][i]), widths[i]))
        });
        let output = self.matrix(own("o_proj.weight"), hidden, queries);
        let output_bias = config.biases.output.then(|| self.vector(own("o_proj.bias"), hidden));
        let after = self.norm(layer, names.attention[1], hidden);
        let attention = Sublayer { before, output, output_bias, after };

        let before = self.norm(layer, names.mlp[0], hidden);
        let halves = ["gate_proj", "up_proj"];
        let gate_up = if facts.fused {
            self.stack(mlp("gate_up_proj.weight"), [inner; 2], hidden)
        } else {
            std::array::from_fn(|i| self.matrix(mlp(&format!("{}.weight", halves[i])), inner, hidden))
        };
        let gate_up_bias =
            config.biases.mlp.then(|| std::array::from_fn(|i| self.vector(mlp(&format!("{}.bias", halves[i])), inner)));
        let output = self.matrix(mlp("down_proj.weight"), hidden, inner);
        let output_bias = config.biases.mlp.then(|| self.vector(mlp("down_proj.bias"), hidden));
        let after = self.norm(layer, names.mlp[1], hidden);
        let mlp = Sublayer { before, output, output_bias, after };
        Layer { attention, qkv, qkv_bias, qk_norm, mlp, gate_up, gate_up_bias }
    }

    fn norm(&mut self, layer: &str, name: Option<&str>, width: usize) -> Option<Range<usize>> {
        name.map(|name| self.vector(format!("{layer}.{name}.weight"), width))
    }

    /// Matrices that are one tensor in files.
    fn stack<const N: usize>(&mut self, name: String, outputs: [usize; N], inputs: usize) -> [Matrix; N] {
        let parts = outputs.map(|outputs| self.place_matrix(outputs, inputs));
        self.tensors.push(Tensor { name, place: Place::Stack(parts.to_vec()) });
        parts
    }

    fn place_matrix(&mut self, outputs: usize, inputs: usize) -> Matrix {
        let matrix = Matrix { offset: self.len, len: self.device.matrix_len(outputs, inputs), outputs, inputs };
        self.len += matrix.len;
        matrix
    }

    fn matrix(&mut self, name: String, outputs: usize, inputs: usize) -> Matrix {
        let matrix = self.place_matrix(outputs, inputs);
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
