//! Values with units and currencies.

use super::{
    expr::{Expr, Function},
    parser::{Parser, apply},
    token::{END_GROUP, GROUP, Kind},
    units,
};

impl Parser<'_> {
    pub(super) fn measured(&mut self) -> Option<Expr> {
        let currency = self.word_at(self.at).and_then(units::currency).filter(|_| self.at + 1 < self.tokens.len());
        self.at += usize::from(currency.is_some());
        let value = self.sum()?;
        Some(match (self.with_unit(value), currency) {
            (value @ Expr::Measured(..), _) | (value, None) => value,
            (value, Some(currency)) => measured(value, currency.to_owned()),
        })
    }

    /// Takes the words after a value as its unit.
    pub(super) fn with_unit(&mut self, value: Expr) -> Expr {
        let start = self.at;
        let mut unit = String::new();
        loop {
            if self.skip_parenthesis() || self.skip_ordinal() {
                continue;
            }
            match self.peek() {
                Some(Kind::Word { letters, .. }) if !self.ends_unit(letters) => {
                    let name = units::unit(letters).map_or_else(|| letters.to_ascii_lowercase(), str::to_owned);
                    unit = if unit.is_empty() { name } else { format!("{unit} {name}") };
                    self.at += 1;
                }
                Some(Kind::Symbol('^' | '/' | GROUP | END_GROUP)) if self.is_unit_mark() => {
                    unit.push(if self.peek_symbol() == Some('/') { '/' } else { '^' });
                    self.at += 1;
                }
                Some(Kind::Symbol('-')) if unit.ends_with('^') => {
                    unit.push('-');
                    self.at += 1;
                }
                Some(Kind::Number { digits, places: None }) if unit.ends_with(['^', '-']) => {
                    unit += digits;
                    self.at += 1;
                }
                Some(Kind::Command("pmod" | "bmod" | "mod")) => {
                    self.at += 1;
                    self.deeper(|parser| parser.product());
                    unit = "mod".to_owned();
                }
                _ => break,
            }
        }
        if unit.is_empty() {
            return value;
        }
        // Only a known unit follows a name: `A large drop` is no amount of A.
        if matches!(value, Expr::Symbol(_)) && units::unit(&unit).is_none() {
            self.at = start;
            return value;
        }
        measured(value, units::normal(&unit))
    }

    /// Whether a power, group or slash at this place belongs to a unit: `cm^2`, `cm^{2}`, `m/s`.
    fn is_unit_mark(&self) -> bool {
        let before = |back: usize| self.at.checked_sub(back).map(|at| &self.tokens[at].kind);
        let word = |back: usize| matches!(before(back), Some(Kind::Word { .. }));
        let caret = |back: usize| before(back) == Some(&Kind::Symbol('^'));
        match self.peek_symbol() {
            Some('^') => word(1),
            Some(GROUP) => caret(1) && word(2),
            Some(END_GROUP) => {
                let sign = usize::from(before(2) == Some(&Kind::Symbol('-')));
                before(2 + sign) == Some(&Kind::Symbol(GROUP)) && caret(3 + sign) && word(4 + sign)
            }
            Some('/') => matches!(self.tokens.get(self.at + 1).map(|token| &token.kind), Some(Kind::Word { .. })),
            _ => false,
        }
    }
}

/// A value with its unit; percent and degree signs are separate operators.
fn measured(value: Expr, unit: String) -> Expr {
    match unit.as_str() {
        "percent" => apply(Function::Percent, value),
        "degree" => apply(Function::Degrees, value),
        _ => Expr::Measured(Box::new(value), unit),
    }
}
