//! The memory and processor time that the process has used.

use std::path::Path;

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
    /// The usage according to the system.
    pub fn now() -> Self {
        let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
            return Self::default();
        };
        let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 * 1e-6;
        // Without /proc: in units of 1024 bytes, on macOS in bytes. It is the second choice because on Linux it includes
        // memory of the process that started this one.
        let unit = if cfg!(target_os = "macos") { 1.0 } else { 1024.0 };
        let peak = process_status("VmHWM:").map_or(usage.max_rss() as f64 * unit, |bytes| bytes as f64);
        Self { cpu_secs: seconds(usage.user_time()) + seconds(usage.system_time()), peak_rss_mb: peak / 1e6 }
    }
}

/// Memory in bytes that can be allocated without swapping, within the limits of the control groups that the process is
/// in (a container's); `None` if the system does not report it.
pub fn available_memory() -> Option<u64> {
    let machine = machine_memory();
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok();
    let limit = groups.and_then(|groups| group_memory(Path::new("/sys/fs/cgroup"), &groups));
    match (machine, limit) {
        (Some(machine), Some(limit)) => Some(machine.min(limit)),
        (machine, limit) => machine.or(limit),
    }
}

fn machine_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// The memory left by the tightest control group in `/proc/self/cgroup`, versions 1 and 2; file pages that the system can
/// drop count as free. `None` without a limit.
fn group_memory(root: &Path, groups: &str) -> Option<u64> {
    let mut least: Option<u64> = None;
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let (root, files) = match controllers {
            "" => (root.to_path_buf(), ["memory.max", "memory.current", "inactive_file"]),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (root.join("memory"), ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"])
            }
            _ => continue,
        };
        // A container may see its own group as the root, so paths that do not exist are skipped.
        for group in Path::new(group.trim_start_matches('/')).ancestors() {
            least = [least, left_in_group(&root.join(group), files)].into_iter().flatten().min();
        }
    }
    least
}

fn left_in_group(directory: &Path, [limit, usage, droppable]: [&str; 3]) -> Option<u64> {
    let number = |name: &str| std::fs::read_to_string(directory.join(name)).ok()?.trim().parse::<u64>().ok();
    let (limit, usage) = (number(limit)?, number(usage)?);
    let statistics = std::fs::read_to_string(directory.join("memory.stat")).unwrap_or_default();
    let cached = statistics.lines().find_map(|line| line.strip_prefix(droppable)?.trim().parse::<u64>().ok());
    Some((limit + cached.unwrap_or(0)).saturating_sub(usage))
}

/// Memory in bytes that the process uses now; `None` if the system does not report it.
pub fn resident_memory() -> Option<u64> {
    process_status("VmRSS:")
}

/// An entry of `/proc/self/status` in bytes.
fn process_status(entry: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with(entry))?;
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

    #[test]
    fn the_tightest_control_group_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert_eq!(group_memory(root.path(), "0::/\n"), None);
        write("a/memory.max", "1000\n");
        write("a/memory.current", "300\n");
        write("a/b/memory.max", "max\n");
        write("a/b/memory.current", "200\n");
        assert_eq!(group_memory(root.path(), "0::/a/b\n"), Some(700));
        write("a/b/memory.max", "800\n");
        write("a/b/memory.stat", "anon 5\ninactive_file 50\nactive_file 7\n");
        assert_eq!(group_memory(root.path(), "0::/a/b\n"), Some(650));
        write("memory/c/memory.limit_in_bytes", "500\n");
        write("memory/c/memory.usage_in_bytes", "600\n");
        write("memory/c/memory.stat", "inactive_file 1\ntotal_inactive_file 150\n");
        assert_eq!(group_memory(root.path(), "4:cpu:/c\n3:memory,hugetlb:/c\n0::/\n"), Some(50));
        assert_eq!(group_memory(root.path(), "3:memory:/c/gone\n"), Some(50));
    }

    #[test]
    fn what_is_resident_is_known_on_linux() {
        if cfg!(target_os = "linux") {
            let (resident, peak) = (resident_memory().unwrap(), Usage::now().peak_rss_mb * 1e6);
            assert!(resident > 1_000_000 && resident as f64 <= peak * 1.05, "{resident} {peak}");
        }
    }
}
