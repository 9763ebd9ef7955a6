//! Formulas and numbers in a text.

use std::ops::Range;

use super::place::end;
use crate::math::text;

/// Answers without a box or announcement are searched for in this many bytes at the end.
const MAX_TAIL: usize = 1 << 13;

/// The last formula between mathematical delimiters, or the last number outside, whichever comes last; `None` if the text
/// says that it is not the answer.
pub(super) fn last_expression(text: &str) -> Option<&str> {
    let text = end(text, MAX_TAIL);
    let formula = last_formula(text);
    let after = formula.as_ref().map_or(0, |(end, _)| *end);
    let number = last_number(&text[after..]).map(|(start, number)| (after + start, number));
    let (start, found) = number.or_else(|| formula.map(|(_, inside)| (inside.start, &text[inside])))?;
    (!text::is_denied(&text[..start])).then_some(found)
}

/// The formula between `$ $`, `$$ $$`, `\( \)` or `\[ \]` at the start of a text: where it ends, and its content.
pub(super) fn formula_at(text: &str) -> Option<(usize, &str)> {
    let delimiters = [("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")];
    let (open, close) = delimiters.into_iter().find(|(open, _)| text.starts_with(open))?;
    let length = text[open.len()..].find(close)?;
    Some((open.len() + length + close.len(), &text[open.len()..open.len() + length]))
}

/// The last formula of a text: where it ends, and where its content is.
fn last_formula(text: &str) -> Option<(usize, Range<usize>)> {
    let mut found = None;
    let mut open: Option<(usize, &str)> = None;
    let mut at = 0;
    while let Some(offset) = text.as_bytes()[at..].iter().position(|byte| matches!(byte, b'$' | b'\\')) {
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
                    found = Some((at, inner..start));
                }
                open = None;
            }
            _ => open = Some((at, mark)),
        }
    }
    found
}

/// The last number of a text, with everything attached to it: sign, currency, unit, brackets.
fn last_number(text: &str) -> Option<(usize, &str)> {
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
            return Some((start, word));
        }
        before = &text[..start];
    }
    None
}

/// Whether a character belongs to the number next to it.
fn is_glued(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, '"' | '*' | '`' | '$' | '\\')
}
