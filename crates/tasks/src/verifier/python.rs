//! A function in a Python file of the user's, called by a small runner in processes of the user's `python3`.

mod batch;
mod exchange;
mod processes;
mod settings;
mod silence;

use super::{Grader, Reading};
use crate::{Attempt, Error, Grade, Problem, Response, Verdict};
use batch::Batch;
use processes::Processes;
pub use settings::PythonFunction;

#[derive(Debug)]
pub(super) struct PythonVerifier {
    processes: Processes,
    /// Responses that are handed over together.
    batch: usize,
}

impl PythonVerifier {
    /// Finds the file; processes are started when they are needed.
    ///
    /// # Errors
    /// There is no such file.
    pub(super) fn new(function: &PythonFunction) -> Result<PythonVerifier, Error> {
        Ok(PythonVerifier { processes: Processes::new(function)?, batch: function.batch })
    }
}

impl Grader for PythonVerifier {
    fn grade(&self, problem: &Problem, response: Response<'_>) -> Reading {
        let reading = self.grade_all(&[Attempt { problem, response }]).pop().flatten();
        reading.unwrap_or_else(|| Verdict::failed("it returned None: it does not apply").into())
    }

    fn grade_all(&self, attempts: &[Attempt<'_>]) -> Vec<Option<Reading>> {
        Batch::new(&self.processes, attempts).grade()
    }

    fn at_once(&self) -> usize {
        self.processes.pool.size()
    }

    fn together(&self) -> usize {
        self.batch
    }

    fn is_external(&self) -> bool {
        true
    }

    fn takes_rows(&self) -> bool {
        true
    }
}

/// The grades that a reply of a process to a call for `count` responses means, for tests of what it may write; a response to
/// which the function does not apply has none.
///
/// # Errors
/// The exception that ended the call, or what was expected if it is no reply to the request with this id.
pub fn read_results(reply: &[u8], id: u64, count: usize, range: [f64; 2]) -> Result<Vec<Option<Grade>>, String> {
    let readings = exchange::read(reply, id, count, range)??;
    Ok(readings.into_iter().map(|reading| reading.map(Grade::from)).collect())
}

#[cfg(test)]
mod tests;
