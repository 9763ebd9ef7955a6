//! Notations of counting: `C_9^4`, `C^4_9`, `_9C_4`, `9C4`, `C(9,4)`, `P(9,2)`, `A_9^2`, `\Gamma(5)`, and factorials of expressions.

use super::{
    expr::{Expr, Function},
    parser::{apply, times},
};

/// Factorials of expressions are reduced by at most this many factors.
const MAX_SHIFT: i64 = 20;

/// An expression with these notations replaced by binomials and factorials; `None` if it has none.
pub(super) fn read(expr: &Expr) -> Option<Expr> {
    let read_part = |part: &Expr| choice(part).or_else(|| shifted(part)).or_else(|| symbolic(part));
    expr.any(&|part| read_part(part).is_some()).then(|| expr.clone().map(&|part| read_part(&part).unwrap_or(part)))
}

/// `\binom{n}{2}` as `n (n-1) / 2!`.
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
    if let Expr::Call(name, arguments) = expr
        && let ("Γ", [argument]) = (name.as_str(), arguments.as_slice())
    {
        let count = whole(argument).filter(|count| *count > 0)?;
        return Some(apply(Function::Factorial, Expr::integer(count - 1)));
    }
    let (name, above, below) = counted(expr).filter(|(_, above, below)| below <= above)?;
    let binomial = Expr::Binomial(Box::new(Expr::integer(above)), Box::new(Expr::integer(below)));
    match name {
        "C" => Some(binomial),
        "P" | "A" => Some(times(binomial, apply(Function::Factorial, Expr::integer(below)))),
        _ => None,
    }
}

/// The letter of a number of choices, how many things there are and how many are chosen.
fn counted(expr: &Expr) -> Option<(&str, i64, i64)> {
    match expr {
        Expr::Call(name, arguments) => match arguments.as_slice() {
            [above, below] => Some((name, whole(above)?, whole(below)?)),
            _ => None,
        },
        Expr::Power(base, exponent) => match (&**base, &**exponent) {
            // `C^4_9`, where the parser sees digits in a base.
            (Expr::Symbol(name), Expr::Based(below, above)) => Some((name, i64::from(*above), below.parse().ok()?)),
            // `C_9^4`
            (Expr::Symbol(symbol), exponent) => {
                let (name, above) = symbol.split_once('_')?;
                Some((name, above.parse().ok()?, whole(exponent)?))
            }
            _ => None,
        },
        _ => None,
    }
}

/// `(n+2)!` as `n! (n+1) (n+2)`, so that factorials of expressions that differ by integers can be compared.
fn shifted(expr: &Expr) -> Option<Expr> {
    let Expr::Apply(Function::Factorial, argument) = expr else { return None };
    let Expr::Sum(terms) = &**argument else { return None };
    let (numbers, rest): (Vec<&Expr>, Vec<&Expr>) = terms.iter().partition(|term| constant(term).is_some());
    let shift = numbers.iter().filter_map(|term| constant(term)).try_fold(0_i64, i64::checked_add)?;
    if rest.is_empty() || shift == 0 || !(-MAX_SHIFT..=MAX_SHIFT).contains(&shift) {
        return None;
    }
    let base = match rest.as_slice() {
        [only] => (*only).clone(),
        several => Expr::Sum(several.iter().map(|term| (*term).clone()).collect()),
    };
    let factorial = apply(Function::Factorial, base.clone());
    let factor = |at: i64| Expr::Sum(vec![base.clone(), Expr::integer(at)]);
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
