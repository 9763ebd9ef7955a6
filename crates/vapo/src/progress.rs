//! The progress of a run: a bar within a step, a line per step.

use vapo_train::{Config, Event, Observer, Phase, report::StepReport};

use crate::{
    forecast::Forecast,
    format::{decimal, percent, rough_duration, short},
    screen::{Screen, StageBar},
};

/// Titles and widths of the columns.
const COLUMNS: [(&str, usize); 10] = [
    ("step", 9),
    ("reward", 8),
    ("eval", 8),
    ("length", 8),
    ("entropy", 9),
    ("expl.var", 10),
    ("clip", 7),
    ("grad", 7),
    ("tok/s", 8),
    ("secs", 7),
];

/// The titles over the lines of steps.
pub(crate) fn titles() -> String {
    COLUMNS.iter().map(|(name, width)| format!("{name:>width$}")).collect()
}

/// Prints a run's events.
pub(crate) struct RunProgress {
    screen: Screen,
    bar: StageBar,
    pretraining_title: String,
    training_title: String,
    /// The phase of the last printed step; `None` before the first.
    phase: Option<Phase>,
    /// The current step; 0 is the evaluation before the first.
    step: u64,
    total: u64,
    /// An evaluation whose step has not been printed yet.
    accuracy: Option<f64>,
    forecast: Forecast,
}

impl RunProgress {
    /// `done`: steps of earlier sessions; `None` for a new run.
    pub(crate) fn new(screen: &Screen, config: &Config, done: Option<u64>) -> Self {
        let networks = if config.has_critic() { "critic and policy" } else { "the policy" };
        Self {
            screen: screen.clone(),
            bar: StageBar::new(screen),
            pretraining_title: "value pretraining: the critic learns to judge the initial policy's answers".into(),
            training_title: format!("training {networks}"),
            phase: None,
            step: done.map_or(0, |done| done + 1),
            total: config.run.steps + config.value_pretraining.steps,
            accuracy: None,
            forecast: Forecast::default(),
        }
    }

    fn print_step(&mut self, step: u64, report: Option<&StepReport>) {
        let accuracy = self.accuracy.take();
        match report {
            Some(report) => {
                self.print_title(report.phase);
                self.screen.line(&self.cells(step, report, accuracy));
                self.complain(report);
                self.forecast.note(report.timing.total_secs());
            }
            None => self.print_evaluation(step, accuracy),
        }
        self.step = step + 1;
        self.bar.spoken();
    }

    /// Prints the evaluation before the first step, or one that was stopped in an earlier session.
    fn print_evaluation(&self, step: u64, accuracy: Option<f64>) {
        let shown = accuracy.map_or("not measured".into(), percent);
        let when = if step == 0 { "before training".into() } else { format!("after step {step}") };
        if step == 0 || accuracy.is_some() {
            self.screen.line(&format!("\n  held-out accuracy {when}: {}", self.screen.bold(&shown)));
        }
    }

    /// Prints the header of the table at the start of a phase.
    fn print_title(&mut self, phase: Phase) {
        if self.phase.replace(phase) == Some(phase) {
            return;
        }
        self.forecast = Forecast::default();
        let title = match phase {
            Phase::ValuePretraining => &self.pretraining_title,
            Phase::Policy => &self.training_title,
        };
        self.screen.line(&format!("\n  {}", self.screen.bold(title)));
        self.screen.line(&self.screen.dim(&titles()));
    }

    fn cells(&self, step: u64, report: &StepReport, accuracy: Option<f64>) -> String {
        let number = |value: Option<f64>, digits| value.map_or("-".into(), |value| decimal(value, digits));
        let (policy, critic) = (report.policy.as_ref(), report.critic.as_ref());
        let policy_norm = policy.and_then(|policy| policy.grad_norm.mean());
        let cells = [
            format!("{step}/{}", self.total),
            number(report.rollout.rewards.mean(), 3),
            accuracy.map_or("-".into(), percent),
            number(report.rollout.response_tokens.mean(), 1),
            number(policy.and_then(|policy| policy.entropy.mean()), 3),
            number(report.credit.values.as_ref().and_then(|values| values.explained.value()), 3),
            policy.and_then(|policy| policy.clip_share()).map_or("-".into(), |share| format!("{:.2}%", 100.0 * share)),
            number(policy_norm.or(critic.and_then(|critic| critic.grad_norm.mean())), 3),
            short(report.throughput()),
            number(Some(report.timing.total_secs()), 2),
        ];
        let padded = cells.iter().zip(COLUMNS).enumerate().map(|(index, (cell, (_, width)))| {
            let text = format!("{cell:>width$}");
            if index == 2 && accuracy.is_some() { self.screen.bold(&text) } else { text }
        });
        padded.collect()
    }

    /// Prints warnings about a step right after it.
    fn complain(&self, report: &StepReport) {
        if let Some(share) = report.rollout.failed_share().filter(|&share| share > 0.0) {
            self.screen
                .warn(&format!("{} of the responses could not be graded and are left out of the loss", percent(share)));
        }
        if let Some(difference) = report.logp_diff_max().filter(|&difference| difference > 0.0) {
            self.screen.warn(&format!("sampled and recomputed log-probs differ by up to {difference:.1e}, expected 0"));
        }
    }

    /// The remaining time.
    fn time_left(&self) -> String {
        let steps = (self.total + 1).saturating_sub(self.step);
        self.forecast.secs(steps).map_or(String::new(), |secs| format!("about {} left", rough_duration(secs)))
    }
}

impl Observer for RunProgress {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Progress(progress) => {
                let prefix = if self.step == 0 { String::new() } else { format!("{}/{} ", self.step, self.total) };
                self.bar.show(&prefix, progress, &self.time_left());
            }
            Event::Evaluated { evaluation, .. } => self.accuracy = evaluation.accuracy(),
            Event::Step { step, total, report } => {
                self.total = total;
                self.print_step(step, report);
            }
            Event::Rollouts(_) => {}
            Event::Saved { path } => self.screen.line(&self.screen.dim(&format!("  saved {}", path.display()))),
            Event::Warning(text) => self.screen.warn(text),
        }
    }
}
