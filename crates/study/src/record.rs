//! The results of a run: accuracy over cost, budgets, metrics.

use serde::Serialize;
use vapo_train::{
    Phase, Row, RunDir,
    metrics::keys::{self, is_bookkeeping, is_time_field},
};

use crate::{
    error::{Error, Result},
    evaluations::Evaluations,
    plan::{Job, JobState},
};

/// The share of the policy training steps, at the end, over which a metric's last value is averaged.
pub const LAST_SHARE: f64 = 0.1;
/// Number of steps at the end of value pretraining over which the critic's metrics are averaged.
const LAST_PRETRAINING_STEPS: usize = 5;

/// The cost of training so far, without evaluations and checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Optimizer updates of the policy.
    pub updates: f64,
    /// Optimizer updates of the critic.
    pub critic_updates: f64,
    /// Prompts drawn.
    pub prompts: f64,
    /// Responses sampled.
    pub samples: f64,
    /// Their tokens.
    pub tokens: f64,
    /// Processor seconds, all threads.
    pub cpu_secs: f64,
    /// Seconds.
    pub wall_secs: f64,
}

impl Cost {
    /// Adds a step, whose metrics `number` looks up: its counters are totals, its times are for this step.
    ///
    /// # Errors
    /// Those of `number`.
    pub fn after<E>(self, number: impl Fn(&str) -> Result<f64, E>) -> Result<Self, E> {
        Ok(Self {
            updates: number(keys::POLICY_UPDATES)?,
            critic_updates: number(keys::CRITIC_UPDATES)?,
            prompts: number(keys::PROMPTS)?,
            samples: number(keys::RESPONSES)?,
            tokens: number(keys::TOKENS)?,
            cpu_secs: self.cpu_secs + number(keys::CPU_SECS)?,
            wall_secs: self.wall_secs + number(keys::TIMING_STEP)?,
        })
    }

    /// Applies a function of two numbers to each pair.
    pub(crate) fn zip(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            updates: f(self.updates, other.updates),
            critic_updates: f(self.critic_updates, other.critic_updates),
            prompts: f(self.prompts, other.prompts),
            samples: f(self.samples, other.samples),
            tokens: f(self.tokens, other.tokens),
            cpu_secs: f(self.cpu_secs, other.cpu_secs),
            wall_secs: f(self.wall_secs, other.wall_secs),
        }
    }

    /// The mean of several costs; zeros if there are none.
    pub(crate) fn mean(costs: &[Self]) -> Self {
        let sum = costs.iter().fold(Self::default(), |sum, cost| sum.zip(*cost, |a, b| a + b));
        sum.zip(sum, |a, _| a / costs.len().max(1) as f64)
    }
}

/// Held-out accuracy after a cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The cost of training so far.
    pub cost: Cost,
    /// Mean over samples and problems; the mean over data sources if there are several.
    pub accuracy: f64,
}

/// A metric over the steps of policy training.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its key in `metrics.jsonl`.
    pub key: String,
    /// Mean over all steps that have it.
    pub mean: f64,
    /// Mean over the last tenth of them.
    pub last: f64,
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its seed.
    pub seed: u64,
    /// Why it ended early, if it did.
    pub crash: Option<String>,
    /// Evaluations in order; after value pretraining, its end is the second point, with the accuracy of the first.
    pub points: Vec<Point>,
    /// The cost of value pretraining, shared or not.
    pub pretraining: Cost,
    /// The cost of all training.
    pub total: Cost,
    /// Metrics of policy training in the order of `metrics.jsonl`.
    pub metrics: Vec<Metric>,
    /// The critic's metrics at the end of value pretraining (`mean` over all of its steps).
    pub pretraining_metrics: Vec<Metric>,
    /// Processor seconds of the whole process, including evaluations and a shared value pretraining.
    pub process_cpu_secs: f64,
}

impl Record {
    /// Reads a run that has finished or crashed; `None` for one that has not ended.
    ///
    /// # Errors
    /// A file of the run cannot be read.
    pub fn read(job: &Job, state: &JobState) -> Result<Option<Self>> {
        let crash = match state {
            JobState::Finished => None,
            JobState::Crashed(reason) => Some(reason.clone()),
            JobState::New | JobState::Begun => return Ok(None),
        };
        let (rows, summary) = match RunDir::open(job.path()) {
            Ok(directory) => (directory.metrics()?, directory.summary()?),
            Err(_) if crash.is_some() => (Vec::new(), None),
            Err(error) => return Err(error.into()),
        };
        let process_cpu_secs = summary.map_or(0.0, |summary| summary.cpu_secs);
        Ok(Some(Self { crash, process_cpu_secs, ..Self::of_rows(job.seed, &rows)? }))
    }

    /// Reads the rows of a run.
    ///
    /// # Errors
    /// A row lacks a metric that every step has.
    pub(crate) fn of_rows(seed: u64, rows: &[Row]) -> Result<Self> {
        let phases = rows.iter().map(Row::phase).collect::<vapo_train::Result<Vec<_>>>()?;
        let mut evaluations = Evaluations::default();
        let (mut cost, mut pretraining) = (Cost::default(), Cost::default());
        for (row, &phase) in rows.iter().zip(&phases) {
            if phase.is_some() {
                cost = cost.after(|key| Ok::<f64, Error>(row.required(key)?.unwrap_or(0.0)))?;
            }
            if phase == Some(Phase::ValuePretraining) {
                pretraining = cost;
            }
            evaluations.push(cost, phase, row.accuracy());
        }
        let points = evaluations.points().iter().map(|&(cost, accuracy)| Point { cost, accuracy }).collect();
        let of_phase = |wanted: Phase| -> Vec<&Row> {
            rows.iter().zip(&phases).filter(|(_, phase)| **phase == Some(wanted)).map(|(row, _)| row).collect()
        };
        let policy_rows = of_phase(Phase::Policy);
        let last = (policy_rows.len() as f64 * LAST_SHARE).ceil() as usize;
        Ok(Self {
            seed,
            crash: None,
            points,
            pretraining,
            total: cost,
            metrics: metrics(&policy_rows, last),
            pretraining_metrics: metrics(&of_phase(Phase::ValuePretraining), LAST_PRETRAINING_STEPS),
            process_cpu_secs: 0.0,
        })
    }

    /// Held-out accuracy of the last evaluation; `None` if there was none.
    pub fn final_accuracy(&self) -> Option<f64> {
        self.points.last().map(|point| point.accuracy)
    }

    /// The cost of policy training.
    pub fn policy_cost(&self) -> Cost {
        self.total.zip(self.pretraining, |total, pretraining| total - pretraining)
    }

    /// Mean accuracy over the updates from 0 to `horizon`, interpolated linearly; after a crash, the last accuracy is kept.
    pub(crate) fn area(&self, horizon: f64) -> Option<f64> {
        let last = self.points.last()?;
        let end = Point { cost: Cost { updates: horizon.max(last.cost.updates), ..last.cost }, ..*last };
        let points: Vec<&Point> = self.points.iter().chain([&end]).collect();
        let trapezoids = points
            .windows(2)
            .map(|pair| (pair[1].cost.updates - pair[0].cost.updates) * (pair[0].accuracy + pair[1].accuracy) / 2.0);
        (end.cost.updates > 0.0).then(|| trapezoids.sum::<f64>() / end.cost.updates)
    }
}

/// The last held-out accuracy in some rows.
pub fn newest_accuracy(rows: &[Row]) -> Option<f64> {
    rows.iter().rev().find_map(Row::accuracy)
}

/// Every metric except counters, times and evaluations.
fn metrics(rows: &[&Row], last: usize) -> Vec<Metric> {
    let is_metric = |key: &str| !is_time_field(key) && !is_bookkeeping(key);
    let mut keys: Vec<&str> = Vec::new();
    for row in rows {
        for (key, _) in row.entries().filter(|(key, _)| is_metric(key)) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let metric = |key: &str| {
        let values = |rows: &[&Row]| rows.iter().filter_map(|row| row.get(key)).collect::<Vec<f64>>();
        let (all, last) = (values(rows), values(&rows[rows.len().saturating_sub(last)..]));
        // A metric that is undefined at the end has no last value and is left out.
        (!last.is_empty()).then(|| Metric { key: key.to_owned(), mean: mean(&all), last: mean(&last) })
    };
    keys.into_iter().filter_map(metric).collect()
}
