//! Answers in words, and multiple-choice letters.

use super::lexer::{Commas, MAX_ANSWER, tokens};
use super::token::Kind;
use super::words;

/// The words of an answer in lower case, without articles and punctuation; `None` if it has no word of two letters.
pub(super) fn phrase(text: &str) -> Option<String> {
    if text.len() > MAX_ANSWER {
        return None;
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c == '\\' {
            let name = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            let style =
                words::is_upright(&rest[..name]) || words::is_style(&rest[..name]) || words::is_silent(&rest[..name]);
            if style || words::symbol(&rest[..name]).is_some_and(char::is_whitespace) {
                rest = &rest[name..];
                plain.push(' ');
            }
        } else if c.is_alphanumeric()
            || !matches!(c, '.' | ',' | '$' | '{' | '}' | '"' | '\'' | ' ' | '~' | '`') && !c.is_whitespace()
        {
            plain.extend(c.to_lowercase());
        } else if c != '\'' {
            plain.push(' ');
        }
    }
    let articles = ["a", "an", "the"];
    let words: Vec<&str> = plain.split_whitespace().filter(|word| !articles.contains(word)).collect();
    let has_word = words.iter().any(|word| word.chars().filter(|c| c.is_alphabetic()).count() > 1);
    has_word.then(|| words.join(" "))
}

/// The multiple-choice letter at the start of an answer, and what follows it: `(C)`, `\textbf{(B)}\ 12`, `D. 7`.
pub(super) fn choice(text: &str) -> Option<(char, &str)> {
    let mut rest = text.trim();
    let mut marked = false;
    loop {
        let before = rest.len();
        for wrapper in ["$", "\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{", "\\mbox{", "\\(", "\\left", "{", "("] {
            if let Some(inner) = rest.strip_prefix(wrapper) {
                marked |= wrapper == "(";
                rest = inner.trim_start();
            }
        }
        if rest.len() == before {
            break;
        }
    }
    let letter = rest.chars().next().filter(|c| ('A'..='J').contains(c))?;
    rest = rest[1..].trim_start();
    for wrapper in ["\\right", ")", ".", ":", "}", "\\)", "$", "\\ ", "~", "\\quad", "\\qquad"] {
        while let Some(after) = rest.strip_prefix(wrapper) {
            marked |= matches!(wrapper, ")" | "." | ":");
            rest = after.trim_start();
        }
    }
    (marked || rest.is_empty()).then_some((letter, rest))
}

/// Words of two and three letters that do not occur in formulas.
const SMALL_WORDS: &[&str] = &[
    "is", "it", "its", "we", "so", "not", "the", "get", "has", "was", "are", "my", "of", "to", "for", "if", "but",
    "you", "he", "she", "her", "his", "let", "thus", "no", "by", "at", "on", "as", "be", "The", "It", "We", "So", "If",
    "He", "She", "Let",
];

/// Whether a text is a sentence that contains an answer rather than an answer: it has words before its last number or formula.
pub(super) fn is_prose(text: &str) -> bool {
    let Some(tokens) = tokens(text, Commas::Usual) else { return true };
    let is_word = |kind: &Kind| match kind {
        Kind::Word { letters, .. } => {
            letters.len() > 1
                && words::function(letters).is_none()
                && words::unit(letters).is_none()
                && !words::is_connective(letters)
                && !letters.bytes().all(|b| b.is_ascii_uppercase())
                && (letters.len() > 3 || SMALL_WORDS.contains(&letters.as_str()))
        }
        _ => false,
    };
    let is_math = |kind: &Kind| matches!(kind, Kind::Number { .. } | Kind::Command(_) | Kind::Symbol('=' | '+' | '^'));
    let first_word = tokens.iter().position(|token| is_word(&token.kind));
    let last_math = tokens.iter().rposition(|token| is_math(&token.kind));
    matches!((first_word, last_math), (Some(word), Some(math)) if word < math)
}
