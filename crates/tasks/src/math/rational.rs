//! Exact fractions of integers of bounded size.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

use super::budget::Budget;

/// Larger numerators and denominators are rejected.
const MAX_BITS: u64 = 20_000;

/// A rational number; the denominator is positive, the fraction need not be in lowest terms.
#[derive(Clone, Debug)]
pub(super) struct Rational {
    pub(super) numerator: BigInt,
    pub(super) denominator: BigInt,
}

impl Rational {
    pub(super) fn integer(value: impl Into<BigInt>) -> Rational {
        Rational { numerator: value.into(), denominator: 1.into() }
    }

    /// The number with these digits, the last `places` of them after the decimal point.
    pub(super) fn decimal(digits: &str, places: u32) -> Option<Rational> {
        let numerator = match digits.parse::<u64>() {
            Ok(small) => small.into(),
            Err(_) => digits.parse().ok()?,
        };
        let denominator = if places == 0 { 1.into() } else { BigInt::from(10).pow(places) };
        Some(Rational { numerator, denominator })
    }

    /// Rejects a result that has grown too large, and charges the work spent on it.
    fn checked(self, budget: &Budget) -> Option<Rational> {
        let (numerator, denominator) = (self.numerator.bits(), self.denominator.bits());
        let words = (numerator + denominator) / 64;
        budget.spend(2 + words * words / 16)?;
        (numerator <= MAX_BITS && denominator <= MAX_BITS).then_some(self)
    }

    pub(super) fn add(&self, other: &Rational, budget: &Budget) -> Option<Rational> {
        let numerator = &self.numerator * &other.denominator + &other.numerator * &self.denominator;
        Rational { numerator, denominator: &self.denominator * &other.denominator }.checked(budget)
    }

    pub(super) fn mul(&self, other: &Rational, budget: &Budget) -> Option<Rational> {
        let denominator = &self.denominator * &other.denominator;
        Rational { numerator: &self.numerator * &other.numerator, denominator }.checked(budget)
    }

    /// One divided by the number.
    pub(super) fn inverse(&self) -> Option<Rational> {
        let (numerator, denominator) = (self.denominator.clone(), self.numerator.clone());
        match denominator.sign() {
            Sign::NoSign => None,
            Sign::Plus => Some(Rational { numerator, denominator }),
            Sign::Minus => Some(Rational { numerator: -numerator, denominator: -denominator }),
        }
    }

    pub(super) fn negate(&self) -> Rational {
        Rational { numerator: -&self.numerator, denominator: self.denominator.clone() }
    }

    pub(super) fn pow(&self, exponent: i64, budget: &Budget) -> Option<Rational> {
        let base = if exponent < 0 { self.inverse()? } else { self.clone() };
        let times = u32::try_from(exponent.unsigned_abs()).ok()?;
        let bits = base.numerator.bits().max(base.denominator.bits());
        // Powers of one and zero stay small.
        if bits > 1 && bits.checked_mul(u64::from(times))? > 2 * MAX_BITS {
            return None;
        }
        Rational { numerator: base.numerator.pow(times), denominator: base.denominator.pow(times) }.checked(budget)
    }

    /// The value as an integer, if it is one.
    pub(super) fn to_integer(&self) -> Option<BigInt> {
        let quotient = &self.numerator / &self.denominator;
        (&quotient * &self.denominator == self.numerator).then_some(quotient)
    }

    /// The value as a small integer, if it is one.
    pub(super) fn to_i64(&self) -> Option<i64> {
        i64::try_from(self.to_integer()?).ok()
    }

    pub(super) fn is_negative(&self) -> bool {
        self.numerator.sign() == Sign::Minus
    }

    pub(super) fn is_zero(&self) -> bool {
        self.numerator.sign() == Sign::NoSign
    }

    pub(super) fn floor(&self) -> BigInt {
        let quotient = &self.numerator / &self.denominator;
        if self.is_negative() && &quotient * &self.denominator != self.numerator { quotient - 1 } else { quotient }
    }

    /// Whether |self - other| is below 10^-places.
    pub(super) fn within_last_place(&self, other: &Rational, places: u32) -> bool {
        let left = &self.numerator * &other.denominator;
        let right = &other.numerator * &self.denominator;
        let difference = if left > right { left - right } else { right - left };
        difference * BigInt::from(10).pow(places) < &self.denominator * &other.denominator
    }
}

impl PartialEq for Rational {
    fn eq(&self, other: &Rational) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Rational {}

impl PartialOrd for Rational {
    fn partial_cmp(&self, other: &Rational) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rational {
    fn cmp(&self, other: &Rational) -> Ordering {
        (&self.numerator * &other.denominator).cmp(&(&other.numerator * &self.denominator))
    }
}
