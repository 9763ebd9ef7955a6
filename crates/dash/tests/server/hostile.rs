//! Names, files and texts that mean harm, or are broken.

use std::{fs, os::unix::fs::symlink};

use serde_json::json;

use crate::{
    client::Client,
    runs::{HOSTILE, copy_run, row, write_run},
};

#[test]
fn nothing_outside_of_the_directory_is_served() {
    let place = tempfile::tempdir().unwrap();
    let (root, outside) = (place.path().join("runs"), place.path().join("outside"));
    write_run(&root.join("inside"), &[row(1, 0.5)]);
    copy_run(&outside);
    symlink(&outside, root.join("link")).unwrap();
    copy_run(&root.join("with-link"));
    fs::remove_dir_all(root.join("with-link/rollouts")).unwrap();
    symlink(outside.join("rollouts"), root.join("with-link/rollouts")).unwrap();
    copy_run(&root.join(".hidden"));

    let client = Client::open(&root);
    let ids = [
        "..%2Foutside",
        "%2e%2e%2foutside",
        "%2E%2E/outside",
        "../outside",
        "inside%2F..%2F..%2Foutside",
        "inside/../../outside",
        &outside.display().to_string().replace('/', "%2F"),
        &format!("%2F%2F{}", outside.display()).replace('/', "%2F"),
        "link",
        "inside%00",
        "%00",
        "inside%2F",
        "%2Finside",
        ".%2Finside",
        ".",
        "..",
        "%2e",
        ".hidden",
        "inside%2Fconfig.toml",
        "inside%5C..%5C..%5Coutside",
        "%ff%fe",
        "%",
        "%c0%ae%c0%ae%2foutside",
        &"x".repeat(5_000),
        &"..%2F".repeat(1_000),
    ];
    for id in ids {
        for rest in ["", "/config", "/rollouts", "/groups/1/0", "/responses/1/0", "/series?metric=accuracy"] {
            let reply = client.get(&format!("/api/runs/{id}{rest}"));
            assert!([400, 404].contains(&reply.status), "{id}{rest}: {}", reply.text());
            assert_eq!(reply.headers["x-content-type-options"], "nosniff");
        }
        let status = client.get(&format!("/api/chart?metric=critic%2Frewards%2Fmean&run={id}")).status;
        assert!([400, 404].contains(&status), "{id}: {status}");
    }
    let runs = client.get("/api/runs").json()["runs"].clone();
    let names: Vec<_> = runs.as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert!(names.contains(&"inside") && !names.iter().any(|name| name.contains("link") && *name != "with-link"));
    let records = client.get("/api/runs/with-link/rollouts");
    assert_ne!(records.status, 200, "{}", records.text());
    assert_eq!(client.get("/api/runs/inside").status, 200);
}

#[test]
fn requests_that_are_none_end_without_harm() {
    let root = tempfile::tempdir().unwrap();
    write_run(&root.path().join("run"), &[row(1, 0.5)]);
    let client = Client::open(root.path());
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(200_000));
    let headers = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "A: b\r\n".repeat(10_000));
    for request in [long.as_bytes(), headers.as_bytes(), b"\x16\x03\x01\x00\xff\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"] {
        let reply = client.raw(request);
        assert!((400..=431).contains(&reply.status), "{}", reply.status);
    }
    let body = "GET /api/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999\r\nConnection: close\r\n\r\nx";
    assert_eq!(client.raw(body.as_bytes()).status, 200, "a body is not waited for");
    let silent: Vec<_> = (0..50).map(|_| client.connect(b"GET / HT")).collect();
    assert_eq!(client.get("/api/runs").status, 200, "while others do not finish what they say");
    drop(silent);
}

#[test]
fn text_of_a_model_stays_text() {
    let root = tempfile::tempdir().unwrap();
    copy_run(&root.path().join("run"));
    let metric = "</script><b>\u{202e}";
    let name = "<img src=x onerror=alert(1)>";
    write_run(&root.path().join(name), &[json!({ "training/global_step": 1, metric: 1.0 })]);
    let client = Client::open(root.path());
    for target in ["/rollouts", "/responses/1/0"] {
        let reply = client.get(&format!("/api/runs/run{target}"));
        let data = reply.json();
        let shown = if target == "/rollouts" { &data["rows"][0]["answer"] } else { &data["answer"] };
        assert_eq!(shown, HOSTILE);
        assert_eq!(reply.headers["x-content-type-options"], "nosniff");
    }
    let found = client.get("/api/runs/run/rollouts?text=%3Cscript%3EALERT").json();
    assert_eq!(found["total"], json!(48));
    let chart = "run=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&run=run&metric=%3C%2Fscript%3E%3Cb%3E%E2%80%AE";
    let svg = client.get(&format!("/api/chart.svg?{chart}")).text();
    assert!(!svg.contains("<b>") && !svg.contains("<img") && !svg.contains('\u{202e}'), "{svg}");
    let error = client.get("/api/runs/%3Cscript%3E").error(404);
    assert!(error.contains("<script>"), "{error}");
}

#[test]
fn broken_files_are_reported_next_to_what_can_be_read() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    copy_run(&run);
    fs::write(run.join("rollouts/step-000002.parquet"), b"PAR1 not at all PAR1").unwrap();
    let whole = fs::read(run.join("rollouts/step-000003.parquet")).unwrap();
    fs::write(run.join("rollouts/step-000003.parquet"), &whole[..whole.len() / 2]).unwrap();
    let metrics = fs::read(run.join("metrics.jsonl")).unwrap();
    fs::write(
        run.join("metrics.jsonl"),
        [&metrics, &b"{\"training/glob\xff\n{\"training/global_step\":6"[..]].concat(),
    )
    .unwrap();

    let client = Client::open(root.path());
    let data = client.get("/api/runs/run").json();
    assert_eq!(data["records"]["steps"], json!([1, 4, 5]));
    let notes = data["records"]["notes"].to_string();
    assert!(notes.contains("step-000002.parquet") && notes.contains("step-000003.parquet"), "{notes}");
    assert!(data["notes"].to_string().contains("damaged"), "{}", data["notes"]);
    let error = client.get("/api/runs/run/responses/2/0").error(500);
    assert!(error.contains("step-000002.parquet"), "{error}");
    assert_eq!(client.get("/api/runs/run/rollouts").json()["of"], json!(30));

    fs::write(run.join("config.toml"), "[run]\nsteps = 5\n[future]\nsetting = \"new\"\n").unwrap();
    fs::write(run.join("metrics.jsonl"), "nothing\n").unwrap();
    let client = Client::open(root.path());
    for target in ["/api/runs", "/api/runs/run", "/api/runs/run/config", "/api/runs/run/rollouts"] {
        assert_eq!(client.get(target).status, 200, "{target}: {}", client.get(target).text());
    }
    let notes = client.get("/api/runs/run").json()["notes"].to_string();
    assert!(notes.contains("config.toml"), "{notes}");
}
