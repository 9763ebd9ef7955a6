//! Requests to another program and its replies: one JSON object each way.

use std::fmt::Display;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Reading;
use crate::{Grade, Problem, Response, Verdict, problem::is_compound, wording::plain_words};

/// Largest size of a score, and of a weight, so that no reward is infinite.
pub(crate) const LARGEST: f64 = 1e6;
/// Longer replies are cut off.
pub(super) const MAX_REPLY_BYTES: usize = 1 << 20;
/// Number of characters of a reply shown in a message.
const SHOWN_CHARS: usize = 120;

/// The request for one response, without a newline.
pub(super) fn request(id: u64, problem: &Problem, response: Response<'_>) -> Vec<u8> {
    let compound = problem.answer_value.clone().filter(is_compound);
    let answer = compound.unwrap_or_else(|| problem.answer.clone().into());
    let request = json!({
        "id": id,
        "prompt": problem.prompt,
        "context": problem.context,
        "answer": answer,
        "response": response.text,
        "tokens": response.tokens,
        "data_source": problem.data_source,
        "extra": problem.extra,
    });
    request.to_string().into_bytes()
}

#[derive(Deserialize)]
struct Reply {
    id: Option<Value>,
    score: Option<f64>,
    correct: Option<bool>,
    answer: Option<String>,
    reason: Option<String>,
    error: Option<String>,
}

/// Parses a reply.
///
/// # Errors
/// What was expected and found, if it is not a valid reply to the request with this id.
pub(super) fn parse_reply(bytes: &[u8], id: u64, range: [f64; 2]) -> Result<Reading, String> {
    let unexpected = |problem: &str| format!("{problem}, found {}", shown(bytes));
    let no_reply = |error: &dyn Display| {
        let expected = "expected a JSON object with `id` and `score`";
        unexpected(&format!("{expected} ({})", plain_words(&error.to_string())))
    };
    // Without this, fields that are not read could hold anything.
    let text = std::str::from_utf8(bytes).map_err(|error| no_reply(&error))?;
    let reply: Reply = serde_json::from_str(text).map_err(|error| no_reply(&error))?;
    if reply.id != Some(id.into()) {
        return Err(unexpected(&format!("expected the reply to have the request's `id` ({id})")));
    }
    if let Some(error) = reply.error {
        return Ok(Verdict::failed(shown(error.as_bytes())).into());
    }
    let [low, high] = range;
    match reply.score {
        Some(score) if (low..=high).contains(&score) => Ok(Reading {
            verdict: Verdict::Graded { score: score as f32, correct: reply.correct.unwrap_or(score == high) },
            answer: reply.answer,
            remark: reply.reason,
        }),
        Some(_) => Err(unexpected(&format!("expected a `score` within `range` ({low} to {high})"))),
        None => Err(unexpected("expected a number `score` (or a text `error`)")),
    }
}

/// The grade that a reply of an external verifier to the request with this id means, for tests of such a verifier.
///
/// ```
/// let grade = vapo_tasks::read_reply(br#"{"id": 3, "score": 0.5, "reason": "half of it"}"#, 3, [0.0, 1.0])?;
/// assert_eq!((grade.verdict.score(), grade.remark.as_deref()), (Some(0.5), Some("half of it")));
/// # Ok::<(), String>(())
/// ```
///
/// # Errors
/// What was expected and found, if it is not a valid reply (`docs/verifiers.md`) with a score within `range`.
pub fn read_reply(reply: &[u8], id: u64, range: [f64; 2]) -> Result<Grade, String> {
    parse_reply(reply, id, range).map(Grade::from)
}

/// The beginning of a program's output, for a message.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * SHOWN_CHARS)]);
    let mut shown: String = text.trim().chars().take(SHOWN_CHARS).collect();
    shown = shown.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let ellipsis = if shown.len() < text.trim().len() || bytes.len() > 4 * SHOWN_CHARS { "..." } else { "" };
    format!("`{shown}{ellipsis}`")
}

/// Checks the range of scores that a program may give.
pub(super) fn check_range([low, high]: [f64; 2]) -> Result<(), crate::Error> {
    if low < high && low >= -LARGEST && high <= LARGEST {
        return Ok(());
    }
    Err(crate::Error::Setting {
        setting: "range",
        expected: format!("two numbers between -{LARGEST} and {LARGEST}, the smaller one first"),
        found: format!("[{low}, {high}]"),
    })
}

/// Checks a number of seconds.
pub(super) fn check_seconds(setting: &'static str, seconds: f64) -> Result<(), crate::Error> {
    const MAX: f64 = 86_400.0;
    if seconds > 0.0 && seconds <= MAX {
        return Ok(());
    }
    let expected = format!("more than 0 and at most {MAX}");
    Err(crate::Error::Setting { setting, expected, found: seconds.to_string() })
}

/// Checks the number of concurrent workers or requests.
pub(super) fn check_at_once(setting: &'static str, number: usize, least: usize) -> Result<(), crate::Error> {
    const MAX: usize = 1024;
    if (least..=MAX).contains(&number) {
        return Ok(());
    }
    Err(crate::Error::Setting { setting, expected: format!("{least} to {MAX}"), found: number.to_string() })
}
