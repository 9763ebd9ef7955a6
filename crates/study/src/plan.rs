//! The runs of a study, their directories and their states.

use std::{
    fs,
    path::{Path, PathBuf},
};

use vapo_train::{
    Config, RunDir,
    config::{Mark, ScheduleKind, is_marked},
    fork, write_atomically,
};

use crate::{
    error::{Error, Result},
    file::Study,
};

/// Settings in which an existing run may differ from the study that continues it.
const WITHOUT_EFFECT: &[&str] = &["run.dir", "run.threads"];

/// File in a run's directory with the reason why it ended early.
pub const CRASH_FILE: &str = "crash.txt";

/// All runs of a study.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The study's directory.
    pub directory: PathBuf,
    /// In starting order: seed by seed, a shared value pretraining before its arms.
    pub jobs: Vec<Job>,
}

/// A run, or the value pretraining that several runs start from.
#[derive(Clone, Debug)]
pub struct Job {
    /// Index of the arm; for a shared value pretraining, the first of the arms that share it.
    pub arm: usize,
    /// Its name.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// Its settings with seed and directory.
    pub config: Config,
    /// Whether it is only the value pretraining.
    pub is_pretraining: bool,
    /// The job whose checkpoint it starts from.
    pub starts_from: Option<usize>,
}

/// The state of a job, according to the files on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It has no directory.
    New,
    /// Its directory exists.
    Begun,
    /// It has a summary.
    Finished,
    /// It ended early, for this reason.
    Crashed(String),
}

impl Plan {
    /// The runs of a study in `directory`.
    pub fn new(study: &Study, directory: &Path) -> Self {
        let groups = sharing_groups(study);
        let mut jobs: Vec<Job> = Vec::new();
        for &seed in &study.seeds {
            let mut pretrainings = vec![None; study.arms.len()];
            for group in groups.iter().filter(|group| group.len() > 1) {
                group.iter().for_each(|&arm| pretrainings[arm] = Some(jobs.len()));
                jobs.push(pretraining(study, group[0], seed, directory));
            }
            for (index, arm) in study.arms.iter().enumerate() {
                let path = directory.join("runs").join(&arm.name).join(format!("seed-{seed}"));
                jobs.push(Job {
                    arm: index,
                    name: format!("{} seed {seed}", arm.name),
                    seed,
                    config: placed(arm.config.clone(), seed, path),
                    is_pretraining: false,
                    starts_from: pretrainings[index],
                });
            }
        }
        Self { directory: directory.to_path_buf(), jobs }
    }

    /// The state of each job.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn states(&self) -> Result<Vec<JobState>> {
        let mut states = self.jobs.iter().map(Job::state).collect::<Result<Vec<_>>>()?;
        for (index, job) in self.jobs.iter().enumerate() {
            if let (JobState::New, Some(pretraining)) = (&states[index], job.starts_from)
                && let JobState::Crashed(reason) = &states[pretraining]
            {
                states[index] = JobState::Crashed(format!("its value pretraining: {reason}"));
            }
        }
        Ok(states)
    }

    /// Whether a job's result is still needed: a value pretraining is not, once all of its runs have started.
    pub fn is_wanted(&self, index: usize, states: &[JobState]) -> bool {
        !self.jobs[index].is_pretraining
            || self
                .jobs
                .iter()
                .zip(states)
                .any(|(job, state)| job.starts_from == Some(index) && *state == JobState::New)
    }

    /// Refuses to continue runs that were made with other settings.
    ///
    /// # Errors
    /// [`Error::Changed`] with the settings that differ.
    pub fn check_existing(&self) -> Result<()> {
        for job in &self.jobs {
            if !job.path().join("config.toml").is_file() {
                continue;
            }
            let made = RunDir::open(job.path())?.config()?.with_absolute_paths()?;
            let wanted = job.config.clone().with_absolute_paths()?;
            let differences = differences(&made, &wanted);
            if !differences.is_empty() {
                return Err(Error::Changed(format!(
                    "{} was made with settings that differ from the study file:\n{}\nuse another study name or --out, or remove {}",
                    job.path().display(),
                    differences.join("\n"),
                    self.directory.display()
                )));
            }
        }
        Ok(())
    }

    /// Existing runs that are no longer in the study.
    pub fn left_over(&self) -> Vec<PathBuf> {
        let children = |path: &Path| -> Vec<PathBuf> {
            let mut paths: Vec<_> =
                fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
            paths.sort();
            paths
        };
        let arms = children(&self.directory.join("runs"));
        let runs = arms.iter().flat_map(|arm| children(arm)).filter(|path| path.join("config.toml").is_file());
        runs.filter(|path| self.jobs.iter().all(|job| job.path() != path)).collect()
    }
}

impl Job {
    /// Its run directory.
    pub fn path(&self) -> &Path {
        self.config.run.dir.as_deref().unwrap_or(Path::new(""))
    }

    /// The file with its output.
    pub fn log_path(&self) -> PathBuf {
        self.path().with_extension("log")
    }

    /// Number of steps it will do; the maximum, if value pretraining ends at a plateau.
    pub fn steps(&self) -> u64 {
        self.config.value_pretraining.steps + self.config.run.steps
    }

    /// Its state, according to the files on disk.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn state(&self) -> Result<JobState> {
        let path = self.path();
        let crash = path.join(CRASH_FILE);
        if crash.is_file() {
            let reason = fs::read_to_string(&crash).map_err(Error::io("read", &crash))?;
            return Ok(JobState::Crashed(reason.trim_end().to_owned()));
        }
        Ok(match (path.join("summary.json").is_file(), path.join("config.toml").is_file()) {
            (true, _) => JobState::Finished,
            (false, true) => JobState::Begun,
            (false, false) => JobState::New,
        })
    }

    /// Creates the run directory unless it exists, so that the run can be resumed.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn prepare(&self, pretraining: Option<&Job>) -> Result<()> {
        let path = self.path();
        if path.join("config.toml").is_file() {
            return Ok(());
        }
        if path.exists() {
            fs::remove_dir_all(path).map_err(Error::io("remove", path))?;
        }
        match pretraining {
            Some(pretraining) => fork(&RunDir::open(pretraining.path())?, &self.config)?,
            None => RunDir::create(&self.config)?,
        };
        Ok(())
    }

    /// Records the reason why the run ended early.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn record_crash(&self, reason: &str) -> Result<()> {
        fs::create_dir_all(self.path()).map_err(Error::io("create", self.path()))?;
        Ok(write_atomically(&self.path().join(CRASH_FILE), format!("{reason}\n").as_bytes())?)
    }

    /// Allows a crashed run to continue from its newest checkpoint.
    ///
    /// # Errors
    /// The record of the crash cannot be removed.
    pub fn forget_crash(&self) -> Result<()> {
        let path = self.path().join(CRASH_FILE);
        if path.exists() { fs::remove_file(&path).map_err(Error::io("remove", &path)) } else { Ok(()) }
    }
}

/// Groups of indices of arms that pretrain the same critic.
fn sharing_groups(study: &Study) -> Vec<Vec<usize>> {
    let mut groups: Vec<(Entries, Vec<usize>)> = Vec::new();
    for (index, arm) in study.arms.iter().enumerate() {
        let config = &arm.config;
        // A falling schedule depends on the run's last update, which is another one where value pretraining runs alone.
        let is_planned = config.critic_optimizer.schedule != ScheduleKind::Constant;
        if !config.has_critic() || config.value_pretraining.steps == 0 || is_planned {
            continue;
        }
        let mut key = without(config, |key| is_marked(key, Mark::PolicyOnly));
        key.retain(|(name, _)| !name.starts_with("policy_optimizer."));
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, group)) => group.push(index),
            None => groups.push((key, vec![index])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn pretraining(study: &Study, arm: usize, seed: u64, directory: &Path) -> Job {
    let name = &study.arms[arm].name;
    let path = directory.join("value-pretraining").join(name).join(format!("seed-{seed}"));
    let mut config = placed(study.arms[arm].config.clone(), seed, path);
    config.run.steps = 0;
    Job {
        arm,
        name: format!("value pretraining ({name}) seed {seed}"),
        seed,
        config,
        is_pretraining: true,
        starts_from: None,
    }
}

fn placed(mut config: Config, seed: u64, path: PathBuf) -> Config {
    config.run.seed = seed;
    config.run.dir = Some(path);
    config
}

/// Settings by their dotted keys.
type Entries = Vec<(String, toml::Value)>;

fn without(config: &Config, is_left_out: impl Fn(&str) -> bool) -> Entries {
    let mut entries = config.entries();
    entries.retain(|(key, _)| !is_left_out(key));
    entries
}

/// Settings in which a run differs from the study, one per line.
fn differences(made: &Config, wanted: &Config) -> Vec<String> {
    let entries = |config| without(config, |key| WITHOUT_EFFECT.contains(&key));
    let pairs = entries(made).into_iter().zip(entries(wanted));
    pairs
        .filter(|((_, made), (_, wanted))| made != wanted)
        .map(|((key, made), (_, wanted))| format!("{key}: the run has {made}, the study {wanted}"))
        .collect()
}
