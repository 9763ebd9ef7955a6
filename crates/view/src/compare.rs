//! Runs side by side: their figures, and the settings in which they differ.

use serde::Serialize;
use vapo_study::LAST_SHARE;
use vapo_train::{Phase, metrics::keys};

use crate::{
    config::Setting,
    metrics::{Axis, MetricsTable},
    story::{ACCURACY, Curve},
    view::View,
};

/// Metrics of policy training that are compared, by their names for people.
const METRICS: [(&str, &str, Unit); 5] = [
    ("reward", keys::REWARDS.mean, Unit::Number),
    ("length", keys::RESPONSE_LENGTH.mean, Unit::Number),
    ("entropy", keys::ENTROPY, Unit::Number),
    ("explained variance", keys::EXPLAINED_VARIANCE, Unit::Number),
    ("clip share", keys::POLICY_CLIP_FRAC, Unit::Share),
];

/// Several runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Their ids.
    pub runs: Vec<String>,
    /// Their figures.
    pub figures: Vec<Figure>,
    /// Settings in which they differ, but for their directories.
    pub settings: Vec<DifferentSetting>,
    /// Held-out accuracy of each; `None` without evaluations.
    pub curves: Vec<Option<Curve>>,
    /// What could not be read.
    pub notes: Vec<String>,
}

/// A figure of each run; `None` if it has none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// How its numbers are written.
    pub unit: Unit,
    /// Its values.
    pub values: Vec<Option<f64>>,
}

/// A kind of number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A share of 1.
    Share,
    /// Something counted.
    Count,
    /// Seconds.
    Seconds,
    /// Any other.
    Number,
}

/// A setting in which runs differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DifferentSetting {
    /// Its dotted key.
    pub key: String,
    /// Its explanation.
    pub doc: String,
    /// Its value in each run; `None` in a run without it.
    pub values: Vec<Option<String>>,
}

impl Comparison {
    /// Compares runs.
    pub fn of(views: &[&View]) -> Self {
        let note = |view: &&View| {
            let notes = view.notes().into_iter();
            let id = view.id().to_owned();
            notes.map(move |note| format!("{id}: {note}"))
        };
        let accuracy = |view: &&View| Curve::of("held-out accuracy", ACCURACY, &view.metrics().accuracy(Axis::Step));
        Self {
            runs: views.iter().map(|view| view.id().to_owned()).collect(),
            figures: figures(views),
            settings: settings(views),
            curves: views.iter().map(accuracy).collect(),
            notes: views.iter().flat_map(note).collect(),
        }
    }
}

fn figures(views: &[&View]) -> Vec<Figure> {
    let costs: Vec<_> = views.iter().map(|view| view.metrics().costs().pop().unwrap_or_default()).collect();
    let accuracies: Vec<_> = views.iter().map(|view| view.metrics().accuracy(Axis::Step)).collect();
    let of_costs = |of: fn(&vapo_study::Cost) -> f64| costs.iter().map(|cost| Some(of(cost))).collect();
    let of_accuracies = |of: fn(&[(f64, f64)]) -> Option<f64>| accuracies.iter().map(|points| of(points)).collect();
    let figure = |name, unit, values| Figure { name, unit, values };
    let mut figures = vec![
        figure("accuracy before", Unit::Share, of_accuracies(|points| Some(points.first()?.1))),
        figure("accuracy after", Unit::Share, of_accuracies(|points| Some(points.last()?.1))),
        figure(
            "best accuracy",
            Unit::Share,
            of_accuracies(|points| points.iter().map(|point| point.1).reduce(f64::max)),
        ),
        figure(
            "steps",
            Unit::Count,
            views.iter().map(|view| view.metrics().steps().last().map(|step| *step as f64)).collect(),
        ),
        figure("policy updates", Unit::Count, of_costs(|cost| cost.updates)),
        figure("samples", Unit::Count, of_costs(|cost| cost.samples)),
        figure("tokens", Unit::Count, of_costs(|cost| cost.tokens)),
        figure("CPU time", Unit::Seconds, of_costs(|cost| cost.cpu_secs)),
    ];
    figures.extend(METRICS.map(|(name, key, unit)| {
        figure(name, unit, views.iter().map(|view| at_the_end(view.metrics(), key)).collect())
    }));
    figures.push(figure("alarms", Unit::Count, views.iter().map(|view| Some(view.entry().alarms as f64)).collect()));
    figures
}

/// The mean of a metric over the last tenth of the steps of policy training.
fn at_the_end(table: &MetricsTable, key: &str) -> Option<f64> {
    let rows: Vec<usize> = (0..table.steps().len()).filter(|&row| table.phase(row) == Some(Phase::Policy)).collect();
    let last = (rows.len() as f64 * LAST_SHARE).ceil() as usize;
    let values: Vec<f64> = rows[rows.len() - last..].iter().filter_map(|&row| table.value(key, row)).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn settings(views: &[&View]) -> Vec<DifferentSetting> {
    let configs: Vec<Vec<Setting>> = views.iter().map(|view| view.settings()).collect();
    let mut found: Vec<DifferentSetting> = Vec::new();
    for setting in configs.iter().flatten().filter(|setting| setting.key != "run.dir") {
        if found.iter().any(|known| known.key == setting.key) {
            continue;
        }
        let value = |config: &Vec<Setting>| Some(config.iter().find(|other| other.key == setting.key)?.value.clone());
        let values = configs.iter().map(value).collect();
        found.push(DifferentSetting { key: setting.key.clone(), doc: setting.doc.clone(), values });
    }
    found.retain(|setting| setting.values.iter().any(|value| *value != setting.values[0]));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{row, write_rows, write_run};

    #[test]
    fn runs_are_compared_by_figures_and_settings() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        write_run(&at("a"), &["run.seed=1"]);
        write_run(&at("b"), &["run.seed=2", "algorithm.preset=grpo"]);
        let accuracy = |accuracy: f64| format!(r#""val-core/a/acc/mean@2":{accuracy}"#);
        let step = |number: u64, length: u64| {
            row(
                number,
                &format!(
                    r#""training/value_pretraining":0,"training/tokens":{},"response_length/mean":{length}"#,
                    10 * number
                ),
            )
        };
        let after = row(2, &accuracy(0.4));
        write_rows(&at("a"), &[&row(0, &accuracy(0.2)), &row(1, &accuracy(0.8)), &after]);
        let rows: Vec<String> =
            [row(0, &accuracy(0.2))].into_iter().chain((1..=20).map(|number| step(number, number))).collect();
        write_rows(&at("b"), &rows.iter().map(String::as_str).collect::<Vec<_>>());
        let views = ["a", "b"].map(|name| View::open_as(name, &at(name)).unwrap());
        let comparison = Comparison::of(&views.each_ref());
        assert_eq!(comparison.runs, ["a", "b"]);
        let figure = |name: &str| {
            let figure = comparison.figures.iter().find(|figure| figure.name == name).unwrap();
            [figure.values[0], figure.values[1]]
        };
        assert_eq!(figure("best accuracy"), [Some(0.8), Some(0.2)]);
        assert_eq!(figure("accuracy after"), [Some(0.4), Some(0.2)]);
        assert_eq!((figure("steps"), figure("tokens")), ([Some(2.0), Some(20.0)], [Some(0.0), Some(200.0)]));
        assert_eq!(figure("length"), [None, Some(19.5)], "the mean over the last tenth");
        let setting = |key: &str| comparison.settings.iter().find(|setting| setting.key == key);
        assert_eq!(setting("run.seed").unwrap().values, [Some("1".to_owned()), Some("2".to_owned())]);
        assert!(
            setting("algorithm.advantage").is_some() && setting("run.dir").is_none() && setting("run.steps").is_none()
        );
        assert_eq!(comparison.curves.iter().flatten().map(|curve| curve.points.len()).collect::<Vec<_>>(), [3, 1]);

        let same = Comparison::of(&[&views[0], &views[0]]);
        assert_eq!(same.settings, []);
    }
}
