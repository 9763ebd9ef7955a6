//! Numbers in words and words that scale a number: `two hundred and eight`, `three quarters`, `1.5 million`, `2 dozen`.

use super::token::{Kind, Token};
use super::words;

/// Whether a word may be a number or scale one.
pub(super) fn is_numeral(word: &str) -> bool {
    words::numeral(word).is_some() || words::scale(word).is_some() || words::part(word).is_some()
}

/// Replaces numbers in words by digits, and scale words by factors.
pub(super) fn spelled_out(tokens: Vec<Token<'_>>) -> Vec<Token<'_>> {
    if !(0..tokens.len()).any(|at| word(&tokens, at).is_some_and(is_numeral)) {
        return tokens;
    }
    let mut written: Vec<Token<'_>> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let after_number = matches!(written.last().map(|token| &token.kind), Some(Kind::Number { .. }));
        if let Some((value, length)) = number(&tokens[at..]).filter(|_| !after_number) {
            written.push(digits(value, tokens[at].spaced));
            at += length;
        } else if let Some(scale) = word(&tokens, at).and_then(words::scale).filter(|_| after_number) {
            push(&mut written, Kind::Symbol('*'));
            written.push(digits(scale, false));
            at += 1;
        } else if let Some((part, length)) = and_a_part(&tokens[at..]).filter(|_| after_number) {
            push(&mut written, Kind::Symbol('+'));
            written.push(digits(1, false));
            push(&mut written, Kind::Symbol('/'));
            written.push(digits(part, false));
            at += length;
        } else if let Some((part, length)) = part(&tokens[at..]).filter(|_| after_number) {
            push(&mut written, Kind::Symbol('/'));
            written.push(digits(part, false));
            at += length;
        } else {
            written.push(tokens[at].clone());
            at += 1;
        }
    }
    written
}

fn push<'a>(tokens: &mut Vec<Token<'a>>, kind: Kind<'a>) {
    tokens.push(Token { kind, spaced: false });
}

fn digits(value: u64, spaced: bool) -> Token<'static> {
    Token { kind: Kind::Number { digits: value.to_string().into(), places: None }, spaced }
}

fn word<'a>(tokens: &[Token<'a>], at: usize) -> Option<&'a str> {
    match tokens.get(at).map(|token| &token.kind) {
        Some(Kind::Word { letters, .. }) => Some(letters),
        _ => None,
    }
}

/// The divisor of `and a half`, and how many tokens it takes.
fn and_a_part(tokens: &[Token<'_>]) -> Option<(u64, usize)> {
    let is_article = tokens.get(1).is_some_and(|token| token.kind == Kind::Letter('a'));
    let is_one = word(tokens, 0) == Some("and") && (is_article || word(tokens, 1) == Some("one"));
    word(tokens, 2).and_then(words::part).filter(|_| is_one).map(|part| (part, 3))
}

/// The divisor in words at the start of tokens, as in `three quarters` and `three-quarters`, and how many tokens it takes.
fn part(tokens: &[Token<'_>]) -> Option<(u64, usize)> {
    let hyphen = usize::from(tokens[0].kind == Kind::Symbol('-') && !tokens[0].spaced);
    word(tokens, hyphen).and_then(words::part).map(|part| (part, hyphen + 1))
}

/// The number in words at the start of tokens, and how many tokens it takes.
fn number(tokens: &[Token<'_>]) -> Option<(u64, usize)> {
    let numeral = |at: usize| word(tokens, at).and_then(words::numeral);
    let hyphen = |at: usize| tokens.get(at).is_some_and(|token| token.kind == Kind::Symbol('-') && !token.spaced);
    let first = numeral(0)?;
    if first >= 100 {
        // `hundred` alone stands for 100.
        return Some((first, 1));
    }
    let (mut total, mut group, mut at) = (0_u64, first, 1);
    loop {
        let last_tens = group % 100 >= 20 && group % 10 == 0;
        let joined = usize::from(
            hyphen(at)
                || word(tokens, at) == Some("and") && group >= 100
                || word(tokens, at) == Some("and") && total > 0,
        );
        match numeral(at + joined) {
            Some(unit @ 1..=9) if last_tens => group += unit,
            Some(small @ 1..=99) if group % 100 == 0 && (group > 0 || total > 0) => group += small,
            Some(100) if group < 100 && joined == 0 => group *= 100,
            Some(scale @ 1_000..) if joined == 0 && group < 1_000 => {
                total = total.checked_add(group.checked_mul(scale)?)?;
                group = 0;
            }
            _ => return Some((total + group, at)),
        }
        at += joined + 1;
    }
}
