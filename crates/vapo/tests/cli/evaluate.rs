//! `vapo verify` and `vapo eval` on a user's own files.

use std::{
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Map, Value, json};
use vapo_lm::{Device, Head, Model, ModelConfig, Sizes, WeightDtype};

use crate::program::{Done, Place};

/// The characters for the bytes in a byte-level vocabulary, as introduced by GPT-2.
fn byte_characters() -> Vec<char> {
    let printable = |byte: u32| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut others = 256..;
    let stand_in = |byte| if printable(byte) { byte } else { others.next().unwrap() };
    (0..256).map(stand_in).map(|code| char::from_u32(code).unwrap()).collect()
}

/// A random model that reads and writes bytes.
pub(crate) fn write_byte_model(directory: &Path) {
    let end = 256;
    let vocabulary: Map<String, Value> =
        byte_characters().into_iter().enumerate().map(|(id, c)| (c.to_string(), id.into())).collect();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": [{"id": end, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true}],
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    });
    let mut config = ModelConfig::new(Sizes {
        vocab_size: 257,
        hidden_size: 16,
        intermediate_size: 32,
        num_layers: 1,
        num_heads: 2,
        num_kv_heads: 1,
        max_positions: 2048,
    });
    config.eos_token_ids = vec![end];
    std::fs::create_dir_all(directory).unwrap();
    Model::random(&Device::cpu(1), config, Head::Language, 5).save(directory, WeightDtype::Float32).unwrap();
    std::fs::write(directory.join("tokenizer.json"), tokenizer.to_string()).unwrap();
}

/// A few problems with the unchanged recipe: everything but the model and the problems is AIME's.
#[test]
fn the_aime_recipe_runs_to_its_measures() {
    let place = Place::new();
    write_byte_model(&place.path("tiny"));
    let problems =
        [("What is $1 + 1$?", "2"), ("Wie viele Beine hat ein Käfer?", "6"), ("Find $n$ if $n^2 = 49$.", "7")];
    // The published file repeats each problem 32 times.
    let rows = problems.map(|(problem, answer)| json!({"problem": problem, "answer": answer}).to_string() + "\n");
    place.write("own.jsonl", &rows.concat().repeat(3));
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/aime2024.toml");
    let recipe = recipe.to_str().unwrap();
    let args = ["eval", "--model", "tiny", "--config", recipe, "--data", "own.jsonl", "--max-new-tokens", "24"];
    let run = |more: &[&str]| place.vapo(&[&args[..], more].concat()).ok();

    let text = run(&["--threads", "1", "--out", "samples.jsonl"]);
    assert!(text.contains("3 problems x 32 samples, temperature 1, top-p 0.7"), "{text}");
    for measure in ["avg@32", "pass@2", "pass@4", "pass@8", "pass@16", "pass@32", "maj@2", "maj@32"] {
        let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{measure} ")));
        let line = line.unwrap_or_else(|| panic!("no {measure} in\n{text}"));
        assert!(line.contains(" % ") && line.contains("± ") && line.contains('['), "{line}");
    }
    let cut_off = text.lines().find(|line| line.contains("cut off")).unwrap();
    assert!(!cut_off.contains("  0.0 %"), "random bytes seldom end: {cut_off}");

    let rows = place.rows("samples.jsonl");
    assert_eq!(rows.len(), 3);
    assert!(rows[0]["prompt"].as_str().unwrap().starts_with("Solve the following math problem step by step."));
    for row in &rows {
        let samples = row["samples"].as_array().unwrap();
        assert_eq!(samples.len(), 32);
        for key in ["response", "tokens", "truncated", "verdict", "score", "answer", "reason"] {
            assert!(samples[0].get(key).is_some(), "no {key} in {}", samples[0]);
        }
    }
    assert_eq!(text, run(&["--threads", "3"]), "the same numbers on any number of threads");

    let printed: Value = serde_json::from_str(&run(&["--json"])).unwrap();
    assert_eq!((&printed["samples_per_problem"], &printed["top_p"]), (&32.into(), &0.7.into()));
    let average = &printed["measures"]["avg@32"];
    assert_eq!((&average["value"], &average["problems"]), (&printed["accuracy"], &3.into()));
    assert_eq!(average["interval"].as_array().unwrap().len(), 2);
}

/// Responses that this reward always counts as right, because the program's reply decides.
#[test]
fn a_program_of_ones_own_grades_an_evaluation() {
    let place = Place::new();
    write_byte_model(&place.path("tiny"));
    place.write("own.jsonl", "{\"problem\": \"x\", \"answer\": \"2\"}\n");
    place.write("grade.sh", "while IFS= read -r l; do i=${l#*\\\"id\\\":}; echo \"{\\\"id\\\":${i%%,*},\\\"score\\\":1,\\\"answer\\\":\\\"a\\\"}\"; done\n");
    let eval = |verifier: &str| {
        let args = [
            "eval",
            "--model",
            "tiny",
            "--data",
            "own.jsonl",
            "-n",
            "4",
            "--max-new-tokens",
            "4",
            "--verifier",
            verifier,
        ];
        place.vapo(&args)
    };
    let text =
        eval("[{ kind = \"command\", command = [\"sh\", \"grade.sh\"] }, { kind = \"format\", weight = 0.5 }]").ok();
    assert!(text.contains("avg@4") && text.contains("100.0 %") && text.contains("score of `format`: 0.000"), "{text}");
    let missing = eval("{ kind = \"command\", command = [\"no-such-program\"] }").failed(1);
    assert!(missing.contains("verifier `command`: it failed on the first reference answer: cannot start"), "{missing}");
    let dead = eval("{ kind = \"command\", command = [\"false\"] }").failed(1);
    assert!(dead.contains("it ended (exit status: 1)"), "{dead}");
}

#[test]
fn a_stop_string_ends_a_response_and_is_not_graded() {
    let place = Place::new();
    let greedy = |more: &[&str]| -> Value {
        let args = ["generate", "--temperature", "0", "--json", "7a+5b*3:"];
        serde_json::from_str(&place.vapo(&[&args[..], more].concat()).ok()).unwrap()
    };
    let stop = ["--set", "rollout.stop_strings=[\"=\"]"];
    let (whole, stopped) = (greedy(&[]), greedy(&stop));
    let (before, _) = whole["response"].as_str().unwrap().split_once('=').expect("an equals sign in every step");
    assert_eq!((&stopped["response"], &stopped["stop"]), (&before.into(), &"stop_string".into()));
    assert_eq!(stopped["response_tokens"].as_array().unwrap().len(), before.len() + 1, "the stop string was sampled");

    place.write("own.jsonl", &json!({"problem": "7a+5b*3:", "answer": before}).to_string());
    let args = ["eval", "--data", "own.jsonl", "--verifier", "exact", "--temperature", "0", "-n", "1", "--json"];
    let args = [&args[..], &stop, &["--out", "samples.jsonl"]].concat();
    let told: Value = serde_json::from_str(&place.vapo(&args).ok()).unwrap();
    assert_eq!(told["accuracy"], 1.0);
    assert_eq!(place.rows("samples.jsonl")[0]["samples"][0]["response"], before);
}

#[test]
fn a_run_stops_when_its_verifier_does() {
    let place = Place::new();
    write_byte_model(&place.path("tiny"));
    let rows = |from: usize| {
        (from..from + 8).map(|n| format!("{{\"problem\": \"x{n}\", \"answer\": \"2\"}}\n")).collect::<String>()
    };
    place.write("train.jsonl", &rows(0));
    place.write("test.jsonl", &rows(10));
    // Answers the probe, and nothing after it.
    place.write("grade.sh", "[ -e there ] && exit 4; touch there; read -r l; i=${l#*\\\"id\\\":}; echo \"{\\\"id\\\":${i%%,*},\\\"score\\\":1}\"\n");
    let grader = "{ kind = \"command\", command = [\"sh\", \"grade.sh\"], workers = 1 }";
    let trained = train_byte_model(&place, "eval.problems=2", grader);
    let printed = trained.failed(1);
    assert!(
        printed.contains("the verifier failed on 4 of the evaluation's 4 responses (reward.max_failed_share is 0.1)"),
        "{printed}"
    );
    assert!(printed.contains("exit status: 4"), "{printed}");
    let (config, data) = (place.read("run/config.toml"), place.path("train.jsonl"));
    assert!(config.contains(&format!("\ntrain = \"{}\"\n", data.display())), "{config}");
}

/// Trains the model in `tiny` on the problems in `train.jsonl`, with a further setting and this verifier.
pub(crate) fn train_byte_model(place: &Place, setting: &str, verifier: &str) -> Done {
    let verifier = format!("reward.verifier={verifier}");
    let settings = [
        "model.path=tiny",
        "data.train=train.jsonl",
        "data.eval=test.jsonl",
        "rollout.max_new_tokens=4",
        setting,
        &verifier,
    ];
    let args = ["train", "tiny.toml"].into_iter().chain(settings.into_iter().flat_map(|setting| ["--set", setting]));
    place.vapo(&args.collect::<Vec<_>>())
}

/// A run is data: to evaluate it starts no program, and asks no server, that only its config names.
#[test]
fn evaluating_a_run_does_not_run_its_verifier() {
    let place = Place::new();
    write_byte_model(&place.path("tiny"));
    place.write("train.jsonl", "{\"problem\": \"x\", \"answer\": \"2\"}\n");
    place.write("test.jsonl", "{\"problem\": \"y\", \"answer\": \"2\"}\n");
    place.write("grade.sh", "touch ran; while IFS= read -r l; do i=${l#*\\\"id\\\":}; echo \"{\\\"id\\\":${i%%,*},\\\"score\\\":0.5}\"; done\n");
    let grader = "{ kind = \"command\", command = [\"sh\", \"grade.sh\"], workers = 1 }";
    let trained = train_byte_model(&place, "run.steps=1", grader);
    let header = trained.ok();
    assert!(header.contains("verifier run `sh grade.sh`\n"), "{header}");
    let ran = || std::fs::remove_file(place.path("ran")).is_ok();
    assert!(ran(), "the config of a new run is the user's");

    let eval = |more: &[&str]| place.vapo(&[&["eval", "--model", "run", "-n", "1"], more].concat());
    let newest = place.path("run/checkpoints/step-000002");
    for model in ["run", newest.to_str().unwrap(), newest.join("policy").to_str().unwrap()] {
        let refused = place.vapo(&["eval", "--model", model]).failed(1);
        assert!(
            refused.contains("would run `sh grade.sh`: if you trust it, allow this with --allow-verifier"),
            "{refused}"
        );
    }
    assert!(!ran());
    // The user chooses another verifier, or a setting that is no verifier.
    eval(&["--verifier", "exact"]).ok();
    eval(&["--set", "reward.verifier=exact"]).ok();
    eval(&["--set", "reward.max_failed_share=0.5"]).failed(1);
    assert!(!ran());
    let replay = |more: &[&str]| place.vapo(&[&["doctor", "run", "--replay", "1", "--from", "0"], more].concat());
    let refused = replay(&[]).failed(1);
    assert!(refused.contains("the config in run would run `sh grade.sh`"), "{refused}");
    assert!(!ran());
    replay(&["--allow-verifier"]).ok();
    assert!(ran());
    // The user says so, or passes the same config.
    eval(&["--allow-verifier"]).ok();
    assert!(ran());
    eval(&["--config", "run/config.toml"]).ok();
    assert!(ran());
    // Other commands that read a run grade nothing.
    place.vapo(&["generate", "--model", "run", "--max-new-tokens", "2", "x"]).ok();
    place.write("texts.jsonl", "{\"prompt\": \"x\", \"response\": \"y\"}\n");
    place.vapo(&["score", "--model", "run", "--data", "texts.jsonl"]).ok();
    assert!(!ran());

    let config = place.read("run/checkpoints/step-000002/config.toml");
    let line = config.lines().find(|line| line.starts_with("verifier = ")).unwrap();
    let asking = config.replace(line, "verifier = { kind = \"http\", url = \"http://127.0.0.1:1/\" }");
    place.write("run/checkpoints/step-000002/config.toml", &asking);
    let refused = eval(&[]).failed(1);
    assert!(refused.contains("would send prompts and responses to http://127.0.0.1:1/"), "{refused}");
}

#[test]
fn ctrl_c_ends_the_programs_that_grade() {
    let place = Place::new();
    place.write("answers.jsonl", "{\"gold\": \"7\", \"pred\": \"7\"}\n");
    place.write("hang.sh", "sleep 1000 & echo $! > child; mv child pid; wait\n");
    let verifier = "{ kind = \"command\", command = [\"sh\", \"hang.sh\"] }";
    let child = place.start(&["verify", "answers.jsonl", "--verifier", verifier]);
    let wait_for = |what: &str, holds: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
            sleep(Duration::from_millis(10));
        }
    };
    wait_for("the program does not start", &|| place.path("pid").exists());
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    let stat = Path::new("/proc").join(place.read("pid").trim()).join("stat");
    let is_gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z"));
    wait_for("a program outlives vapo", &is_gone);
}

#[test]
fn answers_of_a_file_are_graded_and_compared() {
    let place = Place::new();
    let row = |gold: &str, pred: &str, expected: bool| {
        json!({"gold": gold, "pred": pred, "expected": expected}).to_string() + "\n"
    };
    let rows = [row("1/2", "\\boxed{0.5}", true), row("7", "8", false), "\n".into(), row("7", "so 7", false)];
    place.write("answers.jsonl", &rows.concat());
    let printed: Value = serde_json::from_str(&place.vapo(&["verify", "answers.jsonl", "--json"]).ok()).unwrap();
    let keys: Vec<&String> = printed.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["rows", "agree", "disagree", "failed", "rows_per_sec"]);
    assert_eq!([&printed["rows"], &printed["agree"], &printed["disagree"], &printed["failed"]], [3, 2, 1, 0]);
    let text = place.vapo(&["verify", "answers.jsonl"]).ok();
    assert!(text.contains("graded by `math`") && text.contains("2 of 3 (66.67 %)"), "{text}");
    assert!(text.contains("  row 4: gold \"7\", answer \"so 7\": right, expected wrong\n"), "{text}");
    let exact = place.vapo(&["verify", "answers.jsonl", "--verifier", "exact", "--json"]).ok();
    assert!(exact.starts_with("{\"rows\":3,\"agree\":2,\"disagree\":1,"), "{exact}");

    // Thousands of rows: the same list on any number of threads.
    let many: String = (0..40_000).map(|n| row(&n.to_string(), &format!("Answer: {}", n / 7 * 7), true)).collect();
    place.write("many.jsonl", &many);
    let list = |threads: &str| {
        let printed = place.vapo(&["verify", "many.jsonl", "--list", "--threads", threads]).ok();
        printed.split_once('\n').unwrap().1.to_owned()
    };
    let one = list("1");
    assert_eq!(one.lines().filter(|line| line.starts_with("  row ")).count(), 40_000 - 5715);
    assert_eq!(one, list("3"));

    place.write("plain.jsonl", "{\"answer\": 7, \"response\": \"7\"}\n");
    let plain: Value = serde_json::from_str(&place.vapo(&["verify", "plain.jsonl", "--json"]).ok()).unwrap();
    assert_eq!((&plain["rows"], &plain["agree"]), (&1.into(), &Value::Null), "nothing is expected");
    place.write("bad.jsonl", "{\"gold\": \"7\", \"pred\": \"7\"}\n\n{\"gold\": \"7\"}\n");
    let bad = place.vapo(&["verify", "bad.jsonl"]).failed(1);
    assert_eq!(bad, "error: bad.jsonl, row 3: expected a field `response` or `pred`, found `gold`\n");
    assert!(place.vapo(&["verify", "none.jsonl"]).failed(1).starts_with("error: cannot read none.jsonl"));
    assert!(
        place.vapo(&["verify", "bad.jsonl", "--verifier", "maths"]).failed(1).contains("there is no verifier `maths`")
    );
}
