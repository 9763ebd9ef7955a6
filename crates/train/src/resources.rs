//! What the process has used: memory and processor time.

use nix::sys::resource::{UsageWho, getrusage};

/// Processor seconds (user and system, all threads) and the largest resident memory so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Processor seconds.
    pub cpu_secs: f64,
    /// Largest resident set in MB (10^6 bytes).
    pub peak_rss_mb: f64,
}

impl Usage {
    /// Asks the system.
    pub fn now() -> Self {
        let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
            return Self::default();
        };
        let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 * 1e-6;
        // Linux counts in units of 1024 bytes, macOS in bytes.
        let unit = if cfg!(target_os = "macos") { 1.0 } else { 1024.0 };
        Self {
            cpu_secs: seconds(usage.user_time()) + seconds(usage.system_time()),
            peak_rss_mb: usage.max_rss() as f64 * unit / 1e6,
        }
    }
}

/// Memory in bytes that can be allocated without swapping; `None` where the system does not say.
pub fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_time_are_counted() {
        let before = Usage::now();
        let block = std::hint::black_box(vec![1u8; 200_000_000]);
        let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
        assert_eq!(sum, 200_000_000);
        let after = Usage::now();
        assert!(after.peak_rss_mb >= 200.0 && after.peak_rss_mb < 20_000.0, "{after:?}");
        assert!(after.cpu_secs > before.cpu_secs, "{before:?} {after:?}");
    }
}
