//! Finding the final answer in a response.

use super::Rule;

/// DAPO looks for its marker in this many characters at the end of a response.
const DAPO_TAIL: usize = 300;
/// Boxes that belong together (`\boxed{2} and \boxed{3}`) stand no further apart than this.
const MAX_GAP: usize = 60;

pub(super) fn extract(response: &str, rule: Rule) -> Option<String> {
    let answer = match rule {
        Rule::Auto => automatic(response),
        Rule::Boxed => last_boxes(response).map(|(_, content)| content),
        Rule::AnswerLine => last_announcement(after_thinking(response)).map(|(_, tail)| expression(tail)),
        Rule::Dapo => dapo(response),
        Rule::Hashes => response.rsplit_once("####").map(|(_, tail)| first_line(tail).to_owned()),
        Rule::LastExpression => last_expression(response).map(str::to_owned),
    }?;
    let answer = answer.trim();
    (!answer.is_empty()).then(|| answer.to_owned())
}

fn automatic(response: &str) -> Option<String> {
    let text = after_thinking(response);
    let boxes = last_boxes(text);
    let hashes = text.rfind("####").map(|at| (at, first_line(&text[at + 4..]).to_owned()));
    let announced = last_announcement(text).map(|(at, tail)| (at, expression(tail)));
    let marked = [boxes, hashes, announced].into_iter().flatten().filter(|(_, answer)| !answer.trim().is_empty());
    let last = marked.max_by_key(|(at, _)| *at).map(|(_, answer)| answer);
    last.or_else(|| last_expression(text).map(str::to_owned))
}

/// What follows the last `</think>`, if there is any text behind it.
fn after_thinking(response: &str) -> &str {
    match response.rsplit_once("</think>") {
        Some((_, answer)) if !answer.trim().is_empty() => answer,
        _ => response,
    }
}

fn dapo(response: &str) -> Option<String> {
    let start = response.char_indices().rev().nth(DAPO_TAIL - 1).map_or(0, |(at, _)| at);
    let tail = &response[start..];
    let (_, after) = occurrences(tail, "answer").filter_map(|at| Some((at, colon(&tail[at + 6..])?))).last()?;
    Some(first_line(after).to_owned())
}

/// What stands behind white space and a colon.
fn colon(text: &str) -> Option<&str> {
    text.trim_start().strip_prefix(':')
}

/// The first line that is not blank.
fn first_line(text: &str) -> &str {
    text.trim_start().lines().next().unwrap_or("")
}

/// Where an ASCII word stands, in any case, from left to right.
fn occurrences<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let (bytes, word) = (text.as_bytes(), word.as_bytes());
    (0..(bytes.len() + 1).saturating_sub(word.len()))
        .filter(move |&at| bytes[at..at + word.len()].eq_ignore_ascii_case(word))
}

/// The last `Answer:`, `answer is` or the like: where it stands and what follows it.
fn last_announcement(text: &str) -> Option<(usize, &str)> {
    let follows = |at: usize| {
        let after = text[at + 6..].trim_start_matches(['*', 's', ' ', '_']);
        ["is", "are", "=", ":"].iter().find_map(|word| after.strip_prefix(word))
    };
    occurrences(text, "answer").filter_map(|at| Some((at, follows(at)?))).last()
}

fn expression(tail: &str) -> String {
    first_line(tail).trim_matches(['*', ':', ' ']).to_owned()
}

/// The last boxed answer, or the last few that belong together: where the first stands, and their contents.
fn last_boxes(text: &str) -> Option<(usize, String)> {
    let boxes = boxes(text);
    let (last, earlier) = boxes.split_last()?;
    let mut group = vec![last];
    for previous in earlier.iter().rev() {
        let next = group[group.len() - 1];
        if !joins(&text[previous.end..next.start]) {
            break;
        }
        group.push(previous);
    }
    let contents: Vec<&str> = group.iter().rev().map(|found| found.content.trim()).collect();
    Some((last.start, contents.join(", ")))
}

/// Whether a text between two boxes makes them one answer: punctuation, mathematical delimiters, `and`, `or`.
fn joins(gap: &str) -> bool {
    gap.len() <= MAX_GAP && {
        let words = gap.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let light = ["and", "or", "text", "quad", "qquad", "for", "part"];
        words.into_iter().all(|word| word.len() == 1 || light.contains(&word)) && !gap.contains("\n\n")
    }
}

struct Boxed<'a> {
    start: usize,
    end: usize,
    content: &'a str,
}

/// All outermost boxes with balanced braces, from left to right.
fn boxes(text: &str) -> Vec<Boxed<'_>> {
    let bytes = text.as_bytes();
    let mut open: Vec<(usize, bool)> = Vec::new();
    let mut found: Vec<Boxed<'_>> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if matches!(bytes.get(at + 1), Some(b'{' | b'}')) => at += 1,
            b'{' => open.push((at, text[..at].ends_with("\\boxed") || text[..at].ends_with("\\fbox"))),
            b'}' => {
                if let Some((start, true)) = open.pop() {
                    let start_of_command = text[..start].rfind('\\').unwrap_or(start);
                    while found.last().is_some_and(|inner| inner.start > start) {
                        found.pop();
                    }
                    found.push(Boxed { start: start_of_command, end: at + 1, content: &text[start + 1..at] });
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The last formula between mathematical delimiters, or the last number, whichever comes last.
fn last_expression(text: &str) -> Option<&str> {
    let end = text.rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = text[..end].rfind(|c: char| c.is_whitespace() || c == '$').map_or(0, |at| at + 1);
    text.get(start..end)
}
