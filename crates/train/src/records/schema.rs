//! The columns of a record.

use std::sync::Arc;

use parquet::{
    errors::ParquetError,
    schema::{
        parser::parse_message_type,
        types::{Type, TypePtr},
    },
};

/// Key of the format's version in a file's metadata.
pub(super) const VERSION_KEY: &str = "vapo.records.version";
pub(super) const VERSION: u32 = 1;

/// Key of the SHA-256 of everything before the file's metadata.
pub(super) const SUM_KEY: &str = "vapo.records.sha256";

/// A column per response.
const RESPONSE: &str = "
    REQUIRED INT64 step;
    REQUIRED INT64 prompt_id;
    REQUIRED INT64 problem;
    REQUIRED BYTE_ARRAY data_source (STRING);
    REQUIRED BYTE_ARRAY prompt (STRING);
    REQUIRED BYTE_ARRAY response (STRING);
    REQUIRED BYTE_ARRAY answer (STRING);
    OPTIONAL BYTE_ARRAY extracted_answer (STRING);
    REQUIRED BYTE_ARRAY verdict (STRING);
    OPTIONAL BYTE_ARRAY reason (STRING);
    OPTIONAL FLOAT score;
    OPTIONAL GROUP scores (MAP) { REPEATED GROUP key_value {
        REQUIRED BYTE_ARRAY key (STRING);
        OPTIONAL FLOAT value;
    } }
    REQUIRED FLOAT reward;
    REQUIRED BYTE_ARRAY stop_reason (STRING);
    REQUIRED INT32 prompt_tokens;
    REQUIRED INT32 response_tokens;
    OPTIONAL DOUBLE lambda;
    OPTIONAL INT32 first_wrong_token;
    REQUIRED INT64 policy_version;
";

/// The lists with an element per token, in order: their names and types.
const LISTS: [(&str, &str); 10] = [
    ("token_id", "INT32 element"),
    ("token", "BYTE_ARRAY element (STRING)"),
    ("logprob", "FLOAT element"),
    ("sampler_logprob", "FLOAT element"),
    ("value", "FLOAT element"),
    ("advantage", "FLOAT element"),
    ("return", "FLOAT element"),
    ("entropy", "FLOAT element"),
    ("ratio", "FLOAT element"),
    ("clip", "BYTE_ARRAY element (STRING)"),
];

/// Names of the lists of numbers.
pub(super) const FLOATS: [&str; 7] = ["logprob", "sampler_logprob", "value", "advantage", "return", "entropy", "ratio"];

/// The whole schema.
pub(super) fn message() -> Result<TypePtr, ParquetError> {
    let list = |(name, element): (&str, &str)| {
        format!("OPTIONAL GROUP {name} (LIST) {{ REPEATED GROUP list {{ OPTIONAL {element}; }} }}\n")
    };
    let lists: String = LISTS.into_iter().map(list).collect();
    parse_message_type(&format!("message rollouts {{ {RESPONSE} {lists} }}")).map(|message: Type| Arc::new(message))
}

/// The path of a list's elements.
pub(super) fn elements(list: &str) -> Vec<String> {
    [list, "list", "element"].map(String::from).to_vec()
}

/// Names of all lists.
pub(super) fn lists() -> impl Iterator<Item = &'static str> {
    LISTS.into_iter().map(|(name, _)| name)
}
