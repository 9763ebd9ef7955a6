//! Studies below the directory of runs, with their curves.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};
use vapo_chart::{Format, Frame, Line, Panel, color, svg};
use vapo_study::{CostAxis, mean_curve};
use vapo_view::{ArmView, StudyView};

use crate::{
    answer::{Answer, Failure, Place},
    parameters::Parameters,
    pictures::framed,
    site::Site,
};

/// What the curves of arms are drawn over, by its name in the data.
const AXES: [(&str, CostAxis); 3] =
    [("updates", CostAxis::Updates), ("samples", CostAxis::Samples), ("cpu_seconds", CostAxis::CpuSecs)];
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
        data["axes"] = json!(AXES.map(|(name, _)| name));
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
        for (axis_name, axis) in AXES {
            let line = |(index, arm): (usize, &&ArmView)| json!({ "name": arm.name, "color": color(index) });
            let frame = framed(&draw(&arms, axis)?, arms.iter().enumerate().map(line).collect());
            charts.push(json!({ "name": name, "axis": axis_name, "frame": frame }));
        }
    }
    Ok(charts)
}

fn draw(arms: &[&ArmView], axis: CostAxis) -> Result<Frame, Failure> {
    let line = |(color, arm): (usize, &&ArmView)| Line { color, ..mean_curve(&arm.curve, axis) };
    let panel = Panel {
        x_title: axis.title().to_owned(),
        format: Format::Percent,
        lines: arms.iter().enumerate().map(line).collect(),
        ..Panel::default()
    };
    svg(&panel, SIZE).map_err(|error| Failure::request(error.to_string()))
}
