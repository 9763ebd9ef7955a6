//! Run directories that earlier versions wrote can still be resumed.

mod common;

use std::{fs, path::Path, sync::atomic::AtomicBool};

use vapo_train::{Event, Outcome, Run};

use common::copy_tree;

#[test]
fn a_run_of_format_1_goes_on_and_writes_the_present_format() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("run");
    copy_tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/run-format-1"), &directory);
    let model = format!("model.path={}", directory.join("checkpoints/step-000002/policy").display());
    let mut run = Run::resume(&directory, &["run.steps=2".into(), model]).unwrap();
    let outcome = run.train(&mut |_: Event<'_>| (), &AtomicBool::new(false)).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)), "{outcome:?}");
    let state = fs::read_to_string(directory.join("checkpoints/step-000003/state/state.json")).unwrap();
    assert!(state.contains("\"format_version\": 3"), "{state}");
    assert!(state.contains("\"policy_optimizer_steps\": 2"), "{state}");
}

/// The checksums are those with which the program of that time finished the run.
#[test]
fn a_run_of_format_3_goes_on_to_the_same_bytes() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("run");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/run-format-3");
    copy_tree(&fixture, &directory);
    let mut run = Run::resume(&directory, &[]).unwrap();
    let outcome = run.train(&mut |_: Event<'_>| (), &AtomicBool::new(false)).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)), "{outcome:?}");
    let written = fs::read_to_string(directory.join("checkpoints/step-000004/SHA256SUMS")).unwrap();
    for sum in fs::read_to_string(fixture.join("after-step-000004.sha256")).unwrap().lines() {
        assert!(written.lines().any(|line| line == sum), "{sum} is not in\n{written}");
    }
}
