//! The metrics of a run as columns, which follow a run that is being written.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use vapo_study::{Cost, CostAxis, Evaluations};
use vapo_train::{
    Phase, RunDir,
    metrics::{keys, mean_accuracy},
};

use crate::{
    error::Result,
    lines::{LineSink, Lines},
    row::numbers,
};

/// Most columns that a table has, so that a file of ever new names does not fill the memory.
const MAX_COLUMNS: usize = 5_000;
/// Most damaged lines that a note names.
const NAMED_LINES: usize = 5;

/// What a curve is drawn over. Costs are those of training so far, without evaluations and checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Steps of both phases.
    #[default]
    Step,
    /// Optimizer updates of the policy.
    Updates,
    /// Responses sampled.
    Samples,
    /// Processor seconds of all threads.
    CpuSeconds,
}

impl Axis {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Step, Self::Updates, Self::Samples, Self::CpuSeconds];

    /// Its title.
    pub fn title(self) -> &'static str {
        self.cost().map_or("step", CostAxis::title)
    }

    /// The cost that it shows; `None` for steps.
    fn cost(self) -> Option<CostAxis> {
        match self {
            Self::Step => None,
            Self::Updates => Some(CostAxis::Updates),
            Self::Samples => Some(CostAxis::Samples),
            Self::CpuSeconds => Some(CostAxis::CpuSecs),
        }
    }

    fn of(self, step: u64, cost: Cost) -> f64 {
        self.cost().map_or(step as f64, |axis| axis.of(cost))
    }
}

/// All metrics of a run, a column each.
#[derive(Debug)]
pub struct MetricsTable {
    lines: Lines,
    rows: Rows,
}

/// What the lines hold.
#[derive(Debug, Default)]
struct Rows {
    steps: Vec<u64>,
    /// In the order in which they first appeared.
    names: Vec<String>,
    places: HashMap<String, usize>,
    /// A value per step; NaN where there is none.
    columns: Vec<Vec<f64>>,
    /// Numbers of lines that are not rows.
    damaged: Vec<usize>,
    has_left_out: bool,
}

impl MetricsTable {
    /// Reads the rows that a run has written so far.
    ///
    /// # Errors
    /// The file exists and cannot be read. Damaged lines are left out and noted.
    pub fn read(run: &RunDir) -> Result<Self> {
        let mut table = Self { lines: Lines::new(run.metrics_path()), rows: Rows::default() };
        table.refresh()?;
        Ok(table)
    }

    /// Reads what was written since; everything, if rows were removed (the run was resumed). Returns whether anything changed.
    ///
    /// # Errors
    /// As for [`MetricsTable::read`].
    pub fn refresh(&mut self) -> Result<bool> {
        self.lines.read_on(&mut self.rows)
    }

    /// The steps that have a row, 0 being the evaluation before training.
    pub fn steps(&self) -> &[u64] {
        &self.rows.steps
    }

    /// Names of the metrics in the order of `metrics.jsonl`.
    pub fn names(&self) -> &[String] {
        &self.rows.names
    }

    /// A metric over all steps; NaN where it has no value.
    pub fn column(&self, name: &str) -> Option<&[f64]> {
        self.rows.places.get(name).map(|&place| self.rows.columns[place].as_slice())
    }

    /// The value of a metric in a row, if it has one.
    pub fn value(&self, name: &str, row: usize) -> Option<f64> {
        self.column(name)?.get(row).copied().filter(|value| !value.is_nan())
    }

    /// The cost of training after each step.
    pub fn costs(&self) -> Vec<Cost> {
        let mut cost = Cost::default();
        let after = |row: usize| {
            let number = |key: &str| Ok::<f64, std::convert::Infallible>(self.value(key, row).unwrap_or(0.0));
            if self.steps()[row] > 0 {
                let Ok(next) = cost.after(number);
                cost = next;
            }
            cost
        };
        (0..self.steps().len()).map(after).collect()
    }

    /// The place of each step on an axis.
    pub fn axis(&self, axis: Axis) -> Vec<f64> {
        self.steps().iter().zip(self.costs()).map(|(&step, cost)| axis.of(step, cost)).collect()
    }

    /// The points of a metric where it has a value; none if there is no such metric.
    pub fn series(&self, name: &str, axis: Axis) -> Vec<(f64, f64)> {
        let column = self.column(name).unwrap_or_default();
        self.axis(axis).into_iter().zip(column.iter().copied()).filter(|(_, y)| !y.is_nan()).collect()
    }

    /// Held-out accuracy, the mean over data sources. The end of value pretraining is a point with the accuracy before it.
    pub fn accuracy(&self, axis: Axis) -> Vec<(f64, f64)> {
        let places = self.axis(axis);
        let mut evaluations = Evaluations::default();
        for row in 0..self.steps().len() {
            evaluations.push(row, self.phase(row), self.accuracy_of(row));
        }
        evaluations.points().iter().map(|&(row, accuracy)| (places[row], accuracy)).collect()
    }

    /// Held-out accuracy after the step of a row, if it was measured.
    pub fn accuracy_of(&self, row: usize) -> Option<f64> {
        let names = self.names().iter().filter(|name| keys::eval::is_accuracy(name));
        mean_accuracy(names.filter_map(|name| Some((name.as_str(), self.value(name, row)?))))
    }

    /// The phase of a row's step; `None` for the evaluation before the first step.
    pub fn phase(&self, row: usize) -> Option<Phase> {
        if self.steps().get(row).is_none_or(|step| *step == 0) {
            return None;
        }
        let pretrains = self.value(keys::VALUE_PRETRAINING, row) == Some(1.0);
        Some(if pretrains { Phase::ValuePretraining } else { Phase::Policy })
    }

    /// The last step of value pretraining so far.
    pub fn pretraining_end(&self) -> Option<u64> {
        let row = (0..self.steps().len()).rfind(|&row| self.phase(row) == Some(Phase::ValuePretraining))?;
        Some(self.steps()[row])
    }

    /// What could not be read.
    pub fn notes(&self) -> Vec<String> {
        let damaged = &self.rows.damaged;
        let named: Vec<String> = damaged.iter().take(NAMED_LINES).map(usize::to_string).collect();
        let more = if damaged.len() > NAMED_LINES { ", .." } else { "" };
        let damaged = (!damaged.is_empty()).then(|| {
            let (are, count) =
                if damaged.len() == 1 { ("is", "1 line") } else { ("are", &*format!("{} lines", damaged.len())) };
            format!("metrics.jsonl: {count} {are} damaged and left out ({}{more})", named.join(", "))
        });
        let left_out = self
            .rows
            .has_left_out
            .then(|| format!("metrics.jsonl: metrics beyond the first {MAX_COLUMNS} are left out"));
        damaged.into_iter().chain(left_out).collect()
    }
}

impl LineSink for Rows {
    fn clear(&mut self) {
        *self = Self::default();
    }

    fn line(&mut self, number: usize, line: &[u8]) {
        let (row, mut step) = (self.steps.len(), None);
        let read = numbers(line, |name, value| match value {
            Some(value) if name == keys::GLOBAL_STEP => step = Some(value as u64),
            value => self.put(row, name, value.unwrap_or(f64::NAN)),
        });
        match (read, step) {
            (Ok(()), Some(step)) => self.steps.push(step),
            _ => self.damaged.push(number),
        }
        let length = self.steps.len();
        self.columns.iter_mut().for_each(|column| column.resize(length, f64::NAN));
    }
}

impl Rows {
    /// Writes a value into a row that is not complete yet.
    fn put(&mut self, row: usize, name: &str, value: f64) {
        let place = match self.places.get(name) {
            Some(&place) => place,
            None if self.names.len() == MAX_COLUMNS => {
                self.has_left_out = true;
                return;
            }
            None => {
                self.places.insert(name.to_owned(), self.names.len());
                self.names.push(name.to_owned());
                self.columns.push(vec![f64::NAN; row]);
                self.names.len() - 1
            }
        };
        self.columns[place].resize(row + 1, f64::NAN);
        self.columns[place][row] = value;
    }
}

/// Exponential moving average of a curve, corrected for its start: weight 0 changes nothing, 0.99 averages over about 100 points.
pub fn smooth(points: &[(f64, f64)], weight: f64) -> Vec<(f64, f64)> {
    let weight = weight.clamp(0.0, 0.999);
    let (mut sum, mut total) = (0.0, 0.0);
    let average = |&(x, y): &(f64, f64)| {
        sum = weight * sum + (1.0 - weight) * y;
        total = weight * total + (1.0 - weight);
        (x, sum / total)
    };
    points.iter().map(average).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tests::{TestRun, row};

    #[test]
    fn rows_become_columns() {
        let run = TestRun::new();
        run.rows(&[
            &row(0, r#""val-core/a/acc/mean@2":0.2,"val-core/b/acc/mean@2":0.4"#),
            &row(1, r#""training/value_pretraining":1,"training/responses":8,"perf/cpu_secs":0.5"#),
            &row(2, r#""training/value_pretraining":1,"training/responses":16,"perf/cpu_secs":0.5"#),
            &row(3, r#""training/value_pretraining":0,"training/responses":20,"training/policy_updates":2,"perf/cpu_secs":1.0,"actor/entropy":0.5"#),
            &row(4, r#""training/value_pretraining":0,"training/responses":24,"training/policy_updates":4,"perf/cpu_secs":1.5,"actor/entropy":null,"val-core/a/acc/mean@2":0.9"#),
        ]);
        let table = MetricsTable::read(&run.directory()).unwrap();
        assert_eq!(table.steps(), [0, 1, 2, 3, 4]);
        assert_eq!(table.series("actor/entropy", Axis::Step), [(3.0, 0.5)]);
        assert_eq!(table.column("actor/entropy").unwrap().len(), 5);
        assert_eq!((table.column("nothing"), table.series("nothing", Axis::Step)), (None, vec![]));
        assert_eq!(table.names()[..2], ["val-core/a/acc/mean@2", "val-core/b/acc/mean@2"]);
        assert_eq!(table.axis(Axis::Updates), [0.0, 0.0, 0.0, 2.0, 4.0]);
        assert_eq!(table.axis(Axis::Samples), [0.0, 8.0, 16.0, 20.0, 24.0]);
        assert_eq!(table.axis(Axis::CpuSeconds), [0.0, 0.5, 1.0, 2.0, 3.5]);
        let accuracy = table.accuracy(Axis::Step);
        assert_eq!(accuracy.iter().map(|(x, _)| *x).collect::<Vec<_>>(), [0.0, 2.0, 4.0]);
        assert!(accuracy.iter().zip([0.3, 0.3, 0.9]).all(|((_, y), expected)| (y - expected).abs() < 1e-12));
        assert_eq!(table.pretraining_end(), Some(2));
        assert_eq!(table.notes(), [""; 0]);
    }

    #[test]
    fn damaged_lines_are_left_out_and_named() {
        let run = TestRun::new();
        let (first, second) = (row(0, r#""a":1"#), row(1, r#""a":2"#));
        run.rows(&[&first, "nonsense", r#"{"a":7}"#, r#"{"b":7,"training/global_step":"#, &second]);
        let table = MetricsTable::read(&run.directory()).unwrap();
        assert_eq!((table.steps(), table.column("a")), (&[0, 1][..], Some(&[1.0, 2.0][..])));
        assert!(table.column("b").is_none_or(|column| column.iter().all(|value| value.is_nan()) && column.len() == 2));
        assert_eq!(table.notes(), ["metrics.jsonl: 3 lines are damaged and left out (2, 3, 4)"]);
    }

    #[test]
    fn a_table_follows_its_run_through_a_resume() {
        let run = TestRun::new();
        let rows: Vec<String> =
            (0..5).map(|step| row(step, &format!(r#""a":{step},"timing_s/step":0.{step}"#))).collect();
        let lines: Vec<&str> = rows.iter().map(String::as_str).collect();
        run.rows(&lines[..3]);
        let mut table = MetricsTable::read(&run.directory()).unwrap();
        assert!(!table.refresh().unwrap());
        let text = fs::read_to_string(run.path().join("metrics.jsonl")).unwrap();
        fs::write(run.path().join("metrics.jsonl"), text + &rows[3][..20]).unwrap();
        assert!(!table.refresh().unwrap(), "half a row");
        run.rows(&lines);
        assert!(table.refresh().unwrap());
        assert_eq!(table.column("a"), Some(&[0.0, 1.0, 2.0, 3.0, 4.0][..]));
        run.rows(&lines[..2]);
        assert!(table.refresh().unwrap(), "cut");
        assert_eq!(table.column("a"), Some(&[0.0, 1.0][..]));
        let other = row(2, r#""a":9,"timing_s/step":0.7"#);
        run.rows(&[lines[0], lines[1], &other]);
        table.refresh().unwrap();
        assert_eq!(table.column("a"), Some(&[0.0, 1.0, 9.0][..]));
    }

    #[test]
    fn names_without_end_do_not_fill_the_memory() {
        let run = TestRun::new();
        let metrics: Vec<String> = (0..MAX_COLUMNS + 10).map(|index| format!("\"m{index}\":1")).collect();
        run.rows(&[&row(0, &metrics.join(","))]);
        let table = MetricsTable::read(&run.directory()).unwrap();
        assert_eq!(table.names().len(), MAX_COLUMNS);
        assert_eq!(table.notes(), ["metrics.jsonl: metrics beyond the first 5000 are left out"]);
    }

    #[test]
    fn smoothing_keeps_a_constant_and_its_start() {
        let points: Vec<(f64, f64)> = (0..20).map(|x| (f64::from(x), 3.0)).collect();
        assert!(smooth(&points, 0.9).iter().all(|(_, y)| (y - 3.0).abs() < 1e-12));
        let step = [(0.0, 1.0), (1.0, 2.0)];
        assert_eq!(smooth(&step, 0.0), step);
        let (weight, smoothed) = (0.5, smooth(&step, 0.5));
        assert_eq!(smoothed[0], (0.0, 1.0));
        assert!((smoothed[1].1 - (weight * 0.5 + 1.0) / (1.0 - weight * weight)).abs() < 1e-12, "{smoothed:?}");
    }
}
