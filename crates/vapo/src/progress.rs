//! A run while it works: a bar within a step, a line per step.

use std::collections::VecDeque;

use vapo_train::{Config, Event, Observer, Row};

use crate::{
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

/// Steps whose mean time the forecast is made of.
const FORECAST_STEPS: usize = 8;

/// Prints a run's events.
pub(crate) struct RunProgress {
    screen: Screen,
    bar: StageBar,
    pretraining_title: String,
    training_title: String,
    /// Whether the last printed step was one of value pretraining; none before the first.
    pretraining: Option<bool>,
    /// The step at work; 0 is the evaluation before the first.
    step: u64,
    total: u64,
    /// An evaluation whose step is not printed yet.
    accuracy: Option<f64>,
    step_secs: VecDeque<f64>,
}

impl RunProgress {
    /// `done`: steps of earlier sessions, none for a new run.
    pub(crate) fn new(screen: &Screen, config: &Config, done: Option<u64>) -> Self {
        let networks = if config.has_critic() { "critic and policy" } else { "the policy" };
        Self {
            screen: screen.clone(),
            bar: StageBar::new(screen),
            pretraining_title: "value pretraining: the critic learns to read the initial policy's answers".into(),
            training_title: format!("training {networks}"),
            pretraining: None,
            step: done.map_or(0, |done| done + 1),
            total: config.run.steps + config.value_pretraining.steps,
            accuracy: None,
            step_secs: VecDeque::new(),
        }
    }

    fn print_step(&mut self, row: &Row, total: u64) {
        self.total = total;
        let accuracy = self.accuracy.take();
        match row.get("training/value_pretraining") {
            None => {
                let accuracy = accuracy.map_or("not measured".into(), percent);
                self.screen.line(&format!("\n  held-out accuracy before training: {}", self.screen.bold(&accuracy)));
            }
            Some(flag) => {
                self.title(flag == 1.0);
                self.screen.line(&self.cells(row, accuracy));
                self.complain(row);
            }
        }
        if let Some(secs) = row.get("timing_s/step") {
            self.step_secs.push_back(secs);
            if self.step_secs.len() > FORECAST_STEPS {
                self.step_secs.pop_front();
            }
        }
        self.step = row.global_step().map_or(0, |step| step + 1);
        self.bar.spoken();
    }

    /// Prints the head of the table where a phase begins.
    fn title(&mut self, pretraining: bool) {
        if self.pretraining.replace(pretraining) == Some(pretraining) {
            return;
        }
        self.step_secs.clear();
        let title = if pretraining { &self.pretraining_title } else { &self.training_title };
        self.screen.line(&format!("\n  {}", self.screen.bold(title)));
        let names: String = COLUMNS.iter().map(|(name, width)| format!("{name:>width$}")).collect();
        self.screen.line(&self.screen.dim(&names));
    }

    fn cells(&self, row: &Row, accuracy: Option<f64>) -> String {
        let number = |key: &str, digits| row.get(key).map_or("-".into(), |value| decimal(value, digits));
        let grad_norm = if row.get("actor/grad_norm").is_some() { "actor/grad_norm" } else { "critic/grad_norm" };
        let cells = [
            format!("{}/{}", row.global_step().unwrap_or(0), self.total),
            number("critic/rewards/mean", 3),
            accuracy.map_or("-".into(), percent),
            number("response_length/mean", 1),
            number("actor/entropy", 3),
            number("critic/vf_explained_var", 3),
            row.get("actor/pg_clipfrac").map_or("-".into(), |share| format!("{:.2}%", 100.0 * share)),
            number(grad_norm, 3),
            row.get("perf/throughput").map_or("-".into(), short),
            number("timing_s/step", 2),
        ];
        let padded = cells.iter().zip(COLUMNS).enumerate().map(|(index, (cell, (_, width)))| {
            let text = format!("{cell:>width$}");
            if index == 2 && accuracy.is_some() { self.screen.bold(&text) } else { text }
        });
        padded.collect()
    }

    /// Says what should not be, right where it happened.
    fn complain(&self, row: &Row) {
        if let Some(share) = row.get("vapo/failed_frac").filter(|&share| share > 0.0) {
            self.screen.warn(&format!("{} of the responses could not be graded: left out of the loss", percent(share)));
        }
        if let Some(difference) = row.get("training/rollout_logp_diff_max").filter(|&difference| difference > 0.0) {
            self.screen.warn(&format!("sampled and recomputed log-probs differ by up to {difference:.1e}, expected 0"));
        }
    }

    /// How long the rest will take.
    fn forecast(&self) -> String {
        if self.step_secs.is_empty() {
            return String::new();
        }
        let mean = self.step_secs.iter().sum::<f64>() / self.step_secs.len() as f64;
        format!("about {} left", rough_duration(mean * (self.total + 1).saturating_sub(self.step) as f64))
    }
}

impl Observer for RunProgress {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Progress(progress) => {
                let prefix = if self.step == 0 { String::new() } else { format!("{}/{} ", self.step, self.total) };
                self.bar.show(&prefix, progress, &self.forecast());
            }
            Event::Evaluated { evaluation, .. } => self.accuracy = evaluation.accuracy(),
            Event::Step { row, total } => self.print_step(row, total),
            Event::Saved { path } => self.screen.line(&self.screen.dim(&format!("  saved {}", path.display()))),
            Event::Warning(text) => self.screen.warn(text),
        }
    }
}
