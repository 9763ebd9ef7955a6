//! Lists of runs, and one run or several without their rollouts.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Map, Value, json};
use vapo_view::{ACCURACY, Comparison, Rollouts, Story, View};

use crate::{
    answer::{Answer, Failure, Place},
    glossary::explanation,
    parameters::Parameters,
    site::Site,
};

/// Runs that are compared at most.
const MAX_COMPARED: usize = 16;

/// `/api/runs`
pub(crate) async fn list(State(site): State<Arc<Site>>, parameters: Parameters) -> Answer {
    parameters.only(&[])?;
    site.json(|site| {
        let runs = site.runs().list()?;
        Ok(json!({ "root": site.runs().root().display().to_string(), "version": env!("CARGO_PKG_VERSION"), "runs": runs }))
    })
    .await
}

/// `/api/runs/RUN`
pub(crate) async fn run(State(site): State<Arc<Site>>, Place(id): Place<String>, parameters: Parameters) -> Answer {
    parameters.only(&[])?;
    site.json(move |site| {
        let records = site.with_rollouts(&id, |rollouts| Ok(records(rollouts)))?;
        let entry = site.runs().entry(&id)?;
        site.with_view(&id, |view| {
            let metrics = metrics(view);
            let docs: Map<String, Value> =
                metrics.iter().filter_map(|name| Some(((*name).to_owned(), explanation(name)?.into()))).collect();
            Ok(json!({
                "entry": entry,
                "story": Story::of(view),
                "metrics": metrics,
                "docs": docs,
                "records": records,
                "notes": view.notes(),
            }))
        })
    })
    .await
}

fn records(rollouts: &Rollouts) -> Value {
    let mut records = json!(rollouts.choices());
    records["notes"] = json!(rollouts.notes());
    records
}

/// Names of the metrics, and before them that of held-out accuracy over all data sources.
fn metrics(view: &View) -> Vec<&str> {
    let table = view.metrics();
    let has_accuracy = (0..table.steps().len()).any(|row| table.accuracy_of(row).is_some());
    has_accuracy.then_some(ACCURACY).into_iter().chain(table.names().iter().map(String::as_str)).collect()
}

/// `/api/runs/RUN/config`
pub(crate) async fn config(State(site): State<Arc<Site>>, Place(id): Place<String>, parameters: Parameters) -> Answer {
    parameters.only(&[])?;
    site.json(move |site| site.with_view(&id, |view| Ok(view.settings()))).await
}

/// `/api/compare?run=A&run=B`
pub(crate) async fn compare(State(site): State<Arc<Site>>, parameters: Parameters) -> Answer {
    parameters.only(&["run"])?;
    let ids = runs_of(&parameters, MAX_COMPARED)?;
    site.json(move |site| {
        let views = ids.iter().map(|id| Ok(site.runs().run(id)?)).collect::<Result<Vec<View>, Failure>>()?;
        Ok(Comparison::of(&views.iter().collect::<Vec<_>>()))
    })
    .await
}

/// The runs that a request names, each once.
pub(super) fn runs_of(parameters: &Parameters, most: usize) -> Result<Vec<String>, Failure> {
    let mut ids: Vec<String> = Vec::new();
    for id in parameters.all("run") {
        if !ids.iter().any(|known| known == id) {
            ids.push(id.to_owned());
        }
    }
    match ids.len() {
        0 => Err(Failure::request("run is missing, expected the id of a run")),
        count if count > most => Err(Failure::request(format!("{count} runs are given, expected at most {most}"))),
        _ => Ok(ids),
    }
}
