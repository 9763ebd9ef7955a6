//! One run, opened for reading.

use std::{fs, path::Path, time::SystemTime};

use vapo_train::{RunDir, RunSummary};

use crate::{
    config::{RecordedConfig, Setting},
    entry::{EntryReader, RunEntry, is_run},
    error::{Error, Result},
    metrics::MetricsTable,
};

/// A run with its metrics, which follow what the run writes.
#[derive(Debug)]
pub struct View {
    id: String,
    directory: RunDir,
    metrics: MetricsTable,
    config: RecordedConfig,
    /// When `config` was written.
    config_time: Option<SystemTime>,
}

impl View {
    /// Opens a run by its path, which becomes its id.
    ///
    /// # Errors
    /// It is not a run, a link in it leads out of it, or `metrics.jsonl` cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_as(&path.display().to_string(), path)
    }

    pub(crate) fn open_as(id: &str, path: &Path) -> Result<Self> {
        let directory = RunDir::open(path)?;
        directory.refuse_links_out()?;
        let (metrics, config_time) = (MetricsTable::read(&directory)?, config_time(&directory));
        let config = RecordedConfig::read(&directory);
        Ok(Self { id: id.to_owned(), directory, metrics, config, config_time })
    }

    /// Reads what was written since; returns whether anything changed.
    ///
    /// # Errors
    /// The run does not exist any longer, or `metrics.jsonl` cannot be read.
    pub fn refresh(&mut self) -> Result<bool> {
        if !is_run(self.directory.path()) {
            return Err(Error::Gone(self.directory.path().to_path_buf()));
        }
        // A run may be resumed with other settings.
        let config_time = config_time(&self.directory);
        let is_reconfigured = config_time != self.config_time;
        if is_reconfigured {
            (self.config, self.config_time) = (RecordedConfig::read(&self.directory), config_time);
        }
        Ok(self.metrics.refresh()? || is_reconfigured)
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its directory.
    pub fn directory(&self) -> &RunDir {
        &self.directory
    }

    /// Its metrics.
    pub fn metrics(&self) -> &MetricsTable {
        &self.metrics
    }

    /// What a list shows of it.
    pub fn entry(&self) -> RunEntry {
        EntryReader::new(self.directory.clone()).entry(&self.id)
    }

    /// Its settings, next to the defaults and its preset's.
    pub fn settings(&self) -> Vec<Setting> {
        self.config.settings()
    }

    /// Its summary, once it has finished.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn summary(&self) -> Result<Option<RunSummary>> {
        Ok(self.directory.summary()?)
    }

    /// What of its config and metrics could not be read.
    pub fn notes(&self) -> Vec<String> {
        self.config.notes.iter().cloned().chain(self.metrics.notes()).collect()
    }
}

fn config_time(run: &RunDir) -> Option<SystemTime> {
    fs::metadata(run.path().join("config.toml")).and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::tests::{TestRun, row, write_run};

    #[test]
    fn a_view_follows_its_run_and_its_settings() {
        let run = TestRun::new();
        let mut view = View::open(run.path()).unwrap();
        let steps = |view: &View| {
            let settings = view.settings();
            settings.iter().find(|setting| setting.key == "run.steps").unwrap().value.clone()
        };
        assert!(!view.refresh().unwrap());
        assert_eq!((view.metrics().steps(), steps(&view)), (&[0][..], "70".into()));
        run.rows(&[&row(0, "\"a\":1"), &row(1, "\"a\":2")]);
        assert!(view.refresh().unwrap());
        assert_eq!(view.metrics().steps(), [0, 1]);
        write_run(run.path(), &["run.steps=9"]);
        let later = SystemTime::now() + std::time::Duration::from_secs(9);
        fs::File::options().write(true).open(run.path().join("config.toml")).unwrap().set_modified(later).unwrap();
        assert!(view.refresh().unwrap());
        assert_eq!((steps(&view), view.summary().unwrap()), ("9".into(), None));
    }

    #[test]
    fn a_run_with_a_link_out_of_it_is_refused() {
        let run = TestRun::new();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), run.path().join("rollouts")).unwrap();
        let error = View::open(run.path()).unwrap_err().to_string();
        assert!(error.contains("rollouts: a link that leads out of the run directory"), "{error}");
    }
}
