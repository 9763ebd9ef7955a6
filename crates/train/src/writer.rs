//! Writes a run's checkpoints: beside training, from a copy, where memory allows it.

use std::{
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use crate::{
    checkpoint::Snapshot,
    config::CheckpointConfig,
    error::{Error, Result},
    networks::Networks,
    rundir::RunDir,
};

/// Writes one checkpoint at a time.
pub(crate) struct CheckpointWriter {
    /// Whether there is memory for a copy of weights and moments.
    copies: bool,
    /// Whether checkpoints are written from the copy while training goes on.
    in_background: bool,
    running: Option<Running>,
    /// The last copy, whose memory the next one takes.
    copy: Option<Networks<'static>>,
    /// Finished and not reported yet: two if the second one took less than a step.
    finished: Vec<PathBuf>,
}

struct Running {
    thread: JoinHandle<(Result<()>, Networks<'static>)>,
    path: PathBuf,
}

impl CheckpointWriter {
    /// `copies`: there is memory for a copy of weights and moments; `in_background`: checkpoints are then written from it.
    pub(crate) fn new(copies: bool, in_background: bool) -> Self {
        Self { copies, in_background: copies && in_background, running: None, copy: None, finished: Vec::new() }
    }

    /// Writes a checkpoint, after the one before, and removes those that are not kept. In the background, this returns as
    /// soon as the copy is made.
    ///
    /// # Errors
    /// This checkpoint or the one before cannot be written.
    pub(crate) fn save(&mut self, snapshot: Snapshot<'_>, path: PathBuf, directory: &RunDir) -> Result<()> {
        self.wait()?;
        if !self.in_background {
            save_and_tidy(&snapshot, &path, directory)?;
            self.finished.push(path);
            return Ok(());
        }
        let (snapshot, directory, to) = (snapshot.into_owned(self.copy.take()), directory.clone(), path.clone());
        let write = move || (save_and_tidy(&snapshot, &to, &directory), snapshot.networks);
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(write)
            .map_err(|error| Error::Run(format!("cannot start a thread for the checkpoint: {error}")))?;
        self.running = Some(Running { thread, path });
        Ok(())
    }

    /// Copies networks to which training may have to go back; false if the writer does not copy. Waits for the checkpoint that
    /// is being written from the copy.
    ///
    /// # Errors
    /// That checkpoint cannot be written.
    pub(crate) fn remember(&mut self, networks: Networks<'_>) -> Result<bool> {
        if self.copies {
            self.wait()?;
            self.copy = Some(networks.into_owned(self.copy.take()));
        }
        Ok(self.copies)
    }

    /// The networks of the last call of [`CheckpointWriter::remember`] if none was saved since.
    pub(crate) fn remembered(&self) -> Option<&Networks<'static>> {
        self.copy.as_ref()
    }

    /// Checkpoints that have become complete since the last call.
    ///
    /// # Errors
    /// One could not be written.
    pub(crate) fn completed(&mut self) -> Result<Vec<PathBuf>> {
        if self.running.as_ref().is_some_and(|running| running.thread.is_finished()) {
            self.wait()?;
        }
        Ok(std::mem::take(&mut self.finished))
    }

    /// Waits until no checkpoint is being written.
    ///
    /// # Errors
    /// It could not be written.
    pub(crate) fn wait(&mut self) -> Result<()> {
        let Some(Running { thread, path }) = self.running.take() else { return Ok(()) };
        match thread.join() {
            Ok((written, copy)) => {
                self.copy = Some(copy);
                written?;
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
        self.finished.push(path);
        Ok(())
    }
}

/// A run that ends with an error does not leave half a checkpoint.
impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        if let Some(Running { thread, .. }) = self.running.take() {
            // The run already reports another error.
            let _ = thread.join();
        }
    }
}

fn save_and_tidy(snapshot: &Snapshot<'_>, path: &Path, directory: &RunDir) -> Result<()> {
    snapshot.save(path)?;
    let config: &CheckpointConfig = &snapshot.config.checkpoint;
    directory.remove_old_checkpoints(config, snapshot.state.best.map(|best| best.step))
}
