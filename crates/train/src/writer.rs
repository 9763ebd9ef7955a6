//! Writes a run's checkpoints: beside training, from a copy, where memory allows it.

use std::{
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use crate::{
    checkpoint::Snapshot,
    config::CheckpointConfig,
    error::{Error, Result},
    rundir::RunDir,
};

/// Writes one checkpoint at a time.
pub(crate) struct CheckpointWriter {
    /// Whether weights and moments are copied, so that training goes on while they are written.
    copies: bool,
    running: Option<Running>,
    /// The memory of the copy, between two checkpoints.
    copy: Option<Snapshot<'static>>,
    /// Finished and not reported yet.
    finished: Option<PathBuf>,
}

struct Running {
    thread: JoinHandle<(Result<()>, Snapshot<'static>)>,
    path: PathBuf,
}

impl CheckpointWriter {
    pub(crate) fn new(copies: bool) -> Self {
        Self { copies, running: None, copy: None, finished: None }
    }

    /// Writes a checkpoint, after the one before, and removes those that are not kept. If the writer copies, this returns
    /// as soon as the copy is made.
    ///
    /// # Errors
    /// This checkpoint or the one before cannot be written.
    pub(crate) fn save(&mut self, snapshot: Snapshot<'_>, path: PathBuf, directory: &RunDir) -> Result<()> {
        self.wait()?;
        if !self.copies {
            save_and_tidy(&snapshot, &path, directory)?;
            self.finished = Some(path);
            return Ok(());
        }
        let (snapshot, directory, to) = (snapshot.into_owned(self.copy.take()), directory.clone(), path.clone());
        let write = move || (save_and_tidy(&snapshot, &to, &directory), snapshot);
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(write)
            .map_err(|error| Error::Run(format!("cannot start a thread for the checkpoint: {error}")))?;
        self.running = Some(Running { thread, path });
        Ok(())
    }

    /// A checkpoint that has become complete since the last call.
    ///
    /// # Errors
    /// It could not be written.
    pub(crate) fn completed(&mut self) -> Result<Option<PathBuf>> {
        if self.running.as_ref().is_some_and(|running| running.thread.is_finished()) {
            self.wait()?;
        }
        Ok(self.finished.take())
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
        self.finished = Some(path);
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
