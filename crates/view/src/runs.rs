//! The runs below a directory.

use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use vapo_train::RunDir;

use crate::{
    entry::{EntryReader, RunEntry, is_run},
    error::{Error, Result},
    view::View,
};

/// How deep runs are looked for: those of a study are four levels below the directory that holds the study.
const MAX_DEPTH: usize = 5;

/// A directory of runs: that of one run, or one that has runs somewhere below it.
///
/// A run is known by its path below the directory. Links are not followed, so nothing outside of it is ever read.
#[derive(Debug)]
pub struct Runs {
    root: PathBuf,
    known: Mutex<BTreeMap<String, EntryReader>>,
}

impl Runs {
    /// Opens a directory.
    ///
    /// # Errors
    /// It does not exist, or is not a directory.
    pub fn open(root: &Path) -> Result<Self> {
        let io = |source| Error::Io { path: root.to_path_buf(), source };
        let path = root.canonicalize().map_err(io)?;
        fs::read_dir(&path).map_err(io)?;
        Ok(Self { root: path, known: Mutex::default() })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All runs in the order of their ids. After the first time, only what was written since is read.
    ///
    /// # Errors
    /// The directory does not exist any longer.
    pub fn list(&self) -> Result<Vec<RunEntry>> {
        let ids = self.ids(is_run)?;
        let mut known = self.known();
        known.retain(|id, _| ids.binary_search(id).is_ok());
        for id in ids {
            // It may have been removed in this moment.
            if let Ok(run) = RunDir::open(&self.root_or_below(&id)) {
                known.entry(id).or_insert_with(|| EntryReader::new(run));
            }
        }
        let mut readers: Vec<_> = known.iter_mut().collect();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let share = readers.len().div_ceil(cores).max(1);
        Ok(thread::scope(|scope| {
            let read = |part: &mut [(&String, &mut EntryReader)]| -> Vec<RunEntry> {
                part.iter_mut().map(|(id, reader)| reader.entry(id)).collect()
            };
            let parts: Vec<_> = readers.chunks_mut(share).map(|part| scope.spawn(move || read(part))).collect();
            parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
        }))
    }

    /// The entry of the run with this id.
    ///
    /// # Errors
    /// As for [`Runs::run`].
    pub fn entry(&self, id: &str) -> Result<RunEntry> {
        let run = RunDir::open(&self.locate(id, is_run)?)?;
        Ok(self.known().entry(id.to_owned()).or_insert_with(|| EntryReader::new(run)).entry(id))
    }

    /// Opens the run with this id.
    ///
    /// # Errors
    /// [`Error::Gone`] if it was listed before and is not there any longer, [`Error::Unknown`] if it is none of the listed
    /// runs; or a link in it leads out of it.
    pub fn run(&self, id: &str) -> Result<View> {
        View::open_as(id, &self.locate(id, is_run)?)
    }

    /// Ids of the directories that are wanted, sorted. None is looked for within another.
    pub(crate) fn ids(&self, is_wanted: fn(&Path) -> bool) -> Result<Vec<String>> {
        fs::read_dir(&self.root).map_err(Error::io(&self.root))?;
        let mut found = Vec::new();
        if is_wanted(&self.root) {
            found.push(self.own_id());
        } else {
            walk(&self.root, "", MAX_DEPTH, is_wanted, &mut found);
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The path of one of these directories by its id. An id is a text from outside, so every part of it is checked.
    pub(crate) fn locate(&self, id: &str, is_wanted: fn(&Path) -> bool) -> Result<PathBuf> {
        let unknown = || match self.known().contains_key(id) {
            true => Error::Gone(self.root_or_below(id)),
            false => Error::Unknown(id.to_owned()),
        };
        if is_wanted(&self.root) {
            return if id == self.own_id() { Ok(self.root.clone()) } else { Err(unknown()) };
        }
        let names: Vec<&str> = id.split('/').collect();
        let mut path = self.root.clone();
        for name in &names {
            if is_wanted(&path) || !is_plain(name) {
                return Err(unknown());
            }
            path.push(name);
            if !fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
                return Err(unknown());
            }
        }
        if names.len() <= MAX_DEPTH && is_wanted(&path) { Ok(path) } else { Err(unknown()) }
    }

    fn root_or_below(&self, id: &str) -> PathBuf {
        if is_run(&self.root) { self.root.clone() } else { self.root.join(id) }
    }

    /// The id of the directory itself, if it is that of a run.
    fn own_id(&self) -> String {
        self.root.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned())
    }

    /// A reader that panicked has at most read too little.
    fn known(&self) -> MutexGuard<'_, BTreeMap<String, EntryReader>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Collects the directories below `directory` that are wanted. What cannot be read is passed over.
fn walk(directory: &Path, id: &str, depth: usize, is_wanted: fn(&Path) -> bool, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| is_directory && is_plain(name)) else { continue };
        let id = if id.is_empty() { name.to_owned() } else { format!("{id}/{name}") };
        let path = entry.path();
        if is_wanted(&path) {
            found.push(id);
        } else if depth > 1 {
            walk(&path, &id, depth - 1, is_wanted, found);
        }
    }
}

/// Whether a name is that of a directory below another, and not hidden.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let is_single = matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name);
    is_single && !name.starts_with('.')
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::{
        RunState,
        tests::{row, write_rows, write_run},
    };

    fn ids(runs: &Runs) -> Vec<String> {
        runs.list().unwrap().into_iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn runs_are_found_below_a_directory_and_nothing_else_is() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for run in [
            "vapo-001",
            "vapo-001/checkpoints/step-000001",
            "study/runs/arm/seed-0",
            ".hidden/run",
            "1/2/3/4/5",
            "1/2/3/4/6/7",
        ] {
            write_run(&at(run), &[]);
        }
        fs::create_dir_all(at("no-run")).unwrap();
        fs::write(at("no-run/config.toml"), "").unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        write_run(elsewhere.path(), &[]);
        symlink(elsewhere.path(), at("link")).unwrap();
        write_run(&at("linked"), &[]);
        fs::remove_file(at("linked/metrics.jsonl")).unwrap();
        symlink(elsewhere.path().join("metrics.jsonl"), at("linked/metrics.jsonl")).unwrap();

        let runs = Runs::open(root.path()).unwrap();
        let found = ["1/2/3/4/5", "study/runs/arm/seed-0", "vapo-001"];
        assert_eq!(ids(&runs), found);
        for id in found {
            assert_eq!(runs.run(id).unwrap().id(), id);
            assert_eq!(runs.entry(id).unwrap().id, id);
        }
        let absolute = at("vapo-001").display().to_string();
        let outside = format!("../{}", elsewhere.path().file_name().unwrap().to_string_lossy());
        for id in [
            "",
            ".",
            "..",
            "/",
            "link",
            "linked",
            "no-run",
            ".hidden/run",
            "vapo-001/",
            "/vapo-001",
            "./vapo-001",
            "study/../vapo-001",
            "vapo-001/.",
            "vapo-001/checkpoints/step-000001",
            "1/2/3/4/6/7",
            "study//runs/arm/seed-0",
            "vapo-001\0",
            &absolute,
            &outside,
        ] {
            let error = runs.run(id).unwrap_err();
            assert!(matches!(&error, Error::Unknown(unknown) if unknown == id), "{id:?}: {error}");
            assert!(runs.entry(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn the_directory_of_a_run_has_that_run_only() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("mine");
        write_run(&path, &[]);
        let runs = Runs::open(&path).unwrap();
        assert_eq!(ids(&runs), ["mine"]);
        assert_eq!(runs.run("mine").unwrap().metrics().steps(), [0]);
        assert!(matches!(runs.run("checkpoints"), Err(Error::Unknown(_))));
        assert!(Runs::open(&root.path().join("nothing")).unwrap_err().to_string().starts_with("cannot read"));
        assert!(Runs::open(&path.join("config.toml")).unwrap_err().to_string().starts_with("cannot read"));
    }

    #[test]
    fn a_run_that_was_deleted_is_gone() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            write_run(&root.path().join(name), &[]);
        }
        let runs = Runs::open(root.path()).unwrap();
        assert_eq!(ids(&runs), ["a", "b"]);
        let mut view = runs.run("a").unwrap();
        fs::remove_dir_all(root.path().join("a")).unwrap();
        assert!(matches!(view.refresh(), Err(Error::Gone(_))));
        assert!(matches!(runs.run("a"), Err(Error::Gone(_))));
        assert_eq!(ids(&runs), ["b"]);
        assert!(matches!(runs.run("a"), Err(Error::Unknown(_))));
        fs::remove_dir_all(root.path()).unwrap();
        assert!(matches!(runs.list(), Err(Error::Gone(_))));
    }

    #[test]
    fn a_list_follows_its_runs() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        write_run(&path, &["run.steps=3", "run.seed=5", "algorithm.clip_high=0.3"]);
        let runs = Runs::open(root.path()).unwrap();
        let entry = || runs.list().unwrap().remove(0);
        let first = entry();
        assert_eq!((first.step, first.total, first.seed, &first.state), (0, 8, 5, &RunState::Stopped));
        assert_eq!((&*first.preset, &*first.model, &*first.task), ("vapo", "built-in", "chain"));
        assert!(first.tags.contains(&"clip_high=0.3".to_owned()), "{:?}", first.tags);
        assert!(first.started > 1_700_000_000 && first.modified >= first.started, "{first:?}");

        let alarms = |ratio: u8, length: u8| format!("\"vapo/alarm/ratio\":{ratio},\"vapo/alarm/length\":{length}");
        let (before, after) = (r#""val-core/a/acc/mean@2":0.25"#, r#""val-core/a/acc/mean@2":0.75"#);
        let rows = [
            row(0, before),
            row(1, r#""training/value_pretraining":1"#),
            row(2, &alarms(1, 0)),
            row(3, &alarms(1, 1)),
            row(4, &alarms(0, 1)),
            row(5, &format!("{},{after}", alarms(1, 1))),
        ];
        write_rows(&path, &rows.each_ref().map(String::as_str));
        let second = entry();
        assert_eq!((second.step, second.alarms), (5, 3));
        assert_eq!((second.accuracy_before, second.accuracy_after), (Some(0.25), Some(0.75)));
        assert_eq!(second.spark, [(0.0, 0.25), (1.0, 0.25), (5.0, 0.75)]);

        fs::write(path.join("summary.json"), "{").unwrap();
        let third = entry();
        assert!(third.state == RunState::Stopped && third.notes[0].contains("summary.json"), "{third:?}");
        let summary = vapo_train::RunSummary { steps: 5, ..Default::default() };
        fs::write(path.join("summary.json"), serde_json::to_string(&summary).unwrap()).unwrap();
        let fourth = entry();
        assert_eq!((fourth.state, fourth.total, fourth.notes), (RunState::Finished, 5, vec![]));
        write_rows(&path, &rows.iter().chain([&row(6, before)]).map(String::as_str).collect::<Vec<_>>());
        assert_eq!(entry().state, RunState::Stopped, "it was resumed with more steps");
    }

    #[test]
    fn the_state_of_a_run_is_that_of_its_files() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        write_run(&path, &[]);
        let runs = Runs::open(root.path()).unwrap();
        let state = || runs.entry("a").unwrap().state;
        let lock = fs::File::create(path.join("run.lock")).unwrap();
        fs::write(path.join("run.lock"), "process 12 on there\n").unwrap();
        assert_eq!(state(), RunState::Stopped, "nobody holds it");
        lock.lock().unwrap();
        assert_eq!(state(), RunState::Running { pid: Some(12), host: "there".into() });
        drop(lock);
        fs::write(path.join("crash.txt"), "killed\n").unwrap();
        assert_eq!(state(), RunState::Failed { reason: "killed".into() });
        fs::remove_file(path.join("crash.txt")).unwrap();
        write_rows(&path, &["nonsense"]);
        assert_eq!(state(), RunState::Failed { reason: "metrics.jsonl: 1 line damaged".into() });
        fs::write(path.join("config.toml"), "[").unwrap();
        assert!(matches!(state(), RunState::Failed { reason } if reason.contains("config.toml:1")));
    }

    #[test]
    fn long_curves_are_thinned_to_their_ends() {
        let root = tempfile::tempdir().unwrap();
        write_run(&root.path().join("a"), &[]);
        let rows: Vec<String> =
            (0..500).map(|step| row(step, &format!("\"val-core/a/acc/mean@2\":0.{step:03}"))).collect();
        write_rows(&root.path().join("a"), &rows.iter().map(String::as_str).collect::<Vec<_>>());
        let spark = Runs::open(root.path()).unwrap().entry("a").unwrap().spark;
        assert_eq!((spark.len(), spark[0], spark[59]), (60, (0.0, 0.0), (499.0, 0.499)));
        assert!(spark.is_sorted());
    }
}
