//! A tokenizer with one token per character, in Hugging Face's format.

use serde_json::{Map, Value, json};

/// The token before every prompt, with id 0.
pub const BOS: &str = "<bos>";
/// The token that ends every response, with id 1.
pub const EOS: &str = "<eos>";

/// Writes `tokenizer.json`: [`BOS`], [`EOS`], then the alphabet's characters in order. A character outside the
/// alphabet is an error when encoding.
pub(super) fn json(alphabet: &str) -> String {
    let specials = [BOS, EOS];
    let mut vocab: Map<String, Value> = Map::new();
    for token in specials.into_iter().map(str::to_owned).chain(alphabet.chars().map(String::from)) {
        let id = vocab.len();
        vocab.insert(token, id.into());
    }
    let added: Vec<Value> = specials
        .iter()
        .enumerate()
        .map(|(id, token)| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true})
        })
        .collect();
    let file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": false},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": BOS, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {BOS: {"id": BOS, "ids": [0], "tokens": [BOS]}},
        },
        // Without it, the characters would be joined by spaces.
        "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"},
    });
    format!("{file:#}\n")
}

/// Writes `tokenizer_config.json`.
pub(super) fn config_json() -> String {
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "clean_up_tokenization_spaces": false,
    });
    format!("{config:#}\n")
}
