//! What the critic sees: over the steps of a run, and in the tokens of one recorded step.

use serde::Serialize;
use vapo_train::metrics::keys;

use crate::{
    error::Result,
    rollouts::{Response, Rollouts, ValuedAnswer},
};

/// Bins of values, as many as `vapo/value_calibration_error` has.
const BINS: usize = 10;
const PARTS: usize = 10;

/// The points of a metric: step and value.
pub type Series = Vec<(f64, f64)>;

/// Figures of a run's critic.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CriticView {
    /// Explained variance over the steps, by the tenth of the answer in which a token is.
    pub explained_variance_by_tenth: [Series; PARTS],
    /// Mean value in wrong answers up to the first wrong token, over the steps.
    pub before_error: Series,
    /// The same after it.
    pub after_error: Series,
    /// The recorded step of the figures below.
    pub step: Option<u64>,
    /// Its tokens by their value; bins without tokens are left out.
    pub calibration: Vec<Bin>,
    /// Its mean values by position.
    pub by_position: ByPosition,
}

/// Tokens with about the same value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bin {
    /// Their mean value.
    pub predicted: f64,
    /// The mean of the returns that followed.
    pub observed: f64,
    /// How many they are.
    pub count: u64,
}

/// Mean values by the tenth of the answer, from the first to the last; null where there are no tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ByPosition {
    /// Of right answers.
    pub right: [Option<f64>; PARTS],
    /// Of all others.
    pub wrong: [Option<f64>; PARTS],
}

/// The values of a response by position, a row of a heat map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ValueRow {
    /// Its row in the step's record.
    pub row: usize,
    /// Its verdict.
    pub verdict: String,
    /// Mean value of the tokens of each cell. Cells have the same number of tokens in all rows, so short answers have fewer.
    pub cells: Vec<Option<f32>>,
    /// The cell with the first wrong token.
    pub first_wrong: Option<usize>,
}

impl CriticView {
    /// The figures of a run, with those of one recorded step (by default, the last one with values); `series` gives a metric
    /// over the steps, `range` is the least and the greatest reward.
    ///
    /// # Errors
    /// The step is not recorded, or its record cannot be read.
    pub fn of(
        series: impl Fn(&str) -> Series,
        rollouts: &Rollouts,
        step: Option<u64>,
        range: [f64; 2],
    ) -> Result<Self> {
        let mut view = Self {
            explained_variance_by_tenth: keys::EXPLAINED_VARIANCE_BY_DECILE.map(&series),
            before_error: series(keys::VALUE_BEFORE_ERROR),
            after_error: series(keys::VALUE_AFTER_ERROR),
            ..Self::default()
        };
        let Some(step) = step.or_else(|| rollouts.steps().last()) else { return Ok(view) };
        let answers = rollouts.values(step)?;
        view.step = Some(step);
        view.calibration = calibration(&answers, range);
        view.by_position = by_position(&answers);
        Ok(view)
    }
}

/// Bins as in `algo/src/diagnostics.rs::Calibration`.
fn calibration(answers: &[ValuedAnswer], [least, greatest]: [f64; 2]) -> Vec<Bin> {
    let mut bins = [(Mean::default(), Mean::default()); BINS];
    for (&value, &outcome) in answers.iter().flat_map(|answer| answer.values.iter().zip(&answer.returns)) {
        let place = (f64::from(value) - least) / (greatest - least);
        let (values, returns) = &mut bins[((place * BINS as f64) as usize).min(BINS - 1)];
        values.add(value);
        returns.add(outcome);
    }
    let bin = |(values, returns): &(Mean, Mean)| {
        Some(Bin { predicted: values.value()?, observed: returns.value()?, count: values.count })
    };
    bins.iter().filter_map(bin).collect()
}

fn by_position(answers: &[ValuedAnswer]) -> ByPosition {
    let mut means = [[Mean::default(); PARTS]; 2];
    for answer in answers {
        let means = &mut means[usize::from(answer.is_right)];
        for (position, &value) in answer.values.iter().enumerate() {
            means[PARTS * position / answer.values.len()].add(value);
        }
    }
    let [wrong, right] = means.map(|means| means.map(Mean::value));
    ByPosition { right, wrong }
}

/// The values of a group by position, right answers first, in at most `columns` cells each; none without values.
pub fn heat_map(group: &[Response], columns: usize) -> Vec<ValueRow> {
    let longest = group.iter().filter_map(|response| response.tokens.value.as_ref()).map(Vec::len).max().unwrap_or(0);
    let width = longest.div_ceil(columns.max(1)).max(1);
    let row = |response: &Response| {
        let cells = response.tokens.value.as_ref()?.chunks(width).map(|values| {
            let mut mean = Mean::default();
            values.iter().for_each(|&value| mean.add(value));
            mean.value().map(|mean| mean as f32)
        });
        Some(ValueRow {
            row: response.row,
            verdict: response.verdict.clone(),
            cells: cells.collect(),
            first_wrong: response.first_wrong.map(|token| token / width),
        })
    };
    let mut rows: Vec<ValueRow> = group.iter().filter_map(row).collect();
    rows.sort_by_key(|row| row.verdict != "right");
    rows
}

#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    /// Numbers that are not finite do not count.
    fn add(&mut self, number: f32) {
        if number.is_finite() {
            self.sum += f64::from(number);
            self.count += 1;
        }
    }

    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollouts::tests::response;

    #[test]
    fn tokens_are_in_the_bin_of_their_value() {
        let answers = [
            ValuedAnswer { is_right: true, values: vec![0.25, 0.75, 0.78], returns: vec![1.0, 1.0, 1.0] },
            ValuedAnswer { is_right: false, values: vec![0.21, 1.5, -3.0], returns: vec![0.0; 3] },
        ];
        let bins = calibration(&answers, [0.0, 1.0]);
        let rounded = |bin: &Bin| ((1e4 * bin.predicted).round() / 1e4, bin.observed, bin.count);
        let found: Vec<_> = bins.iter().map(rounded).collect();
        assert_eq!(found, [(-3.0, 0.0, 1), (0.23, 0.5, 2), (0.765, 1.0, 2), (1.5, 0.0, 1)]);
        assert_eq!(calibration(&[], [0.0, 1.0]), []);
    }

    #[test]
    fn values_are_averaged_by_tenths_of_right_and_of_wrong_answers() {
        let answers = [
            ValuedAnswer { is_right: true, values: (0..20).map(|n| n as f32).collect(), returns: vec![1.0; 20] },
            ValuedAnswer { is_right: false, values: vec![0.5, f32::NAN], returns: vec![0.0; 2] },
        ];
        let found = by_position(&answers);
        assert_eq!(found.right, std::array::from_fn(|n| Some(2.0 * n as f64 + 0.5)));
        assert_eq!(found.wrong, std::array::from_fn(|n| (n == 0).then_some(0.5)));
    }

    #[test]
    fn a_heat_map_has_right_answers_first_and_cells_of_equal_width() {
        let answer = |row, verdict: &str, values: &[f32], first_wrong| {
            let mut response = Response { row, verdict: verdict.into(), first_wrong, ..response() };
            response.tokens.value = Some(values.to_vec());
            response
        };
        let group = [answer(0, "wrong", &[0.5; 5], Some(4)), answer(1, "right", &[0.0, 1.0, 1.0], None)];
        let rows = heat_map(&group, 3);
        assert_eq!(rows.iter().map(|row| row.row).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(rows[0].cells, [Some(0.5), Some(1.0)]);
        assert_eq!((rows[1].cells.len(), rows[1].first_wrong), (3, Some(2)));
        assert_eq!(heat_map(&group, 100)[0].cells.len(), 3, "a cell per token");
        assert_eq!(heat_map(&[Response { tokens: Default::default(), ..response() }], 3), []);
    }
}
