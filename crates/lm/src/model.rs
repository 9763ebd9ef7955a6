//! A network's weights, and their files.

use crate::layout::{HeadPlace, Layout, Place};
use crate::random::Random;
use crate::save::{FileDtype, save_directory};
use crate::weights::SafetensorsFiles;
use crate::{Error, ModelConfig};
use std::path::Path;
use std::sync::Arc;
use vapo_kernels::{Buffer, Rotary, panel_index};

/// What the last layer produces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// A logit per token of the vocabulary: a policy.
    Language,
    /// One number per position: a critic.
    Value,
}

/// The weights of one network: a policy or a critic.
#[derive(Clone)]
pub struct Model {
    pub(crate) config: ModelConfig,
    pub(crate) head: Head,
    pub(crate) layout: Arc<Layout>,
    pub(crate) rotary: Arc<Rotary>,
    /// All parameters in one flat buffer, in the layout that the kernels read.
    pub(crate) parameters: Buffer,
}

impl Model {
    fn zeros(config: ModelConfig, head: Head) -> Model {
        let layout = Arc::new(Layout::new(&config, head));
        let rotary = Arc::new(Rotary::new(&config.inverse_frequencies(), config.max_position_embeddings));
        let parameters = Buffer::zeros(layout.len);
        Model { config, head, layout, rotary, parameters }
    }

    /// A network of random weights: normal with deviation 0.02, projections into the residual stream smaller by
    /// `sqrt(2 * layers)` (Radford et al. 2019), norms 1, biases and value head 0.
    pub fn random(config: ModelConfig, head: Head, seed: u64) -> Model {
        let mut model = Model::zeros(config, head);
        let layout = Arc::clone(&model.layout);
        let residual = 0.02 / libm::sqrt(2.0 * model.config.num_layers as f64);
        for (index, tensor) in layout.tensors.iter().enumerate() {
            let mut random = Random::new(&[seed, index as u64]);
            match &tensor.place {
                Place::Matrix(m) => {
                    let into_residual = tensor.name.contains("o_proj") || tensor.name.contains("down_proj");
                    let deviation = if into_residual { residual } else { 0.02 };
                    for output in 0..m.outputs {
                        for input in 0..m.inputs {
                            let at = m.offset + panel_index(output, input, m.inputs);
                            model.parameters[at] = (random.normal() * deviation) as f32;
                        }
                    }
                }
                Place::Vector(range) if tensor.name.contains("norm") => model.parameters[range.clone()].fill(1.0),
                Place::Vector(_) | Place::Row(_) => {}
            }
        }
        model
    }

    /// The shape of the network.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// What the last layer produces.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Number of weights.
    pub fn num_params(&self) -> usize {
        self.layout.num_params()
    }

    /// Number of weights of a network of this shape that is not there yet.
    pub fn num_params_of(config: &ModelConfig, head: Head) -> usize {
        Layout::new(config, head).num_params()
    }

    /// Length of the flat buffers that go with this model: parameters, gradients, each moment.
    pub fn flat_len(&self) -> usize {
        self.layout.len
    }

    /// Length of those buffers for a network of this shape that is not there yet.
    pub fn flat_len_of(config: &ModelConfig, head: Head) -> usize {
        Layout::new(config, head).len
    }

    /// The flat parameters, in the order and layout of gradients and moments.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// The flat parameters, to be changed (by an optimizer, or a test).
    pub fn parameters_mut(&mut self) -> &mut [f32] {
        &mut self.parameters
    }

    /// A zeroed gradient buffer.
    pub fn zero_gradients(&self) -> Buffer {
        Buffer::zeros(self.layout.len)
    }

    /// A critic with this trunk and a value head of zeros: every value is 0 until it learns.
    pub fn to_critic(&self) -> Model {
        let mut critic = Model::zeros(self.config.clone(), Head::Value);
        let trunk = critic.layout.final_norm.end;
        critic.parameters[..trunk].copy_from_slice(&self.parameters[..trunk]);
        critic
    }

    /// Sets the value head's weights to normal numbers of this deviation (0 keeps them at zero).
    pub fn randomize_value_head(&mut self, deviation: f32, seed: u64) {
        let mut random = Random::new(&[seed, u64::MAX]);
        if let HeadPlace::Scalar { weight, .. } = &self.layout.head {
            self.parameters[weight.clone()].iter_mut().for_each(|w| *w = random.normal() as f32 * deviation);
        }
    }

    /// A copy of one tensor, row-major, by its Hugging Face name.
    pub fn tensor(&self, name: &str) -> Option<Vec<f32>> {
        self.tensor_in(&self.parameters, name)
    }

    /// The same out of a buffer of this model's layout, e.g. its gradient.
    pub fn tensor_in(&self, flat: &[f32], name: &str) -> Option<Vec<f32>> {
        let tensor = self.layout.tensors.iter().find(|t| t.name == name)?;
        Some(read_tensor(flat, &tensor.place))
    }

    /// Names of all tensors, in the order of the flat buffer.
    pub fn tensor_names(&self) -> impl Iterator<Item = &str> {
        self.layout.tensors.iter().map(|t| t.name.as_str())
    }

    /// Reads a Hugging Face directory: `config.json` and `model.safetensors`, or the shards of its index.
    ///
    /// # Errors
    /// A file is missing, damaged or not of a supported network; all names, shapes and types are checked before memory
    /// for weights is taken. A weight is not finite.
    pub fn load(dir: &Path, head: Head) -> Result<Model, Error> {
        let config = ModelConfig::load(dir)?;
        let files = SafetensorsFiles::open(dir)?;
        files.check(&config, &Layout::new(&config, head))?;
        let mut model = Model::zeros(config, head);
        let layout = Arc::clone(&model.layout);
        for tensor in &layout.tensors {
            write_tensor(&mut model.parameters, &tensor.place, &files.read(&tensor.name)?);
        }
        Ok(model)
    }

    /// Writes `config.json` and `model.safetensors` into `dir`, which exists.
    ///
    /// # Errors
    /// A file cannot be written, or a weight is too large for the type.
    pub fn save(&self, dir: &Path, dtype: FileDtype) -> Result<(), Error> {
        let config = self.config.to_json(self.head == Head::Value, dtype);
        let read = |name: &str| Ok(self.tensor(name).expect("a tensor of this layout"));
        save_directory(dir, &config, dtype, self.layout.named_shapes(), read)
    }
}

fn write_tensor(flat: &mut [f32], place: &Place, values: &[f32]) {
    match place {
        Place::Matrix(m) => vapo_kernels::pack(values, m.outputs, m.inputs, &mut flat[m.range()]),
        Place::Vector(range) | Place::Row(range) => flat[range.clone()].copy_from_slice(values),
    }
}

fn read_tensor(flat: &[f32], place: &Place) -> Vec<f32> {
    match place {
        Place::Matrix(m) => {
            let mut values = vec![0.0; m.outputs * m.inputs];
            vapo_kernels::unpack(&flat[m.range()], m.outputs, m.inputs, &mut values);
            values
        }
        Place::Vector(range) | Place::Row(range) => flat[range.clone()].to_vec(),
    }
}
