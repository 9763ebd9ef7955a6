//! A run with one changed file, which is then resumed: the number of the run and of the file, and its content.

use std::path::Path;

use vapo_train::Run;

use super::Directory;

/// Runs that earlier versions wrote: with tensors in flat buffers, and with tensors by their names.
const RUNS: [&str; 2] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/train/tests/fixtures/run-format-1"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/train/tests/fixtures/run-format-3"),
];
const CHECKPOINT: &str = "checkpoints/step-000002";

/// The files of a run. The last is left out, so that a changed file is read and not only compared.
const FILES: [&str; 14] = [
    "config.toml",
    "metrics.jsonl",
    "checkpoints/step-000002/config.toml",
    "checkpoints/step-000002/state/state.json",
    "checkpoints/step-000002/state/policy.safetensors",
    "checkpoints/step-000002/state/critic.safetensors",
    "checkpoints/step-000002/policy/config.json",
    "checkpoints/step-000002/policy/model.safetensors",
    "checkpoints/step-000002/policy/tokenizer.json",
    "checkpoints/step-000002/policy/tokenizer_config.json",
    "checkpoints/step-000002/critic/config.json",
    "checkpoints/step-000002/critic/model.safetensors",
    "checkpoints/step-000002/critic/tokenizer.json",
    "checkpoints/step-000002/SHA256SUMS",
];

pub(crate) fn checkpoint(data: &[u8]) {
    let Some((number, content)) = data.split_first() else { return };
    let number = usize::from(*number);
    let (run, changed) = (Path::new(RUNS[number / FILES.len() % RUNS.len()]), FILES[number % FILES.len()]);
    let directory = Directory::new();
    for folder in ["eval", "state", "policy", "critic"].map(|name| Path::new(CHECKPOINT).join(name)) {
        std::fs::create_dir_all(directory.path().join(folder)).expect("a directory");
    }
    for name in FILES[..FILES.len() - 1].iter().filter(|name| **name != changed) {
        let bytes = std::fs::read(run.join(name)).expect("a file of the fixture");
        directory.write(name, &without_checksums(name, bytes));
    }
    directory.write(changed, content);
    let resume = || Run::resume(&directory.path(), &["run.threads=1".to_owned(), "data.task=chain".to_owned()]);
    let Ok(first) = resume() else { return };
    let weights = |run: &Run| run.policy().weights().into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let before = weights(&first);
    drop(first);
    let again = resume().unwrap_or_else(|error| panic!("a run that could be resumed can be resumed again: {error}"));
    assert_eq!(weights(&again), before, "it is the same run");
}

/// The file as it is in a run of the last format without checksums.
fn without_checksums(name: &str, bytes: Vec<u8>) -> Vec<u8> {
    if !name.ends_with("state.json") {
        return bytes;
    }
    String::from_utf8(bytes).expect("JSON").replace("\"format_version\": 3", "\"format_version\": 2").into_bytes()
}
