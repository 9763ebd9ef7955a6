//! How a text is cut before byte-pair merges, by the names in `tokenizer.ggml.pre`.
//!
//! These are the cuts of the models' own `tokenizer.json`. llama.cpp's differ on rare texts: capitals beyond ASCII (`tekken`),
//! characters like `²` (`falcon`).

use serde_json::{Value, json};

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Marks belong to the letter before them.
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// A word ends where a capital letter follows a small one.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// What llama.cpp falls back to where a file names nothing, one cut after the other.
const FALLBACK: [&str; 4] = [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"];

const LINE_BREAK: &str = r"[\r\n]";
/// Chinese characters, and everything between Samaritan and them; Hangul.
const DEEPSEEK_SYLLABLES: &str = "[\u{4e00}-\u{9fa5}\u{800}-\u{4e00}\u{ac00}-\u{d7ff}]+";
const DEEPSEEK_CODER: [&str; 4] = [LINE_BREAK, r"\s?\p{L}+", r"\s?\p{P}+", DEEPSEEK_SYLLABLES];
const DEEPSEEK_LLM: [&str; 5] = [
    LINE_BREAK,
    DEEPSEEK_LETTERS,
    "\\s?[!-/:-~\u{ff01}-\u{ff0f}\u{ff1a}-\u{ff5e}\u{2018}-\u{201f}\u{3000}-\u{3002}]+",
    r"\s+$",
    DEEPSEEK_SYLLABLES,
];
const DEEPSEEK_V3: [&str; 3] = [
    r"\p{N}{1,3}",
    "[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+",
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
];
/// Letters with cases, as of an old version of Unicode and without the mathematical ones. Escapes are those that Unicode's normal
/// form would replace.
const DEEPSEEK_LETTERS: &str = "\\s?[\
    A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝ\
    Ὗ-\u{1f7d}ᾀ-ᾴᾶ-ᾼ\u{1fbe}ῂ-ῄῆ-ῌῐ-\u{1fd3}ῖ-\u{1fdb}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u{2126}ℨ\u{212a}-ℭℯ-ℴℹℼ-ℿ\
    ⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃\
    ]+";

/// Whether a vocabulary was made for tiktoken: a word that is a token is not taken apart, and every text begins with a token
/// unless the file says otherwise.
pub(super) fn is_of_tiktoken(pre: &str) -> bool {
    pre == "tekken" || is_llama3(pre)
}

fn is_llama3(pre: &str) -> bool {
    matches!(pre, "llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0" | "lfm2")
}

/// The normalizer and pre-tokenizer of this name.
pub(super) fn cuts(pre: &str) -> Result<(Value, Value), String> {
    let composed = json!({"type": "NFC"});
    Ok(match pre {
        _ if is_llama3(pre) => (Value::Null, splits(&[LLAMA3])),
        "dbrx" | "smaug-bpe" => (Value::Null, splits(&[LLAMA3])),
        "qwen2" | "deepseek-r1-qwen" => (composed, splits(&[QWEN2])),
        "qwen35" => (composed, splits(&[QWEN35])),
        "tekken" => (Value::Null, splits(&[TEKKEN])),
        "gpt-4o" | "llama4" | "kanana2" => (Value::Null, splits(&[GPT4O])),
        "deepseek-llm" => (Value::Null, with_digits(&DEEPSEEK_LLM)),
        "deepseek-coder" => (Value::Null, with_digits(&DEEPSEEK_CODER)),
        "deepseek-v3" => (Value::Null, splits(&DEEPSEEK_V3)),
        "falcon" => (Value::Null, falcon()),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" | "minerva-7b" => {
            (Value::Null, sequence(vec![digits(true), bytes(true)]))
        }
        "gpt-2" | "gpt2" | "olmo" | "mpt" | "jais" | "trillion" => (Value::Null, bytes(true)),
        "default" => (Value::Null, splits(&FALLBACK)),
        other => {
            return Err(format!(
                "pre-tokenizer `{other}` is not supported (supported: smollm, qwen2, qwen35, llama-bpe, tekken, gpt-4o, deepseek-llm, \
                 deepseek-coder, deepseek-v3, deepseek-r1-qwen, falcon, gpt-2, default and others that cut like one of these)"
            ));
        }
    })
}

/// One cut after the other, then bytes.
fn splits(patterns: &[&str]) -> Value {
    sequence(patterns.iter().copied().map(split).chain([bytes(false)]).collect())
}

/// The same, and every digit for itself.
fn with_digits(patterns: &[&str]) -> Value {
    sequence(patterns.iter().copied().map(split).chain([digits(true), bytes(false)]).collect())
}

/// Cuts numbers after the text was spelled in bytes, where the byte of `²` is one.
fn falcon() -> Value {
    let punctuation = json!({"type": "Punctuation", "behavior": "Contiguous"});
    sequence(vec![punctuation, bytes(true), digits(false), split("[0-9][0-9][0-9]")])
}

fn sequence(parts: Vec<Value>) -> Value {
    json!({"type": "Sequence", "pretokenizers": parts})
}

fn split(pattern: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
}

fn digits(individual: bool) -> Value {
    json!({"type": "Digits", "individual_digits": individual})
}

/// The bytes of a text, each as a printable character; `use_regex` cuts as GPT-2 does.
fn bytes(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;
    use tokenizers::{NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    /// The bytes of each piece that a text is cut into.
    fn pieces(tokenizer: &tokenizers::Tokenizer, text: &str) -> Vec<usize> {
        let mut normalized = NormalizedString::from(text);
        if let Some(normalizer) = tokenizer.get_normalizer() {
            normalizer.normalize(&mut normalized).unwrap();
        }
        let mut cut = PreTokenizedString::from(normalized);
        tokenizer.get_pre_tokenizer().unwrap().pre_tokenize(&mut cut).unwrap();
        // Every byte is a character by now.
        let pieces = cut.get_splits(OffsetReferential::Original, OffsetType::Byte);
        pieces.iter().map(|(piece, _, _)| piece.chars().count()).collect()
    }

    /// Where other implementations cut (`tools/fixtures/gguf_files.py`).
    #[test]
    fn texts_are_cut_where_the_peers_cut() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gguf/tokenizers.json");
        let fixture: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let texts: Vec<String> = serde_json::from_value(fixture["texts"].clone()).unwrap();
        for (pre, lists) in fixture["cuts"].as_object().unwrap() {
            let (normalizer, pre_tokenizer) = cuts(pre).unwrap();
            let json = json!({
                "version": "1.0", "added_tokens": [], "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
                "model": {"type": "BPE", "vocab": {}, "merges": []},
            });
            let tokenizer = tokenizers::Tokenizer::from_str(&json.to_string()).unwrap();
            for (text, want) in texts.iter().zip(lists.as_array().unwrap()) {
                assert_eq!(json!(pieces(&tokenizer, text)), *want, "{pre} {text:?}");
            }
        }
    }
}
