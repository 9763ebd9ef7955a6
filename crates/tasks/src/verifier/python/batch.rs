//! One batch of responses: its calls, and what becomes of those that fail. It ends at its deadline, whatever happens.

use std::{collections::VecDeque, ops::Range, time::Instant};

use super::{exchange, processes::Processes};
use crate::{
    Attempt, Verdict,
    verifier::{
        Reading,
        worker::{Broken, Worker},
    },
};

pub(super) struct Batch<'a> {
    processes: &'a Processes,
    attempts: &'a [Attempt<'a>],
    /// The readings so far, in order.
    readings: Vec<Option<Reading>>,
    deadline: Instant,
}

/// A call of the function for some of the responses.
struct Call {
    responses: Range<usize>,
    /// Whether a process has already ended during this call.
    is_repeated: bool,
}

impl From<Range<usize>> for Call {
    fn from(responses: Range<usize>) -> Call {
        Call { responses, is_repeated: false }
    }
}

impl<'a> Batch<'a> {
    pub(super) fn new(processes: &'a Processes, attempts: &'a [Attempt<'a>]) -> Batch<'a> {
        let readings = Vec::with_capacity(attempts.len());
        Batch { processes, attempts, readings, deadline: Instant::now() + processes.timeout }
    }

    /// Grades all responses, in order.
    pub(super) fn grade(mut self) -> Vec<Option<Reading>> {
        match self.processes.begin() {
            Ok(worker) => self.make_calls(worker),
            Err(reason) => self.fail_rest(&reason),
        }
        self.readings
    }

    fn make_calls(&mut self, worker: Worker) {
        let (processes, count) = (self.processes, self.attempts.len());
        let begun = Instant::now();
        self.deadline = begun + processes.timeout;
        let mut calls: VecDeque<Call> = match processes.take_several() {
            true => VecDeque::from([(0..count).into()]),
            false => (0..count).map(|response| (response..response + 1).into()).collect(),
        };
        let mut ready = Some(worker);
        while let Some(call) = calls.pop_front() {
            let mut worker = match ready.take().map_or_else(|| self.next_worker(), Ok) {
                Ok(worker) => worker,
                Err(reason) => {
                    self.fail_rest(&reason);
                    break;
                }
            };
            let repeated = match self.ask(&mut worker, &call) {
                Ok(called) => {
                    ready = Some(worker);
                    self.take(called, call)
                }
                Err(broken) => {
                    processes.pool.discard(worker, broken.reason());
                    self.take_broken(broken, call)
                }
            };
            repeated.into_iter().rev().for_each(|call| calls.push_front(call));
        }
        if let Some(worker) = ready {
            processes.pool.put_back(worker);
        }
        let now = Instant::now();
        if now >= self.deadline {
            processes.silence().used_up(begun, now);
        }
    }

    fn ask(&mut self, worker: &mut Worker, call: &Call) -> Result<exchange::Called, Broken> {
        let processes = self.processes;
        let id = processes.next_id();
        let (now, count) = (Instant::now(), call.responses.len());
        // One call that hangs leaves time for those after it.
        let is_last = call.responses.end == self.attempts.len();
        let left = self.deadline.saturating_duration_since(now);
        let line = worker.ask(
            exchange::request(id, &self.attempts[call.responses.clone()]),
            now + if is_last { left } else { left / 2 },
        )?;
        let called = exchange::read(&line, id, count, processes.range).map_err(Broken::Misbehaved)?;
        processes.silence().answered(Instant::now());
        Ok(called)
    }

    /// A process for the calls after one that broke its process.
    fn next_worker(&self) -> Result<Worker, String> {
        if Instant::now() >= self.deadline {
            let seconds = self.processes.timeout.as_secs_f64();
            return Err(format!("not graded: other responses have used up the {seconds} s of its batch (`timeout`)"));
        }
        self.processes.ready(Some(self.deadline))
    }

    /// Takes the result of a call; returns the calls that replace it.
    fn take(&mut self, called: exchange::Called, call: Call) -> Vec<Call> {
        match called {
            Ok(readings) => {
                let attempts = &self.attempts[call.responses];
                self.readings
                    .extend(readings.into_iter().zip(attempts).map(|(reading, attempt)| placed(reading, attempt)));
                Vec::new()
            }
            // Who is to blame in a call for several prompts, and grades for the others, come from calls for each.
            Err(error) => self.split(&call).unwrap_or_else(|| self.fail(call, &error)),
        }
    }

    /// Takes the failure of a call that has broken its process; returns the calls that replace it.
    fn take_broken(&mut self, broken: Broken, call: Call) -> Vec<Call> {
        match broken {
            // A process may end for an unrelated reason, such as a lack of memory, so the call is repeated once.
            Broken::Ended(reason) => self.split(&call).unwrap_or_else(|| match call.is_repeated {
                false => vec![Call { is_repeated: true, ..call }],
                true => self.fail(call, &format!("{reason}, and again with a new process")),
            }),
            Broken::Misbehaved(reason) => self.fail(call, &reason),
        }
    }

    /// A call for each prompt, if there are several: responses to one prompt stay together.
    fn split(&self, call: &Call) -> Option<Vec<Call>> {
        let attempts = &self.attempts[call.responses.clone()];
        let mut start = call.responses.start;
        let prompts = attempts.chunk_by(|one, next| std::ptr::eq(one.problem, next.problem)).map(|prompt| {
            let responses = start..start + prompt.len();
            start = responses.end;
            Call::from(responses)
        });
        let calls: Vec<Call> = prompts.collect();
        (calls.len() > 1).then_some(calls)
    }

    /// Fails the responses of a call, which is not made again.
    fn fail(&mut self, call: Call, reason: &str) -> Vec<Call> {
        let failed =
            self.attempts[call.responses].iter().map(|attempt| placed(Some(Verdict::failed(reason).into()), attempt));
        self.readings.extend(failed);
        Vec::new()
    }

    fn fail_rest(&mut self, reason: &str) {
        self.fail((self.readings.len()..self.attempts.len()).into(), reason);
    }
}

/// A reading whose failure names the row.
fn placed(reading: Option<Reading>, attempt: &Attempt<'_>) -> Option<Reading> {
    reading.map(|reading| match reading.verdict {
        Verdict::Failed { reason } => Verdict::failed(format!("{}: {reason}", attempt.problem.place())).into(),
        _ => reading,
    })
}
