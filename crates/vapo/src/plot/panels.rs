//! What is drawn: the overview of runs, or named metrics.

use anyhow::{Result, bail};
use vapo_chart::{Format, Line, Panel, Row};
use vapo_train::metrics::keys::{self, eval::is_accuracy};
use vapo_view::{Axis, smooth};

use super::curves::{Points, RunCurves};

/// Width of a picture, and the height of the overview, in pixels.
const WIDTH: u32 = 900;
const OVERVIEW_HEIGHT: u32 = 560;
/// Height of the overview's large panel, relative to that of the small ones.
const LARGE: f64 = 2.2;
/// Height of a single metric's panel, and of those of several.
const HEIGHTS: (u32, u32) = (480, 280);
/// The end of an axis, relative to that of what it shows.
const SPACE: f64 = 1.04;
/// The most panels next to each other.
const COLUMNS: usize = 3;

/// Colors of the overview: of accuracy, of reward, and of everything else.
const ACCURACY: usize = 3;
const REWARD: usize = 7;
const DETAIL: usize = 7;

/// How alike a name must be to be suggested, and how many are.
const SIMILAR: f64 = 0.7;
const SUGGESTIONS: usize = 3;

/// Panels and the size of the picture.
pub(super) struct Picture {
    pub(super) rows: Vec<Row>,
    pub(super) size: (u32, u32),
}

/// Held-out accuracy and reward, and below them length, entropy and explained variance. The first run is in front; the others
/// are thin lines.
pub(super) fn overview(runs: &[RunCurves], axis: Axis, weight: f64) -> Picture {
    let x = Some((0.0, SPACE * runs.iter().map(RunCurves::end).fold(0.0, f64::max)));
    let small = |key: &str, title: &str, y: Option<(f64, f64)>| {
        let others = runs[1..].iter().map(|run| thin(smooth(&run.metric(key), weight), DETAIL));
        let lines =
            others.chain(curve(runs[0].metric(key), weight, Line { color: DETAIL, width: 1, ..Line::default() }));
        Panel { title: title.into(), x, y, lines: lines.collect(), shaded: shaded(&runs[0], ""), ..Panel::default() }
    };
    let from_zero = Some((0.0, f64::NAN));
    let large = Panel {
        x_title: title(axis).into(),
        x,
        y: Some((0.0, SPACE)),
        format: Format::Percent,
        lines: accuracy_and_reward(runs, weight),
        shaded: shaded(&runs[0], "value pretraining"),
        legend: true,
        ..Panel::default()
    };
    let details = vec![
        small(keys::RESPONSE_LENGTH.mean, "response length, tokens", from_zero),
        small(keys::ENTROPY, "entropy, nats per token", from_zero),
        small(keys::EXPLAINED_VARIANCE, "critic's explained variance", None),
    ];
    let rows = vec![Row { panels: vec![large], height: LARGE }, Row { panels: details, height: 1.0 }];
    Picture { rows, size: (WIDTH, OVERVIEW_HEIGHT) }
}

fn accuracy_and_reward(runs: &[RunCurves], weight: f64) -> Vec<Line> {
    let (first, others) = (&runs[0], &runs[1..]);
    let named = Line { name: "mean reward of a step".into(), color: REWARD, width: 1, ..Line::default() };
    let mut lines: Vec<Line> = curve(first.metric(keys::REWARDS.mean), weight, named).collect();
    lines.extend(others.iter().map(|run| thin(run.accuracy(), ACCURACY)));
    if let Some(line) = lines.iter_mut().find(|line| line.faint && line.color == ACCURACY) {
        let runs = if others.len() == 1 { "another run".into() } else { format!("{} other runs", others.len()) };
        line.name = format!("held-out accuracy of {runs}");
    }
    let line = Line { color: ACCURACY, width: 2, ..Line::default() };
    lines.push(Line { name: "held-out accuracy".into(), points: first.accuracy(), ..line.clone() });
    // Only measured points are marked: between gaps, each is a dot.
    let gap = |point: &(f64, f64)| [*point, (point.0, f64::NAN)];
    let dots = first.evaluations().iter().flat_map(gap).collect();
    lines.push(Line { points: dots, dots: true, values: true, ..line });
    lines
}

/// A panel for each metric, with a color for each run.
///
/// # Errors
/// No run has the metric.
pub(super) fn metrics(runs: &[RunCurves], wanted: &[String], axis: Axis, weight: f64) -> Result<Picture> {
    if let Some(unknown) = wanted.iter().find(|key| runs.iter().all(|run| !run.names().contains(key))) {
        bail!("no run has the metric `{unknown}`{}", suggestion(runs, unknown));
    }
    let columns = if wanted.len() <= 4 { wanted.len().min(2) } else { COLUMNS };
    let panel = |(index, key): (usize, &String)| {
        let line = |(color, run): (usize, &RunCurves)| {
            curve(run.metric(key), weight, Line { name: run.name.clone(), color, width: 2, ..Line::default() })
        };
        Panel {
            title: key.clone(),
            x_title: title(axis).into(),
            format: if is_accuracy(key) { Format::Percent } else { Format::Plain },
            lines: runs.iter().enumerate().flat_map(line).collect(),
            shaded: if runs.len() == 1 { shaded(&runs[0], "value pretraining") } else { Vec::new() },
            legend: runs.len() > 1 && index < columns,
            ..Panel::default()
        }
    };
    let panels: Vec<Panel> = wanted.iter().enumerate().map(panel).collect();
    let rows: Vec<Row> = panels.chunks(columns).map(|panels| Row { panels: panels.to_vec(), height: 1.0 }).collect();
    let height = if wanted.len() == 1 { HEIGHTS.0 } else { HEIGHTS.1 * rows.len() as u32 };
    Ok(Picture { rows, size: (WIDTH, height) })
}

/// The names that are most like an unknown one, for an error.
fn suggestion(runs: &[RunCurves], unknown: &str) -> String {
    let likeness = |key: &&String| {
        let contains = if key.contains(unknown) { 1.0 } else { 0.0 };
        strsim::jaro_winkler(key, unknown) + contains
    };
    let mut keys: Vec<&String> = runs.iter().flat_map(RunCurves::names).filter(|key| likeness(key) > SIMILAR).collect();
    keys.sort();
    keys.dedup();
    keys.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
    let names: Vec<String> = keys.into_iter().take(SUGGESTIONS).map(|key| format!("`{key}`")).collect();
    match &names[..] {
        [] => " (docs/vapo.md lists all)".into(),
        [names @ .., last] if !names.is_empty() => format!("; similar: {} or {last}", names.join(", ")),
        _ => format!("; similar: {}", names[0]),
    }
}

/// A curve; if it is smoothed, with its points behind it.
fn curve(points: Points, weight: f64, line: Line) -> impl Iterator<Item = Line> {
    let front = Line { points: smooth(&points, weight), ..line };
    let behind = (weight > 0.0).then(|| thin(points, front.color));
    behind.into_iter().chain([front])
}

fn thin(points: Points, color: usize) -> Line {
    Line { points, color, width: 1, faint: true, ..Line::default() }
}

/// The span of value pretraining.
fn shaded(run: &RunCurves, label: &str) -> Vec<(f64, f64, String)> {
    run.pretraining_end().map(|end| (f64::NEG_INFINITY, end, label.to_owned())).into_iter().collect()
}

fn title(axis: Axis) -> &'static str {
    if axis == Axis::Step { "step (one rollout each)" } else { axis.title() }
}
