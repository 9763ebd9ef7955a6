//! Studies below a directory of runs: their arms with intervals and curves, and the states of their runs.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;
use vapo_study::{ArmResult, CurvePoint, Interval, Job, JobState, Plan, Results, Study};

use crate::{
    entry::{RunState, is_run},
    error::{Error, Result},
    runs::Runs,
};

const STUDY_FILE: &str = "study.toml";

/// A study as far as its runs have come.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StudyView {
    /// Its path below the directory of runs.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its question.
    pub about: String,
    /// Its runs.
    pub runs: usize,
    /// Those that have not ended.
    pub unfinished: usize,
    /// Its arms in order.
    pub arms: Vec<ArmView>,
    /// Arms whose curves belong together, by the picture's name; none: all of them.
    pub charts: Vec<(String, Vec<String>)>,
    /// What could not be read.
    pub notes: Vec<String>,
}

/// One of the alternatives that a study compares.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArmView {
    /// Its name.
    pub name: String,
    /// Its description.
    pub note: String,
    /// The settings that define it.
    pub settings: Vec<(String, String)>,
    /// Accuracy before training.
    pub before: Option<Interval>,
    /// Held-out accuracy at the end.
    #[serde(rename = "final")]
    pub last: Option<Interval>,
    /// Mean accuracy over the updates.
    pub area: Option<Interval>,
    /// Runs that crashed.
    pub crashes: usize,
    /// Its runs by seed.
    pub runs: Vec<ArmRun>,
    /// The mean curve.
    pub curve: Vec<CurvePoint>,
}

/// A run of an arm.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArmRun {
    /// Its id in the directory of runs; `None` before it has begun.
    pub id: Option<String>,
    /// Its seed.
    pub seed: u64,
    /// Whether it is running; `None` before it has begun.
    pub state: Option<RunState>,
    /// Its held-out accuracy at the end.
    #[serde(rename = "final")]
    pub last: Option<f64>,
}

/// The studies below a directory of runs. Reading the results of one takes long, so they are kept until another of its runs
/// ends.
#[derive(Debug)]
pub struct Studies {
    runs: Arc<Runs>,
    known: Mutex<BTreeMap<String, KnownStudy>>,
}

/// A study with what it was read from.
#[derive(Debug)]
struct KnownStudy {
    text: String,
    states: Vec<JobState>,
    view: Arc<StudyView>,
}

impl Studies {
    /// The studies below a directory.
    pub fn of(runs: Arc<Runs>) -> Self {
        Self { runs, known: Mutex::default() }
    }

    /// All studies in the order of their ids.
    ///
    /// # Errors
    /// The directory does not exist any longer.
    pub fn list(&self) -> Result<Vec<StudyView>> {
        let ids = self.runs.ids(is_study)?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| ids.binary_search(id).is_ok());
        // One that was removed in this moment is none.
        Ok(ids.iter().filter_map(|id| self.study(id).ok()).collect())
    }

    /// The study with this id. What of it cannot be read is noted.
    ///
    /// # Errors
    /// There is none.
    pub fn study(&self, id: &str) -> Result<StudyView> {
        let directory = self.runs.locate(id, is_study)?;
        let path = directory.join(STUDY_FILE);
        let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
        let read = Study::from_toml(&text, &path).map_err(Error::from);
        match read.and_then(|study| self.results(id, &study, &Plan::new(&study, &directory), &text)) {
            Ok(view) => Ok(self.with_states(view)),
            Err(error) => {
                let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                Ok(StudyView {
                    id: id.to_owned(),
                    name,
                    about: String::new(),
                    runs: 0,
                    unfinished: 0,
                    arms: Vec::new(),
                    charts: Vec::new(),
                    notes: vec![error.to_string()],
                })
            }
        }
    }

    fn results(&self, id: &str, study: &Study, plan: &Plan, text: &str) -> Result<Arc<StudyView>> {
        let states = plan.states()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(id).filter(|known| known.text == text && known.states == states) {
            return Ok(known.view.clone());
        }
        let results = Results::read(study, plan)?;
        let view = StudyView {
            id: id.to_owned(),
            name: study.name.clone(),
            about: study.about.clone(),
            runs: results.runs,
            unfinished: results.unfinished,
            arms: results.arms.iter().enumerate().map(|(index, arm)| self.arm(index, arm, plan)).collect(),
            charts: study.charts.iter().map(|chart| (chart.name.clone(), chart.arms.clone())).collect(),
            notes: Vec::new(),
        };
        let view = Arc::new(view);
        known.insert(id.to_owned(), KnownStudy { text: text.to_owned(), states, view: view.clone() });
        Ok(view)
    }

    fn arm(&self, index: usize, arm: &ArmResult, plan: &Plan) -> ArmView {
        let jobs = plan.jobs.iter().filter(|job| job.arm == index && !job.is_pretraining);
        let run = |job: &Job| ArmRun {
            id: self.id_of(job.path()),
            seed: job.seed,
            state: None,
            last: arm.records.iter().find(|record| record.seed == job.seed).and_then(|record| record.final_accuracy()),
        };
        ArmView {
            name: arm.name.clone(),
            note: arm.note.clone(),
            settings: arm.set.clone(),
            before: arm.before,
            last: arm.last,
            area: arm.area,
            crashes: arm.crashes(),
            runs: jobs.map(run).collect(),
            curve: arm.curve.clone(),
        }
    }

    fn id_of(&self, path: &Path) -> Option<String> {
        let below = path.strip_prefix(self.runs.root()).ok()?;
        Some(below.to_str()?.replace(std::path::MAIN_SEPARATOR, "/"))
    }

    /// The states of runs change without their end.
    fn with_states(&self, view: Arc<StudyView>) -> StudyView {
        let mut view = Arc::unwrap_or_clone(view);
        for run in view.arms.iter_mut().flat_map(|arm| &mut arm.runs) {
            run.state = run.id.as_ref().and_then(|id| Some(self.runs.entry(id).ok()?.state));
            run.id.take_if(|_| run.state.is_none());
        }
        view
    }
}

/// Whether a directory is that of a study.
fn is_study(directory: &Path) -> bool {
    let file = fs::symlink_metadata(directory.join(STUDY_FILE));
    file.is_ok_and(|metadata| metadata.is_file()) && directory.join("runs").is_dir() && !is_run(directory)
}

#[cfg(test)]
mod tests {
    use vapo_train::RunSummary;

    use super::*;
    use crate::tests::{row, write_rows, write_run};

    const STUDY: &str = r#"
        name = "small"
        about = "Which is better?"
        seeds = 2
        arms = [{ name = "vapo" }, { name = "grpo", set = { algorithm = { preset = "grpo" } } }]
        equal = []
    "#;

    fn finish(run: &Path, accuracy: f64) {
        let counters = r#""training/policy_updates":2,"training/critic_updates":0,"training/prompts":1,"training/responses":4,"training/tokens":9"#;
        let step = format!(
            r#""training/value_pretraining":0,{counters},"perf/cpu_secs":1.0,"timing_s/step":1.0,"val-core/a/acc/mean@2":{accuracy}"#
        );
        write_rows(run, &[&row(0, r#""val-core/a/acc/mean@2":0.25"#), &row(1, &step)]);
        let summary = RunSummary { steps: 1, ..RunSummary::default() };
        fs::write(run.join("summary.json"), serde_json::to_string(&summary).unwrap()).unwrap();
    }

    #[test]
    fn a_study_has_its_arms_and_the_states_of_their_runs() {
        let root = tempfile::tempdir().unwrap();
        let study = root.path().join("studies/small");
        let run = |arm: &str, seed: u64| study.join("runs").join(arm).join(format!("seed-{seed}"));
        write_run(&run("vapo", 0), &[]);
        finish(&run("vapo", 0), 0.5);
        write_run(&run("vapo", 1), &[]);
        fs::write(study.join(STUDY_FILE), STUDY).unwrap();
        let studies = Studies::of(Arc::new(Runs::open(root.path()).unwrap()));
        let view = || studies.list().unwrap().remove(0);
        let first = view();
        assert_eq!((&*first.id, &*first.name, first.runs, first.unfinished), ("studies/small", "small", 4, 3));
        assert_eq!(first.notes, [""; 0]);
        let [vapo, grpo] = &first.arms[..] else { panic!("{:?}", first.arms) };
        assert_eq!((vapo.before.unwrap().mean, vapo.last.unwrap().mean, vapo.curve.len()), (0.25, 0.5, 2));
        assert_eq!(vapo.runs[0].id.as_deref(), Some("studies/small/runs/vapo/seed-0"));
        assert_eq!((&vapo.runs[0].state, vapo.runs[0].last), (&Some(RunState::Finished), Some(0.5)));
        assert_eq!((&vapo.runs[1].state, vapo.runs[1].last), (&Some(RunState::Stopped), None));
        assert_eq!((&grpo.runs[0].id, &grpo.runs[0].state, grpo.last), (&None, &None, None));

        finish(&run("vapo", 1), 1.0);
        assert_eq!(view().arms[0].last.unwrap().mean, 0.75);
        fs::write(study.join(STUDY_FILE), "name =").unwrap();
        assert!(view().notes[0].contains("study.toml: line 1"), "{:?}", view().notes);
        assert!(matches!(studies.study("studies"), Err(Error::Unknown(_))));
    }
}
