//! Studies with the real program: killed, stopped, crashed, hung, changed.

use std::{
    path::Path,
    process::Child,
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{program::Place, ranks::environments};

const SMOKE: &str = include_str!("../../../../configs/studies/smoke.toml");

/// A report without fields that depend on time.
fn timeless(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, _)| !vapo_study::is_time_field(key))
            .map(|(key, value)| (key.clone(), timeless(value)))
            .collect(),
        Value::Array(values) => values.iter().map(timeless).collect(),
        other => other.clone(),
    }
}

fn report(place: &Place, out: &str) -> Value {
    serde_json::from_str(&place.read(&format!("{out}/report.json"))).unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

/// Waits for a file in the directory.
fn wait_for(place: &Place, file: &str) {
    let begun = Instant::now();
    while !place.path(file).exists() {
        assert!(begun.elapsed() < Duration::from_secs(120), "no {file}");
        sleep(Duration::from_millis(2));
    }
}

/// What the first of two ranks prints; the other prints nothing.
fn on_two_ranks(place: &Place, args: &[&str]) -> String {
    let begun: Vec<Child> = environments(2).map(|environment| place.start_with(args, environment)).collect();
    let printed = begun.into_iter().map(|rank| {
        let output = rank.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    });
    let printed: Vec<String> = printed.collect();
    assert_eq!(printed[1], "");
    printed[0].clone()
}

#[test]
fn a_study_that_was_killed_and_stopped_gives_the_report_of_one_that_was_not() {
    let place = Place::new();
    place.write("smoke.toml", SMOKE);
    let printed = place.vapo(&["ablate", "smoke.toml", "--out", "straight", "--jobs", "2"]).ok();
    for words in
        ["2 arms x 2 seeds", "4 of 4 runs share 2 value pretrainings", "without-lm-loss seed 1", "4/4", "README.md"]
    {
        assert!(printed.contains(words), "no {words:?} in\n{printed}");
    }
    let straight = report(&place, "straight");
    assert_eq!((&straight["runs"], &straight["unfinished"], &straight["crashes"]), (&4.into(), &0.into(), &0.into()));
    // 4 steps of 16 samples and 2 updates; value pretraining of 2 x 8 samples.
    let arm = &straight["arms"][1];
    assert_eq!((&arm["policy_training"]["samples"], &arm["policy_training"]["updates"]), (&64.0.into(), &8.0.into()));
    assert_eq!(arm["value_pretraining"]["samples"], 16.0);
    assert!(arm["cpu_secs"].as_f64() > arm["value_pretraining"]["cpu_secs"].as_f64());

    let args = ["ablate", "smoke.toml", "--out", "broken", "--jobs", "2"];
    let child = place.start(&args);
    wait_for(&place, "broken/value-pretraining/vapo/seed-0/metrics.jsonl");
    signal(&child, Signal::SIGKILL);
    child.wait_with_output().unwrap();
    let child = place.start(&args);
    wait_for(&place, "broken/runs/vapo/seed-0/metrics.jsonl");
    signal(&child, Signal::SIGINT);
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(75), "{printed}");
    assert!(
        printed.contains("stopping: ") && printed.contains("continue with vapo ablate smoke.toml --out broken"),
        "{printed}"
    );
    let printed = place.vapo(&args).ok();
    assert!(printed.contains("4/4"), "{printed}");
    assert_eq!(timeless(&report(&place, "broken")), timeless(&straight));
    assert_eq!(place.read("broken/smoke-by-updates.svg"), place.read("straight/smoke-by-updates.svg"));

    let printed = on_two_ranks(&place, &["ablate", "smoke.toml", "--out", "shared", "--jobs", "1"]);
    assert!(printed.contains("shared by 2 ranks, 1 run at a time on each"), "{printed}");
    assert_eq!(timeless(&report(&place, "shared")), timeless(&straight));
    let each = |rank: usize| place.path(&format!("shared/runs/vapo/seed-{rank}/summary.json"));
    assert!(each(0).exists() && each(1).exists());

    let again = place.vapo(&args).ok();
    assert!(again.contains("4 of 4 runs have already finished"), "{again}");
    place.write("smoke.toml", &SMOKE.replace("run.steps = 4", "run.steps = 5"));
    let printed = place.vapo(&args).failed(1);
    assert!(printed.contains("run.steps: the run has 4, the study 5"), "{printed}");
}

const CRASHING: &str = r#"
name = "crashing"
seeds = 1
stalled_minutes = STALLED
equal = []

[settings]
run.steps = 2
rollout = { prompts_per_step = 4, group_size = 4, max_new_tokens = 24 }
algorithm = { preset = "grpo", minibatches_per_epoch = 4 }
eval = { problems = 4, samples = 1 }

"#;

#[test]
fn a_crash_is_counted_and_does_not_stop_others() {
    let place = Place::new();
    let text = CRASHING.replace("STALLED", "30")
        + r#"
[[arms]]
name = "wild"
set.algorithm = { advantage = "gae" }
set.critic.bound = "none"
set.critic_optimizer = { learning_rate = 1e30, warmup_updates = 0 }
[[arms]]
name = "tame"
"#;
    place.write("study.toml", &text);
    let printed = place.vapo(&["ablate", "study.toml", "--jobs", "1"]).ok();
    assert!(printed.contains("crashed after") && printed.contains("tame seed 0"), "{printed}");
    let found = report(&place, "studies/crashing");
    let crashes: Vec<_> = found["arms"].as_array().unwrap().iter().map(|arm| arm["crashes"].as_u64()).collect();
    assert_eq!(crashes, [Some(1), Some(0)]);
    let reason = found["arms"][0]["crashed"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("error: ") && reason.contains("finite"), "{reason}");
    assert!(place.read("studies/crashing/runs/wild/seed-0.log").contains(reason.split(' ').nth(1).unwrap()));

    // A crash is a result: it is not retried unless requested.
    let log = |place: &Place| place.read("studies/crashing/runs/wild/seed-0.log").len();
    let length = log(&place);
    place.vapo(&["ablate", "study.toml"]).ok();
    assert_eq!(log(&place), length);
    place.vapo(&["ablate", "study.toml", "--retry-crashed"]).ok();
    assert!(log(&place) > length);
}

#[test]
fn a_run_that_hangs_is_ended() {
    let place = Place::new();
    let text = CRASHING.replace("STALLED", "0.05") + "[[arms]]\nname = \"endless\"\nset.algorithm.epochs = 1000000\n";
    place.write("study.toml", &text);
    let printed = place.vapo(&["ablate", "study.toml"]).ok();
    assert!(printed.contains("no new metrics row for"), "{printed}");
    assert!(Path::new(&place.path("studies/crashing/runs/endless/seed-0.log")).exists());
}
