//! Exact values of constants that are rational.

use num_bigint::{BigInt, Sign};

use super::budget::Budget;
use super::expr::{Expr, Function};
use super::rational::Rational;

/// Factorials and binomials of larger arguments are not computed.
const MAX_FACTORIAL: i64 = 1_000;

/// The value of an expression if it is a rational number of bounded size, found with bounded work.
pub(super) fn rational(expr: &Expr, budget: &Budget) -> Option<Rational> {
    budget.spend(1)?;
    match expr {
        Expr::Number { value, .. } => Some(value.clone()),
        Expr::Sum(terms) => {
            let mut terms = terms.iter();
            let first = rational(terms.next()?, budget)?;
            terms.try_fold(first, |sum, term| sum.add(&rational(term, budget)?, budget))
        }
        Expr::Product(factors) => {
            let mut factors = factors.iter();
            let first = rational(factors.next()?, budget)?;
            factors.try_fold(first, |product, factor| product.mul(&rational(factor, budget)?, budget))
        }
        Expr::Negated(inner) => Some(rational(inner, budget)?.negate()),
        Expr::Quotient(above, below) => rational(above, budget)?.mul(&rational(below, budget)?.inverse()?, budget),
        Expr::Power(base, exponent) => power(&rational(base, budget)?, &rational(exponent, budget)?, budget),
        Expr::Root(radicand, degree) => {
            let degree = rational(degree, budget)?.to_i64()?;
            root(&rational(radicand, budget)?, u32::try_from(degree).ok()?, budget)
        }
        Expr::Binomial(above, below) => {
            binomial(rational(above, budget)?.to_i64()?, rational(below, budget)?.to_i64()?, budget)
        }
        Expr::Apply(function, argument) => apply(*function, argument, budget),
        _ => None,
    }
}

fn power(base: &Rational, exponent: &Rational, budget: &Budget) -> Option<Rational> {
    if let Some(whole) = exponent.to_i64() {
        return if base.is_zero() && whole <= 0 {
            (whole == 0).then(|| Rational::integer(1))
        } else {
            base.pow(whole, budget)
        };
    }
    let degree = u32::try_from(&exponent.denominator).ok()?;
    let times = i64::try_from(&exponent.numerator).ok()?;
    root(base, degree, budget)?.pow(times, budget)
}

/// The real root of a perfect power.
fn root(radicand: &Rational, degree: u32, budget: &Budget) -> Option<Rational> {
    if degree == 0 || degree > 64 || (radicand.is_negative() && degree.is_multiple_of(2)) {
        return None;
    }
    // The fraction need not be in lowest terms: a/b = a b^(n-1) / b^n.
    let lifted = radicand.denominator.pow(degree - 1) * &radicand.numerator;
    let words = lifted.bits() / 64;
    budget.spend(10 + words * words)?;
    let found = lifted.nth_root(degree);
    (found.pow(degree) == lifted).then(|| Rational { numerator: found, denominator: radicand.denominator.clone() })
}

fn binomial(above: i64, below: i64, budget: &Budget) -> Option<Rational> {
    if !(0..=MAX_FACTORIAL).contains(&above) || below < 0 || below > above {
        return None;
    }
    budget.spend(20 * below.min(above - below) as u64)?;
    let steps = below.min(above - below);
    let value = (0..steps).fold(BigInt::from(1), |value, k| value * (above - k) / (k + 1));
    Some(Rational::integer(value))
}

fn apply(function: Function, argument: &Expr, budget: &Budget) -> Option<Rational> {
    let value = rational(argument, budget)?;
    match function {
        Function::Abs if value.is_negative() => Some(value.negate()),
        Function::Abs => Some(value),
        Function::Floor => Some(Rational::integer(value.floor())),
        Function::Ceil => Some(Rational::integer(-value.negate().floor())),
        Function::Percent => value.mul(&Rational::decimal("1", 2)?, budget),
        Function::Factorial => {
            let count = value.to_i64().filter(|count| (0..=MAX_FACTORIAL).contains(count))?;
            budget.spend(10 * count as u64)?;
            Some(Rational::integer((1..=count).fold(BigInt::from(1), |product, factor| product * factor)))
        }
        Function::Sin | Function::Tan if value.numerator.sign() == Sign::NoSign => Some(Rational::integer(0)),
        Function::Cos if value.numerator.sign() == Sign::NoSign => Some(Rational::integer(1)),
        _ => None,
    }
}
