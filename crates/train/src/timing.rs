//! Seconds per stage of a step.

use std::time::Instant;

use crate::{
    metrics::{Row, keys},
    resources::Usage,
    stage::Stage,
};

/// Seconds per stage.
#[derive(Clone, Debug)]
pub struct Timing {
    begun: Instant,
    laps: Vec<(Stage, f64)>,
    total_secs: f64,
    /// Processor seconds at the start; after `stop`, those of the step.
    cpu_secs: f64,
}

impl Timing {
    pub(crate) fn start() -> Self {
        Self { begun: Instant::now(), laps: Vec::new(), total_secs: 0.0, cpu_secs: Usage::now().cpu_secs }
    }

    /// Times a stage; repeated times add up.
    pub(crate) fn lap<T>(&mut self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = work();
        let secs = begun.elapsed().as_secs_f64();
        match self.laps.iter_mut().find(|(known, _)| *known == stage) {
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

    /// Seconds of the whole step.
    pub fn total_secs(&self) -> f64 {
        self.total_secs
    }

    pub(crate) fn write(&self, row: &mut Row, tokens: u64) {
        for (stage, secs) in &self.laps {
            stage.timing_key().into_iter().for_each(|key| row.number(key, *secs));
        }
        row.number(keys::TIMING_STEP, self.total_secs);
        row.count(keys::TOTAL_TOKENS, tokens);
        row.number(keys::TIME_PER_STEP, self.total_secs);
        row.number(keys::CPU_SECS, self.cpu_secs);
        row.number(keys::THROUGHPUT, tokens as f64 / self.total_secs);
        row.number(keys::MEMORY_GB, Usage::now().peak_rss_mb / 1000.0);
    }
}
