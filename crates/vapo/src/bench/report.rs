//! The result of a benchmark, as JSON and as a table.

use serde_json::{Value, json};

/// One round of one kind of work.
pub(super) struct Round {
    /// Tokens processed; 0 for work that is not counted in tokens.
    pub(super) tokens: usize,
    /// Floating-point operations.
    pub(super) flops: f64,
    pub(super) wall_secs: f64,
    pub(super) cpu_secs: f64,
    /// One core's peak at the time, in GFLOP/s.
    pub(super) peak_gflops: f64,
}

impl Round {
    fn peak_frac(&self) -> f64 {
        self.flops / self.cpu_secs / 1e9 / self.peak_gflops
    }
}

/// All rounds of one kind of work.
pub(super) struct Measurement {
    pub(super) name: &'static str,
    /// The work of a round, in words.
    pub(super) work: String,
    /// At least one.
    pub(super) rounds: Vec<Round>,
}

impl Measurement {
    fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        let mut values: Vec<f64> = self.rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }

    /// Tokens per second of wall time and of processor time; `None` for work that is not counted in tokens.
    fn rates(&self) -> Option<[f64; 2]> {
        let by = |secs: fn(&Round) -> f64| self.median(|round| round.tokens as f64 / secs(round));
        (self.rounds[0].tokens > 0).then(|| [by(|round| round.wall_secs), by(|round| round.cpu_secs)])
    }
}

/// The result of a benchmark.
pub(super) struct Report {
    pub(super) shape: String,
    pub(super) dtype: &'static str,
    pub(super) parameters: usize,
    pub(super) isa: &'static str,
    pub(super) threads: usize,
    pub(super) measurements: Vec<Measurement>,
    pub(super) peak_rss_mb: f64,
}

impl Report {
    /// The highest measured peak of one core, in GFLOP/s.
    fn peak_gflops(&self) -> f64 {
        let rounds = self.measurements.iter().flat_map(|measurement| &measurement.rounds);
        rounds.map(|round| round.peak_gflops).fold(0.0, f64::max)
    }

    pub(super) fn to_json(&self) -> Value {
        let mut object = json!({
            "shape": self.shape, "dtype": self.dtype, "parameters": self.parameters, "isa": self.isa,
            "threads": self.threads, "rounds": self.measurements[0].rounds.len(),
            "fma_peak_gflops": round(self.peak_gflops(), 2),
        });
        for measurement in &self.measurements {
            let name = measurement.name;
            object[format!("{name}_peak_frac")] = json!(round(measurement.median(Round::peak_frac), 4));
            if let Some([wall, cpu]) = measurement.rates() {
                object[format!("{name}_tokens_per_cpu_s")] = json!(round(cpu, 1));
                object[format!("{name}_tokens_per_s")] = json!(round(wall, 1));
            }
        }
        object["peak_rss_mb"] = json!(round(self.peak_rss_mb, 1));
        object
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = format!(
            "{}: {:.1} M parameters in {}, {} thread(s), {}, one core's peak {:.0} GFLOP/s\n",
            self.shape,
            self.parameters as f64 / 1e6,
            self.dtype,
            self.threads,
            self.isa,
            self.peak_gflops()
        );
        text += &format!("{:<10} {:>12} {:>16} {:>10}   work per round\n", "", "tokens/s", "tokens/CPU s", "of peak");
        for measurement in &self.measurements {
            let rates = measurement.rates().map(|rates| rates.map(|rate| format!("{rate:.0}")));
            let [wall, cpu] = rates.unwrap_or(["-".into(), "-".into()]);
            text += &format!(
                "{:<10} {wall:>12} {cpu:>16} {:>9.1}%   {}\n",
                measurement.name,
                100.0 * measurement.median(Round::peak_frac),
                measurement.work
            );
        }
        text + &format!("peak memory {:.0} MB\n", self.peak_rss_mb)
    }
}

fn round(x: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (x * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of 1, 3 and 2 seconds at 100 tokens and 1 GFLOP each, with a peak of 2 GFLOP/s.
    fn report() -> Report {
        let rounds = |tokens| {
            let round =
                |secs: f64| Round { tokens, flops: 1e9, wall_secs: secs, cpu_secs: 2.0 * secs, peak_gflops: 2.0 };
            [1.0, 3.0, 2.0].map(round).into()
        };
        Report {
            shape: "m1".into(),
            dtype: "float32",
            parameters: 4_600_000,
            isa: "avx2",
            threads: 2,
            measurements: vec![
                Measurement { name: "train", work: "updates".into(), rounds: rounds(100) },
                Measurement { name: "gemm", work: "products".into(), rounds: rounds(0) },
            ],
            peak_rss_mb: 12.34,
        }
    }

    #[test]
    fn rates_are_medians_and_work_without_tokens_has_none() {
        assert_eq!(
            report().to_json(),
            json!({
                "shape": "m1", "dtype": "float32", "parameters": 4_600_000, "isa": "avx2", "threads": 2, "rounds": 3,
                "fma_peak_gflops": 2.0, "train_peak_frac": 0.125, "train_tokens_per_cpu_s": 25.0,
                "train_tokens_per_s": 50.0, "gemm_peak_frac": 0.125, "peak_rss_mb": 12.3,
            })
        );
        assert_eq!(
            report().to_text(),
            "m1: 4.6 M parameters in float32, 2 thread(s), avx2, one core's peak 2 GFLOP/s\n\
             \x20              tokens/s     tokens/CPU s    of peak   work per round\n\
             train                50               25      12.5%   updates\n\
             gemm                  -                -      12.5%   products\n\
             peak memory 12 MB\n"
        );
    }
}
