//! Small runs of the real program, from training to sampling from the trained model.

use std::{
    fs,
    process::Child,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::program::{Done, Place, weights, without_times};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

#[test]
fn a_run_is_recorded_and_its_model_answers() {
    let place = Place::new();
    let printed = place.vapo(&["train", "tiny.toml"]).ok();
    assert!(!printed.contains('\x1b'), "escape codes in a pipe:\n{printed}");
    for words in ["held-out accuracy", "value pretraining", "    prompt ", "    before ", "vapo resume run", "3/3"] {
        assert!(printed.contains(words), "no {words:?} in\n{printed}");
    }
    records_are_complete(&place);
    evaluation_repeats_the_runs(&place);
    generation_takes_prompts_from_everywhere(&place);
    scores_are_the_log_probs_of_sampling(&place);
}

#[test]
fn one_command_starts_a_run_and_goes_on_with_it() {
    let place = Place::new();
    let args = ["train", "tiny.toml", "--run-dir", "here", "--resume-or-start", "--set", "run.threads=1"];
    place.vapo(&args).ok();
    let before = weights(&place.path("here/checkpoints/step-000003"));
    fs::remove_file(place.path("here/summary.json")).unwrap();
    let mut again = args;
    again[6] = "run.threads=2";
    let printed = place.vapo(&again).ok();
    assert!(printed.contains("resuming after step 3") && place.path("here/summary.json").exists(), "{printed}");
    assert!(weights(&place.path("here/checkpoints/step-000003")) == before);
    again[6] = "run.seed=7";
    let error = place.vapo(&again).failed(1);
    assert!(error.contains("here holds a run with other settings"), "{error}");
    assert!(error.contains("run.seed: the run has 0, this command 7"), "{error}");
    let error = place.vapo(&["train", "tiny.toml", "--resume-or-start"]).failed(2);
    assert!(error.contains("--run-dir"), "{error}");
}

fn records_are_complete(place: &Place) {
    let rows = place.rows("run/metrics.jsonl");
    let steps: Vec<_> = rows.iter().map(|row| row["training/global_step"].as_u64()).collect();
    assert_eq!(steps, [Some(0), Some(1), Some(2), Some(3)]);
    for key in [
        "actor/pg_loss",
        "actor/pg_clipfrac",
        "actor/entropy",
        "actor/grad_norm",
        "critic/vf_loss",
        "critic/vf_explained_var",
        "critic/rewards/mean",
        "response_length/mean",
        "val-core/chain/acc/mean@2",
        "perf/throughput",
        "timing_s/gen",
    ] {
        assert!(rows[3].get(key).is_some(), "no {key} in {}", rows[3]);
    }
    assert_eq!(rows[1]["training/value_pretraining"], 1);
    assert_eq!(rows[1].get("actor/pg_loss"), None, "the policy is not trained during value pretraining");
    for row in &rows[1..] {
        assert_eq!(row["training/rollout_logp_diff_max"], 0.0, "sampled log-probs are those of the trainer");
    }
    let summary: Value = serde_json::from_str(&place.read("run/summary.json")).unwrap();
    let keys: Vec<&String> = summary.as_object().unwrap().keys().collect();
    let expected = [
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
        "alarms",
    ];
    assert_eq!(keys, expected);
    assert_eq!((&summary["steps"], &summary["eval"]["problems"]), (&3.into(), &5.into()));
    assert_eq!(summary["eval"]["before"], rows[0]["val-core/chain/acc/mean@2"]);
    assert_eq!(summary["eval"]["after"], rows[3]["val-core/chain/acc/mean@2"]);
    assert!(summary["peak_rss_mb"].as_f64() > Some(5.0));
}

/// The model of a run is found by run, checkpoint or directory, with the run's own settings.
fn evaluation_repeats_the_runs(place: &Place) {
    let after = place.rows("run/metrics.jsonl")[3]["val-core/chain/acc/mean@2"].clone();
    for model in ["run", "run/checkpoints/step-000003", "run/checkpoints/step-000003/policy"] {
        let printed = place.vapo(&["eval", "--model", model, "--json"]).ok();
        let result: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!((&result["accuracy"], &result["samples_per_problem"]), (&after, &2.into()), "{model}");
    }
    let text = place.vapo(&["eval", "--config", "tiny.toml", "-n", "1", "--problems", "3", "--out", "s.jsonl"]).ok();
    assert!(text.contains("built-in base model") && text.contains("3 problems x 1 sample,"), "{text}");
    assert_eq!(place.rows("s.jsonl").len(), 3);

    // An answer is a digit: of ten copies of a problem with different answers, one is right.
    let row = |answer: usize| format!("{{\"question\": \"7a+5b*{answer}:\", \"answer\": {answer}}}\n");
    place.write("problems.jsonl", &(0..10).map(row).collect::<String>());
    let own = place.vapo(&["eval", "--data", "problems.jsonl", "-n", "2", "--json"]).ok();
    let own: Value = serde_json::from_str(&own).unwrap();
    assert_eq!((&own["problems"], &own["metrics"]["val-core/problems/acc/mean@2"]), (&10.into(), &own["accuracy"]));
}

fn generation_takes_prompts_from_everywhere(place: &Place) {
    let asked = place.vapo(&["generate", "--model", "run", "-n", "2", "--json", "7a+5b*3:", "1a+2b+3c+4:"]).ok();
    place.write("prompts.txt", "7a+5b*3:\n\n1a+2b+3c+4:\n");
    place.write("prompts.jsonl", "{\"prompt\": \"7a+5b*3:\"}\n{\"problem\": \"1a+2b+3c+4:\"}\n");
    for file in ["prompts.txt", "prompts.jsonl"] {
        let same =
            place.vapo(&["generate", "--model", "run", "-n", "2", "--json", "--file", file, "--threads", "1"]).ok();
        assert_eq!(same, asked, "{file}");
    }
    let lines: Vec<Value> = asked.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    let tokens = |row: &Value, key: &str| row[key].as_array().map(Vec::len);
    assert!(tokens(&lines[0], "response_tokens") > Some(1), "{}", lines[0]);
    assert_eq!(tokens(&lines[0], "logprobs"), tokens(&lines[0], "response_tokens"));
    assert_eq!((&lines[3]["prompt"], &lines[3]["sample"]), (&"1a+2b+3c+4:".into(), &1.into()));
    let text = place.vapo(&["generate", "--model", "run", "--temperature", "0", "7a+5b*3:"]).ok();
    assert_eq!(text.lines().count(), 1, "{text}");
    let long = place.vapo(&["generate", "--max-new-tokens", "100000", "1a+2:"]).failed(1);
    assert!(long.contains("100000") && long.contains("512"), "{long}");
    let none = place.vapo(&["generate"]).failed(1);
    assert_eq!(none, "error: no prompts in stdin\n");
}

/// `score` gives the same bits as `generate`; values only with a critic, within the run's bound.
fn scores_are_the_log_probs_of_sampling(place: &Place) {
    let sampled = place.vapo(&["generate", "--model", "run", "-n", "3", "--json", "7a+5b*3:", "1a+2b+3c+4:"]).ok();
    place.write("sampled.jsonl", &sampled);
    let score = |more: &[&str]| {
        let args = [&["score", "--model", "run", "--data", "sampled.jsonl"], more].concat();
        place.vapo(&args).ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let (sampled, scored) = (place.rows("sampled.jsonl"), score(&["--threads", "1"]));
    assert_eq!((scored.len(), sampled.len()), (6, 6));
    for (row, scored) in sampled.iter().zip(&scored) {
        assert_eq!((&scored["tokens"], &scored["logprobs"]), (&row["response_tokens"], &row["logprobs"]));
        assert_eq!(scored.get("values"), None);
    }
    let colder = score(&["--temperature", "0.5", "--critic", "run", "--set", "run.micro_batch_tokens=16"]);
    assert_ne!(colder[0]["logprobs"], scored[0]["logprobs"]);
    let values: Vec<f64> = colder[0]["values"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    assert_eq!(Some(values.len()), colder[0]["tokens"].as_array().map(Vec::len));
    assert!(values.iter().any(|value| *value != values[0]), "{values:?}");
    place.vapo(&["score", "--model", "run", "--data", "sampled.jsonl", "--out", "scores.jsonl"]).ok();
    assert_eq!(place.rows("scores.jsonl"), scored);
}

#[test]
fn rows_that_cannot_be_scored_are_named() {
    let place = Place::new();
    let good = r#"{"prompt": "7a+5:", "response": "7a+5=2", "other": [1]}"#;
    let refused = |row: &str| {
        place.write("rows.jsonl", &format!("{good}\n\n{row}\n"));
        let printed = place.vapo(&["score", "--data", "rows.jsonl"]).failed(1);
        printed.strip_prefix("error: rows.jsonl: row 3: ").unwrap_or_else(|| panic!("{printed}")).to_string()
    };
    assert!(refused("{\"prompt\": \"7a+5:\"").contains("EOF"));
    assert!(refused(r#"{"prompt": "7a+5:"}"#).contains("expected a text `response` or a list `response_tokens`"));
    assert!(refused(r#"{"prompt": 3, "response": "7"}"#).contains("expected a text, found 3"));
    assert!(refused(r#"{"prompt": "", "response": "7"}"#).contains("the prompt has no tokens"));
    assert!(
        refused(r#"{"prompt": "7", "response_tokens": [4, 43]}"#)
            .contains("token 43, but the model's vocab_size is 43")
    );
    let long = format!(r#"{{"prompt_tokens": [4], "response_tokens": {:?}}}"#, vec![4; 513]);
    assert!(refused(&long).contains("prompt (1 tokens) and response (513) exceed"));
    let longest = format!(r#"{{"prompt_tokens": [4], "response_tokens": {:?}}}"#, vec![4; 512]);
    place.write("rows.jsonl", &format!("{good}\n{longest}\n{{\"prompt\": \"7\", \"response\": \"\"}}"));
    let scored = place.vapo(&["score", "--data", "rows.jsonl"]).ok();
    assert_eq!((scored.lines().count(), scored.lines().last()), (3, Some("{\"tokens\":[],\"logprobs\":[]}")));
    place.write("rows.jsonl", "\n");
    assert_eq!(place.vapo(&["score", "--data", "rows.jsonl"]).failed(1), "error: rows.jsonl has no rows\n");
    let greedy = place.vapo(&["score", "--data", "rows.jsonl", "--temperature", "0"]).failed(1);
    assert!(greedy.starts_with("error: --temperature (0) must be above 0"), "{greedy}");
}

/// Whether this process was started with hangups ignored.
fn hangups_are_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (Signal::SIGHUP as i32 - 1)) != 0)
}

#[test]
fn a_run_that_a_signal_stopped_ends_as_if_it_had_not_been() {
    let straight = Place::new();
    straight.vapo(&["train", "tiny.toml", "--set", "run.steps=6"]).ok();
    let metrics = |place: &Place| place.rows("run/metrics.jsonl").iter().map(without_times).collect::<Vec<_>>();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGHUP] {
        if signal == Signal::SIGHUP && hangups_are_ignored() {
            eprintln!("skipped: hangups are ignored here (nohup), and so by the programs that this test starts");
            continue;
        }
        let stopped = Place::new();
        let child = stopped.start(&["train", "tiny.toml", "--set", "run.steps=6"]);
        wait_for(&stopped, 2);
        send(&child, signal);
        // Schedulers repeat themselves.
        if signal != Signal::SIGINT {
            send(&child, signal);
        }
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(75), "{signal}: {printed}");
        assert!(
            printed.contains("stopping: ") && printed.trim_end().ends_with("continue with vapo resume run"),
            "{printed}"
        );
        assert_eq!(printed.contains("Ctrl-C again"), signal == Signal::SIGINT, "{printed}");
        assert!(!stopped.path("run/summary.json").exists(), "a stopped run has not ended");
        let rows = stopped.rows("run/metrics.jsonl").len();
        assert!(rows < 8, "the run was over before it was stopped");

        let resumed = stopped.vapo(&["resume", "run"]).ok();
        assert!(resumed.contains("resuming after step"), "{resumed}");
        assert_eq!(metrics(&stopped), metrics(&straight));
        let last = "run/checkpoints/step-000007";
        assert!(weights(&stopped.path(last)) == weights(&straight.path(last)), "different weights after a resume");
    }
    let further = straight.vapo(&["resume", "run", "--set", "run.steps=7"]).ok();
    assert!(further.contains("8/8"), "{further}");
}

/// Starts a run whose first step has minutes of updates, which a stop waits for, and returns in the middle of them.
fn endless(place: &Place, more: &str) -> Child {
    let settings = ["algorithm.epochs=100000", "rollout.max_new_tokens=2", "value_pretraining.steps=0", more];
    let args: Vec<&str> =
        ["train", "tiny.toml"].into_iter().chain(settings.iter().flat_map(|s| ["--set", s])).collect();
    let child = place.start(&args);
    wait_for(place, 1);
    sleep(Duration::from_millis(500));
    child
}

#[test]
fn a_second_ctrl_c_stops_at_once() {
    let place = Place::new();
    let child = endless(&place, "run.stop_timeout_secs=off");
    send(&child, Signal::SIGINT);
    sleep(Duration::from_millis(100));
    send(&child, Signal::SIGINT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(std::fs::read_dir(place.path("run/checkpoints")).unwrap().count(), 0);
}

#[test]
fn a_run_with_little_time_to_stop_undoes_its_updates_or_ends_with_what_it_has() {
    for (limit, checkpoints) in [("60", 1), ("1e-6", 0)] {
        let place = Place::new();
        let child = endless(&place, &format!("run.stop_timeout_secs={limit}"));
        send(&child, Signal::SIGTERM);
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(75), "{printed}");
        let late = "no checkpoint could be written within run.stop_timeout_secs (0.000001)";
        assert_eq!(printed.contains(late), checkpoints == 0, "{printed}");
        let directories = std::fs::read_dir(place.path("run/checkpoints")).unwrap().flatten();
        let complete = directories.filter(|entry| entry.path().extension().is_none()).count();
        assert_eq!(complete, checkpoints, "{printed}");
    }
}

#[test]
fn a_run_at_work_is_not_resumed_by_a_second_process() {
    let place = Place::new();
    let child = endless(&place, "run.stop_timeout_secs=off");
    let refused = place.vapo(&["resume", "run"]).failed(1);
    let holder = format!("error: run is in use by process {} on ", child.id());
    assert!(refused.starts_with(&holder), "{refused}");
    send(&child, Signal::SIGKILL);
    child.wait_with_output().unwrap();
    place.vapo(&["resume", "run", "--set", "algorithm.epochs=1"]).ok();
}

#[test]
fn the_doctor_checks_a_run_and_repeats_its_steps() {
    let place = Place::new();
    place.vapo(&["train", "tiny.toml", "--set", "checkpoint.every=1"]).ok();
    let checked = place.vapo(&["doctor", "run", "--replay", "2", "--from", "1"]).ok();
    assert!(checked.contains("  ok      metrics.jsonl            has the rows of steps 0 to 3\n"), "{checked}");
    let result = "steps 2 to 3, from the state after step 1: identical (rows of 2 steps, 2 evaluations, weights and moments after step 3)";
    assert!(checked.trim_end().ends_with(result), "{checked}");

    let rows = place.read("run/metrics.jsonl");
    place.write("run/metrics.jsonl", &rows.replace("\"training/policy_updates\":4", "\"training/policy_updates\":5"));
    let differs = place.vapo(&["doctor", "run", "--replay", "9"]).failed(1);
    let expected = "error: steps 2 to 3, from the state after step 1: the repetition differs: step 3: \
                    training/policy_updates is 4, recorded was 5\n";
    assert_eq!(differs, expected);
    place.write("run/metrics.jsonl", &rows.replacen("{", "", 1));
    assert_eq!(place.vapo(&["doctor", "run"]).failed(1), "error: run: 1 damage found\n");
    let nothing = place.vapo(&["doctor", "."]).failed(1);
    assert!(nothing.contains("is not a run directory: it has no config.toml"), "{nothing}");
}

#[test]
fn pretraining_gives_the_same_bytes_on_any_number_of_threads() {
    let place = Place::new();
    let small = ["--updates", "3", "--demonstrations", "4", "--hidden-size", "16", "--layers", "1"];
    let make = |out: &str, threads: &str| -> Done {
        let args: Vec<&str> = ["pretrain", "--out", out, "--threads", threads].into_iter().chain(small).collect();
        place.vapo(&args)
    };
    make("one", "1").ok();
    make("two", "2").ok();
    for file in ["model.safetensors", "config.json", "tokenizer.json"] {
        let bytes = |name: &str| std::fs::read(place.path(name).join(file)).unwrap();
        assert!(bytes("one") == bytes("two"), "{file} differs");
    }
    place.vapo(&["eval", "--model", "two", "-n", "1", "--problems", "2", "--max-new-tokens", "8"]).ok();
    assert!(make("one", "1").failed(1).starts_with("error: one exists"));
    let odd = place.vapo(&["pretrain", "--out", "three", "--hidden-size", "20"]).failed(1);
    assert_eq!(odd, "error: --hidden-size (20) must be a multiple of 8 (4 heads of even size)\n");
}

/// Waits until a run has recorded this many rows.
fn wait_for(place: &Place, rows: usize) {
    let begun = Instant::now();
    let recorded = || std::fs::read_to_string(place.path("run/metrics.jsonl")).unwrap_or_default().lines().count();
    while recorded() < rows {
        assert!(begun.elapsed() < Duration::from_secs(60), "the run makes no progress");
        sleep(Duration::from_millis(5));
    }
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}
