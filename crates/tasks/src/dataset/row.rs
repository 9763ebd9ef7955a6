//! A row of a data file in any format.

use std::ops::ControlFlow;

use serde_json::{Map, Value};

use crate::Error;

/// A row that is being converted to a problem.
pub(super) struct Row {
    pub(super) fields: Map<String, Value>,
    /// The row as written in the file, if it was JSON.
    pub(super) text: Option<String>,
}

/// Takes a row with its number, from 1, and says whether to continue.
pub(super) type Each<'a> = dyn FnMut(usize, Row) -> Result<ControlFlow<()>, Error> + 'a;

/// The type of a value, for messages.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
