//! The smallest parts of a formula: numbers, names, commands with arguments, brackets, matrices.

use super::expr::{Brackets, Expr, Function};
use super::parser::{Parser, apply, times};
use super::rational::Rational;
use super::token::{END_GROUP, GROUP, Kind, ROW};
use super::{matrix, words};

/// Larger matrices are not read.
const MAX_ENTRIES: usize = 400;

impl<'a> Parser<'a> {
    pub(super) fn atom(&mut self) -> Option<Expr> {
        if let Some(choice) = self.prefixed_choice() {
            return Some(choice);
        }
        let kind = self.peek()?.clone();
        self.at += 1;
        match kind {
            Kind::Number { digits, places } => self.number(&digits, places),
            Kind::Letter(letter) => self.name(letter.to_string()),
            Kind::Word { letters, upright } => self.word(letters, upright),
            Kind::Command(name) => self.command(name),
            Kind::Begin => self.matrix(),
            Kind::Symbol(symbol) => {
                let inside = self.bracketed(symbol)?;
                match inside {
                    // `(1101)_2`
                    Expr::Number { value, places: None } if symbol == '(' && self.accept('_') => {
                        self.in_base(value.numerator.to_string())
                    }
                    inside => Some(inside),
                }
            }
            Kind::End => None,
        }
    }

    /// A number of choices whose total stands before the letter: `{}_9C_4`, `^9C_4`, `9C4`.
    fn prefixed_choice(&mut self) -> Option<Expr> {
        let kind = |at: usize| self.tokens.get(at).map(|token| &token.kind);
        let number = |at: usize| match kind(at) {
            Some(Kind::Number { digits, places: None }) => digits.parse::<i64>().ok(),
            _ => None,
        };
        let empty = kind(self.at) == Some(&Kind::Symbol(GROUP)) && kind(self.at + 1) == Some(&Kind::Symbol(END_GROUP));
        let at = self.at + if empty { 2 } else { 0 };
        let raised = matches!(kind(at), Some(Kind::Symbol('_' | '^')));
        let at = at + usize::from(raised);
        let Kind::Letter(name @ ('C' | 'P')) = kind(at + 1)? else { return None };
        let above = number(at)?;
        let lowered = usize::from(kind(at + 2) == Some(&Kind::Symbol('_')));
        let below = number(at + 2 + lowered)?;
        // Without marks the three must touch.
        let marked = raised && lowered == 1;
        let touching = lowered == 0 && !raised && [1, 2].iter().all(|ahead| !self.tokens[at + ahead].spaced);
        if !marked && !touching {
            return None;
        }
        let name = name.to_string();
        self.at = at + 3 + lowered;
        Some(Expr::Call(name, vec![Expr::integer(above), Expr::integer(below)]))
    }

    /// Digits in the base that follows, all of which must be below it.
    fn in_base(&mut self, digits: String) -> Option<Expr> {
        let Expr::Number { value, .. } = self.deeper(Parser::atom)? else { return None };
        let base = u32::try_from(value.to_i64()?).ok().filter(|base| (2..=36).contains(base))?;
        digits.chars().all(|digit| digit.is_digit(base)).then_some(Expr::Based(digits, base))
    }

    fn number(&mut self, digits: &str, places: Option<u32>) -> Option<Expr> {
        if self.peek_symbol() == Some('_') {
            self.at += 1;
            return self.in_base(digits.to_owned());
        }
        if let (Some(places), Some(Kind::Command("overline" | "dot"))) = (places, self.peek()) {
            self.at += 1;
            return self.repeating(digits, places);
        }
        let number = Expr::Number { value: Rational::decimal(digits, places.unwrap_or(0))?, places };
        Some(match self.scientific() {
            Some(power) => times(number, power),
            None => number,
        })
    }

    /// `e5`, `E-5` directly after a number, as a power of ten.
    fn scientific(&mut self) -> Option<Expr> {
        let token = |at: usize| self.tokens.get(at);
        let glued = |at: usize| token(at).is_some_and(|token| !token.spaced);
        if !matches!(token(self.at)?.kind, Kind::Letter('e' | 'E')) || !glued(self.at) || !glued(self.at + 1) {
            return None;
        }
        let sign = match token(self.at + 1)?.kind {
            Kind::Symbol('-') => -1,
            Kind::Symbol('+') => 1,
            _ => 0,
        };
        let digits_at = self.at + 1 + usize::from(sign != 0);
        let Kind::Number { digits, places: None } = &token(digits_at)?.kind else { return None };
        let exponent = digits.parse::<i64>().ok()? * if sign < 0 { -1 } else { 1 };
        self.at = digits_at + 1;
        Some(Expr::Power(Box::new(Expr::integer(10)), Box::new(Expr::integer(exponent))))
    }

    /// `0.1\overline{6}`: the digits before the bar, then those below it, repeated forever.
    fn repeating(&mut self, digits: &str, places: u32) -> Option<Expr> {
        let Expr::Number { value: cycle, places: None } = self.argument()? else { return None };
        let Some(Kind::Number { digits: cycle_digits, .. }) = self.tokens.get(self.at.checked_sub(2)?).map(|t| &t.kind)
        else {
            return None;
        };
        let length = u32::try_from(cycle_digits.len()).ok().filter(|length| *length <= 50)?;
        let start = Rational::decimal(digits, places)?;
        let nines = Rational::integer(num_bigint::BigInt::from(10).pow(length) - 1);
        let scale = Rational::decimal("1", places)?;
        let number = |value| Expr::Number { value, places: None };
        let tail = times(number(cycle), number(scale)).quotient(number(nines));
        Some(Expr::Sum(vec![number(start), tail]))
    }

    /// A variable, with the index and primes of its name, or a function applied to the parentheses that follow.
    fn name(&mut self, mut name: String) -> Option<Expr> {
        match name.as_str() {
            "π" => return Some(Expr::Pi),
            "e" if self.peek_symbol() != Some('_') => return Some(Expr::Euler),
            "i" if self.peek_symbol() != Some('_') => return Some(Expr::Imaginary),
            _ => {}
        }
        loop {
            if self.accept('\'') {
                name.push('\'');
            } else if self.accept_star() {
                name.push('⋆');
            } else if self.accept('_') {
                name.push('_');
                name += &self.raw_group();
            } else {
                break;
            }
        }
        if matches!(name.as_str(), "f" | "g" | "h") && self.accept_inverse() {
            name += "⁻¹";
        }
        if self.peek_symbol() == Some('(') && self.is_function_call(&name) {
            self.at += 1;
            let arguments = self.deeper(|parser| parser.items(&[')']))?;
            self.accept(')').then_some(())?;
            return Some(Expr::Call(name, arguments));
        }
        Some(Expr::Symbol(name))
    }

    /// The mark of an inverse function before its argument: `f^{-1}(x)`.
    fn accept_inverse(&mut self) -> bool {
        let one = Kind::Number { digits: "1".into(), places: None };
        let mark = [Kind::Symbol('^'), Kind::Symbol(GROUP), Kind::Symbol('-'), one, Kind::Symbol(END_GROUP)];
        let next = self.tokens[self.at..].iter().map(|token| &token.kind);
        let found =
            next.clone().take(mark.len()).eq(mark.iter()) && next.clone().nth(mark.len()) == Some(&Kind::Symbol('('));
        self.at += if found { mark.len() } else { 0 };
        found
    }

    /// The star of `x^*` and `x^{*}`.
    fn accept_star(&mut self) -> bool {
        let kind = |ahead: usize| self.tokens.get(self.at + ahead).map(|token| &token.kind);
        if kind(0) != Some(&Kind::Symbol('^')) {
            return false;
        }
        let grouped = usize::from(kind(1) == Some(&Kind::Symbol(GROUP)));
        let closed = grouped == 0 || kind(3) == Some(&Kind::Symbol(END_GROUP));
        let found = closed && kind(1 + grouped) == Some(&Kind::Letter('⋆'));
        self.at += if found { 2 + 2 * grouped } else { 0 };
        found
    }

    /// Whether a letter before parentheses is a function: f, g, h always; capitals and others if a name or number is inside.
    fn is_function_call(&self, name: &str) -> bool {
        let first = name.chars().next().unwrap_or(' ');
        let second = self.tokens.get(self.at + 2).map(|token| &token.kind);
        let single = matches!(second, Some(Kind::Symbol(')' | ',')));
        matches!(first, 'f' | 'g' | 'h') || (single && (first.is_uppercase() || matches!(first, 'p' | 'q' | 'u' | 'v')))
    }

    /// The contents of an index, as text. Without braces it is one letter, and the letters behind it are factors.
    fn raw_group(&mut self) -> String {
        let mut text = String::new();
        if let Some(&Kind::Word { letters, upright: false }) = self.peek()
            && letters.len() <= 3
        {
            let (index, rest) = letters.split_at(1);
            let rest = if rest.len() == 1 {
                Kind::Letter(rest.chars().next().unwrap_or(' '))
            } else {
                Kind::Word { letters: rest, upright: false }
            };
            self.tokens[self.at].kind = rest;
            return index.to_owned();
        }
        let mut open = 0;
        while let Some(kind) = self.peek() {
            match kind {
                Kind::Symbol(GROUP) => open += 1,
                Kind::Symbol(END_GROUP) if open == 0 => break,
                Kind::Symbol(END_GROUP) => open -= 1,
                Kind::Symbol(symbol) => text.push(*symbol),
                Kind::Number { digits, .. } => text += digits,
                Kind::Letter(letter) => text.push(*letter),
                Kind::Word { letters, .. } => text += letters,
                Kind::Command(name) => text += name,
                Kind::Begin | Kind::End => break,
            }
            self.at += 1;
            if open == 0 {
                break;
            }
        }
        text
    }

    fn word(&mut self, letters: &str, upright: bool) -> Option<Expr> {
        if let Some(function) = words::function(letters) {
            return self.function(function);
        }
        if upright && letters.len() == 1 && (letters == "e" || letters == "i") {
            return self.name(letters.to_owned());
        }
        if let Some(function) = ["sin", "cos", "tan", "log", "ln"].iter().find(|name| letters.starts_with(**name))
            && letters.len() - function.len() == 1
        {
            // `sinx`: the letter is the argument.
            let argument = Expr::Symbol(letters[function.len()..].to_owned());
            return Some(apply(words::function(function)?, argument));
        }
        if let "half" | "quarter" = letters {
            return Some(Expr::integer(1).quotient(Expr::integer(i64::try_from(words::part(letters)?).ok()?)));
        }
        if let Some(value) = words::numeral(letters).or_else(|| words::ordinal(letters)) {
            return Some(Expr::integer(i64::try_from(value).ok()?));
        }
        let product = !upright
            && letters.len() <= 3
            && letters.bytes().all(|b| b.is_ascii_lowercase())
            && !words::is_text(letters);
        if !product {
            let name = if letters.len() > 3 { letters.to_ascii_lowercase() } else { letters.to_owned() };
            return self.name(name);
        }
        let mut factors: Vec<Expr> = Vec::new();
        let last = letters.len() - 1;
        for (at, letter) in letters.chars().enumerate() {
            factors.push(if at == last { self.name(letter.to_string())? } else { single_letter(letter) });
        }
        // A power after the run belongs only to its last letter.
        let last = factors.pop()?;
        let last = self.raised(last)?;
        factors.push(last);
        Some(Expr::Product(factors))
    }

    fn command(&mut self, name: &str) -> Option<Expr> {
        if let Some(function) = words::function(name) {
            return self.function(function);
        }
        match name {
            "frac" | "dfrac" | "tfrac" | "cfrac" | "nicefrac" | "sfrac" | "flatfrac" => {
                let above = self.argument()?;
                Some(above.quotient(self.argument()?))
            }
            "sqrt" => self.root(),
            "cbrt" => Some(Expr::Root(Box::new(self.radicand()?), Box::new(Expr::integer(3)))),
            "binom" | "dbinom" | "tbinom" => {
                let above = self.argument()?;
                Some(Expr::Binomial(Box::new(above), Box::new(self.argument()?)))
            }
            "determinant" => {
                self.accept_begin()?;
                let Expr::Matrix(rows) = self.matrix()? else { return None };
                matrix::determinant(&rows)
            }
            "emptyset" | "varnothing" => Some(Expr::Several(Brackets::Set, vec![])),
            "reals" => Some(Expr::Reals),
            "sum" | "prod" | "int" | "lim" | "min" | "max" | "gcd" | "lcm" | "det" => self.operator(name),
            "overline" => {
                let Expr::Symbol(below) = self.argument()? else { return None };
                Some(Expr::Symbol(below))
            }
            _ => Some(Expr::Symbol(format!("\\{name}"))),
        }
    }

    /// An argument of a command: a group, or a single digit or letter.
    pub(super) fn argument(&mut self) -> Option<Expr> {
        if let Some(Kind::Number { digits, places: None }) = self.peek()
            && digits.len() > 1
        {
            let (first, rest) = digits.split_at(1);
            let (first, rest) = (Rational::decimal(first, 0)?, rest.to_owned().into());
            self.tokens[self.at].kind = Kind::Number { digits: rest, places: None };
            return Some(Expr::Number { value: first, places: None });
        }
        self.deeper(Parser::atom)
    }

    fn root(&mut self) -> Option<Expr> {
        let mut degree = Expr::integer(2);
        if self.accept('[') {
            degree = self.deeper(Parser::sum)?;
            self.accept(']').then_some(())?;
        }
        Some(Expr::Root(Box::new(self.radicand()?), Box::new(degree)))
    }

    /// The radicand of a root: a group, or an integer (`\sqrt13` means the root of 13).
    fn radicand(&mut self) -> Option<Expr> {
        self.deeper(Parser::atom)
    }

    /// A function with its power, base and argument: `\sin^2 x`, `\log_2 8`, `\ln(x)`.
    fn function(&mut self, function: Function) -> Option<Expr> {
        let mut function = function;
        let mut base = None;
        let mut power = None;
        loop {
            if function == Function::Log && self.accept('_') {
                base = Some(self.argument()?);
            } else if self.accept('^') {
                let exponent = self.deeper(Parser::argument)?;
                match (&exponent, words::inverse(function)) {
                    (Expr::Negated(one), Some(inverse)) if matches!(&**one, Expr::Number { value, .. } if value.to_i64() == Some(1)) =>
                    {
                        function = inverse;
                    }
                    _ => power = Some(exponent),
                }
            } else {
                break;
            }
        }
        let argument = self.deeper(Parser::function_argument)?;
        let value = match base {
            Some(base) => Expr::Logarithm(Box::new(base), Box::new(argument)),
            None => apply(function, argument),
        };
        Some(match power {
            Some(power) => Expr::Power(Box::new(value), Box::new(power)),
            None => value,
        })
    }

    /// Parentheses, or the factors up to the next function, sign or mark.
    fn function_argument(&mut self) -> Option<Expr> {
        if matches!(self.peek_symbol(), Some('(' | '[' | GROUP | '|')) {
            return self.power();
        }
        if self.accept('-') {
            return Some(self.deeper(Parser::function_argument)?.negated());
        }
        let mut product = self.power()?;
        while self.starts_factor() && !self.starts_function() {
            product = times(product, self.power()?);
        }
        if self.peek_symbol() == Some('/') && !matches!(product, Expr::Apply(..)) {
            self.at += 1;
            product = product.quotient(self.power()?);
        }
        Some(product)
    }

    fn starts_function(&self) -> bool {
        match self.peek() {
            Some(Kind::Command(name) | Kind::Word { letters: name, .. }) => words::function(name).is_some(),
            Some(Kind::Symbol('(')) => true,
            _ => false,
        }
    }

    fn accept_begin(&mut self) -> Option<()> {
        matches!(self.peek(), Some(Kind::Begin)).then_some(())?;
        self.at += 1;
        Some(())
    }

    /// An operator known by name, with its limits and operand; before a relation it is a name: `\min = 8`.
    fn operator(&mut self, name: &str) -> Option<Expr> {
        let mut name = name.to_owned();
        while let Some(mark @ ('_' | '^')) = self.peek_symbol() {
            self.at += 1;
            name.push(mark);
            name += &self.raw_group();
        }
        if matches!(self.peek_symbol(), Some('=' | '≈')) {
            return Some(Expr::Symbol(name));
        }
        Some(Expr::Call(name, vec![self.deeper(Parser::product)?]))
    }

    fn bracketed(&mut self, open: char) -> Option<Expr> {
        match open {
            GROUP => {
                let items = self.items_with_choice()?;
                self.accept(END_GROUP).then_some(())?;
                Some(one_or(items, Brackets::None))
            }
            '{' => self.set(),
            '(' | '[' | '⟨' | ']' => self.ordered(open),
            '|' => {
                self.bars += 1;
                let inside = self.deeper(Parser::sum);
                self.bars -= 1;
                let inside = inside?;
                self.accept('|').then(|| apply(Function::Abs, inside))
            }
            '⌊' => {
                let inside = self.deeper(Parser::sum)?;
                self.accept('⌋').then(|| apply(Function::Floor, inside))
            }
            '⌈' => {
                let inside = self.deeper(Parser::sum)?;
                self.accept('⌉').then(|| apply(Function::Ceil, inside))
            }
            '∞' => Some(Expr::Infinity),
            '°' => Some(apply(Function::Degrees, Expr::integer(1))),
            _ => None,
        }
    }

    /// The items of a set, or the condition of `\{x : ..\}` and `\{x | ..\}`.
    fn set(&mut self) -> Option<Expr> {
        let outer = std::mem::replace(&mut self.in_set, true);
        self.bars += 1;
        let items = self.deeper(|parser| parser.items(&['}']));
        self.bars -= 1;
        self.in_set = outer;
        let items = items?;
        if self.accept('|') || self.accept(':') {
            let condition = self.deeper(Parser::relation)?;
            return self.accept('}').then_some(condition);
        }
        self.accept('}').then_some(Expr::Several(Brackets::Set, items))
    }

    /// The items of a LaTeX group, or `n \choose k`, or `a \over b`.
    fn items_with_choice(&mut self) -> Option<Vec<Expr>> {
        let items = self.deeper(|parser| parser.items(&[END_GROUP]))?;
        let command = match self.peek() {
            Some(Kind::Command(name @ ("choose" | "over"))) => *name,
            _ => return Some(items),
        };
        self.at += 1;
        let below = self.deeper(Parser::sum)?;
        let above = items.into_iter().next()?;
        Some(vec![if command == "over" {
            above.quotient(below)
        } else {
            Expr::Binomial(Box::new(above), Box::new(below))
        }])
    }

    /// `(..)`, `[..]` and intervals of every kind.
    fn ordered(&mut self, open: char) -> Option<Expr> {
        let bars = std::mem::take(&mut self.bars);
        let items = self.deeper(|parser| parser.items(&[')', ']', '⟩', '[']));
        self.bars = bars;
        let items = items?;
        let close = self.peek_symbol()?;
        self.at += 1;
        let left_closed = open == '[';
        let right_closed = match close {
            ')' | '⟩' => false,
            ']' => true,
            // `]0,1[` is open, in French notation.
            '[' if open == ']' => false,
            _ => return None,
        };
        let ordered = Brackets::Ordered { left_closed, right_closed };
        let grouping = items.len() == 1 && left_closed == right_closed;
        if grouping { items.into_iter().next() } else { Some(Expr::Several(ordered, items)) }
    }

    fn matrix(&mut self) -> Option<Expr> {
        let mut rows = vec![vec![]];
        let mut entries = 0;
        loop {
            match self.peek()? {
                Kind::End => {
                    self.at += 1;
                    break;
                }
                Kind::Symbol(ROW) => {
                    self.at += 1;
                    rows.push(vec![]);
                }
                Kind::Symbol('&') => self.at += 1,
                _ => {
                    entries += 1;
                    if entries > MAX_ENTRIES {
                        return None;
                    }
                    let entry = self.deeper(Parser::sum)?;
                    rows.last_mut()?.push(entry);
                }
            }
        }
        rows.retain(|row| !row.is_empty());
        let columns = rows.first()?.len();
        rows.iter().all(|row| row.len() == columns).then_some(Expr::Matrix(rows))
    }
}

/// A letter without index or argument.
fn single_letter(letter: char) -> Expr {
    match letter {
        'e' => Expr::Euler,
        'i' => Expr::Imaginary,
        _ => Expr::Symbol(letter.to_string()),
    }
}

fn one_or(mut items: Vec<Expr>, brackets: Brackets) -> Expr {
    if items.len() == 1 { items.remove(0) } else { Expr::Several(brackets, items) }
}
