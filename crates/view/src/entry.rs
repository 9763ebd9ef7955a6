//! A run in a list: what it is, how far it is, how well it does.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use vapo_study::Evaluations;
use vapo_train::{
    Phase, RunDir, RunSummary,
    metrics::{
        keys::{self, ALARM},
        mean_accuracy,
    },
};

use crate::{
    config::RecordedConfig,
    lines::{LineSink, Lines},
    row::numbers,
};

/// Most points of a list's little curves.
const SPARK_POINTS: usize = 60;
/// The files by whose times and lengths a change of a run is seen.
const FILES: [&str; 4] = ["config.toml", "metrics.jsonl", "summary.json", vapo_study::CRASH_FILE];

/// A run in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunEntry {
    /// Its path below the directory of runs, with `/` between names.
    pub id: String,
    /// Its preset.
    pub preset: String,
    /// The model's name.
    pub model: String,
    /// The built-in task, or the names of the data files.
    pub task: String,
    /// Words to search it by.
    pub tags: Vec<String>,
    /// Whether it is running.
    pub state: RunState,
    /// Steps done, of both phases.
    pub step: u64,
    /// Steps planned; value pretraining may end earlier.
    pub total: u64,
    /// Held-out accuracy before training.
    pub accuracy_before: Option<f64>,
    /// Held-out accuracy of the last evaluation.
    pub accuracy_after: Option<f64>,
    /// `run.seed`.
    pub seed: u64,
    /// When it was started, in seconds since 1970.
    pub started: u64,
    /// When it last wrote a row, in seconds since 1970.
    pub modified: u64,
    /// Held-out accuracy by step, thinned.
    pub spark: Vec<(f64, f64)>,
    /// Episodes of alarms.
    pub alarms: usize,
    /// What could not be read.
    pub notes: Vec<String>,
}

/// Whether a run is running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// A process works on it.
    Running {
        /// The process.
        pid: Option<u32>,
        /// Its machine.
        host: String,
    },
    /// It can be resumed.
    Stopped,
    /// It has done all of its steps.
    Finished,
    /// It ended early for this reason, or nothing of it can be read.
    Failed {
        /// The reason.
        reason: String,
    },
}

/// What a list knows of a run; kept, so that only what was written since is read.
#[derive(Debug)]
pub(crate) struct EntryReader {
    run: RunDir,
    stamps: Option<Stamps>,
    config: RecordedConfig,
    tags: Vec<String>,
    lines: Lines,
    progress: Progress,
    summary: Option<RunSummary>,
    crash: Option<String>,
    notes: Vec<String>,
}

/// Lengths and times of [`FILES`].
type Stamps = [Option<(u64, SystemTime)>; FILES.len()];

impl EntryReader {
    pub(crate) fn new(run: RunDir) -> Self {
        Self {
            stamps: None,
            config: RecordedConfig::default(),
            tags: Vec::new(),
            lines: Lines::new(run.metrics_path()),
            progress: Progress::default(),
            summary: None,
            crash: None,
            notes: Vec::new(),
            run,
        }
    }

    /// The run as it is now.
    pub(crate) fn entry(&mut self, id: &str) -> RunEntry {
        let stamps = stamps(self.run.path());
        if self.stamps.as_ref() != Some(&stamps) {
            self.read(&stamps);
            self.stamps = Some(stamps);
        }
        let (progress, config) = (&self.progress, &self.config);
        let state = self.state();
        let total = if state == RunState::Finished { progress.step } else { config.steps().max(progress.step) };
        let points = progress.evaluations.points();
        let accuracy = |point: Option<&(u64, f64)>| point.map(|(_, accuracy)| *accuracy);
        RunEntry {
            id: id.to_owned(),
            preset: config.preset().to_owned(),
            model: config.model(),
            task: config.task(),
            tags: self.tags.clone(),
            state,
            step: progress.step,
            total,
            accuracy_before: accuracy(points.first()),
            accuracy_after: accuracy(points.last()),
            seed: config.count("run.seed").unwrap_or(0),
            started: started(self.run.path(), &stamps),
            modified: stamps.iter().flatten().map(|(_, time)| secs(*time)).max().unwrap_or(0),
            spark: thinned(points),
            alarms: progress.alarms,
            notes: self.notes.clone(),
        }
    }

    fn read(&mut self, stamps: &Stamps) {
        if self.stamps.is_none_or(|before| before[0] != stamps[0]) {
            self.config = RecordedConfig::written(&self.run);
            self.tags = self.config.tags();
        }
        let mut notes = self.config.notes.clone();
        if let Err(error) = self.lines.read_on(&mut self.progress) {
            notes.push(error.to_string());
        }
        if self.progress.damaged > 0 {
            notes.push(format!("metrics.jsonl: {} damaged", plural(self.progress.damaged, "line")));
        }
        self.summary = self.run.summary().unwrap_or_else(|error| {
            notes.push(error.to_string());
            None
        });
        self.crash = fs::read_to_string(self.run.path().join(vapo_study::CRASH_FILE)).ok();
        self.notes = notes;
    }

    fn state(&self) -> RunState {
        let progress = &self.progress;
        if let Some(holder) = self.run.holder() {
            return RunState::Running { pid: holder.process, host: holder.host };
        }
        if let Some(reason) = &self.crash {
            return RunState::Failed { reason: reason.trim_end().to_owned() };
        }
        if self.config.entries().is_empty() || progress.rows == 0 && progress.damaged > 0 {
            return RunState::Failed { reason: self.notes.join("\n") };
        }
        // A run that was given more steps after it had finished has a summary of the steps before.
        let finished = self.summary.as_ref().is_some_and(|summary| summary.steps >= progress.step);
        if finished { RunState::Finished } else { RunState::Stopped }
    }
}

/// What is kept of the rows.
#[derive(Debug, Default)]
struct Progress {
    rows: usize,
    step: u64,
    evaluations: Evaluations<u64>,
    /// Episodes of alarms so far, and those of the last row.
    alarms: usize,
    active: BTreeSet<String>,
    damaged: usize,
}

impl LineSink for Progress {
    fn clear(&mut self) {
        *self = Self::default();
    }

    fn line(&mut self, _: usize, line: &[u8]) {
        let (mut step, mut pretrains, mut accuracies, mut active) = (None, false, Vec::new(), BTreeSet::new());
        let read = numbers(line, |key, value| match (key, value) {
            (_, None) => {}
            (keys::GLOBAL_STEP, Some(value)) => step = Some(value as u64),
            (keys::VALUE_PRETRAINING, Some(value)) => pretrains = value == 1.0,
            (key, Some(value)) if keys::eval::is_accuracy(key) => accuracies.push((key.to_owned(), value)),
            (key, Some(1.0)) if key.starts_with(ALARM) => drop(active.insert(key.to_owned())),
            _ => {}
        });
        let (Ok(()), Some(step)) = (read, step) else {
            self.damaged += 1;
            return;
        };
        let phase = (step > 0).then_some(if pretrains { Phase::ValuePretraining } else { Phase::Policy });
        let accuracy = mean_accuracy(accuracies.iter().map(|(key, accuracy)| (key.as_str(), *accuracy)));
        self.evaluations.push(step, phase, accuracy);
        self.alarms += active.difference(&self.active).count();
        (self.active, self.step, self.rows) = (active, step, self.rows + 1);
    }
}

/// Whether a directory is that of a run whose files are its own.
pub(crate) fn is_run(directory: &Path) -> bool {
    let kind = |name: &str| fs::symlink_metadata(directory.join(name)).ok().map(|metadata| metadata.file_type());
    let is_file = |name: &str| kind(name).is_some_and(|kind| kind.is_file());
    let has_link = || FILES.iter().any(|name| kind(name).is_some_and(|kind| kind.is_symlink()));
    is_file("config.toml") && (is_file("metrics.jsonl") || is_file("run.lock")) && !has_link()
}

fn stamps(run: &Path) -> Stamps {
    FILES.map(|name| {
        let metadata = fs::metadata(run.join(name)).ok()?;
        Some((metadata.len(), metadata.modified().ok()?))
    })
}

/// The creation of the directory, where the file system knows it; otherwise the last time the config was written.
fn started(run: &Path, stamps: &Stamps) -> u64 {
    let created = fs::metadata(run).and_then(|metadata| metadata.created()).ok();
    created.or(stamps[0].map(|(_, time)| time)).map_or(0, secs)
}

fn secs(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// At most [`SPARK_POINTS`] points, the first and the last among them.
fn thinned(points: &[(u64, f64)]) -> Vec<(f64, f64)> {
    let count = points.len().min(SPARK_POINTS);
    let place = |index: usize| index * (points.len() - 1) / (count - 1).max(1);
    (0..count).map(|index| points[place(index)]).map(|(step, accuracy)| (step as f64, accuracy)).collect()
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
