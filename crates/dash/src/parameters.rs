//! The part of a URL after the question mark.

use std::{convert::Infallible, str::FromStr};

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::answer::Failure;

/// The name of the parameter that `guard` reads.
pub(crate) const TOKEN: &str = "token";

/// Parameters by their names, which may come more than once.
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn new(query: Option<&str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// All values of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that comes at most once. An empty one counts as absent, as in a form that is not filled in.
    pub(crate) fn text<'a>(&'a self, name: &str) -> Result<Option<&'a str>, Failure> {
        let mut values = self.all(name);
        let value = values.next().filter(|value| !value.is_empty());
        match values.next() {
            None => Ok(value),
            Some(_) => Err(Failure::request(format!("{name} is given more than once, expected one value"))),
        }
    }

    /// The same as a value of a type; `expected` describes it for the message.
    pub(crate) fn value<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let wrong = |_| Failure::request(format!("{name} is {text:?}, expected {expected}"));
        text.parse().map(Some).map_err(wrong)
    }

    /// The same as one of some words.
    pub(crate) fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                Err(Failure::request(format!("{name} is {text:?}, expected {}", words.join(", "))))
            }
        }
    }

    /// A misspelled parameter is an error: ignoring it would show something else than was asked for.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Failure> {
        match self.0.iter().find(|(name, _)| name != TOKEN && !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) if known.is_empty() => {
                Err(Failure::request(format!("there is no parameter {name:?}, expected none")))
            }
            Some((name, _)) => {
                Err(Failure::request(format!("there is no parameter {name:?}, expected {}", known.join(", "))))
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::new(parts.uri.query()))
    }
}
