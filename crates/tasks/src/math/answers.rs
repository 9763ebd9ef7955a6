//! The possible readings of an answer's text, and the verdict over all of them.

use super::budget::Budget;
use super::compare::same;
use super::expr::{Brackets, Expr};
use super::lexer::Commas;
use super::parser::parse;
use super::text;

/// The result of comparing an answer with the reference answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Equality {
    /// They mean the same.
    Equal,
    /// They do not, or it cannot be shown that they do.
    Different,
    /// The answer contains nothing readable.
    Unreadable,
}

/// Compares two bare answers.
pub(super) fn compare(gold: &str, answer: &str) -> Equality {
    let (gold, answer) = (trimmed(gold), trimmed(answer));
    if gold == answer && !gold.is_empty() {
        return Equality::Equal;
    }
    let phrase = text::phrase(answer);
    if phrase.is_some() && phrase == text::phrase(gold) {
        return Equality::Equal;
    }
    if same_choice(gold, answer) || same_reading(gold, answer) {
        return Equality::Equal;
    }
    if is_readable(answer) { Equality::Different } else { Equality::Unreadable }
}

/// Whether a bare answer is readable.
pub(super) fn is_readable(answer: &str) -> bool {
    let answer = trimmed(answer);
    text::phrase(answer).is_some() || text::choice(answer).is_some() || !readings(answer).is_empty()
}

/// Removes surrounding white space, periods and mathematical delimiters.
fn trimmed(text: &str) -> &str {
    let mark = |c: char| c.is_whitespace() || matches!(c, '$' | '"' | '`' | '*');
    text.trim_start_matches(mark).trim_end_matches(|c: char| mark(c) || c == '.')
}

/// Whether both start with the same letter of a multiple choice and one of them is only that letter; or whether the text
/// after the letter is the answer.
fn same_choice(gold: &str, answer: &str) -> bool {
    match (text::choice(gold), text::choice(answer)) {
        (Some((gold, gold_text)), Some((answer, answer_text))) => {
            gold == answer && (gold_text.is_empty() || answer_text.is_empty())
        }
        (None, Some((_, text))) => !text.is_empty() && same_reading(gold, text),
        (Some((_, text)), None) => !text.is_empty() && same_reading(text, answer),
        (None, None) => false,
    }
}

/// Whether a text is entirely mathematics, or words without any number.
pub(super) fn is_plain(text: &str) -> bool {
    !text.contains(|c: char| c.is_ascii_digit()) || text::choice(text).is_some() || !readings(trimmed(text)).is_empty()
}

fn same_reading(gold: &str, answer: &str) -> bool {
    let budget = Budget::new();
    let (golds, answers) = (readings(gold), readings(answer));
    golds.iter().any(|(left, gold)| {
        answers.iter().any(|(right, answer)| match (left, right) {
            (Commas::Decimal, Commas::Decimal) => false,
            // A decimal comma counts as a decimal point if both sides have the same number of decimal places.
            (Commas::Decimal, _) | (_, Commas::Decimal) => {
                places(gold).is_some() && places(gold) == places(answer) && same(gold, answer, &budget)
            }
            _ => same(gold, answer, &budget),
        })
    })
}

/// The number of decimal places of a plain decimal.
fn places(expr: &Expr) -> Option<u32> {
    match expr {
        Expr::Number { places, .. } => *places,
        Expr::Negated(inner) | Expr::Measured(inner, _) => places(inner),
        _ => None,
    }
}

/// An answer as a tree, one for each possible reading of its commas.
fn readings(text: &str) -> Vec<(Commas, Expr)> {
    let mut found = Vec::new();
    found.extend(parse(text, Commas::Usual).map(|expr| (Commas::Usual, expr)));
    let has_comma = text.as_bytes().windows(3).any(|w| w[1] == b',' && w[0].is_ascii_digit() && w[2].is_ascii_digit());
    if has_comma {
        found.extend(parse(text, Commas::Apart).map(|expr| (Commas::Apart, expr)));
        let alone = |expr: &Expr| !matches!(expr, Expr::Several(Brackets::None, _));
        found.extend(parse(text, Commas::Decimal).filter(alone).map(|expr| (Commas::Decimal, expr)));
    }
    found
}
