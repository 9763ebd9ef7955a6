//! The story of a run: what it is, what it cost, how it departs from its preset, what happened when.

use serde::Serialize;
use vapo_study::Cost;
use vapo_train::metrics::keys;

use crate::{
    alarms::{AlarmStory, alarms},
    config::Setting,
    entry::RunEntry,
    metrics::{Axis, MetricsTable},
    milestones::{Milestone, milestones},
    view::View,
};

/// Most points of a curve: more than a terminal has columns.
const MAX_POINTS: usize = 200;
/// The metrics that show first how a run goes, by their names for people.
const CURVES: [(&str, &str); 6] = [
    ("reward", keys::REWARDS.mean),
    ("length", keys::RESPONSE_LENGTH.mean),
    ("entropy", keys::ENTROPY),
    ("explained variance", keys::EXPLAINED_VARIANCE),
    ("clip share", keys::POLICY_CLIP_FRAC),
    ("gradient norm", keys::POLICY_GRAD_NORM),
];
/// What takes the place of a metric's name for the held-out accuracy over all data sources.
pub const ACCURACY: &str = "accuracy";

/// A run told from its files.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Story {
    /// What it is and how far.
    pub run: RunEntry,
    /// The cost of training, without evaluations and checkpoints.
    pub cost: Cost,
    /// Processor seconds and seconds of the whole process; `None` until it has finished.
    pub process_secs: Option<(f64, f64)>,
    /// Settings in which it departs from its preset.
    pub settings: Vec<Setting>,
    /// What happened when.
    pub milestones: Vec<Milestone>,
    /// How it goes.
    pub curves: Vec<Curve>,
    /// Alarms in the order in which they began.
    pub alarms: Vec<AlarmStory>,
    /// What could not be read.
    pub notes: Vec<String>,
}

/// A metric over the steps of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// Its name for people.
    pub name: String,
    /// The metric, or [`ACCURACY`].
    pub metric: String,
    /// Its first value.
    pub first: f64,
    /// Its last value.
    pub last: f64,
    /// Its least value.
    pub min: f64,
    /// Its greatest value.
    pub max: f64,
    /// Steps and values; of a long run, means over equal stretches of steps.
    pub points: Vec<(f64, f64)>,
}

impl Story {
    /// The story of a run. What cannot be read is noted, and the rest told.
    pub fn of(view: &View) -> Self {
        let (table, mut notes) = (view.metrics(), view.notes());
        let mut noted = |error: String| {
            if !notes.contains(&error) {
                notes.push(error);
            }
        };
        let saved = view.directory().alarms().unwrap_or_else(|error| {
            noted(error.to_string());
            Vec::new()
        });
        let summary = view.summary().unwrap_or_else(|error| {
            noted(error.to_string());
            None
        });
        Self {
            run: view.entry(),
            cost: table.costs().pop().unwrap_or_default(),
            process_secs: summary.map(|summary| (summary.cpu_secs, summary.wall_secs)),
            settings: view.settings().into_iter().filter(|setting| setting.differs).collect(),
            milestones: milestones(table),
            curves: curves(table),
            alarms: alarms(table, &saved),
            notes,
        }
    }
}

fn curves(table: &MetricsTable) -> Vec<Curve> {
    let accuracy = Curve::of("held-out accuracy", ACCURACY, &table.accuracy(Axis::Step));
    let others =
        CURVES.into_iter().filter_map(|(name, metric)| Curve::of(name, metric, &table.series(metric, Axis::Step)));
    accuracy.into_iter().chain(others).collect()
}

impl Curve {
    /// `None` without points.
    pub(crate) fn of(name: &str, metric: &str, points: &[(f64, f64)]) -> Option<Self> {
        let values = || points.iter().map(|(_, value)| *value);
        Some(Self {
            name: name.to_owned(),
            metric: metric.to_owned(),
            first: points.first()?.1,
            last: points.last()?.1,
            min: values().fold(f64::INFINITY, f64::min),
            max: values().fold(f64::NEG_INFINITY, f64::max),
            points: binned(points, MAX_POINTS),
        })
    }
}

/// At most `most` points: the means of equal stretches of the x-axis.
fn binned(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) else { return Vec::new() };
    if points.len() <= most {
        return points.to_vec();
    }
    let place = |x: f64| (((x - first) / (last - first) * most as f64) as usize).min(most - 1);
    let mean = |bin: &[(f64, f64)]| {
        let sum = bin.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / bin.len() as f64, sum.1 / bin.len() as f64)
    };
    points.chunk_by(|one, next| place(one.0) == place(next.0)).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tests::{TestRun, row};

    #[test]
    fn a_story_tells_what_can_be_read_and_notes_the_rest() {
        let run = TestRun::new();
        run.rows(&[
            &row(0, r#""val-core/a/acc/mean@2":0.2"#),
            "{",
            &row(1, r#""critic/rewards/mean":0.5,"training/responses":7"#),
        ]);
        fs::write(run.path().join("summary.json"), "[]").unwrap();
        let story = Story::of(&View::open(run.path()).unwrap());
        assert_eq!((story.run.step, story.cost.samples, story.process_secs), (1, 7.0, None));
        let names: Vec<&str> = story.curves.iter().map(|curve| curve.name.as_str()).collect();
        assert_eq!(names, ["held-out accuracy", "reward"]);
        assert!(story.settings.iter().any(|setting| setting.key == "run.steps" && setting.value == "70"));
        let [metrics, summary] = &story.notes[..] else { panic!("{:?}", story.notes) };
        assert!(metrics.contains("1 line is damaged") && summary.contains("summary.json"), "{:?}", story.notes);
    }

    #[test]
    fn long_curves_are_means_of_equal_stretches() {
        let points: Vec<(f64, f64)> = (0..1000).map(|x| (f64::from(x), f64::from(x % 2))).collect();
        let curve = Curve::of("a", "b", &points).unwrap();
        assert_eq!(
            (curve.first, curve.last, curve.min, curve.max, curve.points.len()),
            (0.0, 1.0, 0.0, 1.0, MAX_POINTS)
        );
        assert!(curve.points.iter().all(|(_, y)| (0.3..0.7).contains(y)), "{:?}", curve.points);
        assert!(curve.points.is_sorted());
        assert_eq!(Curve::of("a", "b", &[]), None);
        assert_eq!(binned(&[(3.0, 1.0)], 5), [(3.0, 1.0)]);
    }
}
