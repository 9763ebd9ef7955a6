//! What the pages get, compared with the files.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    client::Client,
    runs::{append, copy_run, row, rows, write_run},
};

/// A directory with the trained run in it.
fn example() -> (TempDir, PathBuf, Client) {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("group/run");
    copy_run(&run);
    let client = Client::open(root.path());
    (root, run, client)
}

#[test]
fn runs_are_listed_with_their_state() {
    let (root, _run, client) = example();
    write_run(&root.path().join("b"), &[row(0, 0.5), row(1, 0.75)]);
    let list = client.get("/api/runs").json();
    assert_eq!(list["root"], json!(root.path().canonicalize().unwrap()));
    let runs = list["runs"].as_array().unwrap();
    assert_eq!(runs.iter().map(|run| run["id"].as_str().unwrap()).collect::<Vec<_>>(), ["b", "group/run"]);
    assert_eq!((&runs[0]["step"], &runs[1]["step"], &runs[1]["total"]), (&json!(1), &json!(5), &json!(5)));
    assert_eq!(runs[1]["preset"], "vapo");

    let own = Client::open(&root.path().join("b")).get("/api/runs").json();
    assert_eq!(
        (own["runs"].as_array().unwrap().len(), &own["runs"][0]["id"]),
        (1, &json!("b")),
        "a run's own directory"
    );
}

#[test]
fn a_thousand_runs_are_listed_within_seconds() {
    let root = tempfile::tempdir().unwrap();
    for n in 0..1000 {
        write_run(&root.path().join(format!("study/run-{n:04}")), &[row(0, 0.0), row(1, f64::from(n))]);
    }
    let client = Client::open(root.path());
    let begin = Instant::now();
    let list = client.get("/api/runs").json();
    let first = begin.elapsed();
    assert_eq!(list["runs"].as_array().unwrap().len(), 1000);
    assert_eq!(client.get("/api/runs").json(), list);
    assert!(first < Duration::from_secs(5), "{first:?}");
}

#[test]
fn a_run_has_its_metrics_and_records() {
    let (_root, run, client) = example();
    let data = client.get("/api/runs/group%2Frun").json();
    assert_eq!(data["entry"]["id"], "group/run");
    assert_eq!(data["records"]["steps"], json!([1, 2, 3, 4, 5]));
    assert_eq!(data["records"]["verdicts"], json!(["wrong"]));
    assert_eq!((&data["notes"], &data["records"]["notes"]), (&json!([]), &json!([])));
    let metrics: Vec<&str> = data["metrics"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(metrics[0], "accuracy");
    for key in rows(&run).iter().flat_map(|row| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>()) {
        assert!(metrics.contains(&key.as_str()) || key == "training/global_step", "{key}");
    }
    assert!(data["docs"]["actor/entropy"].as_str().unwrap().starts_with("entropy of the token distributions"));
    assert_eq!(data["story"]["run"]["id"], "group/run");
    let config = client.get("/api/runs/group%2Frun/config").json();
    let setting = |key: &str| config.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap().clone();
    assert_eq!(setting("rollout.group_size")["value"], "4");
}

#[test]
fn runs_are_compared_and_studies_drawn() {
    let (root, run, client) = example();
    copy_run(&root.path().join("b"));
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    fs::write(run.join("config.toml"), config.replace("seed = 0", "seed = 7")).unwrap();
    let comparison = client.get("/api/compare?run=b&run=group%2Frun").json();
    assert_eq!(comparison["runs"], json!(["b", "group/run"]));
    let settings = comparison["settings"].as_array().unwrap();
    assert_eq!(settings.iter().map(|row| &row["key"]).collect::<Vec<_>>(), ["run.seed"]);
    assert_eq!(settings[0]["values"], json!(["0", "7"]));

    let study = root.path().join("studies/small");
    copy_run(&study.join("runs/vapo/seed-0"));
    let arms = "seeds = 1\nequal = []\narms = [{ name = \"vapo\" }, { name = \"grpo\" }]\n";
    fs::write(study.join("study.toml"), format!("name = \"small\"\nabout = \"?\"\n{arms}")).unwrap();
    let list = client.get("/api/studies").json();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["id"]), (1, &json!("studies/small")));
    let data = client.get("/api/studies/studies%2Fsmall").json();
    assert_eq!(data["notes"], json!([]));
    assert_eq!(
        (&data["arms"][0]["name"], &data["axes"]),
        (&json!("vapo"), &json!(["updates", "samples", "cpu_seconds"]))
    );
    let charts = data["charts"].as_array().unwrap();
    assert_eq!(charts.iter().map(|chart| &chart["axis"]).collect::<Vec<_>>(), ["updates", "samples", "cpu_seconds"]);
    assert!(charts[0]["frame"]["svg"].as_str().unwrap().contains("policy updates"));
    assert_eq!(charts[0]["frame"]["lines"][1]["name"], "grpo");
    client.get("/api/studies/group%2Frun").error(404);
    client.get("/api/studies/..%2Fsmall").error(404);
}

#[test]
fn a_curve_has_the_values_of_the_file() {
    let (_root, run, client) = example();
    let metric = "response_length/mean";
    let expected: Vec<Value> = rows(&run)
        .iter()
        .filter(|row| !row[metric].is_null())
        .map(|row| json!([row["training/global_step"].as_f64(), row[metric].as_f64()]))
        .collect();
    assert_eq!(expected.len(), 5);
    let target = "/api/runs/group%2Frun/series?metric=response_length%2Fmean&metric=none";
    assert_eq!(client.get(target).json(), json!({ metric: expected, "none": [] }));

    let chart = |more: &str| client.get(&format!("/api/chart?run=group%2Frun&metric=response_length%2Fmean{more}"));
    let frame = chart("&width=600&height=300").json();
    let line = &frame["lines"][0];
    assert_eq!((&line["run"], &line["points"]), (&json!("group/run"), &json!(expected)));
    assert!(line["color"].as_str().unwrap().starts_with('#') && frame["svg"].as_str().unwrap().starts_with("<svg"));
    assert!(frame["x"][0].as_f64() <= Some(1.0) && frame["x"][1].as_f64() >= Some(5.0), "{}", frame["x"]);
    assert!(frame["left"].as_f64().unwrap() + frame["width"].as_f64().unwrap() <= 600.0);
    let zoomed = chart("&from=2.5&to=3.5").json();
    assert_eq!((&zoomed["x"], &zoomed["lines"][0]["points"]), (&json!([2.5, 3.5]), &json!(expected[1..4])));
    let smoothed = chart("&smooth=0.9&axis=samples").json();
    let points = smoothed["lines"][0]["points"].as_array().unwrap();
    let samples: Vec<f64> = points.iter().map(|point| point[0].as_f64().unwrap()).collect();
    assert_eq!(samples, [6.0, 12.0, 24.0, 36.0, 48.0]);
    assert_ne!(points[4][1], expected[4][1]);
}

#[test]
fn a_chart_can_be_taken_along() {
    let (root, _run, client) = example();
    write_run(&root.path().join("a,\"b\""), &[row(1, 0.25), row(2, 0.75)]);
    let of = "run=a%2C%22b%22&metric=critic%2Frewards%2Fmean";
    let csv = client.get(&format!("/api/chart.csv?{of}"));
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(csv.headers["content-disposition"], "attachment; filename=\"a--b--critic-rewards-mean.csv\"");
    assert_eq!(csv.text(), "run,step,critic/rewards/mean\r\n\"a,\"\"b\"\"\",1,0.25\r\n\"a,\"\"b\"\"\",2,0.75\r\n");
    let smoothed = client.get(&format!("/api/chart.csv?{of}&smooth=0.5")).text();
    assert!(smoothed.starts_with("run,step,critic/rewards/mean,smoothed\r\n"), "{smoothed}");
    let of_both = format!("{of}&run=group%2Frun");
    let frame = client.get(&format!("/api/chart?{of_both}")).json();
    assert!(!frame["svg"].as_str().unwrap().contains("rewards"), "the page has its own title");
    let svg = client.get(&format!("/api/chart.svg?{of_both}"));
    assert!(svg.text().contains("critic/rewards/mean") && svg.text().contains("group/run"));
    assert_eq!((svg.status, svg.headers["content-type"].as_str()), (200, "image/svg+xml"));
    assert!(svg.text().starts_with("<svg") && !svg.text().contains("style="));
}

#[test]
fn rollouts_are_found_and_shown_token_by_token() {
    let (_root, _run, client) = example();
    let page = |query: &str| client.get(&format!("/api/runs/group%2Frun/rollouts{query}")).json();
    let all = page("?limit=500");
    assert_eq!((&all["total"], &all["of"]), (&json!(48), &json!(48)));
    let long = page("?length_min=20&sort=length&descending=true&step_min=3&verdict=wrong&text=");
    let lengths = |page: &Value| -> Vec<u64> {
        page["rows"].as_array().unwrap().iter().map(|row| row["response_tokens"].as_u64().unwrap()).collect()
    };
    let is_wanted = |row: &&Value| row["response_tokens"].as_u64() >= Some(20) && row["step"].as_u64() >= Some(3);
    let expected = all["rows"].as_array().unwrap().iter().filter(is_wanted).count();
    assert_eq!(long["total"], json!(expected));
    assert!(lengths(&long).is_sorted_by(|a, b| a >= b));
    assert_eq!(page("?text=nowhere%20at%20all")["total"], json!(0));

    let first = &all["rows"][47];
    let (step, prompt, place) = (&first["step"], &first["prompt_id"], &first["row"]);
    let group = client.get(&format!("/api/runs/group%2Frun/groups/{step}/{prompt}")).json();
    assert_eq!(group.as_array().unwrap().len(), 4);
    let response = client.get(&format!("/api/runs/group%2Frun/responses/{step}/{place}")).json();
    assert!(group.as_array().unwrap().contains(&response));
    let tokens = response["response_tokens"].as_u64().unwrap() as usize;
    for column in ["id", "text", "logprob", "value", "advantage", "return"] {
        assert_eq!(response["tokens"][column].as_array().unwrap().len(), tokens, "{column}");
    }
    for missing in ["groups/1/99999", "responses/1/99", "responses/77/0", "groups/77/0"] {
        client.get(&format!("/api/runs/group%2Frun/{missing}")).error(404);
    }
}

#[test]
fn what_a_request_says_wrongly_is_named() {
    let (_root, _run, client) = example();
    let (run, chart) = ("/api/runs/group%2Frun", "/api/chart?run=group%2Frun&metric=accuracy");
    let cases = [
        (format!("{run}/rollouts?reward_min=high"), "reward_min is \"high\", expected a number"),
        (format!("{run}/rollouts?sort=color"), "sort is \"color\", expected step, reward, length"),
        (format!("{run}/rollouts?limit=-1"), "limit is \"-1\", expected a number of rows"),
        (format!("{run}/rollouts?verdict=right&verdict=wrong"), "verdict is given more than once"),
        (format!("{run}/rollouts?lenght_min=3"), "there is no parameter \"lenght_min\", expected step_min"),
        (format!("{run}?x=1"), "there is no parameter \"x\", expected none"),
        (format!("{run}/responses/one/0"), "one"),
        ("/api/chart?metric=accuracy".into(), "run is missing"),
        ("/api/chart?run=group%2Frun".into(), "metric is missing"),
        (format!("{chart}&axis=time"), "axis is \"time\", expected step, updates, samples, cpu_seconds"),
        (format!("{chart}&smooth=1"), "smooth is 1, expected a number from 0 to 0.999"),
        (format!("{chart}&smooth=NaN"), "smooth is NaN"),
        (format!("{chart}&width=99999999"), "width is 99999999, expected a number of pixels from 100 to 4000"),
        (format!("{chart}&from=5&to=2"), "from is 5 and to is 2, expected less before more"),
        (format!("{chart}&ymax=inf"), "ymax is not finite"),
        (
            format!("/api/chart?metric=m{}", (0..13).map(|n| format!("&run={n}")).collect::<String>()),
            "13 runs are given",
        ),
    ];
    for (target, expected) in cases {
        let error = client.get(&target).error(400);
        assert!(error.contains(expected), "{target}: {error}");
    }
    let error = client.get("/api/chart?run=group%2Frun&metric=none").error(404);
    assert_eq!(error, "no run here has the metric \"none\"");
}

#[test]
fn a_run_that_goes_on_is_read_on() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    write_run(&run, &[row(1, 0.5)]);
    let client = Client::open(root.path());
    let rewards =
        || client.get("/api/runs/run/series?metric=critic%2Frewards%2Fmean").json()["critic/rewards/mean"].clone();
    assert_eq!(rewards(), json!([[1.0, 0.5]]));
    append(&run, &row(2, 0.75));
    assert_eq!(rewards(), json!([[1.0, 0.5], [2.0, 0.75]]));
    fs::remove_dir_all(&run).unwrap();
    for target in ["", "/series?metric=m", "/config", "/rollouts"] {
        client.get(&format!("/api/runs/run{target}")).error(404);
    }
    assert_eq!(client.get("/api/runs").json()["runs"], json!([]));
    write_run(&run, &[row(1, 0.25)]);
    assert_eq!(rewards(), json!([[1.0, 0.25]]), "another run with the same name");
}

#[test]
fn nothing_is_written() {
    let (root, run, client) = example();
    let snapshot = || -> Vec<(PathBuf, SystemTime)> {
        let (mut found, mut waiting) = (Vec::new(), vec![root.path().to_path_buf()]);
        while let Some(path) = waiting.pop() {
            found.push((path.clone(), fs::metadata(&path).unwrap().modified().unwrap()));
            if path.is_dir() {
                waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        found.sort();
        found
    };
    assert!(run.join("run.lock").exists());
    let before = snapshot();
    for target in ["", "/config", "/rollouts?text=a&sort=mean_value", "/responses/1/0", "/series?metric=accuracy"] {
        client.get(&format!("/api/runs/group%2Frun{target}")).json();
    }
    client.get("/api/chart?run=group%2Frun&metric=accuracy").json();
    client.get("/api/runs").json();
    assert_eq!(snapshot(), before);
}
