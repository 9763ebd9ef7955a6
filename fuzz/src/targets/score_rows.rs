//! Rows of texts or tokens for `vapo score`.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::json;
use vapo_lm::{Device, Head, Model, ModelConfig, Sizes, Tokenizer};
use vapo_train::RowReader;

const VOCABULARY: usize = 100;
const POSITIONS: usize = 64;

static MODEL: LazyLock<(Model, Tokenizer)> = LazyLock::new(|| {
    let sizes = Sizes {
        vocab_size: VOCABULARY,
        hidden_size: 4,
        intermediate_size: 4,
        num_layers: 1,
        num_heads: 2,
        num_kv_heads: 1,
        max_positions: POSITIONS,
    };
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        (b' '..=b'~').zip(0..).map(|(byte, id)| (char::from(byte).to_string(), json!(id))).collect();
    let json = json!({"model": {"type": "BPE", "vocab": vocabulary, "merges": []}});
    let tokenizer = Tokenizer::from_json(json.to_string().as_bytes()).expect("a tokenizer");
    (Model::random(&Device::cpu(1), ModelConfig::new(sizes), Head::Language, 1), tokenizer)
});

pub(crate) fn score_rows(data: &[u8]) {
    let (model, tokenizer) = &*MODEL;
    for tokenizer in [Some(tokenizer.clone()), None] {
        let mut reader = RowReader::new(data, Path::new("rows.jsonl"), tokenizer, model);
        let mut last = 0;
        while let Ok(rows) = reader.next_rows(20) {
            let Some(newest) = rows.last() else { break };
            for row in &rows {
                assert!(row.number > last && !row.prompt.is_empty());
                assert!(row.prompt.len() + row.response.len() <= POSITIONS + 1);
                assert!(row.prompt.iter().chain(&row.response).all(|token| (*token as usize) < VOCABULARY));
            }
            last = newest.number;
        }
    }
}
