//! What is said to the process that calls the function, and what it answers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Attempt, Message, Verdict,
    verifier::{Reading, protocol::shown},
};

/// Characters of a text of the process that are kept.
const KEPT_CHARS: usize = 2000;

#[derive(Serialize)]
struct Request<'a> {
    id: u64,
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    prompt: Prompt<'a>,
    response: &'a str,
    data_source: &'a str,
    ground_truth: GroundTruth<'a>,
    columns: &'a Map<String, Value>,
}

/// A prompt in the form of the data: TRL gives completions in the same form.
#[derive(Serialize)]
#[serde(untagged)]
enum Prompt<'a> {
    Text(&'a str),
    Messages(Vec<Message>),
}

#[derive(Serialize)]
#[serde(untagged)]
enum GroundTruth<'a> {
    Text(&'a str),
    Value(&'a Value),
}

impl<'a> Item<'a> {
    fn of(attempt: &Attempt<'a>) -> Item<'a> {
        let problem = attempt.problem;
        let prompt = match &problem.context {
            None => Prompt::Text(&problem.prompt),
            Some(context) => {
                let last = Message { role: "user".to_owned(), content: problem.prompt.clone() };
                Prompt::Messages(context.iter().cloned().chain([last]).collect())
            }
        };
        Item {
            prompt,
            response: attempt.response.text,
            data_source: &problem.data_source,
            ground_truth: problem.answer_value.as_ref().map_or(GroundTruth::Text(&problem.answer), GroundTruth::Value),
            columns: problem.row.as_deref().unwrap_or(&problem.extra),
        }
    }
}

/// The first request, on which the function is loaded.
pub(super) fn greeting() -> Vec<u8> {
    request(0, &[])
}

/// The request for a call with these responses.
pub(super) fn request(id: u64, attempts: &[Attempt<'_>]) -> Vec<u8> {
    let request = Request { id, items: attempts.iter().map(Item::of).collect() };
    serde_json::to_vec(&request).expect("texts and JSON values are JSON")
}

#[derive(Deserialize)]
struct Reply {
    id: Option<u64>,
    takes_several: Option<bool>,
    results: Option<Vec<Option<Outcome>>>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Outcome {
    score: Option<f64>,
    correct: Option<bool>,
    answer: Option<String>,
    error: Option<String>,
}

/// A call's results, or the exception that ended it.
pub(super) type Called = Result<Vec<Option<Reading>>, String>;

fn parse(line: &[u8], id: u64) -> Result<Reply, String> {
    let unexpected =
        |problem: &str| format!("expected a reply of vapo's own runner ({problem}), found {}", shown(line));
    let text = std::str::from_utf8(line).map_err(|error| unexpected(&error.to_string()))?;
    let reply: Reply = serde_json::from_str(text).map_err(|error| unexpected(&error.to_string()))?;
    if reply.id != Some(id) {
        return Err(unexpected(&format!("with the request's `id`, {id}")));
    }
    Ok(reply)
}

/// Whether the function is called for several responses at once, from the reply to the greeting.
///
/// # Errors
/// The function cannot be loaded, or something else has written to the pipe.
pub(super) fn read_greeting(line: &[u8]) -> Result<bool, String> {
    let reply = parse(line, 0)?;
    match (reply.error, reply.takes_several) {
        (Some(error), _) => Err(bounded(&error)),
        (None, Some(takes_several)) => Ok(takes_several),
        (None, None) => Err(format!("expected a reply of vapo's own runner, found {}", shown(line))),
    }
}

/// Reads the reply to a call for `count` responses.
///
/// # Errors
/// Something other than the runner has written to the pipe.
pub(super) fn read(line: &[u8], id: u64, count: usize, range: [f64; 2]) -> Result<Called, String> {
    let reply = parse(line, id)?;
    if let Some(error) = reply.error {
        return Ok(Err(bounded(&error)));
    }
    let results = reply.results.filter(|results| results.len() == count);
    let results = results.ok_or_else(|| format!("expected {count} `results`, found {}", shown(line)))?;
    Ok(Ok(results.into_iter().map(|outcome| Some(reading(outcome?, range))).collect()))
}

fn reading(outcome: Outcome, [low, high]: [f64; 2]) -> Reading {
    let verdict = match (outcome.error, outcome.score) {
        (Some(error), _) => Verdict::failed(bounded(&error)),
        (None, Some(score)) if (low..=high).contains(&score) => {
            Verdict::Graded { score: score as f32, correct: outcome.correct.unwrap_or(score == high) }
        }
        (None, Some(score)) => Verdict::failed(format!(
            "it returned {score}, which is not within `range` ({low} to {high}); set `range` to the lowest and highest score"
        )),
        (None, None) => Verdict::failed("the reply has no `score`"),
    };
    Reading { verdict, answer: outcome.answer.as_deref().map(bounded), remark: None }
}

/// A text of the process, printable and of limited length.
fn bounded(text: &str) -> String {
    text.chars().take(KEPT_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
