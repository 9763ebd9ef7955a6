//! A network's weights, and their files.

use crate::layout::{HeadPlace, Layout, Place};
use crate::parameters::{Parameters, read_tensor};
use crate::random::Random;
use crate::save::{WeightDtype, save_directory};
use crate::weights::SafetensorsFiles;
use crate::{Error, ModelConfig};
use std::path::Path;
use std::sync::Arc;
use vapo_kernels::{Buffer, Device, Rotary};

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
    pub(crate) parameters: Parameters,
}

impl Model {
    fn zeros(config: ModelConfig, head: Head) -> Model {
        let len = Layout::new(&config, head).len;
        Model::new(config, head, Parameters::zeros(len))
    }

    fn new(config: ModelConfig, head: Head, parameters: Parameters) -> Model {
        let layout = Arc::new(Layout::new(&config, head));
        let rotary = Arc::new(Rotary::new(&config.inverse_frequencies(), config.max_position_embeddings));
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
            let values: Vec<f32> = match &tensor.place {
                Place::Matrix(m) => {
                    let into_residual = tensor.name.contains("o_proj") || tensor.name.contains("down_proj");
                    let deviation = if into_residual { residual } else { 0.02 };
                    (0..m.outputs * m.inputs).map(|_| (random.normal() * deviation) as f32).collect()
                }
                Place::Vector(range) if tensor.name.contains("norm") => vec![1.0; range.len()],
                Place::Vector(_) | Place::Row(_) => continue,
            };
            model.parameters.write(&tensor.place, &values);
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

    /// The type of the weights that passes read.
    pub fn dtype(&self) -> WeightDtype {
        self.parameters.dtype()
    }

    /// This network, to be trained with weights of another type: with bf16, f32 masters stay beside them, which
    /// [`AdamW`](crate::AdamW) updates.
    pub fn with_dtype(mut self, dtype: WeightDtype) -> Model {
        self.parameters = self.parameters.with_dtype(dtype);
        self
    }

    /// This network with weights of another type and nothing that only training needs.
    pub fn for_inference(mut self, dtype: WeightDtype) -> Model {
        self.parameters = self.parameters.with_dtype(dtype).without_masters();
        self
    }

    /// The flat parameters in f32 (with bf16, the masters), in the order and layout of gradients and moments.
    ///
    /// # Panics
    /// If the network is for inference in bf16: it has no masters.
    pub fn parameters(&self) -> &[f32] {
        self.parameters.exact()
    }

    /// Changes the flat parameters; with bf16, the weights are then rounded again.
    ///
    /// # Panics
    /// As [`Model::parameters`].
    pub fn change_parameters<R>(&mut self, change: impl FnOnce(&mut [f32]) -> R) -> R {
        self.parameters.update(&Device::new(1), change)
    }

    /// A zeroed gradient buffer.
    pub fn zero_gradients(&self) -> Buffer {
        Buffer::zeros(self.layout.len)
    }

    /// A critic with this trunk and a value head of zeros: every value is 0 until it learns.
    pub fn to_critic(&self) -> Model {
        let mut critic = Model::zeros(self.config.clone(), Head::Value);
        let trunk = critic.layout.final_norm.end;
        critic.change_parameters(|to| to[..trunk].copy_from_slice(&self.parameters()[..trunk]));
        critic.with_dtype(self.dtype())
    }

    /// Sets the value head's weights to normal numbers of this deviation (0 keeps them at zero).
    pub fn randomize_value_head(&mut self, deviation: f32, seed: u64) {
        let mut random = Random::new(&[seed, u64::MAX]);
        if let HeadPlace::Scalar { weight, .. } = &self.layout.head {
            let values: Vec<f32> = weight.clone().map(|_| random.normal() as f32 * deviation).collect();
            self.parameters.write(&Place::Row(weight.clone()), &values);
        }
    }

    /// Sets the value head's bias: the critic's output everywhere while the head's weights are 0.
    pub fn set_value_bias(&mut self, bias: f32) {
        if let HeadPlace::Scalar { bias: place, .. } = &self.layout.head {
            self.parameters.write(&Place::Vector(place.clone()), &[bias]);
        }
    }

    /// A copy of one tensor, row-major, by its Hugging Face name; out of the masters if there are any.
    pub fn tensor(&self, name: &str) -> Option<Vec<f32>> {
        Some(self.parameters.read(self.place(name)?))
    }

    /// The same out of a buffer of this model's layout, e.g. its gradient.
    pub fn tensor_in(&self, flat: &[f32], name: &str) -> Option<Vec<f32>> {
        let place = self.place(name)?;
        Some(read_tensor(&flat[place.range()], place))
    }

    fn place(&self, name: &str) -> Option<&Place> {
        self.layout.tensors.iter().find(|t| t.name == name).map(|t| &t.place)
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
        Model::load_for_inference(dir, head, WeightDtype::Float32)
    }

    /// The same for a network that is not trained: bf16 weights then have no f32 masters beside them, not even while
    /// they are read.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_for_inference(dir: &Path, head: Head, dtype: WeightDtype) -> Result<Model, Error> {
        let config = ModelConfig::load(dir)?;
        let files = SafetensorsFiles::open(dir)?;
        let layout = Layout::new(&config, head);
        files.check(&config, &layout)?;
        let mut model = Model::new(config, head, Parameters::zeros_for_inference(layout.len, dtype));
        let layout = Arc::clone(&model.layout);
        for tensor in &layout.tensors {
            model.parameters.write(&tensor.place, &files.read(&tensor.name)?);
        }
        Ok(model)
    }

    /// Writes `config.json` and `model.safetensors` into `dir`, which exists.
    ///
    /// # Errors
    /// A file cannot be written, or a weight is too large for the type.
    pub fn save(&self, dir: &Path, dtype: WeightDtype) -> Result<(), Error> {
        let config = self.config.to_json(self.head == Head::Value, dtype);
        let read = |name: &str| Ok(self.tensor(name).expect("a tensor of this layout"));
        save_directory(dir, &config, dtype, self.layout.named_shapes(), read)
    }
}
