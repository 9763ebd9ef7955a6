//! Regression of bits over whole runs: hashes of what a run leaves behind, taken before the kernels moved behind the
//! device boundary. A change of structure keeps them. A change of what is sampled or trained takes new ones and says
//! why in its commit.

use std::{fs, path::Path, sync::atomic::AtomicBool};

use vapo_train::{Config, Event, Outcome, Row, Run, is_time_field};

fn finish(directory: &Path, overrides: &[&str]) {
    let common = [
        "run.steps=2",
        "run.threads=2",
        "run.check_logps=all",
        "rollout.prompts_per_step=4",
        "rollout.group_size=4",
        "rollout.max_new_tokens=48",
        "value_pretraining.prompts_per_step=6",
        "value_pretraining.group_size=2",
        "critic.start=zero",
        "policy_optimizer.learning_rate=3e-4",
        "policy_optimizer.schedule=constant",
        "eval.every=1",
        "eval.problems=4",
        "eval.samples=2",
        "checkpoint.every=off",
        "algorithm.advantage_normalization=std",
        "algorithm.minibatches_per_epoch=8",
        "critic.bound=sigmoid",
    ];
    let mut all: Vec<String> = common.iter().chain(overrides).map(ToString::to_string).collect();
    all.push(format!("run.dir={}", directory.display()));
    let mut run = Run::create(Config::load(None, &all).unwrap()).unwrap();
    let outcome = run.train(&mut |_: Event<'_>| (), &AtomicBool::new(false)).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)), "{outcome:?}");
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The policy, the critic (0 without one), the last evaluation, and the rows of metrics without time fields.
fn hashes(directory: &Path) -> [u64; 4] {
    let newest = |folder: &str| {
        let entries = fs::read_dir(directory.join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path()).max().unwrap()
    };
    let checkpoint = newest("checkpoints");
    let weights =
        |name: &str| fs::read(checkpoint.join(name).join("model.safetensors")).map_or(0, |bytes| hash(&bytes));
    let evaluation = fs::read(newest("eval")).unwrap();
    let metrics = fs::read_to_string(directory.join("metrics.jsonl")).unwrap();
    let rows = metrics.lines().flat_map(|line| {
        let row = Row::from_line(line).unwrap();
        let fields = row.entries().filter(|(key, _)| !is_time_field(key));
        fields.map(|(key, value)| format!("{key}={value}\n")).collect::<Vec<_>>()
    });
    [weights("policy"), weights("critic"), hash(&evaluation), hash(rows.collect::<String>().as_bytes())]
}

fn assert_hashes(overrides: &[&str], want: [u64; 4]) {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("run");
    finish(&directory, overrides);
    let got = hashes(&directory);
    assert_eq!(got, want, "{overrides:?}: {got:#018x?}");
}

#[test]
fn a_vapo_run_has_the_bits_it_had() {
    assert_hashes(
        &["value_pretraining.steps=1"],
        [0x2f68_5262_b13c_9bc6, 0xa605_5475_e413_62c6, 0xd054_aae9_67d1_dcf2, 0x5252_08f3_1065_d531],
    );
}

#[test]
fn a_dapo_run_in_bf16_has_the_bits_it_had() {
    assert_hashes(
        &[
            "algorithm.preset=dapo",
            "algorithm.clip_dual=off",
            "policy_optimizer.weight_decay=0",
            "model.dtype=bfloat16",
            "rollout.top_p=0.9",
        ],
        [0xfdbb_514a_bafb_1c01, 0x0000_0000_0000_0000, 0x2ff9_b6cd_d961_9140, 0x1cd9_5df1_3a5a_fbbf],
    );
}

#[test]
fn a_run_with_a_reference_policy_has_the_bits_it_had() {
    assert_hashes(
        &["algorithm.preset=ppo", "algorithm.kl_weight=0.05", "value_pretraining.steps=1"],
        [0x86d6_dac5_83bc_2f15, 0xd2f3_7136_3e78_8681, 0xf1c4_99c9_15a6_31a0, 0x2190_8353_e94d_d1da],
    );
}
