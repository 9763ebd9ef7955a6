//! The safetensors files of a Hugging Face directory. Headers are read and checked first; tensors one at a time.

use crate::absent::{Part, absent};
use crate::files::{json_problem, path_in, read_bounded};
use crate::layout::Layout;
use crate::tensor_file::{MAX_HEADER, TensorFile};
use crate::{Error, ModelConfig};
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Largest index in bytes: that of a header.
const MAX_INDEX: u64 = MAX_HEADER;

const EMBEDDING: &str = "model.embed_tokens.weight";
const VOCABULARY_HEAD: &str = "lm_head.weight";
/// Absent in files of `..ForSequenceClassification`: zero.
const VALUE_BIAS: &str = "score.bias";

/// The safetensors files of a directory.
pub(crate) struct SafetensorsFiles {
    dir: PathBuf,
    files: Vec<TensorFile>,
}

/// A tensor in a file, which may have it under another name.
struct Entry<'a> {
    file: &'a TensorFile,
    name: &'a str,
    info: &'a TensorInfo,
}

impl SafetensorsFiles {
    /// Opens `model.safetensors`, or the shards that `model.safetensors.index.json` names.
    pub(crate) fn open(dir: &Path) -> Result<SafetensorsFiles, Error> {
        let single = path_in(dir, "model.safetensors")?;
        let index = path_in(dir, "model.safetensors.index.json")?;
        let paths = match (single.exists(), index.exists()) {
            (true, _) => vec![single],
            (false, true) => shards(&index)?,
            (false, false) => return Err(absent(dir, Part::Weights)),
        };
        let files = paths.iter().map(|path| TensorFile::open(path)).collect::<Result<_, _>>()?;
        let files = SafetensorsFiles { dir: dir.to_path_buf(), files };
        files.refuse_duplicates()?;
        Ok(files)
    }

    fn refuse_duplicates(&self) -> Result<(), Error> {
        let mut seen = BTreeMap::new();
        for file in &self.files {
            for name in file.names() {
                if let Some(first) = seen.insert(name.clone(), file.path()) {
                    return Err(Error::content(
                        file.path(),
                        format!("tensor `{name}` is in {} as well", first.display()),
                    ));
                }
            }
        }
        Ok(())
    }

    /// A tensor by its full name; a decoder saved without a head lacks the prefix `model.`, and of a tied
    /// pair the embedding may be the one that is left out.
    fn find<'a>(&'a self, name: &'a str) -> Option<Entry<'a>> {
        let bare = name.strip_prefix("model.").unwrap_or(name);
        let other = if name == EMBEDDING { VOCABULARY_HEAD } else { name };
        [name, bare, other]
            .into_iter()
            .find_map(|name| self.files.iter().find_map(|file| Some(Entry { file, name, info: file.info(name)? })))
    }

    /// Whether the files hold the tensors of this layout, in its shapes and a type that can be read, and none that would
    /// have changed a layer. Nothing but headers is in memory yet.
    pub(crate) fn check(&self, config: &ModelConfig, layout: &Layout) -> Result<(), Error> {
        for tensor in &layout.tensors {
            let (name, shape) = (&tensor.name, tensor.place.shape());
            let Some(Entry { file, info, .. }) = self.find(name) else {
                if name == VALUE_BIAS {
                    continue;
                }
                return Err(self.missing(name));
            };
            if info.shape != shape {
                let problem = format!("tensor `{name}` has shape {:?}, config.json says {shape:?}", info.shape);
                return Err(Error::content(file.path(), problem));
            }
            if !matches!(info.dtype, Dtype::F32 | Dtype::BF16 | Dtype::F16) {
                let problem = format!("tensor `{name}` is {:?}, expected F32, BF16 or F16", info.dtype);
                return Err(Error::content(file.path(), problem));
            }
        }
        self.refuse_unknown_parts(layout)?;
        if config.tied { self.check_tied_pair() } else { Ok(()) }
    }

    /// A tensor of a layer that the network does not have would be left out without a word.
    fn refuse_unknown_parts(&self, layout: &Layout) -> Result<(), Error> {
        let known: BTreeSet<&str> = layout.tensors.iter().map(|t| t.name.as_str()).collect();
        for file in &self.files {
            for name in file.names() {
                let full = if name.starts_with("layers.") { format!("model.{name}") } else { name };
                let is_known = known.contains(full.as_str()) || full.ends_with("rotary_emb.inv_freq");
                if full.starts_with("model.layers.") && !is_known {
                    let problem = format!("tensor `{full}` has no place in the network that config.json describes");
                    return Err(Error::content(file.path(), problem));
                }
            }
        }
        Ok(())
    }

    /// Files of tied networks may hold the table twice, but not two tables.
    fn check_tied_pair(&self) -> Result<(), Error> {
        let entry = |name: &str| self.files.iter().find(|file| file.info(name).is_some());
        let (Some(_), Some(file)) = (entry(EMBEDDING), entry(VOCABULARY_HEAD)) else { return Ok(()) };
        let (embedding, head) = (self.read(EMBEDDING)?, self.read(VOCABULARY_HEAD)?);
        if embedding == head {
            return Ok(());
        }
        let problem = format!(
            "`{VOCABULARY_HEAD}` differs from `{EMBEDDING}`, but config.json says tie_word_embeddings: true; \
             set it to false if the head has weights of its own"
        );
        Err(Error::content(file.path(), problem))
    }

    /// The values of a tensor of the checked layout, row-major.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<f32>, Error> {
        match self.find(name) {
            Some(Entry { file, name, .. }) => file.read(name),
            None if name == VALUE_BIAS => Ok(vec![0.0]),
            None => Err(self.missing(name)),
        }
    }

    fn missing(&self, name: &str) -> Error {
        let names: Vec<String> = self.files.iter().flat_map(|f| f.names()).take(3).collect();
        let hint = match name {
            "score.weight" => "; a critic needs a value head, which a language model does not have",
            VOCABULARY_HEAD => "; if the head is the embedding table, config.json must say tie_word_embeddings: true",
            _ => "",
        };
        Error::content(
            &self.dir,
            format!("no tensor `{name}` in its safetensors files (they begin with {}){hint}", names.join(", ")),
        )
    }
}

/// The files that an index names.
fn shards(index: &Path) -> Result<Vec<PathBuf>, Error> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = read_bounded(index, MAX_INDEX)?;
    let parsed: Index = serde_json::from_slice(&text).map_err(|e| Error::content(index, json_problem(&e)))?;
    let names: BTreeSet<String> = parsed.weight_map.into_values().collect();
    if names.is_empty() {
        return Err(Error::content(index, "weight_map names no file"));
    }
    let dir = index.parent().unwrap_or(Path::new("."));
    // A name in a file must not lead out of the directory.
    let is_name = |name: &str| {
        let mut parts = Path::new(name).components();
        matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(part)), None) if part == name)
    };
    if let Some(name) = names.iter().find(|name| !is_name(name)) {
        return Err(Error::content(index, format!("`{name}` is not the name of a file in this directory")));
    }
    let missing: Vec<&String> = names.iter().filter(|name| !dir.join(name).exists()).collect();
    if let Some(first) = missing.first() {
        let problem = format!(
            "names {} files, of which {} do not exist, first `{first}`: is the download complete?",
            names.len(),
            missing.len()
        );
        return Err(Error::content(index, problem));
    }
    names.iter().map(|name| path_in(dir, name)).collect()
}
