//! Rows of `metrics.jsonl`: one flat JSON object per step, in a fixed order, with the names in [`keys`].

pub mod keys;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use vapo_algo::Summary;

use crate::{
    error::{Error, Result},
    phase::Phase,
};
use keys::SummaryKeys;

/// One row. Values that do not exist (no correct answer, no variance) are `null`, never 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Row(Map<String, Value>);

impl Row {
    /// A row of the step that ends with `global_step`.
    pub fn new(global_step: u64) -> Self {
        let mut row = Self::default();
        row.count(keys::GLOBAL_STEP, global_step);
        row
    }

    /// Writes an integer.
    pub fn count(&mut self, key: &str, value: u64) {
        self.0.insert(key.to_string(), value.into());
    }

    /// Writes a number; `None` and values that JSON cannot represent become `null`.
    pub fn number(&mut self, key: &str, value: impl Into<Option<f64>>) {
        let number = value.into().and_then(serde_json::Number::from_f64);
        self.0.insert(key.to_string(), number.map_or(Value::Null, Value::Number));
    }

    /// Writes mean, maximum and minimum.
    pub fn summary<S: AsRef<str>>(&mut self, keys: &SummaryKeys<S>, summary: &Summary) {
        self.number(keys.mean.as_ref(), summary.mean());
        self.number(keys.max.as_ref(), summary.max());
        self.number(keys.min.as_ref(), summary.min());
    }

    /// Appends another row's entries.
    pub fn extend(&mut self, other: Row) {
        self.0.extend(other.0);
    }

    /// A number in the row; `None` if it is `null` or missing.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.0.get(key)?.as_f64()
    }

    /// A number that the row must have; `None` if it is `null`.
    ///
    /// # Errors
    /// The row does not have it, because it was written by a program with other metrics.
    pub fn required(&self, key: &str) -> Result<Option<f64>> {
        match self.0.get(key) {
            Some(value) => Ok(value.as_f64()),
            None => Err(Error::Run(format!(
                "the row of step {} in metrics.jsonl has no `{key}`, expected it in every row of this kind",
                self.global_step().map_or("?".into(), |step| step.to_string())
            ))),
        }
    }

    /// The phase of the row's step; `None` for the evaluation before the first step.
    ///
    /// # Errors
    /// The row does not contain it.
    pub fn phase(&self) -> Result<Option<Phase>> {
        if self.global_step() == Some(0) {
            return Ok(None);
        }
        let is_pretraining = self.required(keys::VALUE_PRETRAINING)? == Some(1.0);
        Ok(Some(if is_pretraining { Phase::ValuePretraining } else { Phase::Policy }))
    }

    /// The held-out accuracy, if it was measured after the step: the mean over data sources.
    pub fn accuracy(&self) -> Option<f64> {
        mean_accuracy(self.entries().filter_map(|(key, value)| Some((key, value.as_f64()?))))
    }

    /// The step of the row.
    pub fn global_step(&self) -> Option<u64> {
        self.0.get(keys::GLOBAL_STEP)?.as_u64()
    }

    /// Keys and values in order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The row as one line of JSON, with the newline.
    pub fn to_line(&self) -> String {
        let mut line = Value::Object(self.0.clone()).to_string();
        line.push('\n');
        line
    }

    /// Parses a line written by [`Row::to_line`]; `None` if it is not a JSON object.
    pub fn from_line(line: &str) -> Option<Self> {
        match serde_json::from_str(line) {
            Ok(Value::Object(map)) => Some(Self(map)),
            _ => None,
        }
    }
}

/// The held-out accuracy in the metrics of a row: the mean over data sources; `None` if it was not measured.
pub fn mean_accuracy<'a>(metrics: impl Iterator<Item = (&'a str, f64)>) -> Option<f64> {
    let accuracies = metrics.filter(|(key, _)| keys::eval::is_accuracy(key)).map(|(_, accuracy)| accuracy);
    let (sum, count) = accuracies.fold((0.0, 0u32), |(sum, count), accuracy| (sum + accuracy, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

pub(crate) fn share(part: usize, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_its_order_and_has_null_for_missing_values() {
        let mut row = Row::new(3);
        row.number(keys::VALUE_LOSS, 0.25);
        row.number(keys::POLICY_LOSS, None);
        row.summary(&keys::RESPONSE_LENGTH, &Summary::of(&[1.0, 2.0]));
        let line = row.to_line();
        assert_eq!(
            line,
            "{\"training/global_step\":3,\"critic/vf_loss\":0.25,\"actor/pg_loss\":null,\
             \"response_length/mean\":1.5,\"response_length/max\":2.0,\"response_length/min\":1.0}\n"
        );
        assert_eq!(Row::from_line(&line), Some(row));
    }

    #[test]
    fn a_missing_metric_is_an_error_and_null_is_none() {
        let mut row = Row::new(7);
        row.number(keys::POLICY_LOSS, None);
        assert_eq!(row.required(keys::POLICY_LOSS).unwrap(), None);
        let error = row.required(keys::VALUE_LOSS).unwrap_err().to_string();
        assert_eq!(
            error,
            "the row of step 7 in metrics.jsonl has no `critic/vf_loss`, expected it in every row of this kind"
        );
        assert!(row.phase().unwrap_err().to_string().contains("`training/value_pretraining`"));
        row.count(keys::VALUE_PRETRAINING, 1);
        assert_eq!(row.phase().unwrap(), Some(Phase::ValuePretraining));
        row.count(keys::VALUE_PRETRAINING, 0);
        assert_eq!(row.phase().unwrap(), Some(Phase::Policy));
        assert_eq!(Row::new(0).phase().unwrap(), None);
    }

    #[test]
    fn the_accuracy_is_the_mean_over_data_sources() {
        let mut row = Row::new(1);
        assert_eq!(row.accuracy(), None);
        row.number(&keys::eval::accuracy("a", 4), 0.5);
        row.number(&keys::eval::accuracy("b", 4), 0.25);
        row.number(&keys::eval::accuracy("c", 4), None);
        row.number(&keys::eval::pass("a", 4, 4), 1.0);
        assert_eq!(row.accuracy(), Some(0.375));
    }
}
