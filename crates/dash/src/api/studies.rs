//! Studies below the directory of runs, with their curves.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};
use vapo_chart::{Format, Frame, Line, Panel, color, svg};
use vapo_study::Cost;
use vapo_view::{ArmView, Axis, StudyView};

use crate::{
    answer::{Answer, Failure, Place},
    parameters::Parameters,
    site::Site,
};

/// What the curves of arms are drawn over.
const AXES: [CostAxis; 3] = [
    ("updates", Axis::Updates, |cost| cost.updates),
    ("samples", Axis::Samples, |cost| cost.samples),
    ("cpu_seconds", Axis::CpuSeconds, |cost| cost.cpu_secs),
];
/// Its name, what it is, and the place of a cost on it.
type CostAxis = (&'static str, Axis, fn(&Cost) -> f64);
const SIZE: (u32, u32) = (720, 400);

/// `/api/studies`
pub(crate) async fn list(State(site): State<Arc<Site>>, parameters: Parameters) -> Answer {
    parameters.only(&[])?;
    site.json(|site| Ok(site.studies().list()?)).await
}

/// `/api/studies/ID`
pub(crate) async fn study(State(site): State<Arc<Site>>, Place(id): Place<String>, parameters: Parameters) -> Answer {
    parameters.only(&[])?;
    site.json(move |site| {
        let study = site.studies().study(&id)?;
        let charts = charts(&study)?;
        let mut data = json!(study);
        data["axes"] = json!(AXES.map(|(name, ..)| name));
        data["charts"] = json!(charts);
        Ok(data)
    })
    .await
}

/// Every chart of a study over every axis; all arms in one, if it describes none.
fn charts(study: &StudyView) -> Result<Vec<Value>, Failure> {
    let of = |names: &[String]| study.arms.iter().filter(|arm| names.contains(&arm.name)).collect();
    let mut groups: Vec<(&str, Vec<&ArmView>)> =
        study.charts.iter().map(|(name, names)| (name.as_str(), of(names))).collect();
    if groups.is_empty() && !study.arms.is_empty() {
        groups.push(("all arms", study.arms.iter().collect()));
    }
    let mut charts = Vec::new();
    for (name, arms) in groups {
        for axis in AXES {
            let Frame { svg, x, y, left, top, width, height } = draw(&arms, axis)?;
            let lines = arms.iter().enumerate().map(|(index, arm)| json!({ "name": arm.name, "color": color(index) }));
            let lines: Vec<Value> = lines.collect();
            let frame = json!({
                "svg": svg, "x": x, "y": y, "left": left, "top": top, "width": width, "height": height, "lines": lines,
            });
            charts.push(json!({ "name": name, "axis": axis.0, "frame": frame }));
        }
    }
    Ok(charts)
}

fn draw(arms: &[&ArmView], (_, axis, place): CostAxis) -> Result<Frame, Failure> {
    let line = |(color, arm): (usize, &&ArmView)| {
        let mut line = Line { color, width: 2, ..Line::default() };
        for point in &arm.curve {
            let x = place(&point.cost);
            let accuracy = point.accuracy;
            let end = |end: Option<f64>| end.unwrap_or(accuracy.mean).clamp(0.0, 1.0);
            line.points.push((x, accuracy.mean));
            line.band.push((x, end(accuracy.low), end(accuracy.high)));
        }
        line
    };
    let panel = Panel {
        x_title: axis.title().to_owned(),
        format: Format::Percent,
        lines: arms.iter().enumerate().map(line).collect(),
        ..Panel::default()
    };
    svg(&panel, SIZE).map_err(|error| Failure::request(error.to_string()))
}
