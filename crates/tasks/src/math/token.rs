//! The tokens of the common notation, which borrow from the text.

use std::borrow::Cow;

/// Opens a group that LaTeX does not print.
pub(super) const GROUP: char = '\u{2045}';
/// Closes such a group.
pub(super) const END_GROUP: char = '\u{2046}';
/// A wide space, which separates items.
pub(super) const WIDE: char = '\u{2003}';
/// The end of a row, `\\`.
pub(super) const ROW: char = '\n';

/// The kind of a token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind<'a> {
    /// Digits, the last `places` of them after the decimal point.
    Number { digits: Cow<'a, str>, places: Option<u32> },
    /// A single letter of a formula or text.
    Letter(char),
    /// Consecutive letters; `upright` ones are words and not products.
    Word { letters: &'a str, upright: bool },
    /// A LaTeX command with a meaning, without its backslash.
    Command(&'a str),
    /// `\begin{..}` of a tabular environment.
    Begin,
    /// `\end{..}`.
    End,
    /// Operators, relations, brackets and separators.
    Symbol(char),
}

/// A token.
#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    /// Whether white space precedes it.
    pub(super) spaced: bool,
}
