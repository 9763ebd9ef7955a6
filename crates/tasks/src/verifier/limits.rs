//! What a process may use, enforced by the system.

use std::{io, process::Child};

use serde::{Deserialize, Serialize};

use crate::Error;

/// Largest limit in MiB, seconds, files or processes.
const MAX: u64 = 1 << 30;

/// Limits of each process of a verifier; a limit that is not given is that of vapo itself. Processes that it starts
/// inherit them, and each may use as much again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Address space in MiB; to allocate more fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// Processor seconds over its whole life; after that, it is killed and replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_secs: Option<u64>,
    /// Size of any file it writes in MiB, 0: it cannot write to files; a process that writes more is killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_mib: Option<u64>,
    /// Open files, its three pipes included; to open more fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// Processes and threads of the user who runs vapo, all others of this user included; to start more fails. Without
    /// effect for root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
}

impl Limits {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        *self == Limits::default()
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Setting`] for a limit that is out of range.
    pub(super) fn check(&self) -> Result<(), Error> {
        let Limits { memory_mib, cpu_secs, file_mib, open_files, processes } = *self;
        for (setting, limit, least) in [
            ("limits.memory_mib", memory_mib, 1),
            ("limits.cpu_secs", cpu_secs, 1),
            ("limits.file_mib", file_mib, 0),
            ("limits.open_files", open_files, 3),
            ("limits.processes", processes, 1),
        ] {
            if let Some(found) = limit.filter(|limit| !(least..=MAX).contains(limit)) {
                let expected = format!("{least} to {MAX}");
                return Err(Error::Setting { setting, expected, found: found.to_string() });
            }
        }
        Ok(())
    }

    /// Limits a process that has just started.
    ///
    /// # Errors
    /// The system refuses a limit.
    #[cfg(target_os = "linux")]
    pub(super) fn apply(&self, child: &Child) -> io::Result<()> {
        use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

        let bytes = |mib: Option<u64>| mib.map(|mib| mib << 20);
        for (resource, limit) in [
            (Resource::As, bytes(self.memory_mib)),
            (Resource::Cpu, self.cpu_secs),
            (Resource::Fsize, bytes(self.file_mib)),
            (Resource::Nofile, self.open_files),
            (Resource::Nproc, self.processes),
        ] {
            let Some(limit) = limit else { continue };
            // The second is the one that the process cannot raise again. Its signal does not say why it was sent, so that for
            // processor time comes a second after the one that does.
            let highest = getrlimit(resource).maximum.unwrap_or(u64::MAX);
            let last = if resource == Resource::Cpu { limit + 1 } else { limit };
            let limits = Rlimit { current: Some(limit.min(highest)), maximum: Some(last.min(highest)) };
            match prlimit(Some(Pid::from_child(child)), resource, limits) {
                // A process that is gone needs no limit: the first request finds that it has ended.
                Ok(_) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Limits a process that has just started.
    ///
    /// # Errors
    /// There are limits, which this system does not have.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn apply(&self, _child: &Child) -> io::Result<()> {
        if self.is_empty() { Ok(()) } else { Err(io::Error::other("its limits need Linux")) }
    }
}
