//! The display of a running study: a line per finished run and, in a terminal, a line per arm below them.

use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use vapo_study::{Job, JobState, Plan, Study};

use super::child::RunningJob;
use crate::{
    format::{percent, rough_duration},
    screen::Screen,
};

/// The lines.
pub(super) struct Board {
    screen: Screen,
    lines: MultiProgress,
    arms: Vec<ProgressBar>,
    total: ProgressBar,
    begun: Instant,
    /// Steps that were done when this session started.
    steps_before: u64,
    names_width: usize,
}

impl Board {
    pub(super) fn new(screen: &Screen, study: &Study, plan: &Plan) -> Self {
        let target =
            if screen.is_watched() { ProgressDrawTarget::stderr_with_hz(4) } else { ProgressDrawTarget::hidden() };
        let lines = MultiProgress::with_draw_target(target);
        let width = study.arms.iter().map(|arm| arm.name.len()).max().unwrap_or(0).max(5);
        let template = format!("  {{prefix:<{width}}} {{bar:20.cyan/dim}} {{msg}}");
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let style = style.progress_chars("━━─");
        let add = |name: &str| {
            let bar = lines.add(ProgressBar::new(1).with_style(style.clone()));
            bar.set_prefix(name.to_owned());
            bar
        };
        let arms = study.arms.iter().map(|arm| add(&arm.name)).collect();
        let total = add("all");
        let names_width = plan.jobs.iter().map(|job| job.name.len()).max().unwrap_or(0);
        let steps_before = plan.states().map_or(0, |states| steps(plan, &states, &[], |_| true).0);
        Self { screen: screen.clone(), lines, arms, total, begun: Instant::now(), steps_before, names_width }
    }

    /// Prints a line.
    pub(super) fn print(&self, text: &str) {
        self.lines.suspend(|| self.screen.line(text));
    }

    /// Reports a run that has ended.
    pub(super) fn ended(&self, plan: &Plan, states: &[JobState], running: &RunningJob) {
        let job = &plan.jobs[running.index];
        let runs = || plan.jobs.iter().zip(states).filter(|(job, _)| !job.is_pretraining);
        let ended = runs().filter(|(_, state)| matches!(state, JobState::Finished | JobState::Crashed(_))).count();
        let accuracy = running.accuracy.map_or("-".into(), percent);
        let what = match &states[running.index] {
            JobState::Finished => self.screen.dim(&format!("{:>6} steps", running.steps)),
            JobState::Crashed(reason) => self.screen.bad(&format!("crashed after {} steps: {reason}", running.steps)),
            _ => self.screen.dim(&format!("stopped after {} steps", running.steps)),
        };
        let line = format!("  {:<width$} {accuracy:>8} {what}", job.name, width = self.names_width);
        self.print(&format!("{line}   {ended}/{}", runs().count()));
    }

    /// Shows the progress of all arms.
    pub(super) fn show(&self, plan: &Plan, states: &[JobState], running: &[RunningJob]) {
        for (index, bar) in self.arms.iter().enumerate() {
            let own = |job: &Job| job.arm == index && !job.is_pretraining;
            let (done, all) = steps(plan, states, running, own);
            let runs = || plan.jobs.iter().zip(states).filter(|(job, _)| own(job));
            let ended = runs().filter(|(_, state)| matches!(state, JobState::Finished | JobState::Crashed(_))).count();
            let mut message = format!("{ended}/{}", runs().count());
            for run in running.iter().filter(|run| own(&plan.jobs[run.index])) {
                let accuracy = run.accuracy.map_or("-".into(), percent);
                message += &format!(", seed {}: step {} {accuracy}", plan.jobs[run.index].seed, run.steps);
            }
            bar.set_length(all.max(1));
            bar.set_position(done);
            bar.set_message(message);
        }
        let (done, all) = steps(plan, states, running, |_| true);
        let secs = self.begun.elapsed().as_secs_f64();
        let now = done.saturating_sub(self.steps_before);
        let left = secs / now.max(1) as f64 * all.saturating_sub(done) as f64;
        self.total.set_length(all.max(1));
        self.total.set_position(done);
        self.total.set_message(if now > 0 { format!("about {} left", rough_duration(left)) } else { String::new() });
    }

    /// Removes the lines of the arms.
    pub(super) fn clear(&self) {
        // Only the terminal can fail here, and then the lines are not visible.
        let _ = self.lines.clear();
    }
}

/// Steps done and planned in the jobs of a kind. Steps of a shared value pretraining count once, where they are done.
fn steps(plan: &Plan, states: &[JobState], running: &[RunningJob], kind: impl Fn(&Job) -> bool) -> (u64, u64) {
    let (mut done, mut all) = (0, 0);
    for (index, job) in plan.jobs.iter().enumerate().filter(|(_, job)| kind(job)) {
        let shared = if job.starts_from.is_some() { job.config.value_pretraining.steps } else { 0 };
        let own = job.steps() - shared;
        let at_work = running.iter().find(|running| running.index == index).map(|running| running.steps);
        all += own;
        done += match (&states[index], at_work) {
            (JobState::Finished | JobState::Crashed(_), _) => own,
            (_, Some(steps)) => steps.saturating_sub(shared).min(own),
            _ => 0,
        };
    }
    (done, all)
}
