//! A network's weights, and their files.

use crate::layout::{Head, HeadPlace, Layout, Place};
use crate::parameters::{Parameters, read_tensor, write_tensor};
use crate::save::{WeightDtype, save_directory};
use crate::weights::SafetensorsFiles;
use crate::{Error, ModelConfig, Rope};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use vapo_kernels::{Buffer, Device, Norm, Random, Rotary, copy};

/// The weights of one network: a policy or a critic.
pub struct Model {
    device: Device,
    pub(crate) config: ModelConfig,
    pub(crate) head: Head,
    pub(crate) layout: Arc<Layout>,
    pub(crate) rotary: Arc<[Rotary]>,
    pub(crate) parameters: Parameters,
}

impl Clone for Model {
    fn clone(&self) -> Model {
        Model {
            device: self.device.clone(),
            config: self.config.clone(),
            head: self.head,
            layout: Arc::clone(&self.layout),
            rotary: Arc::clone(&self.rotary),
            parameters: self.parameters.clone(),
        }
    }

    /// Copies the weights into the memory of this model, if both have the same shape.
    fn clone_from(&mut self, from: &Model) {
        if Arc::ptr_eq(&self.layout, &from.layout) {
            self.parameters.clone_from(&from.parameters);
        } else {
            *self = from.clone();
        }
    }
}

impl Model {
    fn zeros(device: &Device, config: ModelConfig, head: Head, dtype: WeightDtype) -> Model {
        let layout = Layout::new(device, &config, head);
        Model {
            rotary: rotary_tables(device, &config),
            parameters: Parameters::zeros_for_inference(device, layout.len, dtype),
            device: device.clone(),
            config,
            head,
            layout: Arc::new(layout),
        }
    }

    /// A network of random weights: normal with deviation 0.02, projections into the residual stream smaller by
    /// `sqrt(2 * layers)` (Radford et al. 2019), norms 1, biases and value head 0.
    pub fn random(device: &Device, config: ModelConfig, head: Head, seed: u64) -> Model {
        let mut model = Model::zeros(device, config, head, WeightDtype::Float32);
        let layout = Arc::clone(&model.layout);
        let residual = 0.02 / libm::sqrt(2.0 * model.config.num_layers as f64);
        let norm = 1.0 - model.config.family.facts().norm_offset;
        for (index, tensor) in layout.tensors.iter().enumerate() {
            let mut random = Random::new(&[seed, index as u64]);
            let values: Vec<f32> = match &tensor.place {
                place @ (Place::Matrix(_) | Place::Stack(_)) => {
                    let into_residual = tensor.name.contains("o_proj") || tensor.name.contains("down_proj");
                    let deviation = if into_residual { residual } else { 0.02 };
                    (0..place.shape().iter().product()).map(|_| (random.normal() * deviation) as f32).collect()
                }
                Place::Vector(range) if tensor.name.contains("norm") => vec![norm; range.len()],
                Place::Vector(_) | Place::Row(_) => continue,
            };
            model.parameters.write(device, &tensor.place, &values);
        }
        model
    }

    /// The device that it lies on.
    pub fn device(&self) -> &Device {
        &self.device
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

    /// Number of weights of a network of this shape, before it is loaded.
    pub fn num_params_of(config: &ModelConfig, head: Head) -> usize {
        Layout::shapes(config, head).iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// Number of weights in the largest tensor of a network of this shape.
    pub fn largest_tensor_of(config: &ModelConfig, head: Head) -> usize {
        Layout::shapes(config, head).iter().map(|(_, shape)| shape.iter().product()).max().unwrap_or(0)
    }

    /// Length of the flat buffers that go with this model: parameters, gradients, each moment.
    pub fn flat_len(&self) -> usize {
        self.layout.len
    }

    /// Length of those buffers for a network of this shape, before it is loaded.
    pub fn flat_len_of(device: &Device, config: &ModelConfig, head: Head) -> usize {
        Layout::new(device, config, head).len
    }

    /// The type of the weights that passes read.
    pub fn dtype(&self) -> WeightDtype {
        self.parameters.dtype()
    }

    /// This network, to be trained with weights of another type: with bf16 it also keeps f32 master weights,
    /// which [`AdamW`](crate::AdamW) updates.
    pub fn with_dtype(mut self, dtype: WeightDtype) -> Model {
        self.parameters = self.parameters.with_dtype(&self.device, dtype);
        self
    }

    /// This network with weights of another type and nothing that only training needs.
    pub fn for_inference(mut self, dtype: WeightDtype) -> Model {
        self.parameters = self.parameters.with_dtype(&self.device, dtype).without_masters();
        self
    }

    /// A zeroed buffer for gradients.
    pub fn zero_gradients(&self) -> Buffer {
        Buffer::zeros(&self.device, self.layout.len)
    }

    /// A critic with this decoder and a value head of zeros: every value is 0 until it learns.
    ///
    /// # Panics
    /// If the network is for inference in bf16: it has no exact weights.
    pub fn to_critic(&self) -> Model {
        let mut critic = Model::zeros(&self.device, self.config.clone(), Head::Value, WeightDtype::Float32);
        let decoder = ..critic.layout.final_norm.end;
        critic.parameters.update(&self.device, |to| {
            copy(&self.device, self.parameters.exact().slice(decoder), to.slice_mut(decoder));
        });
        critic.with_dtype(self.dtype())
    }

    /// Sets the value head's weights to normal numbers of this deviation (0 keeps them at zero).
    pub fn randomize_value_head(&mut self, deviation: f32, seed: u64) {
        let mut random = Random::new(&[seed, u64::MAX]);
        if let HeadPlace::Scalar { weight, .. } = &self.layout.head {
            let values: Vec<f32> = weight.clone().map(|_| random.normal() as f32 * deviation).collect();
            self.parameters.write(&self.device, &Place::Row(weight.clone()), &values);
        }
    }

    /// Sets the value head's bias: the critic's output everywhere while the head's weights are 0.
    pub fn set_value_bias(&mut self, bias: f32) {
        if let HeadPlace::Scalar { bias: place, .. } = &self.layout.head {
            self.parameters.write(&self.device, &Place::Vector(place.clone()), &[bias]);
        }
    }

    /// A copy of one tensor, row-major, by its Hugging Face name; from the masters if there are any.
    pub fn tensor(&self, name: &str) -> Option<Vec<f32>> {
        Some(self.parameters.read(&self.device, self.layout.place(name)?))
    }

    /// Copies of all tensors, one after the other: what [`Model::tensor`] returns, for comparing models.
    pub fn weights(&self) -> Vec<f32> {
        self.layout.tensors.iter().flat_map(|t| self.parameters.read(&self.device, &t.place)).collect()
    }

    /// Replaces a tensor, given row-major. With bf16 the weights that passes read are rounded.
    ///
    /// # Panics
    /// If the model has no such tensor, or `values` has the wrong length.
    pub fn set_tensor(&mut self, name: &str, values: &[f32]) {
        let layout = Arc::clone(&self.layout);
        let place = layout.place(name).unwrap_or_else(|| panic!("no tensor `{name}`"));
        self.parameters.write(&self.device, place, values);
    }

    /// A copy of one tensor in a buffer of this model's layout: a gradient or a moment.
    pub fn tensor_in(&self, flat: &Buffer, name: &str) -> Option<Vec<f32>> {
        let place = self.layout.place(name)?;
        Some(read_tensor(&self.device, flat.slice(place.range()), place))
    }

    /// Replaces one tensor in such a buffer.
    ///
    /// # Panics
    /// As [`Model::set_tensor`].
    pub fn set_tensor_in(&self, flat: &mut Buffer, name: &str, values: &[f32]) {
        let place = self.layout.place(name).unwrap_or_else(|| panic!("no tensor `{name}`"));
        write_tensor(&self.device, flat.slice_mut(place.range()), place, values);
    }

    /// Names and shapes of all tensors, in the order of the flat buffers.
    pub fn tensor_shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.layout.named_shapes()
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
    pub fn load(device: &Device, dir: &Path, head: Head) -> Result<Model, Error> {
        Model::load_for_inference(device, dir, head, WeightDtype::Float32)
    }

    /// The same for a network that is not trained: bf16 weights then have no f32 master weights, not even while
    /// they are read.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_for_inference(device: &Device, dir: &Path, head: Head, dtype: WeightDtype) -> Result<Model, Error> {
        let config = ModelConfig::load(dir)?;
        let files = SafetensorsFiles::open(dir)?;
        files.check(&config, &Layout::new(device, &config, head))?;
        let mut model = Model::zeros(device, config, head, dtype);
        let layout = Arc::clone(&model.layout);
        for tensor in &layout.tensors {
            model.parameters.write(device, &tensor.place, &files.read(&tensor.name)?);
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

    /// A norm of this network, whose weights lie there.
    pub(crate) fn norm(&self, weight: &Range<usize>) -> Norm<'_> {
        let offset = self.config.family.facts().norm_offset;
        Norm { weight: self.parameters.values(weight.clone()), offset, eps: self.config.rms_norm_eps }
    }

    /// Lets no sequence be longer than this: a longer context takes memory, and LongRoPE chooses its divisors by it. Saved files
    /// keep the number of positions that the network was loaded with.
    pub fn limit_positions(&mut self, positions: usize) {
        if positions < self.config.max_position_embeddings {
            self.config.limit_positions(positions);
            self.rotary = rotary_tables(&self.device, &self.config);
        }
    }

    /// Whether sequences of `tokens` tokens fit the positions of this network.
    pub fn fits(&self, tokens: usize) -> bool {
        tokens <= self.config.max_position_embeddings
    }

    pub(crate) fn assert_policy(&self) {
        assert_eq!(self.head, Head::Language, "only a policy can be sampled from");
    }
}

/// The tables of each of a network's ropes.
fn rotary_tables(device: &Device, config: &ModelConfig) -> Arc<[Rotary]> {
    let (head_size, positions) = (config.attention.head_size, config.max_position_embeddings);
    let table =
        |rope: &Rope| Rotary::new(device, head_size, &rope.inverse_frequencies(positions), rope.amplitude(), positions);
    config.ropes.iter().map(table).collect()
}
