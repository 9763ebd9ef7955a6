//! The alarms of a run: when each was active, what it said, and what it means.

use serde::Serialize;
use vapo_train::{
    alarm::{Alarm, Sign},
    metrics::keys::ALARM,
};

use crate::metrics::MetricsTable;

/// An alarm over the steps of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlarmStory {
    /// Its name in metrics.
    pub sign: String,
    /// First and last step of each time it was active.
    pub spans: Vec<(u64, u64)>,
    /// What it said the last time; `None` if the run has not saved that yet.
    pub message: Option<String>,
    /// Its condition, what that means, and what helps.
    pub explanation: String,
}

/// The alarms in the rows, with the messages of those that were saved.
pub(crate) fn alarms(table: &MetricsTable, saved: &[Alarm]) -> Vec<AlarmStory> {
    let mut stories = Vec::new();
    for name in table.names().iter().filter_map(|name| name.strip_prefix(ALARM)) {
        let spans = spans(table, &format!("{ALARM}{name}"));
        if spans.is_empty() {
            continue;
        }
        let sign = Sign::ALL.into_iter().find(|sign| sign.name() == name);
        let said = saved.iter().rfind(|alarm| alarm.sign.name() == name);
        stories.push(AlarmStory {
            sign: name.to_owned(),
            message: said.map(|alarm| alarm.message.clone()),
            explanation: sign.map_or("This version of vapo does not know it.", Sign::explanation).to_owned(),
            spans,
        });
    }
    stories.sort_by_key(|story| story.spans[0]);
    stories
}

/// First and last step of each stretch of rows in which a metric is 1.
fn spans(table: &MetricsTable, name: &str) -> Vec<(u64, u64)> {
    let (mut spans, mut is_active) = (Vec::<(u64, u64)>::new(), false);
    for (&step, &value) in table.steps().iter().zip(table.column(name).unwrap_or_default()) {
        match spans.last_mut() {
            Some(span) if value == 1.0 && is_active => span.1 = step,
            _ if value == 1.0 => spans.push((step, step)),
            _ => {}
        }
        is_active = value == 1.0;
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{TestRun, row};

    #[test]
    fn alarms_are_told_by_spans_of_steps() {
        let run = TestRun::new();
        let active = [(0, 0), (1, 0), (1, 1), (0, 1), (1, 0)];
        let rows: Vec<String> = active
            .iter()
            .zip(1..)
            .map(|((ratio, future), step)| {
                row(
                    step,
                    &format!("\"vapo/alarm/future\":{future},\"vapo/alarm/ratio\":{ratio},\"vapo/alarm/length\":0"),
                )
            })
            .collect();
        run.rows(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        let table = MetricsTable::read(&run.directory()).unwrap();
        let said = |step, message: &str| Alarm { sign: Sign::Ratio, step, message: message.into() };
        let [ratio, future] = &alarms(&table, &[said(2, "far"), said(5, "farther")])[..] else {
            panic!("expected two alarms")
        };
        assert_eq!((&*ratio.sign, &ratio.spans[..]), ("ratio", &[(2, 3), (5, 5)][..]));
        assert_eq!((ratio.message.as_deref(), &*ratio.explanation), (Some("farther"), Sign::Ratio.explanation()));
        assert_eq!((&*future.sign, &future.spans[..], &future.message), ("future", &[(3, 4)][..], &None));
    }
}
