//! The event files of a run compared with its rows and records.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use vapo_train::{
    Event, Outcome, Row, Run, RunDir, Stage,
    inspect::{Severity, inspect},
    tensorboard::{Histogram, Value, events, tags},
};

use crate::{
    assert_shown_alike, config, finished_run,
    records::{numbers, record, texts},
    resumed, shown, timeless, train,
};

/// The values of a step.
fn step_of(run: &Path, step: i64) -> Vec<Value> {
    let events = events(&run.join("tensorboard")).unwrap().into_iter();
    events.filter(|event| event.step == step).flat_map(|event| event.summary.unwrap().value).collect()
}

fn histogram<'a>(values: &'a [Value], tag: &str) -> Option<&'a Histogram> {
    values.iter().find(|value| value.tag == tag)?.histo.as_ref()
}

fn text(values: &[Value], tag: &str) -> Option<String> {
    let mut strings = values.iter().find(|value| value.tag == tag)?.tensor.clone()?.string_val;
    Some(String::from_utf8(strings.remove(0)).unwrap())
}

#[test]
fn event_files_hold_rows_histograms_and_samples() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    finished_run(&run, &["records.groups=all", "records.every=2", "records.keep=all"]);
    for row in RunDir::open(&run).unwrap().metrics().unwrap() {
        let step = row.global_step().unwrap();
        let values = step_of(&run, step as i64);
        let scalars = values.iter().filter_map(|value| Some((value.tag.clone(), value.simple_value?)));
        let numbers_of = |row: &Row| -> Vec<(String, f32)> {
            row.entries().filter_map(|(key, value)| Some((key.to_string(), value.as_f64()? as f32))).collect()
        };
        assert_eq!(scalars.collect::<Vec<_>>(), numbers_of(&row), "step {step}");

        let is_evaluated = [0, 4, 5].contains(&step);
        let held_out = [tags::HELD_OUT_RIGHT, tags::HELD_OUT_WRONG].map(|tag| text(&values, tag));
        assert_eq!(held_out.iter().any(Option::is_some), is_evaluated, "step {step}");
        let Some(advantages) = histogram(&values, tags::ADVANTAGE) else {
            assert_eq!(step, 0);
            continue;
        };
        let metric = |key: &str| row.get(key).unwrap();
        assert!((advantages.sum / advantages.num - metric("critic/advantages/mean")).abs() < 1e-6);
        assert_eq!(advantages.bucket.iter().sum::<f64>(), advantages.num);
        let values_of_critic = histogram(&values, tags::VALUE).unwrap();
        assert_eq!(
            (values_of_critic.min, values_of_critic.max),
            (metric("critic/values/min"), metric("critic/values/max"))
        );
        let lengths = histogram(&values, tags::RESPONSE_TOKENS).unwrap();
        assert_eq!((lengths.num, lengths.sum), (if step <= 2 { 6.0 } else { 12.0 }, advantages.num));
        let ratios = histogram(&values, tags::RATIO).map(|ratios| [ratios.min, ratios.max]);
        assert_eq!(ratios.is_some(), step > 2, "value pretraining has none");
        for (found, key) in ratios.into_iter().flatten().zip(["vapo/ratio_min", "vapo/ratio_max"]) {
            assert!((found - metric(key)).abs() < 1e-6, "step {step}: {found}, but {key} is {}", metric(key));
        }
        let sample = text(&values, tags::TRAINING_SAMPLE);
        assert_eq!(sample.is_some(), step % 2 == 0, "as often as a step is recorded");
        let Some(sample) = sample else { continue };
        let columns = record(&run, step);
        let first = |name: &str| texts(&columns[name]).remove(0);
        let length = numbers(&columns["response_tokens"])[0];
        let expected = format!(
            "**{}**, {length} tokens\n\nPrompt\n\n    {}\n\nResponse\n\n    {}\n\nReference answer\n\n    {}",
            first("verdict"),
            first("prompt"),
            first("response"),
            first("answer"),
        );
        assert_eq!(sample, expected);
    }
}

#[test]
fn a_run_without_event_files_is_the_same() {
    let root = tempfile::tempdir().unwrap();
    let (with, without) = (root.path().join("with"), root.path().join("without"));
    finished_run(&with, &[]);
    finished_run(&without, &["tensorboard.enabled=false"]);
    assert_eq!(timeless(&with), timeless(&without));
    assert_eq!(fs::read_dir(without.join("tensorboard")).unwrap().count(), 0);
    let weights = |run: &Path| fs::read(run.join("checkpoints/step-000005/policy/model.safetensors")).unwrap();
    assert!(weights(&with) == weights(&without));
}

/// The histograms of the step were written with the checkpoint of the first session, its scalars by the second.
#[test]
fn a_step_that_waits_for_its_evaluation_is_shown_once() {
    let root = tempfile::tempdir().unwrap();
    let (whole, run) = (root.path().join("whole"), root.path().join("run"));
    finished_run(&whole, &[]);
    let stop = AtomicBool::new(false);
    let mut observer = |event: Event<'_>| {
        let evaluates = matches!(event, Event::Progress(progress) if progress.stage == Stage::Evaluation);
        if evaluates && run.join("rollouts/step-000004.parquet").exists() {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let outcome = Run::create(config(&run, &[])).unwrap().train(&mut observer, &stop).unwrap();
    assert!(matches!(outcome, Outcome::Stopped(_)));
    let is_row = |value: &Value| value.simple_value.is_some();
    let before = step_of(&run, 4);
    assert!(!before.is_empty() && !before.iter().any(is_row), "{before:?}");
    assert_eq!(resumed(&run), [""; 0]);
    assert_shown_alike(&whole, &run);
    assert_eq!(fs::read_dir(run.join("tensorboard")).unwrap().count(), 2, "a file of each session");
}

/// What lies after damage is lost, and the rest of the run is not.
#[test]
fn damaged_event_files_are_named_and_cut() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    finished_run(&run, &[]);
    fs::remove_dir_all(run.join("checkpoints/step-000005")).unwrap();
    fs::remove_file(run.join("summary.json")).unwrap();
    let [path] = fs::read_dir(run.join("tensorboard"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let found = |severity: Severity| -> Vec<String> {
        let findings = inspect(&RunDir::open(&run).unwrap()).unwrap().into_iter();
        let of_events =
            findings.filter(|finding| finding.severity == severity && finding.place.starts_with("tensorboard"));
        of_events.map(|finding| finding.text).collect()
    };
    assert_eq!(found(Severity::Good), ["has the events of steps 0 to 5"]);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    assert_eq!(
        found(Severity::Note),
        [
            "ends with half an event: the process was killed while it wrote it",
            "lacks 1 steps of metrics.jsonl, the first of them is step 5"
        ]
    );
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    fs::write(&path, damaged).unwrap();
    let damage = found(Severity::Damage);
    assert!(damage.len() == 1 && damage[0].starts_with("the record at byte "), "{damage:?}");
    let warnings = resumed(&run);
    assert!(
        warnings.len() == 1 && warnings[0].starts_with(&format!("{}: {}; ", path.display(), damage[0])),
        "{warnings:?}"
    );
    assert_eq!(found(Severity::Damage), [""; 0]);
    let steps: Vec<i64> = shown(&run).into_iter().map(|(step, _)| step).collect();
    assert!(steps.is_sorted() && steps.contains(&0) && steps.contains(&5), "{steps:?}");
}

/// Their first part is the other run's, in files of their own: they are cut in place.
#[test]
fn forks_have_the_events_of_their_origin() {
    let root = tempfile::tempdir().unwrap();
    let (whole, forked) = (root.path().join("whole"), root.path().join("forked"));
    finished_run(&whole, &[]);
    let before = shown(&whole);
    fs::remove_dir_all(whole.join("checkpoints/step-000005")).unwrap();
    let fork = vapo_train::fork(&RunDir::open(&whole).unwrap(), &config(&forked, &[])).unwrap();
    train(&mut Run::resume(fork.path(), &[]).unwrap());
    assert_shown_alike(&whole, &forked);
    assert_eq!(shown(&whole), before);
}
