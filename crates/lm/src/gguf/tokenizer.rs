//! `tokenizer.json` and `tokenizer_config.json` from the metadata of a GGUF file.

use super::read::{Metadata, required};
use serde_json::{Map, Value, json};

/// How a text is cut before byte-pair merges.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// What llama.cpp falls back to where a file names nothing, one cut after the other.
const FALLBACK: [&str; 4] = [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"];

/// Kinds of tokens in `tokenizer.ggml.token_type`.
const NORMAL: u8 = 1;
const UNKNOWN: u8 = 2;
const CONTROL: u8 = 3;
const USER_DEFINED: u8 = 4;
const UNUSED: u8 = 5;
const BYTE: u8 = 6;

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
        let kinds = match metadata.numbers("tokenizer.ggml.token_type")? {
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

    /// The content of `generation_config.json`: a model that chats ends a turn by another token than a text.
    pub(super) fn generation_json(&self) -> Result<Value, String> {
        let mut keys = Map::new();
        let id = |role: &str| self.token_id(role);
        if let Some(bos) = id("bos")? {
            keys.insert("bos_token_id".into(), json!(bos));
        }
        let mut ends: Vec<u64> = [id("eos")?, id("eot")?].into_iter().flatten().collect();
        ends.dedup();
        match ends[..] {
            [] => {}
            [one] => drop(keys.insert("eos_token_id".into(), json!(one))),
            _ => drop(keys.insert("eos_token_id".into(), json!(ends))),
        }
        if let Some(pad) = id("padding")? {
            keys.insert("pad_token_id".into(), json!(pad));
        }
        Ok(Value::Object(keys))
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
        let default = self.model == "llama" || is_llama3(self.pre);
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
            "ignore_merges": is_llama3(self.pre), "vocab": self.vocab()?, "merges": merges,
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
        let ids: std::collections::BTreeMap<&str, usize> = self
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

fn is_llama3(pre: &str) -> bool {
    matches!(pre, "llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "pixtral" | "midm-2.0" | "lfm2")
}

/// The normalizer and pre-tokenizer of this name.
fn cuts(pre: &str) -> Result<(Value, Value), String> {
    let split = |pattern: &str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    let bytes = |use_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex});
    let sequence = |parts: Vec<Value>| json!({"type": "Sequence", "pretokenizers": parts});
    Ok(match pre {
        _ if is_llama3(pre) => (Value::Null, sequence(vec![split(LLAMA3), bytes(false)])),
        "qwen2" | "deepseek-r1-qwen" => (json!({"type": "NFC"}), sequence(vec![split(QWEN2), bytes(false)])),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" | "minerva-7b" => {
            (Value::Null, sequence(vec![json!({"type": "Digits", "individual_digits": true}), bytes(true)]))
        }
        "gpt-2" | "gpt2" | "olmo" | "mpt" | "jais" | "trillion" => (Value::Null, bytes(true)),
        "default" => {
            let mut parts: Vec<Value> = FALLBACK.into_iter().map(split).collect();
            parts.push(bytes(false));
            (Value::Null, sequence(parts))
        }
        other => {
            return Err(format!(
                "pre-tokenizer `{other}` is not supported (supported: smollm, qwen2, deepseek-r1-qwen, llama-bpe, gpt-2, default and \
                 others that cut like one of these)"
            ));
        }
    })
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
        for pre in ["gpt-2", "llama-bpe", "smollm", "default"] {
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

    #[test]
    fn what_is_not_supported_is_named() {
        let error = |metadata: &Metadata| {
            Vocabulary::new(metadata, 1000).and_then(|vocabulary| vocabulary.tokenizer_json()).unwrap_err()
        };
        assert!(
            error(&byte_level("tekken")).starts_with("pre-tokenizer `tekken` is not supported (supported: smollm,")
        );
        let mut other = byte_level("gpt-2");
        other.values.insert("tokenizer.ggml.model".into(), read::Value::Text("bert".into()));
        assert_eq!(error(&other), "tokenizer `bert` is not supported (supported: gpt2, llama)");
        let small = Vocabulary::new(&byte_level("gpt-2"), 10).err().unwrap();
        assert_eq!(small, "`tokenizer.ggml.tokens` holds 488 tokens, the embedding 10");
    }
}
