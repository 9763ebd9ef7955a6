//! One training step, from start to end. PPO, GRPO, VAPO and value pretraining are settings of it, not separate loops.
//!
//! `Prompt -> Rollout -> GradedRollout -> Batch -> Credit -> StepReport`

use vapo_algo::ValueBound;

use crate::{
    batch::{Batch, RewardRules},
    config::{AlgorithmConfig, CriticStart},
    credit::Credit,
    diagnostics::{Diagnostics, first_wrong_tokens},
    error::Result,
    network::Network,
    objective::StepColumns,
    observer::{Event, Monitor},
    passes::{train_critic, train_policy},
    phase::Phase,
    progress::Watcher,
    records::StepRecord,
    report::{CreditReport, RolloutReport, StepReport},
    sampling::{PromptRounds, sample_step},
    stage::Stage,
    timing::Timing,
    trace::TokenTrace,
    trainer::Trainer,
    update::value_bound,
};

/// Does one step; `None` if it was stopped. `remember` is called before the first update: if it returns true, it has kept the
/// networks, and a stopped step ends at once, with some updates done; otherwise updates that have begun are completed.
pub(crate) fn train_step(
    trainer: &mut Trainer,
    phase: Phase,
    monitor: &mut Monitor<'_>,
    remember: &mut dyn FnMut(&Trainer) -> Result<bool>,
) -> Result<Option<StepReport>> {
    monitor.may_abandon = false;
    let mut timing = Timing::start(&trainer.division);
    let rounds = PromptRounds::new(trainer, phase);
    let verifiers = trainer.task.verifier_secs();
    let Some((graded, sampling)) = sample_step(trainer, phase, &rounds, &mut timing, monitor)? else {
        return Ok(None);
    };
    timing.set_verifiers(&verifiers, trainer.task.verifier_secs());
    let batch = Batch::new(graded, RewardRules::new(&trainer.config))?;

    let logp_diff = timing.lap(Stage::LogpCheck, || largest_logp_difference(trainer, &batch))?;
    start_critic(trainer, &batch);
    let values = timing.lap(Stage::Values, || old_values(trainer, &batch))?;
    let reference_logp = timing.lap(Stage::Reference, || reference_logp(trainer, &batch))?;
    let credit = timing
        .lap(Stage::Credit, || Credit::assign(&batch, values, reference_logp.as_deref(), &algorithm(trainer, phase)));

    let (first_wrong, diagnostics) = timing.lap(Stage::Credit, || {
        let first_wrong = first_wrong_tokens(&batch, trainer.task.as_ref(), &trainer.text.tokenizer);
        let diagnostics = Diagnostics::of(&batch, &credit, &first_wrong, trainer.config.reward_range());
        (first_wrong, diagnostics)
    });

    if trainer.division.any("stop", monitor.stopped())? {
        return Ok(None);
    }
    let remembers = remember(trainer)?;
    monitor.may_abandon = !trainer.division.any("memory", !remembers)?;
    let critic = timing.lap(Stage::CriticUpdates, || train_critic(trainer, &batch, &credit, monitor))?;
    let columns = StepColumns {
        old_logp: batch.old_logp(),
        sampler_logp: batch.sampler_logp(),
        credit: &credit,
        reference_logp: reference_logp.as_deref(),
    };
    let policy = (phase == Phase::Policy)
        .then(|| timing.lap(Stage::PolicyUpdates, || train_policy(trainer, &batch, &columns, monitor)))
        .transpose()?;
    if trainer.division.abandons(monitor.abandons())? {
        return Ok(None);
    }

    let trace = policy.as_ref().and_then(|report| report.trace.as_ref());
    record(trainer, &batch, (&credit, &first_wrong, trace), &mut timing, monitor)?;

    let report = StepReport {
        phase,
        sampling,
        rollout: RolloutReport::of(&batch),
        credit: CreditReport::of(&batch, &credit),
        diagnostics,
        critic,
        policy,
        logp_diff,
        timing: timing.stop(&mut trainer.division)?,
    };
    report.count(&mut trainer.counters);
    Ok(Some(report))
}

/// The method's settings in a phase: value pretraining always uses the Monte-Carlo return as target.
fn algorithm(trainer: &Trainer, phase: Phase) -> AlgorithmConfig {
    let mut algorithm = trainer.config.algorithm.clone();
    if phase == Phase::ValuePretraining {
        algorithm.lambda_critic = Some(1.0);
    }
    algorithm
}

/// Records the rollouts of the step that has just been trained, if they are to be, adds them to the TensorBoard file, and
/// tells of them.
fn record(
    trainer: &mut Trainer,
    batch: &Batch<'_>,
    (credit, first_wrong, trace): (&Credit, &[Option<usize>], Option<&TokenTrace>),
    timing: &mut Timing,
    monitor: &mut Monitor<'_>,
) -> Result<()> {
    let is_recorded = trainer.records_step();
    let (counters, tokenizer) = (&trainer.counters, &trainer.text.tokenizer);
    let (step, policy_version) = (counters.global_step + 1, counters.policy_updates);
    let record = StepRecord { step, policy_version, batch, credit, first_wrong, trace, tokenizer };
    if is_recorded && trainer.division.leads() {
        let write = || record.write(&trainer.rollouts, trainer.config.records.groups);
        timing.lap(Stage::Recording, write)?;
    }
    if let Some(events) = &mut trainer.events {
        events.add_rollouts(&record, is_recorded);
    }
    monitor.tell(Event::Rollouts(&record));
    Ok(())
}

/// Largest |sampled - recomputed log-prob|. By the engine's contract it is 0, so the sampled log-probs are used as the old ones.
fn largest_logp_difference(trainer: &mut Trainer, batch: &Batch<'_>) -> Result<Option<f64>> {
    let responses = batch.responses().len();
    let Some(stride) = trainer.config.run.check_logps.stride(responses) else { return Ok(None) };
    let checked = batch.select(&(0..responses).step_by(stride).collect::<Vec<_>>());
    let temperature = trainer.config.rollout.temperature as f32;
    let (engine, policy) = (&mut trainer.engine, &trainer.policy.model);
    let scored = trainer.division.score(&checked.sequences, |own| engine.score(policy, own, temperature).logp)?;
    let sampled = checked.gather(batch.old_logp());
    let differences = scored.iter().zip(&sampled).map(|(new, old)| f64::from((new - old).abs()));
    Ok(differences.max_by(f64::total_cmp))
}

/// Sets the initial values of a new critic as configured, once there are rewards to average.
fn start_critic(trainer: &mut Trainer, batch: &Batch<'_>) {
    let (bound, settings, rewards) = (bound(trainer), &trainer.config.critic, batch.rewards());
    let is_new = |critic: &&mut Network| settings.path.is_none() && critic.optimizer.steps == 0;
    if settings.start == CriticStart::MeanReturn
        && let Some(critic) = trainer.critic.as_mut().filter(is_new)
    {
        let mean = rewards.iter().sum::<f32>() / rewards.len().max(1) as f32;
        critic.model.set_value_bias(bound.raw(mean));
    }
}

/// V(s_t) of every token before the update `[N]`.
fn old_values(trainer: &mut Trainer, batch: &Batch<'_>) -> Result<Option<Vec<f32>>> {
    let bound = bound(trainer);
    let Some(critic) = &trainer.critic else { return Ok(None) };
    let engine = &mut trainer.engine;
    let raw = trainer.division.score(&batch.sequences(), |own| engine.values(&critic.model, own))?;
    Ok(Some(raw.into_iter().map(|raw| bound.value(raw)).collect()))
}

fn reference_logp(trainer: &mut Trainer, batch: &Batch<'_>) -> Result<Option<Vec<f32>>> {
    let Some(reference) = &trainer.reference else { return Ok(None) };
    let (engine, temperature) = (&mut trainer.engine, trainer.config.rollout.temperature as f32);
    trainer.division.score(&batch.sequences(), |own| engine.score(reference, own, temperature).logp).map(Some)
}

fn bound(trainer: &Trainer) -> ValueBound {
    value_bound(&trainer.config.critic, trainer.config.reward_range())
}
