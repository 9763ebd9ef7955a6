//! A study file.

use std::path::Path;

use vapo_study::{Plan, Study};

pub(crate) fn study(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // These name other files, which are not part of the input.
    if text.contains("config") || text.contains("arms_from") {
        return;
    }
    let Ok(study) = Study::from_toml(text, Path::new("study.toml")) else { return };
    let (again, warnings) = (Study::from_toml(text, Path::new("study.toml")).expect("as before"), study.warnings());
    assert_eq!((again.task(), again.warnings()), (study.task(), warnings));
    let plan = Plan::new(&study, Path::new("study"));
    assert!(plan.jobs.len() >= study.arms.len() * study.seeds.len(), "every arm runs with every seed");
    for job in &plan.jobs {
        assert!(job.path().starts_with("study"), "{} is outside of the study's directory", job.path().display());
        job.steps();
    }
}
