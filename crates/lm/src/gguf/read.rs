//! The header of a GGUF file: metadata and where each tensor lies. All sizes are checked against the file.

use super::blocks::BlockType;
use crate::absent::directory_of_gguf;
use crate::{Error, files};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Most bytes of metadata and tensor descriptions: five times those of a vocabulary of 250,000 tokens with its merges.
const MAX_HEADER: u64 = 64 << 20;
const MAX_ENTRIES: u64 = 1 << 16;
const MAX_DIMENSIONS: u32 = 4;
const DEFAULT_ALIGNMENT: u64 = 32;

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Integer(i128),
    Float(f64),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    Numbers(Vec<f64>),
}

/// Metadata by key; a getter's message names the key.
#[derive(Clone, Debug, Default)]
pub(super) struct Metadata {
    pub(super) values: BTreeMap<String, Value>,
}

/// A tensor's description.
#[derive(Clone, Debug)]
pub(super) struct TensorInfo {
    /// Row-major, outermost first.
    pub(super) shape: Vec<usize>,
    pub(super) kind: BlockType,
    /// From the start of the file.
    offset: u64,
    bytes: u64,
}

/// An opened GGUF file.
#[derive(Debug)]
pub(super) struct GgufFile {
    pub(super) path: PathBuf,
    pub(super) metadata: Metadata,
    pub(super) tensors: BTreeMap<String, TensorInfo>,
}

impl GgufFile {
    /// Reads and checks the header.
    pub(super) fn open(path: &Path) -> Result<GgufFile, Error> {
        if path.is_dir() {
            return Err(directory_of_gguf(path));
        }
        let file = files::open(path)?;
        let length = file.metadata().map_err(Error::io(path))?.len();
        let header = Header { input: BufReader::new(file).take(MAX_HEADER), length };
        let (metadata, tensors) = header.parse().map_err(|problem| Error::content(path, problem))?;
        Ok(GgufFile { path: path.to_path_buf(), metadata, tensors })
    }

    /// The values of a tensor, row-major.
    pub(super) fn read(&self, name: &str, info: &TensorInfo) -> Result<Vec<f32>, Error> {
        let mut bytes = vec![0; info.bytes as usize];
        let mut file = File::open(&self.path).map_err(Error::io(&self.path))?;
        file.seek(SeekFrom::Start(info.offset))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(Error::io(&self.path))?;
        let values = info.kind.dequantize(&bytes);
        crate::tensor_file::refuse_not_finite(&self.path, name, &values)?;
        Ok(values)
    }
}

impl Metadata {
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&str>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => Err(format!("`{key}` must be a string, found {}", other.kind())),
        }
    }

    pub(super) fn size(&self, key: &str) -> Result<Option<u64>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Integer(n)) if (0..1 << 32).contains(n) => Ok(Some(*n as u64)),
            Some(Value::Integer(n)) => Err(format!("`{key}` must be between 0 and {}, found {n}", u32::MAX)),
            Some(other) => Err(format!("`{key}` must be an integer, found {}", other.kind())),
        }
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Float(x)) => Ok(Some(*x)),
            Some(Value::Integer(n)) => Ok(Some(*n as f64)),
            Some(other) => Err(format!("`{key}` must be a number, found {}", other.kind())),
        }
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(format!("`{key}` must be true or false, found {}", other.kind())),
        }
    }

    pub(super) fn texts(&self, key: &str) -> Result<Option<&[String]>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Texts(texts)) => Ok(Some(texts)),
            Some(other) => Err(format!("`{key}` must be an array of strings, found {}", other.kind())),
        }
    }

    pub(super) fn numbers(&self, key: &str) -> Result<Option<&[f64]>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Numbers(numbers)) => Ok(Some(numbers)),
            Some(other) => Err(format!("`{key}` must be an array of numbers, found {}", other.kind())),
        }
    }
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Bool(_) => "true or false",
            Value::Text(_) => "a string",
            Value::Texts(_) => "an array of strings",
            Value::Numbers(_) => "an array of numbers",
        }
    }
}

/// A value for a key that must be there.
pub(super) fn required<T>(key: &str, value: Result<Option<T>, String>) -> Result<T, String> {
    value?.ok_or_else(|| format!("`{key}` is missing"))
}

struct Header<R> {
    input: std::io::Take<R>,
    /// Of the whole file.
    length: u64,
}

impl<R: Read> Header<R> {
    fn parse(mut self) -> Result<(Metadata, BTreeMap<String, TensorInfo>), String> {
        if self.length == 0 || self.bytes()? != *b"GGUF" {
            return Err("not a GGUF file: it does not begin with `GGUF`".into());
        }
        match self.u32()? {
            2 | 3 => {}
            version if version.swap_bytes() <= 3 => return Err("big-endian GGUF is not supported".into()),
            version => return Err(format!("GGUF version {version} is not supported (supported: 2, 3)")),
        }
        let num_tensors = self.count("tensors")?;
        let num_values = self.count("metadata entries")?;
        let mut metadata = Metadata::default();
        for _ in 0..num_values {
            let key = self.text("a metadata key")?;
            let kind = self.u32()?;
            let value = self.value(kind).map_err(|problem| format!("metadata `{key}`: {problem}"))?;
            if metadata.values.insert(key.clone(), value).is_some() {
                return Err(format!("metadata `{key}` is given twice"));
            }
        }
        let tensors = self.tensors(num_tensors, &metadata)?;
        Ok((metadata, tensors))
    }

    fn tensors(&mut self, count: u64, metadata: &Metadata) -> Result<BTreeMap<String, TensorInfo>, String> {
        let mut tensors = BTreeMap::new();
        for _ in 0..count {
            let name = self.text("a tensor's name")?;
            let info = self.tensor().map_err(|problem| format!("tensor `{name}`: {problem}"))?;
            if tensors.insert(name.clone(), info).is_some() {
                return Err(format!("tensor `{name}` is given twice"));
            }
        }
        let alignment = metadata.size("general.alignment")?.unwrap_or(DEFAULT_ALIGNMENT);
        if !alignment.is_power_of_two() {
            return Err(format!("`general.alignment` must be a power of two, found {alignment}"));
        }
        let header = MAX_HEADER - self.input.limit();
        place(&mut tensors, header.next_multiple_of(alignment), alignment, self.length)?;
        Ok(tensors)
    }

    fn tensor(&mut self) -> Result<TensorInfo, String> {
        let dimensions = self.u32()?;
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return Err(format!("has {dimensions} dimensions, expected 1 to {MAX_DIMENSIONS}"));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(usize::try_from(self.u64()?).map_err(|e| e.to_string())?);
        }
        let kind = BlockType::from_code(self.u32()?)?;
        let row = shape[0];
        if row % kind.values() != 0 {
            return Err(format!(
                "rows of {row} values cannot be cut into {}'s blocks of {}",
                kind.name(),
                kind.values()
            ));
        }
        // Innermost first in the file.
        shape.reverse();
        let values = shape.iter().try_fold(1usize, |product, n| product.checked_mul(*n).filter(|n| *n > 0));
        let bytes = values.and_then(|n| (n / kind.values()).checked_mul(kind.bytes()));
        let bytes = bytes.ok_or_else(|| format!("has the impossible shape {shape:?}"))? as u64;
        Ok(TensorInfo { shape, kind, offset: self.u64()?, bytes })
    }

    fn value(&mut self, kind: u32) -> Result<Value, String> {
        Ok(match kind {
            0..=5 | 10 | 11 => Value::Integer(self.integer(kind)?),
            6 | 12 => Value::Float(self.float(kind)?),
            7 => Value::Bool(self.bool()?),
            8 => Value::Text(self.text("a string")?),
            9 => self.array()?,
            other => return Err(format!("has the unknown type {other}")),
        })
    }

    fn array(&mut self) -> Result<Value, String> {
        let kind = self.u32()?;
        let count = self.u64()?;
        // Every element takes at least a byte, so that a count cannot promise more memory than the file has bytes.
        if count > self.input.limit().min(self.length) {
            return Err(format!("an array of {count} elements is longer than the file"));
        }
        match kind {
            8 => (0..count).map(|_| self.text("a string")).collect::<Result<_, _>>().map(Value::Texts),
            0..=5 | 10 | 11 => {
                (0..count).map(|_| self.integer(kind).map(|n| n as f64)).collect::<Result<_, _>>().map(Value::Numbers)
            }
            6 | 12 => (0..count).map(|_| self.float(kind)).collect::<Result<_, _>>().map(Value::Numbers),
            7 => (0..count).map(|_| self.bool().map(f64::from)).collect::<Result<_, _>>().map(Value::Numbers),
            other => Err(format!("is an array of the unsupported type {other}")),
        }
    }

    fn integer(&mut self, kind: u32) -> Result<i128, String> {
        Ok(match kind {
            0 => self.bytes::<1>()?[0].into(),
            1 => i8::from_le_bytes(self.bytes()?).into(),
            2 => u16::from_le_bytes(self.bytes()?).into(),
            3 => i16::from_le_bytes(self.bytes()?).into(),
            4 => self.u32()?.into(),
            5 => i32::from_le_bytes(self.bytes()?).into(),
            10 => self.u64()?.into(),
            _ => i64::from_le_bytes(self.bytes()?).into(),
        })
    }

    /// A single is read as the shortest decimal that means it: 0.00001, not 0.0000099999997.
    fn float(&mut self, kind: u32) -> Result<f64, String> {
        if kind == 12 {
            return Ok(f64::from_le_bytes(self.bytes()?));
        }
        let single = f32::from_le_bytes(self.bytes()?);
        Ok(single.to_string().parse().unwrap_or(f64::from(single)))
    }

    fn bool(&mut self) -> Result<bool, String> {
        match self.bytes::<1>()?[0] {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(format!("true or false is {other}, expected 0 or 1")),
        }
    }

    fn text(&mut self, what: &str) -> Result<String, String> {
        let length = self.u64()?;
        if length > self.input.limit().min(self.length) {
            return Err(format!("{what} of {length} bytes is longer than the file or than any header"));
        }
        let mut bytes = Vec::new();
        self.input.by_ref().take(length).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        if (bytes.len() as u64) < length {
            return Err(truncated());
        }
        String::from_utf8(bytes).map_err(|_| format!("{what} is not UTF-8"))
    }

    fn count(&mut self, what: &str) -> Result<u64, String> {
        match self.u64()? {
            count if count <= MAX_ENTRIES => Ok(count),
            count => Err(format!("{count} {what}, expected at most {MAX_ENTRIES}")),
        }
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => truncated(),
            _ => error.to_string(),
        })?;
        Ok(bytes)
    }
}

fn truncated() -> String {
    "the file ends within its header, or the header is larger than any".into()
}

/// Turns offsets into places in the file; tensors must lie within it and not overlap.
fn place(tensors: &mut BTreeMap<String, TensorInfo>, start: u64, alignment: u64, length: u64) -> Result<(), String> {
    let mut places = BTreeSet::new();
    for (name, info) in tensors {
        if !info.offset.is_multiple_of(alignment) {
            return Err(format!("tensor `{name}` begins at {}, expected a multiple of {alignment}", info.offset));
        }
        let end = start.checked_add(info.offset).and_then(|begin| {
            info.offset = begin;
            begin.checked_add(info.bytes)
        });
        if end.is_none_or(|end| end > length) {
            return Err(format!(
                "tensor `{name}` does not fit: {} bytes from byte {} of a file of {length}; is it truncated?",
                info.bytes, info.offset
            ));
        }
        places.insert((info.offset, info.bytes, name));
    }
    let ordered: Vec<_> = places.iter().collect();
    for pair in ordered.windows(2) {
        let ((begin, bytes, first), (next, _, second)) = (pair[0], pair[1]);
        if begin + bytes > *next {
            return Err(format!("tensors `{first}` and `{second}` overlap"));
        }
    }
    Ok(())
}
