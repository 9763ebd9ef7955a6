//! Values in a prime field: sums, products and integer powers are exact, everything else is an opaque symbol.
//!
//! A polynomial or rational function with rational coefficients that is not zero vanishes at a fixed point of a field of
//! 2^60 elements with probability about its degree / 2^60 (Schwartz, Zippel); two fields are used. Roots, logarithms and
//! unknown functions become hashes of their arguments, so equal residues always mean equal values, while different
//! residues prove a difference only for rational functions.

use num_bigint::BigInt;

use super::budget::Budget;
use super::constant::rational;
use super::expr::{Expr, Function};

/// A prime field with a square root of -1 and a seed for the values of variables.
pub(super) struct Field {
    prime: u64,
    imaginary: u64,
    seed: u64,
}

/// Two primes p with (p - 1) / 4 prime, so that powers do not repeat early.
pub(super) const FIELDS: [Field; 2] = [
    Field { prime: 1_729_382_256_910_272_149, imaginary: 1_529_876_815_415_531_833, seed: 0x9e37_79b9_7f4a_7c15 },
    Field { prime: 3_458_764_513_820_542_229, imaginary: 791_033_859_193_007_526, seed: 0xd1b5_4a32_d192_ed03 },
];

/// Factorials of larger numbers are opaque symbols.
const MAX_FACTORIAL: i64 = 1_000;

/// A residue, and whether it comes from a rational function only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Residue {
    pub(super) value: u64,
    pub(super) exact: bool,
}

impl Field {
    /// The residue of a scalar; `None` for a division by zero, an infinity, a non-scalar, or too much work.
    pub(super) fn evaluate(&self, expr: &Expr, budget: &Budget) -> Option<Residue> {
        budget.spend(2)?;
        let exact = |value| Some(Residue { value, exact: true });
        match expr {
            Expr::Number { value, .. } => {
                let bits = value.numerator.bits() + value.denominator.bits();
                budget.spend(if bits <= 64 { 0 } else { 10 + bits / 16 })?;
                let below = self.integer(&value.denominator);
                let above = self.integer(&value.numerator);
                exact(if below == 1 { above } else { self.times(above, self.inverse(below)?) })
            }
            Expr::Symbol(name) => exact(self.named(name)),
            Expr::Pi => exact(self.named("\\pi")),
            Expr::Euler => exact(self.named("\\e")),
            Expr::Imaginary => exact(self.imaginary),
            Expr::Sum(terms) => self.fold(terms, 0, budget, |a, b| self.plus(a, b)),
            Expr::Product(factors) => self.fold(factors, 1, budget, |a, b| self.times(a, b)),
            Expr::Negated(inner) => {
                let inner = self.evaluate(inner, budget)?;
                Some(Residue { value: self.minus(inner.value), ..inner })
            }
            Expr::Quotient(above, below) => {
                let (above, below) = (self.evaluate(above, budget)?, self.evaluate(below, budget)?);
                budget.spend(30)?;
                let value = self.times(above.value, self.inverse(below.value)?);
                Some(Residue { value, exact: above.exact && below.exact })
            }
            Expr::Power(base, exponent) => self.power(base, exponent, budget),
            Expr::Apply(function, argument) => self.apply(*function, argument, budget),
            Expr::Root(..) | Expr::Binomial(..) if rational(expr, budget).is_some() => {
                let value = rational(expr, budget)?;
                exact(self.times(self.integer(&value.numerator), self.inverse(self.integer(&value.denominator))?))
            }
            Expr::Root(radicand, degree) => self.name_of("root", &[radicand, degree], budget),
            Expr::Logarithm(base, argument) => self.name_of("log", &[base, argument], budget),
            Expr::Binomial(above, below) => self.name_of("binom", &[above, below], budget),
            Expr::Call(name, arguments) => {
                let named = self.name_of(name, &arguments.iter().collect::<Vec<_>>(), budget)?;
                // An unknown function is an indeterminate.
                Some(Residue { exact: true, ..named })
            }
            _ => None,
        }
    }

    fn fold(&self, parts: &[Expr], start: u64, budget: &Budget, join: impl Fn(u64, u64) -> u64) -> Option<Residue> {
        let mut result = Residue { value: start, exact: true };
        for part in parts {
            let part = self.evaluate(part, budget)?;
            result = Residue { value: join(result.value, part.value), exact: result.exact && part.exact };
        }
        Some(result)
    }

    fn power(&self, base: &Expr, exponent: &Expr, budget: &Budget) -> Option<Residue> {
        let whole = rational(exponent, budget).and_then(|exponent| exponent.to_integer());
        let Some(exponent_value) = whole else {
            return self.name_of("power", &[base, exponent], budget);
        };
        budget.spend(60)?;
        let base = self.evaluate(base, budget)?;
        if base.value == 0 {
            let zero = BigInt::ZERO;
            let value = if exponent_value == zero { 1 } else { 0 };
            return (exponent_value >= zero).then_some(Residue { value, ..base });
        }
        let order = BigInt::from(self.prime - 1);
        let reduced = u64::try_from(((exponent_value % &order) + &order) % &order).ok()?;
        Some(Residue { value: self.raise(base.value, reduced), ..base })
    }

    fn apply(&self, function: Function, argument: &Expr, budget: &Budget) -> Option<Residue> {
        let hundredth =
            |inner: Residue| Some(Residue { value: self.times(inner.value, self.inverse(100)?), exact: inner.exact });
        match function {
            Function::Percent => hundredth(self.evaluate(argument, budget)?),
            Function::Degrees => {
                let argument = self.evaluate(argument, budget)?;
                let turn = self.times(self.named("\\pi"), self.inverse(180)?);
                Some(Residue { value: self.times(argument.value, turn), ..argument })
            }
            Function::Factorial => {
                let count = rational(argument, budget).and_then(|count| count.to_i64());
                let Some(count) = count.filter(|count| (0..=MAX_FACTORIAL).contains(count)) else {
                    return self.name_of("!", &[argument], budget);
                };
                budget.spend(count as u64)?;
                let value = (1..=count as u64).fold(1, |product, factor| self.times(product, factor));
                Some(Residue { value, exact: true })
            }
            Function::Exp => self.name_of("power", &[&Expr::Euler, argument], budget),
            function => self.name_of(&format!("{function:?}"), &[argument], budget),
        }
    }

    /// A value that represents an operation on values.
    fn name_of(&self, name: &str, arguments: &[&Expr], budget: &Budget) -> Option<Residue> {
        let mut value = self.named(name);
        for argument in arguments {
            value = self.hash(value, self.evaluate(argument, budget)?.value);
        }
        Some(Residue { value: value % self.prime, exact: false })
    }

    fn named(&self, name: &str) -> u64 {
        name.bytes().fold(self.seed, |hash, byte| self.hash(hash, u64::from(byte))) % self.prime
    }

    /// Mixes two values into one (the finalizer of SplitMix64).
    fn hash(&self, seed: u64, value: u64) -> u64 {
        let mut mixed = (seed ^ value.wrapping_mul(0xff51_afd7_ed55_8ccd)).wrapping_add(self.seed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn integer(&self, value: &BigInt) -> u64 {
        if let Ok(small) = i64::try_from(value) {
            return small.rem_euclid(self.prime as i64) as u64;
        }
        let prime = BigInt::from(self.prime);
        u64::try_from(((value % &prime) + &prime) % &prime).unwrap_or(0)
    }

    fn plus(&self, a: u64, b: u64) -> u64 {
        (a + b) % self.prime
    }

    fn minus(&self, a: u64) -> u64 {
        if a == 0 { 0 } else { self.prime - a }
    }

    fn times(&self, a: u64, b: u64) -> u64 {
        (u128::from(a) * u128::from(b) % u128::from(self.prime)) as u64
    }

    fn raise(&self, base: u64, mut exponent: u64) -> u64 {
        let (mut square, mut power) = (base, 1);
        while exponent > 0 {
            if exponent & 1 == 1 {
                power = self.times(power, square);
            }
            square = self.times(square, square);
            exponent >>= 1;
        }
        power
    }

    fn inverse(&self, value: u64) -> Option<u64> {
        (value != 0).then(|| self.raise(value, self.prime - 2))
    }
}
