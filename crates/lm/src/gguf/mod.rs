//! GGUF files, the format of llama.cpp: dequantised, with names and row order of Hugging Face, and with a `tokenizer.json` that is
//! rebuilt from their metadata.
//!
//! Versions 2 and 3, architectures `llama`, `qwen2` and `qwen3`. A tensor is in memory only while it is converted.

mod blocks;
mod network;
mod pre_tokenizers;
mod read;
mod tokenizer;

use crate::save::{save_directory, write_json};
use crate::{Error, ModelConfig, Tokenizer, WeightDtype};
use network::Network;
use read::GgufFile;
use std::collections::BTreeMap;
use std::path::Path;
use tokenizer::Vocabulary;

/// What [`import_gguf`] found and wrote.
#[derive(Clone, Debug)]
pub struct ImportedGguf {
    /// The network.
    pub config: ModelConfig,
    /// Number of weights.
    pub num_params: usize,
    /// Types of the tensors in the file, and how many have each.
    pub types: Vec<(&'static str, usize)>,
    /// The tokenizer in a few words.
    pub tokenizer: String,
    /// Whether the file holds a chat template.
    pub has_chat_template: bool,
}

/// Writes the model of a GGUF file as a Hugging Face directory into `dir`, which exists: weights, `config.json`,
/// `generation_config.json`, `tokenizer.json` and `tokenizer_config.json`.
///
/// # Errors
/// The file is damaged, or holds something that is not supported; a file cannot be written.
pub fn import_gguf(path: &Path, dir: &Path, dtype: WeightDtype) -> Result<ImportedGguf, Error> {
    let file = GgufFile::open(path)?;
    let wrong = |problem| Error::content(path, problem);
    let network = Network::new(&file)?;
    let config = &network.config;
    let vocabulary = Vocabulary::new(&file.metadata, config.vocab_size).map_err(wrong)?;
    let tokenizer_json = vocabulary.tokenizer_json().map_err(wrong)?;
    // What cannot be read again is not written.
    let bytes = serde_json::to_vec(&tokenizer_json).expect("JSON of JSON");
    Tokenizer::from_json(&bytes).map_err(|error| Error::content(path, error.to_string()))?;
    write_json(&dir.join("tokenizer.json"), &tokenizer_json)?;
    let context = config.max_position_embeddings;
    write_json(&dir.join("tokenizer_config.json"), &vocabulary.config_json(context).map_err(wrong)?)?;
    write_json(&dir.join("generation_config.json"), &vocabulary.generation_json().map_err(wrong)?)?;
    let tensors = network.tensors();
    let num_params = tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    save_directory(dir, &config.to_json(false, dtype), dtype, tensors, |name| network.read(name))?;
    let mut types = BTreeMap::new();
    for info in file.tensors.values() {
        *types.entry(info.kind).or_insert(0) += 1;
    }
    Ok(ImportedGguf {
        num_params,
        types: types.into_iter().map(|(kind, count)| (kind.name(), count)).collect(),
        tokenizer: vocabulary.describe(),
        has_chat_template: file.metadata.get("tokenizer.chat_template").is_some(),
        config: network.config,
    })
}
