//! Checks a run directory: that everything is there, in order and undamaged.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    checkpoint::{load_state, verify},
    error::{Error, Result},
    files::{PARTIAL, REPLACED},
    lock::RunLock,
    metrics::{Row, keys},
    records,
    rundir::{DAMAGED, Line, ROLLOUTS, RunDir, TENSORBOARD},
    tensorboard::{EventCheck, event_files},
};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How serious it is.
    pub severity: Severity,
    /// The file or directory, relative to the run.
    pub place: String,
    /// What was found there.
    pub text: String,
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Good,
    /// Worth knowing; nothing is lost.
    Note,
    /// Something is damaged or missing.
    Damage,
}

/// Checks everything in a run directory, without changing it.
///
/// # Errors
/// The directory itself cannot be read.
pub fn inspect(run: &RunDir) -> Result<Vec<Finding>> {
    let mut findings = Findings { root: run.path(), list: Vec::new() };
    let config = run.config();
    let keeps_all = config.as_ref().is_ok_and(|config| config.eval.keep.is_none());
    let keeps_all_records = config.as_ref().is_ok_and(|config| config.records.keep.is_none());
    findings.check(&run.path().join("config.toml"), config.map(|_| "is complete".into()));
    if let Some(holder) = RunLock::holder(run.path()) {
        findings.note(run.path(), format!("in use by {holder}: files change while they are checked"));
    }
    let rows = findings.metrics(run)?;
    findings.evaluations(run, &rows, keeps_all)?;
    findings.records(run, &rows, keeps_all_records)?;
    findings.events(&run.path().join(TENSORBOARD), &rows)?;
    findings.checkpoints(run, &rows)?;
    findings.summary(run, &rows);
    findings.left_over()?;
    Ok(findings.list)
}

/// What is compared of a row: all rows of a long run take much memory.
struct Recorded {
    step: u64,
    is_evaluated: bool,
    has_rollouts: bool,
}

impl Recorded {
    fn of(row: &Row) -> Option<Self> {
        let has = |key| row.get(key).is_some();
        Some(Self {
            step: row.global_step()?,
            is_evaluated: has(keys::TIMING_EVALUATION),
            has_rollouts: has(keys::TIMING_RECORDING),
        })
    }
}

fn last_step(rows: &[Recorded]) -> Option<u64> {
    rows.last().map(|row| row.step)
}

struct Findings<'a> {
    root: &'a Path,
    list: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, severity: Severity, path: &Path, text: String) {
        let place = path.strip_prefix(self.root).unwrap_or(path).display().to_string();
        self.list.push(Finding { severity, place: if place.is_empty() { ".".into() } else { place }, text });
    }

    fn note(&mut self, path: &Path, text: String) {
        self.add(Severity::Note, path, text);
    }

    fn damage(&mut self, path: &Path, text: String) {
        self.add(Severity::Damage, path, text);
    }

    /// A file with what is good about it, or the error of reading it.
    fn check(&mut self, path: &Path, result: Result<String>) {
        match result {
            Ok(text) => self.add(Severity::Good, path, text),
            Err(Error::File { path, message }) => self.damage(&path, message),
            Err(error) => self.damage(path, error.to_string()),
        }
    }

    fn metrics(&mut self, run: &RunDir) -> Result<Vec<Recorded>> {
        let path = run.metrics_path();
        let (mut rows, mut is_damaged) = (Vec::new(), false);
        for line in run.lines()? {
            let Line { number, row, .. } = line?;
            match row.as_ref().and_then(Recorded::of) {
                Some(row) => rows.push(row),
                None => {
                    is_damaged = true;
                    self.damage(&path, format!("line {number} is not a row"));
                }
            }
        }
        let steps = rows.iter().map(|row| row.step);
        if let Some((expected, found)) = (0..).zip(steps).find(|(expected, found)| expected != found)
            && !is_damaged
        {
            self.damage(&path, format!("has a row of step {found} where that of step {expected} was expected"));
        } else if !is_damaged {
            let text = match last_step(&rows) {
                Some(last) => format!("has the rows of steps 0 to {last}"),
                None => "has no row yet".into(),
            };
            self.add(Severity::Good, &path, text);
        }
        if last_byte(&path).is_some_and(|last| last != b'\n') {
            self.note(&path, "ends with half a row: the process was killed while it wrote it".into());
        }
        Ok(rows)
    }

    /// Every recorded evaluation has its file, unless the run keeps only some.
    fn evaluations(&mut self, run: &RunDir, rows: &[Recorded], keeps_all: bool) -> Result<()> {
        let files = run.evaluations()?;
        let steps: Vec<u64> = rows.iter().filter(|row| row.is_evaluated).map(|row| row.step).collect();
        let first_needed = if keeps_all { 0 } else { files.last().map_or(0, |(step, _)| *step) };
        let texts = ["is missing, but metrics.jsonl has its result", "belongs to a step that is not recorded yet"];
        let path_of = |step| run.eval_path(step);
        let intact =
            self.files_of_steps(&files, (&steps, first_needed), path_of, |path, _| check_evaluation(path), texts);
        if !intact.is_empty() {
            self.add(Severity::Good, &run.path().join("eval"), format!("recorded evaluations: {}", intact.len()));
        }
        Ok(())
    }

    /// Every recorded step has its file, unless the run keeps only some.
    fn records(&mut self, run: &RunDir, rows: &[Recorded], keeps_all: bool) -> Result<()> {
        let files = run.records()?;
        let steps: Vec<u64> = rows.iter().filter(|row| row.has_rollouts).map(|row| row.step).collect();
        let oldest = files.first().map(|(step, _)| *step).or(steps.last().copied());
        let first_needed = if keeps_all { 0 } else { oldest.unwrap_or(0) };
        let texts = [
            "is missing, but metrics.jsonl says that it was written",
            "belongs to a step whose row is not written yet",
        ];
        let path_of = |step| run.record_path(step);
        let intact = self.files_of_steps(&files, (&steps, first_needed), path_of, records::check, texts);
        if !intact.is_empty() {
            let responses: usize = intact.iter().sum();
            let text = format!("recorded steps: {}, with {responses} responses", intact.len());
            self.add(Severity::Good, &run.path().join(ROLLOUTS), text);
        }
        Ok(())
    }

    /// Together, the event files of all sessions have every step once and in order. They are not synced with every step, and
    /// may have begun later than the run.
    fn events(&mut self, directory: &Path, rows: &[Recorded]) -> Result<()> {
        let (files, mut events) = (event_files(directory)?, EventCheck::default());
        for (_, path) in &files {
            match events.follow(path) {
                Ok(false) => {}
                Ok(true) => self.note(path, "ends with half an event: the process was killed while it wrote it".into()),
                Err(error) => {
                    self.check(path, Err(error));
                    return Ok(());
                }
            }
        }
        let [Some(first), Some(last)] = [events.steps.first(), events.steps.last()] else { return Ok(()) };
        self.add(Severity::Good, directory, format!("has the events of steps {first} to {last}"));
        let missing = rows.iter().filter(|row| row.step >= *first && events.steps.binary_search(&row.step).is_err());
        let missing: Vec<u64> = missing.map(|row| row.step).collect();
        if let Some(step) = missing.first() {
            let text = format!("lacks {} steps of metrics.jsonl, the first of them is step {step}", missing.len());
            self.note(directory, text);
        }
        Ok(())
    }

    /// Compares files with the steps whose rows promise them; those before `first_needed` may be gone. Returns what `check`
    /// says of the intact ones. The texts are for a missing file, and for one that no row promises.
    fn files_of_steps<T>(
        &mut self,
        files: &[(u64, PathBuf)],
        (steps, first_needed): (&[u64], u64),
        path_of: impl Fn(u64) -> PathBuf,
        check: impl Fn(&Path, u64) -> Result<T>,
        [missing, early]: [&str; 2],
    ) -> Vec<T> {
        let needed = steps.iter().filter(|step| **step >= first_needed);
        for step in needed.filter(|step| files.iter().all(|(of, _)| of != *step)) {
            self.damage(&path_of(*step), missing.into());
        }
        let mut intact = Vec::new();
        for (step, path) in files {
            match check(path, *step) {
                Err(error) => self.check(path, Err(error)),
                Ok(found) if steps.contains(step) => intact.push(found),
                Ok(_) => self.note(path, early.into()),
            }
        }
        intact
    }

    fn checkpoints(&mut self, run: &RunDir, rows: &[Recorded]) -> Result<()> {
        let checkpoints = run.checkpoints()?;
        for (step, path) in &checkpoints {
            let check = || {
                verify(path)?;
                let state = load_state(path)?;
                if state.counters.global_step != *step {
                    let problem = format!("is the state after step {}", state.counters.global_step);
                    return Err(Error::file(path, problem));
                }
                let program = if state.vapo_version.is_empty() { "an early version" } else { &state.vapo_version };
                Ok(format!("is intact (format {}, written by vapo {program})", state.format_version))
            };
            self.check(path, check());
        }
        let last = last_step(rows);
        match (checkpoints.last(), last) {
            (Some((step, path)), Some(last)) if last > *step => {
                self.note(path, format!("is {} steps behind the last row: `vapo resume` repeats these", last - step));
            }
            (None, Some(last)) if last > 0 => {
                self.note(run.path(), "has no checkpoint yet: `vapo resume` begins again".into());
            }
            _ => {}
        }
        Ok(())
    }

    fn summary(&mut self, run: &RunDir, rows: &[Recorded]) {
        let last = last_step(rows);
        let path = run.path().join("summary.json");
        match run.summary() {
            Ok(None) => {}
            Ok(Some(summary)) if Some(summary.steps) == last => {
                self.add(Severity::Good, &path, format!("is that of {} steps", summary.steps));
            }
            Ok(Some(summary)) => {
                self.note(&path, format!("is that of {} steps: the run has been continued since", summary.steps));
            }
            Err(error) => self.check(&path, Err(error)),
        }
    }

    /// What killed processes and damaged files have left.
    fn left_over(&mut self) -> Result<()> {
        // Runs of earlier versions have no records.
        let rollouts = Some(self.root.join(ROLLOUTS)).filter(|path| path.exists());
        let directories = [self.root.to_path_buf(), self.root.join("checkpoints"), self.root.join("eval")];
        for directory in directories.into_iter().chain(rollouts) {
            let Ok(entries) = fs::read_dir(&directory) else {
                self.damage(&directory, "is missing".into());
                continue;
            };
            let paths = entries.map(|entry| entry.map(|entry| entry.path()));
            let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>().map_err(Error::io("read", &directory))?;
            paths.sort();
            for path in paths {
                match path.extension().and_then(|extension| extension.to_str()) {
                    Some(PARTIAL) => self.note(&path, "was being written: `vapo resume` removes it".into()),
                    Some(REPLACED) => self.note(&path, "was being replaced: `vapo resume` tidies up".into()),
                    Some(DAMAGED) => self.note(&path, "was found damaged and is not used; it can be removed".into()),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// The last byte of a file; `None` if there is none.
fn last_byte(path: &Path) -> Option<u8> {
    let mut byte = [0];
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::End(-1)).ok()?;
    file.read_exact(&mut byte).ok()?;
    Some(byte[0])
}

/// Whether a file of an evaluation is complete: a JSON object with samples per line.
fn check_evaluation(path: &Path) -> Result<()> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    if text.is_empty() || !text.ends_with('\n') {
        return Err(Error::file(path, "does not end with a complete line"));
    }
    for (index, line) in text.lines().enumerate() {
        let problem: Option<Value> = serde_json::from_str(line).ok();
        if problem.is_none_or(|problem| !problem["samples"].is_array()) {
            return Err(Error::file(path, format!("line {} is not a problem with samples", index + 1)));
        }
    }
    Ok(())
}
