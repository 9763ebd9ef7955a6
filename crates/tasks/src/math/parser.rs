//! Parses tokens into trees: lists, relations, sets, sums and products. Atoms are in [`super::atoms`].

use super::expr::{Brackets, Expr, Function, Relation, SetOperation};
use super::lexer::{self, Commas};
use super::token::{END_GROUP, GROUP, Kind, ROW, Token, WIDE};
use super::{units, words};

/// The variable of a bound in words: `at most 7`.
pub(super) const UNNAMED: &str = "?";
/// Deeper nesting is not parsed; a parenthesis takes about six levels.
const MAX_DEPTH: u32 = 200;
/// Longer chains of left-associative operations (`a/b/c`, `5!!`) are not parsed.
const MAX_CHAIN: u32 = 200;

pub(super) struct Parser<'a> {
    pub(super) tokens: Vec<Token<'a>>,
    pub(super) at: usize,
    depth: u32,
    chain: u32,
    /// Open absolute values: inside one, `|` closes it.
    pub(super) bars: u32,
    /// Whether a colon ends the names of `\{x : ..\}` instead of making a ratio.
    pub(super) in_set: bool,
    /// Rules that were run one level deeper.
    attempts: usize,
}

/// Bounds the rules that are tried: where they fail deep inside and are tried again further out, their number may double with
/// each level. An answer needs a few for each of its tokens.
const ATTEMPTS_PER_TOKEN: usize = 50;

/// Parses an answer; `None` if it is not mathematics, or too long or too deep.
pub(super) fn parse(text: &str, commas: Commas) -> Option<Expr> {
    let mut parser =
        Parser { tokens: lexer::tokens(text, commas)?, at: 0, depth: 0, chain: 0, bars: 0, in_set: false, attempts: 0 };
    parser.skip_filler();
    let items = parser.items(&[])?;
    parser.skip_separators();
    parser.skip_remark()?;
    let complete = parser.at == parser.tokens.len();
    match items.len() {
        _ if !complete => None,
        0 => None,
        1 => items.into_iter().next(),
        _ => Some(Expr::Several(Brackets::None, items)),
    }
}

/// Parses what follows the last `=` of a chain whose beginning is no mathematics: `Volume of the cone = 12\pi`.
pub(super) fn parse_value(text: &str, commas: Commas) -> Option<Expr> {
    let tokens = lexer::tokens(text, commas)?;
    let mut depth = 0;
    let mut last = None;
    for (at, token) in tokens.iter().enumerate() {
        match &token.kind {
            Kind::Symbol('(' | '[' | '{' | GROUP) | Kind::Begin => depth += 1,
            Kind::Symbol(')' | ']' | '}' | END_GROUP) | Kind::End => depth -= 1,
            // A list of equations is not one value.
            Kind::Symbol(',' | ';' | WIDE | ROW | '∨' | '∧') if depth == 0 => return None,
            Kind::Word { letters, .. } if words::is_connective(letters) || words::is_denial(letters) => return None,
            Kind::Symbol('=') if depth == 0 => last = Some(at),
            Kind::Symbol('<' | '>' | '≤' | '≥' | '≠' | '∈') if depth == 0 => return None,
            _ => {}
        }
    }
    let tokens = tokens[last? + 1..].to_vec();
    let mut parser = Parser { tokens, at: 0, depth: 0, chain: 0, bars: 0, in_set: false, attempts: 0 };
    let value = parser.relation()?;
    parser.skip_remark()?;
    (parser.at == parser.tokens.len()).then_some(value)
}

impl<'a> Parser<'a> {
    pub(super) fn peek(&self) -> Option<&Kind<'a>> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    pub(super) fn peek_symbol(&self) -> Option<char> {
        match self.peek() {
            Some(Kind::Symbol(symbol)) => Some(*symbol),
            _ => None,
        }
    }

    pub(super) fn word_at(&self, at: usize) -> Option<&'a str> {
        match self.tokens.get(at).map(|token| &token.kind) {
            Some(Kind::Word { letters, .. }) => Some(letters),
            _ => None,
        }
    }

    pub(super) fn accept(&mut self, symbol: char) -> bool {
        let found = self.peek_symbol() == Some(symbol);
        self.at += usize::from(found);
        found
    }

    /// Runs a rule one level deeper, unless that is too deep.
    pub(super) fn deeper<T>(&mut self, rule: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.attempts += 1;
        if self.depth == MAX_DEPTH || self.attempts > ATTEMPTS_PER_TOKEN * (self.tokens.len() + 10) {
            return None;
        }
        self.depth += 1;
        let result = rule(self);
        self.depth -= 1;
        result
    }

    /// Counts an operation that makes the tree deeper without recursion in the parser.
    fn longer(&mut self) -> Option<()> {
        self.chain += 1;
        (self.chain <= MAX_CHAIN).then_some(())
    }

    fn skip_filler(&mut self) {
        self.skip_subject();
        loop {
            match self.peek() {
                Some(Kind::Word { letters, .. }) if words::is_filler(letters) => self.at += 1,
                Some(Kind::Symbol('≈' | '=' | ',' | ':' | WIDE | ROW | '→')) => self.at += 1,
                _ => return,
            }
        }
    }

    fn is_separator(&self) -> bool {
        match self.peek() {
            Some(Kind::Symbol(',' | ';' | WIDE | ROW | '&' | '→' | '∨' | '∧')) => true,
            Some(Kind::Word { letters, .. }) => words::is_connective(letters),
            _ => false,
        }
    }

    fn skip_separators(&mut self) -> bool {
        let start = self.at;
        while self.is_separator() {
            self.at += 1;
        }
        self.at > start
    }

    /// Items up to one of the closing symbols, which is not consumed.
    pub(super) fn items(&mut self, closing: &[char]) -> Option<Vec<Expr>> {
        let mut items = Vec::new();
        self.skip_separators();
        let closes = |parser: &Self| parser.peek_symbol().is_some_and(|symbol| closing.contains(&symbol));
        let ends = |parser: &Self| parser.is_remark() || parser.word_at(parser.at) == Some("not");
        while self.at < self.tokens.len() && !closes(self) && !ends(self) {
            items.push(self.deeper(Parser::relation)?);
            if !self.skip_separators() {
                break;
            }
        }
        Some(items)
    }

    fn relation_symbol(&mut self) -> Option<Relation> {
        let relation = match self.peek_symbol()? {
            '=' => Relation::Equal,
            '≈' => Relation::About,
            '≠' => Relation::NotEqual,
            '<' => Relation::Less,
            '≤' => Relation::AtMost,
            '>' => Relation::Greater,
            '≥' => Relation::AtLeast,
            '∈' => Relation::In,
            _ => return None,
        };
        self.at += 1;
        Some(relation)
    }

    pub(super) fn relation(&mut self) -> Option<Expr> {
        if let Some((relation, words)) = self.bound_in_words() {
            self.at += words;
            let bound = self.union()?;
            return Some(Expr::Related(Box::new(Expr::Symbol(UNNAMED.to_owned())), vec![(relation, bound)]));
        }
        let first = self.union()?;
        let mut rest = Vec::new();
        while let Some(relation) = self.relation_symbol() {
            // Alignment marks (`&=`) separate nothing here.
            while matches!(self.peek_symbol(), Some('&' | ROW)) {
                self.at += 1;
            }
            let side = match self.relation_symbol() {
                // `= =` and similar repetitions add nothing.
                Some(_) => return None,
                None => self.union()?,
            };
            rest.push((relation, side));
        }
        Some(if rest.is_empty() { first } else { Expr::Related(Box::new(first), rest) })
    }

    fn union(&mut self) -> Option<Expr> {
        let mut sets = self.ratio()?;
        loop {
            let operation = match self.peek_symbol() {
                Some('∪') => SetOperation::Union,
                Some('∩') => SetOperation::Intersection,
                Some('∖') => SetOperation::Difference,
                _ => return Some(sets),
            };
            self.at += 1;
            self.longer()?;
            sets = Expr::Sets(operation, Box::new(sets), Box::new(self.ratio()?));
        }
    }

    fn ratio(&mut self) -> Option<Expr> {
        let start = self.at;
        let first = self.measured()?;
        if self.in_set || !(self.peek_symbol() == Some(':') || self.is_to()) {
            return Some(first);
        }
        let mut parts = vec![first];
        while self.is_to() || self.peek_symbol() == Some(':') {
            self.at += 1;
            parts.push(self.sum()?);
        }
        // `12:05` is a time of day; `3:5` may be one too, but less clearly.
        let two_digits = |token: &Token<'_>| matches!(&token.kind, Kind::Number { digits, .. } if digits.len() >= 2);
        let clock = self.tokens[start..self.at].last().is_some_and(two_digits);
        let ratio = Expr::Ratio(parts, clock);
        Some(self.with_unit(ratio))
    }

    pub(super) fn sum(&mut self) -> Option<Expr> {
        let mut terms: Vec<Expr> = Vec::new();
        if let Some(sign @ ('±' | '∓')) = self.peek_symbol() {
            self.at += 1;
            let term = self.product()?;
            terms.push(Expr::PlusMinus(Box::new(Expr::integer(0)), Box::new(term), sign == '∓'));
        } else {
            terms.push(self.product()?);
        }
        loop {
            let Some(sign @ ('+' | '-' | '±' | '∓')) = self.peek_symbol() else {
                return Some(if terms.len() == 1 { terms.remove(0) } else { Expr::Sum(terms) });
            };
            self.at += 1;
            let term = self.product()?;
            match sign {
                '+' => terms.push(term),
                '-' => terms.push(term.negated()),
                _ => {
                    self.longer()?;
                    let before = if terms.len() == 1 { terms.remove(0) } else { Expr::Sum(std::mem::take(&mut terms)) };
                    terms = vec![Expr::PlusMinus(Box::new(before), Box::new(term), sign == '∓')];
                }
            }
        }
    }

    pub(super) fn product(&mut self) -> Option<Expr> {
        let mut product = self.signed()?;
        loop {
            match self.peek_symbol() {
                Some('*') => {
                    self.at += 1;
                    product = times(product, self.signed()?);
                }
                Some('/') if !self.is_per() => {
                    self.at += 1;
                    self.longer()?;
                    product = product.quotient(self.signed()?);
                }
                _ if self.skip_parenthesis() => {}
                _ if self.starts_factor() => product = self.adjoined(product)?,
                _ => return Some(product),
            }
        }
    }

    /// Whether a slash precedes a unit (`5 km/h`, `$3 / hour`).
    fn is_per(&self) -> bool {
        self.word_at(self.at + 1).is_some_and(|word| units::unit(word).is_some())
    }

    /// Whether the previous token is an integer, which forms a mixed number with a fraction after it.
    fn follows_whole_number(&self) -> bool {
        let before = |back: usize| self.at.checked_sub(back).map(|at| &self.tokens[at].kind);
        matches!(before(1), Some(Kind::Number { places: None, .. }))
            && !matches!(before(2), Some(Kind::Symbol('^' | '/' | '_' | '*')) | Some(Kind::Number { .. }))
    }

    fn signed(&mut self) -> Option<Expr> {
        match self.peek_symbol() {
            Some('-') => {
                self.at += 1;
                // A sign binds less tightly than implicit multiplication: -2 1/2 is -(2 1/2).
                Some(self.deeper(Parser::signed_product)?.negated())
            }
            Some('+') => {
                self.at += 1;
                self.deeper(Parser::signed)
            }
            _ => self.power(),
        }
    }

    /// The operand of a minus sign: adjacent factors, up to `*` and similar operators.
    fn signed_product(&mut self) -> Option<Expr> {
        let mut product = self.signed()?;
        loop {
            match self.skip_parenthesis() {
                true => {}
                false if self.starts_factor() => product = self.adjoined(product)?,
                false => return Some(product),
            }
        }
    }

    /// A product and the factor that follows without an operator, or the two parts of a mixed number.
    fn adjoined(&mut self, product: Expr) -> Option<Expr> {
        if !self.follows_whole_number() {
            return Some(times(product, self.power()?));
        }
        let plain = self.is_plain_mixed();
        let factor = self.power()?;
        if plain {
            self.at += 1;
            let (below, mark) = split_mark(self.power()?);
            return Some(mark.into_iter().fold(plus(product, factor.quotient(below)), |sum, mark| apply(mark, sum)));
        }
        let (fraction, mark) = split_mark(factor);
        if !is_proper_fraction(&fraction) {
            return Some(times(product, mark.into_iter().fold(fraction, |value, mark| apply(mark, value))));
        }
        Some(mark.into_iter().fold(plus(product, fraction), |sum, mark| apply(mark, sum)))
    }

    /// Whether the next token starts an implicit factor.
    pub(super) fn starts_factor(&self) -> bool {
        match self.peek() {
            Some(Kind::Number { .. }) => {
                // Two adjacent numbers are a mixed number or not a product.
                let before = self.at.checked_sub(1).map(|at| &self.tokens[at].kind);
                !matches!(before, Some(Kind::Number { .. })) || self.is_plain_mixed()
            }
            Some(Kind::Letter(_) | Kind::Begin) => true,
            Some(Kind::Command(name)) => !matches!(*name, "pmod" | "mod" | "bmod" | "choose" | "over"),
            Some(Kind::Word { letters, upright }) => self.is_factor(letters, *upright),
            Some(Kind::Symbol('|')) => self.bars == 0,
            Some(Kind::Symbol('(' | '[' | '{' | GROUP | '⌊' | '⌈' | '⟨' | '∞')) => true,
            _ => false,
        }
    }

    /// Whether this is `2 1/2`, at the 1.
    fn is_plain_mixed(&self) -> bool {
        let number =
            |at: usize| matches!(self.tokens.get(at).map(|token| &token.kind), Some(Kind::Number { places: None, .. }));
        number(self.at)
            && matches!(self.tokens.get(self.at + 1).map(|t| &t.kind), Some(Kind::Symbol('/')))
            && number(self.at + 2)
    }

    /// Whether a word is a factor of the preceding value rather than its unit.
    fn is_factor(&self, letters: &str, upright: bool) -> bool {
        if words::function(letters).is_some() {
            return true;
        }
        if words::is_connective(letters) || upright {
            // Upright letters are units, but `2\mathrm{i}` and `2\mathrm{e}` are products.
            return upright && (letters == "i" || letters == "e");
        }
        let capitals = letters.bytes().all(|b| b.is_ascii_uppercase());
        letters.len() <= 3
            && !words::is_text(letters)
            && units::unit(letters).is_none()
            && (capitals || letters.bytes().all(|b| b.is_ascii_lowercase()))
    }

    /// A factor with its exponents, factorials, percent and degree signs.
    pub(super) fn power(&mut self) -> Option<Expr> {
        let base = self.deeper(Parser::atom)?;
        self.raised(base)
    }

    pub(super) fn raised(&mut self, mut base: Expr) -> Option<Expr> {
        loop {
            if matches!(self.peek_symbol(), Some('^' | '!' | '%' | '°')) {
                self.longer()?;
            }
            match self.peek_symbol() {
                Some('^') => {
                    self.at += 1;
                    if self.accept_ordinal() {
                        continue;
                    }
                    if self.accept_degrees() {
                        (!matches!(base, Expr::Apply(Function::Degrees, _))).then_some(())?;
                        base = apply(Function::Degrees, base);
                        continue;
                    }
                    let exponent = self.deeper(Parser::exponent)?;
                    base = Expr::Power(Box::new(base), Box::new(exponent));
                }
                Some('!') => {
                    self.at += 1;
                    base = apply(Function::Factorial, base);
                }
                Some('%' | '°') if matches!(base, Expr::Apply(Function::Percent | Function::Degrees, _)) => {
                    return None;
                }
                Some('%') => {
                    self.at += 1;
                    base = apply(Function::Percent, base);
                }
                Some('°') => {
                    self.at += 1;
                    base = apply(Function::Degrees, base);
                }
                _ => return Some(base),
            }
        }
    }

    /// `\circ` or `{\circ}` after a caret.
    fn accept_degrees(&mut self) -> bool {
        if self.accept('°') {
            return true;
        }
        let symbol = |at: usize| self.tokens.get(at).map(|token| &token.kind);
        let grouped = symbol(self.at) == Some(&Kind::Symbol(GROUP))
            && symbol(self.at + 1) == Some(&Kind::Symbol('°'))
            && symbol(self.at + 2) == Some(&Kind::Symbol(END_GROUP));
        self.at += if grouped { 3 } else { 0 };
        grouped
    }

    fn exponent(&mut self) -> Option<Expr> {
        match self.peek_symbol() {
            Some('-') => {
                self.at += 1;
                Some(self.deeper(Parser::exponent)?.negated())
            }
            _ => {
                let atom = self.atom()?;
                // Powers group to the right in plain text; `x^2!` is (x^2)!.
                if self.peek_symbol() == Some('^') { self.raised(atom) } else { Some(atom) }
            }
        }
    }
}

pub(super) fn apply(function: Function, argument: Expr) -> Expr {
    Expr::Apply(function, Box::new(argument))
}

pub(super) fn times(left: Expr, right: Expr) -> Expr {
    match left {
        Expr::Product(mut factors) => {
            factors.push(right);
            Expr::Product(factors)
        }
        left => Expr::Product(vec![left, right]),
    }
}

fn plus(left: Expr, right: Expr) -> Expr {
    Expr::Sum(vec![left, right])
}

/// Removes a percent or degree sign from a value.
fn split_mark(expr: Expr) -> (Expr, Option<Function>) {
    match expr {
        Expr::Apply(mark @ (Function::Percent | Function::Degrees), inner) => (*inner, Some(mark)),
        expr => (expr, None),
    }
}

/// Whether an expression is a fraction of integers below one, as in a mixed number.
fn is_proper_fraction(expr: &Expr) -> bool {
    let whole = |side: &Expr| match side {
        Expr::Number { value, places: None } => Some(value.clone()),
        _ => None,
    };
    match expr {
        Expr::Quotient(above, below) => {
            matches!((whole(above), whole(below)), (Some(above), Some(below)) if above < below)
        }
        _ => false,
    }
}
