//! Sets of real numbers: unions of intervals and points, in any notation.

use std::cmp::Ordering;

use super::budget::Budget;
use super::constant::rational;
use super::expr::{Brackets, Expr, Function, Relation, SetOperation};
use super::scalar;

/// Unions of more pieces are not compared.
const MAX_PIECES: usize = 100;

/// An interval; a point if both ends are the same.
#[derive(Clone, Debug)]
struct Piece {
    low: Expr,
    low_closed: bool,
    high: Expr,
    high_closed: bool,
}

impl Piece {
    fn point(value: Expr) -> Piece {
        Piece { low: value.clone(), low_closed: true, high: value, high_closed: true }
    }

    fn real_line() -> Piece {
        Piece { low: minus_infinity(), low_closed: false, high: Expr::Infinity, high_closed: false }
    }

    fn is_empty(&self, budget: &Budget) -> Option<bool> {
        Some(match scalar::order(&self.low, &self.high, budget)? {
            Ordering::Less => false,
            Ordering::Equal => !(self.low_closed && self.high_closed),
            Ordering::Greater => true,
        })
    }
}

/// A set of real numbers as separate pieces, from left to right.
#[derive(Clone, Debug)]
pub(super) struct Region(Vec<Piece>);

fn minus_infinity() -> Expr {
    Expr::Infinity.negated()
}

impl Region {
    /// The set described by an interval, a union or an inequality in one variable; `None` for anything else.
    pub(super) fn of(expr: &Expr, budget: &Budget) -> Option<Region> {
        budget.spend(10)?;
        match expr {
            Expr::Reals => Some(Region(vec![Piece::real_line()])),
            Expr::Several(Brackets::Ordered { left_closed, right_closed }, ends) => {
                let [low, high] = ends.as_slice() else { return None };
                let (low, high) = (low.clone(), high.clone());
                Region(vec![Piece { low, low_closed: *left_closed, high, high_closed: *right_closed }]).sorted(budget)
            }
            Expr::Several(Brackets::Set, points) => {
                Region(points.iter().cloned().map(Piece::point).collect()).sorted(budget)
            }
            Expr::Sets(operation, left, right) => {
                let (left, right) = (Region::of(left, budget)?, Region::of(right, budget)?);
                left.combined(*operation, right, budget)
            }
            Expr::Related(first, rest) => Region::of_relation(first, rest, budget),
            _ => None,
        }
    }

    fn of_relation(first: &Expr, rest: &[(Relation, Expr)], budget: &Budget) -> Option<Region> {
        match rest {
            [(Relation::In, set)] => Region::of(set, budget),
            [(relation, bound)] if is_variable(first) => Region::of_bound(*relation, bound, budget),
            [(relation, variable)] if is_variable(variable) => Region::of_bound(relation.reversed(), first, budget),
            [(relation, side)] => Region::of_side(first, *relation, side, budget)
                .or_else(|| Region::of_side(side, relation.reversed(), first, budget)),
            [(left, variable), (right, bound)] if is_variable(variable) => {
                let below = Region::of_bound(left.reversed(), first, budget)?;
                below.combined(SetOperation::Intersection, Region::of_bound(*right, bound, budget)?, budget)
            }
            _ => None,
        }
    }

    /// The numbers x with `x relation bound`.
    fn of_bound(relation: Relation, bound: &Expr, budget: &Budget) -> Option<Region> {
        let bound = bound.clone();
        // A bound without a position on the real line (an expression with variables) gives no region.
        scalar::order(&bound, &Expr::integer(0), budget)?;
        let below = |closed| Piece { high: bound.clone(), high_closed: closed, ..Piece::real_line() };
        let above = |closed| Piece { low: bound.clone(), low_closed: closed, ..Piece::real_line() };
        Some(Region(match relation {
            Relation::Less => vec![below(false)],
            Relation::AtMost => vec![below(true)],
            Relation::Greater => vec![above(false)],
            Relation::AtLeast => vec![above(true)],
            Relation::NotEqual => vec![below(false), above(false)],
            _ => return None,
        }))
    }

    /// The solutions of an inequality between a linear expression of one variable, or its absolute value, and a number.
    fn of_side(side: &Expr, relation: Relation, bound: &Expr, budget: &Budget) -> Option<Region> {
        if let Expr::Apply(Function::Abs, inside) = side {
            let above = Region::of_side_or_variable(inside, relation, bound, budget)?;
            let below = Region::of_side_or_variable(inside, relation.reversed(), &bound.clone().negated(), budget)?;
            let operation = match relation {
                Relation::Less | Relation::AtMost => SetOperation::Intersection,
                Relation::Greater | Relation::AtLeast => SetOperation::Union,
                _ => return None,
            };
            return above.combined(operation, below, budget);
        }
        let difference = side.clone().minus(bound.clone());
        let name = only_variable(&difference)?;
        let at = |x: i64| {
            let value = difference.clone().map(&|part| match part {
                Expr::Symbol(_) => Expr::integer(x),
                other => other,
            });
            rational(&value, budget)
        };
        let (zero, one, two) = (at(0)?, at(1)?, at(2)?);
        let slope = one.add(&zero.negate(), budget)?;
        if name.is_empty() || slope.is_zero() || two.add(&one.negate(), budget)? != slope {
            return None;
        }
        let relation = if slope.is_negative() { relation.reversed() } else { relation };
        let value = zero.negate().mul(&slope.inverse()?, budget)?;
        Region::of_bound(relation, &Expr::Number { value, places: None }, budget)
    }

    fn of_side_or_variable(side: &Expr, relation: Relation, bound: &Expr, budget: &Budget) -> Option<Region> {
        if is_variable(side) {
            Region::of_bound(relation, bound, budget)
        } else {
            Region::of_side(side, relation, bound, budget)
        }
    }

    /// Several inequalities in one variable: their union if they are disjoint, otherwise their intersection.
    pub(super) fn of_list(items: &[Expr], budget: &Budget) -> Option<Region> {
        let mut regions = items.iter().map(|item| match item {
            Expr::Related(first, rest) if rest.iter().all(|(relation, _)| *relation != Relation::Equal) => {
                Region::of_relation(first, rest, budget)
            }
            _ => None,
        });
        let first = regions.next()??;
        regions.try_fold(first, |joined, region| {
            let region = region?;
            let common = joined.clone().combined(SetOperation::Intersection, region.clone(), budget)?;
            if common.0.is_empty() { joined.combined(SetOperation::Union, region, budget) } else { Some(common) }
        })
    }

    fn combined(self, operation: SetOperation, other: Region, budget: &Budget) -> Option<Region> {
        if self.0.len() + other.0.len() > MAX_PIECES {
            return None;
        }
        match operation {
            SetOperation::Union => Region(self.0.into_iter().chain(other.0).collect()).sorted(budget),
            SetOperation::Intersection => {
                let mut pieces = Vec::new();
                for left in &self.0 {
                    for right in &other.0 {
                        pieces.push(common(left, right, budget)?);
                        if pieces.len() > MAX_PIECES {
                            return None;
                        }
                    }
                }
                Region(pieces).sorted(budget)
            }
            SetOperation::Difference => {
                let rest = other.complement(budget)?;
                self.combined(SetOperation::Intersection, rest, budget)
            }
        }
    }

    fn complement(self, budget: &Budget) -> Option<Region> {
        let mut pieces = Vec::new();
        let (mut low, mut low_closed) = (minus_infinity(), false);
        for piece in self.0 {
            let (high, high_closed) = (piece.low, !piece.low_closed);
            pieces.push(Piece { low, low_closed, high, high_closed });
            (low, low_closed) = (piece.high, !piece.high_closed);
        }
        pieces.push(Piece { low, low_closed, high: Expr::Infinity, high_closed: false });
        Region(pieces).sorted(budget)
    }

    /// The same set as pieces from left to right that neither meet nor touch.
    fn sorted(self, budget: &Budget) -> Option<Region> {
        let mut sorted: Vec<Piece> = Vec::new();
        for piece in self.0 {
            if piece.is_empty(budget)? {
                continue;
            }
            let mut at = 0;
            while at < sorted.len() && starts_before(&sorted[at], &piece, budget)? {
                at += 1;
            }
            sorted.insert(at, piece);
        }
        let mut apart: Vec<Piece> = Vec::new();
        for piece in sorted {
            match apart.last_mut() {
                Some(last) if meets(last, &piece, budget)? => {
                    let order = scalar::order(&piece.high, &last.high, budget)?;
                    if order == Ordering::Equal {
                        last.high_closed |= piece.high_closed;
                    } else if order == Ordering::Greater {
                        (last.high, last.high_closed) = (piece.high, piece.high_closed);
                    }
                }
                _ => apart.push(piece),
            }
        }
        Some(Region(apart))
    }

    /// Whether two sets are the same.
    pub(super) fn equals(&self, other: &Region, budget: &Budget) -> bool {
        let same = |left: &Piece, right: &Piece| {
            left.low_closed == right.low_closed
                && left.high_closed == right.high_closed
                && scalar::equal(&left.low, &right.low, budget)
                && scalar::equal(&left.high, &right.high, budget)
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(left, right)| same(left, right))
    }
}

/// The name of the only variable of an expression.
fn only_variable(expr: &Expr) -> Option<String> {
    let own = match expr {
        Expr::Symbol(name) => Some(name.clone()),
        Expr::Call(..) => return None,
        _ => None,
    };
    let mut names =
        own.into_iter().map(Some).chain(expr.children().filter(|child| holds_variable(child)).map(only_variable));
    let first = names.next()??;
    names.all(|name| name.as_ref() == Some(&first)).then_some(first)
}

fn holds_variable(expr: &Expr) -> bool {
    expr.any(&|part| matches!(part, Expr::Symbol(_) | Expr::Call(..)))
}

fn is_variable(expr: &Expr) -> bool {
    matches!(expr, Expr::Symbol(_) | Expr::Call(..))
}

/// Whether a piece starts to the left of another, or at the same point and not later.
fn starts_before(left: &Piece, right: &Piece, budget: &Budget) -> Option<bool> {
    Some(match scalar::order(&left.low, &right.low, budget)? {
        Ordering::Less => true,
        Ordering::Equal => left.low_closed || !right.low_closed,
        Ordering::Greater => false,
    })
}

/// Whether a piece meets or touches the next one to the right, without a gap of even one point.
fn meets(left: &Piece, right: &Piece, budget: &Budget) -> Option<bool> {
    Some(match scalar::order(&left.high, &right.low, budget)? {
        Ordering::Greater => true,
        Ordering::Equal => left.high_closed || right.low_closed,
        Ordering::Less => false,
    })
}

/// The intersection of two pieces, possibly empty.
fn common(left: &Piece, right: &Piece, budget: &Budget) -> Option<Piece> {
    let (low, low_closed) = match scalar::order(&left.low, &right.low, budget)? {
        Ordering::Less => (&right.low, right.low_closed),
        Ordering::Equal => (&left.low, left.low_closed && right.low_closed),
        Ordering::Greater => (&left.low, left.low_closed),
    };
    let (high, high_closed) = match scalar::order(&left.high, &right.high, budget)? {
        Ordering::Less => (&left.high, left.high_closed),
        Ordering::Equal => (&left.high, left.high_closed && right.high_closed),
        Ordering::Greater => (&right.high, right.high_closed),
    };
    Some(Piece { low: low.clone(), low_closed, high: high.clone(), high_closed })
}
