//! Which rollouts a report shows, and why each.

use std::collections::BTreeSet;

use serde::Serialize;
use vapo_view::{
    Result, Rollouts,
    rollouts::{Query, Response, Sort},
};

/// Rollouts of a report at most.
const MOST: usize = 20;
/// Recorded steps, the last ones, in which the critic's surprises are looked for.
const RECENT_STEPS: usize = 10;

/// The chosen rollouts.
#[derive(Debug, Serialize)]
pub(super) struct Choice {
    /// How they were chosen.
    rule: String,
    /// How many are recorded.
    pub(super) of: usize,
    responses: Vec<Chosen>,
}

/// A rollout and why it was chosen.
#[derive(Debug, Serialize)]
struct Chosen {
    why: &'static str,
    response: Response,
}

/// A place in the records: step and row.
type Place = (u64, usize);

/// Rollouts in an order, the ones to show first at the beginning.
struct Ranked {
    why: &'static str,
    places: Vec<Place>,
}

impl Choice {
    /// Takes rollouts in turn from several orders, so that each is represented where it has any.
    ///
    /// # Errors
    /// A record cannot be read.
    pub(super) fn of(rollouts: &Rollouts) -> Result<Self> {
        let steps: Vec<u64> = rollouts.steps().collect();
        let of = rollouts.query(&Query { limit: 0, ..Query::default() }).of;
        let Some(&last) = steps.last() else {
            return Ok(Self { rule: String::new(), of, responses: Vec::new() });
        };
        let recent = steps[steps.len().saturating_sub(RECENT_STEPS)];
        let orders: Vec<Ranked> =
            by_rollout(rollouts, last, recent).into_iter().chain(by_token(rollouts, last)?).collect();
        let chosen = in_turn(&orders, MOST).into_iter();
        let responses = chosen.map(|(why, (step, row))| Ok(Chosen { why, response: rollouts.response(step, row)? }));
        Ok(Self { rule: rule(last, recent), of, responses: responses.collect::<Result<_>>()? })
    }

    /// How many were chosen.
    pub(super) fn shown(&self) -> usize {
        self.responses.len()
    }
}

/// Orders by what is known of a rollout as a whole.
fn by_rollout(rollouts: &Rollouts, last: u64, recent: u64) -> [Ranked; 4] {
    let ranked = |why, query: Query| {
        let page = rollouts.query(&Query { limit: MOST, ..query });
        Ranked { why, places: page.rows.iter().map(|row| (row.step, row.row)).collect() }
    };
    let of_last = |descending| Query { step_min: Some(last), sort: Sort::Reward, descending, ..Query::default() };
    let surprise = |verdict: &str, descending| {
        let verdict = Some(verdict.to_owned());
        Query { step_min: Some(recent), verdict, sort: Sort::MeanValue, descending, ..Query::default() }
    };
    [
        ranked("one of the highest rewards", of_last(true)),
        ranked("one of the lowest rewards", of_last(false)),
        ranked("wrong, though the critic's values are high", surprise("wrong", true)),
        ranked("right, though the critic's values are low", surprise("right", false)),
    ]
}

/// Orders by single tokens of a step.
fn by_token(rollouts: &Rollouts, step: u64) -> Result<[Ranked; 2]> {
    let (mut advantages, mut falls) = (Vec::new(), Vec::new());
    for group in rollouts.groups(step)? {
        for response in rollouts.group(step, group.prompt_id)? {
            let place = (response.step, response.row);
            advantages.extend(largest_advantage(&response).map(|size| (size, place)));
            falls.extend(fall_of_value(&response).filter(|fall| *fall > 0.0).map(|fall| (fall, place)));
        }
    }
    Ok([
        Ranked { why: "a token with a very large advantage or disadvantage", places: greatest_first(advantages) },
        Ranked { why: "the critic's value falls at the first wrong token", places: greatest_first(falls) },
    ])
}

fn largest_advantage(response: &Response) -> Option<f32> {
    let advantages = response.tokens.advantage.as_ref()?.iter();
    advantages.map(|advantage| advantage.abs()).filter(|size| size.is_finite()).max_by(f32::total_cmp)
}

/// By how much the value after the first wrong token is lower than the one before it.
fn fall_of_value(response: &Response) -> Option<f32> {
    let (values, wrong) = (response.tokens.value.as_ref()?, response.first_wrong?);
    let fall = values.get(wrong)? - values.get(wrong + 1)?;
    fall.is_finite().then_some(fall)
}

fn greatest_first(mut sizes: Vec<(f32, Place)>) -> Vec<Place> {
    sizes.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    sizes.into_iter().map(|(_, place)| place).collect()
}

/// At most `most` places, none twice: the first of each order, the second of each, and so on; then sorted by their orders.
fn in_turn(orders: &[Ranked], most: usize) -> Vec<(&'static str, Place)> {
    let (mut known, mut chosen) = (BTreeSet::new(), vec![Vec::new(); orders.len()]);
    let mut left: Vec<_> = orders.iter().map(|order| order.places.iter()).collect();
    while known.len() < most {
        let before = known.len();
        for (places, chosen) in left.iter_mut().zip(&mut chosen) {
            if known.len() < most {
                chosen.extend(places.find(|place| known.insert(**place)));
            }
        }
        if known.len() == before {
            break;
        }
    }
    let of_order = |(order, places): (&Ranked, Vec<&Place>)| {
        places.into_iter().map(|place| (order.why, *place)).collect::<Vec<_>>()
    };
    orders.iter().zip(chosen).flat_map(of_order).collect()
}

fn rule(last: u64, recent: u64) -> String {
    format!(
        "Taken in turn from six orders. Of step {last}, the last recorded one: the highest rewards, the lowest rewards, the largest \
         |advantage| of a token, and the largest fall of the critic's value at the first wrong token. Of the recorded steps from {recent} on: \
         wrong answers with the highest mean value, and right answers with the lowest."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_take_turns_and_no_rollout_is_chosen_twice() {
        let order = |why, rows: &[usize]| Ranked { why, places: rows.iter().map(|&row| (1, row)).collect() };
        let orders = [order("a", &[1, 2, 3, 4, 5]), order("b", &[1, 2, 9]), order("c", &[]), order("d", &[7])];
        let chosen = |most| in_turn(&orders, most).into_iter().map(|(why, (_, row))| (why, row)).collect::<Vec<_>>();
        assert_eq!(chosen(4), [("a", 1), ("a", 3), ("b", 2), ("d", 7)]);
        assert_eq!(chosen(100), [("a", 1), ("a", 3), ("a", 4), ("a", 5), ("b", 2), ("b", 9), ("d", 7)]);
        assert_eq!(chosen(0), []);
    }
}
