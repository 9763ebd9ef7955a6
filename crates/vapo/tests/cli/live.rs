//! The live screen in a real terminal: tmux shows it, presses keys, and tells what is on it.

use std::{
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::program::{Place, weights, without_times};

/// For so long something may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// A run that does not end by itself, with an evaluation now and then.
const LONG: &str = "train tiny.toml --set run.steps=100000 --set eval.every=5";
/// What takes the whole terminal.
const TAKEN: &str = "\x1b[?1049h";

/// A shell in a terminal, in a directory with `tiny.toml`.
struct Terminal {
    place: Place,
}

impl Terminal {
    /// `None`, with a message, where tmux is missing.
    fn open(columns: u16, rows: u16) -> Option<Self> {
        if Command::new("tmux").arg("-V").stdout(Stdio::null()).status().is_err() {
            eprintln!("skipped: tmux is not installed");
            return None;
        }
        let terminal = Self { place: Place::new() };
        let size = [columns, rows].map(|number| number.to_string());
        terminal.tmux(&["new-session", "-d", "-x", &size[0], "-y", &size[1], "env -u ENV PS1='$ ' sh -i"]);
        let log = terminal.place.path("output");
        terminal.tmux(&["pipe-pane", &format!("cat >> '{}'", log.display())]);
        terminal.wait("a prompt", |shown| shown.contains('$'));
        Some(terminal)
    }

    fn tmux(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-u").arg("-S").arg(self.place.path("socket")).args(["-f", "/dev/null"]).args(args);
        command.current_dir(self.place.path("")).env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR").env_remove("TMUX");
        let output = command.output().unwrap();
        assert!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Types a command line.
    fn enter(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.press("Enter");
    }

    /// Runs vapo, and prints its exit code.
    fn vapo(&self, args: &str) {
        self.enter(&format!("'{}' {args}; echo code=$?", env!("CARGO_BIN_EXE_vapo")));
    }

    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// What is on the terminal.
    fn shown(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// The same with what has been scrolled away; lines that were too long for the terminal are joined.
    fn all(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-J", "-S", "-"])
    }

    /// Whether a program has taken the whole terminal.
    fn is_taken(&self) -> bool {
        self.tmux(&["display-message", "-p", "#{alternate_on}"]).trim() == "1"
    }

    fn wait(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        self.wait_for(what, || Some(self.shown()).filter(|shown| is_there(shown)))
    }

    fn wait_for<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "no {what} on\n{}", self.shown());
            sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the live screen with an answer.
    fn wait_for_screen(&self) -> String {
        let shown = self.wait("live screen", |shown| shown.contains("q lines") && shown.contains("reference"));
        assert!(self.is_taken());
        shown
    }

    /// Waits for the end of a command; everything that was printed.
    fn wait_for_code(&self, code: i32) -> String {
        self.wait("exit code", |shown| output_of(shown).any(|line| line.starts_with("code=")));
        let all = self.all();
        let is_code = |line: &str| line == format!("code={code}");
        assert!(!self.is_taken() && output_of(&all).any(is_code), "expected {code}:\n{all}");
        self.enter("clear");
        all
    }

    /// The settings of the terminal, as the shell has them.
    fn modes(&self, name: &str) -> String {
        self.enter(&format!("stty -g > {name}; echo known"));
        self.wait("settings", |shown| output_of(shown).any(|line| line == "known"));
        self.enter("clear");
        self.place.read(name)
    }
}

/// The lines on a terminal, without the prompt: what is typed before the prompt is there is echoed above it, and then the
/// output stands behind it.
fn output_of(shown: &str) -> impl Iterator<Item = &str> {
    shown.lines().map(|line| line.strip_prefix("$ ").unwrap_or(line))
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let socket = self.place.path("socket");
        drop(Command::new("tmux").arg("-S").arg(socket).arg("kill-server").stderr(Stdio::null()).status());
    }
}

/// The numbers of the steps whose lines are in a text: `3/100`, and what was measured.
fn steps(text: &str) -> Vec<u64> {
    let number = |line: &str| {
        let mut words = line.split_whitespace();
        let (step, _) = words.next()?.split_once('/')?;
        words.next()?.parse::<f64>().ok()?;
        step.parse().ok()
    };
    text.lines().filter_map(number).collect()
}

#[test]
fn the_screen_is_drawn_and_left_with_all_lines_in_the_scrollback() {
    let Some(terminal) = Terminal::open(80, 24) else { return };
    let modes = terminal.modes("before");
    terminal.vapo(LONG);
    let shown = terminal.wait_for_screen();
    for words in ["vapo  run  vapo", "accuracy", "reward", "length", "entropy", "expl.var", "answer 1/8", "step"] {
        assert!(shown.contains(words), "no {words:?} on\n{shown}");
    }
    assert!(shown.lines().last().unwrap().starts_with("q lines"), "{shown}");
    terminal.wait("a curve", |shown| shown.chars().filter(|c| ('\u{2801}'..='\u{28ff}').contains(c)).count() > 10);

    terminal.press("Tab");
    terminal.wait("values", |shown| shown.contains("value "));
    terminal.press("Right");
    terminal.wait("the next answer", |shown| shown.contains("answer 2/8"));
    for (columns, rows) in [(60, 15), (20, 5), (120, 40)] {
        terminal.resize(columns, rows);
        let is_fitted = |shown: &str| {
            let last = shown.lines().nth(usize::from(rows) - 1).unwrap_or_default();
            shown.contains("step ") && (rows < 8 || last.starts_with("q lines"))
        };
        let shown = terminal.wait("resized screen", is_fitted);
        assert!(shown.lines().all(|line| line.chars().count() <= columns.into()), "{shown}");
    }

    terminal.press("q");
    terminal.wait_for("lines", || (!terminal.is_taken()).then_some(()));
    let left = steps(&terminal.all()).len();
    terminal.wait_for("newer lines", || (steps(&terminal.all()).len() > left).then_some(()));
    terminal.press("C-c");
    let all = terminal.wait_for_code(75);
    let steps = steps(&all);
    assert!(steps.len() > left && (1..).zip(&steps).all(|(number, step)| number == *step), "{steps:?}\n{all}");
    for words in [
        "  task     chain (built-in",
        "held-out accuracy before training",
        "  value pretraining: the critic learns",
        "  training critic and policy",
        "stopping: a checkpoint will be written",
        "continue with vapo resume run",
    ] {
        assert_eq!(all.matches(words).count(), 1, "{words:?} in\n{all}");
    }
    assert_eq!(terminal.modes("after"), modes);

    // No evaluation is due: what the screen shows of it comes from the session before.
    terminal.vapo("resume run --set eval.every=off");
    let shown = terminal.wait_for_screen();
    let accuracy = shown.split("accuracy").nth(1).unwrap();
    assert!(accuracy.split_whitespace().next().is_some_and(|value| value.ends_with('%')), "{shown}");
    terminal.press("C-c");
    let resumed = terminal.wait_for_code(75);
    assert!(resumed.contains("resuming after step") && resumed.contains("continue with"), "{resumed}");
}

/// What is in the scrollback after a run is what a pipe gets, and the screen changes no result.
#[test]
fn a_run_leaves_the_lines_that_it_prints_without_a_screen() {
    let Some(terminal) = Terminal::open(100, 30) else { return };
    let plain = terminal.place.vapo(&["train", "tiny.toml", "--run-dir", "plain"]).ok();
    terminal.vapo("train tiny.toml");
    let all = terminal.wait_for_code(0);
    assert!(terminal.place.read("output").contains(TAKEN));
    // Without what depends on time: the first words of all lines, and what a step has measured.
    let facts = |text: &str| -> Vec<String> {
        let lines = text.lines().skip_while(|line| !line.starts_with("vapo ")).filter(|line| !line.is_empty());
        let lines = lines.take_while(|line| !line.starts_with("code="));
        let fact = |line: &str| match steps(line).first() {
            Some(_) => line[..66].to_string(),
            None => line.split_whitespace().next().unwrap().to_string(),
        };
        lines.map(fact).collect()
    };
    // Stages that took hardly any time are not listed.
    let listed = |facts: Vec<String>| -> Vec<String> {
        let ends = facts.iter().position(|fact| fact == "time:").unwrap();
        facts[..ends].to_vec()
    };
    assert_eq!(listed(facts(&all)), listed(facts(&plain)), "{all}\n{plain}");
    assert!(all.contains("vapo generate --model run"), "{all}");
    let results = |run: &str| {
        let rows = terminal.place.rows(&format!("{run}/metrics.jsonl"));
        (
            rows.iter().map(without_times).collect::<Vec<_>>(),
            weights(&terminal.place.path(run).join("checkpoints/step-000003")),
        )
    };
    assert!(results("run") == results("plain"), "the screen has changed results");
}

#[test]
fn pipes_plain_runs_and_simple_terminals_get_lines() {
    let Some(terminal) = Terminal::open(100, 30) else { return };
    let vapo = env!("CARGO_BIN_EXE_vapo");
    let tiny = "train tiny.toml --set value_pretraining.steps=0 --set run.steps=1 --run-dir";
    terminal.enter(&format!("'{vapo}' {tiny} a --plain; '{vapo}' {tiny} b | cat; '{vapo}' {tiny} c 2> err"));
    terminal.enter(&format!("NO_COLOR=1 '{vapo}' {tiny} d; TERM=dumb '{vapo}' {tiny} e; echo code=$?"));
    let all = terminal.wait_for_code(0);
    assert_eq!(steps(&all), [1; 5], "{all}");
    assert!(!terminal.place.read("output").contains(TAKEN));
}

#[test]
fn the_shell_gets_the_terminal_of_a_stopped_run_and_of_a_failed_one() {
    let Some(terminal) = Terminal::open(80, 24) else { return };
    let modes = terminal.modes("before");
    terminal.vapo(LONG);
    terminal.wait_for_screen();
    terminal.press("C-z");
    terminal.wait_for("shell", || (!terminal.is_taken()).then_some(()));
    terminal.wait("stopped job", |shown| shown.contains("Stopped"));
    assert!(!steps(&terminal.all()).is_empty(), "{}", terminal.all());
    assert_eq!(terminal.modes("stopped"), modes);
    terminal.enter("fg");
    terminal.wait_for_screen();
    std::fs::remove_dir_all(terminal.place.path("run")).unwrap();
    terminal.wait("error", |shown| shown.contains("error: the run in run ended early"));
    assert!(!terminal.is_taken());
    assert_eq!(terminal.modes("after"), modes);
}

/// Whoever closes a terminal stops the run with a checkpoint, unless it was started to outlive the terminal.
#[test]
fn a_closed_terminal_does_not_hold_a_run() {
    let Some(terminal) = Terminal::open(80, 24) else { return };
    terminal.vapo(LONG);
    terminal.wait_for_screen();
    terminal.tmux(&["kill-server"]);
    let is_stopped =
        || terminal.place.vapo(&["doctor", "run"]).code == Some(0) && has_checkpoint(&terminal.place, "run");
    let begun = Instant::now();
    while !is_stopped() {
        assert!(begun.elapsed() < PATIENCE, "no checkpoint");
        sleep(Duration::from_millis(100));
    }

    let Some(terminal) = Terminal::open(80, 24) else { return };
    terminal.enter("trap '' HUP");
    terminal.vapo("train tiny.toml --set run.steps=60 --set eval.every=off");
    terminal.wait_for_screen();
    terminal.tmux(&["kill-server"]);
    let begun = Instant::now();
    while !terminal.place.path("run/summary.json").exists() {
        assert!(begun.elapsed() < PATIENCE, "the run has not ended");
        sleep(Duration::from_millis(100));
    }
}

fn has_checkpoint(place: &Place, run: &str) -> bool {
    std::fs::read_dir(place.path(run).join("checkpoints")).is_ok_and(|mut entries| entries.next().is_some())
}
