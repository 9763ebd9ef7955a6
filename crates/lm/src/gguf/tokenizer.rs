//! `tokenizer.json` and `tokenizer_config.json` from the metadata of a GGUF file.

use super::pre_tokenizers::{cuts, is_of_tiktoken};
use super::read::{Metadata, required};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Kinds of tokens in `tokenizer.ggml.token_type`.
const NORMAL: u8 = 1;
const UNKNOWN: u8 = 2;
const CONTROL: u8 = 3;
const USER_DEFINED: u8 = 4;
const UNUSED: u8 = 5;
const BYTE: u8 = 6;

/// Texts of tokens that end a turn, a message to a tool or a text. Files name few of them by their roles, so llama.cpp knows
/// them by these texts, and takes them for control tokens whatever their kind.
const ENDS: [&str; 8] = [
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|end|>",
    "<end_of_turn>",
    "<｜end▁of▁sentence｜>",
];

/// Longest piece of a SentencePiece vocabulary, in bytes: each of its cuts is looked up.
const LONGEST_PIECE: usize = 1024;

/// A vocabulary as a GGUF file describes it.
pub(super) struct Vocabulary<'a> {
    metadata: &'a Metadata,
    model: &'a str,
    /// The name of the pre-tokenizer.
    pre: &'a str,
    tokens: &'a [String],
    kinds: Vec<u8>,
}

impl<'a> Vocabulary<'a> {
    /// Reads the vocabulary; `vocab_size` is the number of rows of the embedding.
    pub(super) fn new(metadata: &'a Metadata, vocab_size: usize) -> Result<Vocabulary<'a>, String> {
        let model = required("tokenizer.ggml.model", metadata.text("tokenizer.ggml.model"))?;
        let tokens = required("tokenizer.ggml.tokens", metadata.texts("tokenizer.ggml.tokens"))?;
        if tokens.len() > vocab_size {
            return Err(format!("`tokenizer.ggml.tokens` holds {} tokens, the embedding {vocab_size}", tokens.len()));
        }
        let mut kinds: Vec<u8> = match metadata.numbers("tokenizer.ggml.token_type")? {
            None => vec![NORMAL; tokens.len()],
            Some(kinds) if kinds.len() == tokens.len() => kinds.iter().map(|kind| *kind as u8).collect(),
            Some(kinds) => {
                return Err(format!(
                    "`tokenizer.ggml.token_type` holds {} numbers for {} tokens",
                    kinds.len(),
                    tokens.len()
                ));
            }
        };
        for (kind, _) in kinds.iter_mut().zip(tokens).filter(|(_, token)| ENDS.contains(&token.as_str())) {
            *kind = CONTROL;
        }
        let pre = metadata.text("tokenizer.ggml.pre")?.unwrap_or("default");
        Ok(Vocabulary { metadata, model, pre, tokens, kinds })
    }

    /// In a few words, for people.
    pub(super) fn describe(&self) -> String {
        match self.model {
            "gpt2" => format!("byte-level BPE of {} tokens, pre-tokenizer `{}`", self.tokens.len(), self.pre),
            _ => format!("SentencePiece BPE of {} tokens", self.tokens.len()),
        }
    }

    /// The content of `tokenizer.json`.
    pub(super) fn tokenizer_json(&self) -> Result<Value, String> {
        let (normalizer, pre_tokenizer, decoder, model) = match self.model {
            "gpt2" => self.byte_level()?,
            "llama" => self.sentence_piece()?,
            other => return Err(format!("tokenizer `{other}` is not supported (supported: gpt2, llama)")),
        };
        Ok(json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": self.added_tokens(),
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
            "post_processor": self.post_processor()?,
            "decoder": decoder, "model": model,
        }))
    }

    /// The content of `tokenizer_config.json`.
    pub(super) fn config_json(&self, context: usize) -> Result<Value, String> {
        let mut keys = Map::new();
        keys.insert("add_prefix_space".into(), json!(self.model == "llama" && self.adds_space()?));
        for (name, role) in [("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown")] {
            if let Some(token) = self.token(role)? {
                keys.insert(format!("{name}_token"), json!(token));
            }
        }
        if let Some(template) = self.metadata.text("tokenizer.chat_template")? {
            keys.insert("chat_template".into(), json!(template));
        }
        keys.insert("clean_up_tokenization_spaces".into(), json!(false));
        keys.insert("model_max_length".into(), json!(context));
        keys.insert("tokenizer_class".into(), json!("PreTrainedTokenizerFast"));
        Ok(Value::Object(keys))
    }

    /// The content of `generation_config.json`.
    pub(super) fn generation_json(&self) -> Result<Value, String> {
        let mut keys = Map::new();
        if let Some(bos) = self.token_id("bos")? {
            keys.insert("bos_token_id".into(), json!(bos));
        }
        match self.ends()?[..] {
            [] => {}
            [one] => drop(keys.insert("eos_token_id".into(), json!(one))),
            ref ends => drop(keys.insert("eos_token_id".into(), json!(ends))),
        }
        if let Some(pad) = self.token_id("padding")? {
            keys.insert("pad_token_id".into(), json!(pad));
        }
        Ok(Value::Object(keys))
    }

    /// Tokens that end a response: those of the roles, and those that are known by their texts.
    fn ends(&self) -> Result<Vec<u64>, String> {
        let mut ends = Vec::new();
        for role in ["eos", "eot", "eom"] {
            ends.extend(self.token_id(role)?);
        }
        let by_text = self.tokens.iter().enumerate().filter(|(_, token)| ENDS.contains(&token.as_str()));
        ends.extend(by_text.map(|(id, _)| id as u64));
        let mut seen = BTreeSet::new();
        ends.retain(|id| seen.insert(*id));
        Ok(ends)
    }

    fn token_id(&self, role: &str) -> Result<Option<u64>, String> {
        let key = format!("tokenizer.ggml.{role}_token_id");
        match self.metadata.size(&key)? {
            Some(id) if id as usize >= self.tokens.len() => {
                Err(format!("`{key}` is {id}, expected a token below {}", self.tokens.len()))
            }
            id => Ok(id),
        }
    }

    fn token(&self, role: &str) -> Result<Option<&str>, String> {
        Ok(self.token_id(role)?.map(|id| self.tokens[id as usize].as_str()))
    }

    /// Tokens that are found in a text before it is cut.
    fn added_tokens(&self) -> Vec<Value> {
        let kinds =
            self.kinds.iter().enumerate().filter(|(_, kind)| matches!(**kind, UNKNOWN | CONTROL | USER_DEFINED));
        kinds
            .map(|(id, kind)| {
                json!({
                    "id": id, "content": self.tokens[id], "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": *kind != USER_DEFINED,
                })
            })
            .collect()
    }

    /// Tokens and ids. Entries that only pad the embedding are not tokens.
    fn vocab(&self) -> Result<Map<String, Value>, String> {
        let mut vocab = Map::new();
        for (id, (token, kind)) in self.tokens.iter().zip(&self.kinds).enumerate() {
            if *kind != UNUSED && vocab.insert(token.clone(), json!(id)).is_some() {
                return Err(format!("`tokenizer.ggml.tokens` holds {token:?} twice"));
            }
        }
        Ok(vocab)
    }

    /// Whether every text begins with a token; if the file does not say, llama.cpp's rule.
    fn post_processor(&self) -> Result<Value, String> {
        let default = self.model == "llama" || is_of_tiktoken(self.pre);
        if !self.metadata.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(default) {
            return Ok(Value::Null);
        }
        let (Some(token), Some(id)) = (self.token("bos")?, self.token_id("bos")?) else { return Ok(Value::Null) };
        let (special, text) = (
            |sequence: usize| json!({"SpecialToken": {"id": token, "type_id": sequence}}),
            |name: &str, sequence: usize| json!({"Sequence": {"id": name, "type_id": sequence}}),
        );
        Ok(json!({
            "type": "TemplateProcessing",
            "single": [special(0), text("A", 0)],
            "pair": [special(0), text("A", 0), special(1), text("B", 1)],
            "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}},
        }))
    }

    fn byte_level(&self) -> Result<(Value, Value, Value, Value), String> {
        let (normalizer, pre_tokenizer) = cuts(self.pre)?;
        let merges = required("tokenizer.ggml.merges", self.metadata.texts("tokenizer.ggml.merges"))?;
        let pair = |merge: &String| match merge.split_once(' ') {
            Some((left, right)) if !right.contains(' ') => Ok(json!([left, right])),
            _ => Err(format!("`tokenizer.ggml.merges` holds {merge:?}, expected two pieces")),
        };
        let merges = merges.iter().map(pair).collect::<Result<Vec<Value>, String>>()?;
        let decoder = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
        let model = json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": is_of_tiktoken(self.pre), "vocab": self.vocab()?, "merges": merges,
        });
        Ok((normalizer, pre_tokenizer, decoder, model))
    }

    fn adds_space(&self) -> Result<bool, String> {
        Ok(self.metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true))
    }

    fn sentence_piece(&self) -> Result<(Value, Value, Value, Value), String> {
        let adds_space = self.adds_space()?;
        let mut normalizers = vec![json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})];
        let mut decoders = vec![
            json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        if adds_space {
            normalizers.insert(0, json!({"type": "Prepend", "prepend": "▁"}));
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        let model = json!({
            "type": "BPE", "dropout": null, "unk_token": self.unknown()?, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": self.kinds.contains(&BYTE),
            "ignore_merges": false, "vocab": self.vocab()?, "merges": self.merges_by_score()?,
        });
        let sequence = |kind: &str, parts: Vec<Value>| json!({"type": "Sequence", kind: parts});
        Ok((sequence("normalizers", normalizers), Value::Null, sequence("decoders", decoders), model))
    }

    fn unknown(&self) -> Result<Value, String> {
        let marked = || self.kinds.iter().position(|kind| *kind == UNKNOWN).map(|id| self.tokens[id].as_str());
        Ok(json!(self.token("unknown")?.or_else(marked)))
    }

    /// SentencePiece joins the two neighbors whose joint piece has the highest score: every way to make a piece of two others is
    /// a merge, in the order of the pieces' scores.
    fn merges_by_score(&self) -> Result<Vec<Value>, String> {
        let scores = required("tokenizer.ggml.scores", self.metadata.numbers("tokenizer.ggml.scores"))?;
        if scores.len() != self.tokens.len() {
            return Err(format!(
                "`tokenizer.ggml.scores` holds {} numbers for {} tokens",
                scores.len(),
                self.tokens.len()
            ));
        }
        let ids: BTreeMap<&str, usize> = self
            .tokens
            .iter()
            .zip(&self.kinds)
            .enumerate()
            .filter(|(_, (_, kind))| **kind == NORMAL)
            .map(|(id, (token, _))| (token.as_str(), id))
            .collect();
        let mut merges = Vec::new();
        for (piece, id) in &ids {
            if piece.len() > LONGEST_PIECE {
                return Err(format!("token {id} has {} bytes, expected at most {LONGEST_PIECE}", piece.len()));
            }
            for (cut, _) in piece.char_indices().skip(1) {
                let (left, right) = piece.split_at(cut);
                if let (Some(first), Some(second)) = (ids.get(left), ids.get(right)) {
                    merges.push((scores[*id], left, right, *first, *second));
                }
            }
        }
        let lengths = |merge: &(f64, &str, &str, usize, usize)| (merge.1.chars().count(), merge.2.chars().count());
        merges.sort_by(|a, b| {
            let by_score = b.0.total_cmp(&a.0).then_with(|| lengths(b).cmp(&lengths(a)));
            by_score.then_with(|| (a.3, a.4).cmp(&(b.3, b.4)))
        });
        Ok(merges.iter().map(|merge| json!([merge.1, merge.2])).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;
    use crate::Tokenizer;

    fn fixture() -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gguf/tokenizers.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn texts(value: &Value) -> Vec<String> {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn metadata(entries: Vec<(&str, read::Value)>) -> Metadata {
        let entries = entries.into_iter().map(|(key, value)| (format!("tokenizer.ggml.{key}"), value));
        Metadata { values: entries.collect() }
    }

    fn tokenizer(metadata: &Metadata) -> Tokenizer {
        let json = Vocabulary::new(metadata, 1000).unwrap().tokenizer_json().unwrap();
        Tokenizer::from_json(&serde_json::to_vec(&json).unwrap()).unwrap()
    }

    fn byte_level(pre: &str) -> Metadata {
        let fixture = fixture();
        let tokens = texts(&fixture["tokens"]);
        let kinds = (0..tokens.len()).map(|id| if id < 3 { 3.0 } else { 1.0 }).collect();
        metadata(vec![
            ("model", read::Value::Text("gpt2".into())),
            ("pre", read::Value::Text(pre.into())),
            ("tokens", read::Value::Texts(tokens)),
            ("token_type", read::Value::Numbers(kinds)),
            ("merges", read::Value::Texts(texts(&fixture["merges"]))),
        ])
    }

    /// Token ids of transformers' own tokenizers.
    #[test]
    fn byte_level_tokens_are_those_of_the_peers() {
        let fixture = fixture();
        for (pre, lists) in fixture["ids"].as_object().unwrap() {
            let tokenizer = tokenizer(&byte_level(pre));
            for (text, want) in texts(&fixture["texts"]).iter().zip(lists.as_array().unwrap()) {
                assert_eq!(serde_json::json!(tokenizer.encode(text).unwrap()), *want, "{pre} {text:?}");
            }
        }
    }

    #[test]
    fn text_comes_back() {
        for pre in ["gpt-2", "llama-bpe", "smollm", "tekken", "deepseek-llm", "falcon", "default"] {
            let tokenizer = tokenizer(&byte_level(pre));
            for text in texts(&fixture()["texts"]).iter().filter(|text| !text.contains("<|im")) {
                assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), *text, "{pre}");
            }
        }
    }

    /// Token ids of the package sentencepiece.
    #[test]
    fn sentence_piece_tokens_are_those_of_sentencepiece() {
        let fixture = &fixture()["sentence_piece"];
        let numbers = |key: &str| read::Value::Numbers(serde_json::from_value(fixture[key].clone()).unwrap());
        let metadata = metadata(vec![
            ("model", read::Value::Text("llama".into())),
            ("tokens", read::Value::Texts(texts(&fixture["tokens"]))),
            ("token_type", numbers("kinds")),
            ("scores", numbers("scores")),
            ("bos_token_id", read::Value::Integer(1)),
        ]);
        let tokenizer = tokenizer(&metadata);
        for (text, want) in texts(&fixture["texts"]).iter().zip(fixture["ids"].as_array().unwrap()) {
            let tokens = tokenizer.encode(text).unwrap();
            assert_eq!(serde_json::json!(tokens), *want, "{text:?}");
            assert_eq!(tokenizer.decode(&tokens).unwrap(), *text);
        }
    }

    /// The end of Llama 3's vocabulary, in which files name one token by its role; Llama 3's own `generation_config.json` names
    /// all three.
    #[test]
    fn every_token_that_ends_a_turn_ends_a_response() {
        let tokens = ["a", "<|end_of_text|>", "<|eom_id|>", "<|eot_id|>", "b", "</s>"].map(String::from);
        let metadata = |roles: &[(&'static str, i128)]| {
            let mut entries = vec![
                ("model", read::Value::Text("gpt2".into())),
                ("pre", read::Value::Text("llama-bpe".into())),
                ("tokens", read::Value::Texts(tokens.to_vec())),
                // One of them is not marked as a control token.
                ("token_type", read::Value::Numbers(vec![1.0, 3.0, 1.0, 3.0, 1.0, 4.0])),
                ("merges", read::Value::Texts(Vec::new())),
            ];
            entries.extend(roles.iter().map(|(role, id)| (*role, read::Value::Integer(*id))));
            metadata(entries)
        };
        let ends = |roles: &[(&'static str, i128)]| {
            Vocabulary::new(&metadata(roles), 6).and_then(|vocabulary| vocabulary.generation_json())
        };
        let eos = |ends: &[u32]| Ok(json!({"eos_token_id": ends}));
        assert_eq!(ends(&[("eos_token_id", 3)]), eos(&[3, 1, 2]));
        assert_eq!(ends(&[("eos_token_id", 1), ("eot_token_id", 3), ("eom_token_id", 2)]), eos(&[1, 3, 2]));
        assert_eq!(ends(&[("eom_token_id", 4)]), eos(&[4, 1, 2, 3]));
        assert_eq!(
            ends(&[("eom_token_id", 6)]),
            Err("`tokenizer.ggml.eom_token_id` is 6, expected a token below 6".into())
        );
        let tokenizer = tokenizer(&metadata(&[]));
        assert_eq!(tokenizer.encode("a<|eom_id|>").unwrap(), [0, 2]);
        assert!(tokenizer.is_special(2) && !tokenizer.is_special(5));
    }

    #[test]
    fn vocabularies_of_tiktoken_keep_words_that_are_tokens_and_begin_with_a_token() {
        for (pre, of_tiktoken) in [("llama-bpe", true), ("tekken", true), ("dbrx", false), ("qwen35", false)] {
            let mut metadata = byte_level(pre);
            metadata.values.insert("tokenizer.ggml.bos_token_id".into(), read::Value::Integer(0));
            let json = Vocabulary::new(&metadata, 1000).unwrap().tokenizer_json().unwrap();
            assert_eq!(json["model"]["ignore_merges"], of_tiktoken, "{pre}");
            assert_eq!(!json["post_processor"].is_null(), of_tiktoken, "{pre}");
        }
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let error = |metadata: &Metadata| {
            Vocabulary::new(metadata, 1000).and_then(|vocabulary| vocabulary.tokenizer_json()).unwrap_err()
        };
        assert!(error(&byte_level("bloom")).starts_with("pre-tokenizer `bloom` is not supported (supported: smollm,"));
        let mut other = byte_level("gpt-2");
        other.values.insert("tokenizer.ggml.model".into(), read::Value::Text("bert".into()));
        assert_eq!(error(&other), "tokenizer `bert` is not supported (supported: gpt2, llama)");
        let small = Vocabulary::new(&byte_level("gpt-2"), 10).err().unwrap();
        assert_eq!(small, "`tokenizer.ggml.tokens` holds 488 tokens, the embedding 10");
    }
}
