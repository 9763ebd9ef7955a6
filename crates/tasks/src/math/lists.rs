//! Compares lists, sets, tuples, and lists of labelled values.

use super::expr::{Brackets, Expr, Relation};

/// Whether two items are the same.
type Same<'a> = &'a dyn Fn(&Expr, &Expr) -> bool;

/// Longer lists are not compared.
const MAX_ITEMS: usize = 300;

pub(super) fn same_lists(gold: &Expr, answer: &Expr, same: Same<'_>) -> bool {
    if let Some(points) = points_in_words(gold, answer) {
        return same(gold, &points);
    }
    if let Some(points) = points_in_words(answer, gold) {
        return same(&points, answer);
    }
    let (gold_brackets, gold) = items(gold);
    let (answer_brackets, answer) = items(answer);
    if gold.len().max(answer.len()) > MAX_ITEMS {
        return false;
    }
    let pairwise = || gold.len() == answer.len() && gold.iter().zip(&answer).all(|(left, right)| same(left, right));
    match (gold_brackets, answer_brackets) {
        (Some(left @ Brackets::Ordered { .. }), Some(right @ Brackets::Ordered { .. })) => {
            // With two items, `[1, 2]` may be an interval and `(1, 2)` a point; with three, both are the same tuple.
            (left == right || gold.len() != 2) && pairwise()
        }
        (Some(Brackets::Ordered { .. }), Some(Brackets::Set))
        | (Some(Brackets::Set), Some(Brackets::Ordered { .. })) => false,
        (Some(ordered @ Brackets::Ordered { .. }), Some(Brackets::None))
        | (Some(Brackets::None), Some(ordered @ Brackets::Ordered { .. })) => {
            // `-2, 2` may be the point (-2, 2) but not the interval [-2, 2].
            let point = ordered == Brackets::Ordered { left_closed: false, right_closed: false };
            (point || gold.len() != 2) && pairwise()
        }
        (Some(Brackets::Ordered { .. }), None) | (None, Some(Brackets::Ordered { .. })) => pairwise(),
        _ => same_members(&gold, &answer, same) || same_progression(&gold, &answer, same),
    }
}

/// The items of a list; a single value is its own only item.
fn items(expr: &Expr) -> (Option<Brackets>, Vec<&Expr>) {
    match expr {
        Expr::Several(brackets, items) => (Some(*brackets), items.iter().collect()),
        // `n = 2, 3, 4` means the same as the list of its values.
        other => (None, vec![other]),
    }
}

/// Whether two lists have the same members in any order. Duplicates matter only if the reference answer contains some.
fn same_members(gold: &[&Expr], answer: &[&Expr], same: Same<'_>) -> bool {
    let mut taken = vec![false; answer.len()];
    for item in gold {
        let Some(at) = (0..answer.len()).find(|&at| !taken[at] && same(item, answer[at])) else { return false };
        taken[at] = true;
    }
    let repeats = gold.iter().enumerate().any(|(at, item)| gold[..at].iter().any(|earlier| same(earlier, item)));
    let left = || (0..answer.len()).filter(|&at| !taken[at]);
    left().all(|at| !repeats && gold.iter().any(|item| same(item, answer[at])))
}

/// Lists with an ellipsis: the same last items, and one beginning continues the other with equal steps.
fn same_progression(gold: &[&Expr], answer: &[&Expr], same: Same<'_>) -> bool {
    let is_ellipsis = |item: &&Expr| matches!(item, Expr::Symbol(name) if name == "…");
    let cut = |items: &[&Expr]| items.iter().position(is_ellipsis);
    let (Some(gold_cut), Some(answer_cut)) = (cut(gold), cut(answer)) else { return false };
    let all_same = |left: &[&Expr], right: &[&Expr]| {
        left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
    };
    let (short, long) = if gold_cut <= answer_cut {
        (&gold[..gold_cut], &answer[..answer_cut])
    } else {
        (&answer[..answer_cut], &gold[..gold_cut])
    };
    let step = |at: usize| long[at].clone().minus(long[at - 1].clone());
    short.len() >= 2
        && all_same(short, &long[..short.len()])
        && (short.len()..long.len()).all(|at| same(&step(1), &step(at)))
        && all_same(&gold[gold_cut + 1..], &answer[answer_cut + 1..])
}

/// The points that labelled values name, if the other side is a point or a list of points: `x = 4, y = 9` for `(4, 9)`.
///
/// The labels in alphabetical order are the coordinates.
fn points_in_words(points: &Expr, labelled: &Expr) -> Option<Expr> {
    let is_point =
        |expr: &Expr| matches!(expr, Expr::Several(Brackets::Ordered { left_closed: false, right_closed: false }, _));
    let several = match points {
        point if is_point(point) => false,
        Expr::Several(Brackets::None | Brackets::Set, items) if items.iter().all(is_point) => true,
        _ => return None,
    };
    let Expr::Several(Brackets::None, items) = labelled else { return None };
    let mut values =
        items.iter().map(labelled_value).collect::<Option<Vec<_>>>().filter(|values| !values.is_empty())?;
    let size = (1..values.len()).find(|at| values[*at].0 == values[0].0).unwrap_or(values.len());
    let ordered = Brackets::Ordered { left_closed: false, right_closed: false };
    let mut found = Vec::new();
    for point in values.chunks_mut(size) {
        point.sort_by_key(|(label, _)| *label);
        if point.len() != size || size < 2 || point.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return None;
        }
        found.push(Expr::Several(ordered, point.iter().map(|(_, value)| (*value).clone()).collect()));
    }
    if several { Some(Expr::Several(Brackets::None, found)) } else { found.pop().filter(|_| found.is_empty()) }
}

fn labelled_value(expr: &Expr) -> Option<(&str, &Expr)> {
    let Expr::Related(first, rest) = expr else { return None };
    match (&**first, rest.as_slice()) {
        (Expr::Symbol(label), [(Relation::Equal, value)]) => Some((label, value)),
        _ => None,
    }
}

/// Both sides without the qualifiers of their parameters (`k \in \mathbb{Z}`), and the parameters renamed if both have one;
/// `None` if neither has a qualifier.
pub(super) fn without_qualifiers(gold: &Expr, answer: &Expr) -> Option<(Expr, Expr)> {
    match (unqualified(gold), unqualified(answer)) {
        (None, None) => None,
        (Some((gold, _)), None) => Some((gold, answer.clone())),
        (None, Some((answer, _))) => Some((gold.clone(), answer)),
        (Some((gold, left)), Some((answer, right))) => Some((renamed(gold, &left), renamed(answer, &right))),
    }
}

/// A list without the conditions on its parameters, and the parameters.
fn unqualified(expr: &Expr) -> Option<(Expr, Vec<String>)> {
    let Expr::Several(Brackets::None, items) = expr else { return None };
    let qualified = |item: &Expr| match item {
        Expr::Related(first, rest) => match (&**first, rest.as_slice()) {
            (Expr::Symbol(name), [(Relation::In, _)]) => Some(name.clone()),
            _ => None,
        },
        _ => None,
    };
    let parameters: Vec<String> = items.iter().filter_map(qualified).collect();
    let mut rest: Vec<Expr> = items.iter().filter(|item| qualified(item).is_none()).cloned().collect();
    if parameters.is_empty() || rest.is_empty() {
        return None;
    }
    Some((if rest.len() == 1 { rest.remove(0) } else { Expr::Several(Brackets::None, rest) }, parameters))
}

fn renamed(expr: Expr, parameters: &[String]) -> Expr {
    expr.map(&|part| match part {
        Expr::Symbol(name) => match parameters.iter().position(|parameter| *parameter == name) {
            Some(at) => Expr::Symbol(format!("parameter {at}")),
            None => Expr::Symbol(name),
        },
        other => other,
    })
}
