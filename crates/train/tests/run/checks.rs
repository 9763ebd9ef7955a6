//! Checks and repetitions of run directories.

use std::{fs, path::Path, sync::atomic::AtomicBool};

use vapo_train::{
    Event, Run, RunDir,
    config::NonfiniteGradient,
    dump::examine,
    inspect::{Severity, inspect},
    replay::{Replay, replay},
};

use crate::{config, copy_tree, finished_run, flip_a_bit, truncate};

/// Everything but what is good, as one line each.
fn complaints(run: &Path) -> Vec<String> {
    let findings = inspect(&RunDir::open(run).unwrap()).unwrap();
    let bad = findings.iter().filter(|finding| finding.severity != Severity::Good);
    bad.map(|finding| format!("{:?} {}: {}", finding.severity, finding.place, finding.text)).collect()
}

#[test]
fn every_damage_of_a_run_directory_is_found() {
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    finished_run(&whole, &[]);
    assert_eq!(complaints(&whole), [""; 0]);

    let damaged = |name: &str, damage: &dyn Fn(&Path)| {
        let run = root.path().join(name);
        copy_tree(&whole, &run);
        damage(&run);
        complaints(&run)
    };
    let edit_rows = |run: &Path, edit: &dyn Fn(&mut Vec<String>)| {
        let path = run.join("metrics.jsonl");
        let mut rows: Vec<String> =
            fs::read_to_string(&path).unwrap().split_inclusive('\n').map(String::from).collect();
        edit(&mut rows);
        fs::write(path, rows.concat()).unwrap();
    };
    assert_eq!(
        damaged("row", &|run| edit_rows(run, &|rows| drop(rows.remove(2))))[0],
        "Damage metrics.jsonl: has a row of step 3 where that of step 2 was expected"
    );
    assert_eq!(
        damaged("twice", &|run| edit_rows(run, &|rows| rows.insert(2, rows[1].clone())))[0],
        "Damage metrics.jsonl: has a row of step 1 where that of step 2 was expected"
    );
    assert_eq!(
        damaged("garbage", &|run| edit_rows(run, &|rows| rows[1] = "\0\0\0\n".into()))[0],
        "Damage metrics.jsonl: line 2 is not a row"
    );
    let torn = damaged("torn", &|run| edit_rows(run, &|rows| rows[5].truncate(20)));
    assert_eq!(torn[0], "Note metrics.jsonl: ends with half a row: the process was killed while it wrote it");
    assert_eq!(
        damaged("eval", &|run| fs::remove_file(run.join("eval/step-000004.jsonl")).unwrap()),
        ["Damage eval/step-000004.jsonl: is missing, but metrics.jsonl has its result"]
    );
    assert_eq!(
        damaged("half", &|run| truncate(&run.join("eval/step-000004.jsonl"))),
        ["Damage eval/step-000004.jsonl: does not end with a complete line"]
    );
    assert_eq!(
        damaged("record", &|run| fs::remove_file(run.join("rollouts/step-000003.parquet")).unwrap()),
        ["Damage rollouts/step-000003.parquet: is missing, but metrics.jsonl says that it was written"]
    );
    let scratched = damaged("scratched", &|run| flip_a_bit(&run.join("rollouts/step-000004.parquet")));
    assert_eq!(scratched.len(), 1);
    assert!(
        scratched[0].starts_with("Damage rollouts/step-000004.parquet: the SHA-256 of its content "),
        "{scratched:?}"
    );
    let renamed = damaged("renamed", &|run| {
        fs::rename(run.join("rollouts/step-000001.parquet"), run.join("rollouts/step-000009.parquet")).unwrap();
    });
    assert_eq!(renamed, ["Damage rollouts/step-000009.parquet: row 1: is of step 1, expected 9"]);
    let flipped = damaged("flipped", &|run| flip_a_bit(&run.join("checkpoints/step-000002/state/critic.safetensors")));
    assert_eq!(flipped.len(), 1);
    assert!(
        flipped[0].starts_with("Damage checkpoints/step-000002/state/critic.safetensors: its SHA-256 is "),
        "{flipped:?}"
    );
    let swapped = damaged("swapped", &|run| {
        fs::rename(run.join("checkpoints/step-000004"), run.join("checkpoints/step-000006")).unwrap();
    });
    assert_eq!(swapped, ["Damage checkpoints/step-000006: is the state after step 4"]);
    let left_over = damaged("left-over", &|run| {
        fs::create_dir(run.join("checkpoints/step-000006.partial")).unwrap();
        fs::rename(run.join("checkpoints/step-000005"), run.join("checkpoints/step-000005.damaged")).unwrap();
    });
    assert_eq!(
        left_over,
        [
            "Note checkpoints/step-000004: is 1 steps behind the last row: `vapo resume` repeats these",
            "Note checkpoints/step-000005.damaged: was found damaged and is not used; it can be removed",
            "Note checkpoints/step-000006.partial: was being written: `vapo resume` removes it",
        ]
    );
}

fn repeated(run: &Path, from: Option<u64>, steps: u64) -> Replay {
    replay(&RunDir::open(run).unwrap(), from, steps, &mut |_: Event<'_>| ()).unwrap()
}

#[test]
fn repeated_steps_are_identical_and_the_first_difference_is_named() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    // What is written outside the run directory must not be written again.
    let critic = root.path().join("critic");
    finished_run(&run, &[&format!("value_pretraining.save_critic={}", critic.display())]);
    let identical = repeated(&run, Some(2), 2);
    assert_eq!(
        (identical.from, identical.to, identical.difference, identical.compared),
        (
            2,
            4,
            None,
            ["rows of 2 steps", "1 evaluations", "2 recorded steps", "weights and moments after step 4"]
                .map(String::from)
                .to_vec()
        )
    );
    let from_the_start = repeated(&run, Some(0), 99);
    assert_eq!((from_the_start.from, from_the_start.to, from_the_start.difference), (0, 5, None));
    assert_eq!(repeated(&run, None, 1).to, 2, "the oldest checkpoint is that of step 1");
    let entries = fs::read_dir(root.path()).unwrap().count();
    assert_eq!(entries, 2, "the run and the critic; the copies are gone");

    let rows = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let changed = rows.replace("\"training/prompts\":18", "\"training/prompts\":19");
    assert_ne!(rows, changed);
    fs::write(run.join("metrics.jsonl"), changed).unwrap();
    let difference = repeated(&run, Some(2), 3).difference.unwrap();
    assert_eq!(difference, "step 4: training/prompts is 18, recorded was 19");
    fs::write(run.join("metrics.jsonl"), rows).unwrap();
    let samples = run.join("eval/step-000004.jsonl");
    fs::write(&samples, fs::read_to_string(&samples).unwrap() + " ").unwrap();
    let difference = repeated(&run, Some(3), 1).difference.unwrap();
    assert_eq!(difference, "the evaluation after step 4 has other samples or verdicts");

    fs::copy(run.join("rollouts/step-000002.parquet"), run.join("rollouts/step-000003.parquet")).unwrap();
    let difference = repeated(&run, Some(2), 1).difference.unwrap();
    assert_eq!(difference, "the recorded rollouts of step 3 are other ones");

    let error = |from| replay(&RunDir::open(&run).unwrap(), from, 1, &mut |_: Event<'_>| ()).unwrap_err().to_string();
    assert_eq!(error(Some(9)), "there is no checkpoint of step 9, expected one of: 0, 1, 2, 3, 4, 5");
    assert!(error(Some(5)).starts_with("the run has no recorded step after 5, expected at least one"));
}

#[test]
fn a_gradient_that_is_not_finite_is_saved_and_repeated() {
    let root = tempfile::tempdir().unwrap();
    for rule in [NonfiniteGradient::Skip, NonfiniteGradient::Stop] {
        let directory = root.path().join(format!("{rule:?}"));
        // The first update destroys the weights.
        let mut config = config(&directory, &["policy_optimizer.learning_rate=1e30", "value_pretraining.steps=0"]);
        config.run.nonfinite_gradient = rule;
        let mut warnings = Vec::new();
        let mut observer = |event: Event<'_>| {
            if let Event::Warning(warning) = event {
                warnings.push(warning.to_owned());
            }
        };
        let stop = AtomicBool::new(false);
        let error = Run::create(config).unwrap().train(&mut observer, &stop).unwrap_err().to_string();
        let dumps: Vec<_> = fs::read_dir(directory.join("dumps")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(dumps.len(), 1, "only the last one of a network is kept: {dumps:?}");
        assert!(error.contains(&format!("`vapo doctor {}` repeats this update", dumps[0].display())), "{error}");
        let norm = "the policy's gradient norm is NaN after 1 updates, expected a finite number";
        assert!(error.starts_with(norm), "{error}");
        let twice = error.contains("in 2 updates in a row: training has diverged, try a learning rate below ");
        assert_eq!(twice, rule == NonfiniteGradient::Skip, "{error}");
        let skipped = |text: &String| text.starts_with(norm) && text.contains("this update is skipped");
        assert_eq!(warnings.iter().filter(|text| skipped(text)).count(), usize::from(twice), "{warnings:?}");

        let examination = examine(&dumps[0]).unwrap();
        assert!(examination.is_reproduced());
        assert_eq!(examination.update.network, "policy");
        let gradient = examination.not_finite.last().unwrap();
        assert_eq!((gradient.what.as_str(), gradient.first.as_str()), ("gradient", "model.embed_tokens.weight"));
        assert!(gradient.count > 0 && gradient.count <= gradient.of);
    }
}
