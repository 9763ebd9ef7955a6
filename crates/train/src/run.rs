//! A run: steps, evaluations, checkpoints and records, from the start or from a checkpoint.

use std::{
    borrow::Cow,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Instant,
};

use vapo_link::Launch;
use vapo_lm::{Head, Model};
use vapo_tasks::Task;

use crate::{
    base::LanguageModel,
    batch::check_failures,
    checkpoint::{Best, RunState, Snapshot, load_network, load_state, save_model},
    config::Config,
    decoding::{endless_warning, training_sampling},
    division::Division,
    error::{Error, Result},
    eval::{Evaluator, run_evaluation},
    evaluation::Evaluation,
    files::{create_directory_atomically, write_atomically},
    fingerprint::DataFingerprint,
    lock::RunLock,
    memory::MemoryPlan,
    metrics::{Row, keys},
    models::Models,
    networks::Networks,
    observer::{Event, Monitor, Observer},
    phase::Phase,
    progress::Watcher,
    report::StepReport,
    resources::Usage,
    resume::{check_unchanged, newest_intact, reference, replanned},
    rundir::{CHECKPOINTS, DUMPS, ROLLOUTS, RunDir, TENSORBOARD},
    setup::{checked_task, shared_device},
    step::train_step,
    summary::{AccuracySummary, CriticSummary, RunSummary},
    tensorboard::{self, EventFile},
    trainer::{Counters, Trainer},
    writer::CheckpointWriter,
};

/// A run that can be trained.
pub struct Run {
    directory: RunDir,
    /// Held by the rank that writes.
    _lock: Option<RunLock>,
    trainer: Trainer,
    memory: MemoryPlan,
    state: RunState,
    writer: CheckpointWriter,
    /// When the newest checkpoint, or the session, was begun.
    last_checkpoint: Instant,
    /// What the user should know about this session.
    warnings: Vec<String>,
    begun: Instant,
    usage_before: Usage,
}

/// How [`Run::train`] ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All steps are done; the contents of `summary.json`.
    Finished(Box<RunSummary>),
    /// The stop flag was set; the checkpoint from which `resume` continues.
    Stopped(PathBuf),
}

impl Run {
    /// Loads models and problems, checks the memory, and makes the run directory. Nothing is written before everything is valid.
    ///
    /// # Errors
    /// Anything named in the config is missing or invalid, or the run directory exists.
    pub fn create(config: Config) -> Result<Self> {
        Self::create_on(Launch::Single, config)
    }

    /// The same on the ranks that a launcher has started. All of them train; rank 0 makes and writes the directory.
    ///
    /// # Errors
    /// As for [`Run::create`]; or ranks cannot reach each other, or have other versions, configs or problems.
    pub fn create_on(launch: Launch, config: Config) -> Result<Self> {
        let division = Division::begin(launch, &config)?;
        if let Some(path) = config.value_pretraining.save_critic.as_ref().filter(|path| path.exists()) {
            return Err(Error::Run(format!(
                "value_pretraining.save_critic ({}) exists, expected a new directory",
                path.display()
            )));
        }
        let (mut trainer, memory) = fresh_trainer(config, division)?;
        let written = trainer.division.leads().then(|| RunDir::create_locked(&trainer.config)).transpose()?;
        let path = written.as_ref().map_or(String::new(), |(directory, _)| directory.path().display().to_string());
        let path = trainer.division.text_of_the_first("run directory", path)?;
        let place = match written {
            Some((directory, lock)) => (directory, Some(lock)),
            None => (RunDir::of_the_first(Path::new(&path)), None),
        };
        Ok(Self::fresh(place, trainer, memory))
    }

    /// Continues a run from its newest intact checkpoint (from the start if it has none), with `key=value` overrides of its
    /// config. Metrics rows after the checkpoint are removed, because the run writes them again.
    ///
    /// # Errors
    /// The directory is not a run, another process works on it, or it has checkpoints and none is intact.
    pub fn resume(path: &Path, overrides: &[String]) -> Result<Self> {
        Self::resume_on(Launch::Single, path, overrides)
    }

    /// The same on the ranks that a launcher has started, whatever their number was before; all of them read the directory.
    ///
    /// # Errors
    /// As for [`Run::resume`] and [`Run::create_on`].
    pub fn resume_on(launch: Launch, path: &Path, overrides: &[String]) -> Result<Self> {
        let directory = RunDir::open(path)?;
        let config = directory.resolve(overrides)?.config;
        let mut division = Division::begin(launch, &config)?;
        let leads = division.leads();
        let lock = leads.then(|| directory.take_over()).transpose()?;
        let (newest, damaged) = if leads { newest_intact(&directory)? } else { (None, Vec::new()) };
        let name = newest.as_ref().and_then(|path| path.file_name()).map_or("".into(), |name| name.to_string_lossy());
        let name = division.text_of_the_first("checkpoint", name.into_owned())?;
        let mut run = if name.is_empty() {
            let (trainer, memory) = fresh_trainer(config, division)?;
            Self::fresh((directory, lock), trainer, memory)
        } else {
            let checkpoint = directory.path().join(CHECKPOINTS).join(name);
            Self::from_checkpoint((directory, lock), (config, division), &checkpoint)?
        };
        if leads {
            run.remove_what_is_repeated(damaged)?;
        }
        Ok(run)
    }

    /// Removes what was written after the checkpoint, because the run writes it again.
    fn remove_what_is_repeated(&mut self, damaged: Vec<String>) -> Result<()> {
        let step = self.state.counters.global_step;
        let lost = self.directory.cut_metrics(step + u64::from(self.state.pending.is_none()))?;
        // The evaluation of the step itself is in its row, and its rollouts are recorded before that.
        self.directory.cut_samples(step + 1)?;
        let events = self.directory.path().join(TENSORBOARD);
        let lost_events = tensorboard::cut(&events, step, self.state.pending.as_ref())?;
        self.warnings.extend(damaged.into_iter().chain(lost).chain(lost_events));
        self.directory.write_config(&self.trainer.config)
    }

    /// A run before its first step: the row of step 0, with the first evaluation, is due.
    fn fresh(place: (RunDir, Option<RunLock>), trainer: Trainer, memory: MemoryPlan) -> Self {
        let data = DataFingerprint::of(trainer.task.as_ref());
        let state = RunState { pending: Some(Row::new(0)), data, ..RunState::default() };
        Self::new(place, trainer, memory, state)
    }

    fn from_checkpoint(
        place: (RunDir, Option<RunLock>),
        (config, mut division): (Config, Division),
        checkpoint: &Path,
    ) -> Result<Self> {
        let (mut state, previous) = (load_state(checkpoint)?, place.0.config()?.with_absolute_paths()?);
        // The checkpoint holds policy and critic: what they started from may be gone.
        let mut stored = config.clone();
        (stored.model.path, stored.critic.path) = (Some(checkpoint.join("policy")), Some(checkpoint.join("critic")));
        let (task, memory) = checked_task(&stored, &mut division)?;
        let data = DataFingerprint::of(task.as_ref());
        let changed = check_unchanged(&previous, &config, [state.data, data])?;
        state.data = data;
        let device = &shared_device(&config, &division);
        let reference = reference(device, &config)?;
        let critic = if config.has_critic() {
            Some(Model::load(device, &checkpoint.join("critic"), Head::Value)?)
        } else {
            None
        };
        let policy = LanguageModel::load(device, &checkpoint.join("policy"))?.for_data(&config.data)?;
        let models = Models { policy, critic, reference }.checked(&config)?;
        let mut trainer = Trainer::new((device, division), config, task, models);
        load_network(checkpoint, "policy", &state, &mut trainer.policy)?;
        if let Some(critic) = &mut trainer.critic {
            load_network(checkpoint, "critic", &state, critic)?;
        }
        trainer.counters = state.counters.clone();
        trainer.plan_critic();
        let mut run = Self::new(place, trainer, memory, state);
        run.warnings.extend(changed);
        run.warnings.extend(replanned(&previous, &run.trainer));
        Ok(run)
    }

    fn new(
        (directory, lock): (RunDir, Option<RunLock>),
        mut trainer: Trainer,
        memory: MemoryPlan,
        state: RunState,
    ) -> Self {
        let (begun, usage_before) = (Instant::now(), Usage::now());
        let sampling = training_sampling(&trainer.config, &trainer.policy.model, &trainer.text);
        let unlocked = lock.as_ref().is_some_and(|lock| !lock.is_effective()).then(|| {
            format!(
                "the file system of {} has no locks: make sure that no other process works on this run",
                directory.path().display()
            )
        });
        let warnings = endless_warning(&sampling).into_iter().chain(unlocked).collect();
        (trainer.dumps, trainer.rollouts) = (directory.path().join(DUMPS), directory.path().join(ROLLOUTS));
        let events = || EventFile::new(directory.path().join(TENSORBOARD), trainer.counters.global_step);
        trainer.events = (trainer.config.tensorboard.enabled && trainer.division.leads()).then(events);
        trainer.divide();
        let writer = CheckpointWriter::new(memory.copies_checkpoints(), trainer.config.checkpoint.background);
        let last_checkpoint = begun;
        Self { directory, _lock: lock, trainer, memory, state, writer, last_checkpoint, warnings, begun, usage_before }
    }

    /// How the run is divided among ranks.
    pub fn division(&self) -> &Division {
        &self.trainer.division
    }

    /// The run directory.
    pub fn directory(&self) -> &RunDir {
        &self.directory
    }

    /// Its resolved config.
    pub fn config(&self) -> &Config {
        &self.trainer.config
    }

    /// The current policy.
    pub fn policy(&self) -> &Model {
        &self.trainer.policy.model
    }

    /// Its problems.
    pub fn task(&self) -> &dyn Task {
        self.trainer.task.as_ref()
    }

    /// Its counters.
    pub fn counters(&self) -> &Counters {
        &self.trainer.counters
    }

    /// Its memory plan.
    pub fn memory_plan(&self) -> &MemoryPlan {
        &self.memory
    }

    /// Trains until all steps are done or `stop` is set; then a checkpoint is written and the run can be resumed.
    ///
    /// # Errors
    /// A file cannot be written, a prompt is too long, or the verifier failed on a whole step.
    pub fn train(&mut self, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<Outcome> {
        let outcome = self.train_until(&mut Monitor::new(observer, stop));
        let division = std::mem::replace(&mut self.trainer.division, Division::single());
        division.end(outcome.as_ref().err())?;
        outcome
    }

    fn train_until(&mut self, monitor: &mut Monitor<'_>) -> Result<Outcome> {
        let warnings = self.trainer.task.warnings();
        warnings.iter().chain(&self.warnings).for_each(|warning| monitor.tell(Event::Warning(warning)));
        // The row before the first step, or that of a step that an earlier session trained but did not record.
        let mut unrecorded = self.state.pending.take();
        loop {
            let (mut row, report) = match (unrecorded.take(), self.trainer.next_phase()) {
                (Some(row), _) => (row, None),
                (None, None) => return self.finish(monitor),
                (None, Some(phase)) => {
                    let Some(report) = self.step(phase, monitor)? else {
                        return self.stop(None, monitor);
                    };
                    self.save_pretrained_critic(phase)?;
                    (self.row(&report, monitor), Some(report))
                }
            };
            let evaluates = self.evaluation_is_due(&row);
            if evaluates && self.evaluate(&mut row, monitor)?.is_break() {
                return self.stop(Some(row), monitor);
            }
            if self.checkpoint_is_due()? {
                // The checkpoint that an unrecorded row came from lacks its evaluation.
                self.timed_checkpoint(&mut row, evaluates && report.is_none())?;
            }
            self.record_row(&row)?;
            let step = self.trainer.counters.global_step;
            monitor.tell(Event::Step { step, total: self.planned_steps(), report: report.as_ref() });
            self.report_saved(monitor)?;
            if self.trainer.division.any("stop", monitor.stopped())? {
                return self.stop(None, monitor);
            }
        }
    }

    /// Does one step, or none of it if it was stopped. Updates that have begun are completed, unless a time limit for stopping
    /// is set: then they are undone.
    fn step(&mut self, phase: Phase, monitor: &mut Monitor<'_>) -> Result<Option<StepReport>> {
        let (writer, is_limited) = (&mut self.writer, self.trainer.config.run.stop_timeout_secs.is_some());
        let remember = &mut |trainer: &Trainer| Ok(is_limited && writer.remember(Networks::of(trainer))?);
        let report = train_step(&mut self.trainer, phase, monitor, remember)?;
        if report.is_none()
            && monitor.may_abandon
            && let Some(before) = self.writer.remembered()
        {
            before.restore(&mut self.trainer);
        }
        if self.trainer.division.leads() {
            self.directory.remove_old_records(self.trainer.config.records.keep)?;
        }
        Ok(report)
    }

    /// The row of a step, with its alarms.
    fn row(&mut self, report: &StepReport, monitor: &mut Monitor<'_>) -> Row {
        let counters = &self.trainer.counters;
        let mut row = report.to_row(counters);
        for alarm in self.state.alarms.watch(counters.global_step, report, &mut row) {
            monitor.tell(Event::Warning(&alarm.message));
        }
        row
    }

    /// Writes a row where it is read: the run's own file first, because that one is synced.
    fn record_row(&mut self, row: &Row) -> Result<()> {
        if self.trainer.division.leads() {
            self.directory.append_metrics(row)?;
        }
        self.trainer.events.as_mut().map_or(Ok(()), |events| events.write_row(row))
    }

    /// Makes durable what TensorBoard shows of the steps so far: a run that continues from here does not write it again.
    fn sync_events(&mut self) -> Result<()> {
        self.trainer.events.as_mut().map_or(Ok(()), EventFile::sync)
    }

    /// Whether the step of this row still needs an evaluation.
    fn evaluation_is_due(&self, row: &Row) -> bool {
        let (steps, every) = (self.trainer.policy_steps(), self.trainer.config.eval.every);
        let first = self.trainer.counters.global_step == 0;
        let last = self.trainer.next_phase().is_none();
        // Value pretraining does not change the policy that was evaluated at the start.
        let due = first || (steps > 0 && (last || every.is_some_and(|every| steps.is_multiple_of(every))));
        due && row.get(keys::TIMING_EVALUATION).is_none()
    }

    fn checkpoint_is_due(&mut self) -> Result<bool> {
        let (step, config) = (self.trainer.counters.global_step, &self.trainer.config.checkpoint);
        let minutes = self.last_checkpoint.elapsed().as_secs_f64() / 60.0;
        let last = self.trainer.next_phase().is_none();
        let by_step = step > 0 && config.every.is_some_and(|every| step.is_multiple_of(every));
        let by_time = step > 0 && config.every_minutes.is_some_and(|every| minutes >= every);
        let is_best = config.keep_best && self.state.best.is_some_and(|best| best.step == step);
        // Clocks differ.
        let by_time = self.trainer.division.as_the_first("checkpoint", by_time)?;
        Ok(last || by_step || by_time || is_best)
    }

    /// Evaluates the policy and writes the result into the row; breaks if the run was stopped before the end.
    fn evaluate(&mut self, row: &mut Row, monitor: &mut Monitor<'_>) -> Result<ControlFlow<()>> {
        let (begun, step, trainer) = (Instant::now(), self.trainer.counters.global_step, &mut self.trainer);
        let evaluator = Evaluator {
            engine: &mut trainer.engine,
            policy: &trainer.policy.model,
            text: &trainer.text,
            task: trainer.task.as_ref(),
            config: &trainer.config,
        };
        let Some(evaluation) = run_evaluation(evaluator, &mut trainer.division, monitor)? else {
            return Ok(ControlFlow::Break(()));
        };
        self.record_evaluation(&evaluation, step)?;
        row.extend(evaluation.to_row());
        row.number(keys::TIMING_EVALUATION, begun.elapsed().as_secs_f64());
        monitor.tell(Event::Evaluated { step, evaluation: &evaluation });
        Ok(ControlFlow::Continue(()))
    }

    fn record_evaluation(&mut self, evaluation: &Evaluation, step: u64) -> Result<()> {
        check_failures(evaluation.verdicts(), self.trainer.config.reward.max_failed_share, "evaluation")?;
        self.state.accuracy_last = evaluation.accuracy();
        self.state.eval_problems = evaluation.problems.len();
        if step == 0 {
            self.state.accuracy_before = evaluation.accuracy();
        } else if let Some(accuracy) = evaluation.accuracy()
            && self.state.best.is_none_or(|best| accuracy > best.accuracy)
        {
            self.state.best = Some(Best { step, accuracy });
        }
        if !self.trainer.division.leads() {
            return Ok(());
        }
        if let Some(events) = &mut self.trainer.events {
            events.add_evaluation(step, evaluation);
        }
        write_atomically(&self.directory.eval_path(step), evaluation.to_jsonl().as_bytes())?;
        self.directory.remove_old_evaluations(self.trainer.config.eval.keep)
    }

    fn planned_steps(&self) -> u64 {
        self.trainer.planned_pretraining() + self.trainer.config.run.steps
    }

    /// Begins a checkpoint that contains the row of its step, and writes the time for which training waited into the row.
    fn timed_checkpoint(&mut self, row: &mut Row, replace: bool) -> Result<()> {
        let begun = Instant::now();
        self.save_checkpoint(Some(row.clone()), replace)?;
        row.number(keys::TIMING_CHECKPOINT, begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// Tells of checkpoints that have become complete.
    fn report_saved(&mut self, monitor: &mut Monitor<'_>) -> Result<()> {
        let completed = self.writer.completed()?;
        completed.iter().for_each(|path| monitor.tell(Event::Saved { path }));
        Ok(())
    }

    /// Begins to save the state after the last finished step, unless it is already saved and not to be replaced; `unrecorded`
    /// is the step's row, if it is not in `metrics.jsonl`.
    fn save_checkpoint(&mut self, unrecorded: Option<Row>, replace: bool) -> Result<PathBuf> {
        self.writer.wait()?;
        self.sync_events()?;
        self.last_checkpoint = Instant::now();
        let path = self.directory.checkpoint_path(self.trainer.counters.global_step);
        if self.trainer.division.as_the_first("checkpoint", path.exists() && !replace)? {
            return Ok(path);
        }
        let (wall_secs, usage) = self.used();
        let Trainer { policy, critic, division, text, config, counters, .. } = &mut self.trainer;
        let networks = Networks::complete(policy, critic.as_ref(), division)?;
        if !division.leads() {
            return Ok(path);
        }
        let state = RunState {
            counters: counters.clone(),
            policy_optimizer_steps: policy.optimizer.steps,
            critic_optimizer_steps: critic.as_ref().map_or(0, |critic| critic.optimizer.steps),
            policy_skipped: policy.skipped,
            critic_skipped: critic.as_ref().map_or(0, |critic| critic.skipped),
            pending: unrecorded,
            wall_secs,
            cpu_secs: usage.cpu_secs,
            ..self.state.clone()
        };
        let snapshot = Snapshot { networks, files: text.files.clone(), state, config: Cow::Borrowed(config) };
        self.writer.save(snapshot, path.clone(), &self.directory)?;
        Ok(path)
    }

    /// Wall and processor seconds of all sessions, and the memory of this one.
    fn used(&self) -> (f64, Usage) {
        let now = Usage::now();
        let cpu_secs = self.state.cpu_secs + now.cpu_secs - self.usage_before.cpu_secs;
        (self.state.wall_secs + self.begun.elapsed().as_secs_f64(), Usage { cpu_secs, ..now })
    }

    /// Saves the critic for other runs once value pretraining is finished.
    fn save_pretrained_critic(&self, phase: Phase) -> Result<()> {
        let (Some(path), Some(critic)) = (&self.trainer.config.value_pretraining.save_critic, &self.trainer.critic)
        else {
            return Ok(());
        };
        let is_over = phase == Phase::ValuePretraining && self.trainer.next_phase() != Some(Phase::ValuePretraining);
        if !is_over || !self.trainer.division.leads() {
            return Ok(());
        }
        create_directory_atomically(path, |directory| {
            save_model(&critic.model, &self.trainer.text.files, directory, self.trainer.config.checkpoint.dtype.into())
        })
    }

    /// Ends a run whose steps are all done.
    fn finish(&mut self, monitor: &mut Monitor<'_>) -> Result<Outcome> {
        self.writer.wait()?;
        self.sync_events()?;
        self.report_saved(monitor)?;
        let (counters, config, (wall_secs, usage)) = (&self.trainer.counters, &self.trainer.config, self.used());
        let leads = self.trainer.division.leads();
        let critic = if leads && config.has_critic() { CriticSummary::of(self.directory.rows()?)? } else { None };
        let summary = RunSummary {
            eval: AccuracySummary {
                before: self.state.accuracy_before,
                after: self.state.accuracy_last,
                problems: self.state.eval_problems,
                samples_per_problem: config.eval.samples,
            },
            steps: counters.global_step,
            updates: counters.policy_updates + counters.critic_updates,
            tokens: counters.tokens,
            wall_secs,
            cpu_secs: usage.cpu_secs,
            peak_rss_mb: usage.peak_rss_mb,
            seed: config.run.seed,
            best: self.state.best,
            critic,
            alarms: self.state.alarms.raised.clone(),
        };
        if leads {
            self.directory.write_summary(&summary)?;
        }
        Ok(Outcome::Finished(Box::new(summary)))
    }

    /// Ends a session with a checkpoint; `unrecorded` is the row of a step that still needs its evaluation.
    fn stop(&mut self, unrecorded: Option<Row>, monitor: &mut Monitor<'_>) -> Result<Outcome> {
        let path = self.save_checkpoint(unrecorded.clone(), false)?;
        self.writer.wait()?;
        self.state.pending = unrecorded;
        self.report_saved(monitor)?;
        Ok(Outcome::Stopped(path))
    }
}

fn fresh_trainer(config: Config, mut division: Division) -> Result<(Trainer, MemoryPlan)> {
    let (task, memory) = checked_task(&config, &mut division)?;
    let device = shared_device(&config, &division);
    let models = Models::initial(&device, &config)?;
    Ok((Trainer::new((&device, division), config, task, models), memory))
}
