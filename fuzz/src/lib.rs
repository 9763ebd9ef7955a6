//! The fuzz targets: functions that take any bytes and assert what must hold of every input.
//!
//! Each has a program for libFuzzer in `fuzz_targets` and its inputs in `corpus`, both under its name. The tests of this
//! crate replay the corpus, and mutations of it, without libFuzzer.

mod targets;

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A target.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("chat_template", targets::chat_template),
    ("checkpoint", targets::checkpoint),
    ("config", targets::config),
    ("event_files", targets::event_files),
    ("gguf", targets::gguf),
    ("jsonl", targets::jsonl),
    ("math", targets::math),
    ("metrics", targets::metrics),
    ("model_directory", targets::model_directory),
    ("parquet", targets::parquet),
    ("run_directory", targets::run_directory),
    ("score_rows", targets::score_rows),
    ("study", targets::study),
    ("tokenizer", targets::tokenizer),
    ("verifier_protocol", targets::verifier_protocol),
    ("verifier_texts", targets::verifier_texts),
];

/// Processor time that an input may take, with the sanitizer.
const LONGEST: Duration = Duration::from_secs(2);

/// Where and why a thread panicked last while a target ran.
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());
static RUNNING: AtomicBool = AtomicBool::new(false);

/// Runs a target on an input and panics if it does, or if it takes too long.
///
/// # Panics
/// An assertion of the target does not hold, or there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no target `{name}`"));
    static HOOK: Once = Once::new();
    HOOK.call_once(remember_panics);
    let begun = processor_time();
    RUNNING.store(true, Ordering::Relaxed);
    let outcome = catch_unwind(|| target(data));
    RUNNING.store(false, Ordering::Relaxed);
    let taken = processor_time() - begun;
    if outcome.is_err() {
        panic!("{name}: {}", LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner));
    }
    assert!(taken <= LONGEST, "{name}: {taken:?} of processor time, expected at most {LONGEST:?}");
}

/// Keeps panics of targets silent. libFuzzer's own hook would end the process at each, also at those of other crates that
/// ours catch.
fn remember_panics() {
    let outside = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if RUNNING.load(Ordering::Relaxed) {
            *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
        } else {
            outside(panic);
        }
    }));
}

/// Of all threads of this process.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a clock of every Linux").into()
}

#[cfg(test)]
mod replay;
