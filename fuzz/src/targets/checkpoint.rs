//! A run with one changed file, which is then resumed: the number of the file, and its content.

use std::path::Path;

use vapo_train::Run;

use super::Directory;

/// A run that vapo wrote before checkpoints had checksums, so that a changed file is read and not only compared.
const RUN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/train/tests/fixtures/run-format-1");
const CHECKPOINT: &str = "checkpoints/step-000002";

/// The files of the run. The last does not exist in it.
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
    let changed = FILES[usize::from(*number) % FILES.len()];
    let directory = Directory::new();
    for folder in ["eval", "state", "policy", "critic"].map(|name| Path::new(CHECKPOINT).join(name)) {
        std::fs::create_dir_all(directory.path().join(folder)).expect("a directory");
    }
    for name in FILES.iter().filter(|name| **name != changed) {
        if let Ok(bytes) = std::fs::read(Path::new(RUN).join(name)) {
            directory.write(name, &bytes);
        }
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
