//! The format of a response.

use super::{Grader, Reading};
use crate::{Error, Problem, Response, Verdict};

#[derive(Debug)]
pub(super) struct Format {
    pub(super) tags: Vec<String>,
    pub(super) opened: bool,
}

pub(super) fn default_tags() -> Vec<String> {
    ["think", "answer"].map(str::to_owned).into()
}

pub(super) fn check_tags(tags: &[String]) -> Result<(), Error> {
    let is_name = |tag: &String| !tag.is_empty() && !tag.contains(|c: char| c.is_whitespace() || "<>/".contains(c));
    let distinct = tags.iter().enumerate().all(|(index, tag)| !tags[..index].contains(tag));
    if !tags.is_empty() && tags.iter().all(is_name) && distinct {
        return Ok(());
    }
    Err(Error::Setting {
        setting: "tags",
        expected: "one or more distinct names without angle brackets".to_owned(),
        found: format!("{tags:?}"),
    })
}

impl Grader for Format {
    fn grade(&self, _problem: &Problem, response: Response<'_>) -> Reading {
        match self.violation(response.text) {
            None => Verdict::graded(true).into(),
            Some(reason) => Verdict::malformed(reason).into(),
        }
    }
}

impl Format {
    /// The first violation of the format.
    fn violation(&self, response: &str) -> Option<String> {
        let mut rest = response;
        for (index, tag) in self.tags.iter().enumerate() {
            let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
            if !(self.opened && index == 0) {
                let Some((before, after)) = rest.split_once(&open) else {
                    return Some(format!("no {open} in its place"));
                };
                if !before.trim().is_empty() {
                    return Some(format!("text before {open}"));
                }
                rest = after;
            }
            let Some((inside, after)) = rest.split_once(&close) else {
                return Some(format!("no {close}"));
            };
            if let Some(tag) = self.any_tag(inside) {
                return Some(format!("{tag} inside {open}"));
            }
            rest = after;
        }
        (!rest.trim().is_empty()).then(|| "text after the last tag".to_owned())
    }

    /// A tag inside a text that should contain none.
    fn any_tag(&self, text: &str) -> Option<String> {
        let tags = self.tags.iter().flat_map(|tag| [format!("<{tag}>"), format!("</{tag}>")]);
        tags.into_iter().find(|tag| text.contains(tag.as_str()))
    }
}
