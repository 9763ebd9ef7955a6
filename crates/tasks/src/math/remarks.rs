//! Words around a value: what leads to it (`The answer is 53`), remarks after it (`20 when k = 5`), bounds, ordinals.

use std::borrow::Cow;

use super::{
    expr::Relation,
    parser::Parser,
    token::{END_GROUP, GROUP, Kind, ROW, Token, WIDE},
    units, words,
};

impl Parser<'_> {
    /// Skips words that lead to a value: `The answer is 53`.
    pub(super) fn skip_subject(&mut self) {
        let is_word = |token: &Token<'_>| matches!(token.kind, Kind::Word { .. });
        let words = self.tokens.iter().take_while(|token| is_word(token)).count();
        let verb = (1..words).find(|at| matches!(self.word_at(*at), Some("is" | "are" | "equals")));
        let denied = (0..words).any(|at| self.word_at(at).is_some_and(words::is_denial));
        if let Some(verb) = verb.filter(|_| !denied && words < self.tokens.len()) {
            self.at = verb + 1;
        }
    }

    /// Whether a remark about the answer begins here: `when k = 5`, `as required`.
    pub(super) fn is_remark(&self) -> bool {
        self.at > 0 && self.word_at(self.at).is_some_and(words::begins_remark)
    }

    /// Skips a remark to the end of the text; `None` if it denies the answer, or holds further parts of it.
    pub(super) fn skip_remark(&mut self) -> Option<()> {
        let denies_another =
            self.at > 0 && self.tokens[self.at - 1].kind == Kind::Symbol(',') && self.word_at(self.at) == Some("not");
        if denies_another {
            // `20, not 25`
            self.at = self.tokens.len();
        }
        if !self.is_remark() {
            return Some(());
        }
        let remark = &self.tokens[self.at..];
        let separator = |token: &Token<'_>| {
            matches!(token.kind, Kind::Symbol(',' | ';' | WIDE | ROW))
                || matches!(&token.kind, Kind::Word { letters, .. } if words::is_connective(letters))
        };
        let relations = remark.iter().filter(|token| is_comparison(token)).count();
        let pieces = relations > 0 && remark.iter().any(separator);
        (!remark.iter().any(is_denial) && relations <= 1 && !pieces).then_some(())?;
        self.at = self.tokens.len();
        Some(())
    }

    /// Skips a remark in parentheses: words (`(approx)`), or a condition (`(k \in \mathbb{Z})`).
    pub(super) fn skip_parenthesis(&mut self) -> bool {
        if self.at == 0 || self.peek_symbol() != Some('(') {
            return false;
        }
        let mut depth = 0;
        let end = self.tokens[self.at..].iter().position(|token| {
            depth += match token.kind {
                Kind::Symbol('(') => 1,
                Kind::Symbol(')') => -1,
                _ => 0,
            };
            depth == 0
        });
        let Some(inside) = end.map(|end| &self.tokens[self.at + 1..self.at + end]) else { return false };
        let is_word = |token: &Token<'_>| match &token.kind {
            Kind::Word { letters, .. } => {
                letters.len() > 3 && words::function(letters).is_none() && units::unit(letters).is_none()
                    || words::begins_remark(letters)
            }
            _ => false,
        };
        let is_condition = |token: &Token<'_>| is_comparison(token) || token.kind == Kind::Symbol('∈');
        let in_words = inside.iter().any(is_word) && !inside.iter().any(is_denial);
        // `(not 5)` denies another value.
        let of_another =
            matches!(inside.first().map(|token| &token.kind), Some(Kind::Word { letters, .. }) if *letters == "not");
        let remark = in_words || of_another && inside.len() > 1 || inside.iter().any(is_condition);
        if remark {
            self.at += inside.len() + 2;
        }
        remark
    }

    /// `at most`, `greater than` and similar words at this place: what they mean, and how many they are.
    pub(super) fn bound_in_words(&self) -> Option<(Relation, usize)> {
        let word = |ahead: usize| self.word_at(self.at + ahead);
        let or_equal = (word(2), word(3), word(4)) == (Some("or"), Some("equal"), Some("to"));
        Some(match (word(0)?, word(1)?, word(2)) {
            ("at", "most", _) => (Relation::AtMost, 2),
            ("at", "least", _) => (Relation::AtLeast, 2),
            ("less" | "smaller" | "fewer", "than", _) if or_equal => (Relation::AtMost, 5),
            ("greater" | "more" | "larger", "than", _) if or_equal => (Relation::AtLeast, 5),
            ("less" | "smaller" | "fewer", "than", _) => (Relation::Less, 2),
            ("greater" | "more" | "larger", "than", _) => (Relation::Greater, 2),
            ("no", "more", Some("than")) => (Relation::AtMost, 3),
            ("no", "less", Some("than")) => (Relation::AtLeast, 3),
            _ => return None,
        })
    }

    /// Whether this is the `to` of `5 to 3`.
    pub(super) fn is_to(&self) -> bool {
        let number = |at: usize| matches!(self.tokens.get(at).map(|token| &token.kind), Some(Kind::Number { .. }));
        self.word_at(self.at) == Some("to") && self.at > 0 && number(self.at - 1) && number(self.at + 1)
    }

    /// Skips the end of an ordinal number: `22nd`.
    pub(super) fn skip_ordinal(&mut self) -> bool {
        let number = self.at > 0 && matches!(self.tokens[self.at - 1].kind, Kind::Number { places: None, .. });
        let glued = self.tokens.get(self.at).is_some_and(|token| !token.spaced);
        let found = number && glued && self.word_at(self.at).is_some_and(words::is_ordinal);
        self.at += usize::from(found);
        found
    }

    /// Whether a word after a value cannot be part of its unit.
    pub(super) fn ends_unit(&self, letters: &str) -> bool {
        words::is_connective(letters) || words::begins_remark(letters) || words::is_denial(letters) || self.is_to()
    }

    /// The end of an ordinal number after a caret: `14^{\text{th}}`.
    pub(super) fn accept_ordinal(&mut self) -> bool {
        let grouped = usize::from(self.peek_symbol() == Some(GROUP));
        let at = self.at + grouped;
        let letter = |at: usize| match self.tokens.get(at).map(|token| &token.kind) {
            Some(Kind::Letter(letter)) => Some(*letter),
            _ => None,
        };
        let (ending, length) = match (self.word_at(at), letter(at), letter(at + 1)) {
            (Some(word), ..) => (Cow::Borrowed(word), 1),
            (None, Some(first), Some(second)) => (Cow::Owned(String::from_iter([first, second])), 2),
            _ => return false,
        };
        let closed =
            grouped == 0 || self.tokens.get(at + length).is_some_and(|token| token.kind == Kind::Symbol(END_GROUP));
        let found = closed && words::is_ordinal(&ending);
        self.at += if found { 2 * grouped + length } else { 0 };
        found
    }
}

/// Whether a token is a word that denies what stands next to it.
fn is_denial(token: &Token<'_>) -> bool {
    matches!(&token.kind, Kind::Word { letters, .. } if words::is_denial(letters))
}

/// Whether a token compares two sides.
fn is_comparison(token: &Token<'_>) -> bool {
    matches!(token.kind, Kind::Symbol('=' | '<' | '>' | '≤' | '≥' | '≠'))
}
