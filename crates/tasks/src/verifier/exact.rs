//! Equal texts.

use super::{Grader, Reading};
use crate::{Error, Problem, Response, Verdict};

#[derive(Debug)]
pub(super) struct Exact {
    pub(super) marker: Option<String>,
}

impl Grader for Exact {
    fn check_answer(&self, answer: &str) -> Result<(), String> {
        check_not_blank(answer)
    }

    fn grade(&self, problem: &Problem, response: Response<'_>) -> Reading {
        match after_marker(self.marker.as_deref(), response.text) {
            Err(malformed) => malformed.into(),
            Ok(given) => compare(given, &problem.answer),
        }
    }
}

/// Compares two texts, ignoring surrounding white space.
pub(super) fn compare(given: &str, answer: &str) -> Reading {
    match given.trim() {
        "" => Verdict::malformed("no answer").into(),
        given => {
            Reading { verdict: Verdict::graded(given == answer.trim()), answer: Some(given.to_owned()), remark: None }
        }
    }
}

/// Any answer that is not blank can be matched.
pub(super) fn check_not_blank(answer: &str) -> Result<(), String> {
    if answer.trim().is_empty() { Err("expected a text".to_owned()) } else { Ok(()) }
}

/// The text that holds the answer, or the verdict on a response without the marker.
pub(super) fn after_marker<'a>(marker: Option<&str>, response: &'a str) -> Result<&'a str, Verdict> {
    let Some(marker) = marker else {
        return Ok(response);
    };
    let (_, after) = response.rsplit_once(marker).ok_or_else(|| Verdict::malformed(format!("no marker {marker:?}")))?;
    Ok(after)
}

/// A marker must have visible characters.
pub(super) fn check_marker(marker: Option<&str>) -> Result<(), Error> {
    match marker.filter(|marker| marker.trim().is_empty()) {
        None => Ok(()),
        Some(marker) => Err(Error::Setting {
            setting: "marker",
            expected: "a text that is not blank".to_owned(),
            found: format!("{marker:?}"),
        }),
    }
}
