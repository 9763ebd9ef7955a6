//! Finds the final answer in a response.

mod announced;
mod boxes;
mod expression;
mod place;

use serde::{Deserialize, Serialize};

use self::{
    boxes::Boxes,
    expression::last_expression,
    place::{end, find_mark, first_line, last_mark},
};
use super::{answers, text};

/// Where to find the final answer in a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Whichever comes last of `\boxed{..}`, `#### ..` and an announcement (`Answer: ..`, `the answer is ..`), where an
    /// announcement after a box must have a value; without any of them, the whole response if it reads as an answer,
    /// otherwise its last expression or number.
    #[default]
    Auto,
    /// The content of the last `\boxed{..}` or `\fbox{..}` with balanced braces.
    Boxed,
    /// What follows the last `Answer:`, `answer is` or `answer =`.
    AnswerLine,
    /// What follows the last `Answer:` within the last 300 characters, as DAPO and VAPO score (arXiv 2503.14476).
    Dapo,
    /// What follows the last `####`, as GSM8K writes it.
    Hashes,
    /// The last formula or number.
    LastExpression,
}

/// DAPO looks for its marker in this many characters at the end of a response.
const DAPO_TAIL: usize = 300;
/// Answers are searched for in this many bytes at the end of a response.
const MAX_RESPONSE: usize = 1 << 18;
/// Longer texts may contain an answer, but are not themselves an answer.
const MAX_WHOLE: usize = 200;

pub(super) fn extract(response: &str, rule: Rule) -> Option<String> {
    let response = without_end(end(response, MAX_RESPONSE));
    let text = after_thinking(response);
    let answer = match tagged(text) {
        // The content of the tag is the answer, unless the rule finds one in it.
        Some(content) => find(content, rule).or_else(|| find(content, Rule::Auto)),
        None => find(text, rule),
    }?;
    let answer = answer.trim();
    (!answer.is_empty()).then(|| answer.to_owned())
}

fn find(text: &str, rule: Rule) -> Option<String> {
    match rule {
        Rule::Auto => {
            let boxes = Boxes::of(text);
            marked_beside(&boxes, text).or_else(|| boxes.open.is_none().then(|| unmarked(text)).flatten())
        }
        Rule::Boxed => Boxes::of(text).last(text).map(|(_, content)| content),
        Rule::AnswerLine => announced::last(text),
        Rule::Dapo => dapo(text),
        Rule::Hashes => after_hashes(text).map(|(_, answer)| answer.to_owned()),
        Rule::LastExpression => last_expression(text).map(str::to_owned),
    }
}

/// Removes special tokens at the end, and anything that a model wrote after ending its turn.
fn without_end(response: &str) -> &str {
    const TOKENS: [&str; 7] =
        ["<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "</s>"];
    let begin = response.len() - response.trim_start().len();
    let starts = response.match_indices('<').map(|(at, _)| at);
    let mut ends = starts.filter(|at| *at > begin && TOKENS.iter().any(|token| response[*at..].starts_with(token)));
    &response[..ends.next().unwrap_or(response.len())]
}

/// What follows the reasoning: nothing, if the reasoning has not ended.
fn after_thinking(response: &str) -> &str {
    const END: &str = "</think>";
    let text = last_mark(response, END).map_or(response, |at| &response[at + END.len()..]);
    &text[..find_mark(text, "<think>").unwrap_or(text.len())]
}

/// The content of the last `<answer>`. A stop string may have cut off its end, so it need not be closed.
fn tagged(text: &str) -> Option<&str> {
    const BEGIN: &str = "<answer>";
    let content = &text[last_mark(text, BEGIN)? + BEGIN.len()..];
    Some(&content[..find_mark(content, "</answer>").unwrap_or(content.len())])
}

/// The answer after the last `####`, and where that begins.
fn after_hashes(text: &str) -> Option<(usize, &str)> {
    const HASHES: &str = "####";
    let at = last_mark(text, HASHES)?;
    Some((at, first_line(&text[at + HASHES.len()..])))
}

/// The last answer that is boxed, announced or after `####`.
pub(super) fn marked(text: &str) -> Option<String> {
    marked_beside(&Boxes::of(text), text)
}

fn marked_beside(boxes: &Boxes<'_>, text: &str) -> Option<String> {
    let boxed = boxes.last(text);
    // What a box that is never closed would hold may have been cut short.
    let text = &text[..boxes.open.unwrap_or(text.len())];
    let hashes = after_hashes(text).map(|(at, answer)| (at, answer.to_owned()));
    let given = [boxed, hashes].into_iter().flatten().filter(|(_, answer)| !answer.trim().is_empty());
    let Some((at, answer)) = given.max_by_key(|(at, _)| *at) else {
        return announced::last(text).filter(|answer| !answer.trim().is_empty());
    };
    Some(announced::last_value(text, at).unwrap_or(answer))
}

/// A short text that reads as an answer, or the last expression of a longer one.
fn unmarked(text: &str) -> Option<String> {
    if text.len() <= MAX_WHOLE && !text::is_prose(text) && answers::is_plain(text) {
        return Some(text.to_owned());
    }
    last_expression(text).map(str::to_owned)
}

fn dapo(text: &str) -> Option<String> {
    let start = text.char_indices().rev().nth(DAPO_TAIL - 1).map_or(0, |(at, _)| at);
    announced::after_last_label(&text[start..])
}
