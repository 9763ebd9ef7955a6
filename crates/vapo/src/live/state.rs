//! What the live screen shows: a plain value, updated by the events of a run and by keys.

use std::time::{Duration, Instant};

use vapo_train::{Event, Phase, Progress, Row, Run, Stage, metrics::keys as metric, report::StepReport};

use super::{
    answer::{Answers, Quantity},
    curve::Curve,
    keys::Key,
};
use crate::{
    forecast::Forecast,
    format::{decimal, printable, short},
    screen::StageClock,
};

/// For so long an answer stays, so that it can be read; short steps have newer ones.
const ANSWER_STAYS: Duration = Duration::from_secs(4);
/// Warnings that are kept.
const MAX_WARNINGS: usize = 100;

/// What a curve shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    Accuracy,
    Reward,
    Length,
    Entropy,
    /// Only with a critic.
    ExplainedVariance,
}

impl Measure {
    pub(crate) const ALL: [Self; 5] =
        [Self::Accuracy, Self::Reward, Self::Length, Self::Entropy, Self::ExplainedVariance];

    /// Its name, and a short one as in the table of steps.
    pub(crate) fn names(self) -> [&'static str; 2] {
        match self {
            Self::Accuracy => ["held-out accuracy", "accuracy"],
            Self::Reward => ["reward", "reward"],
            Self::Length => ["response length", "length"],
            Self::Entropy => ["entropy", "entropy"],
            Self::ExplainedVariance => ["explained variance", "expl.var"],
        }
    }

    pub(crate) fn format(self, value: f64) -> String {
        match self {
            Self::Accuracy => format!("{}%", decimal(100.0 * value, 1)),
            Self::Length => decimal(value, 1),
            _ => decimal(value, 3),
        }
    }

    /// The same for a scale, with fewer digits.
    pub(crate) fn short(self, value: f64) -> String {
        match self {
            Self::Accuracy => format!("{}%", decimal(100.0 * value, 0)),
            Self::Length => short(value),
            _ => decimal(value, 2),
        }
    }

    fn of_row(self, row: &Row) -> Option<f64> {
        match self {
            Self::Accuracy => row.accuracy(),
            Self::Reward => row.get(metric::REWARDS.mean),
            Self::Length => row.get(metric::RESPONSE_LENGTH.mean),
            Self::Entropy => row.get(metric::ENTROPY),
            Self::ExplainedVariance => row.get(metric::EXPLAINED_VARIANCE),
        }
    }

    fn of_report(self, report: &StepReport) -> Option<f64> {
        match self {
            // Evaluations are events of their own.
            Self::Accuracy => None,
            Self::Reward => report.rollout.rewards.mean(),
            Self::Length => report.rollout.response_tokens.mean(),
            Self::Entropy => report.policy.as_ref()?.entropy.mean(),
            Self::ExplainedVariance => report.credit.values.as_ref()?.explained.value(),
        }
    }
}

/// The stage at work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AtWork {
    pub(crate) progress: Progress,
    /// Tokens per second.
    pub(crate) rate: Option<f64>,
}

/// Everything that is drawn, except the run's lines.
pub(crate) struct State {
    /// Directory and method.
    pub(crate) title: String,
    pub(crate) curves: Vec<(Measure, Curve)>,
    /// The last finished step, and the planned ones.
    pub(crate) step: u64,
    pub(crate) total: u64,
    pub(crate) phase: Option<Phase>,
    pub(crate) at_work: Option<AtWork>,
    /// Steps with warnings, the oldest first.
    pub(crate) warnings: Vec<(u64, String)>,
    pub(crate) answers: Option<Answers>,
    /// Which answer is shown, how it is colored, and lines of it above its pane.
    pub(crate) chosen: usize,
    pub(crate) quantity: Quantity,
    pub(crate) scrolled: usize,
    /// Whether newer answers do not replace it.
    pub(crate) is_held: bool,
    answers_since: Instant,
    step_begun: Instant,
    stage: StageClock,
    forecast: Forecast,
}

impl State {
    /// The state of a run before this session's first step; earlier sessions have left rows.
    pub(crate) fn of(run: &Run, now: Instant) -> Self {
        let config = run.config();
        let title = format!("{}  {}", run.directory().path().display(), config.algorithm.preset);
        let total = config.run.steps + config.value_pretraining.steps;
        let mut state = Self::new(&title, config.has_critic(), total, now);
        // Rows that cannot be read are missing in the curves; the run itself has complained about them.
        run.directory().rows().into_iter().flatten().flatten().for_each(|row| state.remember(&row));
        state
    }

    pub(crate) fn new(title: &str, has_critic: bool, total: u64, now: Instant) -> Self {
        let measures = Measure::ALL.into_iter().filter(|&one| has_critic || one != Measure::ExplainedVariance);
        Self {
            title: printable(title),
            curves: measures.map(|measure| (measure, Curve::default())).collect(),
            step: 0,
            total,
            phase: None,
            at_work: None,
            warnings: Vec::new(),
            answers: None,
            chosen: 0,
            quantity: Quantity::Advantage,
            scrolled: 0,
            is_held: false,
            answers_since: now,
            step_begun: now,
            stage: StageClock::new(),
            forecast: Forecast::default(),
        }
    }

    /// Takes a row of an earlier session.
    pub(crate) fn remember(&mut self, row: &Row) {
        self.step = row.global_step().unwrap_or(self.step);
        self.curves.iter_mut().for_each(|(measure, curve)| curve.push(self.step, measure.of_row(row)));
    }

    /// Takes an event of the run.
    pub(crate) fn note(&mut self, event: &Event<'_>, now: Instant) {
        match event {
            Event::Progress(progress) => {
                self.stage.note(*progress, now);
                self.at_work = Some(AtWork { progress: *progress, rate: self.stage.rate(*progress, now) });
            }
            Event::Evaluated { step, evaluation } => self.add(Measure::Accuracy, *step, evaluation.accuracy()),
            Event::Step { step, total, report } => {
                (self.step, self.total, self.step_begun) = (*step, *total, now);
                self.stage.reset();
                if let Some(report) = report {
                    self.note_report(report);
                }
            }
            Event::Warning(text) => {
                self.warnings.push((self.step + 1, printable(text)));
                let surplus = self.warnings.len().saturating_sub(MAX_WARNINGS);
                self.warnings.drain(..surplus);
            }
            Event::Rollouts(_) | Event::Saved { .. } => {}
        }
    }

    fn note_report(&mut self, report: &StepReport) {
        if self.phase.replace(report.phase) != Some(report.phase) {
            self.forecast = Forecast::default();
        }
        self.forecast.note(report.timing.total_secs());
        Measure::ALL.into_iter().for_each(|measure| self.add(measure, self.step, measure.of_report(report)));
    }

    fn add(&mut self, measure: Measure, step: u64, value: Option<f64>) {
        if let Some((_, curve)) = self.curves.iter_mut().find(|(other, _)| *other == measure) {
            curve.push(step, value);
        }
    }

    /// Whether answers of a new step would be shown.
    pub(crate) fn wants_answers(&self, now: Instant) -> bool {
        let had_time = now.duration_since(self.answers_since) >= ANSWER_STAYS;
        self.answers.is_none() || (had_time && !self.is_held)
    }

    /// Shows the answers of a new step, unless it has none.
    pub(crate) fn show_answers(&mut self, answers: Option<Answers>, now: Instant) {
        if let Some(answers) = answers {
            (self.scrolled, self.answers_since) = (0, now);
            if !answers.have(self.quantity) {
                self.quantity = Quantity::Advantage;
            }
            self.answers = Some(answers);
        }
    }

    /// Takes a key that changes what is shown.
    pub(crate) fn press(&mut self, key: Key, now: Instant) {
        let Some(answers) = &self.answers else { return };
        // Who looks at an answer keeps it for a while.
        self.answers_since = now;
        let count = answers.answers.len();
        match key {
            Key::Next => (self.chosen, self.scrolled) = ((self.chosen + 1) % count, 0),
            Key::Previous => (self.chosen, self.scrolled) = ((self.chosen + count - 1) % count, 0),
            Key::Down => self.scrolled += 1,
            Key::Up => self.scrolled = self.scrolled.saturating_sub(1),
            Key::Quantity => {
                let all = Quantity::ALL.into_iter().cycle().skip(self.quantity as usize + 1);
                self.quantity = all.take(4).find(|&quantity| answers.have(quantity)).unwrap_or(self.quantity);
            }
            Key::Hold => self.is_held = !self.is_held,
            Key::Leave | Key::Redraw => {}
        }
    }

    /// Seconds that the step still needs: its stage if it is the evaluation or no step is known, otherwise what steps take.
    pub(crate) fn step_secs_left(&self, now: Instant) -> Option<f64> {
        let progress = self.at_work?.progress;
        match self.forecast.secs(1) {
            Some(secs) if progress.stage != Stage::Evaluation => {
                Some((secs - now.duration_since(self.step_begun).as_secs_f64()).max(0.0))
            }
            _ if progress.done == 0 => None,
            _ => {
                Some(self.stage.secs(now) * progress.total.saturating_sub(progress.done) as f64 / progress.done as f64)
            }
        }
    }

    /// Seconds that the run still needs.
    pub(crate) fn run_secs_left(&self, now: Instant) -> Option<f64> {
        let secs = self.forecast.secs(self.total.saturating_sub(self.step))?;
        Some((secs - now.duration_since(self.step_begun).as_secs_f64().min(self.forecast.secs(1)?)).max(0.0))
    }
}
