//! Mathematical answers: found in a response, parsed as LaTeX or plain text, compared by meaning.
//!
//! Everything is bounded by construction (length of the answer, depth, number of terms, size of integers), so every
//! pair of texts gets its verdict in microseconds, without clocks or signals, and the verdict is always the same.
//! `docs/verifiers.md` lists what counts as equal.

mod answers;
mod atoms;
mod budget;
mod chinese;
mod compare;
mod constant;
mod counting;
mod double;
mod expr;
mod extract;
mod lexer;
mod lists;
mod matrix;
mod measured;
mod numeric;
mod parser;
mod rational;
mod region;
mod remarks;
mod residue;
mod scalar;
mod spoken;
mod text;
mod token;
mod units;
mod words;

use std::borrow::Cow;

pub use answers::Equality;
pub use budget::Rounding;
pub use extract::Rule;

use crate::Verdict;

/// Finds the final answer of a response, in time and memory linear in the response's length.
///
/// Only the last 256 KiB of a response are searched, and only the last 8 KiB for an answer without a box or announcement.
pub fn extract(response: &str, rule: Rule) -> Option<String> {
    extract::extract(response, rule)
}

/// Compares an answer with the reference answer; each is a bare answer or a text that contains one ([`Rule::Auto`]).
pub fn compare(gold: &str, answer: &str) -> Equality {
    if gold.trim() == answer.trim() && !gold.trim().is_empty() {
        return Equality::Equal;
    }
    let gold = reference(gold);
    match extract(answer, Rule::Auto) {
        None => Equality::Unreadable,
        Some(found) => match answers::compare(&gold, &found, Rounding::Strict) {
            Equality::Equal => Equality::Equal,
            // A short text may be the answer itself, including its words.
            _ if found != answer && answer.len() <= MAX_WHOLE => answers::compare(&gold, answer, Rounding::Strict),
            verdict => verdict,
        },
    }
}

/// Longer texts are not treated as answers in words.
const MAX_WHOLE: usize = 100;

/// The answer given in a reference: the text itself, or the answer in a solution.
fn reference(gold: &str) -> Cow<'_, str> {
    match extract::marked(gold) {
        Some(answer) => Cow::Owned(answer),
        None if gold.len() > MAX_WHOLE && text::is_prose(gold) => {
            extract(gold, Rule::Auto).map_or(Cow::Borrowed(gold), Cow::Owned)
        }
        None => Cow::Borrowed(gold.trim()),
    }
}

/// Whether an answer means the same as the reference answer.
pub fn equal(gold: &str, answer: &str) -> bool {
    compare(gold, answer) == Equality::Equal
}

/// Grades a response: [`Verdict::Malformed`] if it contains no readable answer, otherwise right or wrong.
pub fn grade(rule: Rule, rounding: Rounding, gold: &str, response: &str) -> Verdict {
    let Some(answer) = extract(response, rule) else {
        return Verdict::malformed("no answer");
    };
    match answers::compare(&reference(gold), &answer, rounding) {
        Equality::Equal => Verdict::graded(true),
        // A reference in words may be one of which only a part would be taken for the answer.
        _ if rule == Rule::Auto && response.trim() == gold.trim() => Verdict::graded(true),
        Equality::Different => Verdict::graded(false),
        Equality::Unreadable => Verdict::malformed("unreadable answer"),
    }
}

/// Checks that a response could match a reference answer.
///
/// # Errors
/// What was expected, as a clause that follows the answer.
pub fn check_gold(gold: &str) -> Result<(), String> {
    if answers::is_readable(&reference(gold)) { Ok(()) } else { Err("expected a number, formula or text".to_owned()) }
}
