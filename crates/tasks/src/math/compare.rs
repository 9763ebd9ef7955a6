//! Compares two answers by meaning: lists, sets, intervals, tuples, matrices, equations and values.

use super::budget::Budget;
use super::expr::{Brackets, Expr, Function, Relation};
use super::lists::{self, same_lists};
use super::parser::UNNAMED;
use super::region::Region;
use super::{matrix, scalar, units};

/// Whether an answer means the same as the reference answer.
pub(super) fn same(gold: &Expr, answer: &Expr, budget: &Budget) -> bool {
    // The checks below traverse both trees.
    if budget.spend(20 + 2 * (gold.size() + answer.size())).is_none() {
        return false;
    }
    if let Some(verdict) = same_measured(gold, answer, budget) {
        return verdict;
    }
    if has_plus_minus(gold) || has_plus_minus(answer) {
        return same(&expanded(gold), &expanded(answer), budget);
    }
    if let Some(same) = same_regions(gold, answer, budget) {
        return same;
    }
    match (membership(gold), membership(answer)) {
        (Some(set), None) if matches!(answer, Expr::Several(..)) => return same(set, answer, budget),
        (None, Some(set)) if matches!(gold, Expr::Several(..)) => return same(gold, set, budget),
        _ => {}
    }
    if let Some((gold, answer)) = lists::without_qualifiers(gold, answer) {
        return same(&gold, &answer, budget);
    }
    if let (Expr::Related(..), _) | (_, Expr::Related(..)) = (gold, answer) {
        return same_relations(gold, answer, budget);
    }
    if let Some(same) = same_matrices(gold, answer, budget) {
        return same;
    }
    if let (Expr::Several(..), _) | (_, Expr::Several(..)) = (gold, answer) {
        return same_lists(gold, answer, &|gold, answer| same(gold, answer, budget));
    }
    if let (Expr::Ratio(..), _) | (_, Expr::Ratio(..)) = (gold, answer) {
        return same_ratios(gold, answer, budget);
    }
    if let (Expr::Based(..), _) | (_, Expr::Based(..)) = (gold, answer) {
        return same_digits(gold, answer);
    }
    scalar::equal(gold, answer, budget)
}

/// The set of `x \in ..`.
fn membership(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::Related(_, rest) => match rest.as_slice() {
            [(Relation::In, set)] => Some(set),
            _ => None,
        },
        _ => None,
    }
}

/// Compares values with units, percent and degree signs; `None` if neither side has any.
fn same_measured(gold: &Expr, answer: &Expr, budget: &Budget) -> Option<bool> {
    let (gold_unit, answer_unit) = (unit(gold), unit(answer));
    match (gold_unit, answer_unit) {
        (None, None) => return None,
        (Some(left), Some(right)) if left != right && is_known_unit(left) && is_known_unit(right) => {
            return Some(false);
        }
        _ => {}
    }
    if same(&without_unit(gold), &without_unit(answer), budget) {
        return Some(true);
    }
    // 10 % equals 10 and 0.1, and 90° equals 90 and pi/2.
    let factor = |unit| matches!(unit, Some("percent" | "degree"));
    let one_sided = gold_unit.is_none() || answer_unit.is_none();
    let meant = one_sided && (factor(gold_unit) || factor(answer_unit)) && is_scalar(gold) && is_scalar(answer);
    Some(meant && scalar::equal(gold, answer, budget))
}

fn is_scalar(expr: &Expr) -> bool {
    !matches!(expr, Expr::Several(..) | Expr::Related(..) | Expr::Matrix(_) | Expr::Sets(..) | Expr::Ratio(..))
}

/// The unit, percent or degree sign of a value.
fn unit(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Measured(_, unit) => Some(unit),
        Expr::Apply(Function::Percent, _) => Some("percent"),
        Expr::Apply(Function::Degrees, _) => Some("degree"),
        Expr::Negated(inner) => unit(inner),
        _ => None,
    }
}

fn without_unit(expr: &Expr) -> Expr {
    match expr {
        Expr::Measured(value, _) | Expr::Apply(Function::Percent | Function::Degrees, value) => (**value).clone(),
        Expr::Negated(inner) => without_unit(inner).negated(),
        other => other.clone(),
    }
}

fn is_known_unit(unit: &str) -> bool {
    unit.split([' ', '^', '/']).all(|word| units::unit(word).is_some() || word.parse::<u8>().is_ok())
}

fn has_plus_minus(expr: &Expr) -> bool {
    expr.any(&|part| matches!(part, Expr::PlusMinus(..)))
}

/// Both readings of an expression with ±, as a list.
fn expanded(expr: &Expr) -> Expr {
    match expr {
        _ if !has_plus_minus(expr) => expr.clone(),
        Expr::Several(brackets, items) if *brackets == Brackets::None || *brackets == Brackets::Set => {
            let flat = items.iter().flat_map(|item| match expanded(item) {
                Expr::Several(Brackets::None, both) if has_plus_minus(item) => both,
                item => vec![item],
            });
            Expr::Several(*brackets, flat.collect())
        }
        Expr::Related(first, rest) if !has_plus_minus(first) => {
            let mut both = Vec::new();
            for upper in [true, false] {
                let rest = rest.iter().map(|(relation, side)| (*relation, one_sign(side, upper))).collect();
                both.push(Expr::Related(first.clone(), rest));
            }
            Expr::Several(Brackets::None, both)
        }
        _ => Expr::Several(Brackets::None, vec![one_sign(expr, true), one_sign(expr, false)]),
    }
}

/// The expression with the upper or the lower signs.
fn one_sign(expr: &Expr, upper: bool) -> Expr {
    expr.clone().map(&|part| match part {
        Expr::PlusMinus(first, second, flipped) if upper != flipped => Expr::Sum(vec![*first, *second]),
        Expr::PlusMinus(first, second, _) => first.minus(*second),
        other => other,
    })
}

/// Compares sets of real numbers; `None` unless one side is written as one.
fn same_regions(gold: &Expr, answer: &Expr, budget: &Budget) -> Option<bool> {
    let bounds = |expr: &Expr| match expr {
        Expr::Related(_, rest) => {
            rest.iter().all(|(relation, _)| !matches!(relation, Relation::Equal | Relation::About | Relation::In))
        }
        _ => false,
    };
    let written = |expr: &Expr| match expr {
        Expr::Sets(..) | Expr::Reals => true,
        Expr::Several(Brackets::Ordered { left_closed, right_closed }, _) => left_closed != right_closed,
        Expr::Several(Brackets::None, items) => items.iter().all(bounds),
        other => bounds(other),
    };
    if !written(gold) && !written(answer) {
        return None;
    }
    let region = |expr: &Expr| match expr {
        Expr::Several(Brackets::None, items) => Region::of_list(items, budget),
        Expr::Related(first, rest) if is_label(first) && rest.len() == 1 && rest[0].0 == Relation::Equal => {
            Region::of(&rest[0].1, budget)
        }
        other => Region::of(other, budget),
    };
    let variables = (bounded_variable(gold), bounded_variable(answer));
    let variable_differs = matches!(variables, (Some(a), Some(b)) if a != b && a != UNNAMED && b != UNNAMED);
    match (region(gold), region(answer)) {
        (Some(gold), Some(answer)) => Some(!variable_differs && gold.equals(&answer, budget)),
        // Bounds without a position on the real line are compared as written.
        (None, None) => None,
        _ => Some(false),
    }
}

/// The single variable that an inequality bounds.
fn bounded_variable(expr: &Expr) -> Option<&str> {
    let Expr::Related(first, rest) = expr else { return None };
    std::iter::once(&**first).chain(rest.iter().map(|(_, side)| side)).find_map(variable)
}

/// The first variable of an expression.
fn variable(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Symbol(name) => Some(name.as_str()),
        other => other.children().find_map(variable),
    }
}

/// The meaning of a chain of equations: the value of its label, or an equation between its ends.
enum Statement<'a> {
    Value(Option<&'a Expr>, &'a Expr),
    Equation,
    Other,
}

fn statement(expr: &Expr) -> Statement<'_> {
    let Expr::Related(first, rest) = expr else { return Statement::Value(None, expr) };
    if let Some(set) = membership(expr) {
        return Statement::Value(Some(first), set);
    }
    if !rest.iter().all(|(relation, _)| matches!(relation, Relation::Equal | Relation::About)) {
        return Statement::Other;
    }
    // `x = 1/3 ≈ 0.33`: the part after the sign is not exact.
    let exact = rest.iter().take_while(|(relation, _)| *relation == Relation::Equal).count().max(1);
    let value = &rest[exact - 1].1;
    match value {
        // `5 = x`
        Expr::Symbol(_) if is_constant(first) => Statement::Value(Some(value), first),
        _ if is_label(first) || is_constant(first) || is_operator(first) => Statement::Value(Some(first), value),
        _ => Statement::Equation,
    }
}

/// The constant in which a chain of equalities between other things ends, or with which it begins.
fn chain_value(expr: &Expr) -> Option<&Expr> {
    let Expr::Related(first, rest) = expr else { return None };
    if let (true, [(Relation::Equal, other)]) = (is_constant(first), rest.as_slice())
        && !is_constant(other)
    {
        return Some(first);
    }
    let equalities = rest.iter().all(|(relation, _)| matches!(relation, Relation::Equal | Relation::About));
    let exact = rest.iter().take_while(|(relation, _)| *relation == Relation::Equal).count().max(1);
    let value = &rest[exact - 1].1;
    (equalities && is_constant(value) && !is_constant(first)).then_some(value)
}

/// Whether an expression names the quantity asked for: `x`, `f(x)`, `|AB|`, `AB/CD`, `(p, q)`.
fn is_label(expr: &Expr) -> bool {
    match expr {
        Expr::Symbol(_) | Expr::Call(..) => true,
        Expr::Apply(Function::Abs, inner) | Expr::Measured(inner, _) | Expr::Apply(Function::Degrees, inner) => {
            is_label(inner)
        }
        Expr::Quotient(above, below) => is_label(above) && is_label(below),
        Expr::Several(_, items) => items.iter().all(is_label),
        Expr::Product(factors) => {
            factors.iter().any(|part| matches!(part, Expr::Symbol(name) if name == "∠" || name == "△"))
        }
        _ => false,
    }
}

fn is_constant(expr: &Expr) -> bool {
    !expr.any(&|part| matches!(part, Expr::Symbol(_) | Expr::Call(..)))
}

/// `\lim`, `\sum` and similar operators, whose value is not computed.
fn is_operator(expr: &Expr) -> bool {
    matches!(expr, Expr::Call(name, _) if name.contains('_'))
        || matches!(expr, Expr::Apply(_, inner) if is_label(inner))
}

fn same_relations(gold: &Expr, answer: &Expr, budget: &Budget) -> bool {
    if let (Expr::Several(..), _) | (_, Expr::Several(..)) = (gold, answer)
        && !matches!((gold, answer), (Expr::Related(..), Expr::Several(Brackets::Ordered { .. }, _)))
        && !matches!((gold, answer), (Expr::Several(Brackets::Ordered { .. }, _), Expr::Related(..)))
    {
        return same_lists(gold, answer, &|gold, answer| same(gold, answer, budget));
    }
    let as_equation = |expr: &Expr| match expr {
        Expr::Related(first, rest) => rest.last().map(|(_, last)| (**first).clone().minus(last.clone())),
        _ => None,
    };
    // `m + n = 61` for 61.
    if !matches!(gold, Expr::Related(..))
        && let Some(value) = chain_value(answer)
    {
        return same(gold, value, budget);
    }
    match (statement(gold), statement(answer)) {
        (Statement::Value(left_label, left), Statement::Value(right_label, right)) => {
            let clash = matches!((left_label, right_label), (Some(a), Some(b)) if labels_clash(a, b));
            if !clash && same(left, right, budget) {
                return true;
            }
            // `x = 2y` and `y = x/2` mean the same.
            let both = left_label.is_some() && right_label.is_some() && !is_constant(left) && !is_constant(right);
            let equations = (as_equation(gold), as_equation(answer));
            both && matches!(equations, (Some(a), Some(b)) if scalar::proportional(&a, &b, budget))
        }
        (Statement::Other, Statement::Other) => {
            same_chains(gold, answer, budget) || same_inequality(gold, answer, budget)
        }
        (Statement::Other, _) | (_, Statement::Other) => false,
        _ => match (as_equation(gold), as_equation(answer)) {
            (Some(a), Some(b)) => scalar::proportional(&a, &b, budget),
            _ => false,
        },
    }
}

/// Whether two labels name different things: two plain names that differ.
fn labels_clash(left: &Expr, right: &Expr) -> bool {
    match (left, right) {
        (Expr::Symbol(left), Expr::Symbol(right)) => {
            let plain = |name: &str| name.chars().count() == 1 || name.contains('_');
            let folded = |name: &str| name.replace(['{', '}'], "");
            plain(left) && plain(right) && folded(left) != folded(right)
        }
        _ => false,
    }
}

/// Chains such as `f(2) < f(1) < f(4)`, read in either direction.
fn same_chains(gold: &Expr, answer: &Expr, budget: &Budget) -> bool {
    let (Expr::Related(first, gold), Expr::Related(other_first, answer)) = (gold, answer) else { return false };
    let forward: Vec<(Relation, &Expr)> = answer.iter().map(|(relation, side)| (*relation, side)).collect();
    let sides: Vec<&Expr> = std::iter::once(&**other_first).chain(answer.iter().map(|(_, side)| side)).collect();
    let backward: Vec<(Relation, &Expr)> = answer
        .iter()
        .rev()
        .zip(sides.iter().rev().skip(1))
        .map(|((relation, _), side)| (relation.reversed(), *side))
        .collect();
    let matches = |start: &Expr, chain: &[(Relation, &Expr)]| {
        gold.len() == chain.len()
            && scalar::equal(first, start, budget)
            && gold
                .iter()
                .zip(chain)
                .all(|((left, side), (right, other))| left == right && scalar::equal(side, other, budget))
    };
    matches(sides[0], &forward) || matches(sides[sides.len() - 1], &backward)
}

/// Whether one inequality is a multiple of the other: `x - y > 2` and `2y - 2x < -4`.
fn same_inequality(gold: &Expr, answer: &Expr, budget: &Budget) -> bool {
    // As `difference > 0` or `difference >= 0`, and whether it is strict.
    let positive = |expr: &Expr| {
        let Expr::Related(first, rest) = expr else { return None };
        let [(relation, second)] = rest.as_slice() else { return None };
        let (first, second) = ((**first).clone(), second.clone());
        match relation {
            Relation::Greater => Some((first.minus(second), true)),
            Relation::AtLeast => Some((first.minus(second), false)),
            Relation::Less => Some((second.minus(first), true)),
            Relation::AtMost => Some((second.minus(first), false)),
            _ => None,
        }
    };
    match (positive(gold), positive(answer)) {
        (Some((gold, strict)), Some((answer, other))) => {
            strict == other && scalar::positive_multiple(&gold, &answer, budget)
        }
        _ => false,
    }
}

/// Compares matrices, where a column or row is also a tuple; `None` if neither side is a matrix.
fn same_matrices(gold: &Expr, answer: &Expr, budget: &Budget) -> Option<bool> {
    let holds = |expr: &Expr| expr.any(&|part| matches!(part, Expr::Matrix(_)));
    let is_matrix = |expr: &Expr| !matches!(expr, Expr::Several(..)) && holds(expr);
    if !is_matrix(gold) && !is_matrix(answer) {
        return None;
    }
    let rows = |expr: &Expr| match expr {
        Expr::Several(Brackets::Ordered { .. }, items) => Some(vec![items.clone()]),
        other => matrix::rows(other, budget),
    };
    let (Some(mut left), Some(mut right)) = (rows(gold), rows(answer)) else { return Some(false) };
    let vector = |rows: &Vec<Vec<Expr>>| rows.len() == 1 || rows[0].len() == 1;
    let tuple = matches!(gold, Expr::Several(..)) || matches!(answer, Expr::Several(..));
    if tuple && vector(&left) && vector(&right) {
        (left, right) = (vec![left.concat()], vec![right.concat()]);
    }
    let same_row = |(left, right): (&Vec<Expr>, &Vec<Expr>)| {
        left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right, budget))
    };
    Some(left.len() == right.len() && left.iter().zip(&right).all(same_row))
}

/// Compares ratios by proportion and times of day part by part.
fn same_ratios(gold: &Expr, answer: &Expr, budget: &Budget) -> bool {
    match (gold, answer) {
        (Expr::Ratio(left, left_clock), Expr::Ratio(right, right_clock)) => {
            let parts = || {
                left.len() == right.len()
                    && left.iter().zip(right).all(|(left, right)| scalar::equal(left, right, budget))
            };
            let proportional = || {
                left.len() == right.len()
                    && !left_clock
                    && !right_clock
                    && (1..left.len()).all(|at| {
                        let cross = |a: &Expr, b: &Expr| Expr::Product(vec![a.clone(), b.clone()]);
                        scalar::equal(&cross(&left[0], &right[at]), &cross(&right[0], &left[at]), budget)
                    })
                    && !left.iter().chain(right).any(|part| scalar::equal(part, &Expr::integer(0), budget))
            };
            parts() || proportional()
        }
        (Expr::Ratio(parts, false), fraction @ Expr::Quotient(..))
        | (fraction @ Expr::Quotient(..), Expr::Ratio(parts, false))
            if parts.len() == 2 =>
        {
            scalar::equal(&parts[0].clone().quotient(parts[1].clone()), fraction, budget)
        }
        _ => false,
    }
}

/// Compares numbers in a base: equal if they have the same digits and the same base, or one has none.
fn same_digits(gold: &Expr, answer: &Expr) -> bool {
    let digits = |expr: &Expr| match expr {
        Expr::Based(digits, base) => Some((digits.to_ascii_uppercase(), Some(*base))),
        Expr::Number { value, places: None } => Some((value.numerator.to_string(), None)),
        _ => None,
    };
    match (digits(gold), digits(answer)) {
        (Some((left, left_base)), Some((right, right_base))) => {
            let same_base = left_base.is_none() || right_base.is_none() || left_base == right_base;
            same_base && left.trim_start_matches('0') == right.trim_start_matches('0')
        }
        _ => false,
    }
}
