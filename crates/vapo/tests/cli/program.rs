//! Runs the real program in its own directory.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A run of one second: three steps with every feature.
pub(crate) const TINY: &str = r#"
[run]
steps = 2
dir = "run"
check_logps = "all"

[algorithm]
preset = "vapo"
length_adaptive_alpha = 0.4
advantage_normalization = "std"
minibatches_per_epoch = 2

[rollout]
prompts_per_step = 3
group_size = 4
max_new_tokens = 64

[value_pretraining]
steps = 1
prompts_per_step = 8

[policy_optimizer]
learning_rate = 3e-4

[critic_optimizer]
learning_rate = 1e-3

[eval]
every = 1
problems = 5
samples = 2

[checkpoint]
every = "off"
keep = "all"
"#;

/// The result of a command.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// Standard output of a command that succeeded.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Standard error of a command that failed with this exit code, and printed no escape codes or backtrace.
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains('\x1b') && !self.stderr.contains("backtrace"), "{}", self.stderr);
        self.stderr
    }
}

/// A temporary directory with `tiny.toml` in it.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("tiny.toml", TINY);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Rows of a JSONL file.
    pub(crate) fn rows(&self, name: &str) -> Vec<Value> {
        self.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vapo"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    /// Runs `vapo` with these arguments until it exits.
    pub(crate) fn vapo(&self, args: &[&str]) -> Done {
        let output = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Done { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs `vapo` with these arguments and this standard input.
    pub(crate) fn vapo_with_input(&self, args: &[&str], input: &str) -> Done {
        let mut child = self.start_with_input(args);
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Done { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Starts `vapo` in the background; its input is a pipe.
    pub(crate) fn start_with_input(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Starts `vapo` in the background.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.start_with(args, [])
    }

    /// The same with variables of the environment.
    pub(crate) fn start_with<const N: usize>(&self, args: &[&str], variables: [(&str, String); N]) -> Child {
        let mut command = self.command(args);
        command.envs(variables);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// All bytes of a checkpoint's networks.
pub(crate) fn weights(checkpoint: &Path) -> Vec<Vec<u8>> {
    ["policy", "critic"]
        .map(|network| std::fs::read(checkpoint.join(network).join("model.safetensors")).unwrap())
        .into()
}

/// A metrics row without fields that depend on time.
pub(crate) fn without_times(row: &Value) -> Value {
    let fields = row.as_object().unwrap().iter().filter(|(key, _)| !vapo_train::is_time_field(key));
    Value::Object(fields.map(|(key, value)| (key.clone(), value.clone())).collect())
}
