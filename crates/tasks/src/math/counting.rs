//! Notations of counting: `C_9^4`, `C^4_9`, `_9C_4`, `9C4`, `C(9,4)`, `P(9,2)`, `A_9^2`, `\\Gamma(5)`, and factorials of expressions.

use super::{
    expr::{Expr, Function},
    parser::{apply, times},
    rational::Rational,
};

/// Factorials of expressions are reduced by at most this many factors.
const MAX_SHIFT: i64 = 20;

/// An expression with these notations replaced by binomials and factorials; `None` if it has none.
pub(super) fn read(expr: &Expr) -> Option<Expr> {
    let read_part = |part: &Expr| choice(part).or_else(|| shifted(part)).or_else(|| symbolic(part));
    expr.any(&|part| read_part(part).is_some()).then(|| expr.clone().map(&|part| read_part(&part).unwrap_or(part)))
}

/// `\\binom{n}{2}` as `n (n-1) / 2!`.
fn symbolic(expr: &Expr) -> Option<Expr> {
    let Expr::Binomial(above, below) = expr else { return None };
    let below = whole(below).filter(|below| *below <= MAX_SHIFT)?;
    if constant(above).is_some() {
        return None;
    }
    let factors = (0..below).map(|at| (**above).clone().minus(Expr::integer(at)));
    Some(Expr::Product(factors.collect()).quotient(apply(Function::Factorial, Expr::integer(below))))
}

fn whole(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Number { value, places: None } => value.to_i64().filter(|value| *value >= 0),
        _ => None,
    }
}

/// Combinations, permutations and the gamma function of integers.
fn choice(expr: &Expr) -> Option<Expr> {
    let (name, above, below) = match expr {
        Expr::Call(name, arguments) if matches!(name.as_str(), "Γ") => {
            let [argument] = arguments.as_slice() else { return None };
            let count = whole(argument).filter(|count| *count > 0)?;
            return Some(apply(Function::Factorial, Expr::integer(count - 1)));
        }
        Expr::Call(name, arguments) => {
            let [above, below] = arguments.as_slice() else { return None };
            (name.clone(), whole(above)?, whole(below)?)
        }
        // `C^4_9`, where the parser sees digits in a base.
        Expr::Power(base, exponent) if matches!((&**base, &**exponent), (Expr::Symbol(_), Expr::Based(..))) => {
            let (Expr::Symbol(name), Expr::Based(below, above)) = (&**base, &**exponent) else { return None };
            (name.clone(), i64::from(*above), below.parse().ok()?)
        }
        // `C_9^4`
        Expr::Power(base, exponent) => {
            let Expr::Symbol(symbol) = &**base else { return None };
            let (name, above) = symbol.split_once('_')?;
            (name.to_owned(), above.parse().ok()?, whole(exponent)?)
        }
        _ => return None,
    };
    if below > above {
        return None;
    }
    let binomial = Expr::Binomial(Box::new(Expr::integer(above)), Box::new(Expr::integer(below)));
    match name.as_str() {
        "C" => Some(binomial),
        "P" | "A" => Some(times(binomial, apply(Function::Factorial, Expr::integer(below)))),
        _ => None,
    }
}

/// `(n+2)!` as `n! (n+1) (n+2)`, so that factorials of expressions that differ by integers can be compared.
fn shifted(expr: &Expr) -> Option<Expr> {
    let Expr::Apply(Function::Factorial, argument) = expr else { return None };
    let Expr::Sum(terms) = &**argument else { return None };
    let (numbers, rest): (Vec<&Expr>, Vec<&Expr>) = terms.iter().partition(|term| constant(term).is_some());
    let shift: i64 = numbers.iter().filter_map(|term| constant(term)).sum();
    if rest.is_empty() || shift == 0 || shift.abs() > MAX_SHIFT {
        return None;
    }
    let base = match rest.as_slice() {
        [only] => (*only).clone(),
        several => Expr::Sum(several.iter().map(|term| (*term).clone()).collect()),
    };
    let factorial = apply(Function::Factorial, base.clone());
    let factor = |at: i64| Expr::Sum(vec![base.clone(), Expr::Number { value: Rational::integer(at), places: None }]);
    Some(if shift > 0 {
        (1..=shift).fold(factorial, |product, at| times(product, factor(at)))
    } else {
        (shift + 1..=0).fold(factorial, |quotient, at| quotient.quotient(factor(at)))
    })
}

fn constant(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Negated(inner) => constant(inner).map(|value| -value),
        Expr::Number { value, places: None } => value.to_i64(),
        _ => None,
    }
}
