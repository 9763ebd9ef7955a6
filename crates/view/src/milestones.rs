//! What happened when in a run.

use serde::Serialize;
use vapo_train::{Phase, metrics::keys};

use crate::metrics::{Axis, MetricsTable, smooth};

/// Rewards of single steps are noisy: their gain is that of an average over about five steps.
const SMOOTHING: f64 = 0.8;
/// Shares of a gain that are worth a milestone, by their names.
const GAINS: [(f64, &str); 2] = [(0.5, "half"), (0.9, "90 %")];
/// The system counts memory in parts, so that a process's peak may seem to fall a little.
const MEMORY_FALL: f64 = 0.9;
/// With more steps than this in which updates were skipped, only the first one is a milestone.
const MAX_SKIPPED: usize = 5;

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Milestone {
    /// After this step.
    pub step: u64,
    /// What.
    pub text: String,
}

/// The milestones of a run in order.
pub(crate) fn milestones(table: &MetricsTable) -> Vec<Milestone> {
    let mut found = Vec::new();
    found.extend(pretraining(table));
    found.extend(rewards(table));
    found.extend(accuracies(table));
    found.extend(processes(table));
    for (key, network) in [(keys::POLICY_SKIPPED_UPDATES, "policy"), (keys::CRITIC_SKIPPED_UPDATES, "critic")] {
        found.extend(skipped(table, key, network));
    }
    found.sort_by_key(|milestone| milestone.step);
    found
}

/// The end of value pretraining, once the policy is trained.
fn pretraining(table: &MetricsTable) -> Option<Milestone> {
    let step = table.pretraining_end()?;
    let row = table.steps().iter().rposition(|known| *known == step)?;
    table.phase(row + 1)?;
    let explained = table.value(keys::EXPLAINED_VARIANCE, row);
    let sees = explained
        .map_or(String::new(), |explained| format!(": the critic explains {} of the variance", percent(explained)));
    Some(Milestone { step, text: format!("value pretraining ends{sees}") })
}

fn rewards(table: &MetricsTable) -> Vec<Milestone> {
    let first = (0..table.steps().len()).find(|&row| table.phase(row) == Some(Phase::Policy));
    let Some(first) = first.map(|row| table.steps()[row] as f64) else { return Vec::new() };
    let mut points = table.series(keys::REWARDS.mean, Axis::Step);
    points.retain(|(step, _)| *step >= first);
    gains(&smooth(&points, SMOOTHING), "reward", |reward| format!("{reward:.3}"))
}

fn accuracies(table: &MetricsTable) -> Vec<Milestone> {
    let points = table.accuracy(Axis::Step);
    let (Some(&(_, before)), Some(&(last, after))) = (points.first(), points.last()) else { return Vec::new() };
    let mut found = Vec::new();
    let mut tell = |step: f64, text: String| found.push(Milestone { step: step as u64, text });
    if points[0].0 == 0.0 {
        tell(0.0, format!("before training, held-out accuracy is {}", percent(before)));
    }
    let trained = points.iter().filter(|(step, _)| *step > 0.0 && !is_pretraining(table, *step as u64));
    let best = trained.fold(None, |best: Option<(f64, f64)>, point| match best {
        Some(best) if best.1 >= point.1 => Some(best),
        _ => Some(*point),
    });
    if let Some((step, accuracy)) = best {
        if step == last {
            tell(last, format!("the last evaluation is the best: held-out accuracy {}", percent(after)));
        } else {
            tell(step, format!("best held-out accuracy: {}", percent(accuracy)));
            tell(last, format!("last evaluation: held-out accuracy {}", percent(after)));
        }
    }
    found.extend(gains(&points, "held-out accuracy", percent));
    found
}

fn is_pretraining(table: &MetricsTable, step: u64) -> bool {
    table.pretraining_end().is_some_and(|end| step <= end)
}

/// Where a curve first has half and nearly all of what it gains from its first point to its last.
fn gains(points: &[(f64, f64)], name: &str, written: impl Fn(f64) -> String) -> Vec<Milestone> {
    let (Some((_, first)), Some((_, last))) = (points.first(), points.last()) else { return Vec::new() };
    let gain = last - first;
    let reached = |(share, part): (f64, &str)| {
        let (step, value) = points.iter().find(|(_, value)| *value >= first + share * gain)?;
        let text = format!(
            "{name} has made {part} of its gain: {} on the way from {} to {}",
            written(*value),
            written(*first),
            written(*last)
        );
        Some(Milestone { step: *step as u64, text })
    };
    if gain > 0.0 { GAINS.into_iter().filter_map(reached).collect() } else { Vec::new() }
}

/// Where another process took over: the peak of a process's memory cannot fall.
fn processes(table: &MetricsTable) -> impl Iterator<Item = Milestone> {
    let peaks = table.series(keys::MEMORY_GB, Axis::Step);
    let resumed = |pair: &[(f64, f64)]| {
        let [(before, peak), (step, next)] = pair else { return None };
        let text = format!("another process has gone on with the run after step {before}");
        (*next < MEMORY_FALL * peak).then_some(Milestone { step: *step as u64, text })
    };
    peaks.windows(2).filter_map(resumed).collect::<Vec<_>>().into_iter()
}

fn skipped(table: &MetricsTable, key: &str, network: &str) -> Vec<Milestone> {
    let mut steps = table.series(key, Axis::Step);
    steps.retain(|(_, skipped)| *skipped > 0.0);
    if steps.len() > MAX_SKIPPED {
        let text = format!(
            "the first of {} steps in which updates of the {network} were skipped: gradients were not finite",
            steps.len()
        );
        return vec![Milestone { step: steps[0].0 as u64, text }];
    }
    let tell = |(step, skipped): (f64, f64)| Milestone {
        step: step as u64,
        text: format!("updates of the {network} skipped because gradients were not finite: {skipped}"),
    };
    steps.into_iter().map(tell).collect()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{TestRun, row};

    fn told(rows: &[String]) -> Vec<(u64, String)> {
        let run = TestRun::new();
        run.rows(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        let table = MetricsTable::read(&run.directory()).unwrap();
        milestones(&table).into_iter().map(|milestone| (milestone.step, milestone.text)).collect()
    }

    #[test]
    fn a_run_has_its_milestones_in_order() {
        let accuracy = |accuracy: f64| format!(r#""val-core/a/acc/mean@2":{accuracy}"#);
        let policy = |reward: f64| {
            format!(r#""training/value_pretraining":0,"critic/rewards/mean":{reward},"perf/cpu_memory_used_gb":0.1"#)
        };
        let told = told(&[
            row(0, &accuracy(0.2)),
            row(1, r#""training/value_pretraining":1,"critic/rewards/mean":0.9,"perf/cpu_memory_used_gb":0.2"#),
            row(2, r#""training/value_pretraining":1,"critic/vf_explained_var":0.25,"perf/cpu_memory_used_gb":0.2"#),
            row(3, &policy(0.0)),
            row(4, &format!("{},{}", policy(0.0), accuracy(0.5))),
            row(5, &format!(r#"{},"actor/skipped_updates":2"#, policy(1.0))),
            row(6, &format!("{},{}", policy(1.0), accuracy(0.7))),
            row(7, &format!("{},{}", policy(1.0), accuracy(0.6))),
        ]);
        let expected = [
            (0, "before training, held-out accuracy is 20.0 %"),
            (2, "value pretraining ends: the critic explains 25.0 % of the variance"),
            (3, "another process has gone on with the run after step 2"),
            (4, "held-out accuracy has made half of its gain: 50.0 % on the way from 20.0 % to 60.0 %"),
            (5, "reward has made half of its gain: 0.410 on the way from 0.000 to 0.726"),
            (5, "updates of the policy skipped because gradients were not finite: 2"),
            (6, "best held-out accuracy: 70.0 %"),
            (6, "held-out accuracy has made 90 % of its gain: 70.0 % on the way from 20.0 % to 60.0 %"),
            (7, "reward has made 90 % of its gain: 0.726 on the way from 0.000 to 0.726"),
            (7, "last evaluation: held-out accuracy 60.0 %"),
        ];
        assert_eq!(told, expected.map(|(step, text)| (step, text.to_owned())));
    }

    #[test]
    fn a_run_that_gains_nothing_or_has_nothing_says_so_by_silence() {
        assert_eq!(told(&[]), []);
        assert_eq!(told(&[row(1, r#""training/value_pretraining":1"#)]), [], "value pretraining goes on");
        let worse = [row(0, r#""val-core/a/acc/mean@2":0.5"#), row(1, r#""val-core/a/acc/mean@2":0.25"#)];
        let expected = [
            (0, "before training, held-out accuracy is 50.0 %"),
            (1, "the last evaluation is the best: held-out accuracy 25.0 %"),
        ];
        assert_eq!(told(&worse), expected.map(|(step, text)| (step, text.to_owned())));
    }

    #[test]
    fn many_skipped_updates_are_one_milestone() {
        let rows: Vec<String> =
            (1..20).map(|step| row(step, r#""training/value_pretraining":0,"critic/skipped_updates":1"#)).collect();
        let expected = "the first of 19 steps in which updates of the critic were skipped: gradients were not finite";
        assert_eq!(told(&rows), [(1, expected.to_owned())]);
    }
}
