//! What looking at the records of a long run costs: `cargo bench -p vapo-view --bench rollouts`.
//!
//! Writes synthetic records with the writer of a real run, into the directory for temporary files (TMPDIR), and prints for
//! each run what opening it adds to the resident memory, and the time of queries: of the first one, and the median of further
//! ones with, in brackets, the processor time of all threads, which other programs change little. Files are in the memory of
//! the operating system when they are read.

#[path = "../src/rollouts/synthetic.rs"]
mod synthetic;

use std::time::Instant;

use synthetic::{Shape, write_records};
use vapo_train::{Usage, resident_memory};
use vapo_view::{
    CriticView, Rollouts,
    rollouts::{Query, Sort},
};

/// Queries after the first.
const ROUNDS: u64 = 7;
const SHORT_ANSWERS: Shape = Shape { prompts: 16, group_size: 16, tokens: 42 };
/// Answers whose texts do not fit into the memory for texts.
const LONG_ANSWERS: Shape = Shape { prompts: 16, group_size: 16, tokens: 400 };

fn main() {
    measure("1,000 steps x 256 rollouts of 42 tokens", 1000, SHORT_ANSWERS);
    measure("400 steps x 256 rollouts of 42 tokens", 400, SHORT_ANSWERS);
    measure("400 steps x 256 rollouts of 400 tokens", 400, LONG_ANSWERS);
}

fn measure(title: &str, steps: u64, shape: Shape) {
    let root = tempfile::tempdir().expect("a temporary directory");
    let run = write_records(root.path(), 1..steps + 1, shape);
    let before = memory();
    let (open, mut rollouts) = timed(|| Rollouts::open(&run).expect("readable records"));
    println!("\n{title}\n  {:22}  {open}   {:.0} MB more in memory", "open", memory() - before);
    assert_eq!(rollouts.steps().len() as u64, steps);
    let (refresh, changed) = timed(|| rollouts.refresh().expect("a readable directory"));
    println!("  {:22}  {refresh}", "refresh, nothing new");
    assert!(!changed);

    let text = |text: &str| Query { text: Some(text.into()), ..Query::default() };
    let wrong = Query { verdict: Some("wrong".into()), length_min: Some(30), ..Query::default() };
    let sorted = Query { sort: Sort::Length, descending: true, ..Query::default() };
    for (name, query) in [
        ("first page", Query::default()),
        ("verdict and length", wrong),
        ("sorted by length", sorted),
        ("text that is common", text("seven and")),
        ("text that is nowhere", text("no such words")),
        ("text with umlauts", text("äpfel")),
        ("sorted by mean value", Query { sort: Sort::MeanValue, ..Query::default() }),
    ] {
        let (first, page) = timed(|| rollouts.query(&query));
        let further = median(|_| drop(rollouts.query(&query)));
        assert_eq!(page.notes, [""; 0]);
        println!("  {name:22}  {first}  then {further}   {} of {}", page.total, page.of);
    }
    let group = median(|round| drop(rollouts.group(round, 16 * round).expect("a recorded group")));
    let response = median(|round| drop(rollouts.response(round, 255).expect("a recorded response")));
    let critic = median(|round| {
        drop(CriticView::of(|_| Vec::new(), &rollouts, Some(round), [0.0, 1.0]).expect("a recorded step"));
    });
    for (name, time) in
        [("a group's 16 responses", group), ("one response", response), ("calibration of a step", critic)]
    {
        println!("  {name:22}  {time}");
    }
    println!("  {:22}  {:.0} MB more", "in memory at the end", memory() - before);
}

/// Milliseconds on the clock and of the processor.
#[derive(Clone, Copy)]
struct Time {
    wall: f64,
    processor: f64,
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:6.1} ms ({:6.1})", self.wall, self.processor)
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (Time, T) {
    let (begun, before) = (Instant::now(), Usage::now());
    let result = work();
    let (wall, processor) = (begun.elapsed().as_secs_f64(), Usage::now().cpu_secs - before.cpu_secs);
    (Time { wall: 1e3 * wall, processor: 1e3 * processor }, result)
}

/// The median of some rounds, numbered from 1.
fn median(mut work: impl FnMut(u64)) -> Time {
    let mut times: Vec<Time> = (1..=ROUNDS).map(|round| timed(|| work(round)).0).collect();
    let mut middle = |of: fn(&Time) -> f64| {
        times.sort_by(|a, b| of(a).total_cmp(&of(b)));
        of(&times[times.len() / 2])
    };
    Time { wall: middle(|time| time.wall), processor: middle(|time| time.processor) }
}

/// Resident memory in MB.
fn memory() -> f64 {
    resident_memory().map_or(f64::NAN, |bytes| bytes as f64 / 1e6)
}
