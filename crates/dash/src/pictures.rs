//! Pictures of a run that both its pages and its report show: curves, and what its critic sees.

use serde::Serialize;
use serde_json::{Value, json};
use vapo_chart::{
    Bars, CalibrationBin, Format, Frame, HeatMap, HeatRow, Line, Panel, bars, calibration, color, heat_map, svg,
};
use vapo_train::metrics::keys;
use vapo_view::{
    Axis, CriticView, Rollouts, View,
    critic::{Bin, Series, ValueRow, heat_map as value_rows},
    rollouts::Group,
};

use crate::error::Result;

const CURVE: (u32, u32) = (640, 300);
const MAP: (u32, u32) = (640, 340);
/// Cells of a row of the heat map at most.
const COLUMNS: usize = 160;
/// Explained variance below this is cut off: a critic that starts far off would hide everything else.
const LOWEST_VARIANCE: f64 = -1.0;

/// What a run's critic sees.
#[derive(Debug, Serialize)]
pub(crate) struct CriticPictures {
    /// Recorded steps.
    steps: Vec<u64>,
    /// The one that the last three pictures show.
    step: Option<u64>,
    pub(crate) explained_variance: Option<Value>,
    pub(crate) around_error: Option<Value>,
    pub(crate) by_tenth: Option<Value>,
    pub(crate) by_position: Option<Value>,
    pub(crate) calibration: Option<Value>,
    pub(crate) heat_map: Option<Value>,
    notes: Vec<String>,
}

/// Draws what a run's critic sees: over the run, and in a recorded step, by default the last one. The heat map is that of the
/// group of a prompt, by default of one with right and wrong answers.
///
/// # Errors
/// The step or the prompt is not recorded, or the record cannot be read.
pub(crate) fn critic(
    view: &View,
    rollouts: &Rollouts,
    step: Option<u64>,
    prompt: Option<u64>,
) -> Result<CriticPictures> {
    let series = |metric: &str| view.metrics().series(metric, Axis::Step);
    let found = CriticView::of(series, rollouts, step, reward_range(view))?;
    let thirds = ["first third", "middle third", "last third"].into_iter().zip(keys::EXPLAINED_VARIANCE_BY_THIRD);
    let thirds = thirds.map(|(name, key)| (name, series(key)));
    let around = [("up to the first wrong token", &found.before_error), ("after it", &found.after_error)];
    Ok(CriticPictures {
        steps: rollouts.steps().collect(),
        step: found.step,
        explained_variance: curves("step", Some((LOWEST_VARIANCE, f64::INFINITY)), thirds)?,
        around_error: curves("step", None, around.map(|(name, points)| (name, points.clone())))?,
        by_tenth: by_tenth(&found)?,
        by_position: by_position(&found)?,
        calibration: calibrated(&found)?,
        heat_map: found.step.map(|step| group_map(rollouts, step, prompt)).transpose()?.flatten(),
        notes: rollouts.notes(),
    })
}

/// The curve of a metric over the steps; `None` if it has no points.
///
/// # Errors
/// It cannot be drawn.
pub(crate) fn curve(view: &View, points: Series, format: Format) -> Result<Option<String>> {
    if points.is_empty() {
        return Ok(None);
    }
    let end = view.metrics().pretraining_end();
    let line = Line { dots: points.len() <= 30, points, width: 2, ..Line::default() };
    let panel = Panel {
        x_title: Axis::Step.title().to_owned(),
        format,
        lines: vec![line],
        shaded: end.map(|end| (0.0, end as f64, "value pretraining".to_owned())).into_iter().collect(),
        ..Panel::default()
    };
    Ok(Some(svg(&panel, CURVE)?.svg))
}

/// The least and the greatest reward of an answer; those of right and wrong, if this program cannot read the config.
fn reward_range(view: &View) -> [f64; 2] {
    let range = view.directory().config().map(|config| config.reward_range()).ok();
    range.filter(|[low, high]| low < high).unwrap_or([0.0, 1.0])
}

/// Named curves in a picture, or nothing if none has points.
fn curves(
    x_title: &str,
    y: Option<(f64, f64)>,
    named: impl IntoIterator<Item = (&'static str, Series)>,
) -> Result<Option<Value>> {
    let line = |(color, (name, points)): (usize, (&str, Series))| Line {
        name: name.to_owned(),
        dots: points.len() <= 30,
        points,
        color,
        width: 2,
        ..Line::default()
    };
    let lines: Vec<Line> = named.into_iter().enumerate().map(line).collect();
    if lines.iter().all(|line| line.points.is_empty()) {
        return Ok(None);
    }
    let lowest = lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(f64::INFINITY, f64::min);
    let y = y.filter(|(low, _)| lowest < *low);
    let panel = Panel { x_title: x_title.to_owned(), y, lines, legend: true, ..Panel::default() };
    let frame = svg(&panel, CURVE)?;
    let line = |line: &Line| json!({ "name": line.name, "color": color(line.color), "points": line.points });
    Ok(Some(framed(&frame, panel.lines.iter().map(line).collect())))
}

/// A picture with the place of its plotting area, and what a page needs of its lines.
pub(crate) fn framed(frame: &Frame, lines: Vec<Value>) -> Value {
    let Frame { svg, x, y, left, top, width, height } = frame;
    json!({ "svg": svg, "x": x, "y": y, "left": left, "top": top, "width": width, "height": height, "lines": lines })
}

/// Explained variance by tenth of the answer, as a mean over the last steps.
fn by_tenth(found: &CriticView) -> Result<Option<Value>> {
    const LAST: usize = 10;
    let mean = |points: &Series| {
        let last = &points[points.len().saturating_sub(LAST)..];
        let finite = last.iter().map(|point| point.1).filter(|value| value.is_finite());
        let (sum, count) = finite.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    };
    let means = found.explained_variance_by_tenth.each_ref().map(mean);
    if means.iter().all(Option::is_none) {
        return Ok(None);
    }
    let named = means.iter().enumerate().map(|(tenth, mean)| ((tenth + 1).to_string(), *mean)).collect();
    let chart = Bars { x_title: "tenth of the answer".to_owned(), bars: named, ..Bars::default() };
    Ok(Some(json!({ "svg": bars(&chart, CURVE)?, "means": means })))
}

fn by_position(found: &CriticView) -> Result<Option<Value>> {
    let points = |means: [Option<f64>; 10]| {
        let known = means.into_iter().enumerate().filter_map(|(tenth, mean)| Some(((tenth + 1) as f64, mean?)));
        known.collect::<Series>()
    };
    let named = [("right answers", points(found.by_position.right)), ("others", points(found.by_position.wrong))];
    curves("tenth of the answer", None, named)
}

fn calibrated(found: &CriticView) -> Result<Option<Value>> {
    if found.calibration.is_empty() {
        return Ok(None);
    }
    let bin = |bin: &Bin| CalibrationBin { predicted: bin.predicted, observed: bin.observed, count: bin.count };
    let bins: Vec<CalibrationBin> = found.calibration.iter().map(bin).collect();
    Ok(Some(json!({ "svg": calibration(&bins, MAP)?, "bins": found.calibration })))
}

/// The values of a group.
fn group_map(rollouts: &Rollouts, step: u64, prompt: Option<u64>) -> Result<Option<Value>> {
    let groups = rollouts.groups(step)?;
    let is_mixed = |group: &&Group| group.right > 0 && group.right < group.responses;
    let usual = groups.iter().find(is_mixed).or(groups.first()).map(|group| group.prompt_id);
    let Some(prompt) = prompt.or(usual) else { return Ok(None) };
    let rows = value_rows(&rollouts.group(step, prompt)?, COLUMNS);
    if rows.is_empty() {
        return Ok(None);
    }
    let row = |row: &ValueRow| HeatRow {
        label: format!("{} {}", row.row + 1, row.verdict),
        cells: row.cells.clone(),
        mark: row.first_wrong,
    };
    let map = HeatMap {
        x_title: "position in the response".to_owned(),
        rows: rows.iter().map(row).collect(),
        ..HeatMap::default()
    };
    Ok(Some(json!({ "svg": heat_map(&map, MAP)?, "rows": rows.len(), "prompt": prompt })))
}
