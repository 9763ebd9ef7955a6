//! The text captured by a regular expression. The `regex` crate matches in time linear in the text, for any expression.

use regex::Regex;

use super::{
    Grader, Reading,
    exact::{check_not_blank, compare},
};
use crate::{Error, Problem, Response, Verdict};

/// Compiled expressions larger than this are refused.
const MAX_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
}

impl Pattern {
    /// Compiles an expression.
    pub(super) fn new(pattern: &str) -> Result<Pattern, Error> {
        let wrong = |expected: String| Error::Setting { setting: "pattern", expected, found: format!("{pattern:?}") };
        let regex = regex::RegexBuilder::new(pattern)
            .size_limit(MAX_BYTES)
            .build()
            .map_err(|error| wrong(format!("a regular expression ({})", last_line(&error.to_string()))))?;
        match regex.captures_len() {
            2 => Ok(Pattern { regex }),
            groups => Err(wrong(format!("exactly one capture group, found {}", groups - 1))),
        }
    }
}

/// The `regex` crate shows the position on several lines and says what is wrong on the last one.
fn last_line(message: &str) -> &str {
    message.trim().lines().last().unwrap_or_default().trim_start_matches("error: ")
}

impl Grader for Pattern {
    fn check_answer(&self, answer: &str) -> Result<(), String> {
        check_not_blank(answer)
    }

    fn grade(&self, problem: &Problem, response: Response<'_>) -> Reading {
        let last = self.regex.captures_iter(response.text).last().and_then(|captures| captures.get(1));
        match last {
            None => Verdict::malformed(format!("nothing matches {}", self.regex)).into(),
            Some(captured) => compare(captured.as_str(), &problem.answer),
        }
    }
}
