//! Runs written by hand, for the tests of this crate.

use std::{fs, path::Path};

use tempfile::TempDir;
use vapo_train::{Config, RunDir};

/// A run in a directory of its own.
pub(crate) struct TestRun(TempDir);

impl TestRun {
    pub(crate) fn new() -> Self {
        let run = Self(tempfile::tempdir().unwrap());
        write_run(run.path(), &[]);
        run
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn directory(&self) -> RunDir {
        RunDir::open(self.path()).unwrap()
    }

    /// Replaces `metrics.jsonl`.
    pub(crate) fn rows(&self, rows: &[&str]) {
        write_rows(self.path(), rows);
    }
}

/// Makes a run of the built-in task with these settings and one row.
pub(crate) fn write_run(path: &Path, overrides: &[&str]) {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    let mut config = Config::load(None, &overrides).unwrap();
    config.run.dir = Some(path.to_path_buf());
    fs::create_dir_all(path).unwrap();
    fs::write(path.join("config.toml"), config.to_commented_toml()).unwrap();
    write_rows(path, &[&row(0, r#""val-core/chain/acc/mean@8":0.25"#)]);
}

pub(crate) fn write_rows(path: &Path, rows: &[&str]) {
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(path.join("metrics.jsonl"), text).unwrap();
}

/// A row of a step with more metrics.
pub(crate) fn row(step: u64, metrics: &str) -> String {
    format!("{{\"training/global_step\":{step},{metrics}}}")
}
