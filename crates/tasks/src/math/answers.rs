//! The possible readings of an answer's text, and the verdict over all of them.

use std::borrow::Cow;

use super::budget::{Budget, Rounding};
use super::compare::same;
use super::expr::{Brackets, Expr};
use super::lexer::Commas;
use super::parser::{parse, parse_value};
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
pub(super) fn compare(gold: &str, answer: &str, rounding: Rounding) -> Equality {
    let (gold, answer) = (trimmed(gold), trimmed(answer));
    if gold == answer && !gold.is_empty() {
        return Equality::Equal;
    }
    let (gold_phrase, phrase) = (text::phrase(gold), text::phrase(answer));
    if phrase.is_some() && phrase == gold_phrase {
        return Equality::Equal;
    }
    let (gold, answer) = (meant(gold, gold_phrase.as_deref()), meant(answer, phrase.as_deref()));
    if same_choice(&gold, &answer, rounding) || same_digits(&gold, &answer) {
        return Equality::Equal;
    }
    let answers = readings(&answer);
    if share_meaning(&readings(&gold), &answers, rounding) {
        return Equality::Equal;
    }
    let readable = phrase.is_some() || !answers.is_empty() || is_readable(&answer);
    if readable { Equality::Different } else { Equality::Unreadable }
}

/// Whether a bare answer is readable.
pub(super) fn is_readable(answer: &str) -> bool {
    let answer = trimmed(answer);
    text::phrase(answer).is_some() || text::choice(answer).is_some() || !readings(answer).is_empty()
}

/// Removes surrounding white space, periods and mathematical delimiters.
fn trimmed(text: &str) -> &str {
    let mark = |c: char| c.is_whitespace() || matches!(c, '$' | '"' | '`' | '*');
    let text = text.trim_start_matches(mark).trim_end_matches(mark);
    // An ellipsis belongs to the answer.
    if text.ends_with("...") {
        text
    } else {
        text.trim_end_matches(|c: char| mark(c) || matches!(c, '.' | '。' | '．'))
    }
}

/// A text in mathematical notation: sets in words by their symbols, and `['8']`, a list as Python writes it, by its items.
fn meant<'a>(text: &'a str, phrase: Option<&str>) -> Cow<'a, str> {
    if let Some(symbol) = phrase.and_then(text::set_in_words) {
        return Cow::Borrowed(symbol);
    }
    quoted_items(text).map_or(Cow::Borrowed(text), |items| Cow::Owned(items.join(", ")))
}

/// The items of a list of quoted texts; `None` for anything else.
fn quoted_items(text: &str) -> Option<Vec<&str>> {
    let mut rest = text.strip_prefix('[')?.strip_suffix(']')?.trim();
    let mut items = Vec::new();
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (item, after) = rest[1..].split_once(quote)?;
        items.push(item);
        rest = after.trim_start();
        rest = if rest.is_empty() { rest } else { rest.strip_prefix(',')?.trim_start() };
    }
    (!items.is_empty()).then_some(items)
}

/// Whether both are the same letters of a multiple choice; or whether both start with the same letter and one of them is only
/// that letter; or whether the text after the letter is the answer.
fn same_choice(gold: &str, answer: &str, rounding: Rounding) -> bool {
    if let (Some(gold), Some(answer)) = (text::choices(gold), text::choices(answer)) {
        return gold == answer;
    }
    match (text::choice(gold), text::choice(answer)) {
        (Some((gold, gold_text)), Some((answer, answer_text))) => {
            gold == answer && (gold_text.is_empty() || answer_text.is_empty())
        }
        (None, Some((_, text))) => share_meaning(&readings(gold), &readings(text), rounding),
        (Some((_, text)), None) => share_meaning(&readings(text), &readings(answer), rounding),
        (None, None) => false,
    }
}

/// Whether both are the same digits, one of them in a base above ten: `2A_{16}` and `2A`.
fn same_digits(gold: &str, answer: &str) -> bool {
    if !gold.contains('_') && !answer.contains('_') {
        return false;
    }
    let digits = |text: &str| {
        let (digits, base) = text.split_once('_').unwrap_or((text, ""));
        let styles = ["\\mathrm{", "\\text{", "\\mathbf{"];
        let digits = styles.iter().find_map(|style| digits.strip_prefix(style)?.strip_suffix('}')).unwrap_or(digits);
        let digits = digits.trim_matches(['(', ')', ' ']).to_ascii_uppercase();
        let base = base.trim_matches(['{', '}', ' ']).parse::<u32>();
        let base = base.ok().filter(|base| (11..=36).contains(base));
        let has_both = digits.contains(|c: char| c.is_ascii_alphabetic());
        (has_both && digits.chars().all(|c| c.is_digit(base.unwrap_or(36)))).then_some((digits, base))
    };
    match (digits(gold), digits(answer)) {
        (Some((left, left_base)), Some((right, right_base))) => {
            let same_base = left_base.is_none() || right_base.is_none() || left_base == right_base;
            (left_base.is_some() || right_base.is_some()) && same_base && left == right
        }
        _ => false,
    }
}

/// Whether a text is entirely mathematics, or words without any number.
pub(super) fn is_plain(text: &str) -> bool {
    !text.contains(|c: char| c.is_ascii_digit()) || text::choice(text).is_some() || is_formula(text)
}

/// Whether a text is entirely mathematics, apart from a remark after it.
pub(super) fn is_formula(text: &str) -> bool {
    !readings(trimmed(text)).is_empty()
}

/// Whether a reading of the reference and one of the answer mean the same.
fn share_meaning(golds: &[Reading], answers: &[Reading], rounding: Rounding) -> bool {
    let budget = Budget::new(rounding);
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

/// How the commas of an answer are read, and the answer as a tree.
type Reading = (Commas, Expr);

/// The possible readings of an answer.
fn readings(text: &str) -> Vec<Reading> {
    let mut found = Vec::new();
    found.extend(parse(text, Commas::Usual).map(|expr| (Commas::Usual, expr)));
    let has_comma = text.as_bytes().windows(3).any(|w| w[1] == b',' && w[0].is_ascii_digit() && w[2].is_ascii_digit());
    if has_comma {
        found.extend(parse(text, Commas::Apart).map(|expr| (Commas::Apart, expr)));
        let alone = |expr: &Expr| !matches!(expr, Expr::Several(Brackets::None, _));
        found.extend(parse(text, Commas::Decimal).filter(alone).map(|expr| (Commas::Decimal, expr)));
    }
    if found.is_empty() {
        found.extend(parse_value(text, Commas::Usual).map(|expr| (Commas::Usual, expr)));
    }
    found
}
