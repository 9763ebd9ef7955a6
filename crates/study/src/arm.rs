//! The results of an arm over its seeds.

use serde::Serialize;

use crate::{
    file::{Arm, Budget},
    interval::Interval,
    record::{Cost, Metric, Point, Record},
};

/// An arm's results over the seeds that have ended.
#[derive(Clone, Debug)]
pub struct ArmResult {
    /// Its name.
    pub name: String,
    /// Its description.
    pub note: String,
    /// The settings that define it.
    pub set: Vec<(String, String)>,
    /// Its runs, including crashed ones.
    pub records: Vec<Record>,
    /// Accuracy before training.
    pub before: Option<Interval>,
    /// Held-out accuracy at the end; a crashed run counts with its last evaluation.
    pub last: Option<Interval>,
    /// Mean accuracy over the updates.
    pub area: Option<Interval>,
    /// The mean curve: cost and accuracy at each evaluation.
    pub curve: Vec<CurvePoint>,
    /// Metrics of policy training, means over runs.
    pub metrics: Vec<Metric>,
    /// Metrics of value pretraining, means over runs.
    pub pretraining_metrics: Vec<Metric>,
}

/// A point of the mean curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Mean cost.
    pub cost: Cost,
    /// Accuracy over seeds.
    pub accuracy: Interval,
}

/// The cost of reaching an accuracy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reach {
    /// The accuracy.
    pub accuracy: f64,
    /// Cost where the mean curve, interpolated linearly, first reaches it; `None` if it never does.
    pub cost: Option<Cost>,
    /// Runs that reached it.
    pub seeds: usize,
}

/// Sums of equally many right answers in a different order may differ by this much.
const ROUNDING: f64 = 1e-9;

impl ArmResult {
    pub(crate) fn new(arm: &Arm, records: Vec<Record>) -> Self {
        let horizon = Budget::Updates.planned(&arm.config) as f64;
        let interval =
            |of: &dyn Fn(&Record) -> Option<f64>| Interval::of(&records.iter().filter_map(of).collect::<Vec<f64>>());
        Self {
            name: arm.name.clone(),
            note: arm.note.clone(),
            set: arm.set.clone(),
            before: interval(&|record| record.points.first().map(|point| point.accuracy)),
            last: interval(&Record::final_accuracy),
            area: interval(&|record| record.area(horizon)),
            curve: mean_curve(&records),
            metrics: mean_metrics(&records, |record| &record.metrics),
            pretraining_metrics: mean_metrics(&records, |record| &record.pretraining_metrics),
            records,
        }
    }

    /// Runs that crashed.
    pub fn crashes(&self) -> usize {
        self.records.iter().filter(|record| record.crash.is_some()).count()
    }

    /// Mean cost of all training, including value pretraining.
    pub fn total(&self) -> Cost {
        Cost::mean(&self.records.iter().map(|record| record.total).collect::<Vec<_>>())
    }

    /// Mean cost of value pretraining.
    pub fn pretraining(&self) -> Cost {
        Cost::mean(&self.records.iter().map(|record| record.pretraining).collect::<Vec<_>>())
    }

    /// Mean cost of policy training.
    pub fn policy(&self) -> Cost {
        self.total().zip(self.pretraining(), |total, pretraining| total - pretraining)
    }

    /// The cost of reaching an accuracy.
    pub fn reach(&self, accuracy: f64) -> Reach {
        let reached = |record: &&Record| record.points.iter().any(|point| reaches(point, accuracy));
        let points: Vec<Point> =
            self.curve.iter().map(|point| Point { cost: point.cost, accuracy: point.accuracy.mean }).collect();
        Reach { accuracy, cost: first_reach(&points, accuracy), seeds: self.records.iter().filter(reached).count() }
    }

    /// A metric of policy training.
    pub fn metric(&self, key: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.key == key)
    }
}

/// The mean at each point: all runs of an arm are evaluated at the same steps. After a crash, a run keeps its last accuracy.
fn mean_curve(records: &[Record]) -> Vec<CurvePoint> {
    let length = records.iter().map(|record| record.points.len()).max().unwrap_or(0);
    let point = |index: usize| {
        let costs: Vec<Cost> = records.iter().filter_map(|record| Some(record.points.get(index)?.cost)).collect();
        let accuracies: Vec<f64> = records
            .iter()
            .filter_map(|record| Some(record.points.get(index).or(record.points.last())?.accuracy))
            .collect();
        Some(CurvePoint { cost: Cost::mean(&costs), accuracy: Interval::of(&accuracies)? })
    };
    (0..length).filter_map(point).collect()
}

fn reaches(point: &Point, accuracy: f64) -> bool {
    point.accuracy >= accuracy - ROUNDING
}

fn first_reach(points: &[Point], accuracy: f64) -> Option<Cost> {
    let index = points.iter().position(|point| reaches(point, accuracy))?;
    let reached = points[index];
    let Some(before) = index.checked_sub(1).map(|index| points[index]) else { return Some(reached.cost) };
    let share = ((accuracy - before.accuracy) / (reached.accuracy - before.accuracy)).min(1.0);
    Some(before.cost.zip(reached.cost, |from, to| from + share * (to - from)))
}

fn mean_metrics(records: &[Record], of: fn(&Record) -> &Vec<Metric>) -> Vec<Metric> {
    let mut keys: Vec<&str> = Vec::new();
    for metric in records.iter().flat_map(of) {
        if !keys.contains(&metric.key.as_str()) {
            keys.push(&metric.key);
        }
    }
    let mean = |key: &str, of_metric: fn(&Metric) -> f64| {
        let values: Vec<f64> = records.iter().flat_map(of).filter(|metric| metric.key == key).map(of_metric).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let metric = |key: &&str| Metric {
        key: (*key).to_owned(),
        mean: mean(key, |metric| metric.mean),
        last: mean(key, |metric| metric.last),
    };
    keys.iter().map(metric).collect()
}
