//! Runs in which one call to the file system fails, each call in its turn.
//!
//! `VAPO_FAULTS` is the number of failing calls, spread over the run (all of them if they are fewer), or `all` for every
//! call with every error.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use nix::errno::Errno;
use tempfile::TempDir;
use vapo_train::{RunDir, is_time_field};

use crate::run::{Place, Session, TINY, copy_tree, difference};

/// Number of failing calls if nothing else is wanted.
const FEW: usize = 8;

/// A call at which something happens.
#[derive(Clone, Copy, Debug)]
struct Fault {
    /// Its number.
    call: usize,
    what: What,
}

/// What happens at a call.
#[derive(Clone, Copy, Debug)]
enum What {
    /// It fails.
    Once(Errno),
    /// It fails, after half of its bytes if it writes, and so does every later one.
    Lasting(Errno),
    /// The process is killed before it.
    Kill,
}

/// What happens to disks (they fill up, have a bad moment, are remounted for reading only, vanish, or refuse) and to processes.
const ALL: [What; 6] = [
    What::Lasting(Errno::ENOSPC),
    What::Kill,
    What::Once(Errno::EIO),
    What::Lasting(Errno::EROFS),
    What::Lasting(Errno::ENOENT),
    What::Once(Errno::EACCES),
];

/// What happens to calls that read: a disk has a bad moment, or a server forgets the files.
const READING: [What; 2] = [What::Once(Errno::EIO), What::Lasting(Errno::ESTALE)];

impl What {
    /// The number of its error; 0 for none.
    fn errno(self) -> i32 {
        match self {
            Self::Once(error) | Self::Lasting(error) => error as i32,
            Self::Kill => 0,
        }
    }
}

/// Which calls to the run directory are counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Calls {
    Changes,
    Reads,
}

/// The library that makes calls fail, compiled once.
fn shim() -> &'static Path {
    static SHIM: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = SHIM.get_or_init(|| {
        let root = tempfile::tempdir().unwrap();
        let library = root.path().join("shim.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reliability/shim.c");
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).output();
        let compiled = compiled.expect("a C compiler, which the build needs too");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        (root, library)
    });
    library
}

/// Starts a session in which these calls to the run directory are counted and listed next to it, perhaps with a fault.
fn session(place: &Place<'_>, calls: Calls, fault: Option<Fault>) -> Session {
    let mut command = place.command(1);
    command.env("LD_PRELOAD", shim()).env("FAULT_DIRECTORY", &place.path).env("FAULT_LOG", calls_path(place));
    if calls == Calls::Reads {
        command.env("FAULT_READS", "1");
    }
    if let Some(Fault { call, what }) = fault {
        command.env("FAULT_CALL", call.to_string()).env("FAULT_ERRNO", what.errno().to_string());
        if matches!(what, What::Lasting(_)) {
            command.env("FAULT_LASTING", "1");
        }
    }
    Session::start(command, place.path.with_extension("log"))
}

fn calls_path(place: &Place<'_>) -> PathBuf {
    place.path.with_extension("calls")
}

/// The counted calls of a session.
fn listed(place: &Place<'_>) -> Vec<String> {
    fs::read_to_string(calls_path(place)).unwrap().lines().map(String::from).collect()
}

/// Faults at a number of calls.
fn faults(calls: usize, whats: &[What]) -> Vec<Fault> {
    let wanted = std::env::var("VAPO_FAULTS").unwrap_or_else(|_| FEW.to_string());
    if wanted == "all" {
        return (1..=calls).flat_map(|call| whats.iter().map(move |&what| Fault { call, what })).collect();
    }
    let wanted = wanted.parse::<usize>().expect("VAPO_FAULTS is \"all\" or a number").clamp(2, calls);
    let spread = (0..wanted).map(|index| 1 + index * (calls - 1) / (wanted - 1));
    spread.zip(whats.iter().cycle()).map(|(call, &what)| Fault { call, what }).collect()
}

#[test]
fn a_new_run_in_which_any_change_fails_says_what_failed_and_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let whole = Place::new(root.path().join("whole"), &TINY);
    let calls = counted(&whole, Calls::Changes).len();
    walk(root.path(), &whole.outcome(), Calls::Changes, &faults(calls, &ALL), |_| ());
}

#[test]
fn a_resumed_run_in_which_any_change_fails_says_what_failed_and_loses_nothing() {
    walk_resumed(Calls::Changes, &ALL);
}

#[test]
fn a_resumed_run_in_which_any_reading_fails_says_what_failed_and_loses_nothing() {
    walk_resumed(Calls::Reads, &READING);
}

/// After a power failure, only what was synced is there: the bytes of a file, and the entries of a directory.
#[derive(Default)]
struct Unsynced {
    known: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    entries: BTreeSet<PathBuf>,
}

impl Unsynced {
    /// Follows a call; what would be lost under a name that stands for completeness.
    fn follow(&mut self, call: &str, path: &Path) -> Vec<PathBuf> {
        match call {
            // The library that writes tensors renames by a call that cannot be seen; the final name has to be synced too.
            _ if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".tmp")) => {}
            "open" | "mkdir" => {
                if self.known.insert(path.into()) {
                    self.entries.insert(path.into());
                }
                if call == "open" {
                    self.files.insert(path.into());
                }
            }
            "write" | "ftruncate64" => drop(self.files.insert(path.into())),
            "fsync" | "fdatasync" => {
                self.files.remove(path);
                self.entries.retain(|entry| entry.parent() != Some(path));
            }
            "rename" => return self.rename(path),
            "unlink" | "unlinkat" | "rmdir" => {
                for paths in [&mut self.known, &mut self.files, &mut self.entries] {
                    paths.remove(path);
                }
            }
            _ => panic!("{call}: an unknown call"),
        }
        Vec::new()
    }

    fn rename(&mut self, to: &Path) -> Vec<PathBuf> {
        let is_final = to.extension().is_none_or(|extension| extension != "partial");
        let from = if is_final { to.with_extension("partial") } else { to.with_extension("") };
        let below = |paths: &BTreeSet<PathBuf>| paths.iter().filter(|path| path.starts_with(&from)).cloned().collect();
        let (files, entries): (Vec<PathBuf>, Vec<PathBuf>) = (below(&self.files), below(&self.entries));
        for paths in [&mut self.known, &mut self.files, &mut self.entries] {
            let moved = |path: &PathBuf| path.strip_prefix(&from).map_or(path.clone(), |rest| to.join(rest));
            *paths = paths.iter().map(moved).collect();
        }
        self.entries.insert(to.into());
        // A checkpoint that makes way: the newer one must be there for good.
        let siblings = self.entries.iter().filter(|entry| !is_final && *entry != to && entry.parent() == to.parent());
        let lost = files.into_iter().chain(entries.into_iter().filter(|entry| *entry != from));
        // A checkpoint is worth nothing without the run's rows and directories.
        let run = to.parent().filter(|parent| parent.ends_with("checkpoints")).and_then(Path::parent);
        let of_run = self.entries.iter().filter(|entry| run.is_some() && entry.parent() == run);
        if is_final { lost.chain(of_run.cloned()).collect() } else { siblings.cloned().collect() }
    }
}

#[test]
fn what_is_complete_outlives_a_power_failure() {
    let root = tempfile::tempdir().unwrap();
    let place = Place::new(root.path().join("run"), &TINY);
    let mut unsynced = Unsynced::default();
    for line in counted(&place, Calls::Changes) {
        let mut words = line.splitn(3, ' ').skip(1);
        let (call, path) = (words.next().unwrap(), Path::new(words.next().unwrap()));
        let lost = unsynced.follow(call, path);
        assert!(lost.is_empty(), "{line}: not synced before: {lost:?}");
    }
    // The lock is worth nothing without its process, and the directory above the run is not watched.
    let is_left = |path: &&PathBuf| !path.ends_with("run.lock") && !path.ends_with("run");
    let left: Vec<_> = unsynced.files.iter().chain(&unsynced.entries).filter(is_left).collect();
    assert!(left.is_empty(), "never synced: {left:?}");
}

#[test]
fn a_wall_clock_that_runs_backward_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let [whole, back] = ["whole", "back"].map(|name| Place::new(root.path().join(name), &TINY));
    assert!(whole.start(1).wait().success());
    let mut command = back.command(1);
    command.env("LD_PRELOAD", shim()).env("FAULT_CLOCK_STEP", "-3600");
    let mut session = Session::start(command, back.path.with_extension("log"));
    assert!(session.wait().success(), "{}", session.printed());
    assert_eq!(difference(&whole.outcome(), &back.outcome()), None);
    for row in RunDir::open(&back.path).unwrap().metrics().unwrap() {
        let mut times = row.entries().filter(|(key, _)| is_time_field(key));
        assert!(times.all(|(_, secs)| (0.0..1e6).contains(&secs.as_f64().unwrap())), "{}", row.to_line());
    }
}

/// A run that has ended early resumes with faults: it finds an unfinished checkpoint and a row that it writes again.
fn walk_resumed(calls: Calls, whats: &[What]) {
    let root = tempfile::tempdir().unwrap();
    let [whole, half, rest] = ["whole", "half", "rest"].map(|name| Place::new(root.path().join(name), &TINY));
    let is_last_checkpoint = |call: &String| call.contains("rename") && call.ends_with("/step-000002");
    let last_checkpoint = counted(&whole, Calls::Changes).iter().position(is_last_checkpoint).unwrap() + 1;
    let fault = Fault { call: last_checkpoint, what: What::Lasting(Errno::EIO) };
    assert_eq!(session(&half, Calls::Changes, Some(fault)).wait().code(), Some(1));
    let begin = |place: &Place<'_>| copy_tree(&half.path, &place.path);
    begin(&rest);
    let all = counted(&rest, calls).len();
    walk(root.path(), &whole.outcome(), calls, &faults(all, whats), begin);
}

/// The calls of a session without faults.
fn counted(place: &Place<'_>, calls: Calls) -> Vec<String> {
    let mut session = session(place, calls, None);
    assert!(session.wait().success(), "{}", session.printed());
    listed(place)
}

/// Starts a run for each fault, resumes it without, and compares the outcome.
fn walk(root: &Path, expected: &BTreeMap<String, Vec<u8>>, calls: Calls, faults: &[Fault], begin: impl Fn(&Place<'_>)) {
    let mut wrong = Vec::new();
    for fault in faults {
        let place = Place::new(root.join("run"), &TINY);
        begin(&place);
        let mut found = told(&place, calls, *fault);
        let mut resumed = place.start(2);
        if resumed.wait().success() {
            found.extend(difference(expected, &place.outcome()));
        } else {
            found.push(format!("without the fault, the next session printed\n{}", resumed.printed()));
        }
        if !found.is_empty() {
            let call = listed(&place).into_iter().nth(fault.call - 1);
            wrong.push(format!("{fault:?}, {}: {}", call.unwrap_or_default(), found.join("; ")));
        }
        fs::remove_dir_all(&place.path).unwrap();
        fs::remove_file(calls_path(&place)).unwrap();
    }
    assert!(wrong.is_empty(), "{} of {} faults:\n{}", wrong.len(), faults.len(), wrong.join("\n"));
    println!("{} faults, each followed by the outcome of a run without", faults.len());
}

/// Runs with a fault; what is wrong about the way it ended.
fn told(place: &Place<'_>, calls: Calls, fault: Fault) -> Vec<String> {
    let mut session = session(place, calls, Some(fault));
    let (status, printed) = (session.wait(), session.printed());
    let error = printed.find("\nerror: ").map_or(printed.as_str(), |start| &printed[start..]);
    let cause = std::io::Error::from_raw_os_error(fault.what.errno()).to_string();
    match status.code() {
        None if matches!(fault.what, What::Kill) => Vec::new(),
        Some(0) => Vec::new(),
        Some(1) if error.contains(&cause) && error.contains(&*place.path.to_string_lossy()) => Vec::new(),
        _ => vec![format!("{status}, expected an error that names path and cause; it printed\n{printed}")],
    }
}
