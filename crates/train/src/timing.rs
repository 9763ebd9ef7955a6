//! Seconds per stage of a step.

use std::time::Instant;

use crate::{metrics::Row, resources::Usage};

/// Seconds per stage.
#[derive(Clone, Debug)]
pub struct Timing {
    begun: Instant,
    laps: Vec<(&'static str, f64)>,
    total_secs: f64,
    /// Processor seconds at the start; from `stop` on those of the step.
    cpu_secs: f64,
}

impl Timing {
    pub(crate) fn start() -> Self {
        Self { begun: Instant::now(), laps: Vec::new(), total_secs: 0.0, cpu_secs: Usage::now().cpu_secs }
    }

    /// Times a stage; its times add up.
    pub(crate) fn lap<T>(&mut self, stage: &'static str, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = work();
        let secs = begun.elapsed().as_secs_f64();
        match self.laps.iter_mut().find(|(name, _)| *name == stage) {
            Some((_, sum)) => *sum += secs,
            None => self.laps.push((stage, secs)),
        }
        result
    }

    pub(crate) fn stop(mut self) -> Self {
        self.total_secs = self.begun.elapsed().as_secs_f64();
        self.cpu_secs = Usage::now().cpu_secs - self.cpu_secs;
        self
    }

    pub(crate) fn write(&self, row: &mut Row, tokens: u64) {
        for (stage, secs) in &self.laps {
            row.number(&format!("timing_s/{stage}"), *secs);
        }
        row.number("timing_s/step", self.total_secs);
        row.count("perf/total_num_tokens", tokens);
        row.number("perf/time_per_step", self.total_secs);
        row.number("perf/cpu_secs", self.cpu_secs);
        row.number("perf/throughput", tokens as f64 / self.total_secs);
        row.number("perf/cpu_memory_used_gb", Usage::now().peak_rss_mb / 1000.0);
    }
}
