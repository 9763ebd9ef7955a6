//! How long a list of a thousand runs takes: `cargo bench -p vapo-view --bench runs`.

use std::{fs, path::Path, time::Instant};

use vapo_train::Config;
use vapo_view::Runs;

const RUNS: usize = 1000;
const STEPS: usize = 75;
/// Metrics in a row, about as many as a run with a critic has.
const METRICS: usize = 120;

fn main() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let bytes = write_runs(root.path());
    println!("{RUNS} runs of {STEPS} steps, {:.0} MB of metrics", bytes as f64 / 1e6);
    let begun = Instant::now();
    let runs = Runs::open(root.path()).expect("the directory exists");
    let count = runs.list().expect("the runs are there").len();
    println!("  listed for the first time: {:.2} s ({count} runs)", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    runs.list().expect("the runs are there");
    println!("  and again: {:.3} s", begun.elapsed().as_secs_f64());
}

fn write_runs(root: &Path) -> usize {
    let config = Config::load(None, &[]).expect("the built-in run is valid").to_commented_toml();
    let rows: String = (0..=STEPS).map(row).collect();
    for number in 0..RUNS {
        let run = root.join(format!("arm-{}", number % 20)).join(format!("seed-{number}"));
        fs::create_dir_all(&run).expect("the directory can be written");
        fs::write(run.join("config.toml"), &config).expect("the file can be written");
        fs::write(run.join("metrics.jsonl"), &rows).expect("the file can be written");
    }
    RUNS * rows.len()
}

fn row(step: usize) -> String {
    let metrics: String =
        (0..METRICS).map(|index| format!(",\"vapo/metric_number_{index}\":{}", 0.123_456_789 + index as f64)).collect();
    let accuracy = if step.is_multiple_of(10) { ",\"val-core/chain/acc/mean@8\":0.5" } else { "" };
    format!("{{\"training/global_step\":{step},\"vapo/alarm/ratio\":0{metrics}{accuracy}}}\n")
}
