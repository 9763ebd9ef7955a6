//! `vapo show` and `vapo compare` on small runs.

use std::fs;

use serde_json::Value;

use crate::program::Place;

/// The settings of small runs that record and evaluate every step.
const RUN: [&str; 4] = ["train", "tiny.toml", "--set", "records.every=1"];

fn train(place: &Place, directory: &str, overrides: &[&str]) {
    let overrides = overrides.iter().flat_map(|text| ["--set", text]);
    let args: Vec<&str> = RUN.into_iter().chain(["--run-dir", directory]).chain(overrides).collect();
    place.vapo(&args).ok();
}

#[test]
fn a_run_is_told_with_everything_that_it_has() {
    let place = Place::new();
    train(&place, "run", &["run.steps=3"]);
    let told = place.vapo(&["show", "run"]).ok();
    assert!(!told.contains('\x1b'), "escape codes in a pipe:\n{told}");
    for words in [
        "run: finished after 4 steps\n",
        "vapo with a critic, seed 0",
        "built-in, on chain",
        "updates of the policy, 44 samples, ",
        "\n    held-out accuracy  ",
        "\n    explained variance ",
        "\n    step 0  before training, held-out accuracy is ",
        "\n    step 1  value pretraining ends",
        "\n    algorithm.length_adaptive_alpha ",
        "\n  rollouts of step 4\n    best   ",
        "\n    vapo show run ",
    ] {
        assert!(told.contains(words), "no {words:?} in\n{told}");
    }
    assert!(told.lines().all(|line| line.chars().count() <= 100), "lines longer than 100 columns:\n{told}");
    let story: Value = serde_json::from_str(&place.vapo(&["show", "run", "--json"]).ok()).unwrap();
    let rows = place.rows("run/metrics.jsonl");
    assert_eq!(story["run"]["state"], "finished");
    assert_eq!(story["cost"]["tokens"], rows[4]["training/tokens"].as_f64().unwrap());
    assert_eq!(story["curves"][0]["last"], rows[4]["val-core/chain/acc/mean@2"]);
    assert_eq!(story["best"][0]["step"], 4);
}

#[test]
fn what_cannot_be_read_is_reported_and_the_rest_told() {
    let place = Place::new();
    train(&place, "run", &["algorithm.preset=grpo", "records.every=off"]);
    let told = place.vapo(&["show", "run"]).ok();
    assert!(told.contains("grpo with no critic") && !told.contains("rollouts of"), "{told}");
    assert!(!told.contains("explained variance"), "{told}");

    let rows = place.read("run/metrics.jsonl");
    place.write("run/metrics.jsonl", &format!("\x1b[2J\n{rows}{}", &rows[..30]));
    let config = place.read("run/config.toml");
    place.write("run/config.toml", &format!("{config}\n[future]\nspeed = \"\\u001b[31m\"\n"));
    fs::remove_dir_all(place.path("run/checkpoints")).unwrap();
    fs::remove_file(place.path("run/summary.json")).unwrap();
    let told = place.vapo(&["show", "run"]).ok();
    for words in [
        "metrics.jsonl: 1 line is damaged and left out (1)",
        "unknown key `future.speed`",
        "run: stopped after step 2 of 2",
        "\n    future.speed ",
        "\n    vapo resume run\n",
    ] {
        assert!(told.contains(words), "no {words:?} in\n{told}");
    }
    assert!(!told.contains('\x1b'), "{told}");
    let nothing = place.vapo(&["show", "."]).failed(1);
    assert!(nothing.starts_with("error: . is not a run directory"), "{nothing}");
}

#[test]
fn runs_are_compared_side_by_side() {
    let place = Place::new();
    train(&place, "runs/one", &[]);
    train(&place, "runs/two", &["algorithm.preset=grpo", "run.steps=3", "run.seed=1"]);
    let told = place.vapo(&["compare", "runs/one", "runs/two"]).ok();
    let row = |name: &str| -> Vec<&str> {
        let line = told
            .lines()
            .find(|line| line.trim_start().starts_with(name))
            .unwrap_or_else(|| panic!("no {name} in\n{told}"));
        line.trim_start()[name.len()..].split_whitespace().collect()
    };
    assert_eq!(row("figures"), ["one", "two"]);
    assert_eq!((row("steps"), row("run.seed")), (vec!["3", "3"], vec!["0", "1"]));
    assert_eq!(row("algorithm.preset"), ["\"vapo\"", "\"grpo\""]);
    assert_eq!(row("explained variance")[1], "-");
    assert!(!told.contains("run.dir") && !told.contains('\x1b'), "{told}");
    let json: Value = serde_json::from_str(&place.vapo(&["compare", "runs/one", "runs/two", "--json"]).ok()).unwrap();
    assert_eq!(json["figures"][3], serde_json::json!({ "name": "steps", "unit": "count", "values": [3.0, 3.0] }));

    let same = place.vapo(&["compare", "runs/one", "runs/one"]).ok();
    assert!(same.ends_with("\n  all settings are the same\n"), "{same}");
    let many: Vec<&str> = ["compare"].into_iter().chain([["runs/one", "runs/two"]; 6].concat()).collect();
    let many = place.vapo(&many).ok();
    assert!(many.matches("  figures").count() > 1, "{many}");
    assert!(many.lines().all(|line| line.chars().count() <= 100), "{many}");
    place.vapo(&["compare", "runs/one"]).failed(2);
}
