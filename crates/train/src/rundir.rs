//! The run directory, which a run writes and everything else reads.
//!
//! ```text
//! config.toml                  the resolved config
//! metrics.jsonl                a row per step
//! eval/step-000020.jsonl       per problem: samples and verdicts
//! checkpoints/step-000020/     a checkpoint from which the run can continue
//! summary.json                 written at the end
//! ```

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use crate::{
    config::{Config, Resolved, Role, Settings},
    error::{Error, Result},
    files::write_atomically,
    metrics::Row,
    summary::RunSummary,
};

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
        let path = match &config.run.dir {
            Some(path) => path.clone(),
            None => next_free(&config.algorithm.preset),
        };
        if path.exists() && fs::read_dir(&path).map_err(Error::io("read", &path))?.next().is_some() {
            return Err(Error::Run(format!(
                "run directory {} exists and is not empty, expected a new one (continue it with `vapo resume {0}`)",
                path.display()
            )));
        }
        fs::create_dir_all(path.join("checkpoints")).map_err(Error::io("create", &path))?;
        fs::create_dir_all(path.join("eval")).map_err(Error::io("create", &path))?;
        let directory = Self { path };
        directory.write_config(config)?;
        Ok(directory)
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
        let path = self.path.join("config.toml");
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let recorded = Settings::from_toml(&text, &path)?.with_role(Role::Recorded);
        Resolved::layered(&[recorded, Settings::from_overrides(overrides)?])
    }

    pub(crate) fn write_config(&self, config: &Config) -> Result<()> {
        let config = config.clone().with_absolute_paths()?;
        write_atomically(&self.path.join("config.toml"), config.to_commented_toml().as_bytes())
    }

    /// All complete rows of `metrics.jsonl`. A line that was cut off when the process was killed ends the list.
    ///
    /// # Errors
    /// The file exists and cannot be read.
    pub fn metrics(&self) -> Result<Vec<Row>> {
        let path = self.metrics_path();
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let complete = text.split_inclusive('\n').take_while(|line| line.ends_with('\n'));
        Ok(complete.map_while(Row::from_line).collect())
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
        serde_json::from_str(&text).map(Some).map_err(|error| Error::file(&path, error.to_string()))
    }

    /// Appends a row and syncs it.
    pub(crate) fn append_metrics(&self, row: &Row) -> Result<()> {
        let path = self.metrics_path();
        let append = || {
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            file.write_all(row.to_line().as_bytes())?;
            file.sync_data()
        };
        append().map_err(Error::io("append to", &path))
    }

    /// Keeps the rows of steps before `first_removed`; a resumed run writes the others again.
    pub(crate) fn cut_metrics(&self, first_removed: u64) -> Result<()> {
        let rows = self.metrics()?;
        let kept = rows.iter().filter(|row| row.global_step().is_some_and(|step| step < first_removed));
        let text: String = kept.map(Row::to_line).collect();
        write_atomically(&self.metrics_path(), text.as_bytes())
    }

    /// Complete checkpoints, oldest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<(u64, PathBuf)>> {
        numbered(&self.path.join("checkpoints"), "")
    }

    /// Records of evaluations, `eval/step-*.jsonl`, oldest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn evaluations(&self) -> Result<Vec<(u64, PathBuf)>> {
        numbered(&self.path.join("eval"), ".jsonl")
    }

    /// The path of a step's checkpoint.
    pub(crate) fn checkpoint_path(&self, step: u64) -> PathBuf {
        self.path.join("checkpoints").join(step_name(step))
    }

    /// Removes all but the newest `keep` checkpoints; `None` keeps all.
    pub(crate) fn remove_old_checkpoints(&self, keep: Option<usize>) -> Result<()> {
        let checkpoints = self.checkpoints()?;
        let surplus = keep.map_or(0, |keep| checkpoints.len().saturating_sub(keep));
        for (_, path) in &checkpoints[..surplus] {
            fs::remove_dir_all(path).map_err(Error::io("remove", path))?;
        }
        Ok(())
    }

    /// The path of the evaluation after a step.
    pub(crate) fn eval_path(&self, step: u64) -> PathBuf {
        self.path.join("eval").join(format!("{}.jsonl", step_name(step)))
    }

    /// Writes `summary.json`.
    pub(crate) fn write_summary(&self, summary: &RunSummary) -> Result<()> {
        let path = self.path.join("summary.json");
        let text = serde_json::to_string_pretty(summary).map_err(|error| Error::file(&path, error.to_string()))?;
        write_atomically(&path, format!("{text}\n").as_bytes())
    }

    fn metrics_path(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }
}

fn step_name(step: u64) -> String {
    format!("step-{step:06}")
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

fn next_free(preset: &str) -> PathBuf {
    let numbered = (1..).map(|number| PathBuf::from(format!("runs/{preset}-{number:03}")));
    numbered.into_iter().find(|path| !path.exists()).expect("numbers do not end")
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
                "run directory {0} exists and is not empty, expected a new one (continue it with `vapo resume {0}`)",
                path.display()
            )
        );
        let nothing = RunDir::open(root.path()).unwrap_err().to_string();
        assert_eq!(nothing, format!("{} is not a run directory: it has no config.toml", root.path().display()));
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
    fn metrics_are_cut_after_a_step_and_torn_lines_vanish() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::create(&config_in(&root.path().join("a"))).unwrap();
        for step in 0..4 {
            run.append_metrics(&Row::new(step)).unwrap();
        }
        let mut file = OpenOptions::new().append(true).open(run.metrics_path()).unwrap();
        file.write_all(b"{\"training/global_step\":4").unwrap();
        assert_eq!(run.metrics().unwrap().len(), 4);
        run.cut_metrics(3).unwrap();
        run.append_metrics(&Row::new(3)).unwrap();
        let steps: Vec<_> = run.metrics().unwrap().iter().map(Row::global_step).collect();
        assert_eq!(steps, [Some(0), Some(1), Some(2), Some(3)]);
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
        run.remove_old_checkpoints(None).unwrap();
        assert_eq!(steps(&run).len(), 3);
        run.remove_old_checkpoints(Some(2)).unwrap();
        assert_eq!(steps(&run), [20, 100]);
    }
}
