//! A network's weights, and their files.

use crate::layout::{HeadPlace, Layout, Place, Tensor};
use crate::random::Random;
use crate::{Error, ModelConfig};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo, View};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
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
        self.layout.tensors.iter().map(|t| t.place.shape().iter().product::<usize>()).sum()
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
    pub fn load(dir: &Path, head: Head) -> Result<Model, Error> {
        let mut model = Model::zeros(ModelConfig::load(dir)?, head);
        let files = Weights::open(dir)?;
        let layout = Arc::clone(&model.layout);
        for tensor in &layout.tensors {
            let values = match files.read(&tensor.name, &tensor.place.shape())? {
                Some(values) => values,
                None if tensor.name == "score.bias" => vec![0.0],
                None => return Err(files.missing(&tensor.name)),
            };
            write_tensor(&mut model.parameters, &tensor.place, &values);
        }
        Ok(model)
    }

    /// Writes `config.json` and `model.safetensors` (f32) into `dir`, which exists; both with the same permissions.
    pub fn save(&self, dir: &Path) -> Result<(), Error> {
        let config = dir.join("config.json");
        let json = serde_json::to_string_pretty(&self.config.to_json(self.head == Head::Value)).expect("JSON of JSON");
        std::fs::write(&config, json + "\n").map_err(Error::io(&config))?;
        let path = dir.join("model.safetensors");
        let tensors = self.layout.tensors.iter().map(|t| (&t.name, TensorView::new(t, &self.parameters)));
        let metadata = [("format".to_string(), "pt".to_string())].into();
        safetensors::serialize_to_file(tensors, Some(metadata), &path)
            .map_err(|e| Error::content(&path, e.to_string()))?;
        // safetensors writes files that nobody but their owner can read.
        let permissions = std::fs::metadata(&config).map_err(Error::io(&config))?.permissions();
        std::fs::set_permissions(&path, permissions).map_err(Error::io(&path))
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

/// One tensor on its way to a file: converted when its turn comes, so that only one exists twice.
struct TensorView<'a> {
    place: &'a Place,
    shape: Vec<usize>,
    flat: &'a [f32],
}

impl<'a> TensorView<'a> {
    fn new(tensor: &'a Tensor, flat: &'a [f32]) -> TensorView<'a> {
        TensorView { place: &tensor.place, shape: tensor.place.shape(), flat }
    }
}

impl View for TensorView<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        read_tensor(self.flat, self.place).iter().flat_map(|x| x.to_le_bytes()).collect()
    }
    fn data_len(&self) -> usize {
        4 * self.shape.iter().product::<usize>()
    }
}

/// The safetensors files of a directory; tensors are read one at a time.
struct Weights {
    dir: PathBuf,
    files: Vec<(PathBuf, u64, Metadata)>,
}

impl Weights {
    fn open(dir: &Path) -> Result<Weights, Error> {
        let single = dir.join("model.safetensors");
        let index = dir.join("model.safetensors.index.json");
        let paths = if !single.exists() && index.exists() { shards(&index)? } else { vec![single] };
        let files =
            paths.into_iter().map(|path| read_header(path.clone()).map(|(start, header)| (path, start, header)));
        Ok(Weights { dir: dir.to_path_buf(), files: files.collect::<Result<_, _>>()? })
    }

    fn find(&self, name: &str) -> Option<(&PathBuf, u64, &TensorInfo)> {
        self.files.iter().find_map(|(path, start, header)| header.info(name).map(|info| (path, *start, info)))
    }

    /// The values of a tensor, or nothing where no file has it; a checkpoint's trunk may lack the prefix `model.`.
    fn read(&self, name: &str, shape: &[usize]) -> Result<Option<Vec<f32>>, Error> {
        let bare = name.strip_prefix("model.").unwrap_or(name);
        let Some((path, start, info)) = self.find(name).or_else(|| self.find(bare)) else { return Ok(None) };
        let found: &[usize] = &info.shape;
        if found != shape {
            return Err(Error::content(
                path,
                format!("tensor `{name}` has shape {found:?}, config.json says {shape:?}"),
            ));
        }
        let (from, to) = info.data_offsets;
        let mut bytes = vec![0; to - from];
        let mut file = File::open(path).map_err(Error::io(path))?;
        file.seek(SeekFrom::Start(start + from as u64))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(Error::io(path))?;
        let values = decode(&bytes, info.dtype).ok_or_else(|| {
            Error::content(path, format!("tensor `{name}` is {:?}, expected F32, BF16 or F16", info.dtype))
        })?;
        match values.iter().position(|x| !x.is_finite()) {
            Some(at) => Err(Error::content(path, format!("tensor `{name}` holds {} at element {at}", values[at]))),
            None => Ok(Some(values)),
        }
    }

    fn missing(&self, name: &str) -> Error {
        let names: Vec<String> = self.files.iter().flat_map(|f| f.2.offset_keys()).take(3).collect();
        Error::content(
            &self.dir,
            format!("no tensor `{name}` in its safetensors files (they begin with {})", names.join(", ")),
        )
    }
}

fn decode(bytes: &[u8], dtype: Dtype) -> Option<Vec<f32>> {
    let pair = |b: &[u8]| [b[0], b[1]];
    Some(match dtype {
        Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::BF16 => bytes.chunks_exact(2).map(|b| half::bf16::from_le_bytes(pair(b)).to_f32()).collect(),
        Dtype::F16 => bytes.chunks_exact(2).map(|b| half::f16::from_le_bytes(pair(b)).to_f32()).collect(),
        _ => return None,
    })
}

fn shards(index: &Path) -> Result<Vec<PathBuf>, Error> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = std::fs::read_to_string(index).map_err(Error::io(index))?;
    let parsed: Index = serde_json::from_str(&text).map_err(|e| Error::content(index, e.to_string()))?;
    let mut names: Vec<String> = parsed.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    let dir = index.parent().unwrap_or(Path::new("."));
    // A name from a file must not lead out of the directory.
    match names.iter().find(|n| Path::new(n).components().count() != 1 || n.starts_with("..")) {
        Some(name) => Err(Error::content(index, format!("`{name}` is not a file name"))),
        None => Ok(names.iter().map(|n| dir.join(n)).collect()),
    }
}

/// Where the data starts, and the header of a safetensors file, checked against the file's length.
fn read_header(path: PathBuf) -> Result<(u64, Metadata), Error> {
    let mut file = File::open(&path).map_err(Error::io(&path))?;
    let length = file.metadata().map_err(Error::io(&path))?.len();
    let mut prefix = [0u8; 8];
    file.read_exact(&mut prefix)
        .map_err(|_| Error::content(&path, format!("{length} bytes are too few for safetensors")))?;
    let header = u64::from_le_bytes(prefix);
    const LARGEST_HEADER: u64 = 100_000_000;
    if header > LARGEST_HEADER.min(length.saturating_sub(8)) {
        return Err(Error::content(&path, format!("not safetensors: header of {header} bytes in a file of {length}")));
    }
    let mut bytes = vec![0; header as usize];
    file.read_exact(&mut bytes).map_err(Error::io(&path))?;
    let metadata: Metadata =
        serde_json::from_slice(&bytes).map_err(|e| Error::content(&path, format!("not safetensors: {e}")))?;
    let end = metadata.data_len() as u64 + 8 + header;
    if end != length {
        return Err(Error::content(&path, format!("truncated or oversized: {length} bytes, its header says {end}")));
    }
    Ok((8 + header, metadata))
}
