//! Grades a file with the math verifier and reports the speed: `cargo run --release -p vapo-tasks --example math_score -- FILE`.
//!
//! Each row is a JSON object with `gold` and `pred` or `response`. Prints one verdict per row (`1`, `0`, or `m` for an
//! unreadable answer), then, to stderr, the rows per second of the best of five passes.

use std::time::{Duration, Instant};

use vapo_tasks::Verdict;
use vapo_tasks::math::{self, Rounding, Rule};

const PASSES: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: math_score FILE.jsonl")?;
    let text = std::fs::read_to_string(path)?;
    let rows = text.lines().map(serde_json::from_str).collect::<Result<Vec<serde_json::Value>, _>>()?;
    let field = |row: &serde_json::Value, names: &[&str]| {
        let found = names.iter().find_map(|name| row.get(name)?.as_str());
        found.unwrap_or_default().to_owned()
    };
    let pairs: Vec<(String, String)> =
        rows.iter().map(|row| (field(row, &["gold"]), field(row, &["pred", "response"]))).collect();
    let mut fastest = Duration::MAX;
    let mut verdicts = String::new();
    for _ in 0..PASSES {
        let start = Instant::now();
        verdicts = pairs
            .iter()
            .map(|(gold, answer)| symbol(&math::grade(Rule::Auto, Rounding::Strict, gold, answer)))
            .collect();
        fastest = fastest.min(start.elapsed());
    }
    for verdict in verdicts.chars() {
        println!("{verdict}");
    }
    eprintln!("{:.0} rows per second", pairs.len() as f64 / fastest.as_secs_f64());
    Ok(())
}

fn symbol(verdict: &Verdict) -> char {
    match verdict {
        Verdict::Graded { correct: true, .. } => '1',
        Verdict::Graded { .. } => '0',
        Verdict::Malformed { .. } => 'm',
        Verdict::Failed { .. } => 'f',
    }
}
