//! Writing a Hugging Face directory: `config.json` and `model.safetensors`, one tensor in memory at a time.

use crate::Error;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::Value;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// The type of weights, in memory or in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightDtype {
    /// Exact.
    #[default]
    Float32,
    /// Half the size; rounded to nearest, ties to even.
    Bfloat16,
}

impl WeightDtype {
    /// What transformers calls it.
    pub fn name(self) -> &'static str {
        match self {
            WeightDtype::Float32 => "float32",
            WeightDtype::Bfloat16 => "bfloat16",
        }
    }

    fn in_safetensors(self) -> Dtype {
        match self {
            WeightDtype::Float32 => Dtype::F32,
            WeightDtype::Bfloat16 => Dtype::BF16,
        }
    }

    /// Little-endian bytes of the values.
    ///
    /// # Errors
    /// A finite value is too large for the type: its first position.
    fn encode(self, values: &[f32]) -> Result<Vec<u8>, usize> {
        match self {
            WeightDtype::Float32 => Ok(little_endian(values)),
            WeightDtype::Bfloat16 => {
                let rounded: Vec<half::bf16> = values.iter().map(|x| half::bf16::from_f32(*x)).collect();
                let lost = |at: &usize| values[*at].is_finite() && !rounded[*at].is_finite();
                match (0..values.len()).find(lost) {
                    Some(at) => Err(at),
                    None => Ok(rounded.iter().flat_map(|x| x.to_le_bytes()).collect()),
                }
            }
        }
    }
}

/// The bytes of f32 values in files.
pub fn little_endian(values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; size_of_val(values)];
    bytes.chunks_exact_mut(4).zip(values).for_each(|(bytes, value)| bytes.copy_from_slice(&value.to_le_bytes()));
    bytes
}

/// Writes `config.json` and `model.safetensors` into `dir`, which exists. `tensors` are names and shapes in any order;
/// `read` gives a tensor's values, row-major, when its turn comes.
pub(crate) fn save_directory(
    dir: &Path,
    config: &Value,
    dtype: WeightDtype,
    tensors: Vec<(String, Vec<usize>)>,
    mut read: impl FnMut(&str) -> Result<Vec<f32>, Error>,
) -> Result<(), Error> {
    write_json(&dir.join("config.json"), config)?;
    let path = dir.join("model.safetensors");
    let (names, header) = header(tensors, dtype).map_err(|e| Error::content(&path, e))?;
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&path).map_err(Error::io(&path))?);
    let length = (header.len() as u64).to_le_bytes();
    file.write_all(&length).and_then(|_| file.write_all(&header)).map_err(Error::io(&path))?;
    for name in names {
        let bytes = dtype.encode(&read(&name)?).map_err(|at| {
            Error::content(&path, format!("tensor `{name}` is too large for {} at element {at}", dtype.name()))
        })?;
        file.write_all(&bytes).map_err(Error::io(&path))?;
    }
    file.flush().map_err(Error::io(&path))
}

/// Writes indented JSON with a newline at the end.
pub(crate) fn write_json(path: &Path, value: &Value) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).expect("JSON of JSON");
    std::fs::write(path, text + "\n").map_err(Error::io(path))
}

/// Names in the order of their data, and the header that says so, padded to a multiple of 8 bytes.
fn header(mut tensors: Vec<(String, Vec<usize>)>, dtype: WeightDtype) -> Result<(Vec<String>, Vec<u8>), String> {
    tensors.sort();
    let names = tensors.iter().map(|(name, _)| name.clone()).collect();
    let dtype = dtype.in_safetensors();
    let mut offset = 0;
    let place = |(name, shape): (String, Vec<usize>)| {
        let start = offset;
        offset += shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (name, TensorInfo { dtype, shape, data_offsets: (start, offset) })
    };
    let infos = tensors.into_iter().map(place).collect();
    let format = [("format".to_string(), "pt".to_string())].into();
    let metadata = Metadata::new(Some(format), infos).map_err(|e| e.to_string())?;
    let mut header = serde_json::to_vec(&metadata).map_err(|e| e.to_string())?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok((names, header))
}
