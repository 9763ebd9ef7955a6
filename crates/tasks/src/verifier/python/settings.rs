//! The settings of a Python function.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::{
    Error,
    verifier::{
        command::check_environment,
        defaults::{a_minute, from_0_to_1},
        limits::Limits,
        protocol::{check_at_once, check_range, check_seconds},
        worker::Launch,
    },
};

/// The program of a process; part of this one, so that there is nothing to install.
const RUNNER: &str = include_str!("runner.py");

/// A function in a Python file, with the parameters of verl's or of TRL's reward functions (`docs/verifiers.md`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PythonFunction {
    /// The file.
    pub file: PathBuf,
    /// The function's name.
    #[serde(default = "compute_score")]
    pub function: String,
    /// The Python that runs it: a name that is looked up in `PATH`, or a path.
    #[serde(default = "python3")]
    pub interpreter: PathBuf,
    /// Number of processes; 0: one per core.
    #[serde(default)]
    pub workers: usize,
    /// Number of responses that a process gets at a time; those to one prompt are not separated.
    #[serde(default = "sixteen")]
    pub batch: usize,
    /// Seconds allowed for a batch; after that, the process is killed, and for what is not graded, the verdict is "failed".
    #[serde(default = "half_a_minute")]
    pub timeout: f64,
    /// Seconds allowed for the start of a process, in which the file is loaded.
    #[serde(default = "a_minute")]
    pub startup: f64,
    /// The lowest and the highest score.
    #[serde(default = "from_0_to_1")]
    pub range: [f64; 2],
    /// Names of the environment variables that it sees; by default, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Vec<String>>,
    /// What each process may use.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
}

fn compute_score() -> String {
    "compute_score".to_owned()
}

fn python3() -> PathBuf {
    "python3".into()
}

fn sixteen() -> usize {
    16
}

fn half_a_minute() -> f64 {
    30.0
}

impl PythonFunction {
    /// A function in a file, with all other settings at their defaults.
    pub fn new(file: &Path, function: &str) -> PythonFunction {
        PythonFunction {
            file: file.to_owned(),
            function: function.to_owned(),
            interpreter: python3(),
            workers: 0,
            batch: sixteen(),
            timeout: half_a_minute(),
            startup: a_minute(),
            range: from_0_to_1(),
            environment: None,
            limits: Limits::default(),
        }
    }

    /// Checks the settings, without the file.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting that is out of range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |setting, expected: &str, found: &str| {
            Err(Error::Setting { setting, expected: expected.to_owned(), found: format!("{found:?}") })
        };
        match self.file.to_str() {
            Some(path) if !path.is_empty() && !path.contains('\0') => {}
            _ => return wrong("file", "the path of a Python file", &self.file.to_string_lossy()),
        }
        let is_name = self.function.chars().all(|c| c == '_' || c.is_alphanumeric());
        if !is_name || self.function.is_empty() {
            return wrong("function", "the name of a function in the file", &self.function);
        }
        match self.interpreter.to_str() {
            Some(program) if !program.is_empty() && !program.contains('\0') => {}
            _ => return wrong("interpreter", "the name or path of a program", &self.interpreter.to_string_lossy()),
        }
        check_at_once("workers", self.workers, 0)?;
        check_at_once("batch", self.batch, 1)?;
        check_seconds("timeout", self.timeout)?;
        check_seconds("startup", self.startup)?;
        check_range(self.range)?;
        check_environment(self.environment.as_deref().unwrap_or_default())?;
        self.limits.check()
    }

    /// Interpreter and file, for messages.
    pub(crate) fn shown(&self) -> String {
        format!("{} {}", self.interpreter.display(), self.file.display())
    }

    /// How a process is started.
    ///
    /// # Errors
    /// There is no such file.
    pub(super) fn launch(&self) -> Result<Launch, Error> {
        let no_file = |source| Error::Read { path: self.file.clone(), source };
        // Python looks for modules next to the file, wherever vapo runs.
        let path = std::path::absolute(&self.file).map_err(no_file)?;
        if !std::fs::metadata(&path).map_err(no_file)?.is_file() {
            return Err(no_file(std::io::Error::other("it is no file")));
        }
        let interpreter = self.interpreter.to_string_lossy();
        let command = [&interpreter, "-c", RUNNER, &path.to_string_lossy(), &self.function];
        Ok(Launch {
            command: command.map(str::to_owned).into(),
            title: interpreter.into_owned(),
            directory: None,
            environment: self.environment.clone(),
            limits: self.limits,
            hint: "it hangs, or `timeout` is too short",
            inquiry: Some(Signal::SIGUSR2),
        })
    }
}
