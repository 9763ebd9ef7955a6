//! Finds the final answer in a response.

use serde::{Deserialize, Serialize};

use super::{answers, text};

/// Where to find the final answer in a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Whichever comes last of `\boxed{..}`, `#### ..` and an announcement (`Answer: ..`, `the answer is ..`); without
    /// any of them, the whole response if it reads as an answer, otherwise its last expression or number.
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
/// Connected boxes (`\boxed{2} and \boxed{3}`) are no further apart than this.
const MAX_GAP: usize = 60;
/// Answers are searched for in this many bytes at the end of a response.
const MAX_RESPONSE: usize = 1 << 18;
/// Answers without a box or announcement are searched for in this many bytes at the end.
const MAX_TAIL: usize = 1 << 13;
/// At most this many announcements without an answer are skipped.
const MAX_ANNOUNCEMENTS: usize = 1_000;
/// Longer texts may contain an answer, but are not themselves an answer.
const MAX_WHOLE: usize = 200;

pub(super) fn extract(response: &str, rule: Rule) -> Option<String> {
    let response = without_end(end(response, MAX_RESPONSE));
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

/// At most this many bytes from the end of a text.
fn end(text: &str, bytes: usize) -> &str {
    let mut start = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
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

/// The last answer that is boxed, announced or after `####`.
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
    if text.len() <= MAX_WHOLE && !text::is_prose(text) && answers::is_plain(text) {
        return Some(text.to_owned());
    }
    last_expression(text).map(str::to_owned)
}

/// What follows the last `</think>`, if there is any text after it.
fn after_thinking(response: &str) -> &str {
    match response.rsplit_once("</think>") {
        Some((_, answer)) if !answer.trim().is_empty() => answer,
        _ => response,
    }
}

fn dapo(response: &str) -> Option<String> {
    let start = response.char_indices().rev().nth(DAPO_TAIL - 1).map_or(0, |(at, _)| at);
    let tail = &response[start..];
    let after = occurrences(tail, "answer").rev().find_map(|at| colon(&tail[at + 6..]))?;
    Some(first_line(after).to_owned())
}

/// What follows white space and a colon.
fn colon(text: &str) -> Option<&str> {
    text.trim_start().strip_prefix(':')
}

/// The first line that is not blank.
fn first_line(text: &str) -> &str {
    text.trim_start().lines().next().unwrap_or("")
}

/// The positions of a lower-case ASCII word, ignoring case, from left to right.
fn occurrences<'a>(text: &'a str, word: &'a str) -> impl DoubleEndedIterator<Item = usize> + 'a {
    let (bytes, word) = (text.as_bytes(), word.as_bytes());
    let last = (bytes.len() + 1).saturating_sub(word.len());
    (0..last).filter(move |&at| bytes[at] | 32 == word[0] && bytes[at..at + word.len()].eq_ignore_ascii_case(word))
}

/// The last `Answer:`, `answer is` or similar that is followed by an answer: its position and what follows it.
fn last_announcement(text: &str) -> Option<(usize, &str)> {
    // "We check our answer: .." announces nothing.
    let owned = |at: usize| ["our ", "my ", "your ", "this "].iter().any(|word| text[..at].ends_with(word));
    let places = occurrences(text, "answer").rev().take(MAX_ANNOUNCEMENTS);
    places.filter(|at| !owned(*at)).find_map(|at| Some((at, announcement(&text[at + 6..])?)))
}

/// What follows `answer`, if that is an announcement.
fn announcement(after: &str) -> Option<&str> {
    let colon = colon(after.trim_start_matches(['*', 's', '_', ')'])).map(|after| after.trim_start_matches('*'));
    if let Some(answer) = colon.filter(|answer| !answer.trim_start().is_empty()) {
        return Some(answer);
    }
    let after = after.trim_start_matches(['*', 's', ' ', '_']);
    let verb = ["is", "are", "=", "would be", "will be", "should be"].iter().find_map(|word| after.strip_prefix(word));
    // "The answer is correct" announces nothing.
    verb.map(|answer| answer.trim_start_matches([':', ' ', '*'])).filter(|answer| {
        let end = answer.char_indices().nth(MAX_GAP).map_or(answer.len(), |(at, _)| at);
        let line = first_line(&answer[..end]);
        let judged =
            ["correct", "incorrect", "right", "wrong", "valid", "not", "unique", "reasonable", "therefore", "that"];
        let first = line.split(|c: char| !c.is_alphabetic()).next().unwrap_or("");
        let few = (1..=3).contains(&line.split_whitespace().count())
            && !judged.contains(&first.to_ascii_lowercase().as_str());
        few || line.starts_with('(') || line.contains(|c: char| c.is_ascii_digit() || matches!(c, '$' | '\\' | '"'))
    })
}

/// The answer in the text after an announcement.
fn announced(tail: &str) -> String {
    let line = first_line(tail);
    // A formula may span several lines.
    if let Some((_, formula)) = formula_at(tail.trim_start()).filter(|(end, _)| *end > line.len()) {
        return formula.to_owned();
    }
    let sentence = first_sentence(line).trim_matches(['*', ':', ' ', '"', '_']);
    let sentence = if sentence.is_empty() { line } else { sentence };
    match formula_at(sentence) {
        Some((end, formula)) if end == sentence.len() => formula.to_owned(),
        _ if !text::is_prose(sentence) => sentence.to_owned(),
        _ => last_expression(sentence).unwrap_or(sentence).to_owned(),
    }
}

/// Up to the first period that ends a sentence.
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

/// The last boxed answer, or the last few that are connected: the position of the first, and their contents.
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

/// Where the command of a box starts, if a text ends with one.
fn box_before(text: &str) -> Option<usize> {
    let text = text.trim_end_matches(' ');
    ["\\boxed", "\\fbox", "\\framebox"]
        .iter()
        .find(|command| text.ends_with(**command))
        .map(|command| text.len() - command.len())
}

/// The last formula between mathematical delimiters, or the last number outside, whichever comes last.
fn last_expression(text: &str) -> Option<&str> {
    let text = end(text, MAX_TAIL);
    let formula = last_formula(text);
    let after = formula.map_or(0, |(end, _)| end);
    last_number(&text[after..]).or(formula.map(|(_, content)| content))
}

/// The formula between `$ $`, `$$ $$`, `\( \)` or `\[ \]` at the start of a text: where it ends, and its content.
fn formula_at(text: &str) -> Option<(usize, &str)> {
    let delimiters = [("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")];
    let (open, close) = delimiters.into_iter().find(|(open, _)| text.starts_with(open))?;
    let length = text[open.len()..].find(close)?;
    Some((open.len() + length + close.len(), &text[open.len()..open.len() + length]))
}

/// The last formula of a text: where it ends, and its content.
fn last_formula(text: &str) -> Option<(usize, &str)> {
    let mut found = None;
    let mut open: Option<(usize, &str)> = None;
    let mut at = 0;
    while let Some(offset) = text[at..].find(['$', '\\']) {
        let start = at + offset;
        let rest = &text[start..];
        let Some(mark) = ["$$", "$", "\\(", "\\)", "\\[", "\\]"].into_iter().find(|mark| rest.starts_with(mark)) else {
            // A command or escaped character.
            at = start + 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
            continue;
        };
        at = start + mark.len();
        let closes = |open: &str| matches!((open, mark), ("$", "$") | ("$$", "$$") | ("\\(", "\\)") | ("\\[", "\\]"));
        match open {
            // Between `$2$ and $3$`, and after a price, there is text: then the dollar sign opens what follows.
            Some((inner, opening)) if closes(opening) && !text::is_prose(&text[inner..start]) => {
                if !text[inner..start].trim().is_empty() {
                    found = Some((at, &text[inner..start]));
                }
                open = None;
            }
            _ => open = Some((at, mark)),
        }
    }
    found
}

/// The last number of a text, with everything attached to it: sign, currency, unit, brackets.
fn last_number(text: &str) -> Option<&str> {
    let mut before = text;
    while let Some(last) = before.rfind(|c: char| c.is_ascii_digit()) {
        let start =
            before[..last].char_indices().rev().find(|(_, c)| !is_glued(*c)).map_or(0, |(at, c)| at + c.len_utf8());
        let tail = &text[last + 1..];
        let length = tail.find(|c| !is_glued(c)).unwrap_or(tail.len());
        let word = text[start..last + 1 + length].trim_end_matches(['.', ',', '!', '?', ';', ':']);
        let word = word.trim_start_matches(['<', '>', ':', '=', '~']);
        let unmatched = |open: char, close: char| word.contains(open) != word.contains(close);
        let word =
            if unmatched('(', ')') || unmatched('[', ']') { word.trim_matches(['(', ')', '[', ']']) } else { word };
        // Digits in the middle of a name are not a number.
        if word.starts_with(|c: char| !c.is_ascii_alphabetic()) || word.contains('=') {
            return Some(word);
        }
        before = &text[..start];
    }
    None
}

/// Whether a character belongs to the number next to it.
fn is_glued(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, '"' | '*' | '`' | '$' | '\\')
}
