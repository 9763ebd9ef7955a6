//! Announced answers: `Answer: ..`, `the answer is ..`, `Option C is correct`, `答案：..`.

use std::{ops::Range, sync::LazyLock};

use aho_corasick::{AhoCorasick, Input, MatchKind};

use super::{
    expression::{formula_at, last_expression},
    place::{MAX_GAP, first_line},
};
use crate::math::{answers, text, words};

/// At most this many keywords from the end of a text are tried.
const MAX_ANNOUNCEMENTS: usize = 1_000;

/// Behind a box, at most this many announcements of words are skipped.
const MAX_WORDS: usize = 20;

/// A word that announces an answer, and the function that finds the answer between what precedes and what follows it.
type Keyword = (&'static str, for<'a> fn(&'a str, &'a str) -> Option<&'a str>);

const KEYWORDS: [Keyword; 8] = [
    ("answer", after_answer),
    ("ans", after_ans),
    ("option", after_option),
    ("choice", after_option),
    ("答案", after_chinese),
    ("选项", after_chinese),
    ("答", after_colon),
    ("选", after_choice),
];

/// Finds the keywords in one pass, ignoring the case of ASCII letters; the longest at each place.
static FINDER: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let words = KEYWORDS.map(|(word, _)| word);
    AhoCorasick::builder().ascii_case_insensitive(true).match_kind(MatchKind::LeftmostLongest).build(words).ok()
});

/// The keywords in a text behind a place, from right to left, each with its index and place.
fn keywords(text: &str, behind: usize) -> Vec<(usize, Range<usize>)> {
    let Some(finder) = FINDER.as_ref() else { return Vec::new() };
    let found = finder.find_iter(Input::new(text).range(behind.min(text.len())..));
    let mut found: Vec<_> = found.map(|found| (found.pattern().as_usize(), found.range())).collect();
    found.reverse();
    found.truncate(MAX_ANNOUNCEMENTS);
    found
}

/// The last announced answer of a text.
pub(super) fn last(text: &str) -> Option<String> {
    announced(text, 0).next()
}

/// The last announced value behind a place.
pub(super) fn last_value(text: &str, behind: usize) -> Option<String> {
    announced(text, behind).take(MAX_WORDS).find(|answer| is_value(answer))
}

/// The announced answers of a text behind a place, from the last to the first.
fn announced(text: &str, behind: usize) -> impl Iterator<Item = String> {
    keywords(text, behind).into_iter().filter_map(|(keyword, place)| {
        let (_, after) = KEYWORDS[keyword];
        Some(stated(after(&text[..place.start], &text[place.end..])?))
    })
}

/// What follows the last `answer:`, markup included, as DAPO looks for it.
pub(super) fn after_last_label(text: &str) -> Option<String> {
    let labels = keywords(text, 0).into_iter().filter(|(keyword, _)| KEYWORDS[*keyword].0 == "answer");
    let mut tails = labels.map(|(_, place)| text[place.end..].trim_start_matches(MARKS));
    tails.find_map(colon).map(stated)
}

/// Markup around a word.
const MARKS: [char; 6] = ['*', '_', '}', ')', '"', '\''];

/// What follows white space and a colon.
fn colon(text: &str) -> Option<&str> {
    let text = text.trim_start();
    text.strip_prefix(':').or_else(|| text.strip_prefix('：')).map(|after| after.trim_start_matches(MARKS))
}

fn after_answer<'a>(before: &'a str, after: &'a str) -> Option<&'a str> {
    // "We check our answer: .." and "a wrong answer is .." announce nothing.
    let others = ["our ", "my ", "your ", "this ", "wrong ", "incorrect ", "false ", "possible ", "previous "];
    if others.iter().any(|word| before.ends_with(word)) {
        return None;
    }
    let after = after.strip_prefix('s').unwrap_or(after);
    if let Some(answer) = colon(after.trim_start_matches(MARKS)).filter(|answer| !answer.trim_start().is_empty()) {
        return Some(answer);
    }
    let after = after.trim_start_matches([' ', '*', '_', '"', '}']);
    let verbs = ["is", "are", "=", "would be", "will be", "should be", "must be", "equals"];
    let answer = verbs.iter().find_map(|word| after.strip_prefix(word))?;
    let answer = answer.trim_start_matches([':', ' ', '*', '：', '=']);
    // "The answer is correct" announces nothing.
    let judged =
        ["correct", "incorrect", "right", "wrong", "valid", "not", "unique", "reasonable", "therefore", "that"];
    let end = answer.char_indices().nth(MAX_GAP).map_or(answer.len(), |(at, _)| at);
    let line = first_line(&answer[..end]);
    let first = line.split(|c: char| !c.is_alphabetic()).next().unwrap_or("");
    let few = (1..=3).contains(&line.split_whitespace().count());
    let is_judged = judged.contains(&first.to_ascii_lowercase().as_str());
    let is_formal = line.starts_with('(') || line.contains(|c: char| c.is_ascii_digit() || "$\\\"".contains(c));
    ((few || is_formal) && !is_judged).then_some(answer)
}

/// After `Ans`, as a word of its own.
fn after_ans<'a>(before: &'a str, after: &'a str) -> Option<&'a str> {
    if before.ends_with(char::is_alphanumeric) {
        return None;
    }
    let after = after.trim_start_matches(['.', ' ']).trim_start_matches(MARKS);
    let abbreviated = || after.strip_prefix(|c: char| c.is_ascii_digit()).map(|_| after);
    colon(after).or_else(|| after.strip_prefix('=')).or_else(abbreviated)
}

/// After `option` or `choice`: the letter of a multiple choice that is said to be right.
fn after_option<'a>(before: &'a str, after: &'a str) -> Option<&'a str> {
    let after = after.trim_start();
    let said = ["is", ":"].iter().find_map(|word| after.strip_prefix(word));
    let (letter, rest) = text::choice_word(said.unwrap_or(after))?;
    let confirmed = ["is correct", "is right", "is the correct", "is the right", "is the best", "is the answer"];
    let right = match said {
        // "The wrong option is A"
        Some(_) => !["wrong ", "incorrect ", "false "].iter().any(|word| before.ends_with(word)),
        None => confirmed.iter().any(|words| rest.trim_start().starts_with(words)),
    };
    right.then_some(letter)
}

fn after_chinese<'a>(_: &'a str, after: &'a str) -> Option<&'a str> {
    let after = after.trim_start_matches(MARKS).trim_start();
    let verbs = ["应为", "应该是", "就是", "是", "为", "等于", "选"];
    let answer = verbs.iter().find_map(|verb| after.strip_prefix(verb));
    let answer = match answer {
        Some(answer) => colon(answer).unwrap_or(answer),
        None => colon(after)?,
    };
    (!answer.trim().is_empty()).then_some(answer)
}

fn after_colon<'a>(_: &'a str, after: &'a str) -> Option<&'a str> {
    colon(after).filter(|answer| !answer.trim().is_empty())
}

/// After `选`: letters of a multiple choice.
fn after_choice<'a>(_: &'a str, after: &'a str) -> Option<&'a str> {
    let after = after.trim_start_matches(['择', '项', '：', ':', ' ', '(', '（', '*', '$']);
    let length = after.bytes().take_while(|byte| (b'A'..=b'J').contains(byte)).count();
    (length > 0).then(|| &after[..length])
}

/// The answer in the text after an announcement.
fn stated(tail: &str) -> String {
    let tail = tail.trim_start_matches(['}', '*']);
    let line = first_line(tail);
    // A formula may span several lines.
    if let Some((_, formula)) = formula_at(tail.trim_start()).filter(|(end, _)| *end > line.len()) {
        return formula.to_owned();
    }
    let sentence = closed(first_sentence(line)).trim_matches(['*', ':', ' ', '"', '\'', '_']);
    let sentence = if sentence.is_empty() { line } else { sentence };
    let sentence = text::after_subject(sentence);
    match formula_at(sentence) {
        Some((end, formula)) if end == sentence.len() => formula.to_owned(),
        // "At most 7" is no value, and what "not 7" names is not the answer.
        _ if text::is_bound(sentence) => sentence.to_owned(),
        _ if !text::is_prose(sentence) || answers::is_formula(sentence) => sentence.to_owned(),
        _ => last_expression(sentence).unwrap_or(sentence).to_owned(),
    }
}

/// A text up to a closing brace that nothing in it opened: `{"answer": 7}`, `\textbf{Answer: 7}`.
fn closed(text: &str) -> &str {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if text[..at].ends_with('\\') && depth == 0 => {}
            '}' if depth == 0 => return &text[..at],
            '}' => depth -= 1,
            _ => {}
        }
    }
    text
}

/// Up to the first period that ends a sentence.
fn first_sentence(line: &str) -> &str {
    let line = line.split('。').next().unwrap_or(line);
    let end = line.match_indices(['.', '!', '?']).find(|(at, _)| {
        let after = line[at + 1..].trim_start_matches(['"', '\'', '*', ')']);
        let space = after.len() < line.len() - at - 1 || after.starts_with(' ');
        let next = after.trim_start().chars().next();
        line[..*at].chars().last().is_some_and(|c| !c.is_whitespace())
            && (after.is_empty() || space && next.is_none_or(|c| c.is_uppercase()))
    });
    end.map_or(line, |(at, _)| &line[..at])
}

/// Whether an answer is a number, a formula or a choice at its beginning, rather than words.
fn is_value(answer: &str) -> bool {
    let first = answer.trim_start_matches(['$', '*', ' ', '(', '[', '-', '"']);
    first.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '\\' | '.' | '\u{2212}'))
        || text::choice(answer).is_some()
        || answers::is_formula(answer) && answer.contains(|c: char| c.is_ascii_digit() || c == '=')
        || answer.split_whitespace().next().is_some_and(|word| words::numeral(word).is_some())
}
