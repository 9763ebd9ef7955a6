//! The summary of a finished run: `summary.json`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{
    alarm::Alarm,
    checkpoint::Best,
    error::Result,
    metrics::{Row, keys},
    phase::Phase,
};

/// Number of steps at the end of a run that are averaged in the critic's summary.
const CRITIC_STEPS: usize = 10;

/// The summary of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Held-out accuracy.
    pub eval: AccuracySummary,
    /// Steps of both phases.
    pub steps: u64,
    /// Optimizer updates of policy and critic.
    pub updates: u64,
    /// Response tokens sampled for training.
    pub tokens: u64,
    /// Wall time in seconds, including evaluations and checkpoints.
    pub wall_secs: f64,
    /// Processor seconds of all threads.
    pub cpu_secs: f64,
    /// Largest resident memory in MB (10^6 bytes).
    pub peak_rss_mb: f64,
    /// `run.seed`.
    pub seed: u64,
    /// The trained policy with the best held-out accuracy; with `checkpoint.keep_best` there is a checkpoint of it.
    #[serde(default)]
    pub best: Option<Best>,
    /// The critic; `None` without one.
    pub critic: Option<CriticSummary>,
    /// The alarms that were raised.
    pub alarms: Vec<Alarm>,
}

/// Held-out accuracy before and after a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AccuracySummary {
    /// Of the initial policy; `None` if no answer could be graded.
    pub before: Option<f64>,
    /// At the last evaluation.
    pub after: Option<f64>,
    /// Number of problems in an evaluation.
    pub problems: usize,
    /// Samples per problem.
    pub samples_per_problem: usize,
}

/// The critic at the end of a run: means over the last steps of policy training. `None` if a number is undefined in all of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CriticSummary {
    /// Number of steps averaged.
    pub steps: usize,
    /// Explained variance against the Monte-Carlo return.
    pub explained_variance: Option<f64>,
    /// The same by the token's position in its response, in tenths.
    pub explained_variance_by_decile: [Option<f64>; 10],
    /// Value loss.
    pub value_loss: Option<f64>,
    /// Mean of value minus return.
    pub value_bias: Option<f64>,
    /// Calibration error.
    pub calibration_error: Option<f64>,
    /// Value up to the first wrong token.
    pub value_before_error: Option<f64>,
    /// Value after it.
    pub value_after_error: Option<f64>,
    /// Advantage of the first wrong token.
    pub advantage_at_error: Option<f64>,
    /// Correlation between the advantage and being the first wrong token.
    pub advantage_error_correlation: Option<f64>,
}

impl CriticSummary {
    /// Reads the rows of a run with a critic; `None` if no step trained the policy.
    ///
    /// # Errors
    /// A row lacks a metric of the critic.
    pub(crate) fn of(rows: impl IntoIterator<Item = Result<Row>>) -> Result<Option<Self>> {
        let mut last = VecDeque::new();
        for row in rows {
            let row = row?;
            if row.phase()? == Some(Phase::Policy) {
                last.truncate(CRITIC_STEPS - 1);
                last.push_front(row);
            }
        }
        if last.is_empty() {
            return Ok(None);
        }
        let last: Vec<Row> = last.into_iter().rev().collect();
        let last = &last;
        let mut deciles = [None; 10];
        for (mean, key) in deciles.iter_mut().zip(keys::EXPLAINED_VARIANCE_BY_DECILE) {
            *mean = mean_of(last, key)?;
        }
        Ok(Some(Self {
            steps: last.len(),
            explained_variance: mean_of(last, keys::EXPLAINED_VARIANCE)?,
            explained_variance_by_decile: deciles,
            value_loss: mean_of(last, keys::VALUE_LOSS)?,
            value_bias: mean_of(last, keys::VALUE_BIAS)?,
            calibration_error: mean_of(last, keys::CALIBRATION_ERROR)?,
            value_before_error: mean_of(last, keys::VALUE_BEFORE_ERROR)?,
            value_after_error: mean_of(last, keys::VALUE_AFTER_ERROR)?,
            advantage_at_error: mean_of(last, keys::ADVANTAGE_AT_ERROR)?,
            advantage_error_correlation: mean_of(last, keys::ADVANTAGE_ERROR_CORRELATION)?,
        }))
    }
}

/// The mean of a metric over the rows in which it is defined.
fn mean_of(rows: &[Row], key: &str) -> Result<Option<f64>> {
    let values = rows.iter().map(|row| row.required(key)).collect::<Result<Vec<_>>>()?;
    let defined: Vec<f64> = values.into_iter().flatten().collect();
    Ok((!defined.is_empty()).then(|| defined.iter().sum::<f64>() / defined.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRITIC_KEYS: [&str; 8] = [
        keys::EXPLAINED_VARIANCE,
        keys::VALUE_LOSS,
        keys::VALUE_BIAS,
        keys::CALIBRATION_ERROR,
        keys::VALUE_BEFORE_ERROR,
        keys::VALUE_AFTER_ERROR,
        keys::ADVANTAGE_AT_ERROR,
        keys::ADVANTAGE_ERROR_CORRELATION,
    ];

    fn row(pretraining: u64, explained: f64) -> Row {
        let mut row = Row::new(1);
        row.count(keys::VALUE_PRETRAINING, pretraining);
        CRITIC_KEYS.into_iter().chain(keys::EXPLAINED_VARIANCE_BY_DECILE).for_each(|key| row.number(key, None));
        row.number(keys::EXPLAINED_VARIANCE, explained);
        row
    }

    #[test]
    fn the_critic_is_the_mean_of_the_last_steps_of_the_policy() {
        let mut rows = vec![Row::new(0), row(1, 9.0), row(0, 9.0)];
        rows.extend((0..10).map(|step| row(0, 0.1 * f64::from(step))));
        let summary = CriticSummary::of(rows.iter().cloned().map(Ok)).unwrap().unwrap();
        assert!((summary.explained_variance.unwrap() - 0.45).abs() < 1e-12);
        assert_eq!((summary.steps, summary.value_bias), (10, None));
        assert_eq!(CriticSummary::of(rows.into_iter().take(2).map(Ok)).unwrap(), None);
    }

    #[test]
    fn a_metric_of_the_critic_that_is_missing_is_an_error() {
        for missing in CRITIC_KEYS.into_iter().chain(keys::EXPLAINED_VARIANCE_BY_DECILE) {
            let line = row(0, 0.1).to_line().replace(&format!("\"{missing}\""), "\"other\"");
            let error = CriticSummary::of([Ok(Row::from_line(&line).unwrap())]).unwrap_err().to_string();
            assert!(error.contains(&format!("has no `{missing}`")), "{error}");
        }
    }
}
