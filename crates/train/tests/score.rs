//! Scores of rows from a file compared with PyTorch's numbers for the same tokens (`tools/fixtures/engine.py`).

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use vapo_lm::{Device, Engine, Head, Model};
use vapo_train::{Config, RowReader, ScoredRow, Scorer, value_bound};

/// The numbers of an f32 or i64 tensor in a fixture.
fn numbers(bytes: &[u8], name: &str) -> Vec<f64> {
    let tensors = SafeTensors::deserialize(bytes).unwrap();
    let view = tensors.tensor(name).unwrap();
    match view.dtype() {
        safetensors::Dtype::I64 => {
            view.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect()
        }
        _ => view.data().chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect(),
    }
}

/// The fixture's sequences as rows of tokens, with an empty response in between.
fn rows(bytes: &[u8]) -> String {
    let integers = |name| numbers(bytes, name).into_iter().map(|x| x as usize).collect::<Vec<_>>();
    let (tokens, mut first, mut rows) = (integers("tokens"), 0, String::new());
    for (length, prompt) in integers("lengths").into_iter().zip(integers("prompt_lengths")) {
        let (prompt, response) = tokens[first..first + length].split_at(prompt);
        rows += &format!("{{\"prompt_tokens\": {prompt:?}, \"response_tokens\": {response:?}}}\n");
        rows += &format!("{{\"prompt_tokens\": {prompt:?}, \"response_tokens\": []}}\n");
        first += length;
    }
    rows
}

fn worst(found: impl Iterator<Item = f32>, expected: &[f64]) -> f64 {
    let found: Vec<f32> = found.collect();
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(found, expected)| (f64::from(*found) - expected).abs()).fold(0.0, f64::max)
}

#[test]
fn log_probs_and_values_are_pytorchs() {
    for family in ["llama", "qwen2", "qwen3", "llama_tied_odd"] {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../lm/tests/fixtures").join(family);
        let expected = std::fs::read(directory.join("expected.safetensors")).unwrap();
        let policy = Model::load(&Device::cpu(1), &directory, Head::Language).unwrap();
        let critic = Model::load(&Device::cpu(1), &directory.join("critic"), Head::Value).unwrap();
        let config = Config::default();
        let bound = value_bound(&config.critic, config.reward_range());
        let mut engine = Engine::new(&Device::cpu(2), 40);
        let temperature = numbers(&expected, "temperature")[0] as f32;
        let mut scorer = Scorer::new(&mut engine, &policy, Some((&critic, bound)), temperature).unwrap();
        let text = rows(&expected);
        let mut reader = RowReader::new(text.as_bytes(), Path::new("rows.jsonl"), None, &policy);
        let mut scored: Vec<ScoredRow> = Vec::new();
        loop {
            // Few tokens at a time: several parts.
            let part = reader.next_rows(10).unwrap();
            if part.is_empty() {
                break;
            }
            scored.extend(scorer.score(&part).unwrap());
        }
        assert_eq!(scored.len(), text.lines().count(), "{family}");
        let logp = scored.iter().flat_map(|row| row.logprobs.iter().copied());
        assert!(worst(logp, &numbers(&expected, "logp")) < 1e-4, "{family}");
        let values = scored.iter().flat_map(|row| row.values.clone().unwrap());
        assert!(worst(values, &numbers(&expected, "values")) < 1e-4, "{family}");
    }
}

#[test]
fn texts_want_a_tokenizer() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../lm/tests/fixtures/llama");
    let policy = Model::load(&Device::cpu(1), &directory, Head::Language).unwrap();
    let row = br#"{"prompt": "a", "response": "b"}"#;
    let error = RowReader::new(&row[..], Path::new("rows.jsonl"), None, &policy).next_rows(1).unwrap_err();
    let expected = "rows.jsonl: row 1: the model has no tokenizer.json, expected `prompt_tokens` instead of `prompt`";
    assert_eq!(error.to_string(), expected);
}
