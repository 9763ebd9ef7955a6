//! The run directory, which a run writes and everything else reads.
//!
//! ```text
//! config.toml                  the resolved config
//! run.lock                     locked while a process works on the run; its text names the process
//! metrics.jsonl                a row per step
//! eval/step-000020.jsonl       per problem: samples and verdicts
//! rollouts/step-000020.parquet per response: text, verdict, and what each token was credited with
//! tensorboard/                 event files, one of each session: rows, histograms of rollouts, sampled texts
//! checkpoints/step-000020/     a checkpoint from which the run can continue; `.damaged`: one that was found damaged
//! dumps/policy-step-000012/    the last update of a network that was skipped because its gradient was not finite
//! summary.json                 written at the end
//! ```

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    iter,
    path::{Path, PathBuf},
};

use vapo_tasks::plain_words;

use crate::{
    alarm::Alarm,
    checkpoint::load_state,
    config::{CheckpointConfig, Config, Resolved, Role, Settings},
    error::{Error, Result},
    files::{PARTIAL, REPLACED, fill_atomically, remove_directory_atomically, sync_parent, write_atomically},
    links::refuse_links_out,
    lock::{Holder, LOCK, RunLock},
    metrics::Row,
    summary::RunSummary,
};

/// Extension of a checkpoint that was found damaged.
pub(crate) const DAMAGED: &str = "damaged";
pub(crate) const CHECKPOINTS: &str = "checkpoints";
const EVAL: &str = "eval";
pub(crate) const ROLLOUTS: &str = "rollouts";
pub(crate) const TENSORBOARD: &str = "tensorboard";
pub(crate) const DUMPS: &str = "dumps";

/// The subdirectories of every run. Runs of earlier versions have no [`ROLLOUTS`] and no [`TENSORBOARD`].
const SUBDIRECTORIES: [&str; 4] = [CHECKPOINTS, EVAL, ROLLOUTS, TENSORBOARD];

/// The directory of one run.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Makes the directory of a new run (`run.dir`, or the next free `runs/<preset>-001`) with its `config.toml`.
    ///
    /// # Errors
    /// The directory exists and is not empty, or cannot be written.
    pub fn create(config: &Config) -> Result<Self> {
        Ok(Self::create_locked(config)?.0)
    }

    /// The same, locked for this process. What a process leaves behind that is killed in between does not prevent the next
    /// attempt.
    pub(crate) fn create_locked(config: &Config) -> Result<(Self, RunLock)> {
        let path = match &config.run.dir {
            Some(path) => path.clone(),
            None => next_free(Path::new("runs"), &config.algorithm.preset)?,
        };
        fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
        if is_in_use(&path)? {
            return Err(Error::Run(format!(
                "run directory {} exists and is not empty, expected a new one (continue a run with `vapo resume {0}`)",
                path.display()
            )));
        }
        let lock = RunLock::acquire(&path)?;
        let directory = Self { path };
        directory.write_config(config)?;
        directory.create_subdirectories()?;
        sync_parent(&directory.path).map_err(Error::io("create", &directory.path))?;
        Ok((directory, lock))
    }

    fn create_subdirectories(&self) -> Result<()> {
        let mut paths = SUBDIRECTORIES.map(|name| self.path.join(name)).into_iter();
        paths.try_for_each(|path| {
            let create = || {
                fs::create_dir_all(&path)?;
                sync_parent(&path)
            };
            create().map_err(Error::io("create", &path))
        })
    }

    /// Locks the run for this process, and removes what a killed process left unfinished. A directory that was being replaced
    /// gets its name back, unless the other one already has it.
    ///
    /// # Errors
    /// Another process has locked it, a link leads out of it, or a file cannot be removed.
    pub(crate) fn take_over(&self) -> Result<RunLock> {
        self.refuse_links_out()?;
        let lock = RunLock::acquire(&self.path)?;
        self.create_subdirectories()?;
        let subdirectories = SUBDIRECTORIES.map(|name| self.path.join(name));
        for directory in std::iter::once(self.path.clone()).chain(subdirectories) {
            for entry in fs::read_dir(&directory).map_err(Error::io("read", &directory))? {
                let path = entry.map_err(Error::io("read", &directory))?.path();
                let replaced = path.extension().is_some_and(|extension| extension == REPLACED);
                if replaced && !path.with_extension("").exists() {
                    fs::rename(&path, path.with_extension("")).map_err(Error::io("rename", &path))?;
                } else if replaced || path.extension().is_some_and(|extension| extension == PARTIAL) {
                    let remove = if path.is_dir() { fs::remove_dir_all } else { fs::remove_file };
                    remove(&path).map_err(Error::io("remove", &path))?;
                }
            }
        }
        Ok(lock)
    }

    /// The directory that another rank has made.
    pub(crate) fn of_the_first(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// Opens an existing run.
    ///
    /// # Errors
    /// The directory has no `config.toml`.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.join("config.toml").is_file() {
            return Err(Error::Run(format!("{} is not a run directory: it has no config.toml", path.display())));
        }
        Ok(Self { path: path.to_path_buf() })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The process that works on the run, if there is one.
    pub fn holder(&self) -> Option<Holder> {
        RunLock::holder(&self.path)
    }

    /// Refuses a run in which a link leads out of its directory, so that its files' names might stand for any file of the user.
    ///
    /// # Errors
    /// There is such a link, or the directory cannot be read.
    pub fn refuse_links_out(&self) -> Result<()> {
        refuse_links_out(&self.path, &SUBDIRECTORIES)
    }

    /// The config with which the run was started.
    ///
    /// # Errors
    /// As for [`Resolved::load`].
    pub fn config(&self) -> Result<Config> {
        Ok(self.resolve(&[])?.config)
    }

    /// The same with `key=value` overrides, and with warnings.
    ///
    /// # Errors
    /// As for [`Resolved::load`].
    pub fn resolve(&self, overrides: &[String]) -> Result<Resolved> {
        recorded_config(&self.path.join("config.toml"), overrides)
    }

    pub(crate) fn write_config(&self, config: &Config) -> Result<()> {
        let config = config.clone().with_absolute_paths()?;
        write_atomically(&self.path.join("config.toml"), config.to_commented_toml().as_bytes())
    }

    /// All rows of `metrics.jsonl`, without a last line that was cut off when the process was killed.
    ///
    /// # Errors
    /// The file exists and cannot be read, or a line is not a row.
    pub fn metrics(&self) -> Result<Vec<Row>> {
        self.rows()?.collect()
    }

    /// The same rows, one at a time: all rows of a long run take much memory.
    ///
    /// # Errors
    /// The file exists and cannot be read; for each row, also: the line is not a row.
    pub fn rows(&self) -> Result<impl Iterator<Item = Result<Row>>> {
        let path = self.metrics_path();
        let row = move |line: Line| {
            let problem = || {
                let number = line.number;
                format!("line {number} is not a row of metrics (a JSON object with training/global_step)")
            };
            line.row.ok_or_else(|| Error::file(&path, problem()))
        };
        Ok(self.lines()?.map(move |line| line.and_then(&row)))
    }

    /// The complete lines of `metrics.jsonl`; none if the file does not exist.
    pub(crate) fn lines(&self) -> Result<impl Iterator<Item = Result<Line>>> {
        let path = self.metrics_path();
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(BufReader::new(opened.map_err(Error::io("read", &path))?)),
        };
        let numbers = 1..;
        let lines = iter::from_fn(move || {
            let mut bytes = Vec::new();
            match file.as_mut()?.read_until(b'\n', &mut bytes) {
                Ok(_) => bytes.ends_with(b"\n").then_some(Ok(bytes)),
                Err(error) => {
                    file = None;
                    Some(Err(Error::io("read", &path)(error)))
                }
            }
        });
        Ok(lines.zip(numbers).map(|(bytes, number)| bytes.map(|bytes| Line::new(number, bytes))))
    }

    /// The contents of `summary.json`; `None` if the run has not finished.
    ///
    /// # Errors
    /// The file exists and does not contain a summary.
    pub fn summary(&self) -> Result<Option<RunSummary>> {
        let path = self.path.join("summary.json");
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        serde_json::from_str(&text).map(Some).map_err(|error| Error::file(&path, plain_words(&error.to_string())))
    }

    /// The alarms so far with their messages: those of the summary, or of the newest checkpoint while there is none.
    ///
    /// # Errors
    /// The file that holds them cannot be read.
    pub fn alarms(&self) -> Result<Vec<Alarm>> {
        if let Some(summary) = self.summary()? {
            return Ok(summary.alarms);
        }
        // Who copies a run to look at it may leave the checkpoints out.
        let checkpoints = if self.path.join(CHECKPOINTS).exists() { self.checkpoints()? } else { Vec::new() };
        match checkpoints.last() {
            Some((_, newest)) => Ok(load_state(newest)?.alarms.raised),
            None => Ok(Vec::new()),
        }
    }

    /// Appends a row and syncs it.
    pub(crate) fn append_metrics(&self, row: &Row) -> Result<()> {
        let path = self.metrics_path();
        let append = || {
            let is_new = !path.exists();
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            file.write_all(row.to_line().as_bytes())?;
            file.sync_data()?;
            if is_new { sync_parent(&path) } else { Ok(()) }
        };
        append().map_err(Error::io("append to", &path))
    }

    /// Keeps the rows of steps before `first_removed`; a resumed run writes the others again. Returns a warning about rows
    /// that are lost: lines that are not rows, which nothing can bring back.
    pub(crate) fn cut_metrics(&self, first_removed: u64) -> Result<Option<String>> {
        let path = self.metrics_path();
        let (mut kept, mut damaged) = (BTreeSet::new(), Vec::new());
        fill_atomically(&path, |file| {
            for line in self.lines()? {
                let Line { number, bytes, row } = line?;
                match row.and_then(|row| row.global_step()) {
                    Some(step) if step < first_removed => {
                        file.write_all(&bytes).map_err(Error::io("write", &path))?;
                        kept.insert(step);
                    }
                    Some(_) => {}
                    None => damaged.push(number),
                }
            }
            Ok(())
        })?;
        let lost = first_removed - kept.len() as u64;
        Ok((lost > 0).then(|| {
            let lines: Vec<String> = damaged.iter().map(usize::to_string).collect();
            format!(
                "{}: the rows of {lost} steps before the checkpoint are lost (damaged lines: {}); weights and later rows are not affected",
                path.display(),
                if lines.is_empty() { "none, they are missing".into() } else { lines.join(", ") },
            )
        }))
    }

    /// Complete checkpoints, oldest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<(u64, PathBuf)>> {
        numbered(&self.path.join(CHECKPOINTS), "")
    }

    /// Records of evaluations, `eval/step-*.jsonl`, oldest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn evaluations(&self) -> Result<Vec<(u64, PathBuf)>> {
        numbered(&self.path.join(EVAL), ".jsonl")
    }

    /// Records of rollouts, `rollouts/step-*.parquet`, oldest first.
    ///
    /// # Errors
    /// The directory exists and cannot be read.
    pub fn records(&self) -> Result<Vec<(u64, PathBuf)>> {
        let directory = self.path.join(ROLLOUTS);
        if directory.exists() { numbered(&directory, ".parquet") } else { Ok(Vec::new()) }
    }

    /// The path of a step's checkpoint.
    pub(crate) fn checkpoint_path(&self, step: u64) -> PathBuf {
        self.path.join(CHECKPOINTS).join(step_name(step))
    }

    /// Removes the checkpoints that `[checkpoint]` does not keep; `best` is the step with the best held-out accuracy.
    pub(crate) fn remove_old_checkpoints(&self, config: &CheckpointConfig, best: Option<u64>) -> Result<()> {
        let checkpoints = self.checkpoints()?;
        let old = config.keep.map_or(0, |keep| checkpoints.len().saturating_sub(keep));
        for (step, path) in &checkpoints[..old] {
            let is_best = config.keep_best && best == Some(*step);
            if !is_best && !config.keep_every.is_some_and(|every| step.is_multiple_of(every)) {
                remove_directory_atomically(path)?;
            }
        }
        Ok(())
    }

    /// Removes the samples of evaluations that `eval.keep` does not keep; the first one stays, to be compared with.
    pub(crate) fn remove_old_evaluations(&self, keep: Option<usize>) -> Result<()> {
        let evaluations = self.evaluations()?;
        let old = keep.map_or(0, |keep| evaluations.len().saturating_sub(keep));
        for (_, path) in evaluations[..old].iter().skip(1) {
            fs::remove_file(path).map_err(Error::io("remove", path))?;
        }
        Ok(())
    }

    /// Removes the records that `records.keep` does not keep.
    pub(crate) fn remove_old_records(&self, keep: Option<usize>) -> Result<()> {
        let records = self.records()?;
        let old = keep.map_or(0, |keep| records.len().saturating_sub(keep));
        let mut old = records[..old].iter();
        old.try_for_each(|(_, path)| fs::remove_file(path).map_err(Error::io("remove", path)))
    }

    /// Removes the samples of evaluations, and the records, from step `first_removed` on; a resumed run writes them again.
    pub(crate) fn cut_samples(&self, first_removed: u64) -> Result<()> {
        let samples = self.evaluations()?.into_iter().chain(self.records()?);
        let mut later = samples.filter(|(step, _)| *step >= first_removed);
        later.try_for_each(|(_, path)| fs::remove_file(&path).map_err(Error::io("remove", &path)))
    }

    /// Takes a damaged checkpoint out of the run, so that its steps are done again, and keeps its files for a closer look.
    pub(crate) fn set_aside(&self, checkpoint: &Path) -> Result<PathBuf> {
        let aside = checkpoint.with_extension(DAMAGED);
        let rename = || {
            if aside.exists() {
                fs::remove_dir_all(&aside)?;
            }
            fs::rename(checkpoint, &aside)
        };
        rename().map_err(Error::io("rename", checkpoint))?;
        Ok(aside)
    }

    /// The path of the evaluation after a step.
    pub(crate) fn eval_path(&self, step: u64) -> PathBuf {
        self.path.join(EVAL).join(format!("{}.jsonl", step_name(step)))
    }

    /// The path of the records of a step.
    pub(crate) fn record_path(&self, step: u64) -> PathBuf {
        self.path.join(ROLLOUTS).join(record_name(step))
    }

    /// Writes `summary.json`.
    pub(crate) fn write_summary(&self, summary: &RunSummary) -> Result<()> {
        let path = self.path.join("summary.json");
        let text = serde_json::to_string_pretty(summary).map_err(|error| Error::file(&path, error.to_string()))?;
        write_atomically(&path, format!("{text}\n").as_bytes())
    }

    /// The path of `metrics.jsonl`.
    pub fn metrics_path(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }
}

/// The config in a file that a run wrote, with `key=value` overrides.
///
/// # Errors
/// As for [`Resolved::load`].
pub(crate) fn recorded_config(path: &Path, overrides: &[String]) -> Result<Resolved> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    let recorded = Settings::from_toml(&text, path)?.with_role(Role::Recorded);
    Resolved::layered(&[recorded, Settings::from_overrides(overrides)?])
}

/// A complete line of `metrics.jsonl`.
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: usize,
    bytes: Vec<u8>,
    /// `None` if it is damaged.
    pub(crate) row: Option<Row>,
}

impl Line {
    fn new(number: usize, bytes: Vec<u8>) -> Self {
        let row = str::from_utf8(&bytes).ok().and_then(Row::from_line).filter(|row| row.global_step().is_some());
        Self { number, bytes, row }
    }
}

pub(crate) fn step_name(step: u64) -> String {
    format!("step-{step:06}")
}

pub(crate) fn record_name(step: u64) -> String {
    format!("{}.parquet", step_name(step))
}

/// Entries `step-<number><suffix>` of a directory by their numbers.
fn numbered(directory: &Path, suffix: &str) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(Error::io("read", directory))? {
        let path = entry.map_err(Error::io("read", directory))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let digits = name.strip_prefix("step-").and_then(|rest| rest.strip_suffix(suffix));
        if let Some(step) = digits.and_then(|digits| digits.parse().ok()) {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Makes the first directory `<preset>-<number>` of `runs` that does not exist.
fn next_free(runs: &Path, preset: &str) -> Result<PathBuf> {
    fs::create_dir_all(runs).map_err(Error::io("create", runs))?;
    for number in 1.. {
        let path = runs.join(format!("{preset}-{number:03}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("create", &path)(error)),
        }
    }
    unreachable!("numbers do not end")
}

/// Whether a directory has more in it than what a process leaves that is killed before its run has a config.
fn is_in_use(directory: &Path) -> Result<bool> {
    for entry in fs::read_dir(directory).map_err(Error::io("read", directory))? {
        let path = entry.map_err(Error::io("read", directory))?.path();
        let is_left_over = path.extension().is_some_and(|extension| extension == PARTIAL)
            || path.file_name().is_some_and(|name| name == LOCK);
        if !is_left_over {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_in(path: &Path) -> Config {
        let mut config = Config::default();
        config.run.dir = Some(path.to_path_buf());
        config
    }

    #[test]
    fn a_run_is_created_once_and_opened_with_the_same_config() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        let config = config_in(&path);
        RunDir::create(&config).unwrap();
        assert_eq!(RunDir::open(&path).unwrap().config().unwrap(), config);
        let again = RunDir::create(&config).unwrap_err().to_string();
        assert_eq!(
            again,
            format!(
                "run directory {0} exists and is not empty, expected a new one (continue a run with `vapo resume {0}`)",
                path.display()
            )
        );
        let nothing = RunDir::open(root.path()).unwrap_err().to_string();
        assert_eq!(nothing, format!("{} is not a run directory: it has no config.toml", root.path().display()));
    }

    #[test]
    fn a_kill_before_the_config_is_complete_leaves_no_obstacle() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(LOCK), "process 1 on a host").unwrap();
        fs::write(root.path().join("config.partial"), "[run").unwrap();
        RunDir::create(&config_in(root.path())).unwrap();
    }

    #[test]
    fn what_was_being_written_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::create(&config_in(root.path())).unwrap();
        for checkpoint in ["step-000006.partial", "step-000002", "step-000002.replaced", "step-000001.replaced"] {
            fs::create_dir_all(root.path().join("checkpoints").join(checkpoint).join("policy")).unwrap();
        }
        for file in ["summary.partial", "eval/step-000004.partial", "eval/step-000003.jsonl", "notes"] {
            fs::write(root.path().join(file), "x").unwrap();
        }
        let _lock = run.take_over().unwrap();
        let exists = |name: &str| root.path().join(name).exists();
        let removed = ["summary.partial", "eval/step-000004.partial", "checkpoints/step-000006.partial"];
        assert_eq!(removed.map(exists), [false; 3]);
        let checkpoints = ["step-000001", "step-000001.replaced", "step-000002", "step-000002.replaced"];
        let exist = checkpoints.map(|name| exists(&format!("checkpoints/{name}")));
        assert_eq!(exist, [true, false, true, false]);
        assert!(exists("eval/step-000003.jsonl") && exists("notes"));
    }

    #[test]
    fn a_run_has_rows_and_a_summary_once_they_are_written() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::create(&config_in(root.path())).unwrap();
        assert_eq!((run.metrics().unwrap(), run.summary().unwrap()), (vec![], None));
        let summary = RunSummary { steps: 7, ..RunSummary::default() };
        run.write_summary(&summary).unwrap();
        assert_eq!(run.summary().unwrap(), Some(summary));

        fs::write(root.path().join("summary.json"), "{").unwrap();
        let error = run.summary().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: ", root.path().join("summary.json").display())), "{error}");
        let unreadable = format!("cannot read {}: ", run.metrics_path().display());
        std::os::unix::fs::symlink("metrics.jsonl", run.metrics_path()).unwrap();
        assert!(run.metrics().unwrap_err().to_string().starts_with(&unreadable), "a link to itself");
        fs::remove_file(run.metrics_path()).unwrap();
        fs::create_dir(run.metrics_path()).unwrap();
        assert!(run.metrics().unwrap_err().to_string().starts_with(&unreadable), "a directory");
    }

    #[test]
    fn a_run_without_a_directory_gets_the_next_free_one() {
        let root = tempfile::tempdir().unwrap();
        let runs = root.path().join("runs");
        for (preset, name) in [("vapo", "vapo-001"), ("vapo", "vapo-002"), ("grpo", "grpo-001")] {
            assert_eq!(next_free(&runs, preset).unwrap(), runs.join(name));
            assert!(runs.join(name).is_dir());
        }
        fs::write(runs.join("vapo-003"), "a file").unwrap();
        assert_eq!(next_free(&runs, "vapo").unwrap(), runs.join("vapo-004"));
        let error = next_free(&runs.join("vapo-003"), "vapo").unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot create {}: ", runs.join("vapo-003").display())), "{error}");
        let error = next_free(&runs, "no/such").unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot create {}: ", runs.join("no/such-001").display())), "{error}");
    }

    #[test]
    fn an_unwritable_place_is_an_error_that_names_it() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let error = RunDir::create(&config_in(&file.join("run"))).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot create {}: ", file.join("run").display())), "{error}");
    }

    #[test]
    fn a_run_with_links_to_elsewhere_is_not_taken_over() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::create(&config_in(&root.path().join("a"))).unwrap();
        let target = root.path().join("precious");
        fs::write(&target, "mine").unwrap();
        fs::remove_file(run.path().join(LOCK)).unwrap();
        std::os::unix::fs::symlink(&target, run.path().join(LOCK)).unwrap();
        let error = run.take_over().unwrap_err().to_string();
        assert!(error.contains("run.lock: a link that leads out of the run directory"), "{error}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
    }

    #[test]
    fn metrics_are_cut_after_a_step_and_torn_lines_vanish() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::create(&config_in(&root.path().join("a"))).unwrap();
        for step in 0..4 {
            run.append_metrics(&Row::new(step)).unwrap();
        }
        let mut file = OpenOptions::new().append(true).open(run.metrics_path()).unwrap();
        file.write_all(b"{\"training/global_step\":4").unwrap();
        assert_eq!(run.metrics().unwrap().len(), 4);
        assert_eq!(run.cut_metrics(3).unwrap(), None);
        run.append_metrics(&Row::new(3)).unwrap();
        let steps: Vec<_> = run.metrics().unwrap().iter().map(Row::global_step).collect();
        assert_eq!(steps, [Some(0), Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn a_damaged_row_is_an_error_for_readers_and_a_warning_when_the_run_goes_on() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::create(&config_in(root.path())).unwrap();
        let row = |step| Row::new(step).to_line().into_bytes();
        fs::write(run.metrics_path(), [row(0), b"{\"training/glob\xff\n".to_vec(), row(2), row(3)].concat()).unwrap();
        let error = run.metrics().unwrap_err().to_string();
        let lines: Vec<Line> = run.lines().unwrap().collect::<Result<_>>().unwrap();
        let steps = lines.iter().map(|line| (line.number, line.row.as_ref().and_then(Row::global_step)));
        assert_eq!(steps.collect::<Vec<_>>(), [(1, Some(0)), (2, None), (3, Some(2)), (4, Some(3))]);
        let path = run.metrics_path().display().to_string();
        assert_eq!(error, format!("{path}: line 2 is not a row of metrics (a JSON object with training/global_step)"));
        assert_eq!(
            run.cut_metrics(3).unwrap().unwrap(),
            format!(
                "{path}: the rows of 1 steps before the checkpoint are lost (damaged lines: 2); weights and later rows are not affected"
            )
        );
        let steps: Vec<_> = run.metrics().unwrap().iter().map(Row::global_step).collect();
        assert_eq!(steps, [Some(0), Some(2)]);
    }

    #[test]
    fn the_first_and_the_newest_evaluations_stay() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::create(&config_in(root.path())).unwrap();
        let steps = || run.evaluations().unwrap().iter().map(|(step, _)| *step).collect::<Vec<_>>();
        for step in [0, 20, 40, 60] {
            fs::write(run.eval_path(step), "").unwrap();
        }
        run.remove_old_evaluations(None).unwrap();
        run.remove_old_evaluations(Some(4)).unwrap();
        assert_eq!(steps(), [0, 20, 40, 60]);
        run.remove_old_evaluations(Some(2)).unwrap();
        assert_eq!(steps(), [0, 40, 60]);
        run.cut_samples(60).unwrap();
        assert_eq!(steps(), [0, 40]);
    }

    #[test]
    fn the_newest_checkpoints_stay_and_partial_ones_do_not_count() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::create(&config_in(&root.path().join("a"))).unwrap();
        for step in [5, 100, 20] {
            fs::create_dir(run.checkpoint_path(step)).unwrap();
        }
        fs::create_dir(run.checkpoint_path(200).with_extension("partial")).unwrap();
        let steps = |run: &RunDir| run.checkpoints().unwrap().into_iter().map(|(step, _)| step).collect::<Vec<_>>();
        assert_eq!(steps(&run), [5, 20, 100]);
        for name in ["step-000020.jsonl", "step-000003.jsonl", "step-000004.partial"] {
            fs::write(run.path().join("eval").join(name), "").unwrap();
        }
        assert_eq!(run.evaluations().unwrap().iter().map(|(step, _)| *step).collect::<Vec<_>>(), [3, 20]);
        assert_eq!(run.records().unwrap(), []);
        for step in [8, 9, 1_000_000, 10] {
            fs::write(run.record_path(step), "").unwrap();
        }
        let recorded = |run: &RunDir| run.records().unwrap().into_iter().map(|(step, _)| step).collect::<Vec<_>>();
        run.remove_old_records(None).unwrap();
        assert_eq!(recorded(&run), [8, 9, 10, 1_000_000]);
        run.remove_old_records(Some(3)).unwrap();
        assert_eq!(recorded(&run), [9, 10, 1_000_000]);
        run.cut_samples(10).unwrap();
        assert_eq!(recorded(&run), [9]);
        assert_eq!(run.evaluations().unwrap().iter().map(|(step, _)| *step).collect::<Vec<_>>(), [3]);
        let keep = |keep, keep_every| CheckpointConfig { keep, keep_every, ..CheckpointConfig::default() };
        run.remove_old_checkpoints(&keep(None, None), None).unwrap();
        assert_eq!(steps(&run).len(), 3);
        run.remove_old_checkpoints(&keep(Some(2), None), None).unwrap();
        assert_eq!(steps(&run), [20, 100]);
        fs::create_dir(run.checkpoint_path(101)).unwrap();
        run.remove_old_checkpoints(&keep(Some(1), Some(50)), Some(20)).unwrap();
        assert_eq!(steps(&run), [20, 100, 101], "the best, a multiple of 50, and the newest");
        run.remove_old_checkpoints(&keep(Some(1), Some(50)), Some(101)).unwrap();
        assert_eq!(steps(&run), [100, 101], "another one is the best");
        let no_best = CheckpointConfig { keep_best: false, ..keep(Some(1), None) };
        run.remove_old_checkpoints(&no_best, Some(100)).unwrap();
        assert_eq!(steps(&run), [101]);
    }
}
