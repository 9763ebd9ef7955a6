//! Which columns of a row hold its problem and answer.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    json::number_as_written,
    options::DataOptions,
    row::{Row, kind},
};
use crate::{Message, Problem, Reward, RowError, math, problem::is_compound};

/// Columns that may hold the problem; the first that exists is used.
const PROMPT_COLUMNS: [&str; 4] = ["prompt", "problem", "question", "messages"];
/// Columns that may hold the answer; verl's comes first.
const ANSWER_COLUMNS: [&str; 6] = [VERL_ANSWER, "answer", "ground_truth", "final_answer", "solution", "label"];
const VERL_ANSWER: &str = "reward_model.ground_truth";
/// A worked solution: its last box is the answer.
const SOLUTION_COLUMN: &str = "solution";
const SOURCE_COLUMN: &str = "data_source";
/// The text before the final answer in GSM8K's solutions.
const GSM8K_MARKER: &str = "####";

/// The columns of a row that hold its problem.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Columns {
    prompt: String,
    prompt_kind: PromptKind,
    answer: String,
}

/// How a column holds a prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
enum PromptKind {
    Text,
    Messages,
    /// A list of messages written as JSON in a text.
    MessagesInText,
}

impl std::fmt::Display for Columns {
    /// A description of the file for users.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let schema = match (self.answer.as_str(), self.prompt.as_str()) {
            (VERL_ANSWER, _) => "verl",
            (_, "prompt") => "prompt-only",
            _ => "plain",
        };
        let messages = match self.prompt_kind {
            PromptKind::Text => "",
            PromptKind::Messages => " (messages)",
            PromptKind::MessagesInText => " (messages, written as JSON in a text)",
        };
        write!(f, "{schema} schema: `{}`{messages}, `{}`", self.prompt, self.answer)
    }
}

impl Columns {
    /// Finds the columns.
    fn of(row: &Row, options: &DataOptions) -> Result<Columns, RowError> {
        let fields = &row.fields;
        let prompt = find(fields, options.prompt_key.as_deref(), &PROMPT_COLUMNS, "data.prompt_key")?;
        let answer = find(fields, options.answer_key.as_deref(), &ANSWER_COLUMNS, "data.answer_key")?;
        let prompt_kind = match lookup(fields, &prompt) {
            Some(Value::Array(_)) => PromptKind::Messages,
            Some(Value::String(text)) if messages_in(text).is_some() => PromptKind::MessagesInText,
            _ => PromptKind::Text,
        };
        Ok(Columns { prompt, prompt_kind, answer })
    }
}

/// Makes a row's problem, with index 0, and returns the columns it came from.
pub(super) fn problem(
    mut row: Row,
    options: &DataOptions,
    reward: &Reward,
    file_stem: &str,
) -> Result<(Problem, Columns), RowError> {
    let columns = Columns::of(&row, options)?;
    let whole = reward.takes_rows().then(|| Arc::new(row.fields.clone()));
    let prompt = lookup(&row.fields, &columns.prompt);
    let messages = match prompt {
        Some(Value::Array(messages)) => Some(messages.clone()),
        Some(Value::String(text)) => messages_in(text),
        _ => None,
    };
    let (context, question) = match messages {
        Some(messages) => {
            let (context, last) = conversation(&messages)
                .map_err(|problem| RowError::Messages { field: columns.prompt.clone(), problem })?;
            (Some(context), last)
        }
        None => (None, text(prompt, &columns.prompt, "a string or a list of messages")?),
    };
    let data_source = match row.fields.shift_remove(SOURCE_COLUMN) {
        None | Some(Value::Null) => file_stem.to_owned(),
        value => text(value.as_ref(), SOURCE_COLUMN, "a string")?,
    };
    let answer_value =
        lookup(&row.fields, &columns.answer).filter(|value| !value.is_string() && !value.is_null()).cloned();
    let answer = match &answer_value {
        Some(value) if is_compound(value) && reward.takes_objects(&data_source) => value.to_string(),
        _ => answer(&row, &columns.answer)?,
    };
    reward.check_answer(&data_source, &answer).map_err(|reason| RowError::UnusableAnswer {
        field: columns.answer.clone(),
        answer: answer.clone(),
        reason,
    })?;
    row.fields.shift_remove(&columns.prompt);
    row.fields.shift_remove(&columns.answer);
    let prompt = options.template.render(&question);
    let extra = row.fields;
    let problem =
        Problem { prompt, context, answer, answer_value, data_source, extra, row: whole, ..Problem::default() };
    Ok((problem, columns))
}

/// The column named by the user, otherwise the first that exists and is not null; without one, the first whose name differs
/// only in case.
fn find(
    fields: &Map<String, Value>,
    key: Option<&str>,
    known: &[&str],
    setting: &'static str,
) -> Result<String, RowError> {
    let names = key.map_or(known.to_vec(), |key| vec![key]);
    let there = || names.iter().filter_map(|name| Some((*name, lookup(fields, name)?)));
    let found = there().find(|(_, value)| !value.is_null()).or_else(|| there().next());
    let similar = || names.iter().find_map(|name| fields.keys().find(|field| field.eq_ignore_ascii_case(name)));
    let found = found.map(|(name, _)| name.to_owned()).or_else(|| similar().cloned());
    found.ok_or_else(|| missing(&names, fields, setting))
}

/// The messages in a text that is a JSON list of them.
fn messages_in(text: &str) -> Option<Vec<Value>> {
    if !text.trim_start().starts_with('[') {
        return None;
    }
    let messages: Vec<Value> = serde_json::from_str(text).ok()?;
    let is_message = |value: &Value| value.get("role").is_some() && value.get("content").is_some();
    (!messages.is_empty() && messages.iter().all(is_message)).then_some(messages)
}

/// Looks up a field by name, or by the dotted path of a nested one.
fn lookup<'a>(fields: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    fields.get(path).or_else(|| {
        let (outer, inner) = path.split_once('.')?;
        lookup(fields.get(outer)?.as_object()?, inner)
    })
}

/// A text that is not blank.
fn text(value: Option<&Value>, field: &str, expected: &'static str) -> Result<String, RowError> {
    match value.unwrap_or(&Value::Null) {
        Value::String(text) if text.trim().is_empty() => Err(RowError::EmptyField { field: field.to_owned() }),
        Value::String(text) => Ok(text.clone()),
        other => Err(RowError::WrongType { field: field.to_owned(), expected, found: kind(other) }),
    }
}

fn answer(row: &Row, column: &str) -> Result<String, RowError> {
    let value = lookup(&row.fields, column);
    match value {
        Some(Value::Bool(value)) => return Ok(value.to_string()),
        // A list of one, as data sets with several accepted answers have it.
        Some(Value::Array(items)) => match items.as_slice() {
            [Value::String(text)] if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
            [Value::Number(number)] => return Ok(number.to_string()),
            _ => {}
        },
        _ => {}
    }
    if let Some(Value::Number(number)) = value {
        let path: Vec<&str> = if row.fields.contains_key(column) { vec![column] } else { column.split('.').collect() };
        return match &row.text {
            Some(text) => number_as_written(text, &path),
            None => Ok(number.to_string()),
        };
    }
    let text = text(
        value,
        column,
        "a string, a number, a boolean or a list of one (or, for command, http and python verifiers, an object or a list)",
    )?;
    if let Some((_, last)) = text.rsplit_once(GSM8K_MARKER) {
        return Ok(last.trim().replace(',', ""));
    }
    let boxed = (column == SOLUTION_COLUMN).then(|| math::extract(&text, math::Rule::Boxed)).flatten();
    Ok(boxed.unwrap_or_else(|| text.trim().to_owned()))
}

/// The messages before the last one, and the last one's text, which must be the user's.
fn conversation(messages: &[Value]) -> Result<(Vec<Message>, String), String> {
    let mut messages =
        messages.iter().zip(1..).map(|(value, number)| message(value, number)).collect::<Result<Vec<_>, _>>()?;
    match messages.pop() {
        None => Err("holds no messages".to_owned()),
        Some(last) if last.role != "user" => Err(format!("the last message is from `{}`, expected `user`", last.role)),
        Some(last) if last.content.trim().is_empty() => Err("the user's message is empty".to_owned()),
        Some(last) => Ok((messages, last.content)),
    }
}

fn message(value: &Value, number: usize) -> Result<Message, String> {
    let role = value["role"].as_str().ok_or_else(|| format!("message {number} has no string `role`"))?;
    let content = match &value["content"] {
        Value::String(content) => content.clone(),
        Value::Array(parts) => {
            let text = |part: &Value| part["text"].as_str().map(str::to_owned);
            let texts = parts.iter().map(text).collect::<Option<Vec<_>>>();
            texts.ok_or_else(|| format!("message {number} holds something other than text"))?.concat()
        }
        other => return Err(format!("the `content` of message {number} is {}, expected a string", kind(other))),
    };
    Ok(Message { role: role.to_owned(), content })
}

fn missing(expected: &[&str], fields: &Map<String, Value>, setting: &'static str) -> RowError {
    let list =
        |names: &[&str], joint: &str| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(joint);
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    let found = if names.is_empty() { "no fields".to_owned() } else { list(&names, ", ") };
    RowError::MissingColumn { expected: list(expected, " or "), found, setting }
}
