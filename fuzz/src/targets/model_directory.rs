//! A model's directory: `config.json`, the header of `model.safetensors` as JSON, `generation_config.json`, an index of
//! shards, and the tensors' bytes. Without a header, the last part is the whole safetensors file.

use std::path::Path;

use serde_json::Value;
use vapo_lm::{Device, Head, Model, WeightDtype};

use super::{Directory, parts};

/// Files are at most this long.
const LONGEST: u64 = 1 << 16;

pub(crate) fn model_directory(data: &[u8]) {
    let [config, header, generation, index, bytes] = parts(data);
    let file = if header.is_empty() { bytes.to_vec() } else { safetensors(header, bytes) };
    let directory = Directory::new();
    directory.write("config.json", config);
    directory.write_any("generation_config.json", generation);
    directory.write_any("model.safetensors.index.json", index);
    directory.write(if index.is_empty() { "model.safetensors" } else { "model-1.safetensors" }, &file);
    for (head, dtype) in [(Head::Language, WeightDtype::Float32), (Head::Value, WeightDtype::Bfloat16)] {
        let Ok(model) = Model::load_for_inference(&Device::cpu(1), &directory.path(), head, dtype) else { continue };
        let [first, second] = [Directory::new(), Directory::new()];
        model.save(&first.path(), dtype).expect("a model that was read can be written");
        let again = Model::load_for_inference(&Device::cpu(1), &first.path(), head, dtype);
        let again = again.unwrap_or_else(|error| panic!("a written model can be read: {error}"));
        assert_eq!(bits(&again), bits(&model), "a written model has the same weights");
        again.save(&second.path(), dtype).expect("a model that was read can be written");
        for name in ["config.json", "model.safetensors"] {
            let read = |directory: &Path| std::fs::read(directory.join(name)).expect("a written file");
            assert!(read(&first.path()) == read(&second.path()), "{name} is written as it was read");
        }
    }
}

fn bits(model: &Model) -> Vec<u32> {
    model.weights().into_iter().map(f32::to_bits).collect()
}

/// A file with this header, and as many bytes after it as it promises: the given ones, then zeros.
fn safetensors(header: &[u8], bytes: &[u8]) -> Vec<u8> {
    let tensors: Value = serde_json::from_slice(header).unwrap_or_default();
    let ends = tensors.as_object().into_iter().flatten().filter_map(|(_, tensor)| tensor["data_offsets"][1].as_u64());
    let length = ends.max().unwrap_or(0).min(LONGEST) as usize;
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header);
    file.extend(bytes.iter().copied().chain(std::iter::repeat(0)).take(length));
    file
}
