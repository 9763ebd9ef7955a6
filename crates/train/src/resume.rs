//! Where a run continues, and what it has to know about the settings and data of the sessions before.

use std::path::PathBuf;

use vapo_lm::{Device, Model};

use crate::{
    base::LanguageModel,
    checkpoint::verify,
    config::Config,
    error::{Error, Result},
    fingerprint::DataFingerprint,
    models::base_directory,
    rundir::RunDir,
    trainer::{Trainer, critic_updates, policy_updates},
};

/// The newest checkpoint whose files are as they were written, or `None` if the run has no checkpoint. Damaged ones are set
/// aside, each with a warning.
///
/// # Errors
/// All checkpoints are damaged, or one cannot be read.
pub(crate) fn newest_intact(directory: &RunDir) -> Result<(Option<PathBuf>, Vec<String>)> {
    let mut damaged: Vec<(PathBuf, Error)> = Vec::new();
    let mut intact = None;
    for (_, checkpoint) in directory.checkpoints()?.into_iter().rev() {
        match verify(&checkpoint) {
            Ok(()) => {
                intact = Some(checkpoint);
                break;
            }
            Err(error) if is_damage(&error) => damaged.push((checkpoint, error)),
            Err(error) => return Err(error),
        }
    }
    if let (None, Some((_, damage))) = (&intact, damaged.first()) {
        return Err(Error::Run(format!(
            "no checkpoint of {} is intact, expected at least one ({damage}); the run can only begin again: if this disk has all that was written, remove its checkpoints to do so",
            directory.path().display(),
        )));
    }
    let warnings = damaged.into_iter().map(|(checkpoint, damage)| {
        let aside = directory.set_aside(&checkpoint)?;
        Ok(format!(
            "a damaged checkpoint was renamed to {}, and the run continues from the one before: {damage}",
            aside.display()
        ))
    });
    let warnings = warnings.collect::<Result<_>>()?;
    Ok((intact, warnings))
}

/// Whether an error is about what a checkpoint's files contain, not about the right or the ability to read them.
fn is_damage(error: &Error) -> bool {
    match error {
        Error::File { .. } => true,
        Error::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// Refuses another seed than `previous` had, and problems that changed under the same settings of `[data]`. Other
/// problems by other settings are what the user asked for: the result is a warning.
///
/// # Errors
/// The run would not be the one that began.
pub(crate) fn check_unchanged(
    previous: &Config,
    config: &Config,
    [before, now]: [Option<DataFingerprint>; 2],
) -> Result<Option<String>> {
    if config.run.seed != previous.run.seed {
        return Err(Error::Run(format!(
            "run.seed is {} instead of {}: a run keeps its seed, start a new run for another one",
            config.run.seed, previous.run.seed
        )));
    }
    let (Some(before), Some(now)) = (before, now) else { return Ok(None) };
    let changed = match (before.train == now.train, before.held_out == now.held_out) {
        (true, true) => return Ok(None),
        (false, true) => "training problems",
        (true, false) => "held-out problems",
        (false, false) => "training and held-out problems",
    };
    if config.clone().with_absolute_paths()?.data == previous.data {
        return Err(Error::Run(format!(
            "the files of data.train and data.eval have changed: the {changed} are not those of the checkpoint (rows added, removed, changed or in another order); restore the files, or name other ones with --set"
        )));
    }
    Ok(Some(format!(
        "the {changed} are not those of the checkpoint: the run continues with those of the new [data] settings"
    )))
}

/// The reference policy, which is the model that the run started from and in no checkpoint.
///
/// # Errors
/// It is needed and cannot be read.
pub(crate) fn reference(device: &Device, config: &Config) -> Result<Option<Model>> {
    if !config.has_reference() {
        return Ok(None);
    }
    let model = LanguageModel::load(device, base_directory(config)?.path()).map_err(|error| {
        Error::Run(format!(
            "the model that the run started from is its reference policy (algorithm.kl_weight is {}) and in no checkpoint: {error}",
            config.algorithm.kl_weight
        ))
    })?;
    Ok(Some(model.model))
}

/// Warns of falling learning rates that rise again because the run now has more steps than `previous` planned.
pub(crate) fn replanned(previous: &Config, trainer: &Trainer) -> Vec<String> {
    let steps = (previous.run.steps, trainer.config.run.steps);
    let policy = (&trainer.policy, &previous.policy_optimizer, policy_updates(previous));
    let critic = trainer
        .critic
        .as_ref()
        .map(|critic| (critic, &previous.critic_optimizer, critic_updates(previous, trainer.planned_pretraining())));
    let networks = std::iter::once(policy).chain(critic).filter(|_| steps.0 != steps.1);
    let rates = networks.map(|(network, optimizer, updates)| {
        (network.name(), network.learning_rate_under(optimizer, updates), network.learning_rate())
    });
    rates
        .filter(|(_, before, now)| now > before)
        .map(|(name, before, now)| {
            format!(
                "run.steps is {} instead of {}: the {name}'s learning rate is planned anew for the whole run and rises from {before:.2e} to {now:.2e}",
                steps.1, steps.0
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::checksums::{CHECKSUMS, checksums};

    /// A run with checkpoints of steps 1 to 3 that hold their state alone.
    fn run(root: &Path) -> RunDir {
        let mut config = Config::default();
        config.run.dir = Some(root.to_path_buf());
        let run = RunDir::create(&config).unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/run-format-3/checkpoints/step-000002");
        for step in 1..=3 {
            let state = run.checkpoint_path(step).join("state");
            fs::create_dir_all(&state).unwrap();
            fs::copy(fixture.join("state/state.json"), state.join("state.json")).unwrap();
            let list = checksums(&run.checkpoint_path(step)).unwrap();
            fs::write(run.checkpoint_path(step).join(CHECKSUMS), list).unwrap();
        }
        run
    }

    fn names(run: &RunDir) -> Vec<String> {
        let entries = fs::read_dir(run.path().join("checkpoints")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_run_continues_from_the_newest_checkpoint_that_is_intact() {
        let root = tempfile::tempdir().unwrap();
        let run = run(root.path());
        assert_eq!(newest_intact(&run).unwrap(), (Some(run.checkpoint_path(3)), vec![]));

        fs::write(run.checkpoint_path(3).join("state/state.json"), "{}").unwrap();
        fs::remove_file(run.checkpoint_path(2).join(CHECKSUMS)).unwrap();
        let (intact, warnings) = newest_intact(&run).unwrap();
        assert_eq!(intact, Some(run.checkpoint_path(1)));
        assert_eq!(names(&run), ["step-000001", "step-000002.damaged", "step-000003.damaged"]);
        for (warning, found) in warnings.iter().zip(["state.json: its SHA-256 is ", "SHA256SUMS: "]) {
            assert!(warning.contains(".damaged, and the run continues from the one before: "), "{warning}");
            assert!(warning.contains(found), "{warning}");
        }
        assert_eq!(warnings.len(), 2);

        fs::write(run.checkpoint_path(1).join("state/state.json"), "{}").unwrap();
        let error = newest_intact(&run).unwrap_err().to_string();
        assert!(error.starts_with(&format!("no checkpoint of {} is intact", root.path().display())), "{error}");
        assert_eq!(names(&run)[0], "step-000001", "it stays as it is");
        fs::remove_dir_all(run.checkpoint_path(1)).unwrap();
        assert_eq!(newest_intact(&run).unwrap(), (None, vec![]));
    }

    /// A file that cannot be read may be intact, and so may a checkpoint of a newer version.
    #[test]
    fn what_may_be_intact_is_not_set_aside() {
        let root = tempfile::tempdir().unwrap();
        let run = run(root.path());
        let state = run.checkpoint_path(3).join("state/state.json");
        fs::remove_file(&state).unwrap();
        fs::create_dir(&state).unwrap();
        let error = newest_intact(&run).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot read {}: ", state.display())), "{error}");

        fs::remove_dir(&state).unwrap();
        fs::write(&state, r#"{"format_version": 1000}"#).unwrap();
        let list = checksums(&run.checkpoint_path(3)).unwrap();
        fs::write(run.checkpoint_path(3).join(CHECKSUMS), list).unwrap();
        let error = newest_intact(&run).unwrap_err().to_string();
        assert!(error.contains("a newer version of vapo wrote this checkpoint"), "{error}");
        assert_eq!(names(&run).len(), 3);
        assert_eq!(names(&run)[2], "step-000003");
    }

    #[test]
    fn another_seed_and_changed_problems_are_refused_and_other_settings_are_a_wish() {
        let before = Config::default().with_absolute_paths().unwrap();
        let seed = |seed| {
            let mut config = Config::default();
            config.run.seed = seed;
            config
        };
        let error = check_unchanged(&before, &seed(7), [None, None]).unwrap_err().to_string();
        assert_eq!(error, "run.seed is 7 instead of 0: a run keeps its seed, start a new run for another one");

        let of = |train, held_out| Some(DataFingerprint { train, held_out });
        let mut other = Config::default();
        other.data.limit = Some(5);
        for (now, changed) in [
            (of(1, 2), None),
            (None, None),
            (of(3, 2), Some("the training problems are not")),
            (of(1, 4), Some("the held-out problems are not")),
            (of(3, 4), Some("the training and held-out problems are not")),
        ] {
            let same_settings = check_unchanged(&before, &Config::default(), [of(1, 2), now]);
            let other_settings = check_unchanged(&before, &other, [of(1, 2), now]).unwrap();
            match changed {
                None => assert_eq!((same_settings.unwrap(), other_settings), (None, None)),
                Some(changed) => {
                    assert!(same_settings.unwrap_err().to_string().contains(changed));
                    assert!(other_settings.unwrap().contains(changed));
                }
            }
        }
    }
}
