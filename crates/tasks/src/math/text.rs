//! Answers in words, and multiple-choice letters.

use super::lexer::{Commas, MAX_ANSWER, tokens_until};
use super::token::{Kind, Token};
use super::{spoken, units, words};

/// The words of an answer in lower case, without articles and punctuation; `None` if it has no word of two letters.
pub(super) fn phrase(text: &str) -> Option<String> {
    let letters = text.chars().filter(|c| c.is_alphabetic());
    if text.len() > MAX_ANSWER || letters.take(2).count() < 2 {
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
            if c.is_ascii() { plain.push(c.to_ascii_lowercase()) } else { plain.extend(c.to_lowercase()) }
        } else if c != '\'' {
            plain.push(' ');
        }
    }
    let (mut phrase, mut has_word) = (String::with_capacity(plain.len()), false);
    for word in plain.split_whitespace().filter(|word| !matches!(*word, "a" | "an" | "the")) {
        has_word |= word.chars().filter(|c| c.is_alphabetic()).count() > 1;
        phrase.extend((!phrase.is_empty()).then_some(' '));
        phrase.push_str(word);
    }
    has_word.then_some(phrase)
}

/// The symbol of a set that is named in words, from the phrase of an answer.
pub(super) fn set_in_words(phrase: &str) -> Option<&'static str> {
    Some(match phrase {
        "no solution"
        | "no solutions"
        | "no real solution"
        | "no real solutions"
        | "empty set"
        | "there is no solution"
        | "there are no solutions"
        | "no such number exists"
        | "no solution exists"
        | "no root"
        | "no roots"
        | "no real roots"
        | "no values" => "\\emptyset",
        "all real numbers"
        | "all reals"
        | "all real number"
        | "every real number"
        | "any real number"
        | "all real x"
        | "real numbers"
        | "reals"
        | "set of real numbers"
        | "set of all real numbers"
        | "all real values" => "\\mathbb{R}",
        "dne" | "does not exist" | "limit does not exist" | "it does not exist" | "doesnt exist" => "DNE",
        _ => return None,
    })
}

/// The letters of a multiple choice with several right ones: `BCD`, `B, C, D`, `B and D`. Without separators they must be
/// in order, since other runs of letters are names.
pub(super) fn choices(text: &str) -> Option<Vec<u8>> {
    let mut plain = text.trim();
    for wrapper in ["\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{"] {
        plain = plain.strip_prefix(wrapper).and_then(|inner| inner.strip_suffix('}')).unwrap_or(plain);
    }
    let is_between =
        |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')' | '{' | '}' | '\\' | '、' | '，' | '&');
    let (mut letters, mut parts) = (Vec::new(), 0);
    for part in plain.split(is_between).filter(|part| !part.is_empty() && !matches!(*part, "and" | "text" | "和")) {
        if !part.bytes().all(|letter| (b'A'..=b'J').contains(&letter)) {
            return None;
        }
        letters.extend_from_slice(part.as_bytes());
        parts += 1;
    }
    let ordered = letters.windows(2).all(|pair| pair[0] < pair[1]);
    let single = letters.len() == parts;
    if letters.len() < 2 || !(single || parts == 1 && ordered) {
        return None;
    }
    letters.sort_unstable();
    letters.windows(2).all(|pair| pair[0] != pair[1]).then_some(letters)
}

/// The multiple-choice letter at the start of an answer, and what follows it: `(C)`, `\textbf{(B)}\ 12`, `D. 7`, `Option C`.
pub(super) fn choice(text: &str) -> Option<(char, &str)> {
    let mut rest = text.trim();
    if rest.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return None;
    }
    let named = ["Option ", "option ", "Choice ", "choice ", "选项"];
    let mut marked = false;
    loop {
        let before = rest.len();
        if let Some(letter) = named.iter().find_map(|name| rest.strip_prefix(name)) {
            rest = letter.trim_start();
        }
        for wrapper in
            ["$", "\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{", "\\mbox{", "\\(", "\\left", "{", "(", "*"]
        {
            if let Some(inner) = rest.strip_prefix(wrapper) {
                marked |= wrapper == "(";
                rest = inner.trim_start();
            }
        }
        if rest.len() == before {
            break;
        }
    }
    // `(d)` is a choice as well, while `d` alone is a variable.
    let is_letter =
        |c: &char| ('A'..='J').contains(c) || marked && ('a'..='j').contains(c) && rest[1..].starts_with(')');
    let letter = rest.chars().next().filter(is_letter)?.to_ascii_uppercase();
    rest = rest[1..].trim_start();
    for wrapper in ["\\right", ")", "*", ".", ":", "}", "\\)", "$", "\\ ", "~", "\\quad", "\\qquad"] {
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
    // Most sentences show in their first words.
    let mut in_words = false;
    let is_sentence = |token: &Token<'_>| {
        let found = in_words && is_math(&token.kind);
        in_words |= is_word(&token.kind) && !is_read(&token.kind);
        found
    };
    let Some(tokens) = tokens_until(text, Commas::Usual, is_sentence) else { return true };
    let number = |at: Option<usize>| {
        at.and_then(|at| tokens.get(at)).is_some_and(|token| matches!(token.kind, Kind::Number { .. }))
    };
    // `3 to 5` is a ratio.
    let is_ratio = |at: usize| {
        matches!(tokens[at].kind, Kind::Word { letters: "to", .. }) && number(at.checked_sub(1)) && number(Some(at + 1))
    };
    let first_word = (0..tokens.len()).find(|at| is_word(&tokens[*at].kind) && !is_ratio(*at));
    let last_math = tokens.iter().rposition(|token| is_math(&token.kind));
    matches!((first_word, last_math), (Some(word), Some(math)) if word < math)
}

/// Whether a token is a word of a sentence.
fn is_word(kind: &Kind<'_>) -> bool {
    match kind {
        Kind::Word { letters, .. } => {
            letters.len() > 1
                && (letters.len() > 3 || SMALL_WORDS.contains(letters))
                && !letters.bytes().all(|b| b.is_ascii_uppercase())
                && !words::is_connective(letters)
                && words::function(letters).is_none()
                && units::unit(letters).is_none()
        }
        _ => false,
    }
}

/// Whether a word may be read as a part of a number or ratio.
fn is_read(kind: &Kind<'_>) -> bool {
    matches!(kind, Kind::Word { letters, .. } if *letters == "to" || spoken::is_numeral(letters))
}

fn is_math(kind: &Kind<'_>) -> bool {
    matches!(kind, Kind::Number { .. } | Kind::Command(_) | Kind::Symbol('=' | '+' | '^'))
}

/// Whether a text ends with words that deny what follows: `.. is not`, `.. isn't equal to`.
pub(super) fn is_denied(before: &str) -> bool {
    let mut before = before.trim_end_matches(['$', '*', '(', ' ', '"', '\\']);
    for filler in ["equal to", " be", " equals", " exactly", " the", " a"] {
        before = before.strip_suffix(filler).unwrap_or(before).trim_end();
    }
    let denials = [" not", "n't", " never", "cannot", "不是", "不等于", "不为", "不能是"];
    before == "not" || before == "Not" || denials.iter().any(|words| before.ends_with(words))
}

/// Whether a statement gives a bound or denies a value instead of giving it: `at most 7`, `not 7`.
pub(super) fn is_bound(statement: &str) -> bool {
    let bounds = [
        "not ",
        "never ",
        "at most ",
        "at least ",
        "less than ",
        "more than ",
        "greater than ",
        "fewer than ",
        "no more than ",
        "no less than ",
        "smaller than ",
        "larger than ",
        "up to ",
        "between ",
        "anything but ",
        "不是",
        "不等于",
        "至多",
        "至少",
        "不超过",
        "小于",
        "大于",
        "少于",
        "多于",
    ];
    let lower: String = statement.trim_start().chars().take(MAX_BOUND).collect::<String>().to_lowercase();
    bounds.iter().any(|words| lower.starts_with(words))
}

/// Characters of a statement in which [`is_bound`] looks for words.
const MAX_BOUND: usize = 20;

/// A statement without its subject, if it has one in words: `the number of ways is 12` becomes `12`.
pub(super) fn after_subject(statement: &str) -> &str {
    let verbs = [" is ", " are ", " equals ", " = ", " is: ", " was "];
    let found = verbs.iter().filter_map(|verb| Some((statement.find(verb)?, verb.len())));
    let Some((at, length)) = found.min() else { return statement };
    let subject = &statement[..at];
    let in_words = subject.chars().all(|c| c.is_alphabetic() || matches!(c, ' ' | '\'' | '-'));
    let is_name = subject.trim().chars().count() < 2;
    let stated = statement[at + length..].trim_start_matches([' ', ':']);
    let denied = ["not ", "no ", "wrong", "incorrect"].iter().any(|word| stated.starts_with(word));
    if in_words && !is_name && !denied { stated } else { statement }
}

/// The letter of a multiple choice at the beginning of a text, as a word of its own, and what follows it.
pub(super) fn choice_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(['(', '*', ' ', '$', '"', '[']).trim_start_matches("\\text{");
    text.chars().next().filter(|c| ('A'..='J').contains(c))?;
    let (letter, rest) = text.split_at(1);
    let ends = !rest.starts_with(|c: char| c.is_alphanumeric());
    ends.then(|| (letter, rest.trim_start_matches([')', '*', '$', '}', '"', ']'])))
}
