//! A run's directory as it is read after the run: `config.toml`, `metrics.jsonl`, `summary.json`, and names of checkpoints
//! and evaluations.

use vapo_study::{Job, JobState, Record};
use vapo_train::{Config, RunDir, RunSummary};

use super::{Directory, parts, text};

/// Names of files that are tried, at most.
const NAMES: usize = 8;

pub(crate) fn run_directory(data: &[u8]) {
    let [config, metrics, summary, names] = parts(data);
    let directory = Directory::new();
    directory.write_any("config.toml", config);
    directory.write_any("metrics.jsonl", metrics);
    directory.write_any("summary.json", summary);
    for folder in ["checkpoints", "eval"] {
        let folder = directory.path().join(folder);
        std::fs::create_dir(&folder).expect("a directory");
        let names = text(names);
        let is_name = |name: &&str| !name.contains(['/', '\0']) && !name.is_empty() && name.len() < 99;
        for name in names.lines().filter(is_name).take(NAMES) {
            // Two names of this directory exist already.
            let _ = std::fs::create_dir(folder.join(name));
        }
    }
    let Ok(run) = RunDir::open(&directory.path()) else { return };
    let _ = run.resolve(&["run.steps=3".to_owned()]);
    for mut steps in [run.checkpoints(), run.evaluations()].map(|found| found.expect("a directory")) {
        assert!(steps.is_sorted());
        steps.dedup();
        assert!(steps.iter().all(|(_, path)| path.starts_with(directory.path())));
    }
    if let Ok(Some(summary)) = run.summary() {
        let text = serde_json::to_string(&summary).expect("JSON");
        let again: RunSummary = serde_json::from_str(&text).expect("a written summary can be read");
        assert_eq!(again, summary);
    }
    let mut config = Config::default();
    config.run.dir = Some(directory.path());
    let job = Job { arm: 0, name: "a".into(), seed: 1, config, is_pretraining: false, starts_from: None };
    let state = job.state().expect("the state of a directory");
    if let Ok(Some(record)) = Record::read(&job, &state) {
        assert_eq!(record.final_accuracy(), record.points.last().map(|point| point.accuracy));
        record.policy_cost();
    }
    let _ = Record::read(&job, &JobState::Finished);
}
