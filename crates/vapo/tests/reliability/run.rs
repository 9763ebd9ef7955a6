//! Small runs of the real program, and what two of them must have in common.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;
use vapo_train::{Row, RunDir, RunSummary, is_time_field, tensorboard};

/// What no session of these runs takes, even if others use the processor.
const HANGING: Duration = Duration::from_secs(300);

/// A kind of run.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// What its random moments are keyed with.
    pub(crate) key: u64,
    settings: &'static [&'static str],
}

/// With value pretraining; dynamic sampling is added, so that the number of sampled prompts depends on their answers.
pub(crate) const VAPO: Kind =
    Kind { name: "vapo", key: 0, settings: &["algorithm.preset=vapo", "value_pretraining.steps=2"] };

/// Without a critic, and with the dynamic sampling of its preset.
pub(crate) const DAPO: Kind = Kind { name: "dapo", key: 1, settings: &["algorithm.preset=dapo"] };

/// With rounded weights in memory and in the model directories of checkpoints, and with a reference policy.
pub(crate) const BF16: Kind = Kind {
    name: "bf16",
    key: 2,
    settings: &[
        "algorithm.preset=vapo",
        "value_pretraining.steps=1",
        "model.dtype=bfloat16",
        "checkpoint.dtype=bfloat16",
        "algorithm.kl_weight=0.1",
    ],
};

/// As few calls to the file system as possible that still contain all kinds.
pub(crate) const TINY: Kind = Kind {
    name: "tiny",
    key: 3,
    settings: &[
        "algorithm.preset=vapo",
        "value_pretraining.steps=1",
        "value_pretraining.prompts_per_step=2",
        "run.steps=1",
        "rollout.prompts_per_step=2",
        "rollout.group_size=2",
        "rollout.max_new_tokens=8",
        "algorithm.minibatches_per_epoch=1",
        "eval.problems=1",
        "eval.samples=1",
        "checkpoint.keep=1",
    ],
};

/// What makes a run of a second in which everything happens several times, if its kind does not say otherwise.
const SMALL: [&str; 15] = [
    "run.steps=4",
    "run.check_logps=all",
    "rollout.prompts_per_step=4",
    "rollout.group_size=4",
    "rollout.max_new_tokens=32",
    "algorithm.minibatches_per_epoch=2",
    "algorithm.dynamic_sampling_rounds=3",
    "value_pretraining.prompts_per_step=8",
    "policy_optimizer.learning_rate=3e-4",
    "eval.every=2",
    "eval.problems=4",
    "eval.samples=2",
    "checkpoint.every=1",
    "checkpoint.keep=2",
    "records.every=1",
];

/// A run directory, with the settings of its run.
pub(crate) struct Place<'a> {
    pub(crate) path: PathBuf,
    kind: &'a Kind,
    shards: usize,
}

impl<'a> Place<'a> {
    pub(crate) fn new(path: PathBuf, kind: &'a Kind) -> Self {
        Self { path, kind, shards: 1 }
    }

    /// A run whose updates have several gradient shards, so that several ranks can share it.
    pub(crate) fn with_shards(path: PathBuf, kind: &'a Kind, shards: usize) -> Self {
        Self { path, kind, shards }
    }

    /// The command that a user types: `vapo resume` if there is a run in the directory, otherwise `vapo train`.
    pub(crate) fn command(&self, threads: usize) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vapo"));
        if self.path.join("config.toml").exists() {
            command.arg("resume").arg(&self.path);
        } else {
            command.arg("train").arg("--run-dir").arg(&self.path);
            command.args(SMALL.iter().chain(self.kind.settings).flat_map(|setting| ["--set", setting]));
            command.args(["--set", &format!("run.gradient_shards={}", self.shards)]);
        }
        command.args(["--set", &format!("run.threads={threads}")]).stdin(Stdio::null());
        command
    }

    /// Starts a session, whose output goes to a file next to the run directory.
    pub(crate) fn start(&self, threads: usize) -> Session {
        Session::start(self.command(threads), self.path.with_extension("log"))
    }

    /// Everything in the directory that must be the same in every session's outcome: the text of rows, summary and state
    /// and what TensorBoard shows, without what depends on time, and all other bytes of evaluations, records and of the last checkpoint.
    ///
    /// Other checkpoints depend on where a run was stopped, and `config.toml` holds the number of threads.
    pub(crate) fn outcome(&self) -> BTreeMap<String, Vec<u8>> {
        let (run, mut outcome) = (RunDir::open(&self.path).unwrap(), BTreeMap::new());
        let rows: String = run.metrics().unwrap().iter().map(timeless).collect();
        outcome.insert("metrics.jsonl".into(), rows.into_bytes());
        outcome.insert("tensorboard".into(), self.shown().into_bytes());
        let summary = run.summary().unwrap().expect("a finished run has a summary");
        let timeless_summary = RunSummary { wall_secs: 0.0, cpu_secs: 0.0, peak_rss_mb: 0.0, ..summary };
        outcome.insert("summary.json".into(), serde_json::to_vec(&timeless_summary).unwrap());
        self.read_into(&mut outcome, &self.path.join("eval"));
        self.read_into(&mut outcome, &self.path.join("rollouts"));
        let (_, last) = run.checkpoints().unwrap().pop().expect("a finished run has a checkpoint");
        self.read_into(&mut outcome, &last);
        outcome
    }

    /// A line for each value in the event files.
    fn shown(&self) -> String {
        let events = tensorboard::events(&self.path.join("tensorboard")).unwrap().into_iter();
        let values =
            events.flat_map(|event| event.summary.unwrap().value.into_iter().map(move |value| (event.step, value)));
        values.filter(|(_, value)| !is_time_field(&value.tag)).map(|value| format!("{value:?}\n")).collect()
    }

    fn read_into(&self, outcome: &mut BTreeMap<String, Vec<u8>>, directory: &Path) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&self.path).unwrap().to_str().unwrap().to_string();
            match path.file_name().and_then(|name| name.to_str()).unwrap() {
                _ if path.is_dir() => self.read_into(outcome, &path),
                // The sums of files with times are not compared either.
                "config.toml" | "SHA256SUMS" => (),
                "state.json" => drop(outcome.insert(name, timeless_state(&fs::read(&path).unwrap()))),
                _ => drop(outcome.insert(name, fs::read(&path).unwrap())),
            }
        }
    }

    /// Files and directories that are being written, or were when the process was killed.
    pub(crate) fn partial(&self) -> Vec<PathBuf> {
        self.with_extension("partial")
    }

    /// Files, directories and checkpoints with this extension.
    pub(crate) fn with_extension(&self, extension: &str) -> Vec<PathBuf> {
        let subdirectories = ["checkpoints", "eval", "rollouts"].map(|name| self.path.join(name));
        let places = [vec![self.path.clone()], subdirectories.to_vec()].concat();
        let entries = places.iter().filter_map(|place| fs::read_dir(place).ok()).flatten();
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
    }
}

/// A row without fields that depend on time.
fn timeless(row: &Row) -> String {
    let entries = row.entries().filter(|(key, _)| !is_time_field(key));
    entries.map(|(key, value)| format!("{key}={value} ")).chain(["\n".to_string()]).collect()
}

/// `state.json` without the times of the sessions so far and of the last step.
fn timeless_state(bytes: &[u8]) -> Vec<u8> {
    let mut state: Value = serde_json::from_slice(bytes).unwrap();
    let fields = state.as_object_mut().unwrap();
    fields.retain(|key, _| !["wall_secs", "cpu_secs"].contains(&key.as_str()));
    fields["pending"].as_object_mut().unwrap().retain(|key, _| !is_time_field(key));
    serde_json::to_vec(&state).unwrap()
}

/// The names of what differs.
pub(crate) fn difference(expected: &BTreeMap<String, Vec<u8>>, found: &BTreeMap<String, Vec<u8>>) -> Option<String> {
    let names = expected.keys().chain(found.keys());
    let mut differing: Vec<&String> = names.filter(|name| expected.get(*name) != found.get(*name)).collect();
    differing.dedup();
    (!differing.is_empty()).then(|| format!("not those of the uninterrupted run: {differing:?}"))
}

/// Copies a directory with everything in it.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy_tree(&path, &target) } else { assert!(fs::copy(&path, &target).is_ok()) }
    }
}

/// A running `vapo`.
pub(crate) struct Session {
    pub(crate) process: Child,
    pub(crate) begun: Instant,
    log: PathBuf,
}

impl Session {
    /// Starts the command with its output in a file.
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Self {
        let output = File::create(&log).unwrap();
        let begun = Instant::now();
        let process = command.stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
        Self { process, begun, log }
    }

    /// How it ended, if it ends before `until` answers true.
    pub(crate) fn ended_before(&mut self, mut until: impl FnMut() -> bool) -> Option<ExitStatus> {
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return Some(status);
            }
            if until() {
                return None;
            }
            if self.begun.elapsed() > HANGING {
                self.process.kill().unwrap();
                panic!("a session hangs; it printed\n{}", self.printed());
            }
            sleep(Duration::from_micros(200));
        }
    }

    /// Waits until it ends.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.ended_before(|| false).expect("only an end ends this")
    }

    /// What it has printed so far.
    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }
}
