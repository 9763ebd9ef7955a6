//! Finding the final answer in a response.

use super::{Rule, text};

/// DAPO looks for its marker in this many characters at the end of a response.
const DAPO_TAIL: usize = 300;
/// Boxes that belong together (`\boxed{2} and \boxed{3}`) stand no further apart than this.
const MAX_GAP: usize = 60;
/// Longer texts hold an answer, they are none.
const MAX_WHOLE: usize = 200;

pub(super) fn extract(response: &str, rule: Rule) -> Option<String> {
    let response = without_end(response);
    let answer = match rule {
        Rule::Auto => marked(response).or_else(|| unmarked(after_thinking(response))),
        Rule::Boxed => last_boxes(response).map(|(_, content)| content),
        Rule::AnswerLine => last_announcement(after_thinking(response)).map(|(_, tail)| announced(tail)),
        Rule::Dapo => dapo(response),
        Rule::Hashes => response.rsplit_once("####").map(|(_, tail)| first_line(tail).to_owned()),
        Rule::LastExpression => last_expression(response).map(str::to_owned),
    }?;
    let answer = answer.trim();
    (!answer.is_empty()).then(|| answer.to_owned())
}

/// Cuts the special tokens off the end, and what a model wrote after ending its turn.
fn without_end(response: &str) -> &str {
    let cut = ["<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "</s>"]
        .iter()
        .filter_map(|token| response.find(token).filter(|at| !response[..*at].trim().is_empty()))
        .min();
    &response[..cut.unwrap_or(response.len())]
}

/// The last answer that is boxed, announced or behind `####`.
pub(super) fn marked(response: &str) -> Option<String> {
    let text = after_thinking(response);
    let boxes = last_boxes(text);
    let hashes = text.rfind("####").map(|at| (at, first_line(&text[at + 4..]).to_owned()));
    let announced = last_announcement(text).map(|(at, tail)| (at, announced(tail)));
    let found = [boxes, hashes, announced].into_iter().flatten().filter(|(_, answer)| !answer.trim().is_empty());
    found.max_by_key(|(at, _)| *at).map(|(_, answer)| answer)
}

/// A short text that reads as an answer, or the last expression of a longer one.
fn unmarked(text: &str) -> Option<String> {
    if text.len() <= MAX_WHOLE && !text::is_prose(text) {
        return Some(text.to_owned());
    }
    last_expression(text).map(str::to_owned)
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
    let last = (bytes.len() + 1).saturating_sub(word.len());
    (0..last).filter(move |&at| bytes[at..at + word.len()].eq_ignore_ascii_case(word))
}

/// The last `Answer:`, `answer is` or the like that an answer follows: where it stands and what follows it.
fn last_announcement(text: &str) -> Option<(usize, &str)> {
    let follows = |at: usize| {
        let strong =
            colon(text[at + 6..].trim_start_matches(['*', 's', '_', ')'])).map(|after| after.trim_start_matches('*'));
        let after = text[at + 6..].trim_start_matches(['*', 's', ' ', '_']);
        let verb =
            ["is", "are", "=", "would be", "will be", "should be"].iter().find_map(|word| after.strip_prefix(word));
        // "The answer is correct" announces nothing.
        let weak = verb.map(|after| after.trim_start_matches([':', ' ', '*'])).filter(|after| {
            let line = first_line(after);
            line.contains(|c: char| c.is_ascii_digit() || matches!(c, '$' | '\\' | '"'))
                || line.split_whitespace().count() <= 3
        });
        strong.or(weak).filter(|after| !after.trim().is_empty())
    };
    occurrences(text, "answer").filter_map(|at| Some((at, follows(at)?))).last()
}

/// The answer in what follows an announcement.
fn announced(tail: &str) -> String {
    let sentence = first_sentence(first_line(tail)).trim_matches(['*', ':', ' ', '"', '\\', '_']);
    let sentence = if sentence.is_empty() { first_line(tail) } else { sentence };
    if !text::is_prose(sentence) {
        return sentence.to_owned();
    }
    last_expression(sentence).unwrap_or(sentence).to_owned()
}

/// Up to the first full stop that ends a sentence.
fn first_sentence(line: &str) -> &str {
    let end = line.match_indices(['.', '!', '?']).find(|(at, _)| {
        let after = line[at + 1..].trim_start_matches(['"', '\'', '*', ')']);
        let space = after.len() < line.len() - at - 1 || after.starts_with(' ');
        let next = after.trim_start().chars().next();
        line[..*at].chars().last().is_some_and(|c| !c.is_whitespace())
            && (after.is_empty() || space && next.is_none_or(|c| c.is_uppercase()))
    });
    end.map_or(line, |(at, _)| &line[..at])
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

/// Whether a text between two boxes makes them one answer: punctuation, mathematical delimiters, `and`, `or`, a label.
fn joins(gap: &str) -> bool {
    let words = || gap.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let light = ["and", "or", "text", "quad", "qquad", "for", "part"];
    let connected =
        gap.contains("and") || gap.contains("or") || gap.contains([',', ';', '&']) || words().next().is_none();
    let one_line = gap.trim_matches('\n').lines().count() <= 1;
    gap.len() <= MAX_GAP
        && connected
        && one_line
        && !gap.contains('.')
        && words().all(|word| word.len() == 1 || light.contains(&word))
}

struct Boxed<'a> {
    start: usize,
    end: usize,
    content: &'a str,
}

/// All outermost boxes with balanced braces, from left to right.
fn boxes(text: &str) -> Vec<Boxed<'_>> {
    let bytes = text.as_bytes();
    let mut open: Vec<usize> = Vec::new();
    let mut found: Vec<Boxed<'_>> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if matches!(bytes.get(at + 1), Some(b'{' | b'}')) => at += 1,
            b'{' => open.push(at),
            b'}' => {
                let command = open.pop().and_then(|start| Some((start, box_before(&text[..start])?)));
                if let Some((brace, start)) = command {
                    while found.last().is_some_and(|inner| inner.start > start) {
                        found.pop();
                    }
                    found.push(Boxed { start, end: at + 1, content: &text[brace + 1..at] });
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Where the command of a box begins, if it is what a text ends with.
fn box_before(text: &str) -> Option<usize> {
    let text = text.trim_end_matches(' ');
    ["\\boxed", "\\fbox", "\\framebox"]
        .iter()
        .find(|command| text.ends_with(**command))
        .map(|command| text.len() - command.len())
}

/// The last formula between mathematical delimiters, or the last number outside, whichever comes last.
fn last_expression(text: &str) -> Option<&str> {
    let formula = last_formula(text);
    let after = formula.map_or(0, |(end, _)| end);
    last_number(&text[after..]).or(formula.map(|(_, content)| content))
}

/// The last formula between `$ $`, `\( \)` or `\[ \]`: where it ends, and its content.
fn last_formula(text: &str) -> Option<(usize, &str)> {
    let mut found: Option<(usize, &str)> = None;
    let mut at = 0;
    while let Some(offset) = text[at..].find(['$', '\\']) {
        let start = at + offset;
        let closing = ["$$", "$", "\\(", "\\["]
            .iter()
            .zip(["$$", "$", "\\)", "\\]"])
            .find(|(open, _)| text[start..].starts_with(**open));
        let Some((open, close)) = closing else {
            // A command; what follows its backslash is no delimiter.
            at = start + 1 + text[start + 1..].chars().next().map_or(0, char::len_utf8);
            continue;
        };
        let inner = start + open.len();
        let Some(length) = text[inner..].find(close) else { break };
        let content = &text[inner..inner + length];
        at = inner + length + close.len();
        // Between the formulas of `$2$ and $3$` stands text, and a lone dollar is a price.
        if !content.trim().is_empty() && !text::is_prose(content) {
            found = Some((at, content));
        }
    }
    found
}

/// The last number of a text, with what is glued to it: sign, currency, unit, brackets.
fn last_number(text: &str) -> Option<&str> {
    let mut end = text.rfind(|c: char| c.is_ascii_digit())? + 1;
    let glued = |c: char| !c.is_whitespace() && !matches!(c, '"' | '*' | '`');
    let mut start =
        text[..end].rfind(|c: char| !glued(c)).map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    let tail = &text[end..];
    let length = tail.find(|c: char| !glued(c)).unwrap_or(tail.len());
    end += tail[..length].trim_end_matches(['.', ',', '!', '?', ';', ':']).len();
    let word = text[start..end].trim_start_matches(['(', '[', '<', '>', ':', '=', '~']);
    start = end - word.len();
    let word = if word.contains(['(', '[']) { word } else { word.trim_end_matches([')', ']', '>']) };
    // Digits in the middle of a name are no number.
    let number = word.starts_with(|c: char| !c.is_ascii_alphabetic()) || word.contains('=');
    if number { Some(word) } else { last_number(&text[..start]) }
}
