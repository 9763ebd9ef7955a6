//! Sums, products and powers of matrices, evaluated entry by entry.

use super::budget::Budget;
use super::constant::rational;
use super::expr::Expr;
use super::parser::times;

type Rows = Vec<Vec<Expr>>;

/// Determinants of more rows are not computed.
const MAX_DETERMINANT: usize = 4;
/// Nor determinants whose entries have more nodes in all: cofactors repeat them.
const MAX_ENTRIES_SIZE: u64 = 200;
/// Larger powers are not computed.
const MAX_POWER: i64 = 8;

/// The entries of a matrix expression; `None` if it is not one, or is too large.
pub(super) fn rows(expr: &Expr, budget: &Budget) -> Option<Rows> {
    budget.spend(5)?;
    match expr {
        Expr::Matrix(rows) => Some(rows.clone()),
        Expr::Negated(inner) => each(rows(inner, budget)?, budget, |entry| entry.negated()),
        Expr::Quotient(above, below) => each(rows(above, budget)?, budget, |entry| entry.quotient((**below).clone())),
        Expr::Sum(terms) => {
            let mut terms = terms.iter().map(|term| rows(term, budget));
            let first = terms.next()??;
            terms.try_fold(first, |sum, term| added(sum, term?))
        }
        Expr::Product(factors) => product(factors, budget),
        Expr::Power(base, exponent) => {
            let base = rows(base, budget)?;
            if matches!(&**exponent, Expr::Symbol(name) if ["T", "t", "\\top", "\\intercal"].contains(&name.as_str())) {
                return Some(transposed(&base));
            }
            let times = rational(exponent, budget)?.to_i64().filter(|times| (1..=MAX_POWER).contains(times))?;
            (1..times).try_fold(base.clone(), |power, _| multiplied(&power, &base, budget))
        }
        _ => None,
    }
}

fn transposed(rows: &Rows) -> Rows {
    (0..rows[0].len()).map(|column| rows.iter().map(|row| row[column].clone()).collect()).collect()
}

/// The determinant of a square matrix of at most [`MAX_DETERMINANT`] rows, by cofactors.
pub(super) fn determinant(rows: &Rows) -> Option<Expr> {
    let size: u64 = rows.iter().flatten().map(Expr::size).sum();
    if size > MAX_ENTRIES_SIZE || rows.len() > MAX_DETERMINANT || rows.iter().any(|row| row.len() != rows.len()) {
        return None;
    }
    let [first, rest @ ..] = rows.as_slice() else { return None };
    if rest.is_empty() {
        return Some(first[0].clone());
    }
    let cofactor = |column: usize| {
        let without =
            |row: &Vec<Expr>| row.iter().enumerate().filter(|(at, _)| *at != column).map(|(_, e)| e.clone()).collect();
        let minor = determinant(&rest.iter().map(without).collect())?;
        let term = times(first[column].clone(), minor);
        Some(if column.is_multiple_of(2) { term } else { term.negated() })
    };
    (0..rows.len()).map(cofactor).collect::<Option<Vec<_>>>().map(Expr::Sum)
}

fn each(rows: Rows, budget: &Budget, change: impl Fn(Expr) -> Expr) -> Option<Rows> {
    budget.spend(20 * (rows.len() * rows.first().map_or(0, Vec::len)) as u64)?;
    Some(rows.into_iter().map(|row| row.into_iter().map(&change).collect()).collect())
}

fn added(left: Rows, right: Rows) -> Option<Rows> {
    let same_shape = left.len() == right.len() && left[0].len() == right[0].len();
    let row = |(left, right): (Vec<Expr>, Vec<Expr>)| {
        left.into_iter().zip(right).map(|(a, b)| Expr::Sum(vec![a, b])).collect()
    };
    same_shape.then(|| left.into_iter().zip(right).map(row).collect())
}

fn product(factors: &[Expr], budget: &Budget) -> Option<Rows> {
    let mut scalars: Vec<Expr> = Vec::new();
    let mut result: Option<Rows> = None;
    for factor in factors {
        match (rows(factor, budget), result.take()) {
            (Some(right), Some(left)) => result = Some(multiplied(&left, &right, budget)?),
            (Some(right), None) => result = Some(right),
            (None, left) => {
                scalars.push(factor.clone());
                result = left;
            }
        }
    }
    scalars.into_iter().try_fold(result?, |rows, scalar| each(rows, budget, |entry| times(scalar.clone(), entry)))
}

fn multiplied(left: &Rows, right: &Rows, budget: &Budget) -> Option<Rows> {
    let (inner, columns) = (right.len(), right[0].len());
    if left[0].len() != inner {
        return None;
    }
    let size = |rows: &Rows| rows.iter().flatten().map(Expr::size).sum::<u64>();
    budget.spend(4 * (size(left) * columns as u64 + size(right) * left.len() as u64))?;
    let entry = |row: &Vec<Expr>, column: usize| {
        Expr::Sum((0..inner).map(|k| times(row[k].clone(), right[k][column].clone())).collect())
    };
    Some(left.iter().map(|row| (0..columns).map(|column| entry(row, column)).collect()).collect())
}
