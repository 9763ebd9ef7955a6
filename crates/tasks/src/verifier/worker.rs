//! A process that answers line by line, and that can neither hang nor flood its owner, nor outlive it.

use std::{
    collections::{BTreeSet, VecDeque},
    env,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::PathBuf,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use super::{
    limits::Limits,
    protocol::{MAX_REPLY_BYTES, shown},
};

/// Number of stderr lines shown with a failure.
const ERROR_LINES: usize = 8;
/// Maximum bytes of each of these lines.
const ERROR_LINE_BYTES: usize = 300;
/// How long to wait for the last stderr lines of a process that ended.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Process groups of all live workers, for an exit without destructors.
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills every worker of this process and all their child processes, for a caller that is about to exit without unwinding.
pub fn kill_workers() {
    for group in locked(&GROUPS).iter() {
        // A group that no longer exists needs no killing.
        let _ = killpg(Pid::from_raw(*group), Signal::SIGKILL);
    }
}

/// Why a worker can no longer be used.
#[derive(Debug, PartialEq)]
pub(super) enum Broken {
    /// It exited.
    Ended(String),
    /// It violated the protocol or its deadline.
    Misbehaved(String),
}

impl Broken {
    pub(super) fn reason(&self) -> &str {
        match self {
            Broken::Ended(reason) | Broken::Misbehaved(reason) => reason,
        }
    }
}

enum Output {
    Line(Vec<u8>),
    Flood,
}

/// What to start, and in which surroundings.
#[derive(Debug)]
pub(super) struct Launch {
    /// Program and arguments, started without a shell.
    pub(super) command: Vec<String>,
    /// Its name in messages.
    pub(super) title: String,
    /// The working directory; by default, this process's.
    pub(super) directory: Option<PathBuf>,
    /// Environment variables to keep; by default, all.
    pub(super) environment: Option<Vec<String>>,
    pub(super) limits: Limits,
    /// What a missing reply usually means.
    pub(super) hint: &'static str,
    /// The signal on which it writes to stderr where it is; without one, it cannot say that.
    pub(super) inquiry: Option<Signal>,
}

impl Launch {
    /// A program of which only the protocol is known.
    pub(super) fn of_program(
        command: Vec<String>,
        directory: Option<PathBuf>,
        environment: Option<Vec<String>>,
        limits: Limits,
    ) -> Launch {
        let title = command.join(" ");
        Launch { command, title, directory, environment, limits, hint: "a reply must be flushed", inquiry: None }
    }
}

/// A running process, in a process group of its own.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    group: i32,
    requests: Sender<Vec<u8>>,
    replies: Receiver<Output>,
    last_words: Arc<Mutex<VecDeque<String>>>,
    errors_ended: Receiver<()>,
    hint: &'static str,
    inquiry: Option<Signal>,
    /// Whether it has answered yet.
    pub(super) is_proven: bool,
}

impl Worker {
    /// Starts a process.
    ///
    /// # Errors
    /// The system cannot start it, e.g. because there is no such program, or cannot limit it.
    pub(super) fn start(launch: &Launch) -> io::Result<Worker> {
        let (program, arguments) = launch.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).process_group(0);
        if let Some(directory) = &launch.directory {
            if !directory.is_dir() {
                // The system's message would be that of a missing program.
                return Err(io::Error::other(format!("there is no directory {}", directory.display())));
            }
            command.current_dir(directory);
        }
        if let Some(kept) = &launch.environment {
            command.env_clear().envs(kept.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Held during the start, so that every live worker is known.
        let mut groups = locked(&GROUPS);
        let mut child = command.spawn()?;
        let group = i32::try_from(child.id()).map_err(io::Error::other)?;
        groups.insert(group);
        drop(groups);
        let missing = || io::Error::other("a pipe is missing");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        // These threads end with the pipes; they are never waited for, because a grandchild may hold the other end.
        let (requests, to_write) = channel();
        thread::spawn(move || write_requests(stdin, &to_write));
        let (found, replies) = sync_channel(1);
        thread::spawn(move || read_lines(stdout, &found));
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let (ended, errors_ended) = channel();
        let kept = last_words.clone();
        thread::spawn(move || keep_last_lines(stderr, &kept, &ended));
        let (hint, inquiry) = (launch.hint, launch.inquiry);
        let worker =
            Worker { child, group, requests, replies, last_words, errors_ended, hint, inquiry, is_proven: false };
        // Before the first request, so that whatever runs because of a response is limited.
        launch.limits.apply(&worker.child)?;
        Ok(worker)
    }

    /// Sends a line and waits for the one that answers it.
    ///
    /// # Errors
    /// There was no reply before the deadline; the worker must not be used again.
    pub(super) fn ask(&mut self, mut request: Vec<u8>, deadline: Instant) -> Result<Vec<u8>, Broken> {
        if let Ok(Output::Line(line)) = self.replies.try_recv() {
            let message = format!("it wrote a line without a request (write messages to stderr): {}", shown(&line));
            return Err(Broken::Misbehaved(message));
        }
        request.push(b'\n');
        let begun = Instant::now();
        // If the writer is gone, so is the process: the missing reply will say so.
        let _ = self.requests.send(request);
        match self.replies.recv_timeout(deadline.saturating_duration_since(begun)) {
            Ok(Output::Line(line)) => {
                self.is_proven = true;
                Ok(line)
            }
            Ok(Output::Flood) => {
                Err(Broken::Misbehaved(format!("it wrote more than {MAX_REPLY_BYTES} bytes without a newline")))
            }
            Err(RecvTimeoutError::Timeout) => {
                let seconds = begun.elapsed().as_secs_f64();
                let hint = match self.child.try_wait() {
                    Ok(Some(status)) => format!("it ended ({status}), but its child processes hold its output"),
                    _ => {
                        self.inquire();
                        self.hint.to_owned()
                    }
                };
                let words = self.last_words();
                Err(Broken::Misbehaved(format!("no reply within {seconds:.1} s ({hint}){words}")))
            }
            Err(RecvTimeoutError::Disconnected) => Err(Broken::Ended(self.autopsy())),
        }
    }

    /// Has a process that hangs write where it is, if it can.
    fn inquire(&self) {
        let Some(signal) = self.inquiry else { return };
        // A process that is gone has nothing to say.
        let _ = kill(Pid::from_raw(self.group), signal);
        let _ = self.errors_ended.recv_timeout(LAST_WORDS / 2);
    }

    /// How a process that closed its output ended.
    fn autopsy(&mut self) -> String {
        let exited = (0..20).find_map(|_| {
            let status = self.child.try_wait().ok().flatten();
            if status.is_none() {
                thread::sleep(LAST_WORDS / 20);
            }
            status
        });
        let end = match exited {
            Some(status) => format!("it ended ({status}{})", broken_limit(status)),
            None => "it closed its output".to_owned(),
        };
        // The process may be gone while its last lines are still in transit.
        let _ = self.errors_ended.recv_timeout(LAST_WORDS);
        format!("{end}{}", self.last_words())
    }

    fn last_words(&self) -> String {
        let lines = locked(&self.last_words);
        if lines.is_empty() {
            return String::new();
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        format!("; its stderr ends with: {}", lines.join(" | "))
    }
}

impl Drop for Worker {
    /// Kills the process and all its child processes.
    fn drop(&mut self) {
        let mut groups = locked(&GROUPS);
        let _ = killpg(Pid::from_raw(self.group), Signal::SIGKILL);
        groups.remove(&self.group);
        // Not while the list is locked: a process that the system cannot end yet would hold up `kill_workers`.
        drop(groups);
        let _ = self.child.wait();
    }
}

/// The setting that a process has exceeded, if the signal that ended it is one that a limit sends.
fn broken_limit(status: ExitStatus) -> &'static str {
    match status.signal().and_then(|number| Signal::try_from(number).ok()) {
        Some(Signal::SIGXCPU) => ": more than limits.cpu_secs",
        Some(Signal::SIGXFSZ) => ": a file larger than limits.file_mib",
        _ => "",
    }
}

fn write_requests(mut stdin: ChildStdin, requests: &Receiver<Vec<u8>>) {
    for request in requests {
        if stdin.write_all(&request).and_then(|()| stdin.flush()).is_err() {
            break;
        }
    }
}

/// Passes lines on, one at a time, so that a process that writes more waits at the pipe.
fn read_lines(stdout: ChildStdout, found: &SyncSender<Output>) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        let read = stdout.by_ref().take(MAX_REPLY_BYTES as u64).read_until(b'\n', &mut line);
        let output = match read {
            Ok(0) | Err(_) => break,
            Ok(_) if line.len() == MAX_REPLY_BYTES && line.last() != Some(&b'\n') => Output::Flood,
            Ok(_) => Output::Line(line),
        };
        let is_last = matches!(output, Output::Flood);
        if found.send(output).is_err() || is_last {
            break;
        }
    }
}

fn keep_last_lines(stderr: ChildStderr, kept: &Mutex<VecDeque<String>>, ended: &Sender<()>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A longer line is stored as several.
        match stderr.by_ref().take(ERROR_LINE_BYTES as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text: String = text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if !text.is_empty() {
            let mut lines = locked(kept);
            lines.push_back(text);
            if lines.len() > ERROR_LINES {
                lines.pop_front();
            }
        }
    }
    let _ = ended.send(());
}
