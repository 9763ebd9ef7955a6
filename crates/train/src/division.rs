//! How the work of a run is divided among its ranks.
//!
//! All ranks do the same steps with the same weights and decide everything alike; they differ in which responses they sample,
//! grade, score and train on. What is sampled does not depend on who samples it, and gradients are summed along a tree over the
//! run's shards ([`vapo_link::ShardSum`]), so any number of ranks gives the same bytes. Rank 0 alone writes files.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use vapo_link::{Identity, Launch, Ranks, ShardSum, Shares};
use vapo_lm::{Buffer, Device, SQUARES_BLOCK, Sequence};

use crate::{
    config::Config,
    error::{Error, Result},
};

/// How long the ranks of a run may take to meet.
const MEETING: Duration = Duration::from_secs(600);

/// How long ranks that work on a study may be apart.
const LONGEST_STUDY: Duration = Duration::from_secs(365 * 24 * 3600);

/// This process's part in a run.
pub struct Division {
    ranks: Ranks,
    shards: usize,
}

impl Division {
    /// A run on one process whose updates have one shard.
    pub(crate) fn single() -> Self {
        Self { ranks: Ranks::single(), shards: 1 }
    }

    /// Begins a run on the ranks that a launcher has started.
    ///
    /// # Errors
    /// Ranks cannot reach each other, or run other versions or configs; their number does not divide that of the gradient shards.
    pub(crate) fn begin(launch: Launch, config: &Config) -> Result<Self> {
        let identity = identity("config", &common_settings(config));
        let ranks = launch.begin(&identity, MEETING, Duration::from_secs_f64(config.distributed.timeout_secs))?;
        let shards = config.run.gradient_shards;
        let size = ranks.size();
        if shards.is_multiple_of(size) {
            return Ok(Self { ranks, shards });
        }
        // All ranks find this: none needs to be told.
        ranks.finish()?;
        Err(Error::Run(format!(
            "{size} ranks cannot share run.gradient_shards = {shards}: expected a number of ranks that divides it, or another \
             number of shards (a power of two) with a new run"
        )))
    }

    /// Meets the ranks that work on a study, each on whole runs: they wait for each other only at the end.
    ///
    /// # Errors
    /// Ranks cannot reach each other, or run other versions or studies.
    pub fn for_whole_runs(launch: Launch, study: &str) -> Result<Self> {
        let identity = identity("study", study);
        let ranks = launch.begin(&identity, MEETING, LONGEST_STUDY)?;
        Ok(Self { shards: ranks.size(), ranks })
    }

    /// Compares what must be the same on all ranks.
    ///
    /// # Errors
    /// It differs: the message names the first rank that does.
    pub(crate) fn compare(&mut self, what: &str, here: &str) -> Result<()> {
        if !self.is_shared() {
            return Ok(());
        }
        let all = self.ranks.gather("comparison", here.as_bytes())?;
        let Some(rank) = all.iter().position(|other| *other != all[0]) else { return Ok(()) };
        let host = |rank: usize| self.ranks.peers().get(rank).map_or("another host", |peer| &peer.host);
        let problem = format!(
            "rank {rank} on {} has another {what} than rank 0 on {}: give all ranks the same",
            host(rank),
            host(0)
        );
        // All ranks find this: none needs to be told.
        std::mem::replace(&mut self.ranks, Ranks::single()).finish()?;
        Err(Error::Run(problem))
    }

    /// What rank 0 has, on every rank.
    ///
    /// # Errors
    /// Another rank failed or is gone.
    pub(crate) fn text_of_the_first(&mut self, stage: &str, here: String) -> Result<String> {
        if !self.is_shared() {
            return Ok(here);
        }
        let mut bytes = here.into_bytes();
        self.ranks.broadcast(stage, &mut bytes)?;
        String::from_utf8(bytes).map_err(|_| Error::Run(format!("what rank 0 sent in `{stage}` is not text")))
    }

    /// This process's share of what the ranks on its machine share: of so many processors, or bytes.
    pub(crate) fn share_of_host(&self, all: u64) -> u64 {
        (all / self.ranks.on_this_host().1.max(1) as u64).max(1)
    }

    /// Whether this rank writes the run directory.
    pub fn leads(&self) -> bool {
        self.ranks.rank() == 0
    }

    /// Whether there are other ranks.
    pub(crate) fn is_shared(&self) -> bool {
        self.ranks.size() > 1
    }

    /// The ranks, for figures about them.
    pub fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// Ends a run: after its last step, or with the reason why this rank cannot go on, which the others are told.
    ///
    /// # Errors
    /// Another rank failed.
    pub fn end(self, failure: Option<&Error>) -> Result<()> {
        match failure {
            _ if !self.is_shared() => {}
            Some(failure) => self.ranks.fail(&failure.to_string()),
            None => self.ranks.finish()?,
        }
        Ok(())
    }

    /// This rank's part of so many equal pieces of work.
    pub(crate) fn part(&self, pieces: usize) -> Range<usize> {
        let bound = |rank: usize| pieces * rank / self.ranks.size();
        bound(self.ranks.rank())..bound(self.ranks.rank() + 1)
    }

    /// This rank's part of pieces of these sizes.
    pub(crate) fn part_by_size(&self, sizes: &[usize]) -> Range<usize> {
        shard(sizes, self.ranks.size(), self.ranks.rank())
    }

    /// The results of all ranks' parts, in order; `None` if one of them was stopped and has none.
    ///
    /// # Errors
    /// A rank failed or is gone.
    pub(crate) fn gather<T: Serialize + DeserializeOwned>(
        &mut self,
        stage: &str,
        own: Option<Vec<T>>,
    ) -> Result<Option<Vec<T>>> {
        if !self.is_shared() {
            return Ok(own);
        }
        let unreadable =
            |error: postcard::Error| Error::Run(format!("what ranks sent in `{stage}` is damaged: {error}"));
        let parts = self.ranks.gather(stage, &postcard::to_stdvec(&own).map_err(unreadable)?)?;
        let parts = parts.iter().map(|part| postcard::from_bytes::<Option<Vec<T>>>(part).map_err(unreadable));
        let parts = parts.collect::<Result<Option<Vec<Vec<T>>>>>()?;
        Ok(parts.map(|parts| parts.into_iter().flatten().collect()))
    }

    /// Whether any rank says so.
    ///
    /// # Errors
    /// Another rank failed or is gone.
    pub fn any(&mut self, stage: &str, here: bool) -> Result<bool> {
        if !self.is_shared() {
            return Ok(here);
        }
        Ok(self.ranks.any(stage, u64::from(here))? != 0)
    }

    /// What rank 0 says.
    ///
    /// # Errors
    /// Another rank failed or is gone.
    pub(crate) fn as_the_first(&mut self, stage: &str, here: bool) -> Result<bool> {
        let leads = self.leads();
        self.any(stage, here && leads)
    }

    /// The numbers that `score` finds for each response token of sequences: each rank scores its part of them.
    ///
    /// # Errors
    /// Another rank failed or is gone.
    pub(crate) fn score(
        &mut self,
        sequences: &[Sequence<'_>],
        score: impl FnOnce(&[Sequence<'_>]) -> Vec<f32>,
    ) -> Result<Vec<f32>> {
        let lengths: Vec<usize> = sequences.iter().map(|sequence| sequence.response.len()).collect();
        let own = score(&sequences[self.part_by_size(&lengths)]);
        Ok(self.gather("scores", Some(own))?.expect("every rank has its scores"))
    }

    /// Whether the updates that have begun are not completed: if they `may` be abandoned, and a rank `stopped`.
    ///
    /// # Errors
    /// Another rank failed or is gone.
    pub(crate) fn abandons(&mut self, (may, stopped): (bool, bool)) -> Result<bool> {
        if may { self.any("stop", stopped) } else { Ok(false) }
    }

    /// Sums the gradients of all shards of an update over responses of these lengths. `backward` adds the gradient of some of the
    /// responses to the buffer, which is zero before; its results come back for all shards, in their order.
    ///
    /// Afterwards the buffer holds the sums of this rank's [share](Division::share).
    ///
    /// # Errors
    /// Another rank failed or is gone.
    pub(crate) fn sum_gradients<R: Serialize + DeserializeOwned>(
        &mut self,
        device: &Device,
        gradients: &mut Buffer,
        lengths: &[usize],
        backward: &mut dyn FnMut(&mut Buffer, Range<usize>) -> R,
    ) -> Result<Vec<R>> {
        let own = ShardSum::shards_of(self.shards, self.ranks.size(), self.ranks.rank());
        let mut sum = ShardSum::new(self.shards, self.ranks.size())?;
        let mut results = Vec::with_capacity(own.len());
        for index in own {
            results.push(backward(gradients, shard(lengths, self.shards, index)));
            gradients.edit(device, |values| {
                if !sum.add(values) {
                    values.fill(0.0);
                }
            });
        }
        let results = self.gather("statistics", Some(results))?.expect("every rank has its results");
        if self.is_shared() {
            let shares = self.shares(gradients.len());
            gradients.edit(device, |values| self.ranks.reduce_scatter("gradients", values, &shares))?;
        }
        Ok(results)
    }

    /// Sums a buffer over all ranks, as an update sums its gradients; returns the seconds and the bytes that this rank sent.
    ///
    /// # Errors
    /// Another rank failed.
    pub fn measure_sum(&mut self, values: &mut [f32]) -> Result<(f64, u64)> {
        self.ranks.barrier("the start")?;
        let (begun, before) = (Instant::now(), self.ranks.traffic().sent_bytes);
        self.ranks.reduce("measurement", values)?;
        Ok((begun.elapsed().as_secs_f64(), self.ranks.traffic().sent_bytes - before))
    }

    /// The part of a network's flat buffers whose optimizer this rank has.
    pub(crate) fn share(&self, len: usize) -> Range<usize> {
        self.shares(len).of(self.ranks.rank())
    }

    fn shares(&self, len: usize) -> Shares {
        Shares::new(len, SQUARES_BLOCK, self.ranks.size()).expect("a number of ranks that divides a power of two")
    }

    /// The sum over the blocks of all ranks' shares of a buffer of `len` values, in their order.
    ///
    /// # Errors
    /// Another rank failed or is gone.
    pub(crate) fn sum_of_blocks(&mut self, len: usize, own: &[f64]) -> Result<f64> {
        let shares = self.shares(len).by_unit();
        let mut all = vec![0.0; len.div_ceil(SQUARES_BLOCK)];
        all[shares.of(self.ranks.rank())].copy_from_slice(own);
        self.complete("gradient norm", &mut all, &shares)?;
        Ok(all.iter().sum())
    }

    /// Supplies the other ranks' shares of a flat buffer.
    ///
    /// # Errors
    /// Another rank failed or is gone.
    pub(crate) fn complete_shares(&mut self, stage: &str, values: &mut [f32]) -> Result<()> {
        let shares = self.shares(values.len());
        self.complete(stage, values, &shares)
    }

    /// A flat buffer of `len` values, of which every rank gives its share, on rank 0.
    ///
    /// # Errors
    /// Another rank failed or is gone.
    pub(crate) fn gather_shares(&mut self, len: usize, own: &[f32]) -> Result<Option<Vec<f32>>> {
        let shares = self.shares(len);
        let Some(parts) = self.ranks.gather_to_first("moments", bytemuck::cast_slice(own))? else { return Ok(None) };
        let mut all = vec![0.0; len];
        for (rank, part) in parts.iter().enumerate() {
            let to = bytemuck::cast_slice_mut(&mut all[shares.of(rank)]);
            if part.len() != to.len() {
                return Err(Error::Run(format!(
                    "rank {rank} sent {} bytes of moments, expected {}",
                    part.len(),
                    to.len()
                )));
            }
            to.copy_from_slice(part);
        }
        Ok(Some(all))
    }

    fn complete<T: bytemuck::Pod>(&mut self, stage: &str, values: &mut [T], shares: &Shares) -> Result<()> {
        if self.is_shared() { Ok(self.ranks.gather_shares(stage, values, shares)?) } else { Ok(()) }
    }
}

/// The settings that ranks must have in common: all but those of a process alone.
fn common_settings(config: &Config) -> String {
    let mut config = config.clone();
    (config.run.dir, config.run.threads) = (None, 0);
    config.to_commented_toml()
}

/// This version with a text that all ranks must have, in a few digits.
fn identity(name: &str, text: &str) -> Identity {
    let digits = Sha256::digest(text)[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    Identity { version: env!("CARGO_PKG_VERSION").into(), parts: vec![(name.into(), digits)] }
}

/// One of `shards` parts of pieces of these sizes: cut where the sizes so far reach the part's share of all.
fn shard(sizes: &[usize], shards: usize, index: usize) -> Range<usize> {
    let total: usize = sizes.iter().sum();
    let bound = |index: usize| {
        let reached = sizes.iter().scan(0, |sum, size| {
            *sum += size;
            Some(*sum)
        });
        reached.take_while(|sum| sum * shards <= total * index).count()
    };
    bound(index)..if index + 1 == shards { sizes.len() } else { bound(index + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_contiguous_and_nearly_equal() {
        let cut = |sizes: &[usize], shards| (0..shards).map(|index| shard(sizes, shards, index)).collect::<Vec<_>>();
        assert_eq!(cut(&[1; 8], 4), [0..2, 2..4, 4..6, 6..8]);
        assert_eq!(cut(&[5, 1, 1, 1, 8], 2), [0..4, 4..5]);
        assert_eq!(cut(&[3, 3], 4), [0..0, 0..1, 1..1, 1..2], "some have nothing to do");
        assert_eq!(cut(&[], 2), [0..0, 0..0]);
        // Whoever has two shards of four has what one of two has.
        let sizes = [9, 2, 4, 4, 1, 30, 2, 2];
        let (four, two) = (cut(&sizes, 4), cut(&sizes, 2));
        assert_eq!([four[0].start..four[1].end, four[2].start..four[3].end], two[..]);
    }
}
