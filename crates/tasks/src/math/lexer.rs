//! Splits LaTeX and plain text into tokens of a common notation.

use std::borrow::Cow;

use super::chinese::{self, Piece};
use super::token::{END_GROUP, GROUP, Kind, ROW, Token, WIDE};
use super::{spoken, units, words};

/// Longer answers are not parsed.
pub(super) const MAX_ANSWER: usize = 10_000;
/// Answers with more tokens are not parsed.
const MAX_TOKENS: usize = 1_500;
/// Most answers have no more tokens.
const TYPICAL_TOKENS: usize = 32;
/// Numbers with more digits are not parsed.
const MAX_DIGITS: usize = 4_000;

/// How to read commas between digits where it is ambiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commas {
    /// `1,234` is one number outside brackets, otherwise two; `1,23` is always two.
    Usual,
    /// Between digits a comma separates two numbers.
    Apart,
    /// `1,23` is 1.23.
    Decimal,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token<'a>>,
    spaced: bool,
    commas: Commas,
    /// For each open LaTeX brace, whether its contents are upright, and whether it has no meaning.
    groups: Vec<(bool, bool)>,
    /// Open parentheses, brackets and set braces.
    brackets: usize,
    /// What follows the next number: a percent sign after `百分之`, a divisor after `分之`.
    pending: Vec<Kind<'a>>,
}

/// Splits a text into tokens; `None` if it is too long.
pub(super) fn tokens(text: &str, commas: Commas) -> Option<Vec<Token<'_>>> {
    tokens_until(text, commas, |_| false)
}

/// Splits a text into tokens; `None` if it is too long, or as soon as a token is found that ends the search.
pub(super) fn tokens_until<'a>(
    text: &'a str,
    commas: Commas,
    mut ends: impl FnMut(&Token<'a>) -> bool,
) -> Option<Vec<Token<'a>>> {
    if text.len() > MAX_ANSWER {
        return None;
    }
    let tokens = Vec::with_capacity(text.len().min(TYPICAL_TOKENS));
    let (groups, pending) = (Vec::new(), Vec::new());
    let mut lexer = Lexer { text, at: 0, tokens, spaced: false, commas, groups, brackets: 0, pending };
    let mut complete = 0;
    while lexer.at < text.len() {
        lexer.step()?;
        if lexer.tokens.len() > MAX_TOKENS {
            return None;
        }
        // What follows may change the last token.
        while complete + 1 < lexer.tokens.len() {
            if ends(&lexer.tokens[complete]) {
                return None;
            }
            complete += 1;
        }
    }
    Some(spoken::spelled_out(lexer.tokens))
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: Kind<'a>) {
        let is_number = matches!(kind, Kind::Number { .. });
        self.tokens.push(Token { kind, spaced: self.spaced });
        self.spaced = false;
        if is_number {
            self.tokens.extend(self.pending.drain(..).map(|kind| Token { kind, spaced: false }));
        }
    }

    fn symbol(&mut self, symbol: char) {
        self.push(Kind::Symbol(symbol));
    }

    fn upright(&self) -> bool {
        self.groups.last().is_some_and(|(upright, _)| *upright)
    }

    fn step(&mut self) -> Option<()> {
        let next = self.rest().chars().next()?;
        match next {
            '\\' => return self.command(),
            '0'..='9' => return self.number(),
            '.' if self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) && !self.after_digit() => {
                return self.number();
            }
            '.' if self.rest().starts_with("...") => {
                self.at += 3;
                self.push(Kind::Letter('…'));
            }
            _ if next.is_ascii_alphabetic() => self.letters(),
            _ if chinese::is_chinese(next) => return self.chinese(),
            // Braces that only change the spacing of a symbol: `9{:}15`.
            '{' if self.rest()[1..].starts_with([':', ',', '=', '-', '+']) && self.rest()[2..].starts_with('}') => {
                let symbol = self.rest()[1..].chars().next()?;
                self.at += 3;
                self.character(symbol);
            }
            '{' => {
                self.groups.push((self.upright(), false));
                self.symbol(GROUP);
                self.at += 1;
            }
            '}' => {
                if !self.groups.pop().is_some_and(|(_, silent)| silent) {
                    self.symbol(END_GROUP);
                }
                self.at += 1;
            }
            _ => {
                self.at += next.len_utf8();
                self.character(next);
            }
        }
        Some(())
    }

    fn after_digit(&self) -> bool {
        self.text[..self.at].ends_with(|c: char| c.is_ascii_digit())
    }

    /// Whether the text so far ends with a caret, so that a star is a mark on a name: `x^*`, `x^{*}`.
    fn after_caret(&self) -> bool {
        let grouped = matches!(self.tokens.last(), Some(token) if token.kind == Kind::Symbol(GROUP));
        let before = self.tokens.len().checked_sub(1 + usize::from(grouped));
        before.is_some_and(|at| self.tokens[at].kind == Kind::Symbol('^'))
    }

    /// Any other character.
    fn character(&mut self, c: char) {
        match c {
            '(' | '[' => {
                self.brackets += 1;
                self.symbol(c);
            }
            ')' | ']' => {
                self.brackets = self.brackets.saturating_sub(1);
                self.symbol(c);
            }
            '*' | '⋆' if self.after_caret() => self.push(Kind::Letter('⋆')),
            '*' if self.rest().starts_with('*') => {
                self.at += 1;
                self.symbol('^');
            }
            '<' | '>' | '!' | '=' if self.rest().starts_with('=') => {
                self.at += 1;
                self.symbol(match c {
                    '<' => '≤',
                    '>' => '≥',
                    '!' => '≠',
                    _ => '=',
                });
            }
            '\u{2212}' | '\u{2013}' | '\u{2014}' | '\u{fe63}' | '\u{ff0d}' => self.symbol('-'),
            '×' | '·' | '⋅' | '∗' | '•' => self.symbol('*'),
            '÷' | '∕' | '⁄' => self.symbol('/'),
            '⩽' => self.symbol('≤'),
            '⩾' => self.symbol('≥'),
            '≃' | '≅' | '~' if c != '~' => self.symbol('≈'),
            '≡' => self.symbol('='),
            'º' | '˚' => self.symbol('°'),
            '∣' | '‖' => self.symbol('|'),
            '，' | '、' => self.symbol(','),
            '；' => self.symbol(';'),
            '：' => self.symbol(':'),
            '（' => self.symbol('('),
            '）' => self.symbol(')'),
            '％' => self.symbol('%'),
            '’' | '′' => self.symbol('\''),
            '€' | '£' | '¥' | '₹' => self.currency(c),
            '√' => self.push(Kind::Command("sqrt")),
            '∛' => self.push(Kind::Command("cbrt")),
            '∅' => self.push(Kind::Command("emptyset")),
            'ℝ' => self.push(Kind::Command("reals")),
            '²' | '³' | '⁴' | '⁵' | '⁶' | '⁷' | '⁸' | '⁹' | '⁰' | '¹' | '⁻' => self.superscript(c),
            '½' | '⅓' | '⅔' | '¼' | '¾' | '⅕' | '⅙' | '⅛' => self.vulgar_fraction(c),
            '+' | '-' | '*' | '/' | '^' | '_' | '=' | '<' | '>' | '!' | ',' | ';' | ':' | '|' | '&' | '%' | '\''
            | '≤' | '≥' | '≠' | '≈' | '∈' | '∪' | '∩' | '∖' | '±' | '∓' | '°' | '∞' => {
                self.symbol(c)
            }
            'π' => self.push(Kind::Letter('π')),
            _ if c.is_alphabetic() => self.push(Kind::Letter(c)),
            // Mathematical delimiters, white space and markup around an answer.
            _ => self.spaced = true,
        }
    }

    /// A currency sign before or after a number.
    fn currency(&mut self, sign: char) {
        self.spaced = true;
        let name = match sign {
            '$' => "dollar",
            '€' => "euro",
            '£' => "pound",
            '₹' => "rupee",
            // Of several currencies.
            _ => return,
        };
        self.push(Kind::Word { letters: name, upright: true });
    }

    /// Chinese words and numbers.
    fn chinese(&mut self) -> Option<()> {
        let (piece, length) = chinese::piece(self.rest());
        let word = &self.rest()[..length];
        self.at += length;
        match piece {
            Piece::Known(latex) => {
                let known = tokens(latex, self.commas)?;
                self.tokens.extend(known);
            }
            Piece::Number(value) => self.push(Kind::Number { digits: value.to_string().into(), places: None }),
            Piece::Scale(value) => {
                self.symbol('*');
                self.push(Kind::Number { digits: value.to_string().into(), places: None });
            }
            Piece::PercentOf => self.pending.push(Kind::Symbol('%')),
            Piece::PartsOf => {
                if matches!(self.tokens.last().map(|token| &token.kind), Some(Kind::Number { .. })) {
                    let divisor = self.tokens.pop()?.kind;
                    self.pending.extend([Kind::Symbol('/'), divisor]);
                }
            }
            Piece::Word => self.push(Kind::Word { letters: word, upright: true }),
        }
        Some(())
    }

    fn superscript(&mut self, first: char) {
        let value = |c: char| "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|digit| digit == c);
        let negative = first == '⁻';
        let mut digits: String = value(first).map(|digit| digit.to_string()).unwrap_or_default();
        while let Some((digit, c)) = self.rest().chars().next().and_then(|c| Some((value(c)?, c))) {
            digits += &digit.to_string();
            self.at += c.len_utf8();
        }
        self.mark_unit();
        self.symbol('^');
        self.symbol(GROUP);
        if negative {
            self.symbol('-');
        }
        if !digits.is_empty() {
            self.push(Kind::Number { digits: digits.into(), places: None });
        }
        self.symbol(END_GROUP);
    }

    /// In `5 m²` the letter is a unit.
    fn mark_unit(&mut self) {
        if let [.., number, letter] = self.tokens.as_mut_slice()
            && matches!(number.kind, Kind::Number { .. })
            && letter.kind == Kind::Letter('m')
        {
            letter.kind = Kind::Word { letters: "m", upright: true };
        }
    }

    fn vulgar_fraction(&mut self, c: char) {
        let (above, below) = match c {
            '½' => ("1", "2"),
            '⅓' => ("1", "3"),
            '⅔' => ("2", "3"),
            '¼' => ("1", "4"),
            '¾' => ("3", "4"),
            '⅕' => ("1", "5"),
            '⅙' => ("1", "6"),
            _ => ("1", "8"),
        };
        self.push(Kind::Command("frac"));
        for part in [above, below] {
            self.symbol(GROUP);
            self.push(Kind::Number { digits: part.into(), places: None });
            self.symbol(END_GROUP);
        }
    }

    /// A run of letters.
    fn letters(&mut self) {
        for (marked, word) in [("a.m", "am"), ("p.m", "pm")] {
            if self.rest().starts_with(marked) {
                self.at += marked.len();
                return self.push(Kind::Word { letters: word, upright: true });
            }
        }
        let upright = self.upright();
        let mut length = self.rest().bytes().take_while(u8::is_ascii_alphabetic).count();
        if upright {
            // `\text{A5}_{11}` is one name.
            length += self.rest()[length..].bytes().take_while(u8::is_ascii_digit).count();
        }
        if let Some(connective) = ["and", "or"].iter().find(|word| self.rest()[..length].starts_with(**word))
            && length == connective.len() + 1
        {
            // `x=1orx=2` and the like: the letter belongs to what follows.
            length -= 1;
        }
        let run = &self.rest()[..length];
        self.at += length;
        if self.is_unit(run) {
            return self.push(Kind::Word { letters: run, upright: true });
        }
        if let Some(letter) = words::constant(run) {
            self.push(letter);
        } else if upright || (length > 1 && !self.is_superscripted(run)) {
            self.push(Kind::Word { letters: run, upright });
        } else {
            for letter in run.chars() {
                self.push(Kind::Letter(letter));
            }
        }
    }

    /// Whether letters are part of a unit with a slash: `5 m/s`.
    fn is_unit(&self, run: &str) -> bool {
        let kind = |back: usize| self.tokens.len().checked_sub(back).map(|at| &self.tokens[at].kind);
        let is_below = kind(1) == Some(&Kind::Symbol('/')) && matches!(kind(2), Some(Kind::Word { upright: true, .. }));
        let below = self.rest().strip_prefix('/').map(name_at);
        let is_above =
            matches!(kind(1), Some(Kind::Number { .. })) && below.is_some_and(|below| units::unit(below).is_some());
        (is_below || is_above) && units::unit(run).is_some()
    }

    /// Whether a short run is in an exponent or index (`x^{ab}`), where it is a product or a name.
    fn is_superscripted(&self, run: &str) -> bool {
        run.len() <= 3 && matches!(self.tokens.last().map(|token| &token.kind), Some(Kind::Symbol('^')))
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        let mut digits = Cow::Borrowed(self.digits());
        if let Some(separator) = self.separator(digits.len()) {
            while self.rest().starts_with(separator) && self.is_group(separator.len()) {
                self.at += separator.len();
                digits += self.digits();
            }
        }
        let mut places = None;
        let point = if self.commas == Commas::Decimal && self.is_decimal_comma() { ',' } else { '.' };
        let behind = |lexer: &Self| lexer.rest()[1..].starts_with(|c: char| c.is_ascii_digit());
        if self.rest().starts_with(point) && behind(self) {
            self.at += 1;
            let decimals = self.digits();
            places = Some(decimals.len() as u32);
            digits += decimals;
        } else if self.rest().starts_with('.')
            && [".\\overline{", ".\\dot{", ".("].iter().any(|mark| self.rest().starts_with(mark))
        {
            self.at += 1;
            places = Some(0);
        }
        if digits.len() > MAX_DIGITS {
            return None;
        }
        debug_assert!(self.at > start);
        match places.and_then(|places| self.cycle(&mut digits, places)) {
            Some((places, cycle)) => self.repeating(digits, places, cycle),
            None => self.push(Kind::Number { digits, places }),
        }
        Some(())
    }

    /// The digits that repeat in `0.1(6)` or `0.166\ldots`, which are removed from the digits, and the places that remain.
    fn cycle(&mut self, digits: &mut Cow<'_, str>, places: u32) -> Option<(u32, String)> {
        if let Some(inside) = self.rest().strip_prefix('(') {
            let length = inside.bytes().take_while(u8::is_ascii_digit).count();
            let cycle = inside[..length].to_owned();
            let closed = length > 0 && inside[length..].starts_with(')');
            self.at += if closed { length + 2 } else { 0 };
            return closed.then_some((places, cycle));
        }
        let dots = ["\\ldots", "\\dots", "\\cdots", "...", "…"];
        let mark = dots.iter().find(|mark| self.rest().starts_with(**mark))?;
        self.at += mark.len();
        let decimals = &digits[digits.len() - places as usize..];
        let is_repeated = |length: &usize| {
            let end = &decimals[decimals.len() - length..];
            decimals[..decimals.len() - length].ends_with(end)
        };
        let length = (1..=decimals.len() / 2).find(is_repeated)?;
        let cycle = decimals[decimals.len() - length..].to_owned();
        let mut kept = decimals.len();
        while kept >= length && decimals[..kept].ends_with(&cycle) {
            kept -= length;
        }
        let length = digits.len() - decimals.len() + kept;
        digits.to_mut().truncate(length);
        Some((kept as u32, cycle))
    }

    /// A decimal whose last digits repeat, in the notation with a bar.
    fn repeating(&mut self, digits: Cow<'a, str>, places: u32, cycle: String) {
        self.push(Kind::Number { digits, places: Some(places) });
        self.push(Kind::Command("overline"));
        self.symbol(GROUP);
        self.push(Kind::Number { digits: cycle.into(), places: None });
        self.symbol(END_GROUP);
    }

    fn digits(&mut self) -> &'a str {
        let length = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let digits = &self.rest()[..length];
        self.at += length;
        digits
    }

    /// The thousands separator after the first digits of a number, if there is one.
    fn separator(&self, leading: usize) -> Option<&'static str> {
        let may_follow = ['{', '\\', ',', ' ', '\u{a0}', '\u{2009}', '\u{202f}'];
        if leading == 0 || leading > 3 || !self.rest().starts_with(may_follow) {
            return None;
        }
        let all =
            ["{,}", "\\!{,}", "{,}\\!", ",\\! ", ",\\!", "\\,", "\\ ", ",", " ", "\u{a0}", "\u{2009}", "\u{202f}"];
        let separator = *all.iter().find(|separator| self.rest().starts_with(**separator))?;
        let ambiguous = separator == ",";
        let apart = self.commas != Commas::Usual || self.brackets > 0;
        (self.is_group(separator.len()) && !(ambiguous && apart)).then_some(separator)
    }

    /// Whether exactly three digits follow a separator.
    fn is_group(&self, separator: usize) -> bool {
        self.rest()[separator..].bytes().take_while(u8::is_ascii_digit).count() == 3
    }

    /// Whether `,` is a decimal comma: outside brackets and followed by digits, but not by exactly three.
    fn is_decimal_comma(&self) -> bool {
        let decimals = self.rest().bytes().skip(1).take_while(u8::is_ascii_digit).count();
        self.brackets == 0 && self.rest().starts_with(',') && decimals > 0 && decimals != 3
    }

    fn command(&mut self) -> Option<()> {
        // Two backslashes before a command's name are a doubly escaped one.
        let doubled = self.rest().starts_with("\\\\") && words::is_command(name_at(&self.rest()[2..]));
        self.at += if doubled { 2 } else { 1 };
        let name = name_at(self.rest());
        if name.is_empty() {
            self.escaped();
            return Some(());
        }
        self.at += name.len();
        self.named(name);
        Some(())
    }

    /// A backslash before a character that is not a letter.
    fn escaped(&mut self) {
        let Some(c) = self.rest().chars().next() else { return };
        self.at += c.len_utf8();
        match c {
            '\\' => {
                self.symbol(ROW);
                self.skip_row_spacing();
            }
            '{' => {
                self.brackets += 1;
                self.symbol('{');
            }
            '}' => {
                self.brackets = self.brackets.saturating_sub(1);
                self.symbol('}');
            }
            '%' => self.symbol('%'),
            '|' => self.symbol('|'),
            '$' => self.currency('$'),
            '\'' | '#' | '&' => {}
            _ => self.spaced = true,
        }
    }

    /// The additional space after a row: `\\[6pt]`.
    fn skip_row_spacing(&mut self) {
        let units = ["pt", "em", "ex", "mm", "cm", "in"];
        let length = self.rest().strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(length, _)| length);
        if let Some(length) = length.filter(|length| units.iter().any(|unit| length.ends_with(unit))) {
            self.at += length.len() + 2;
        }
    }

    fn named(&mut self, name: &'a str) {
        if let Some(symbol) = words::symbol(name) {
            if symbol == '*' && self.after_caret() {
                return self.push(Kind::Letter('⋆'));
            }
            if matches!(symbol, '{') {
                self.brackets += 1;
            }
            return self.symbol(symbol);
        }
        if let Some(letter) = words::letter(name) {
            return self.push(Kind::Letter(letter));
        }
        if words::is_silent(name) {
            self.spaced = true;
            return;
        }
        if words::is_upright(name) {
            return self.style(true);
        }
        if words::is_style(name) {
            return self.style(false);
        }
        match name {
            "begin" | "end" => self.environment(name == "begin"),
            "hspace" | "vspace" | "color" | "tag" | "label" | "phantom" | "textcolor" => self.skip_argument(),
            "mathbb" => self.blackboard(),
            _ => match name.strip_prefix("quad") {
                Some(rest) if !words::is_command(name) => {
                    self.symbol(WIDE);
                    self.at -= rest.len();
                }
                _ => self.push(Kind::Command(name)),
            },
        }
    }

    /// A command that only changes the appearance of its argument.
    fn style(&mut self, upright: bool) {
        let spaces = self.rest().len() - self.rest().trim_start_matches(' ').len();
        if self.rest()[spaces..].starts_with('{') {
            self.at += spaces + 1;
            self.groups.push((upright, true));
            self.spaced |= upright;
        }
    }

    fn blackboard(&mut self) {
        let letter = self.rest().trim_start_matches([' ', '{']).chars().next();
        if letter == Some('R') {
            self.skip_argument();
            return self.push(Kind::Command("reals"));
        }
        self.style(true);
    }

    /// Skips `{..}`, or one character.
    fn skip_argument(&mut self) {
        let rest = self.rest().trim_start_matches(' ');
        let length = match rest.strip_prefix('{') {
            Some(inner) => inner.find('}').map_or(rest.len(), |end| end + 2),
            None => rest.chars().next().map_or(0, char::len_utf8),
        };
        self.at = self.text.len() - rest.len() + length;
    }

    fn environment(&mut self, begins: bool) {
        let rest = self.rest().trim_start_matches(' ');
        let name = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')).map_or("", |(name, _)| name);
        let tabular = name.contains("matrix") || name == "array" || name == "cases";
        let has_columns = name == "array" && begins;
        let is_determinant = name == "vmatrix" && begins;
        self.skip_argument();
        if has_columns {
            self.skip_argument();
        }
        if is_determinant {
            self.push(Kind::Command("determinant"));
        }
        if tabular {
            self.push(if begins { Kind::Begin } else { Kind::End });
        }
    }
}

/// The letters at the start of a text.
fn name_at(text: &str) -> &str {
    &text[..text.bytes().take_while(u8::is_ascii_alphabetic).count()]
}
