//! A run with shared value pretraining equals the run with its own.

use std::{fs, path::Path, sync::atomic::AtomicBool};

use vapo_study::{JobState, Plan, Study};
use vapo_train::{Config, Event, Outcome, Row, Run, RunDir, is_time_field};

/// The second arm differs from the first in every setting that only policy training uses.
const STUDY: &str = r#"
name = "sharing"
seeds = [3]
equal = []

[settings]
run.steps = 2
rollout = { prompts_per_step = 4, group_size = 2, max_new_tokens = 48 }
value_pretraining = { steps = 2, prompts_per_step = 8 }
algorithm = { minibatches_per_epoch = 2, clip_dual = 3.0 }
eval = { every = 1, problems = 3, samples = 2 }
checkpoint.every = 1

[[arms]]
name = "a"

[[arms]]
name = "b"
[arms.set]
run.steps = 3
rollout = { prompts_per_step = 2, group_size = 4 }
policy_optimizer = { learning_rate = 1e-3, warmup_updates = 3, weight_decay = 0.1 }
checkpoint.every = 2
[arms.set.algorithm]
lambda_critic = 0.9
lambda_policy = 0.8
policy_loss = "dis"
length_adaptive_alpha = "off"
group_std = false
advantage_normalization = "whiten"
clip_low = 0.1
clip_high = 0.3
clip_dual = "off"
loss_reduction = "seq-mean-token-mean"
positive_lm_weight = 0.3
entropy_weight = 0.01
"#;

fn train(mut run: Run) {
    let outcome = run.train(&mut |_: Event<'_>| (), &AtomicBool::new(false)).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)));
}

/// Rows without times, and without metrics of the policy, which value pretraining does not train.
fn metrics(directory: &Path) -> Vec<String> {
    let compared = |row: &Row, key: &str| {
        let of_the_policy = ["critic/advantages/", "vapo/policy_lambda/", "vapo/advantage_"]
            .iter()
            .any(|prefix| key.starts_with(prefix));
        let unused = of_the_policy && row.get("training/value_pretraining") == Some(1.0);
        !is_time_field(key) && !unused
    };
    let rows = RunDir::open(directory).unwrap().metrics().unwrap();
    let line = |row: &Row| {
        row.entries().filter(|(key, _)| compared(row, key)).map(|(key, value)| format!("{key}={value} ")).collect()
    };
    rows.iter().map(line).collect()
}

#[test]
fn a_run_with_shared_value_pretraining_equals_the_run_with_its_own() {
    let root = tempfile::tempdir().unwrap();
    let study = Study::from_toml(STUDY, Path::new("sharing.toml")).unwrap();
    let plan = Plan::new(&study, root.path());
    let [pretraining, a, b] = plan.jobs.as_slice() else {
        panic!("expected a value pretraining and two runs: {:?}", plan.jobs)
    };
    assert!(pretraining.is_pretraining && (a.starts_from, b.starts_from) == (Some(0), Some(0)));

    pretraining.prepare(None).unwrap();
    train(Run::resume(pretraining.path(), &[]).unwrap());
    assert_eq!(plan.states().unwrap(), [JobState::Finished, JobState::New, JobState::New]);
    b.prepare(Some(pretraining)).unwrap();
    assert_eq!(plan.states().unwrap()[2], JobState::Begun);
    train(Run::resume(b.path(), &[]).unwrap());

    let alone = root.path().join("alone");
    let mut config: Config = b.config.clone();
    config.run.dir = Some(alone.clone());
    train(Run::create(config).unwrap());
    assert_eq!(metrics(b.path()), metrics(&alone));
    assert_eq!(metrics(&alone).len(), 6);
    for file in ["policy/model.safetensors", "critic/model.safetensors", "state/critic.safetensors"] {
        let bytes = |run: &Path| fs::read(run.join("checkpoints/step-000005").join(file)).unwrap();
        assert!(bytes(b.path()) == bytes(&alone), "{file} differs");
    }
    // The second run did not change the shared value pretraining.
    assert_eq!(metrics(pretraining.path()), metrics(&alone)[..3]);
}

#[test]
fn arms_whose_critics_are_trained_differently_share_nothing() {
    for own in [
        "set.critic_optimizer.learning_rate = 1e-4",
        "set.value_pretraining.steps = 3",
        "set.critic.bound = \"none\"",
        "set.algorithm.minibatches_per_epoch = 1",
        "set.rollout.temperature = 0.9",
    ] {
        let text = STUDY.split("[[arms]]").next().unwrap().to_owned()
            + &format!("[[arms]]\nname = \"a\"\n[[arms]]\nname = \"b\"\n{own}\n");
        let study = Study::from_toml(&text, Path::new("sharing.toml")).unwrap();
        let plan = Plan::new(&study, Path::new("nowhere"));
        assert!(plan.jobs.iter().all(|job| job.starts_from.is_none()), "{own}");
    }
}
