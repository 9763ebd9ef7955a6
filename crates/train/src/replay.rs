//! Repeats steps of a run from one of its checkpoints, and compares what they record with what the run has recorded.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{
    checkpoint::load_state,
    checksums::listed,
    config::Config,
    error::{Error, Result},
    fork::fork_from,
    metrics::{Row, keys::is_time_field},
    observer::{Event, Observer},
    run::Run,
    rundir::{RunDir, recorded_config},
};

/// The result of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The checkpoint it began with; 0 is the beginning of the run.
    pub from: u64,
    /// The last step that was repeated.
    pub to: u64,
    /// What was compared.
    pub compared: Vec<String>,
    /// The first difference; `None` if there is none.
    pub difference: Option<String>,
}

/// Repeats up to `steps` steps in a temporary directory next to the run, from the checkpoint of step `from` or the oldest
/// one, with that checkpoint's own settings, and compares rows (time fields aside), evaluations, records and, where the run has a
/// checkpoint at the end of them, weights and moments.
///
/// # Errors
/// There is no such checkpoint, no recorded step after it, or the steps cannot be repeated.
pub fn replay(run: &RunDir, from: Option<u64>, steps: u64, observer: &mut dyn Observer) -> Result<Replay> {
    let mut last = 0;
    for row in run.rows()? {
        last = row?.global_step().unwrap_or(last);
    }
    let checkpoint = chosen(run, from, last)?;
    let from = checkpoint.as_ref().map_or(0, |(step, _)| *step);
    let to = last.min(from.saturating_add(steps));
    if to == from {
        return Err(Error::Run(format!(
            "the run has no recorded step after {from}, expected at least one to repeat: choose an earlier checkpoint"
        )));
    }
    let place = temporary_directory(run.path())?;
    let copy = place.path().join("run");
    let repeated = match &checkpoint {
        Some((_, path)) => {
            fork_from(run, path, &replayed(recorded_config(&path.join("config.toml"), &[])?.config, &copy))?
        }
        None => RunDir::create(&replayed(run.config()?, &copy))?,
    };
    // What the copy has of later steps must be what it does itself.
    repeated.cut_samples(from + 1)?;
    repeat(&repeated, to, observer)?;
    let mut comparison = Comparison::default();
    comparison.rows(&rows_of(run, from + 1, to)?, &rows_of(&repeated, from + 1, to)?, from + 1, to);
    comparison.evaluations(run, &repeated, from + 1, to)?;
    comparison.records(run, &repeated, from + 1, to)?;
    comparison.networks(run, &repeated, to)?;
    Ok(Replay { from, to, compared: comparison.compared, difference: comparison.difference })
}

/// The rows of these steps.
fn rows_of(run: &RunDir, from: u64, to: u64) -> Result<Vec<Row>> {
    let is_wanted = |row: &Row| row.global_step().is_some_and(|step| (from..=to).contains(&step));
    run.rows()?.filter(|row| row.as_ref().map_or(true, is_wanted)).collect()
}

/// The checkpoint to begin with: that of step `from`, or the oldest one with recorded steps after it.
fn chosen(run: &RunDir, from: Option<u64>, last: u64) -> Result<Option<(u64, PathBuf)>> {
    let checkpoints = run.checkpoints()?;
    let steps: Vec<String> = checkpoints.iter().map(|(step, _)| step.to_string()).collect();
    match from {
        None => Ok(checkpoints.into_iter().find(|(step, _)| *step < last)),
        Some(0) => Ok(checkpoints.into_iter().find(|(step, _)| *step == 0)),
        Some(from) => checkpoints.into_iter().find(|(step, _)| *step == from).map(Some).ok_or_else(|| {
            Error::Run(format!("there is no checkpoint of step {from}, expected one of: 0, {}", steps.join(", ")))
        }),
    }
}

/// Settings under which steps repeat and nothing outside the copy is written.
fn replayed(mut config: Config, directory: &Path) -> Config {
    config.run.dir = Some(directory.to_path_buf());
    config.value_pretraining.save_critic = None;
    config.checkpoint.every = None;
    config.checkpoint.every_minutes = None;
    config.checkpoint.keep_best = false;
    config.records.keep = None;
    config.tensorboard.enabled = false;
    config
}

/// On the file system of the run, so that its checkpoint need not be copied; otherwise wherever temporary files go.
fn temporary_directory(run: &Path) -> Result<tempfile::TempDir> {
    let parent = run.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = tempfile::Builder::new().prefix(".replay-").tempdir_in(parent);
    beside.or_else(|_| tempfile::tempdir()).map_err(Error::io("create a temporary directory next to", run))
}

/// Trains the copy to the end of step `to`.
fn repeat(run: &RunDir, to: u64, observer: &mut dyn Observer) -> Result<()> {
    let stop = AtomicBool::new(false);
    let mut stop_after_last = |event: Event<'_>| {
        if matches!(event, Event::Step { step, .. } if step >= to) {
            stop.store(true, Ordering::Relaxed);
        }
        // A checkpoint of the copy is gone in a moment.
        if !matches!(event, Event::Saved { .. }) {
            observer.event(event);
        }
    };
    Run::resume(run.path(), &[])?.train(&mut stop_after_last, &stop).map(drop)
}

#[derive(Default)]
struct Comparison {
    compared: Vec<String>,
    difference: Option<String>,
}

impl Comparison {
    /// Notes the first difference.
    fn differs(&mut self, text: impl FnOnce() -> String) {
        self.difference.get_or_insert_with(text);
    }

    fn rows(&mut self, recorded: &[Row], repeated: &[Row], from: u64, to: u64) {
        let row_of = |rows: &[Row], step| rows.iter().find(|row| row.global_step() == Some(step)).cloned();
        let mut rows = 0;
        for step in from..=to {
            let Some(recorded) = row_of(recorded, step) else { continue };
            let Some(repeated) = row_of(repeated, step) else {
                return self.differs(|| format!("step {step} was recorded, but is not repeated"));
            };
            rows += 1;
            let keys = recorded.entries().chain(repeated.entries()).map(|(key, _)| key);
            let value =
                |row: &Row, key: &str| row.entries().find(|(name, _)| *name == key).map(|(_, value)| value.clone());
            let mut timeless = keys.filter(|key| !is_time_field(key));
            if let Some(key) = timeless.find(|key| value(&recorded, key) != value(&repeated, key)) {
                let shown = |row| value(row, key).map_or("missing".into(), |value| value.to_string());
                let (recorded, repeated) = (shown(&recorded), shown(&repeated));
                return self.differs(|| format!("step {step}: {key} is {repeated}, recorded was {recorded}"));
            }
        }
        self.compared.push(format!("rows of {rows} steps"));
    }

    fn evaluations(&mut self, run: &RunDir, repeated: &RunDir, from: u64, to: u64) -> Result<()> {
        let files = run.evaluations()?.into_iter().filter(|(step, _)| (from..=to).contains(step));
        let pairs: Vec<_> = files.map(|(step, path)| (step, path, repeated.eval_path(step))).collect();
        self.files("evaluations", &pairs, |step| {
            format!("the evaluation after step {step} has other samples or verdicts")
        })
    }

    fn records(&mut self, run: &RunDir, repeated: &RunDir, from: u64, to: u64) -> Result<()> {
        let files = run.records()?.into_iter().filter(|(step, _)| (from..=to).contains(step));
        let pairs: Vec<_> = files.map(|(step, path)| (step, path, repeated.record_path(step))).collect();
        self.files("recorded steps", &pairs, |step| format!("the recorded rollouts of step {step} are other ones"))
    }

    /// Files of the run and of the copy, by their steps.
    fn files(
        &mut self,
        what: &str,
        pairs: &[(u64, PathBuf, PathBuf)],
        difference: impl Fn(u64) -> String,
    ) -> Result<()> {
        let read = |path: &Path| fs::read(path).map_err(Error::io("read", path));
        for (step, path, other) in pairs {
            if !other.exists() || read(path)? != read(other)? {
                self.differs(|| difference(*step));
            }
        }
        if !pairs.is_empty() {
            self.compared.push(format!("{} {what}", pairs.len()));
        }
        Ok(())
    }

    /// Weights and moments after the last step, by their checksums.
    fn networks(&mut self, run: &RunDir, repeated: &RunDir, step: u64) -> Result<()> {
        let (path, other) = (run.checkpoint_path(step), repeated.checkpoint_path(step));
        let has_sums = |path: &Path| path.exists() && load_state(path).is_ok_and(|state| state.has_checksums());
        if !has_sums(&path) || !has_sums(&other) {
            return Ok(());
        }
        let tensors = |path: &Path| -> Result<Vec<(String, String)>> {
            Ok(listed(path)?.into_iter().filter(|(name, _)| name.ends_with(".safetensors")).collect())
        };
        let (found, expected) = (tensors(&other)?, tensors(&path)?);
        if let Some((name, _)) =
            expected.iter().chain(&found).find(|file| !found.contains(file) || !expected.contains(file))
        {
            self.differs(|| format!("after step {step}, {name} has other values"));
        }
        self.compared.push(format!("weights and moments after step {step}"));
        Ok(())
    }
}
