//! Seconds per stage of a step.

use std::{sync::Arc, time::Instant};

use vapo_link::Traffic;

use crate::{
    division::Division,
    error::Result,
    metrics::{Row, keys},
    resources::Usage,
    stage::Stage,
};

/// Seconds per stage.
#[derive(Clone, Debug)]
pub struct Timing {
    begun: Instant,
    laps: Vec<(Stage, f64)>,
    /// Seconds of each verifier, added up over all that work at the same time.
    verifiers: Vec<(Arc<str>, f64)>,
    total_secs: f64,
    /// Processor seconds at the start; after `stop`, those of the step on all ranks.
    cpu_secs: f64,
    /// What ranks have sent each other at the start; after `stop`, what the step took.
    traffic: Traffic,
    ranks: Option<RankTiming>,
}

/// What the ranks of a run did in a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankTiming {
    /// Seconds in which a rank waited or exchanged bytes, mean over the ranks.
    pub exchange_secs: f64,
    /// Seconds that the slowest rank worked, divided by the mean.
    pub imbalance: f64,
    /// Megabytes that a rank sent, mean over the ranks.
    pub sent_mb: f64,
}

impl RankTiming {
    /// From each rank's seconds in exchanges, and megabytes sent, of a step of so many seconds.
    fn of(ranks: &[[f64; 3]], total_secs: f64) -> Self {
        let mean = |of: &dyn Fn(&[f64; 3]) -> f64| ranks.iter().map(of).sum::<f64>() / ranks.len() as f64;
        let work = |rank: &[f64; 3]| total_secs - rank[0];
        let slowest = ranks.iter().map(work).fold(0.0, f64::max);
        Self {
            exchange_secs: mean(&|rank| rank[0]),
            imbalance: slowest / mean(&work).max(f64::MIN_POSITIVE),
            sent_mb: mean(&|rank| rank[1]),
        }
    }
}

impl Timing {
    pub(crate) fn start(division: &Division) -> Self {
        Self {
            begun: Instant::now(),
            laps: Vec::new(),
            verifiers: Vec::new(),
            total_secs: 0.0,
            cpu_secs: Usage::now().cpu_secs,
            traffic: division.ranks().traffic(),
            ranks: None,
        }
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

    /// Takes the seconds of verifiers before and after this step's grading.
    pub(crate) fn set_verifiers(&mut self, before: &[(Arc<str>, f64)], after: Vec<(Arc<str>, f64)>) {
        let own = after.into_iter().zip(before).map(|((name, after), (_, before))| (name, after - before));
        self.verifiers = own.collect();
    }

    /// The time of the step until now, and of what all ranks did in it.
    ///
    /// # Errors
    /// Another rank failed.
    pub(crate) fn stop(mut self, division: &mut Division) -> Result<Self> {
        self.total_secs = self.begun.elapsed().as_secs_f64();
        self.cpu_secs = Usage::now().cpu_secs - self.cpu_secs;
        if division.is_shared() {
            let now = division.ranks().traffic();
            let sent = (now.sent_bytes - self.traffic.sent_bytes) as f64 / 1e6;
            let own = [now.seconds - self.traffic.seconds, sent, self.cpu_secs];
            let ranks = division.gather("times", Some(vec![own]))?.expect("every rank has its times");
            self.cpu_secs = ranks.iter().map(|rank| rank[2]).sum();
            self.ranks = Some(RankTiming::of(&ranks, self.total_secs));
        }
        Ok(self)
    }

    /// What the ranks did in the step, if there are several.
    pub fn ranks(&self) -> Option<RankTiming> {
        self.ranks
    }

    /// Seconds of the whole step.
    pub fn total_secs(&self) -> f64 {
        self.total_secs
    }

    pub(crate) fn write(&self, row: &mut Row, tokens: u64) {
        for (stage, secs) in &self.laps {
            stage.timing_key().into_iter().for_each(|key| row.number(key, *secs));
        }
        for (name, secs) in &self.verifiers {
            row.number(&keys::verifier_secs(name), *secs);
        }
        row.number(keys::TIMING_STEP, self.total_secs);
        row.count(keys::TOTAL_TOKENS, tokens);
        row.number(keys::TIME_PER_STEP, self.total_secs);
        row.number(keys::CPU_SECS, self.cpu_secs);
        row.number(keys::THROUGHPUT, tokens as f64 / self.total_secs);
        row.number(keys::MEMORY_GB, Usage::now().peak_rss_mb / 1000.0);
        if let Some(ranks) = self.ranks {
            row.number(keys::TIMING_RANKS, ranks.exchange_secs);
            row.number(keys::RANK_IMBALANCE, ranks.imbalance);
            row.number(keys::RANK_SENT_MB, ranks.sent_mb);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_that_wait_have_less_work() {
        // Of a step of 10 s one rank exchanged for 2 s, the other waited for it for 6 s.
        let timing = RankTiming::of(&[[2.0, 5.0, 0.0], [6.0, 7.0, 0.0]], 10.0);
        assert_eq!(timing, RankTiming { exchange_secs: 4.0, imbalance: 8.0 / 6.0, sent_mb: 6.0 });
    }
}
