//! `report.json`, `README.md` and the curves.

use std::path::Path;

use serde_json::{Map, Value, json};
use vapo_train::write_atomically;

use crate::{
    arm::{ArmResult, Reach},
    chart::{self, CostAxis},
    error::Result,
    file::{Chart, Study},
    interval::Interval,
    markdown,
    record::{Cost, Metric},
    results::Results,
};

/// Whether a field of `report.json` depends on time; all others are exactly reproducible.
pub fn is_time_field(key: &str) -> bool {
    key.contains("secs")
}

/// Writes `report.json`, `README.md` and the curves into a directory.
///
/// # Errors
/// A file cannot be written.
pub fn write_report(study: &Study, results: &Results, directory: &Path) -> Result<()> {
    let json = format!("{:#}\n", to_json(study, results));
    write_atomically(&directory.join("report.json"), json.as_bytes())?;
    let charts = charts(study);
    for chart in &charts {
        let arms: Vec<&ArmResult> = chart.arms.iter().filter_map(|name| results.arm(name)).collect();
        for axis in CostAxis::ALL {
            chart::draw(&arms, axis, &directory.join(axis.file_name(&chart.name)))?;
        }
    }
    let text = markdown::readme(study, results, &charts);
    Ok(write_atomically(&directory.join("README.md"), text.as_bytes())?)
}

/// The study's charts, or one with all arms.
fn charts(study: &Study) -> Vec<Chart> {
    match study.charts.is_empty() {
        false => study.charts.clone(),
        true => {
            let arms = study.arms.iter().map(|arm| arm.name.clone()).collect();
            vec![Chart { name: "accuracy".into(), arms }]
        }
    }
}

fn to_json(study: &Study, results: &Results) -> Value {
    let eval = &study.arms[0].config.eval;
    json!({
        "study": study.name,
        "task": study.task(),
        "evaluation": { "problems": eval.problems, "samples_per_problem": eval.samples, "every_steps": eval.every },
        "seeds": study.seeds,
        "reference": study.reference,
        "runs": results.runs,
        "unfinished": results.unfinished,
        "crashes": results.crashes(),
        "study_cpu_secs": results.process_cpu_secs,
        "arms": results.arms.iter().map(|arm| arm_json(study, results, arm)).collect::<Vec<_>>(),
    })
}

fn arm_json(study: &Study, results: &Results, arm: &ArmResult) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| drop(object.insert(key.to_owned(), value));
    put("name", json!(arm.name));
    put("note", json!(arm.note));
    put("set", arm.set.iter().map(|(key, value)| (key.clone(), json!(value))).collect());
    put("seeds", json!(arm.records.len()));
    put("crashes", json!(arm.crashes()));
    put("before_mean", json!(arm.before.map(|before| before.mean)));
    put_interval(&mut put, "final", arm.last);
    put("finals", arm.records.iter().map(|record| json!(record.final_accuracy())).collect());
    put_interval(&mut put, "area", arm.area);
    if let Some((name, reference)) = study.reference.as_ref().and_then(|name| Some((name, results.arm(name)?))) {
        put_interval(&mut put, &format!("minus_{name}"), results.difference(arm, reference));
        let reach = reference.last.map(|last| arm.reach(last.mean));
        put("seeds_reaching_reference_final", json!(reach.map(|reach| reach.seeds)));
        let cost = reach.and_then(|reach| reach.cost);
        put(&format!("updates_to_{name}_final"), json!(cost.map(|cost| cost.updates)));
        put(&format!("samples_to_{name}_final"), json!(cost.map(|cost| cost.samples)));
        put(&format!("cpu_secs_to_{name}_final"), json!(cost.map(|cost| cost.cpu_secs)));
    }
    put("reach", study.accuracies.iter().map(|&accuracy| reach_json(arm.reach(accuracy))).collect());
    put("cpu_secs", json!(arm.total().cpu_secs));
    put("wall_secs", json!(arm.total().wall_secs));
    put("tokens", json!(arm.total().tokens));
    put("policy_training", cost_json(arm.policy()));
    put("value_pretraining", cost_json(arm.pretraining()));
    put("metrics", metrics_json(&arm.metrics));
    put("value_pretraining_metrics", metrics_json(&arm.pretraining_metrics));
    put("curve", curve_json(arm));
    let crashes =
        arm.records.iter().filter_map(|record| Some(json!({"seed": record.seed, "reason": record.crash.as_ref()?})));
    put("crashed", crashes.collect());
    Value::Object(object)
}

fn put_interval(put: &mut impl FnMut(&str, Value), name: &str, interval: Option<Interval>) {
    put(&format!("{name}_mean"), json!(interval.map(|interval| interval.mean)));
    put(&format!("{name}_ci_low"), json!(interval.and_then(|interval| interval.low)));
    put(&format!("{name}_ci_high"), json!(interval.and_then(|interval| interval.high)));
}

fn reach_json(reach: Reach) -> Value {
    json!({
        "accuracy": reach.accuracy,
        "seeds": reach.seeds,
        "updates": reach.cost.map(|cost| cost.updates),
        "samples": reach.cost.map(|cost| cost.samples),
        "cpu_secs": reach.cost.map(|cost| cost.cpu_secs),
    })
}

fn cost_json(cost: Cost) -> Value {
    json!({
        "updates": cost.updates,
        "critic_updates": cost.critic_updates,
        "prompts": cost.prompts,
        "samples": cost.samples,
        "tokens": cost.tokens,
        "cpu_secs": cost.cpu_secs,
        "wall_secs": cost.wall_secs,
    })
}

fn metrics_json(metrics: &[Metric]) -> Value {
    let entry = |metric: &Metric| (metric.key.clone(), json!({"mean": metric.mean, "last": metric.last}));
    metrics.iter().map(entry).collect::<Map<_, _>>().into()
}

fn curve_json(arm: &ArmResult) -> Value {
    let point = |point: &crate::arm::CurvePoint| {
        json!({
            "updates": point.cost.updates,
            "samples": point.cost.samples,
            "cpu_secs": point.cost.cpu_secs,
            "mean": point.accuracy.mean,
            "ci_low": point.accuracy.low,
            "ci_high": point.accuracy.high,
        })
    };
    arm.curve.iter().map(point).collect()
}
