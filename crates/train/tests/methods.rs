//! Every preset and every term of the objective through real steps on the built-in task.

use std::{fs, path::Path, sync::atomic::AtomicBool};

use vapo_train::{
    Config, Event, Outcome, Row, Run,
    config::{AdvantageKind, PRESETS},
};

/// Sizes for a run of seconds: two steps of 24 responses, and one of value pretraining if the method has it.
const TINY: [&str; 14] = [
    "run.steps=2",
    "run.threads=1",
    "run.check_logps=all",
    "rollout.prompts_per_step=6",
    "rollout.group_size=4",
    "rollout.max_new_tokens=48",
    "value_pretraining.prompts_per_step=8",
    "value_pretraining.group_size=1",
    "algorithm.advantage_normalization=none",
    "critic.bound=none",
    "eval.problems=2",
    "eval.samples=1",
    "checkpoint.every=1",
    "checkpoint.keep=all",
];

/// The built-in run at tiny sizes, with `algorithm.preset=name` and `overrides`.
fn config(name: &str, directory: &Path, overrides: &[&str]) -> Config {
    let mut all: Vec<String> = TINY.iter().take(8).chain(&TINY[10..]).map(ToString::to_string).collect();
    all.insert(0, format!("algorithm.preset={name}"));
    if name != "orz" {
        all.push("algorithm.minibatches_per_epoch=3".into());
    }
    all.extend(overrides.iter().map(ToString::to_string));
    all.push(format!("run.dir={}", directory.display()));
    let has_pretraining = Config::load(None, &all[..1]).unwrap().value_pretraining.steps > 0;
    all.push(format!("value_pretraining.steps={}", u8::from(has_pretraining)));
    Config::load(None, &all).unwrap()
}

fn train(config: Config) -> Vec<Row> {
    let directory = config.run.dir.clone().unwrap();
    let outcome = Run::create(config).unwrap().train(&mut |_: Event<'_>| (), &AtomicBool::new(false)).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)));
    rows(&directory)
}

fn rows(directory: &Path) -> Vec<Row> {
    let text = fs::read_to_string(directory.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| Row::from_line(line).unwrap()).collect()
}

#[test]
fn every_preset_trains_with_finite_metrics() {
    let root = tempfile::tempdir().unwrap();
    for preset in PRESETS {
        let config = config(preset.name, &root.path().join(preset.name), &[]);
        let (has_critic, weight) = (config.has_critic(), config.algorithm.kl_weight);
        let in_reward = config.algorithm.advantage == AdvantageKind::Return || preset.name == "rloo";
        let rows = train(config);
        let last = rows.last().unwrap();
        let number = |key: &str| last.get(key).filter(|value| value.is_finite());
        assert_eq!(number("training/rollout_logp_diff_max"), Some(0.0), "{}", preset.name);
        assert!(number("actor/grad_norm").unwrap() > 0.0, "{}", preset.name);
        assert!(number("actor/pg_loss").is_some() && number("actor/ppo_kl").is_some(), "{}", preset.name);
        assert_eq!(number("critic/vf_loss").is_some(), has_critic, "{}", preset.name);
        assert_eq!(number("actor/kl_loss").is_some(), weight > 0.0 && !in_reward, "{}", preset.name);
        assert_eq!(number("actor/reward_kl_penalty").is_some(), in_reward, "{}", preset.name);
        assert_eq!(number("actor/skipped_updates"), Some(0.0), "{}", preset.name);
    }
}

#[test]
fn the_critic_makes_as_many_updates_as_configured() {
    let root = tempfile::tempdir().unwrap();
    let updates = |name: &str, overrides: &[&str]| {
        let directory = root.path().join(format!("{name}{}", overrides.len()));
        let rows = train(config(name, &directory, overrides));
        let last = rows.last().unwrap();
        (last.get("training/policy_updates").unwrap(), last.get("training/critic_updates").unwrap())
    };
    assert_eq!(updates("orz", &[]), (2.0, 24.0), "one for the policy, twelve for the critic");
    // Two passes of 3 updates in one step of value pretraining and two of both.
    assert_eq!(updates("sao", &[]), (6.0, 18.0));
    assert_eq!(updates("ppo", &["algorithm.critic_minibatches_per_epoch=4", "algorithm.epochs=2"]), (12.0, 16.0));
}

#[test]
fn terms_of_the_objective_are_recorded_and_train() {
    let root = tempfile::tempdir().unwrap();
    let cases: [&[&str]; 4] = [
        &["algorithm.kl_weight=0.1", "algorithm.entropy_weight=0.01", "algorithm.clip_dual=3", "critic.value_clip=0.2"],
        &["algorithm.epochs=2", "critic.bound=atan", "critic.head_std=0.1", "algorithm.kl_estimator=k2"],
        &["algorithm.kl_weight=0.1", "algorithm.kl_in=reward", "algorithm.kl_estimator=k3", "critic.bound=none"],
        &["rollout.top_p=0.9", "algorithm.importance_cap=2"],
    ];
    for (number, overrides) in cases.iter().enumerate() {
        let rows = train(config("vapo", &root.path().join(number.to_string()), overrides));
        let last = rows.last().unwrap();
        assert_eq!(last.get("training/rollout_logp_diff_max"), Some(0.0), "{overrides:?}");
        assert!(last.get("actor/grad_norm").unwrap() > 0.0 && last.get("critic/vf_loss").unwrap() > 0.0);
        assert_eq!(last.get("actor/kl_loss").is_some(), number == 0);
        assert_eq!(last.get("actor/reward_kl_penalty").is_some(), number == 2);
    }
}

/// Problems so short that many groups are unanimous.
const EASY: [&str; 3] = ["data.chain_operations=[2, 3]", "rollout.group_size=3", "run.steps=3"];

#[test]
fn dynamic_sampling_fills_the_step_with_groups_that_disagree_and_counts_what_it_drew() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("dapo");
    let rows = train(config("dapo", &directory, &EASY));
    let sum = |key: &str| rows.iter().filter_map(|row| row.get(key)).sum::<f64>();
    let column = |key: &str| rows[1..].iter().map(|row| row.get(key).unwrap()).collect::<Vec<_>>();
    assert!(column("vapo/sampling_rounds").iter().any(|&rounds| rounds > 1.0), "{:?}", column("vapo/sampling_rounds"));
    assert_eq!(column("vapo/missing_groups"), [0.0; 3]);
    // 6 groups of 3 in each step, right and wrong in each of them: mean scores of 1/3 and 2/3.
    assert!(column("critic/score/mean").iter().all(|&mean| (0.33..0.67).contains(&mean)));
    assert!(column("vapo/unanimous_group_frac").iter().any(|&share| share > 0.0));
    let last = rows.last().unwrap();
    assert_eq!(last.get("training/prompts"), Some(sum("vapo/sampled_prompts")));
    assert_eq!(last.get("training/responses"), Some(sum("vapo/sampled_responses")));
    assert_eq!(sum("vapo/sampled_responses"), 3.0 * sum("vapo/sampled_prompts"));
    assert!(sum("vapo/sampled_prompts") > 18.0);
}

#[test]
fn a_run_with_dynamic_sampling_resumes_exactly() {
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("dapo");
    train(config("dapo", &whole, &EASY));
    let timeless = |row: &Row| {
        let kept = row.entries().filter(|(key, _)| !vapo_train::is_time_field(key));
        kept.map(|(key, value)| format!("{key}={value} ")).collect::<String>()
    };
    let before: Vec<String> = rows(&whole).iter().map(timeless).collect();
    let weights = |run: &Path| fs::read(run.join("checkpoints/step-000003/policy/model.safetensors")).unwrap();
    let (trained, last) = (weights(&whole), whole.join("checkpoints"));
    for step in [2, 3] {
        fs::remove_dir_all(last.join(format!("step-{step:06}"))).unwrap();
    }
    let mut resumed = Run::resume(&whole, &[]).unwrap();
    assert!(matches!(resumed.train(&mut |_: Event<'_>| (), &AtomicBool::new(false)).unwrap(), Outcome::Finished(_)));
    assert_eq!(rows(&whole).iter().map(timeless).collect::<Vec<_>>(), before);
    assert!(weights(&whole) == trained);
}

/// Only one round, and a task that the base model never solves: all groups are unanimous.
#[test]
fn dynamic_sampling_continues_with_the_groups_found() {
    let root = tempfile::tempdir().unwrap();
    let hopeless =
        ["rollout.max_new_tokens=2", "algorithm.dynamic_sampling_rounds=2", "algorithm.overlong_filtering=false"];
    let rows = train(config("dapo", &root.path().join("run"), &hopeless));
    let last = rows.last().unwrap();
    assert_eq!((last.get("vapo/missing_groups"), last.get("vapo/sampling_rounds")), (Some(6.0), Some(2.0)));
    assert_eq!((last.get("vapo/sampled_prompts"), last.get("vapo/sampled_responses")), (Some(24.0), Some(96.0)));
    assert_eq!((last.get("critic/advantages/max"), last.get("actor/grad_norm")), (Some(0.0), Some(0.0)));
}

#[test]
fn a_run_reports_diagnostics_of_the_critic() {
    let root = tempfile::tempdir().unwrap();
    let summary = |name: &str| -> serde_json::Value {
        train(config(name, &root.path().join(name), &[]));
        serde_json::from_str(&fs::read_to_string(root.path().join(name).join("summary.json")).unwrap()).unwrap()
    };
    let (vapo, grpo) = (summary("vapo"), summary("grpo"));
    let critic = &vapo["critic"];
    assert_eq!(
        (critic["steps"].as_u64(), critic["explained_variance_by_decile"].as_array().unwrap().len()),
        (Some(2), 10)
    );
    for key in ["value_before_error", "value_after_error", "value_bias", "calibration_error"] {
        assert!(critic[key].as_f64().unwrap().abs() < 1.5, "{key}: {critic}");
    }
    assert!(critic["advantage_error_correlation"].as_f64().unwrap().abs() <= 1.0);
    assert!(grpo["critic"].is_null() && grpo["alarms"].is_array());
    // Without a critic, all tokens of an answer have the same credit.
    let last = rows(&root.path().join("grpo")).pop().unwrap();
    assert!(last.get("vapo/advantage_error_corr").unwrap().abs() < 0.5 && last.get("vapo/value_bias").is_none());
}
