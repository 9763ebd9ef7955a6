//! One process at a time works in a run directory.

use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Write},
    path::Path,
    process, thread,
    time::Duration,
};

use crate::error::{Error, Result};

/// The file that is locked. It stays when a run ends; only the lock on it counts, which ends with its process.
pub(crate) const LOCK: &str = "run.lock";
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(20);

/// The process that works on a run, as the lock names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its id; `None` if it has not written it yet.
    pub process: Option<u32>,
    /// Its machine; empty if it has not written it yet.
    pub host: String,
}

impl Holder {
    fn read(text: &str) -> Self {
        let parts = text.trim().strip_prefix("process ").and_then(|rest| rest.split_once(" on "));
        let (process, host) = parts.unwrap_or_default();
        Self { process: process.parse().ok(), host: host.to_owned() }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.process {
            Some(process) => write!(f, "process {process} on {}", self.host),
            None => f.write_str("another process"),
        }
    }
}

/// The right to write a run directory, held until it is dropped or the process ends for any reason.
#[derive(Debug)]
pub(crate) struct RunLock {
    /// `None` on a file system without locks.
    file: Option<File>,
}

impl RunLock {
    /// Locks a run directory for this process.
    ///
    /// # Errors
    /// Another process has locked it (the message names it), or the lock file cannot be written.
    pub(crate) fn acquire(directory: &Path) -> Result<Self> {
        let path = directory.join(LOCK);
        let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = open.map_err(Error::io("open", &path))?;
        match try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // What it says is only for the message.
                let _ = file.read_to_string(&mut holder);
                return Err(Error::Run(format!(
                    "{} is in use by {}, expected no other process: wait until it has ended, or stop it (with a checkpoint) by SIGTERM",
                    directory.display(),
                    Holder::read(&holder),
                )));
            }
            Err(TryLockError::Error(error)) if is_unsupported(&error) => return Ok(Self { file: None }),
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        let host = nix::unistd::gethostname().map_or("unknown".into(), |name| name.to_string_lossy().into_owned());
        let mut write = || {
            file.set_len(0)?;
            writeln!(file, "process {} on {host}", process::id())
        };
        write().map_err(Error::io("write", &path))?;
        Ok(Self { file: Some(file) })
    }

    /// The process that has locked a run directory, if there is one.
    pub(crate) fn holder(directory: &Path) -> Option<Holder> {
        let mut file = File::open(directory.join(LOCK)).ok()?;
        let Err(TryLockError::WouldBlock) = file.try_lock_shared() else { return None };
        let mut holder = String::new();
        // Whoever it is, the lock is held.
        let _ = file.read_to_string(&mut holder);
        Some(Holder::read(&holder))
    }

    /// Whether the file system has locks: without them, nothing prevents two processes from working on one run.
    pub(crate) fn is_effective(&self) -> bool {
        self.file.is_some()
    }
}

/// Locks a file, with a little patience: who asks for the holder of a lock ([`RunLock::holder`]) has it for a moment.
fn try_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..ATTEMPTS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            locked => return locked,
        }
    }
    file.try_lock()
}

/// Some network file systems are mounted without locks.
fn is_unsupported(error: &std::io::Error) -> bool {
    use nix::errno::Errno;
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(code, Some(Errno::ENOSYS | Errno::ENOLCK | Errno::EOPNOTSUPP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_with_the_first_ones_process() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(RunLock::holder(root.path()), None);
        let first = RunLock::acquire(root.path()).unwrap();
        assert!(first.is_effective() && !RunLock { file: None }.is_effective());
        let holder = RunLock::holder(root.path()).unwrap();
        assert!(holder.process == Some(process::id()) && !holder.host.is_empty(), "{holder}");
        assert_eq!(Holder::read(&format!("{holder}\n")), holder);
        assert_eq!(Holder::read("").to_string(), "another process");
        let error = RunLock::acquire(root.path()).err().unwrap().to_string();
        let expected = format!("{} is in use by process {} on ", root.path().display(), process::id());
        assert!(error.starts_with(&expected), "{error}");
        drop(first);
        assert_eq!(RunLock::holder(root.path()), None);
        RunLock::acquire(root.path()).unwrap();
    }

    #[test]
    fn only_a_file_system_without_locks_does_without_one() {
        use nix::errno::Errno;
        let unsupported = |errno: Errno| is_unsupported(&std::io::Error::from(errno));
        assert!([Errno::ENOSYS, Errno::ENOLCK, Errno::EOPNOTSUPP].into_iter().all(unsupported));
        assert!(![Errno::EACCES, Errno::EIO, Errno::EAGAIN].into_iter().any(unsupported));
    }

    #[test]
    fn the_text_of_a_process_that_was_killed_does_not_hold() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(LOCK), "process 1 on a machine with a much longer name\n").unwrap();
        let _lock = RunLock::acquire(root.path()).unwrap();
        let text = std::fs::read_to_string(root.path().join(LOCK)).unwrap();
        assert!(text.starts_with(&format!("process {} on ", process::id())) && text.lines().count() == 1, "{text}");
    }
}
