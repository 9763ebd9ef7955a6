//! Terminal output: lines, and below them a bar during work. If the output is not a terminal: plain lines without escape codes.

use std::{
    io::{IsTerminal, Write},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use console::Style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use vapo_train::{Progress, Stage};

use crate::format::{printable, short};

/// Without a bar, a stage that takes longer than this prints its progress.
const PLAIN_INTERVAL: Duration = Duration::from_secs(30);

/// Where a command's messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    /// A run: its lines are the output.
    Stdout,
    /// A command whose stdout holds a result: messages and bar go to stderr.
    Stderr,
    /// A rank for which the first one speaks.
    Nowhere,
}

/// Whether this process prints nothing but errors.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Lets this process print nothing but errors, because another rank of the same job speaks for it.
pub(crate) fn silence() {
    SILENT.store(true, Ordering::Relaxed);
}

/// What takes the terminal from the lines for a time, to draw something else on it.
pub(crate) trait Cover: Send + Sync {
    /// Keeps a line until the terminal is free again, or prints it if it is free now.
    fn line(&self, text: &str, print: &dyn Fn());

    /// Frees the terminal for good, and prints the lines that were kept.
    fn end(&self);
}

/// A command's output while it works.
#[derive(Clone)]
pub(crate) struct Screen {
    words: Words,
    styled: bool,
    bar: ProgressBar,
    cover: Arc<OnceLock<Arc<dyn Cover>>>,
}

impl Screen {
    /// For commands whose stdout is for people.
    pub(crate) fn for_words() -> Self {
        let watched = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        Self::new(Words::Stdout, watched && escapes_are_welcome())
    }

    /// For commands whose stdout holds a result.
    pub(crate) fn for_result() -> Self {
        Self::new(Words::Stderr, std::io::stderr().is_terminal() && escapes_are_welcome())
    }

    fn new(words: Words, styled: bool) -> Self {
        let (words, styled) = if SILENT.load(Ordering::Relaxed) { (Words::Nowhere, false) } else { (words, styled) };
        let bar = ProgressBar::with_draw_target(None, bar_target(styled));
        bar.set_style(
            ProgressStyle::with_template("  {prefix:<24} {bar:20.cyan/dim} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("━━─"),
        );
        Self { words, styled, bar, cover: Arc::default() }
    }

    /// Whether the output is a terminal that can redraw.
    pub(crate) fn is_watched(&self) -> bool {
        self.styled
    }

    /// Prints a line. Errors are ignored: a closed output must not end a run.
    pub(crate) fn line(&self, text: &str) {
        let text = text.trim_end();
        let print = || match self.words {
            Words::Stdout => drop(writeln!(std::io::stdout(), "{text}")),
            Words::Stderr => drop(writeln!(std::io::stderr(), "{text}")),
            Words::Nowhere => {}
        };
        // A bar that was never shown has no length; `suspend` would draw it.
        let is_shown = self.bar.length().is_some() && !self.bar.is_finished();
        let print = || if is_shown { self.bar.suspend(print) } else { print() };
        match self.cover.get() {
            Some(cover) => cover.line(text, &print),
            None => print(),
        }
    }

    /// Prints a prompt for input, if the output is a terminal.
    pub(crate) fn ask(&self, text: &str) {
        if std::io::stdin().is_terminal() {
            eprint!("{}", self.bold(text));
        }
    }

    /// Removes what is drawn over the lines and below them: only lines follow.
    pub(crate) fn clear(&self) {
        if let Some(cover) = self.cover.get() {
            cover.end();
        }
        if self.bar.length().is_some() {
            self.bar.finish_and_clear();
        }
    }

    /// A headline.
    pub(crate) fn bold(&self, text: &str) -> String {
        self.styled_as(Style::new().bold(), text)
    }

    /// Secondary information.
    pub(crate) fn dim(&self, text: &str) -> String {
        self.styled_as(Style::new().dim(), text)
    }

    /// Good news.
    pub(crate) fn good(&self, text: &str) -> String {
        self.styled_as(Style::new().green(), text)
    }

    /// Bad news.
    pub(crate) fn bad(&self, text: &str) -> String {
        self.styled_as(Style::new().red(), text)
    }

    /// Prints a warning.
    pub(crate) fn warn(&self, text: &str) {
        self.line(&self.warning(&format!("  warning: {}", printable(text))));
    }

    /// A warning's style.
    pub(crate) fn warning(&self, text: &str) -> String {
        self.styled_as(Style::new().yellow(), text)
    }

    fn styled_as(&self, style: Style, text: &str) -> String {
        if self.styled { style.force_styling(true).apply_to(text).to_string() } else { text.to_string() }
    }

    /// Width of the terminal in columns.
    pub(crate) fn width(&self) -> usize {
        let columns = if self.styled { usize::from(console::Term::stdout().size().1) } else { 100 };
        columns.clamp(60, 120)
    }
}

/// What the live screen needs.
#[cfg(feature = "screen")]
impl Screen {
    /// Gives the terminal to a cover; false if it has one.
    pub(crate) fn cover(&self, cover: Arc<dyn Cover>) -> bool {
        self.cover.set(cover).is_ok()
    }

    /// Draws the bar, or not.
    pub(crate) fn show_bar(&self, shown: bool) {
        if !shown && self.bar.length().is_some() {
            self.bar.finish_and_clear();
        }
        self.bar.set_draw_target(bar_target(shown));
    }
}

fn bar_target(shown: bool) -> ProgressDrawTarget {
    if shown { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() }
}

/// <https://no-color.org>, and terminals without escape codes.
fn escapes_are_welcome() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Since when a stage has been at work.
pub(crate) struct StageClock {
    stage: Option<Stage>,
    begun: Instant,
}

impl StageClock {
    pub(crate) fn new() -> Self {
        Self { stage: None, begun: Instant::now() }
    }

    /// Notes progress: another stage, or the same one from its start, begins now.
    pub(crate) fn note(&mut self, progress: Progress, now: Instant) {
        if self.stage != Some(progress.stage) || progress.done == 0 {
            (self.stage, self.begun) = (Some(progress.stage), now);
        }
    }

    /// What comes next begins a stage, even if it is the same one.
    pub(crate) fn reset(&mut self) {
        self.stage = None;
    }

    /// Seconds since the stage began.
    pub(crate) fn secs(&self, now: Instant) -> f64 {
        now.duration_since(self.begun).as_secs_f64()
    }

    /// Tokens per second; `None` if there are none, or too early.
    pub(crate) fn rate(&self, progress: Progress, now: Instant) -> Option<f64> {
        let secs = self.secs(now);
        (progress.tokens > 0 && secs > 0.2).then(|| progress.tokens as f64 / secs)
    }
}

/// Shows the progress of a stage.
pub(crate) struct StageBar {
    screen: Screen,
    clock: StageClock,
    last_line: Instant,
}

impl StageBar {
    pub(crate) fn new(screen: &Screen) -> Self {
        Self { screen: screen.clone(), clock: StageClock::new(), last_line: Instant::now() }
    }

    /// Shows progress after `prefix`, with `note` after the rate.
    pub(crate) fn show(&mut self, prefix: &str, progress: Progress, note: &str) {
        let now = Instant::now();
        self.clock.note(progress, now);
        let mut message = format!("{}/{}", progress.done, progress.total);
        if let Some(rate) = self.clock.rate(progress, now) {
            message += &format!(", {} tok/s", short(rate));
        }
        if !note.is_empty() {
            message += &format!(", {note}");
        }
        let title = format!("{prefix}{}", progress.stage.name());
        if self.screen.styled {
            let bar = &self.screen.bar;
            if bar.is_finished() {
                bar.reset();
            }
            // The texts first: the length makes the bar visible.
            bar.set_prefix(title);
            bar.set_message(message);
            bar.set_length(progress.total as u64);
            bar.set_position(progress.done as u64);
        } else if now.duration_since(self.last_line) >= PLAIN_INTERVAL {
            self.screen.line(&format!("  {title}: {message}"));
            self.last_line = now;
        }
    }

    /// Notes that a line was printed: the next progress line is due from here.
    pub(crate) fn spoken(&mut self) {
        self.last_line = Instant::now();
        self.clock.reset();
    }
}
