//! A run as a child process. It stops with a checkpoint when its standard input is closed, so also when this process is killed.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use vapo_study::Job;
use vapo_train::{Row, RunDir};

/// How long a run of an earlier session may take to write its checkpoint.
const ORPHAN_DEADLINE: Duration = Duration::from_secs(600);
const ORPHAN_INTERVAL: Duration = Duration::from_millis(50);
/// After this time, print what is being waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Maximum length of the reason of a crash.
const REASON_CHARACTERS: usize = 400;

/// A running run.
pub(super) struct RunningJob {
    /// Its index in the plan.
    pub(super) index: usize,
    process: Child,
    /// Closed to stop it.
    lifeline: Option<ChildStdin>,
    /// Length of its metrics file when it was last checked.
    metrics_bytes: u64,
    last_sign_of_life: Instant,
    /// Steps that it has recorded.
    pub(super) steps: u64,
    /// Its newest held-out accuracy.
    pub(super) accuracy: Option<f64>,
}

impl RunningJob {
    /// Starts a run whose directory is prepared. Its output goes to its log, which it keeps locked.
    ///
    /// # Errors
    /// The log cannot be written or the process cannot be started.
    pub(super) fn start(index: usize, job: &Job) -> Result<Self> {
        let log = open_log(&job.log_path())?;
        let errors = log.try_clone().context("cannot share the log")?;
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        command.arg("resume").arg("--supervised").arg(job.path());
        command.stdin(Stdio::piped()).stdout(log).stderr(errors);
        // In its own process group: Ctrl-C reaches only this process, which then closes the lifelines.
        command.process_group(0);
        let mut process = command.spawn().with_context(|| format!("cannot start {}", job.name))?;
        Ok(Self {
            index,
            lifeline: process.stdin.take(),
            process,
            metrics_bytes: 0,
            last_sign_of_life: Instant::now(),
            steps: 0,
            accuracy: None,
        })
    }

    /// Asks it to stop with a checkpoint.
    pub(super) fn ask_to_stop(&mut self) {
        self.lifeline = None;
    }

    /// Kills it.
    pub(super) fn kill(&mut self) {
        // An error means that it has already exited.
        let _ = self.process.kill();
    }

    /// Its exit status, if it has exited.
    ///
    /// # Errors
    /// The system cannot report it.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.try_wait().context("cannot wait for a run")
    }

    /// Reads its metrics; returns how long they have been unchanged.
    pub(super) fn look(&mut self, job: &Job) -> Duration {
        let bytes = fs::metadata(job.path().join("metrics.jsonl")).map_or(0, |file| file.len());
        if bytes != self.metrics_bytes {
            (self.metrics_bytes, self.last_sign_of_life) = (bytes, Instant::now());
            // Metrics that cannot be read now will be read when the run has ended.
            let rows = RunDir::open(job.path()).and_then(|directory| directory.metrics()).unwrap_or_default();
            self.steps = rows.last().and_then(Row::global_step).unwrap_or(0);
            self.accuracy = vapo_study::newest_accuracy(&rows);
        }
        self.last_sign_of_life.elapsed()
    }
}

fn open_log(path: &Path) -> Result<File> {
    let file = File::options().create(true).append(true).open(path);
    let file = file.with_context(|| format!("cannot write {}", path.display()))?;
    if file.try_lock().is_err() {
        bail!("{} is locked: another process is working on that run", path.display());
    }
    Ok(file)
}

/// Waits for a process of an earlier session that is still writing this run's checkpoint.
///
/// # Errors
/// It takes too long.
pub(super) fn wait_for_orphan(job: &Job, print: impl Fn(&str)) -> Result<()> {
    let begun = Instant::now();
    let path = job.log_path();
    let Ok(file) = File::open(&path) else { return Ok(()) };
    let mut printed = false;
    while file.try_lock().is_err() {
        if !printed && begun.elapsed() > PATIENCE {
            print(&format!("  {}: waiting for an earlier session's process to write its checkpoint", job.name));
            printed = true;
        }
        if begun.elapsed() > ORPHAN_DEADLINE {
            bail!("another process is still working on {}", job.path().display());
        }
        std::thread::sleep(ORPHAN_INTERVAL);
    }
    Ok(())
}

/// Why a run failed: the message at the end of its log, otherwise its exit status.
pub(super) fn reason_of_crash(job: &Job, status: ExitStatus) -> String {
    let log = fs::read_to_string(job.log_path()).unwrap_or_default();
    let message = log.rfind("\nerror: ").map(|at| log[at..].trim());
    let panicked = log.rfind("panicked at").map(|at| log[at..].trim());
    let reason = message
        .or(panicked)
        .map_or_else(|| status.to_string(), |text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    reason.chars().take(REASON_CHARACTERS).collect()
}
