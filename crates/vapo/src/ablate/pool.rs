//! The runs of a study: a fixed number at once, each started when the value pretraining it needs is done.

use std::{
    process::ExitStatus,
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Result;
use vapo_study::{Job, JobState, Plan, Study};

use crate::interrupt::STOPPED;

use super::{
    board::Board,
    child::{RunningJob, reason_of_crash, wait_for_orphan},
};

const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Time between checks of the runs' metrics.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How long a run may take to stop with a checkpoint.
const STOP_DEADLINE: Duration = Duration::from_secs(600);

/// Current and pending runs.
pub(super) struct Pool<'a> {
    study: &'a Study,
    plan: &'a Plan,
    jobs: usize,
    states: Vec<JobState>,
    running: Vec<RunningJob>,
    /// Stopped from outside without an error: not restarted in this session.
    stopped: Vec<usize>,
    board: Board,
    /// This process's rank among those that work on the study, and their number.
    rank: (usize, usize),
}

impl<'a> Pool<'a> {
    /// The runs of a rank. Those that start from one value pretraining belong to the rank that does it.
    ///
    /// # Errors
    /// A run's state cannot be read, or a process of an earlier session does not exit.
    pub(super) fn new(
        study: &'a Study,
        plan: &'a Plan,
        jobs: usize,
        board: Board,
        rank: (usize, usize),
    ) -> Result<Self> {
        let states = plan.states()?;
        let pool = Self { study, plan, jobs, states, running: Vec::new(), stopped: Vec::new(), board, rank };
        let own = (0..plan.jobs.len()).filter(|&index| pool.is_own(index)).map(|index| &plan.jobs[index]);
        own.into_iter().try_for_each(|job| wait_for_orphan(job, |text| pool.board.print(text)))?;
        Ok(Self { states: plan.states()?, ..pool })
    }

    fn is_own(&self, index: usize) -> bool {
        let (rank, size) = self.rank;
        let first = self.plan.jobs[index].starts_from.unwrap_or(index);
        let before = self.plan.jobs[..first].iter().filter(|job| job.starts_from.is_none()).count();
        // There and back, so that no rank has all runs of the slowest arm.
        let turn = before % (2 * size);
        turn.min(2 * size - 1 - turn) == rank
    }

    /// Works until all runs have ended (returns true), or until `stop` is set and all have written their checkpoints.
    ///
    /// # Errors
    /// A process cannot be started or a file cannot be written; current runs are asked to stop.
    pub(super) fn work(mut self, stop: &AtomicBool) -> Result<bool> {
        let mut last_look = Instant::now();
        let mut stopping: Option<Instant> = None;
        loop {
            self.collect()?;
            if stop.load(Ordering::Relaxed) && stopping.is_none() {
                stopping = Some(Instant::now());
                self.running.iter_mut().for_each(RunningJob::ask_to_stop);
            }
            match stopping {
                None => self.start_more()?,
                Some(since) if since.elapsed() > STOP_DEADLINE => self.running.iter_mut().for_each(RunningJob::kill),
                Some(_) => {}
            }
            if self.running.is_empty() {
                break;
            }
            if last_look.elapsed() >= LOOK_INTERVAL {
                last_look = Instant::now();
                self.look(stopping.is_some())?;
            }
            sleep(POLL_INTERVAL);
        }
        self.board.clear();
        Ok(stopping.is_none() && self.stopped.is_empty())
    }

    fn start_more(&mut self) -> Result<()> {
        while self.running.len() < self.jobs {
            let Some(index) = (0..self.plan.jobs.len()).find(|index| self.is_ready(*index)) else { break };
            let job = &self.plan.jobs[index];
            job.prepare(job.starts_from.map(|index| &self.plan.jobs[index]))?;
            self.states[index] = JobState::Begun;
            self.running.push(RunningJob::start(index, job)?);
        }
        Ok(())
    }

    fn is_ready(&self, index: usize) -> bool {
        let job = &self.plan.jobs[index];
        let at_work = self.running.iter().any(|running| running.index == index) || self.stopped.contains(&index);
        match (&self.states[index], job.starts_from) {
            _ if at_work || !self.is_own(index) => false,
            (JobState::New, Some(pretraining)) => self.states[pretraining] == JobState::Finished,
            (JobState::New | JobState::Begun, _) => self.plan.is_wanted(index, &self.states),
            _ => false,
        }
    }

    /// Collects the runs that have ended.
    fn collect(&mut self) -> Result<()> {
        let mut at = 0;
        while at < self.running.len() {
            match self.running[at].ended()? {
                Some(status) => {
                    let mut running = self.running.swap_remove(at);
                    running.look(&self.plan.jobs[running.index]);
                    self.finish(running, status)?;
                }
                None => at += 1,
            }
        }
        Ok(())
    }

    fn finish(&mut self, running: RunningJob, status: ExitStatus) -> Result<()> {
        let (index, job) = (running.index, &self.plan.jobs[running.index]);
        let mut state = job.state()?;
        if state == JobState::Begun && status.code() != Some(STOPPED.into()) {
            state = self.crash(job, &reason_of_crash(job, status))?;
        }
        if state == JobState::Begun {
            self.stopped.push(index);
        }
        self.states[index] = state;
        if let JobState::Crashed(_) = self.states[index] {
            self.states = self.plan.states()?;
        }
        self.board.ended(self.plan, &self.states, &running);
        Ok(())
    }

    fn crash(&self, job: &Job, reason: &str) -> Result<JobState> {
        job.record_crash(reason)?;
        Ok(JobState::Crashed(reason.to_owned()))
    }

    /// Shows the progress of the runs, and stops those that are stalled.
    fn look(&mut self, stopping: bool) -> Result<()> {
        for running in &mut self.running {
            let job = &self.plan.jobs[running.index];
            let silence = running.look(job);
            if !stopping && silence > self.study.stalled {
                job.record_crash(&format!(
                    "no new metrics row for {:.0} minutes (`stalled_minutes`)",
                    self.study.stalled.as_secs_f64() / 60.0
                ))?;
                running.kill();
            }
        }
        for index in (0..self.plan.jobs.len()).filter(|&index| !self.is_own(index)).collect::<Vec<_>>() {
            self.states[index] = self.plan.jobs[index].state()?;
        }
        self.board.show(self.plan, &self.states, &self.running);
        Ok(())
    }
}
