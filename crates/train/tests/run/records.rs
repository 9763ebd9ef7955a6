//! The records of a run compared with its rows.

use std::{collections::BTreeMap, fs, fs::File, path::Path, sync::atomic::AtomicBool};

use parquet::{
    file::{reader::FileReader, serialized_reader::SerializedFileReader},
    record::Field,
};
use vapo_train::{Event, Outcome, Row, Run};

use crate::{config, finished_run, timeless, train};

/// The columns of a step's record.
pub(crate) fn record(run: &Path, step: u64) -> BTreeMap<String, Vec<Field>> {
    let file = File::open(run.join(format!("rollouts/step-{step:06}.parquet"))).unwrap();
    let mut columns: BTreeMap<String, Vec<Field>> = BTreeMap::new();
    for row in SerializedFileReader::new(file).unwrap().get_row_iter(None).unwrap() {
        for (name, field) in row.unwrap().into_columns() {
            columns.entry(name).or_default().push(field);
        }
    }
    columns
}

fn recorded_steps(run: &Path) -> Vec<u64> {
    let names =
        fs::read_dir(run.join("rollouts")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let number = |name: String| name.strip_prefix("step-")?.strip_suffix(".parquet")?.parse().ok();
    let mut steps: Vec<u64> = names.map(|name| number(name).unwrap()).collect();
    steps.sort();
    steps
}

/// The numbers of a column, those of its lists one after the other; without nulls.
pub(crate) fn numbers(fields: &[Field]) -> Vec<f64> {
    let numbers = |field: &Field| match field {
        Field::Int(value) => vec![f64::from(*value)],
        Field::Float(value) => vec![f64::from(*value)],
        Field::Double(value) => vec![*value],
        Field::ListInternal(list) => numbers(list.elements()),
        _ => Vec::new(),
    };
    fields.iter().flat_map(numbers).collect()
}

pub(crate) fn texts(fields: &[Field]) -> Vec<String> {
    let texts = |field: &Field| match field {
        Field::Str(text) => vec![text.clone()],
        Field::ListInternal(list) => texts(list.elements()),
        _ => Vec::new(),
    };
    fields.iter().flat_map(texts).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn records_hold_what_the_rows_summarize() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    // A learning rate at which ratios leave the bounds in the second update.
    finished_run(
        &run,
        &["records.groups=all", "policy_optimizer.learning_rate=3e-3", "policy_optimizer.warmup_updates=0"],
    );
    let rows = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let rows: Vec<Row> = rows.lines().map(|line| Row::from_line(line).unwrap()).collect();
    let (mut clipped, mut longest) = (0.0, 0);
    for step in 1..=5 {
        let (row, columns) = (&rows[step as usize], record(&run, step));
        let metric = |key: &str| row.get(key).unwrap_or_else(|| panic!("step {step} has no {key}"));
        let close = |found: f64, key: &str| {
            let expected = metric(key);
            assert!((found - expected).abs() < 1e-5, "step {step}: {found}, but {key} is {expected}");
        };
        let of = |name: &str| numbers(&columns[name]);
        close(mean(&of("reward")), "critic/rewards/mean");
        close(mean(&of("score")), "critic/score/mean");
        close(mean(&of("response_tokens")), "response_length/mean");
        close(mean(&of("prompt_tokens")), "prompt_length/mean");
        close(mean(&of("advantage")), "critic/advantages/mean");
        close(mean(&of("value")), "critic/values/mean");
        let right = texts(&columns["verdict"]).iter().filter(|verdict| *verdict == "right").count();
        let responses = columns["verdict"].len();
        assert_eq!(responses, if step <= 2 { 6 } else { 12 });
        close(right as f64 / responses as f64, "vapo/sampled_accuracy");
        let tokens = of("token_id").len();
        assert_eq!(tokens as f64, of("response_tokens").iter().sum::<f64>());
        assert_eq!([of("logprob").len(), of("sampler_logprob").len(), texts(&columns["token"]).len()], [tokens; 3]);
        longest = longest.max(tokens);

        let clips = texts(&columns["clip"]);
        if step <= 2 {
            assert!(clips.is_empty() && of("entropy").is_empty() && of("ratio").is_empty(), "value pretraining");
            continue;
        }
        // One pass over the rollout: the last update of a token is its only one.
        close(mean(&of("entropy")), "actor/entropy");
        close(of("ratio").into_iter().fold(0.0, f64::max), "vapo/ratio_max");
        let share = |state: &str| clips.iter().filter(|clip| *clip == state).count() as f64 / tokens as f64;
        close(share("low"), "vapo/clip_low_frac");
        close(share("high"), "vapo/clip_high_frac");
        clipped += share("low") + share("high");
    }
    assert!(clipped > 0.0 && longest > 100, "the test compares something: {clipped} {longest}");
}

#[test]
fn steps_groups_and_files_are_limited() {
    let root = tempfile::tempdir().unwrap();
    let every_other = root.path().join("every-other");
    finished_run(&every_other, &["records.every=2", "records.groups=1"]);
    assert_eq!(recorded_steps(&every_other), [2, 4]);
    assert_eq!([2, 4].map(|step| record(&every_other, step)["step"].len()), [1, 4], "groups of 1 and of 4");
    let newest = root.path().join("newest");
    finished_run(&newest, &["records.keep=2"]);
    assert_eq!(recorded_steps(&newest), [4, 5]);
    let off = root.path().join("off");
    finished_run(&off, &["records.every=off", "records.groups=all"]);
    assert_eq!(recorded_steps(&off), [0; 0]);
    assert_eq!(timeless(&off), timeless(&newest), "records change no metric");
}

/// What a killed process has written of later steps, or half of a file, is gone.
#[test]
fn a_resumed_run_removes_records_of_later_steps() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    finished_run(&run, &[]);
    for step in 3..=5 {
        fs::remove_dir_all(run.join(format!("checkpoints/step-{step:06}"))).unwrap();
    }
    fs::write(run.join("rollouts/step-000003.partial"), "half").unwrap();
    let resumed = Run::resume(&run, &["records.every=off".into()]).unwrap();
    assert_eq!(recorded_steps(&run), [1, 2]);
    drop(resumed);
    let mut resumed = Run::resume(&run, &["records.every=4".into()]).unwrap();
    assert!(matches!(train(&mut resumed), Outcome::Finished(_)));
    assert_eq!(recorded_steps(&run), [1, 2, 4]);
}

/// A record is there before its row is.
#[test]
fn a_step_that_waits_for_its_evaluation_is_recorded_once() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    let stop = AtomicBool::new(false);
    let mut observer = |event: Event<'_>| {
        let evaluates = matches!(event, Event::Progress(progress) if progress.stage == vapo_train::Stage::Evaluation);
        if evaluates && run.join("rollouts/step-000004.parquet").exists() {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    };
    let outcome = Run::create(config(&run, &[])).unwrap().train(&mut observer, &stop).unwrap();
    assert!(matches!(outcome, Outcome::Stopped(_)));
    let before = fs::read(run.join("rollouts/step-000004.parquet")).unwrap();
    let mut resumed = Run::resume(&run, &[]).unwrap();
    assert_eq!(recorded_steps(&run), [1, 2, 3, 4]);
    train(&mut resumed);
    assert_eq!(recorded_steps(&run), [1, 2, 3, 4, 5]);
    assert!(fs::read(run.join("rollouts/step-000004.parquet")).unwrap() == before);
}
