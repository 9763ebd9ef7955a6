//! A safetensors file: its header is read and checked at once, its tensors one at a time.

use crate::{Error, files};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Largest header in bytes: what the format's own readers accept.
pub(crate) const MAX_HEADER: u64 = 100_000_000;

/// A file of tensors.
pub struct TensorFile {
    path: PathBuf,
    /// Where the data begins.
    start: u64,
    header: Metadata,
}

impl TensorFile {
    /// Reads the header and checks it against the file's length.
    ///
    /// # Errors
    /// The file cannot be read or is not of this format.
    pub fn open(path: &Path) -> Result<TensorFile, Error> {
        let mut file = files::open(path)?;
        let length = file.metadata().map_err(Error::io(path))?.len();
        let mut prefix = [0u8; 8];
        file.read_exact(&mut prefix).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => Error::content(path, format!("{length} bytes are too few for safetensors")),
            _ => Error::io(path)(error),
        })?;
        let size = u64::from_le_bytes(prefix);
        if size > MAX_HEADER.min(length.saturating_sub(8)) {
            return Err(Error::content(path, format!("not safetensors: header of {size} bytes in a file of {length}")));
        }
        let mut bytes = vec![0; size as usize];
        file.read_exact(&mut bytes).map_err(Error::io(path))?;
        // This checks that offsets follow each other without gaps, in the sizes that shapes and types say.
        let header: Metadata = serde_json::from_slice(&bytes)
            .map_err(|e| Error::content(path, format!("not safetensors: {}", files::json_problem(&e))))?;
        let end = (header.data_len() as u64).saturating_add(8 + size);
        if end != length {
            return Err(Error::content(path, format!("truncated or oversized: {length} bytes, its header says {end}")));
        }
        Ok(TensorFile { path: path.to_path_buf(), start: 8 + size, header })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of all tensors, in the order of their data.
    pub fn names(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    /// Type and shape of a tensor.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.header.info(name)
    }

    /// The values of a tensor, row-major.
    ///
    /// # Errors
    /// It does not exist, cannot be read, is not F32, BF16 or F16, or has a value that is not finite.
    pub fn read(&self, name: &str) -> Result<Vec<f32>, Error> {
        let path = &self.path;
        let info = self.info(name).ok_or_else(|| Error::content(path, format!("no tensor `{name}`")))?;
        let (from, to) = info.data_offsets;
        let mut bytes = vec![0; to - from];
        let mut reader = File::open(path).map_err(Error::io(path))?;
        reader
            .seek(SeekFrom::Start(self.start + from as u64))
            .and_then(|_| reader.read_exact(&mut bytes))
            .map_err(Error::io(path))?;
        let values = decode(&bytes, info.dtype).ok_or_else(|| {
            Error::content(path, format!("tensor `{name}` is {:?}, expected F32, BF16 or F16", info.dtype))
        })?;
        refuse_not_finite(path, name, &values)?;
        Ok(values)
    }
}

/// Weights that are not numbers would spread to every output.
pub(crate) fn refuse_not_finite(path: &Path, name: &str, values: &[f32]) -> Result<(), Error> {
    match values.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(Error::content(path, format!("tensor `{name}` holds {} at element {at}", values[at]))),
        None => Ok(()),
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
