//! The passes over a step's responses: shuffled, dealt into minibatches, one optimizer update each.

use std::path::{Path, PathBuf};

use vapo_tasks::{Random, Stream};

use crate::{
    batch::Batch,
    config::NonfiniteGradient,
    credit::Credit,
    dump::{Dumps, critic_columns, policy_columns},
    error::{Error, Result},
    network::Network,
    objective::StepColumns,
    observer::{Event, Monitor},
    progress::{Progress, Watcher},
    stage::Stage,
    trace::TokenTrace,
    trainer::Trainer,
    update::{CriticReport, PolicyReport, update_critic, update_policy, value_bound},
};

/// All critic updates of the step, unless they are [abandoned](Monitor::abandons); each pass over the rollout is shuffled again.
pub(crate) fn train_critic(
    trainer: &mut Trainer,
    batch: &Batch<'_>,
    credit: &Credit,
    monitor: &mut Monitor<'_>,
) -> Result<Option<CriticReport>> {
    trainer.plan_critic();
    let critic_config = &trainer.config.critic;
    let settings = (value_bound(critic_config, trainer.config.reward_range()), critic_config.value_clip);
    let (passes, parts) = (trainer.config.critic_epochs(), trainer.config.critic_minibatches_per_epoch());
    let (Some(critic), Some(values)) = (&mut trainer.critic, &credit.values) else { return Ok(None) };
    let step = trainer.counters.global_step + 1;
    let dumps = Dumps::new(&trainer.dumps, &trainer.config, &trainer.text.files, step);
    let mut report = CriticReport::default();
    let mut progress = UpdateProgress::new(Stage::CriticUpdates, passes * parts);
    for pass in 0..passes {
        let random =
            Random::keyed(trainer.config.run.seed, Stream::CriticShuffle, &[trainer.counters.global_step, pass as u64]);
        for minibatch in batch.minibatches(parts, random) {
            let update = update_critic(
                critic,
                (&mut trainer.engine, &mut trainer.division),
                &minibatch,
                values,
                settings,
                &mut report,
            )?;
            if let Err(norm) = update.grad_norm {
                let path = match trainer.division.leads() {
                    true => dumps.save(critic, &minibatch, &critic_columns(&minibatch, values), norm)?,
                    false => PathBuf::new(),
                };
                skip(critic, norm, &path, (trainer.config.run.nonfinite_gradient, monitor))?;
            }
            progress.advance(minibatch.num_tokens(), monitor);
            if trainer.division.abandons(monitor.abandons())? {
                return Ok(Some(report));
            }
        }
    }
    Ok(Some(report))
}

/// All policy updates of the step, unless they are abandoned.
pub(crate) fn train_policy(
    trainer: &mut Trainer,
    batch: &Batch<'_>,
    columns: &StepColumns<'_>,
    monitor: &mut Monitor<'_>,
) -> Result<PolicyReport> {
    let algorithm = &trainer.config.algorithm;
    let settings = (algorithm, trainer.config.rollout.temperature as f32);
    let step = trainer.counters.global_step + 1;
    let dumps = Dumps::new(&trainer.dumps, &trainer.config, &trainer.text.files, step);
    let trace = trainer.traces_step().then(|| TokenTrace::new(batch.num_tokens()));
    let mut report = PolicyReport { trace, ..PolicyReport::default() };
    let mut progress = UpdateProgress::new(Stage::PolicyUpdates, trainer.config.policy_updates_per_step());
    for pass in 0..algorithm.epochs {
        let random =
            Random::keyed(trainer.config.run.seed, Stream::PolicyShuffle, &[trainer.counters.global_step, pass as u64]);
        for minibatch in batch.minibatches(algorithm.minibatches_per_epoch, random) {
            let (policy, workers) = (&mut trainer.policy, (&mut trainer.engine, &mut trainer.division));
            let update = update_policy(policy, workers, &minibatch, columns, settings, &mut report)?;
            if let Err(norm) = update.grad_norm {
                let path = match trainer.division.leads() {
                    true => dumps.save(policy, &minibatch, &policy_columns(&minibatch, columns), norm)?,
                    false => PathBuf::new(),
                };
                skip(policy, norm, &path, (trainer.config.run.nonfinite_gradient, monitor))?;
            }
            progress.advance(minibatch.num_tokens(), monitor);
            if trainer.division.abandons(monitor.abandons())? {
                return Ok(report);
            }
        }
    }
    Ok(report)
}

/// Warns of an update that was skipped because its gradient was not finite.
///
/// # Errors
/// The setting says so, or the update before was skipped too: training has diverged.
fn skip(
    network: &Network,
    norm: f32,
    dump: &Path,
    (rule, monitor): (NonfiniteGradient, &mut Monitor<'_>),
) -> Result<()> {
    let (name, updates, dump) = (network.name(), network.optimizer.steps, dump.display());
    let what = format!("the {name}'s gradient norm is {norm} after {updates} updates, expected a finite number");
    let how = format!("`vapo doctor {dump}` repeats this update");
    if network.skipped > 1 {
        let rate = network.learning_rate();
        return Err(Error::Run(format!(
            "{what}, in {} updates in a row: training has diverged, try a learning rate below {rate} ({how})",
            network.skipped
        )));
    }
    if rule == NonfiniteGradient::Stop {
        return Err(Error::Run(format!("{what} ({how})")));
    }
    monitor.tell(Event::Warning(&format!(
        "{what}: this update is skipped, and a second one in a row ends the run ({how})"
    )));
    Ok(())
}

/// Counts finished updates for the observer.
struct UpdateProgress(Progress);

impl UpdateProgress {
    fn new(stage: Stage, total: usize) -> Self {
        Self(Progress { stage, done: 0, total, tokens: 0 })
    }

    fn advance(&mut self, tokens: usize, monitor: &mut Monitor<'_>) {
        self.0.done += 1;
        self.0.tokens += tokens;
        // Updates end early only where the networks before them are kept: a run cannot continue from half a step.
        let _ = monitor.progress(self.0);
    }
}
