//! Runs to look at.

use std::{
    fs,
    io::Write,
    path::Path,
    sync::{LazyLock, atomic::AtomicBool},
};

use serde_json::Value;
use tempfile::TempDir;
use vapo_train::{Config, Event, Run};

/// An answer of a data file that would be a script, end a string, turn text around and control a terminal.
pub(crate) const HOSTILE: &str =
    "</script><script>alert(1)</script>\"'&<img src=x onerror=alert(1)>\u{202e}\u{1b}[2J\u{0}";

/// A run of a second with every kind of file, whose reference answers are [`HOSTILE`].
static TRAINED: LazyLock<TempDir> = LazyLock::new(|| {
    let place = tempfile::tempdir().unwrap();
    let data = |name: &str, last: usize| {
        let problem =
            |n: usize| serde_json::json!({ "problem": format!("{n}a+{last}:"), "answer": HOSTILE }).to_string();
        let path = place.path().join(name);
        fs::write(&path, (0..9).map(problem).collect::<Vec<_>>().join("\n")).unwrap();
        path
    };
    let overrides = [
        "run.steps=3",
        "run.threads=1",
        "rollout.prompts_per_step=3",
        "rollout.group_size=4",
        "rollout.max_new_tokens=32",
        "value_pretraining.steps=2",
        "value_pretraining.prompts_per_step=6",
        "value_pretraining.group_size=1",
        "eval.every=2",
        "eval.problems=4",
        "eval.samples=2",
        "records.every=1",
        "records.groups=all",
        "reward.verifier=exact",
    ]
    .map(str::to_owned);
    let path = |key: &str, path: &Path| format!("{key}={}", path.display());
    let places = [
        path("data.train", &data("train.jsonl", 1)),
        path("data.eval", &data("eval.jsonl", 2)),
        path("run.dir", &place.path().join("run")),
    ];
    let config = Config::load(None, &[&overrides[..], &places].concat()).unwrap();
    Run::create(config).unwrap().train(&mut |_: Event<'_>| (), &AtomicBool::new(false)).unwrap();
    place
});

/// Copies the trained run to a directory.
pub(crate) fn copy_run(to: &Path) {
    copy(&TRAINED.path().join("run"), to);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { assert!(fs::copy(&path, &target).is_ok()) }
    }
}

/// A run of the built-in task with these rows.
pub(crate) fn write_run(path: &Path, rows: &[Value]) {
    fs::create_dir_all(path).unwrap();
    fs::write(path.join("config.toml"), Config::load(None, &[]).unwrap().to_commented_toml()).unwrap();
    fs::write(path.join("metrics.jsonl"), "").unwrap();
    rows.iter().for_each(|row| append(path, row));
}

/// A row that a run writes.
pub(crate) fn append(run: &Path, row: &Value) {
    let mut file = fs::OpenOptions::new().append(true).open(run.join("metrics.jsonl")).unwrap();
    writeln!(file, "{row}").unwrap();
}

pub(crate) fn row(step: u64, reward: f64) -> Value {
    serde_json::json!({ "training/global_step": step, "critic/rewards/mean": reward })
}

/// What the rows of a run hold.
pub(crate) fn rows(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
