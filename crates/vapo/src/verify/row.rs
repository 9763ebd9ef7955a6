//! A row of `vapo verify`: what it holds, and how it wants to be graded.

use std::{path::Path, sync::Arc};

use serde_json::{Map, Value};
use vapo_tasks::{Attempt, Origin, Problem, Response, Reward, Verifier};

/// The verdict that a row expects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Expected {
    Right(bool),
    /// No answer should be found.
    NoAnswer,
}

/// A row that can be graded.
pub(super) struct Row {
    /// Its line, from 1.
    pub(super) number: usize,
    pub(super) problem: Problem,
    pub(super) text: String,
    tokens: Option<usize>,
    pub(super) expected: Option<Expected>,
    /// The verifier that it names.
    pub(super) own: Option<Reward>,
}

impl Row {
    /// Reads a line.
    pub(super) fn parse((path, number): (&Arc<Path>, usize), line: &[u8], reward: &Reward) -> Result<Row, String> {
        let line = if number == 1 { line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line) } else { line };
        let row: Map<String, Value> =
            serde_json::from_slice(line).map_err(|error| format!("expected a JSON object ({error})"))?;
        let data_source = text_of(&row, "data_source")?.unwrap_or_default();
        let own = own_verifier(&row)?.map(Reward::try_from).transpose().map_err(|error| error.to_string())?;
        let takes_objects = own.is_none() && reward.takes_objects(&data_source);
        let (answer, text, expected) = fields(&row, takes_objects)?;
        let prompt = text_of(&row, "prompt")?.or(text_of(&row, "problem")?).unwrap_or_default();
        let tokens = row.get("tokens").and_then(Value::as_u64).map(|tokens| tokens as usize);
        let answer_value = gold(&row).filter(|value| !value.is_string()).cloned();
        let problem = Problem {
            index: number as u64,
            prompt,
            answer,
            answer_value,
            data_source,
            extra: row,
            origin: Some(Origin { path: path.clone(), row: number }),
            ..Problem::default()
        };
        Ok(Row { number, problem, text, tokens, expected, own })
    }

    pub(super) fn attempt(&self) -> Attempt<'_> {
        Attempt { problem: &self.problem, response: Response { text: &self.text, tokens: self.tokens } }
    }
}

/// The reference answer as the row holds it.
fn gold(row: &Map<String, Value>) -> Option<&Value> {
    ["gold", "answer"].iter().find_map(|name| row.get(*name).filter(|value| !value.is_null()))
}

/// Settings that a row may choose for itself, as fields or in its `options`.
const OWN_SETTINGS: [&str; 5] = ["rule", "rounding", "marker", "tolerance", "pattern"];

/// The verifier that a row names by `kind`, `rule` or `options`; `None` if it leaves the choice to the command.
///
/// Other values of `kind` and other options, which files of other projects have, are left alone. A row never names a program
/// or a server.
fn own_verifier(row: &Map<String, Value>) -> Result<Option<Verifier>, String> {
    let kind = row.get("kind").and_then(Value::as_str).unwrap_or_default();
    let options = row.get("options").and_then(Value::as_object);
    let setting = |name: &&str| options.and_then(|options| options.get(*name)).or_else(|| row.get(*name));
    let mut settings: Map<String, Value> =
        OWN_SETTINGS.iter().filter_map(|name| Some(((*name).to_owned(), setting(name)?.clone()))).collect();
    let boxed = options.and_then(|options| options.get("strict_box_verify")) == Some(&Value::Bool(true));
    let implied = match kind {
        _ if boxed => Some("boxed"),
        "equal_dapo" => Some("dapo"),
        _ => None,
    };
    if let Some(rule) = implied {
        settings.entry("rule").or_insert_with(|| rule.into());
    }
    let is_own = ["math", "exact", "numeric", "regex", "format"].contains(&kind);
    if settings.is_empty() && !is_own {
        return Ok(None);
    }
    settings.insert("kind".into(), if is_own { kind } else { "math" }.into());
    let verifier = serde_json::from_value(Value::Object(settings));
    verifier.map(Some).map_err(|error| format!("the row's own verifier: {error}"))
}

/// The reference answer, the text to grade and the expected verdict. A row with only `text` and `expected` tests
/// extraction: the answer found must be the expected one.
fn fields(row: &Map<String, Value>, takes_objects: bool) -> Result<(String, String, Option<Expected>), String> {
    let given = text_of(row, "response")?.or(text_of(row, "pred")?);
    let gold = match gold(row) {
        Some(value) if takes_objects && (value.is_object() || value.is_array()) => Some(value.to_string()),
        _ => text_of(row, "gold")?.or(text_of(row, "answer")?),
    };
    match (gold, given, text_of(row, "text")?) {
        (Some(gold), Some(given), _) => match row.get("expected") {
            None | Some(Value::Null) => Ok((gold, given, None)),
            Some(Value::Bool(right)) => Ok((gold, given, Some(Expected::Right(*right)))),
            Some(other) => Err(format!("field `expected` is {other}, expected true or false")),
        },
        (_, _, Some(text)) if row.contains_key("expected") => match text_of(row, "expected")? {
            Some(expected) if !expected.is_empty() => Ok((expected, text, Some(Expected::Right(true)))),
            _ => Ok((String::new(), text, Some(Expected::NoAnswer))),
        },
        (gold, ..) => {
            let missing = if gold.is_none() { "`gold` or `answer`" } else { "`response` or `pred`" };
            let found: Vec<String> = row.keys().map(|key| format!("`{key}`")).collect();
            Err(format!("expected a field {missing}, found {}", found.join(", ")))
        }
    }
}

/// A text or number; `None` if there is no such field.
fn text_of(row: &Map<String, Value>, field: &str) -> Result<Option<String>, String> {
    match row.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other) => Err(format!("field `{field}` is {other}, expected a string or a number")),
    }
}
