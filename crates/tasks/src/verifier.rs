//! Verifiers: rules that compare a response with a reference answer, each with its settings.

mod command;
mod defaults;
mod exact;
mod format;
mod grader;
mod http;
mod limits;
mod mathematical;
mod number;
mod numeric;
mod pattern;
mod pool;
mod protocol;
mod python;
mod worker;

use std::{path::PathBuf, time::Duration};

pub(crate) use grader::{Grader, Reading};
pub use limits::Limits;
pub(crate) use protocol::LARGEST;
pub use protocol::read_reply;
pub use python::{PythonFunction, read_results};
use serde::{Deserialize, Serialize};
pub use worker::kill_workers;

use crate::{
    Error,
    math::{Rounding, Rule},
};

/// A verifier with its settings, as named in a config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Verifier {
    /// The response's answer means the same as the reference answer ([`crate::math`]).
    Math {
        /// Where to look for the answer.
        #[serde(default)]
        rule: Rule,
        /// Whether a rounded decimal equals an exact reference answer.
        #[serde(default)]
        rounding: Rounding,
    },
    /// The response's answer equals the reference answer character by character, ignoring surrounding white space.
    Exact {
        /// The answer is what follows the last occurrence of this text (e.g. `A:`); without a marker, the whole response.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        marker: Option<String>,
    },
    /// The response's number equals the reference answer's, compared as fractions of integers of any size.
    Numeric {
        /// The answer is the first number after the last occurrence of this text (e.g. `####`); without a marker, the response's last number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        marker: Option<String>,
        /// The largest absolute difference that counts as equal, e.g. 0.01.
        #[serde(default)]
        tolerance: f64,
    },
    /// The text captured by a regular expression equals the reference answer, ignoring surrounding white space.
    Regex {
        /// The expression, with one capture group; its last match in the response counts. Matching takes linear time.
        pattern: String,
    },
    /// The response consists of these elements, `<think>...</think><answer>...</answer>`, each once, in this order,
    /// with only white space outside them.
    Format {
        /// The names of the tags.
        #[serde(default = "format::default_tags")]
        tags: Vec<String>,
        /// Whether the prompt ends with the first opening tag, so that responses start inside it.
        #[serde(default)]
        opened: bool,
    },
    /// A program that reads a JSON object per line and answers each with one (`docs/verifiers.md`).
    Command {
        /// Program and arguments.
        command: Vec<String>,
        /// Number of processes; 0: one per core.
        #[serde(default)]
        workers: usize,
        /// Seconds allowed for a reply; after that, the process is killed and the verdict is "failed".
        #[serde(default = "defaults::ten_seconds")]
        timeout: f64,
        /// Additional seconds allowed for the first reply of a process, for its startup.
        #[serde(default = "defaults::a_minute")]
        startup: f64,
        /// The lowest and the highest score.
        #[serde(default = "defaults::from_0_to_1")]
        range: [f64; 2],
        /// Its working directory; by default, vapo's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        directory: Option<PathBuf>,
        /// Names of the environment variables that it sees; by default, all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environment: Option<Vec<String>>,
        /// What each process may use.
        #[serde(default, skip_serializing_if = "Limits::is_empty")]
        limits: Limits,
    },
    /// A function in a Python file, with the parameters of verl's or TRL's rewards, called in processes of `python3`.
    Python(PythonFunction),
    /// A server that receives the same request object by POST and sends the same reply.
    Http {
        /// Its address, `http://host:port/path`.
        url: String,
        /// Number of concurrent requests.
        #[serde(default = "defaults::eight")]
        parallel: usize,
        /// Seconds allowed for one response, retries included.
        #[serde(default = "defaults::ten_seconds")]
        timeout: f64,
        /// Retries after a failed connection or status 429 or 5xx, with waits of 0.1, 0.2, 0.4.. seconds.
        #[serde(default = "defaults::three")]
        retries: usize,
        /// The lowest and the highest score.
        #[serde(default = "defaults::from_0_to_1")]
        range: [f64; 2],
    },
}

impl Verifier {
    /// The verifier's name in a config.
    pub fn kind(&self) -> &'static str {
        match self {
            Verifier::Math { .. } => "math",
            Verifier::Exact { .. } => "exact",
            Verifier::Numeric { .. } => "numeric",
            Verifier::Regex { .. } => "regex",
            Verifier::Format { .. } => "format",
            Verifier::Command { .. } => "command",
            Verifier::Python(_) => "python",
            Verifier::Http { .. } => "http",
        }
    }

    /// What it does outside of this program, as in "it would ..": run a program, or send texts to a server.
    pub fn outside_action(&self) -> Option<String> {
        match self {
            Verifier::Command { command, .. } => Some(format!("run `{}`", command.join(" "))),
            Verifier::Python(function) => Some(format!("run `{}`", function.shown())),
            Verifier::Http { url, .. } => Some(format!("send prompts and responses to {url}")),
            _ => None,
        }
    }

    /// The names of all verifiers.
    pub const KINDS: [&str; 8] = ["math", "exact", "numeric", "regex", "format", "command", "python", "http"];

    /// The lowest and the highest score.
    pub fn range(&self) -> [f64; 2] {
        match self {
            Verifier::Command { range, .. } | Verifier::Http { range, .. } => *range,
            Verifier::Python(function) => function.range,
            _ => [0.0, 1.0],
        }
    }

    /// Whether it may say that it does not apply to a response.
    pub(crate) fn may_abstain(&self) -> bool {
        matches!(self, Verifier::Python(_))
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting that is out of range.
    pub fn validate(&self) -> Result<(), Error> {
        match self {
            Verifier::Math { .. } => Ok(()),
            Verifier::Exact { marker } => exact::check_marker(marker.as_deref()),
            Verifier::Numeric { marker, tolerance } => {
                exact::check_marker(marker.as_deref())?;
                numeric::parse_tolerance(*tolerance).map(drop)
            }
            Verifier::Regex { pattern } => pattern::Pattern::new(pattern).map(drop),
            Verifier::Format { tags, .. } => format::check_tags(tags),
            Verifier::Command { command, workers, timeout, startup, range, directory: _, environment, limits } => {
                if command.first().is_none_or(String::is_empty) {
                    let expected = "a list with the program and its arguments".to_owned();
                    return Err(Error::Setting { setting: "command", expected, found: format!("{command:?}") });
                }
                protocol::check_at_once("workers", *workers, 0)?;
                protocol::check_seconds("timeout", *timeout)?;
                protocol::check_seconds("startup", *startup)?;
                protocol::check_range(*range)?;
                command::check_environment(environment.as_deref().unwrap_or_default())?;
                limits.check()
            }
            Verifier::Python(function) => function.check(),
            Verifier::Http { url, parallel, timeout, retries: _, range } => {
                http::check_url(url)?;
                protocol::check_at_once("parallel", *parallel, 1)?;
                protocol::check_seconds("timeout", *timeout)?;
                protocol::check_range(*range)
            }
        }
    }

    /// Initializes the verifier.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting that is out of range.
    pub(crate) fn build(&self) -> Result<Box<dyn Grader>, Error> {
        self.validate()?;
        Ok(match self {
            Verifier::Math { rule, rounding } => {
                Box::new(mathematical::Mathematical { rule: *rule, rounding: *rounding })
            }
            Verifier::Exact { marker } => Box::new(exact::Exact { marker: marker.clone() }),
            Verifier::Numeric { marker, tolerance } => {
                Box::new(numeric::Numeric { marker: marker.clone(), tolerance: numeric::parse_tolerance(*tolerance)? })
            }
            Verifier::Regex { pattern } => Box::new(pattern::Pattern::new(pattern)?),
            Verifier::Format { tags, opened } => Box::new(format::Format { tags: tags.clone(), opened: *opened }),
            Verifier::Command { command, workers, timeout, startup, range, directory, environment, limits } => {
                Box::new(command::CommandVerifier::new(command::Settings {
                    launch: worker::Launch::of_program(
                        command.clone(),
                        directory.clone(),
                        environment.clone(),
                        *limits,
                    ),
                    workers: defaults::one_per_core(*workers),
                    timeout: Duration::from_secs_f64(*timeout),
                    startup: Duration::from_secs_f64(*startup),
                    range: *range,
                }))
            }
            Verifier::Python(function) => Box::new(python::PythonVerifier::new(function)?),
            Verifier::Http { url, parallel, timeout, retries, range } => {
                Box::new(http::HttpVerifier::new(http::Settings {
                    url: url.clone(),
                    parallel: *parallel,
                    timeout: Duration::from_secs_f64(*timeout),
                    retries: *retries,
                    range: *range,
                }))
            }
        })
    }
}

#[cfg(test)]
mod tests;
