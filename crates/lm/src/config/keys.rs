//! The keys of a JSON file of a model directory; every message names the key.

use crate::Error;
use crate::files::read_bounded;
use serde_json::{Map, Value};
use std::path::Path;

/// Far above any model, far below where products of sizes overflow.
const MAX_SIZE: u64 = 1 << 30;

/// The keys of a `config.json`.
pub(super) struct Keys(pub(super) Map<String, Value>);

impl Keys {
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, key: &str) -> Result<&str, String> {
        let value = self.get(key).ok_or_else(|| format!("key `{key}` is missing"))?;
        value.as_str().ok_or_else(|| format!("key `{key}` must be a string, found {value}"))
    }

    pub(super) fn optional_flag(&self, key: &str) -> Result<Option<bool>, String> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| format!("key `{key}` must be true or false, found {value}"))
    }

    /// False where the key is absent.
    pub(super) fn flag(&self, key: &str) -> Result<bool, String> {
        Ok(self.optional_flag(key)?.unwrap_or(false))
    }

    pub(super) fn positive(&self, key: &str) -> Result<Option<f64>, String> {
        self.get(key).map(|value| positive(key, value)).transpose()
    }

    pub(super) fn tokens(&self, key: &str, vocab_size: usize) -> Result<Vec<u32>, String> {
        let tokens = token_list(self.get(key)).map_err(|problem| format!("key `{key}`: {problem}"))?;
        check_tokens(key, tokens, vocab_size)
    }

    pub(super) fn size(&self, key: &str) -> Result<usize, String> {
        self.optional_size(key)?.ok_or_else(|| format!("key `{key}` is missing"))
    }

    pub(super) fn optional_size(&self, key: &str) -> Result<Option<usize>, String> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_u64() {
            Some(n) if (1..=MAX_SIZE).contains(&n) => Ok(Some(n as usize)),
            _ => Err(format!("key `{key}` must be an integer between 1 and {MAX_SIZE}, found {value}")),
        }
    }
}

pub(super) fn positive(key: &str, value: &Value) -> Result<f64, String> {
    let number = value.as_f64().filter(|x| *x > 0.0 && x.is_finite());
    number.ok_or_else(|| format!("key `{key}` must be a positive number, found {value}"))
}

/// A token id, a list of them, or nothing.
pub(super) fn token_list(value: Option<&Value>) -> Result<Vec<u32>, String> {
    let one =
        |v: &Value| v.as_u64().and_then(|t| u32::try_from(t).ok()).ok_or_else(|| format!("`{v}` is not a token id"));
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(one).collect(),
        Some(v) => Ok(vec![one(v)?]),
    }
}

/// The tokens, if the vocabulary has them.
pub(super) fn check_tokens(key: &str, tokens: Vec<u32>, vocab_size: usize) -> Result<Vec<u32>, String> {
    match tokens.iter().find(|token| **token as usize >= vocab_size) {
        Some(token) => Err(format!("key `{key}` holds {token}, expected tokens below vocab_size ({vocab_size})")),
        None => Ok(tokens),
    }
}

/// Largest JSON file that is read, in bytes.
const MAX_JSON: u64 = 16 << 20;

pub(super) fn read_object(path: &Path) -> Result<Map<String, Value>, Error> {
    let bytes = read_bounded(path, MAX_JSON)?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(keys)) => Ok(keys),
        Ok(_) => Err(Error::content(path, "expected a JSON object")),
        Err(error) => Err(Error::content(path, format!("not JSON: {error}"))),
    }
}
