//! Whether two scalars are the same number or the same function.

use std::cmp::Ordering;

use super::budget::{Budget, Rounding};
use super::constant::rational;
use super::counting;
use super::expr::{Expr, Function};
use super::numeric::{Ball, Point};
use super::rational::Rational;
use super::residue::FIELDS;

/// A decimal with this many places counts as the rounded form of a value with which it agrees in every place.
const ROUNDED_PLACES: u32 = 6;
/// A rounded answer has at least this many significant digits with [`Rounding::GivenDigits`].
const GIVEN_DIGITS: usize = 3;
/// It must also have this many significant digits.
const ROUNDED_DIGITS: usize = 6;

/// Values this close, relative to the larger or to 1, are the same if their errors allow it: closer than any coincidence.
const RESOLUTION: f64 = 1e-18;

/// Whether two scalars are equal: residues and fractions exactly, roots and transcendental functions to about 20 digits
/// at several points. A decimal of six places or more may be the rounded value of the other.
///
/// Names such as `C_9^4` and `P(9,2)` are read as numbers of choices where that makes them equal.
pub(super) fn equal(left: &Expr, right: &Expr, budget: &Budget) -> bool {
    if equal_as_written(left, right, budget) {
        return true;
    }
    match (counting::read(left), counting::read(right)) {
        (None, None) => false,
        (first, second) => equal_as_written(first.as_ref().unwrap_or(left), second.as_ref().unwrap_or(right), budget),
    }
}

fn equal_as_written(left: &Expr, right: &Expr, budget: &Budget) -> bool {
    if is_infinite(left) || is_infinite(right) {
        return infinity(left) == infinity(right);
    }
    match by_residue(left, right, budget) {
        Some(true) => return true,
        known => {
            if let Some(rounded) = by_rounding(left, right, budget) {
                return rounded;
            }
            if known == Some(false) {
                return false;
            }
        }
    }
    by_value(left, right, budget)
}

/// `Some` if equality is certain either way; `None` if only evaluation can decide.
fn by_residue(left: &Expr, right: &Expr, budget: &Budget) -> Option<bool> {
    let mut exact = true;
    for field in &FIELDS {
        let (left, right) = (field.evaluate(left, budget)?, field.evaluate(right, budget)?);
        exact &= left.exact && right.exact;
        if left.value != right.value {
            return exact.then_some(false);
        }
    }
    Some(true)
}

/// Whether one side is a long decimal that rounds the other; `None` if neither is.
fn by_rounding(left: &Expr, right: &Expr, budget: &Budget) -> Option<bool> {
    if budget.rounding == Rounding::GivenDigits && rounds_to(left, right, budget) {
        return Some(true);
    }
    let (decimal, other) = match (decimal(left), decimal(right)) {
        (None, None) => return None,
        (Some(left), Some(right)) => return Some(left.0.within_last_place(&right.0, left.1.min(right.1))),
        (Some(found), None) => (found, right),
        (None, Some(found)) => (found, left),
    };
    let (value, places) = decimal;
    if let Some(exact) = rational(other, budget) {
        return Some(value.within_last_place(&exact, places));
    }
    let ball = POINTS[0].evaluate(other, budget)?;
    let number = Expr::Number { value, places: None };
    let distance = ball.distance(POINTS[0].evaluate(&number, budget)?);
    let constant = !other.any(&|part| matches!(part, Expr::Symbol(_) | Expr::Call(..)));
    constant.then_some(distance < libm::pow(10.0, -f64::from(places)))
}

/// Whether the reference, rounded to the places of an answer with at least three significant digits, is the answer.
fn rounds_to(gold: &Expr, answer: &Expr, budget: &Budget) -> bool {
    let places = |expr: &Expr| match expr {
        Expr::Number { places, .. } => *places,
        _ => None,
    };
    let (number, sign) = match answer {
        Expr::Negated(inner) => (&**inner, -1),
        other => (other, 1),
    };
    let (Expr::Number { value, .. }, Some(given)) = (number, places(number)) else { return false };
    let digits = value.numerator.to_string().trim_start_matches('-').len();
    // A reference with fewer places says less than the answer.
    if digits < GIVEN_DIGITS || places(gold).is_some_and(|places| places <= given) {
        return false;
    }
    let signed = if sign < 0 { value.negate() } else { value.clone() };
    let half = Rational::decimal("5", given + 1);
    match (rational(gold, budget), half) {
        (Some(exact), Some(half)) => {
            let difference = signed.add(&exact.negate(), budget);
            difference.is_some_and(|difference| difference <= half && difference.negate() <= half)
        }
        (None, Some(_)) => {
            let number = Expr::Number { value: signed, places: None };
            let balls = (POINTS[0].evaluate(gold, budget), POINTS[0].evaluate(&number, budget));
            let constant = !gold.any(&|part| matches!(part, Expr::Symbol(_) | Expr::Call(..)));
            let bound = 0.5 * libm::pow(10.0, -f64::from(given));
            matches!(balls, (Some(exact), Some(number)) if constant && exact.distance(number) <= bound)
        }
        _ => false,
    }
}

/// The value and the number of places of a decimal that is long enough to be rounded.
fn decimal(expr: &Expr) -> Option<(Rational, u32)> {
    match expr {
        Expr::Negated(inner) => decimal(inner).map(|(value, places)| (value.negate(), places)),
        Expr::Number { value, places: Some(places) } if *places >= ROUNDED_PLACES => {
            let digits = value.numerator.to_string().trim_start_matches('-').len();
            (digits >= ROUNDED_DIGITS).then(|| (value.clone(), *places))
        }
        _ => None,
    }
}

/// Points at which expressions are evaluated; the negative point counts only if both sides are real.
const POINTS: [Point; 3] = [
    Point { seed: 0x6a09_e667_f3bc_c908, negative: false, natural_log: false },
    Point { seed: 0xbb67_ae85_84ca_a73b, negative: false, natural_log: false },
    Point { seed: 0x3c6e_f372_fe94_f82b, negative: true, natural_log: false },
];

fn by_value(left: &Expr, right: &Expr, budget: &Budget) -> bool {
    let has =
        |expr: &Expr, function: Function| expr.any(&|part| matches!(part, Expr::Apply(found, _) if *found == function));
    let bare = has(left, Function::Log) || has(right, Function::Log);
    let natural = bare && (has(left, Function::Ln) || has(right, Function::Ln));
    agree(left, right, natural, budget)
}

/// Whether two scalars have the same value at all points, with a logarithm without a base either natural or of base ten.
fn agree(left: &Expr, right: &Expr, natural_log: bool, budget: &Budget) -> bool {
    let variables = |expr: &Expr| expr.any(&|part| matches!(part, Expr::Symbol(_)));
    let constant = !variables(left) && !variables(right);
    let mut shown = false;
    for point in &POINTS[..if constant { 1 } else { POINTS.len() }] {
        let point = Point { natural_log, ..*point };
        match (point.evaluate(left, budget), point.evaluate(right, budget)) {
            (Some(a), Some(b)) if point.negative && !(a.is_real() && b.is_real()) => {}
            (Some(a), Some(b)) if same_value(a, b) => shown = true,
            (Some(_), Some(_)) => return false,
            _ if point.negative => {}
            _ => return false,
        }
    }
    shown
}

fn same_value(a: Ball, b: Ball) -> bool {
    let errors = a.error + b.error;
    a.distance(b) <= errors && errors <= RESOLUTION * a.size().max(b.size()).max(1.0)
}

/// The order of two real constants; `None` if they are not real constants or are equal to within the error.
pub(super) fn order(left: &Expr, right: &Expr, budget: &Budget) -> Option<Ordering> {
    match (infinity(left), infinity(right)) {
        (0, 0) => {}
        (left, right) => return Some(left.cmp(&right)),
    }
    if let (Some(left), Some(right)) = (rational(left, budget), rational(right, budget)) {
        return Some(left.cmp(&right));
    }
    let (left, right) = (POINTS[0].evaluate(left, budget)?, POINTS[0].evaluate(right, budget)?);
    if !left.is_real() || !right.is_real() {
        return None;
    }
    if left.distance(right) <= left.error + right.error {
        return Some(Ordering::Equal);
    }
    left.re.high.partial_cmp(&right.re.high).filter(|order| *order != Ordering::Equal)
}

fn is_infinite(expr: &Expr) -> bool {
    infinity(expr) != 0
}

/// The sign of an infinity, 0 for anything else.
fn infinity(expr: &Expr) -> i8 {
    match expr {
        Expr::Infinity => 1,
        Expr::Negated(inner) => -infinity(inner),
        _ => 0,
    }
}

/// Whether an equation `left = 0` has the same solutions as `right = 0` because one is a constant multiple of the other.
pub(super) fn proportional(left: &Expr, right: &Expr, budget: &Budget) -> bool {
    let mut ratios = Vec::new();
    for (at, point) in POINTS.iter().enumerate() {
        match (point.evaluate(left, budget), point.evaluate(right, budget)) {
            (Some(a), Some(b)) => ratios.push((a, b)),
            _ if at < 2 => return proportional_residues(left, right, budget),
            _ => {}
        }
    }
    let (first_left, first_right) = ratios[0];
    ratios[1..].iter().all(|(left, right)| match (first_left.mul(*right), left.mul(first_right)) {
        (Some(a), Some(b)) => same_value(a, b) && a.size() > RESOLUTION,
        _ => false,
    })
}

/// The same for equations without numeric values: only an equal or opposite side counts.
fn proportional_residues(left: &Expr, right: &Expr, budget: &Budget) -> bool {
    by_residue(left, right, budget) == Some(true) || by_residue(left, &right.clone().negated(), budget) == Some(true)
}

/// Whether `left` is a positive multiple of `right`, so that `left > 0` has the same solutions as `right > 0`.
pub(super) fn positive_multiple(left: &Expr, right: &Expr, budget: &Budget) -> bool {
    let sides = || Some((POINTS[0].evaluate(left, budget)?, POINTS[0].evaluate(right, budget)?));
    proportional(left, right, budget)
        && sides().is_some_and(|(a, b)| a.is_real() && b.is_real() && (a.re.high > 0.0) == (b.re.high > 0.0))
}
