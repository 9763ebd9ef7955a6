//! Whole runs on the built-in task: records, resuming, stopping, methods.

#[path = "run/checks.rs"]
mod checks;
mod common;
#[path = "run/records.rs"]
mod records;
#[path = "run/tensorboard.rs"]
mod tensorboard;

use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::Value;
use vapo_lm::{Device, Head, Model};
use vapo_tasks::Problem;
use vapo_train::{
    Config, Event, Outcome, Phase, Progress, Row, Run, RunDir, Stage, TextFiles, is_time_field,
    pretrain::{PretrainSettings, pretrain},
    tensorboard::{Value as Shown, events},
};

use common::copy_tree;

/// A run of seconds: 2 steps of value pretraining, 3 of the policy.
fn config(directory: &Path, overrides: &[&str]) -> Config {
    let mut all: Vec<String> = [
        "run.steps=3",
        "run.threads=1",
        "run.check_logps=all",
        "rollout.prompts_per_step=3",
        "rollout.group_size=4",
        "rollout.max_new_tokens=64",
        "algorithm.minibatches_per_epoch=2",
        "value_pretraining.steps=2",
        "value_pretraining.prompts_per_step=6",
        "value_pretraining.group_size=1",
        "eval.every=2",
        "eval.problems=4",
        "eval.samples=2",
        "checkpoint.every=1",
        "checkpoint.keep=all",
        "records.every=1",
        "records.groups=2",
    ]
    .map(String::from)
    .to_vec();
    all.extend(overrides.iter().map(ToString::to_string));
    all.push(format!("run.dir={}", directory.display()));
    Config::load(None, &all).unwrap()
}

fn train(run: &mut Run) -> Outcome {
    run.train(&mut |_: Event<'_>| (), &AtomicBool::new(false)).unwrap()
}

/// What its `summary.json` holds.
fn finished_run(directory: &Path, overrides: &[&str]) -> Value {
    match train(&mut Run::create(config(directory, overrides)).unwrap()) {
        Outcome::Finished(summary) => serde_json::to_value(summary).unwrap(),
        Outcome::Stopped(path) => panic!("stopped at {}", path.display()),
    }
}

/// Rows without fields that depend on time.
fn timeless(directory: &Path) -> Vec<String> {
    let text = fs::read_to_string(directory.join("metrics.jsonl")).unwrap();
    let timeless = |row: Row| {
        row.entries().filter(|(key, _)| !is_time_field(key)).map(|(key, value)| format!("{key}={value} ")).collect()
    };
    text.lines().map(|line| timeless(Row::from_line(line).unwrap())).collect()
}

/// What TensorBoard shows of each step, without what depends on time.
fn shown(directory: &Path) -> Vec<(i64, Shown)> {
    let events = events(&directory.join("tensorboard")).unwrap().into_iter();
    let values =
        events.flat_map(|event| event.summary.unwrap().value.into_iter().map(move |value| (event.step, value)));
    values.filter(|(_, value)| !is_time_field(&value.tag)).collect()
}

fn assert_shown_alike(a: &Path, b: &Path) {
    for ((step, a), (of, b)) in shown(a).into_iter().zip(shown(b)) {
        assert_eq!((step, &a), (of, &b));
    }
    assert_eq!(shown(a).len(), shown(b).len());
}

fn assert_same_run(a: &Path, b: &Path) {
    assert_eq!(timeless(a), timeless(b));
    assert_shown_alike(a, b);
    for file in
        ["policy/model.safetensors", "critic/model.safetensors", "state/policy.safetensors", "state/critic.safetensors"]
    {
        let bytes = |run: &Path| fs::read(run.join("checkpoints/step-000005").join(file)).unwrap();
        assert!(bytes(a) == bytes(b), "{file} differs");
    }
    for step in 1..=5 {
        let bytes = |run: &Path| fs::read(run.join(format!("rollouts/step-{step:06}.parquet"))).unwrap();
        assert!(bytes(a) == bytes(b), "the record of step {step} differs");
    }
    for step in [0, 4, 5] {
        let text = |run: &Path| fs::read_to_string(run.join(format!("eval/step-{step:06}.jsonl"))).unwrap();
        assert_eq!(text(a), text(b));
    }
}

#[test]
fn a_run_records_its_steps_evaluations_and_checkpoints() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("run");
    let summary = finished_run(&directory, &[]);

    let keys: Vec<&String> = summary.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "eval",
            "steps",
            "updates",
            "tokens",
            "wall_secs",
            "cpu_secs",
            "peak_rss_mb",
            "seed",
            "best",
            "critic",
            "alarms"
        ]
    );
    let eval_keys: Vec<&String> = summary["eval"].as_object().unwrap().keys().collect();
    assert_eq!(eval_keys, ["before", "after", "problems", "samples_per_problem"]);
    // 5 critic steps and 3 policy steps of 2 updates.
    assert_eq!((&summary["steps"], &summary["updates"]), (&Value::from(5), &Value::from(16)));
    let written: Value = serde_json::from_str(&fs::read_to_string(directory.join("summary.json")).unwrap()).unwrap();
    assert_eq!(written, summary);

    let text = fs::read_to_string(directory.join("metrics.jsonl")).unwrap();
    let rows: Vec<Row> = text.lines().map(|line| Row::from_line(line).unwrap()).collect();
    let column = |key: &str| rows.iter().map(|row| row.get(key)).collect::<Vec<_>>();
    assert_eq!(rows.iter().map(Row::global_step).collect::<Vec<_>>(), (0..=5).map(Some).collect::<Vec<_>>());
    assert_eq!(column("training/rollout_logp_diff_max")[1..], [Some(0.0); 5]);
    assert_eq!(column("training/value_pretraining")[1..], [1.0, 1.0, 0.0, 0.0, 0.0].map(Some));
    assert_eq!(column("training/policy_updates")[1..], [0.0, 0.0, 2.0, 4.0, 6.0].map(Some));
    assert_eq!(column("training/critic_updates")[1..], [2.0, 4.0, 6.0, 8.0, 10.0].map(Some));
    let evaluated: Vec<bool> = column("val-core/chain/acc/mean@2").iter().map(Option::is_some).collect();
    assert_eq!(evaluated, [true, false, false, false, true, true]);
    let timed = |key: &str| column(key).iter().map(|secs| secs.is_some_and(|secs| secs > 0.0)).collect::<Vec<_>>();
    assert_eq!(timed("timing_s/testing"), evaluated);
    assert_eq!(timed("timing_s/save_checkpoint"), [false, true, true, true, true, true]);
    assert_eq!(column("critic/skipped_updates")[1..], [Some(0.0); 5]);
    let sum: f64 = [1, 2, 3, 4, 5]
        .iter()
        .filter_map(|&step| rows[step].get("response_length/mean"))
        .zip([6.0, 6.0, 12.0, 12.0, 12.0])
        .map(|(mean, responses)| mean * responses)
        .sum();
    assert_eq!(summary["tokens"].as_f64(), Some(sum.round()));

    for file in ["policy/tokenizer.json", "critic/config.json", "state/state.json", "config.toml"] {
        assert!(directory.join("checkpoints/step-000005").join(file).is_file(), "{file}");
    }
    let readable = |file: &str| {
        let metadata = fs::metadata(directory.join("checkpoints/step-000005").join(file)).unwrap();
        metadata.permissions()
    };
    assert_eq!(readable("state/policy.safetensors"), readable("policy/model.safetensors"), "by the same users");
    let base = fs::read(directory.join("checkpoints/step-000002/policy/model.safetensors")).unwrap();
    let trained = fs::read(directory.join("checkpoints/step-000003/policy/model.safetensors")).unwrap();
    let built_in = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("base/chain/model.safetensors")).unwrap();
    assert!(base == built_in, "value pretraining does not change the policy");
    assert!(trained != built_in, "the first policy step changes it");
}

#[test]
fn a_resumed_run_is_the_run_that_was_never_killed() {
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    finished_run(&whole, &["run.threads=2"]);
    // Killed before the first checkpoint, in value pretraining, after it, and in the middle of writing.
    for last in [None, Some(1), Some(2), Some(4)] {
        let killed = root.path().join(format!("killed-{last:?}"));
        copy_tree(&whole, &killed);
        for step in (1..=5).filter(|step| last.is_none_or(|last| *step > last)) {
            fs::remove_dir_all(killed.join(format!("checkpoints/step-{step:06}"))).unwrap();
        }
        fs::remove_file(killed.join("summary.json")).unwrap();
        fs::create_dir(killed.join("checkpoints/step-000005.partial")).unwrap();
        let outcome = train(&mut Run::resume(&killed, &["run.threads=1".into()]).unwrap());
        assert!(matches!(outcome, Outcome::Finished(_)));
        assert_same_run(&whole, &killed);
    }
}

/// A copy of a finished run, set back to its second step, continues to the same bytes.
fn assert_resumes_exactly(whole: &Path, killed: &Path) {
    copy_tree(whole, killed);
    for step in 3..=5 {
        fs::remove_dir_all(killed.join(format!("checkpoints/step-{step:06}"))).unwrap();
    }
    fs::remove_file(killed.join("summary.json")).unwrap();
    train(&mut Run::resume(killed, &[]).unwrap());
    assert_same_run(whole, killed);
}

/// Sets a finished run back to its fourth step, with checkpoints of the third and the fourth.
fn set_back(whole: &Path, killed: &Path) {
    copy_tree(whole, killed);
    fs::remove_dir_all(killed.join("checkpoints/step-000005")).unwrap();
    fs::remove_file(killed.join("summary.json")).unwrap();
}

/// Resumes and trains to the end; returns the warnings.
fn resumed(directory: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut observer = |event: Event<'_>| {
        if let Event::Warning(warning) = event {
            warnings.push(warning.to_string());
        }
    };
    Run::resume(directory, &[]).unwrap().train(&mut observer, &AtomicBool::new(false)).unwrap();
    warnings
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_it_is_used() {
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    finished_run(&whole, &[]);
    let newest = "checkpoints/step-000004";
    for (name, expected) in [
        ("flipped", "state/policy.safetensors: its SHA-256 is "),
        ("truncated", "critic/model.safetensors: its SHA-256 is "),
        ("missing", "state/state.json: is missing"),
        ("list", "SHA256SUMS: line "),
    ] {
        let killed = root.path().join(name);
        set_back(&whole, &killed);
        let checkpoint = killed.join(newest);
        match name {
            "flipped" => flip_a_bit(&checkpoint.join("state/policy.safetensors")),
            "truncated" => truncate(&checkpoint.join("critic/model.safetensors")),
            "missing" => fs::remove_file(checkpoint.join("state/state.json")).unwrap(),
            _ => truncate(&checkpoint.join("SHA256SUMS")),
        }
        let warnings = resumed(&killed);
        let aside = killed.join(newest).with_extension("damaged");
        let beginning = format!(
            "a damaged checkpoint was renamed to {}, and the run continues from the one before: ",
            aside.display()
        );
        assert!(warnings.iter().any(|text| text.starts_with(&beginning) && text.contains(expected)), "{warnings:?}");
        assert!(aside.is_dir());
        assert_same_run(&whole, &killed);
    }
}

fn flip_a_bit(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn truncate(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 30]).unwrap();
}

#[test]
fn a_run_without_an_intact_checkpoint_is_refused_and_left_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("run");
    finished_run(&directory, &["checkpoint.every=off", "checkpoint.keep_best=false"]);
    let checkpoint = directory.join("checkpoints/step-000005");
    truncate(&checkpoint.join("policy/model.safetensors"));
    for _ in 0..2 {
        let error = Run::resume(&directory, &[]).err().unwrap().to_string();
        assert!(error.starts_with(&format!("no checkpoint of {} is intact", directory.display())), "{error}");
        assert!(error.contains("policy/model.safetensors: its SHA-256 is "), "{error}");
    }
    assert!(checkpoint.is_dir());
}

#[test]
fn a_run_has_one_process_at_a_time() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("run");
    let mut run = Run::create(config(&directory, &[])).unwrap();
    let error = Run::resume(&directory, &[]).err().unwrap().to_string();
    let expected = format!("{} is in use by process {} on ", directory.display(), std::process::id());
    assert!(error.starts_with(&expected), "{error}");
    train(&mut run);
    drop(run);
    Run::resume(&directory, &[]).unwrap();
}

#[test]
fn checkpoints_follow_the_clock() {
    let root = tempfile::tempdir().unwrap();
    let checkpoints = |minutes: &str| {
        let run = root.path().join(minutes);
        let every = format!("checkpoint.every_minutes={minutes}");
        finished_run(&run, &["checkpoint.every=off", "checkpoint.keep_best=false", &every]);
        let found = RunDir::open(&run).unwrap().checkpoints().unwrap();
        found.into_iter().map(|(step, _)| step).collect::<Vec<_>>()
    };
    assert_eq!(checkpoints("0.000001"), [1, 2, 3, 4, 5]);
    assert_eq!(checkpoints("1000"), [5]);
    assert_eq!(checkpoints("off"), [5]);
}

/// Background and foreground writing give the same checkpoint, and the best policy stays.
#[test]
fn checkpoints_are_the_same_from_a_copy_and_the_best_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let (beside, waiting) = (root.path().join("beside"), root.path().join("waiting"));
    let settings = ["checkpoint.every=off", "checkpoint.keep=1", "eval.every=1", "run.steps=4"];
    let summary = finished_run(&beside, &settings);
    finished_run(&waiting, &[&settings[..], &["checkpoint.background=false"]].concat());
    let best = summary["best"]["step"].as_u64().unwrap();
    let accuracy = |step: u64| RunDir::open(&beside).unwrap().metrics().unwrap()[step as usize].accuracy().unwrap();
    assert_eq!(summary["best"]["accuracy"].as_f64(), Some(accuracy(best)));
    assert!((3..best).all(|step| accuracy(step) < accuracy(best)));
    assert!((best..=6).all(|step| accuracy(step) <= accuracy(best)));
    let expected: BTreeSet<u64> = [best, 6].into();
    for run in [&beside, &waiting] {
        let kept = RunDir::open(run).unwrap().checkpoints().unwrap();
        assert_eq!(kept.iter().map(|(step, _)| *step).collect::<BTreeSet<_>>(), expected);
    }
    for file in ["policy/model.safetensors", "state/policy.safetensors", "state/critic.safetensors"] {
        let bytes = |run: &Path| fs::read(run.join("checkpoints/step-000006").join(file)).unwrap();
        assert!(bytes(&beside) == bytes(&waiting), "{file}");
    }
}

/// With the step itself if training waits for it, else later.
#[test]
fn every_checkpoint_is_reported_once_it_is_complete() {
    let root = tempfile::tempdir().unwrap();
    for background in [true, false] {
        let directory = root.path().join(background.to_string());
        let mut run = Run::create(config(&directory, &[&format!("checkpoint.background={background}")])).unwrap();
        let (mut last, mut saved) = (0, Vec::new());
        let mut observer = |event: Event<'_>| match event {
            Event::Step { step, .. } => last = step,
            Event::Saved { path } => {
                assert!(path.join("SHA256SUMS").is_file());
                saved.push((path.to_path_buf(), last));
            }
            _ => (),
        };
        run.train(&mut observer, &AtomicBool::new(false)).unwrap();
        let path = |step| directory.join(format!("checkpoints/step-{step:06}"));
        let expected: Vec<_> = (1..=5).map(|step| (path(step), step)).collect();
        if background {
            assert!(saved.iter().map(|(path, _)| path).eq(expected.iter().map(|(path, _)| path)), "{saved:?}");
        } else {
            assert_eq!(saved, expected);
        }
    }
}

#[test]
fn a_run_that_ends_in_its_step_completes_the_checkpoint_before() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("run");
    let mut run = Run::create(config(&directory, &[])).unwrap();
    let mut observer = |event: Event<'_>| {
        if let Event::Step { step: 1, .. } = event {
            resume_unwind(Box::new("the end"));
        }
    };
    catch_unwind(AssertUnwindSafe(|| run.train(&mut observer, &AtomicBool::new(false)))).unwrap_err();
    drop(run);
    let names = fs::read_dir(directory.join("checkpoints")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["step-000001"]);
}

/// A copy of a finished run, set back to its second step, whose `config.toml` is as an earlier version wrote it, with a value
/// that was accepted and ignored.
#[test]
fn a_run_directory_of_an_earlier_version_resumes_exactly() {
    let root = tempfile::tempdir().unwrap();
    let (whole, old) = (root.path().join("whole"), root.path().join("old"));
    finished_run(&whole, &[]);
    copy_tree(&whole, &old);
    (3..=5).for_each(|step| fs::remove_dir_all(old.join(format!("checkpoints/step-{step:06}"))).unwrap());
    fs::remove_file(old.join("summary.json")).unwrap();
    let written = fs::read_to_string(old.join("config.toml")).unwrap();
    let mut former = written.clone();
    for (now, then) in [
        ("\nminibatches_per_epoch = 2\n", "\nupdates_per_rollout = 2\n"),
        ("\ncritic_epochs = \"policy\"\n", "\ncritic_updates_per_policy_update = 1\n"),
        ("\ncritic_minibatches_per_epoch = \"policy\"\n", "\ncritic_minibatches = \"off\"\n"),
        ("\nkeep = \"all\"\n", "\nkeep = 0\n"),
        ("\nlambda_policy = 0.95\n", "\nlambda_policy = 0.9\n"),
    ] {
        let (before, after) = former.rsplit_once(now).unwrap_or_else(|| panic!("no {now}"));
        former = format!("{before}{then}{after}");
    }
    fs::write(old.join("config.toml"), former).unwrap();
    let resolved = RunDir::open(&old).unwrap().resolve(&[]).unwrap();
    assert_eq!((resolved.warnings.len(), resolved.unused.len()), (4, 0), "{:?}", resolved.warnings);
    train(&mut Run::resume(&old, &[]).unwrap());
    assert_same_run(&whole, &old);
    let now = fs::read_to_string(old.join("config.toml")).unwrap();
    assert_eq!(now, written.replace("\nlambda_policy = 0.95\n", "\nlambda_policy = 0.9\n"));
}

/// Model directories in bfloat16 are for other programs: the run itself continues from exact weights.
#[test]
fn a_run_with_rounded_directories_resumes_exactly() {
    let root = tempfile::tempdir().unwrap();
    let (exact, whole, killed) = (root.path().join("exact"), root.path().join("whole"), root.path().join("killed"));
    finished_run(&exact, &[]);
    finished_run(&whole, &["checkpoint.dtype=bfloat16"]);
    assert_resumes_exactly(&whole, &killed);
    for network in ["policy", "critic"] {
        let weights = |run: &Path| run.join(format!("checkpoints/step-000005/{network}/model.safetensors"));
        let bytes = |run: &Path| fs::metadata(weights(run)).unwrap().len();
        assert!(bytes(&whole) < bytes(&exact) * 6 / 10, "{network}");
        let model = |run: &Path| {
            let head = if network == "policy" { Head::Language } else { Head::Value };
            Model::load(&Device::cpu(1), weights(run).parent().unwrap(), head).unwrap()
        };
        let (rounded, exact) = (model(&whole), model(&exact));
        assert!(rounded.weights() != exact.weights(), "{network}");
        let close = |(a, b): (&f32, &f32)| (a - b).abs() <= b.abs() / 256.0;
        assert!(rounded.weights().iter().zip(&exact.weights()).all(close), "{network}");
    }
}

/// A run continues from the master weights; it samples with weights rounded from them.
#[test]
fn a_run_in_bf16_resumes_exactly() {
    let root = tempfile::tempdir().unwrap();
    for directories in ["float32", "bfloat16"] {
        let saved_as = format!("checkpoint.dtype={directories}");
        let settings = ["model.dtype=bfloat16", "algorithm.kl_weight=0.1", saved_as.as_str()];
        let (whole, killed) = (root.path().join(format!("whole-{directories}")), root.path().join(directories));
        finished_run(&whole, &settings);
        let rows = fs::read_to_string(whole.join("metrics.jsonl")).unwrap();
        let differences: Vec<f64> = rows
            .lines()
            .filter_map(|row| serde_json::from_str::<Value>(row).unwrap()["training/rollout_logp_diff_max"].as_f64())
            .collect();
        assert!(!differences.is_empty() && differences.iter().all(|difference| *difference == 0.0), "{differences:?}");
        assert_resumes_exactly(&whole, &killed);
    }
}

/// Stops at the first progress of a stage from a given step on; returns the checkpoint.
fn stopped(run: &mut Run, at: Stage, from_step: u64) -> PathBuf {
    let stop = AtomicBool::new(false);
    let mut step = 0;
    let mut observer = |event: Event<'_>| match event {
        Event::Step { step: last, .. } => step = last + 1,
        Event::Progress(Progress { stage, .. }) if stage == at && step >= from_step => {
            stop.store(true, Ordering::Relaxed)
        }
        _ => (),
    };
    match run.train(&mut observer, &stop).unwrap() {
        Outcome::Stopped(path) => path,
        Outcome::Finished(_) => panic!("the run was not stopped"),
    }
}

/// The sum of the shards' gradients is the gradient of the whole update, and their statistics are those of all its tokens.
#[test]
fn gradient_shards_change_an_update_by_rounding_alone() {
    let root = tempfile::tempdir().unwrap();
    // One update of each network per step: the second step shows what the first did to the weights.
    let one_update =
        ["value_pretraining.steps=0", "run.steps=2", "algorithm.minibatches_per_epoch=1", "eval.every=off"];
    let rows = |shards: usize| {
        let (directory, setting) = (root.path().join(shards.to_string()), format!("run.gradient_shards={shards}"));
        finished_run(&directory, &[&one_update[..], &[&setting]].concat());
        RunDir::open(&directory).unwrap().metrics().unwrap()
    };
    let whole = rows(1);
    // 16 shards are more than there are responses: some are empty.
    for shards in [2, 8, 16] {
        for (step, (whole, sharded)) in whole.iter().zip(rows(shards)).enumerate().skip(1) {
            for key in ["actor/pg_loss", "actor/grad_norm", "actor/entropy", "critic/vf_loss", "critic/grad_norm"] {
                let [expected, found] = [whole, &sharded].map(|row| row.get(key).expect(key));
                let close = (expected - found).abs() <= 1e-4 * expected.abs() + 1e-7;
                assert!(close, "{key} of step {step} with {shards} shards: {found}, whole {expected}");
            }
        }
    }
}

#[test]
fn a_stopped_run_leaves_a_checkpoint_and_continues_exactly() {
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    finished_run(&whole, &[]);
    let cases = [
        (Stage::Evaluation, 0, "step-000000"),
        (Stage::Sampling, 3, "step-000002"),
        (Stage::PolicyUpdates, 3, "step-000003"),
        (Stage::Evaluation, 4, "step-000004"),
    ];
    for (stage, from_step, checkpoint) in cases {
        let directory = root.path().join(format!("{stage:?}-{from_step}"));
        let path = stopped(&mut Run::create(config(&directory, &[])).unwrap(), stage, from_step);
        assert_eq!(path, directory.join("checkpoints").join(checkpoint));
        assert!(matches!(train(&mut Run::resume(&directory, &[]).unwrap()), Outcome::Finished(_)));
        assert_same_run(&whole, &directory);
    }
}

/// With a time limit for stopping, the updates of a step that have begun are undone.
#[test]
fn a_run_with_little_time_to_stop_goes_back_before_its_updates() {
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    finished_run(&whole, &[]);
    for background in [true, false] {
        for (stage, from_step, checkpoint) in
            [(Stage::CriticUpdates, 1, "step-000000"), (Stage::PolicyUpdates, 4, "step-000003")]
        {
            let directory = root.path().join(format!("{stage:?}-{background}"));
            let settings = ["run.stop_timeout_secs=60", &format!("checkpoint.background={background}")];
            let mut run = Run::create(config(&directory, &settings)).unwrap();
            assert_eq!(stopped(&mut run, stage, from_step), directory.join("checkpoints").join(checkpoint));
            let copy = root.path().join(format!("{stage:?}-{background}-copy"));
            copy_tree(&directory, &copy);
            // The run in memory is as good as the one on disk.
            train(&mut run);
            assert_same_run(&whole, &directory);
            train(&mut Run::resume(&copy, &[]).unwrap());
            assert_same_run(&whole, &copy);
        }
    }
}

#[test]
fn a_run_stopped_in_its_last_evaluation_ends_with_a_checkpoint_that_has_it() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("run");
    let checkpoint = stopped(&mut Run::create(config(&directory, &[])).unwrap(), Stage::Evaluation, 5);
    let accuracy = || -> Value {
        let state = fs::read_to_string(checkpoint.join("state/state.json")).unwrap();
        serde_json::from_str::<Value>(&state).unwrap()["pending"]["val-core/chain/acc/mean@2"].clone()
    };
    assert_eq!(accuracy(), Value::Null);
    train(&mut Run::resume(&directory, &[]).unwrap());
    assert!(accuracy().is_number());
    let names = fs::read_dir(directory.join("checkpoints")).unwrap().map(|entry| entry.unwrap().file_name());
    let expected = (1..=5).map(|step| format!("step-{step:06}").into());
    assert_eq!(names.collect::<BTreeSet<_>>(), expected.collect::<BTreeSet<_>>());
}

#[test]
fn a_step_is_reported_in_the_session_that_trained_it_and_recorded_in_the_one_that_evaluated_it() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("run");
    stopped(&mut Run::create(config(&directory, &[])).unwrap(), Stage::Evaluation, 4);
    let mut steps = Vec::new();
    let mut observer = |event: Event<'_>| {
        if let Event::Step { step, report, .. } = event {
            steps.push((step, report.map(|report| report.phase)));
        }
    };
    Run::resume(&directory, &[]).unwrap().train(&mut observer, &AtomicBool::new(false)).unwrap();
    assert_eq!(steps, [(4, None), (5, Some(Phase::Policy))]);
}

#[test]
fn a_pretrained_critic_is_saved_and_reused() {
    let root = tempfile::tempdir().unwrap();
    let critic = root.path().join("critic");
    let save = format!("value_pretraining.save_critic={}", critic.display());
    finished_run(&root.path().join("first"), &[&save, "run.steps=1"]);
    let saved = fs::read(critic.join("model.safetensors")).unwrap();
    let checkpoint = root.path().join("first/checkpoints/step-000002/critic/model.safetensors");
    assert!(
        saved == fs::read(checkpoint).unwrap(),
        "the critic after value pretraining, before the policy's first step"
    );

    let reuse = format!("critic.path={}", critic.display());
    let second = root.path().join("second");
    finished_run(&second, &[&reuse, "value_pretraining.steps=0", "run.steps=1"]);
    let values: Vec<_> = timeless(&second).iter().map(|row| row.contains("critic/values/max=0.5 ")).collect();
    assert_eq!(values, [false, false], "a trained critic does not predict 0.5 everywhere");

    let again = Run::create(config(&root.path().join("third"), &[&save])).err().unwrap().to_string();
    assert_eq!(again, format!("value_pretraining.save_critic ({}) exists, expected a new directory", critic.display()));
}

#[test]
fn the_state_of_another_network_is_refused_with_the_tensor() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("run");
    finished_run(&directory, &["run.steps=1"]);
    let state = directory.join("checkpoints/step-000003/state");
    fs::copy(state.join("critic.safetensors"), state.join("policy.safetensors")).unwrap();
    // As if a format without checksums had it.
    fs::remove_file(directory.join("checkpoints/step-000003/SHA256SUMS")).unwrap();
    let text = fs::read_to_string(state.join("state.json")).unwrap();
    fs::write(state.join("state.json"), text.replace("\"format_version\": 3", "\"format_version\": 2")).unwrap();
    let error = Run::resume(&directory, &[]).err().unwrap().to_string();
    assert!(error.contains("policy.safetensors: holds first_moment.score."), "{error}");
    assert!(error.ends_with(", which the checkpoint's model does not have"), "{error}");
}

#[test]
fn what_is_missing_is_an_error_before_anything_is_written() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("run");
    let error = |overrides: &[&str]| Run::create(config(&directory, overrides)).err().unwrap().to_string();
    assert!(error(&["model.path=/no/such/model"]).contains("/no/such/model"));
    assert!(error(&["data.train=/no/such.jsonl", "data.eval=/no/such.jsonl"]).contains("cannot read /no/such.jsonl"));
    assert!(error(&["data.task=chess"]).contains("there is no built-in task `chess`"));
    assert!(error(&["rollout.max_new_tokens=4000"]).contains("max_position_embeddings"));
    assert!(error(&["model.max_positions=100"]).contains("exceed the model's max_position_embeddings (100)"));
    assert!(error(&["model.max_positions=4000"]).contains("model.max_positions (4000) must be at most"));
    assert!(error(&["rollout.slots=10000000", "rollout.prompts_per_step=200000"]).contains("is available"));
    assert!(error(&["rollout.stop_tokens=[1, 43]"]).contains("rollout.stop_tokens contains 43"));
    assert!(!directory.exists());
}

/// The second training problem is one that no step of a short run would reach.
fn load(root: &tempfile::TempDir, overrides: &[&str]) -> vapo_train::Result<Box<dyn vapo_tasks::Task>> {
    vapo_train::load_task(&config(&root.path().join("run"), overrides))
}

/// What a session that stops at once warns of.
fn warnings(run: &mut Run) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut collect = |event: Event<'_>| {
        if let Event::Warning(text) = event {
            warnings.push(text.to_owned());
        }
    };
    run.train(&mut collect, &AtomicBool::new(true)).unwrap();
    warnings
}

fn resume(directory: &Path, overrides: &[&str]) -> Result<Run, String> {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    Run::resume(directory, &overrides).map_err(|error| error.to_string())
}

#[test]
fn a_run_is_not_resumed_with_another_seed_or_on_changed_problems() {
    let root = tempfile::tempdir().unwrap();
    let (directory, own) = (root.path().join("run"), root.path().join("own.jsonl"));
    let row = |n: u32| format!("{{\"problem\": \"{n}a+1:\", \"answer\": \"7\"}}\n");
    let write = |rows: &[u32]| fs::write(&own, rows.iter().map(|n| row(*n)).collect::<String>()).unwrap();
    write(&[1, 2, 3, 4]);
    fs::write(root.path().join("test.jsonl"), row(9)).unwrap();
    let train = format!("data.train={}", own.display());
    let eval = format!("data.eval={}", root.path().join("test.jsonl").display());
    finished_run(&directory, &[&train, &eval, "run.steps=1", "value_pretraining.steps=1"]);

    let seed = resume(&directory, &["run.seed=3"]).err().unwrap();
    assert_eq!(seed, "run.seed is 3 instead of 0: a run keeps its seed, start a new run for another one");
    for changed in [&[1, 2, 3, 4, 5][..], &[4, 3, 2, 1], &[1, 2, 3]] {
        write(changed);
        let error = resume(&directory, &["run.steps=2"]).err().unwrap();
        assert!(error.contains("the training problems are not those of the checkpoint"), "{error}");
    }
    // Other files by another setting are a wish.
    let other = root.path().join("other.jsonl");
    fs::rename(&own, &other).unwrap();
    let mut run = resume(&directory, &[&format!("data.train={}", other.display())]).unwrap();
    let warnings = warnings(&mut run);
    assert!(
        warnings.iter().any(|warning| warning.contains("continues with those of the new [data] settings")),
        "{warnings:?}"
    );
}

#[test]
fn a_checkpoint_needs_no_base_model_unless_that_is_the_reference_policy() {
    let root = tempfile::tempdir().unwrap();
    let base = root.path().join("base");
    copy_tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("base/chain"), &base);
    let model = format!("model.path={}", base.display());
    let short = [model.as_str(), "run.steps=1", "value_pretraining.steps=1"];
    let (plain, divergence) = (root.path().join("plain"), root.path().join("divergence"));
    finished_run(&plain, &short);
    finished_run(&divergence, &[&short[..], &["algorithm.kl_weight=0.1"]].concat());
    fs::remove_dir_all(&base).unwrap();
    let mut longer = resume(&plain, &["run.steps=2"]).unwrap();
    assert_eq!(warnings(&mut longer), [""; 0], "a constant learning rate does not rise");
    train(&mut longer);
    let error = resume(&divergence, &["run.steps=2"]).err().unwrap();
    let told = "the model that the run started from is its reference policy (algorithm.kl_weight is 0.1) and in no checkpoint: ";
    assert!(error.starts_with(told) && error.contains(&base.display().to_string()), "{error}");
}

/// A plateau after 2 of at most 50 steps of value pretraining, then 3 of the policy: 10 critic updates in all.
#[test]
fn a_falling_learning_rate_of_the_critic_ends_with_the_run_where_a_plateau_ends_value_pretraining() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("run");
    let settings = [
        "value_pretraining.steps=50",
        "value_pretraining.rule=plateau",
        "value_pretraining.window=1",
        "value_pretraining.min_progress=1e9",
        "critic_optimizer.schedule=linear",
        "critic_optimizer.warmup_updates=0",
        "critic_optimizer.learning_rate=1e-3",
        "policy_optimizer.schedule=linear",
        "policy_optimizer.warmup_updates=0",
        "policy_optimizer.min_ratio=0",
        "policy_optimizer.learning_rate=1e-4",
    ];
    finished_run(&directory, &settings);
    let rates = |key: &str| -> Vec<f64> {
        let text = fs::read_to_string(directory.join("metrics.jsonl")).unwrap();
        text.lines().filter_map(|line| Row::from_line(line).unwrap().get(key)).collect()
    };
    let critic = rates("critic/lr");
    assert_eq!(critic.len(), 5);
    assert!((critic[4] - 1e-4).abs() < 1e-9, "one tenth is left for the last of 10 updates: {critic:?}");

    assert_eq!(warnings(&mut resume(&directory, &[]).unwrap()), [""; 0]);
    assert_eq!(
        warnings(&mut resume(&directory, &["run.steps=6"]).unwrap()),
        [("policy", "0.00e0 to 5.00e-5"), ("critic", "0.00e0 to 3.75e-4")].map(|(name, rates)| format!(
            "run.steps is 6 instead of 3: the {name}'s learning rate is planned anew for the whole run and rises from {rates}"
        ))
    );
}

#[test]
fn validation_and_test_problems_of_a_built_in_task_are_disjoint() {
    let root = tempfile::tempdir().unwrap();
    let prompts = |split: &str, problems: &str| -> BTreeSet<String> {
        let task = load(&root, &[&format!("eval.split={split}"), &format!("eval.problems={problems}")]).unwrap();
        task.held_out().iter().map(|problem| problem.prompt.clone()).collect()
    };
    let validation = prompts("validation", "200");
    assert_eq!(validation.len(), 200);
    for tested in ["200", "512"] {
        assert!(validation.is_disjoint(&prompts("test", tested)));
    }
    assert!(prompts("validation", "600").is_disjoint(&prompts("test", "600")));
}

/// A chat template for the built-in model, made for this test.
#[test]
fn a_chat_is_tokenized_without_further_special_tokens() {
    let root = tempfile::tempdir().unwrap();
    let model = root.path().join("model");
    copy_tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("base/chain"), &model);
    let text = TextFiles::load(&model).unwrap();
    let plain = Problem { prompt: "7a:".into(), ..Problem::default() };
    let expected = text.encode(&plain).unwrap();
    assert_eq!(expected.len(), 4, "a beginning-of-sequence token and three characters");

    let template = "{% for m in messages %}{{ bos_token if m.role == 'user' }}{{ m.content }}{% endfor %}";
    fs::write(model.join("chat_template.jinja"), template).unwrap();
    let text = TextFiles::load(&model).unwrap();
    let chat = Problem { context: Some(vec![]), ..plain };
    assert_eq!(text.encode(&chat).unwrap(), expected, "one beginning-of-sequence token, not two");
}

#[test]
fn every_prompt_is_checked_before_a_run() {
    let root = tempfile::tempdir().unwrap();
    let row = |problem: &str| format!("{{\"prompt\": \"{problem}\", \"answer\": 7}}\n");
    let write = |name: &str, text: String| {
        let path = root.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let train = write("long.jsonl", row("7a:") + &row(&"7a+".repeat(200)));
    let eval = write("short.jsonl", row("8a:"));
    let (train, eval) = (format!("data.train={train}"), format!("data.eval={eval}"));
    let error =
        |overrides: &[&str]| Run::create(config(&root.path().join("run"), overrides)).err().unwrap().to_string();
    assert_eq!(
        error(&[&train, &eval]),
        format!(
            "{}, row 2: its prompt (601 tokens) and max_new_tokens (64) exceed the model's max_position_embeddings (512); data.max_prompt_tokens can leave out longer prompts",
            root.path().join("long.jsonl").display()
        )
    );
    let filtered = [&train, &eval, "data.max_prompt_tokens=601", "data.limit=1"];
    assert_eq!(load(&root, &filtered).unwrap().warnings(), [""; 0]);
    let filtered = load(&root, &[&train, &eval, "data.max_prompt_tokens=600"]).unwrap();
    assert_eq!(filtered.listed_train_problems().len(), 1);
    let warnings = filtered.warnings().join("\n").replace(&root.path().display().to_string(), "");
    assert_eq!(
        warnings,
        "1 of 2 problems of /long.jsonl are left out: their prompts are longer than data.max_prompt_tokens"
    );
    let all = load(&root, &[&train, &eval, "data.max_prompt_tokens=2"]).err().unwrap().to_string();
    assert!(all.contains("is 0 of 2 in "), "{all}");

    // A tokenizer with more tokens than the model.
    let model = root.path().join("model");
    copy_tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("base/chain"), &model);
    let tokenizer = model.join("tokenizer.json");
    let mut json: Value = serde_json::from_str(&fs::read_to_string(&tokenizer).unwrap()).unwrap();
    json["model"]["vocab"]["8"] = 5000.into();
    fs::write(&tokenizer, json.to_string()).unwrap();
    let model = format!("model.path={}", model.display());
    let train = format!("data.train={}", write("other.jsonl", row("9a:")));
    assert_eq!(
        error(&[&eval, &train, &model]).split(": tokenizer").next(),
        Some(&*format!(
            "{}, row 1: its prompt contains token 5000, but the model's vocab_size is 43",
            root.path().join("short.jsonl").display()
        ))
    );
    assert!(!root.path().join("run").exists());
}

#[test]
fn a_new_critic_starts_at_zero_or_at_the_mean_return() {
    let root = tempfile::tempdir().unwrap();
    for (start, bound) in [("zero", "none"), ("mean-return", "none"), ("mean-return", "sigmoid")] {
        let directory = root.path().join(format!("{start}-{bound}"));
        let settings = [
            format!("critic.start={start}"),
            format!("critic.bound={bound}"),
            "value_pretraining.prompts_per_step=32".into(),
        ];
        finished_run(&directory, &settings.each_ref().map(String::as_str));
        let text = fs::read_to_string(directory.join("metrics.jsonl")).unwrap();
        let row: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
        let expected = if start == "zero" { 0.0 } else { row["critic/rewards/mean"].as_f64().unwrap() };
        assert!((row["critic/values/mean"].as_f64().unwrap() - expected).abs() < 1e-6, "{start} {bound}: {row}");
        assert!(row["critic/rewards/mean"].as_f64().unwrap() > 0.01);
    }
}

#[test]
fn the_built_in_base_models_do_their_tasks_seldom_but_not_never() {
    let root = tempfile::tempdir().unwrap();
    for (task, expected) in [("chain", 0.12..0.3), ("recall", 0.03..0.12)] {
        let directory = root.path().join(task);
        let task = format!("data.task={task}");
        let settings =
            [task.as_str(), "rollout.max_new_tokens=160", "run.steps=1", "eval.problems=100", "eval.samples=8"];
        let summary = finished_run(&directory, &settings);
        let accuracy = summary["eval"]["before"].as_f64().unwrap();
        assert!(expected.contains(&accuracy), "{task}: {accuracy}");
    }
}

#[test]
fn a_base_model_has_the_same_bytes_on_any_number_of_threads_and_can_be_trained() {
    let root = tempfile::tempdir().unwrap();
    let settings = PretrainSettings { updates: 3, demonstrations_per_update: 24, ..PretrainSettings::of_task("walk") };
    let make = |name: &str, threads| {
        let path = root.path().join(name);
        let loss =
            pretrain(&settings, &Device::cpu(threads), &path, &mut |_: Event<'_>| (), &AtomicBool::new(false)).unwrap();
        assert!(loss.is_some_and(|loss| loss > 1.0 && loss < 4.0), "{loss:?}");
        path
    };
    let (one, two) = (make("one", 1), make("two", 2));
    assert!(fs::read(one.join("model.safetensors")).unwrap() == fs::read(two.join("model.safetensors")).unwrap());
    let model = format!("model.path={}", one.display());
    finished_run(&root.path().join("run"), &["data.task=walk", &model, "run.steps=1"]);
    let again =
        pretrain(&settings, &Device::cpu(1), &one, &mut |_: Event<'_>| (), &AtomicBool::new(false)).unwrap_err();
    assert_eq!(again.to_string(), format!("{} exists, expected a new directory for the base model", one.display()));
}
