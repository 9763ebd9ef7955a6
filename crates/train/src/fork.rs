//! Starts a run from the state of another one, so that runs with a common first part need to compute it only once.

use std::{fs, io, path::Path};

use crate::{
    config::Config,
    error::{Error, Result},
    files::{create_directory_atomically, write_atomically},
    rundir::{ROLLOUTS, RunDir, TENSORBOARD},
    tensorboard::event_files,
};

/// Makes the run `config.run.dir` with everything that `run` has done up to its newest checkpoint; [`crate::Run::resume`]
/// continues from there with the settings of `config`. If they differ from the run's only in settings without effect so far,
/// the result is byte for byte that of a run with these settings from the start.
///
/// # Errors
/// `run` has no checkpoint, `config.run.dir` is not set or exists, or a file cannot be copied.
pub fn fork(run: &RunDir, config: &Config) -> Result<RunDir> {
    let Some((_, checkpoint)) = run.checkpoints()?.pop() else {
        return Err(Error::Run(format!("{} has no checkpoint to resume from", run.path().display())));
    };
    fork_from(run, &checkpoint, config)
}

/// The same from another checkpoint than the newest.
pub(crate) fn fork_from(run: &RunDir, checkpoint: &Path, config: &Config) -> Result<RunDir> {
    let path =
        config.run.dir.as_deref().ok_or_else(|| Error::Run("run.dir is \"off\", expected a directory".into()))?;
    if path.exists() {
        return Err(Error::Run(format!("run directory {} exists, expected a new one", path.display())));
    }
    create_directory_atomically(path, |directory| {
        let name = checkpoint.file_name().unwrap_or_default();
        link_tree(checkpoint, &directory.join("checkpoints").join(name))?;
        link_tree(&run.path().join("eval"), &directory.join("eval"))?;
        let rollouts = run.path().join(ROLLOUTS);
        if rollouts.exists() {
            link_tree(&rollouts, &directory.join(ROLLOUTS))?;
        }
        copy_events(&run.path().join(TENSORBOARD), &directory.join(TENSORBOARD))?;
        copy_file(&run.path().join("metrics.jsonl"), &directory.join("metrics.jsonl"))?;
        let config = config.clone().with_absolute_paths()?;
        write_atomically(&directory.join("config.toml"), config.to_commented_toml().as_bytes())
    })?;
    RunDir::open(path)
}

/// Hard-links files that are never changed in place; copies them if the file system does not support links.
fn link_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(Error::io("create", to))?;
    for entry in fs::read_dir(from).map_err(Error::io("read", from))? {
        let source = entry.map_err(Error::io("read", from))?.path();
        let target = to.join(source.file_name().unwrap_or_default());
        if source.is_dir() {
            link_tree(&source, &target)?;
        } else if fs::hard_link(&source, &target).is_err() {
            copy_file(&source, &target)?;
        }
    }
    Ok(())
}

/// Event files are shortened in place when their run resumes.
fn copy_events(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(Error::io("create", to))?;
    let mut files = event_files(from)?.into_iter();
    files.try_for_each(|(_, path)| copy_file(&path, &to.join(path.file_name().unwrap_or_default())))
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let copy = || -> io::Result<()> { fs::copy(from, to).map(drop) };
    copy().map_err(Error::io("copy", from))
}
