//! A metric of one run, or of several over each other: as a picture, as points, as a table.

use std::sync::Arc;

use axum::{extract::State, http::header, response::IntoResponse};
use serde_json::{Map, json};
use vapo_chart::{Frame, Line, Panel, color, svg as draw};

use super::{
    runs::runs_of,
    series::{Curve, Points, range, thinned},
};
use crate::{
    answer::{Answer, Failure, Place},
    parameters::Parameters,
    pictures::framed,
    site::Site,
};

/// Runs in a picture at most: there are no more colors.
const MAX_RUNS: usize = 12;
/// Metrics that are asked for at once at most.
const MAX_METRICS: usize = 100;
const WIDTH: u32 = 900;
const HEIGHT: u32 = 480;

/// What a picture shows.
struct Request {
    runs: Vec<String>,
    metric: String,
    curve: Curve,
    y: (f64, f64),
    size: (u32, u32),
}

impl Request {
    fn new(parameters: &Parameters) -> Result<Self, Failure> {
        let own = ["run", "metric", "ymin", "ymax", "width", "height"];
        parameters.only(&[&own[..], &Curve::PARAMETERS].concat())?;
        let size = |name, usual: u32| {
            let expected = "a number of pixels from 100 to 4000";
            let size = parameters.value(name, expected)?.unwrap_or(usual);
            match size {
                100..=4000 => Ok(size),
                _ => Err(Failure::request(format!("{name} is {size}, expected {expected}"))),
            }
        };
        let metric =
            parameters.text("metric")?.ok_or_else(|| Failure::request("metric is missing, expected a name"))?;
        Ok(Self {
            runs: runs_of(parameters, MAX_RUNS)?,
            metric: metric.to_owned(),
            curve: Curve::new(parameters)?,
            y: range(parameters, "ymin", "ymax")?,
            size: (size("width", WIDTH)?, size("height", HEIGHT)?),
        })
    }

    /// The curve of every run.
    fn read(&self, site: &Site) -> Result<Vec<RunCurve>, Failure> {
        let curve = |id: &String| {
            site.with_view(id, |view| {
                let all = self.curve.all(view, &self.metric);
                let table = view.metrics();
                let end = table.pretraining_end().and_then(|end| table.steps().iter().position(|&step| step == end));
                let pretraining_end = end.map(|row| table.axis(self.curve.axis)[row]);
                let (has_values, shown) = (!all.is_empty(), self.curve.shown(&all));
                Ok(RunCurve { run: id.clone(), has_values, raw: self.curve.visible(all), shown, pretraining_end })
            })
        };
        let curves = self.runs.iter().map(curve).collect::<Result<Vec<RunCurve>, Failure>>()?;
        if curves.iter().all(|curve| !curve.has_values) {
            return Err(Failure::not_found(format!("no run here has the metric {:?}", self.metric)));
        }
        Ok(curves)
    }

    /// The picture; a title and the names of runs are for one that stands alone.
    fn draw(&self, curves: &[RunCurve], stands_alone: bool) -> Result<Frame, Failure> {
        let is_smoothed = self.curve.smoothing > 0.0;
        let behind = curves.iter().enumerate().filter(|_| is_smoothed).map(|(color, curve)| Line {
            points: thinned(&curve.raw),
            color,
            width: 1,
            faint: true,
            ..Line::default()
        });
        let front = curves.iter().enumerate().map(|(color, curve)| Line {
            name: curve.run.clone(),
            points: thinned(&curve.shown),
            color,
            width: 2,
            dots: curve.shown.len() <= 30,
            ..Line::default()
        });
        let ends = curves.first().and_then(|first| first.pretraining_end);
        let shared = ends.filter(|_| curves.iter().all(|curve| curve.pretraining_end == ends));
        let panel = Panel {
            title: if stands_alone { self.metric.clone() } else { String::new() },
            x_title: self.curve.axis.title().to_owned(),
            x: Some((self.curve.from, self.curve.to)),
            y: Some(self.y),
            lines: behind.chain(front).collect(),
            shaded: shared.map(|end| (0.0, end, "value pretraining".to_owned())).into_iter().collect(),
            legend: stands_alone && curves.len() > 1,
            ..Panel::default()
        };
        draw(&panel, self.size).map_err(|error| Failure::request(error.to_string()))
    }

    /// The name of a file with a picture or a table of it.
    fn file_name(&self, extension: &str) -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let name = format!("{}-{}", self.runs.join("-"), self.metric);
        let name: String = name.chars().map(|c| if is_plain(c) { c } else { '-' }).take(100).collect();
        format!("{}.{extension}", name.trim_matches('-'))
    }
}

/// The points of a run that are shown.
struct RunCurve {
    run: String,
    /// Also outside of the range.
    has_values: bool,
    raw: Points,
    /// After smoothing.
    shown: Points,
    /// Where the shaded part ends.
    pretraining_end: Option<f64>,
}

/// `/api/chart`: the picture, where its plotting area lies, and the points, for a crosshair.
pub(crate) async fn frame(State(site): State<Arc<Site>>, parameters: Parameters) -> Answer {
    let request = Request::new(&parameters)?;
    site.json(move |site| {
        let curves = request.read(site)?;
        let frame = request.draw(&curves, false)?;
        let line = |(index, curve): (usize, &RunCurve)| {
            json!({ "run": curve.run, "name": curve.run, "color": color(index), "points": thinned(&curve.shown) })
        };
        Ok(framed(&frame, curves.iter().enumerate().map(line).collect()))
    })
    .await
}

/// `/api/chart.svg`
pub(crate) async fn svg(State(site): State<Arc<Site>>, parameters: Parameters) -> Answer {
    let request = Request::new(&parameters)?;
    site.answer(move |site| {
        let picture = request.draw(&request.read(site)?, true)?.svg;
        Ok(download("image/svg+xml", &request.file_name("svg"), picture))
    })
    .await
}

/// `/api/chart.csv`: all points that are shown, without thinning.
pub(crate) async fn csv(State(site): State<Arc<Site>>, parameters: Parameters) -> Answer {
    let request = Request::new(&parameters)?;
    site.answer(move |site| {
        let table = table(&request, &request.read(site)?);
        Ok(download("text/csv; charset=utf-8", &request.file_name("csv"), table))
    })
    .await
}

/// A row per point, with the smoothed value if there is one.
fn table(request: &Request, curves: &[RunCurve]) -> String {
    let is_smoothed = request.curve.smoothing > 0.0;
    let smoothed_title = if is_smoothed { ",smoothed" } else { "" };
    let mut text = format!("run,{},{}{smoothed_title}\r\n", cell(request.curve.axis.title()), cell(&request.metric));
    for curve in curves {
        let run = cell(&curve.run);
        for ((x, raw), (_, shown)) in curve.raw.iter().zip(&curve.shown) {
            let smoothed = if is_smoothed { format!(",{shown}") } else { String::new() };
            text.push_str(&format!("{run},{x},{raw}{smoothed}\r\n"));
        }
    }
    text
}

/// A text as a cell of a table, which no spreadsheet takes for a formula.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

fn download(content_type: &'static str, name: &str, content: String) -> axum::response::Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(header::CONTENT_TYPE, content_type.to_owned()), (header::CONTENT_DISPOSITION, disposition)], content)
        .into_response()
}

/// `/api/runs/RUN/series?metric=M&metric=N`
pub(crate) async fn series(State(site): State<Arc<Site>>, Place(id): Place<String>, parameters: Parameters) -> Answer {
    parameters.only(&[&["metric"][..], &Curve::PARAMETERS].concat())?;
    let curve = Curve::new(&parameters)?;
    let metrics: Vec<String> = parameters.all("metric").map(str::to_owned).collect();
    if metrics.len() > MAX_METRICS {
        return Err(Failure::request(format!("{} metrics are given, expected at most {MAX_METRICS}", metrics.len())));
    }
    site.json(move |site| {
        site.with_view(&id, |view| {
            let points = |metric: &String| (metric.clone(), json!(thinned(&curve.shown(&curve.all(view, metric)))));
            Ok(metrics.iter().map(points).collect::<Map<_, _>>())
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_in_a_table_are_texts() {
        let cases = [
            ("vapo-001", "vapo-001"),
            ("a,b", "\"a,b\""),
            ("say \"x\"\n", "\"say \"\"x\"\"\n\""),
            ("=1+1", "'=1+1"),
            ("@sum(a,b)", "\"'@sum(a,b)\""),
        ];
        for (text, expected) in cases {
            assert_eq!(cell(text), expected);
        }
    }

    #[test]
    fn a_file_name_leads_nowhere_and_ends_no_header() {
        let query = "run=..%2F..%2Fetc&run=a%22%0D%0AX:y&metric=critic%2Fvf_loss";
        let request = Request::new(&Parameters::new(Some(query))).unwrap();
        assert_eq!(request.file_name("csv"), "etc-a---X-y-critic-vf_loss.csv");
        let long = format!("run={}&metric=m", "x".repeat(5000));
        assert_eq!(Request::new(&Parameters::new(Some(&long))).unwrap().file_name("svg").len(), 104);
    }
}
