//! Starts jobs and collects what their ranks say.

use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use super::rank;

/// How a job is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Tcp,
    Mpi,
}

/// TCP, and MPI where it is installed.
pub(crate) fn hosts() -> Vec<Start> {
    match Command::new(mpirun()).arg("--version").output() {
        Ok(output) if output.status.success() => vec![Start::Tcp, Start::Mpi],
        _ => {
            eprintln!("skipped over MPI: there is no `{}` (on Debian: apt install openmpi-bin)", mpirun());
            vec![Start::Tcp]
        }
    }
}

fn mpirun() -> String {
    std::env::var("MPIRUN").unwrap_or_else(|_| "mpirun".into())
}

/// What came of a job.
pub(crate) struct Outcome {
    directory: tempfile::TempDir,
    /// All that was printed.
    pub(crate) output: String,
    pub(crate) elapsed: Duration,
}

impl Outcome {
    /// What a rank said at its end; nothing if it did not come to it.
    pub(crate) fn said(&self, rank: usize) -> String {
        std::fs::read_to_string(self.directory.path().join(format!("rank-{rank}"))).unwrap_or_default()
    }
}

/// The ranks of a job over TCP, which are started one by one.
pub(crate) struct Job {
    directory: tempfile::TempDir,
    pub(crate) port: u16,
    pub(crate) size: usize,
    role: &'static str,
    patience: u64,
    children: Vec<Child>,
}

impl Job {
    pub(crate) fn new(role: &'static str, size: usize, patience: u64) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { directory, port: free_port(), size, role, patience, children: Vec::new() }
    }

    pub(crate) fn start(&mut self, rank: usize) {
        let mut command = this_program(self.role, self.directory.path(), self.patience);
        command.env("RANK", rank.to_string()).env("WORLD_SIZE", self.size.to_string());
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", self.port.to_string());
        self.children.push(command.spawn().expect("this program can be started"));
    }

    /// Waits for the ranks, except for `hanging` (by the order of their start), which are killed when the others have ended.
    pub(crate) fn wait(mut self, hanging: &[usize]) -> Outcome {
        let begun = Instant::now();
        let (mut stuck, mut output) = (Vec::new(), String::new());
        for (index, mut child) in self.children.drain(..).enumerate() {
            if hanging.contains(&index) {
                stuck.push(child);
                continue;
            }
            let mut read = |pipe: &mut dyn Read| pipe.read_to_string(&mut output).expect("text");
            read(child.stdout.as_mut().expect("a pipe"));
            read(child.stderr.as_mut().expect("a pipe"));
            child.wait().expect("the rank ends");
        }
        let elapsed = begun.elapsed();
        for mut child in stuck {
            child.kill().expect("the rank can be killed");
            child.wait().expect("the rank ends");
        }
        Outcome { directory: self.directory, output, elapsed }
    }
}

/// A port of this job alone: not one of those that systems give to whoever asks for any.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + (std::process::id() % 500) as u16 * 32;
    let mut ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed));
    ports.find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok()).expect("one of them is free")
}

impl Start {
    /// A job whose ranks all end by themselves.
    pub(crate) fn run(self, role: &'static str, ranks: usize) -> Outcome {
        self.run_with(role, ranks, 60, &[])
    }

    /// A job whose ranks wait for `patience` seconds, and of which `hanging` do not end by themselves.
    pub(crate) fn run_with(self, role: &'static str, ranks: usize, patience: u64, hanging: &[usize]) -> Outcome {
        match self {
            Start::Tcp => {
                let mut job = Job::new(role, ranks, patience);
                (0..ranks).for_each(|rank| job.start(rank));
                job.wait(hanging)
            }
            Start::Mpi => over_mpi(role, ranks, patience),
        }
    }
}

fn over_mpi(role: &str, ranks: usize, patience: u64) -> Outcome {
    let directory = tempfile::tempdir().expect("a directory");
    let program = this_program(role, directory.path(), patience);
    let mut command = Command::new(mpirun());
    command.args(["-n", &ranks.to_string()]).arg(program.get_program()).args(program.get_args());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    // Open MPI 4 and 5: as root, and more ranks than processors.
    for (name, value) in [
        ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
        ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
        ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
        ("PRTE_ALLOW_RUN_AS_ROOT", "1"),
        ("PRTE_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
        ("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe"),
    ] {
        command.env(name, value);
    }
    let begun = Instant::now();
    let output = command.output().expect("mpirun can be started");
    let elapsed = begun.elapsed();
    let output = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Outcome { directory, output, elapsed }
}

/// One rank of a job.
pub(crate) fn this_program(role: &str, directory: &Path, patience: u64) -> Command {
    let program: PathBuf = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args(["--exact", "rank::rank", "--ignored", "--nocapture"]);
    command.env(rank::ROLE, role).env(rank::DIRECTORY, directory).env(rank::PATIENCE, patience.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
