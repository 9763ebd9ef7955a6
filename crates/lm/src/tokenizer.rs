//! A Hugging Face `tokenizer.json`.

use crate::absent::{Part, absent};
use crate::files::{path_in, read_bounded};
use crate::{Error, ModelConfig};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

/// Text to tokens and back, by the crate `tokenizers`.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    num_ids: usize,
}

impl Tokenizer {
    /// Reads `tokenizer.json` of a directory.
    pub fn load(dir: &Path) -> Result<Tokenizer, Error> {
        /// A vocabulary of a million tokens with its merges.
        const MAX_BYTES: u64 = 256 << 20;
        let path = path_in(dir, "tokenizer.json")?;
        if !path.exists() {
            return Err(absent(dir, Part::Tokenizer));
        }
        let json = read_bounded(&path, MAX_BYTES)?;
        Tokenizer::from_json(&json).map_err(|e| Error::content(&path, e.to_string()))
    }

    /// Reads the content of a `tokenizer.json`.
    pub fn from_json(json: &[u8]) -> Result<Tokenizer, Error> {
        // The crate panics on some wrong content, and on anything that is not JSON.
        let checked: Result<serde_json::Value, _> = serde_json::from_slice(json);
        checked.map_err(|e| Error::Tokenizer(format!("not JSON: {e}")))?;
        let text = std::str::from_utf8(json).map_err(|e| Error::Tokenizer(format!("not UTF-8: {e}")))?;
        // `from_str` is compiled within the crate `tokenizers`; `from_bytes` is generic and would be compiled here once more.
        let read = std::panic::catch_unwind(|| tokenizers::Tokenizer::from_str(text));
        let read =
            read.map_err(|_| Error::Tokenizer("it holds a part that the crate `tokenizers` cannot read".into()))?;
        let unread = |e: tokenizers::Error| match e.to_string() {
            text if text.contains("variant") => {
                Error::Tokenizer(format!("it holds a part that the crate `tokenizers` cannot read{}", place(&text)))
            }
            text => Error::Tokenizer(text),
        };
        let inner = read.map_err(unread)?;
        let num_ids = inner.get_vocab(true).values().max().map_or(0, |id| *id as usize + 1);
        Ok(Tokenizer { inner: Arc::new(inner), num_ids })
    }

    /// Tokens of a text; none are added.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = self.inner.encode_fast(text, false).map_err(|e| Error::Tokenizer(e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Text of tokens, special ones left out.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, Error> {
        self.inner.decode(tokens, true).map_err(|e| Error::Tokenizer(e.to_string()))
    }

    /// Text of tokens, special ones by their names.
    pub fn decode_all(&self, tokens: &[u32]) -> String {
        self.inner.decode(tokens, false).unwrap_or_default()
    }

    /// Text of a response: special tokens left out, cut before the first stop string.
    pub fn decode_response(&self, tokens: &[u32], stop_strings: Option<&StopStrings>) -> Result<String, Error> {
        let mut text = self.decode(tokens)?;
        if let Some(stop) = stop_strings.and_then(|strings| strings.find(&text)) {
            text.truncate(stop);
        }
        Ok(text)
    }

    /// Text of one token, special ones by their name; a part of a character shows as U+FFFD.
    pub fn token_text(&self, token: u32) -> String {
        self.decode_all(&[token])
    }

    /// The token of this exact text, special ones included.
    pub fn token_id(&self, text: &str) -> Option<u32> {
        self.inner.token_to_id(text)
    }

    /// Whether a token is a special one, which decoding leaves out.
    pub fn is_special(&self, token: u32) -> bool {
        self.inner.get_added_tokens_decoder().get(&token).is_some_and(|added| added.special)
    }

    /// Number of tokens, added ones included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// One more than the largest id: a network has no use for logits from there on.
    pub fn num_ids(&self) -> usize {
        self.num_ids
    }

    /// Whether a network knows every token; it may know more (embeddings are often padded).
    ///
    /// # Errors
    /// Names the token that is beyond the vocabulary.
    pub fn check_fits(&self, config: &ModelConfig) -> Result<(), String> {
        let vocab = self.inner.get_vocab(true);
        match vocab.iter().max_by_key(|(token, id)| (**id, token.as_str())) {
            Some((token, id)) if *id as usize >= config.vocab_size => Err(format!(
                "tokenizer.json holds token {id} ({token:?}), expected tokens below the model's vocab_size ({})",
                config.vocab_size
            )),
            _ => Ok(()),
        }
    }
}

/// Text of tokens as they come, special ones left out: every character as soon as it is complete.
pub struct TextStream {
    tokenizer: Tokenizer,
    /// Tokens since one whose text ended with a whole character, that one included: the text of a token may depend on it.
    tokens: Vec<u32>,
    /// Bytes of their text that have been handed over.
    emitted: usize,
}

impl TextStream {
    /// A stream before its first token.
    pub fn new(tokenizer: &Tokenizer) -> TextStream {
        TextStream { tokenizer: tokenizer.clone(), tokens: Vec::new(), emitted: 0 }
    }

    /// The text that this token completes; empty in the middle of a character.
    pub fn push(&mut self, token: u32) -> Result<String, Error> {
        self.tokens.push(token);
        let text = self.tokenizer.decode(&self.tokens)?;
        if text.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(String::new());
        }
        let new = text.get(self.emitted..).unwrap_or_default().to_owned();
        self.tokens.drain(..self.tokens.len() - 1);
        self.emitted = self.tokenizer.decode(&self.tokens)?.len();
        Ok(new)
    }

    /// What is left at the end: the replacement character for a character that was never completed.
    pub fn finish(self) -> Result<String, Error> {
        let text = self.tokenizer.decode(&self.tokens)?;
        Ok(text.get(self.emitted..).unwrap_or_default().to_owned())
    }
}

/// Texts that end a sample.
#[derive(Clone)]
pub struct StopStrings {
    strings: Vec<String>,
    tokenizer: Tokenizer,
    longest: usize,
}

impl std::fmt::Debug for StopStrings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StopStrings").field(&self.strings).finish()
    }
}

impl StopStrings {
    /// Nothing where no string is given; empty strings are ignored.
    pub fn new(tokenizer: &Tokenizer, strings: &[String]) -> Option<StopStrings> {
        let strings: Vec<String> = strings.iter().filter(|s| !s.is_empty()).cloned().collect();
        let longest = strings.iter().map(String::len).max()?;
        Some(StopStrings { strings, tokenizer: tokenizer.clone(), longest })
    }

    /// The byte at which the first stop string of a text begins.
    fn find(&self, text: &str) -> Option<usize> {
        self.strings.iter().filter_map(|string| text.find(string.as_str())).min()
    }

    /// Whether the text of `tokens` holds a stop string that it did not hold before its last token.
    pub(crate) fn completed_by_last(&self, tokens: &[u32]) -> bool {
        // A string of n bytes can reach back over at most n tokens before the last.
        let tail = &tokens[tokens.len().saturating_sub(self.longest + 1)..];
        let text = self.tokenizer.decode(tail).unwrap_or_default();
        self.find(&text).is_some()
    }
}

/// `, at line 3 column 5`, if a message says so.
fn place(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(String::new(), |(_, place)| format!(", at line {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One token per byte, as GPT-2 names them.
    fn bytes() -> Tokenizer {
        let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
        let mut others = 256..;
        let name = |byte: u8| match printable(byte) {
            true => char::from(byte),
            false => others.next().and_then(char::from_u32).unwrap(),
        };
        let names: Vec<char> = (0..=255).map(name).collect();
        let vocab: serde_json::Map<String, serde_json::Value> =
            names.iter().enumerate().map(|(id, name)| (name.to_string(), id.into())).collect();
        let json = serde_json::json!({
            "model": {"type": "BPE", "vocab": vocab, "merges": []},
            "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        });
        Tokenizer::from_json(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_response_ends_before_its_first_stop_string() {
        let tokenizer = bytes();
        let response = |text: &str, strings: &[&str]| {
            let strings: Vec<String> = strings.iter().map(ToString::to_string).collect();
            let tokens: Vec<u32> = text.bytes().map(u32::from).collect();
            tokenizer.decode_response(&tokens, StopStrings::new(&tokenizer, &strings).as_ref()).unwrap()
        };
        assert_eq!(response("7a+5=2;", &["="]), "7a+5");
        assert_eq!(response("é\n\n", &["\n\n", "\n"]), "é");
        assert_eq!(response("a</s>b", &["b", "</s>"]), "a", "the first in the text, not in the list");
        assert_eq!(response("\n", &["\n"]), "");
        assert_eq!(response("7a+5", &["=", "\n"]), "7a+5");
        assert_eq!(response("7a+5=", &[]), "7a+5=");
    }

    #[test]
    fn characters_are_handed_over_whole() {
        let tokenizer = bytes();
        let mut stream = TextStream::new(&tokenizer);
        let text = "aé 🦀!";
        let pieces: Vec<String> = text.bytes().map(|byte| stream.push(u32::from(byte)).unwrap()).collect();
        assert_eq!(pieces, ["a", "", "é", " ", "", "", "", "🦀", "!"]);
        assert_eq!(stream.finish().unwrap(), "");

        let mut cut = TextStream::new(&tokenizer);
        assert_eq!(cut.push(0xc3).unwrap(), "");
        assert_eq!(cut.finish().unwrap(), "\u{fffd}");
    }
}
