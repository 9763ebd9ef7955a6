//! One training step, top to bottom. PPO, GRPO, VAPO and value pretraining are values fed to it, never other loops.
//!
//! `Prompt -> Rollout -> Graded -> Batch -> Credit -> StepReport`

use vapo_algo::ValueBound;

use crate::{
    batch::{Batch, RewardRules},
    config::{AlgorithmConfig, Config, LogpCheck},
    credit::Credit,
    error::Result,
    observer::{Monitor, Stage},
    passes::{train_critic, train_policy},
    report::{CreditReport, RolloutReport, StepReport, Timing},
    rollout::{Generator, Graded, Prompt, Rollout, grade},
    trainer::{Phase, Shape, Stream, Trainer, training_sampling},
    update::{StepColumns, value_bound},
};

/// Responses whose log-probs are recomputed in each step under `run.check_logps = "sample"`.
const CHECKED_RESPONSES: usize = 8;

/// Does one step; `None` if it was stopped before anything was updated. Once updates begin they are completed.
pub(crate) fn train_step(trainer: &mut Trainer, phase: Phase, monitor: &mut Monitor<'_>) -> Result<Option<StepReport>> {
    let mut timing = Timing::start();
    let shape = trainer.shape(phase);
    let prompts = draw_prompts(trainer, shape)?;

    let Some(rollouts) = timing.lap("gen", || sample(trainer, &prompts, shape, monitor))? else {
        return Ok(None);
    };
    let threads = trainer.engine.threads();
    let graded: Option<Vec<Graded<'_>>> =
        timing.lap("reward", || grade(trainer.task.as_ref(), rollouts, threads, monitor));
    let Some(graded) = graded.filter(|_| !monitor.stopped()) else {
        return Ok(None);
    };
    let batch = Batch::new(graded, reward_rules(&trainer.config))?;

    let logp_diff = timing.lap("check_logps", || largest_logp_difference(trainer, &batch));
    let values = timing.lap("values", || old_values(trainer, &batch));
    let reference_logp = timing.lap("ref", || reference_logp(trainer, &batch));
    let credit = timing.lap("adv", || Credit::assign(&batch, values, &algorithm(trainer, phase)));

    let critic = timing.lap("update_critic", || train_critic(trainer, &batch, &credit, monitor))?;
    let columns =
        StepColumns { old_logp: batch.old_logp(), credit: &credit, reference_logp: reference_logp.as_deref() };
    let policy = (phase == Phase::Policy)
        .then(|| timing.lap("update_actor", || train_policy(trainer, &batch, &columns, monitor)))
        .transpose()?;

    let report = StepReport {
        phase,
        rollout: RolloutReport::of(&batch),
        credit: CreditReport::of(&batch, &credit),
        critic,
        policy,
        logp_diff,
        timing: timing.stop(),
    };
    trainer.counters.add(&report, shape);
    Ok(Some(report))
}

fn draw_prompts(trainer: &Trainer, shape: Shape) -> Result<Vec<Prompt>> {
    let start = trainer.counters.prompts;
    let problems = trainer.task.train_problems(start, shape.prompts);
    let longest = trainer.config.rollout.max_new_tokens;
    (start..)
        .zip(problems)
        .map(|(position, problem)| {
            Prompt::new(problem, position, &trainer.text, trainer.policy.model.config(), longest)
        })
        .collect()
}

fn sample<'p>(
    trainer: &mut Trainer,
    prompts: &'p [Prompt],
    shape: Shape,
    monitor: &mut Monitor<'_>,
) -> Result<Option<Vec<Rollout<'p>>>> {
    let mut generator = Generator {
        sampling: &training_sampling(&trainer.config, &trainer.policy.model, &trainer.text.tokenizer),
        seed: Stream::Sampling.random(trainer.config.run.seed, 0).next_u64(),
        engine: &mut trainer.engine,
        policy: &trainer.policy.model,
        text: &trainer.text,
        stage: Stage::Rollout,
    };
    generator.sample(prompts, shape.group_size, monitor)
}

fn reward_rules(config: &Config) -> RewardRules {
    let (right, wrong) = (config.algorithm.reward_right, config.algorithm.reward_wrong);
    RewardRules { right, wrong, max_failed_share: config.reward.max_failed_share }
}

/// The method's settings in a phase: value pretraining always targets the Monte-Carlo return.
fn algorithm(trainer: &Trainer, phase: Phase) -> AlgorithmConfig {
    let mut algorithm = trainer.config.algorithm.clone();
    if phase == Phase::ValuePretraining {
        algorithm.lambda_critic = Some(1.0);
    }
    algorithm
}

/// Largest |sampled - recomputed log-prob|: 0 by the engine's contract, which is why the sampled ones serve as the old ones.
fn largest_logp_difference(trainer: &mut Trainer, batch: &Batch<'_>) -> Option<f64> {
    let responses = batch.responses().len();
    let stride = match trainer.config.run.check_logps {
        LogpCheck::None => return None,
        LogpCheck::Sample => responses.div_ceil(CHECKED_RESPONSES),
        LogpCheck::All => 1,
    };
    let checked = batch.select(&(0..responses).step_by(stride).collect::<Vec<_>>());
    let temperature = trainer.config.rollout.temperature as f32;
    let scored = trainer.engine.score(&trainer.policy.model, &checked.sequences, temperature);
    let sampled = checked.gather(batch.old_logp());
    let differences = scored.logp.iter().zip(&sampled).map(|(new, old)| f64::from((new - old).abs()));
    differences.max_by(f64::total_cmp)
}

/// V(s_t) of every token before the update `[N]`.
fn old_values(trainer: &mut Trainer, batch: &Batch<'_>) -> Option<Vec<f32>> {
    let bound = bound(trainer);
    let critic = trainer.critic.as_ref()?;
    let raw = trainer.engine.values(&critic.model, &batch.sequences());
    Some(raw.into_iter().map(|raw| bound.value(raw)).collect())
}

fn reference_logp(trainer: &mut Trainer, batch: &Batch<'_>) -> Option<Vec<f32>> {
    let reference = trainer.reference.as_ref()?;
    let temperature = trainer.config.rollout.temperature as f32;
    Some(trainer.engine.score(reference, &batch.sequences(), temperature).logp)
}

fn bound(trainer: &Trainer) -> ValueBound {
    value_bound(&trainer.config.critic, trainer.config.reward_range())
}
