//! Rows of `metrics.jsonl`: one flat JSON object per step, in a fixed order, under verl's names.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use vapo_algo::Summary;

/// One row. Values that do not exist (no correct answer, no variance) are `null`, never 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Row(Map<String, Value>);

impl Row {
    /// A row of the step that ends with `global_step`.
    pub fn new(global_step: u64) -> Self {
        let mut row = Self::default();
        row.count(STEP, global_step);
        row
    }

    /// Writes an integer.
    pub fn count(&mut self, key: &str, value: u64) {
        self.0.insert(key.to_string(), value.into());
    }

    /// Writes a number; `None` and what JSON cannot hold become `null`.
    pub fn number(&mut self, key: &str, value: impl Into<Option<f64>>) {
        let number = value.into().and_then(serde_json::Number::from_f64);
        self.0.insert(key.to_string(), number.map_or(Value::Null, Value::Number));
    }

    /// Writes `<prefix>/mean`, `/max` and `/min`.
    pub fn summary(&mut self, prefix: &str, summary: &Summary) {
        self.number(&format!("{prefix}/mean"), summary.mean());
        self.number(&format!("{prefix}/max"), summary.max());
        self.number(&format!("{prefix}/min"), summary.min());
    }

    /// Appends another row's entries.
    pub fn extend(&mut self, other: Row) {
        self.0.extend(other.0);
    }

    /// A number of the row.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.0.get(key)?.as_f64()
    }

    /// The step that the row ends.
    pub fn global_step(&self) -> Option<u64> {
        self.0.get(STEP)?.as_u64()
    }

    /// Keys and values in order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The row as one line of JSON, with its line end.
    pub fn to_line(&self) -> String {
        let mut line = Value::Object(self.0.clone()).to_string();
        line.push('\n');
        line
    }

    /// Reads a line that [`Row::to_line`] wrote; `None` if it is no JSON object.
    pub fn from_line(line: &str) -> Option<Self> {
        match serde_json::from_str(line) {
            Ok(Value::Object(map)) => Some(Self(map)),
            _ => None,
        }
    }
}

/// Whether a metric depends on the clock or the machine; all others repeat exactly.
pub fn is_time_field(key: &str) -> bool {
    key.starts_with("timing_s/") || key.starts_with("perf/")
}

pub(crate) fn share(part: usize, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

const STEP: &str = "training/global_step";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_its_order_and_says_null_for_what_does_not_exist() {
        let mut row = Row::new(3);
        row.number("critic/vf_loss", 0.25);
        row.number("actor/pg_loss", None);
        row.summary("response_length", &Summary::of(&[1.0, 2.0]));
        let line = row.to_line();
        assert_eq!(
            line,
            "{\"training/global_step\":3,\"critic/vf_loss\":0.25,\"actor/pg_loss\":null,\
             \"response_length/mean\":1.5,\"response_length/max\":2.0,\"response_length/min\":1.0}\n"
        );
        assert_eq!(Row::from_line(&line), Some(row));
    }
}
