//! The length of a response.

use super::{Grader, Reading};
use crate::{Error, Problem, Response, Verdict};

/// DAPO's soft overlong penalty, arXiv 2503.14476, eq. 13, with `L_max = max_tokens` and `L_cache = buffer`.
#[derive(Debug)]
pub(super) struct Overlong {
    max_tokens: usize,
    buffer: usize,
}

impl Overlong {
    pub(super) fn new(max_tokens: usize, buffer: usize) -> Result<Overlong, Error> {
        if (1..=max_tokens).contains(&buffer) {
            return Ok(Overlong { max_tokens, buffer });
        }
        Err(Error::Setting {
            setting: "buffer",
            expected: format!("between 1 and max_tokens ({max_tokens})"),
            found: buffer.to_string(),
        })
    }

    /// R_len of a response with this many tokens, -1 to 0.
    fn penalty(&self, tokens: usize) -> f32 {
        let over = tokens.saturating_sub(self.max_tokens - self.buffer).min(self.buffer);
        // Not 0.0 - x: the penalty of a short response is 0 and not -0.
        if over == 0 { 0.0 } else { -(over as f32 / self.buffer as f32) }
    }
}

impl Grader for Overlong {
    fn grade(&self, _problem: &Problem, response: Response<'_>) -> Reading {
        match response.tokens {
            Some(tokens) => Verdict::Graded { score: self.penalty(tokens), correct: false }.into(),
            None => Verdict::failed("the number of tokens in the response is unknown").into(),
        }
    }
}
