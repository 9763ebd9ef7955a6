//! Help texts, configs and error messages: everything printed without a run.

use crate::program::Place;

const COMMANDS: [&str; 10] =
    ["train", "resume", "eval", "generate", "score", "verify", "plan", "config", "pretrain", "bench"];

#[test]
fn every_command_explains_itself_with_examples() {
    let place = Place::new();
    let overview = place.vapo(&["--help"]).ok();
    for command in COMMANDS {
        assert!(overview.contains(&format!("\n  {command} ")), "{command} is missing in\n{overview}");
        let help = place.vapo(&[command, "--help"]).ok();
        assert!(help.contains(&format!("vapo {command}")) && help.contains("Usage:"), "{help}");
        assert!(help.contains("Examples:"), "no examples in\n{help}");
    }
    assert!(overview.contains("Exit codes:"));
    assert_eq!(place.vapo(&["--version"]).ok(), format!("vapo {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_printed_config_prints_itself_again() {
    let place = Place::new();
    for args in [&["config"][..], &["config", "tiny.toml"], &["config", "--set", "algorithm.preset=grpo"]] {
        let printed = place.vapo(args).ok();
        place.write("printed.toml", &printed);
        assert_eq!(place.vapo(&["config", "printed.toml"]).ok(), printed);
    }
    let changed = place.vapo(&["config", "--set", "run.seed=7", "--set", "rollout.stop_strings=[\"</s>\"]"]).ok();
    assert!(changed.contains("\nseed = 7\n") && changed.contains("\nstop_strings = [\"</s>\"]\n"), "{changed}");
}

#[test]
fn paths_in_a_config_are_relative_to_it_and_printed_as_absolute_ones() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("configs/data")).unwrap();
    place.write("configs/data/a.jsonl", "{\"problem\": \"1 + 1?\", \"answer\": \"2\"}\n");
    place.write("configs/my.toml", "run.dir = \"run\"\ndata = { train = \"data/a.jsonl\", eval = \"data/a.jsonl\" }\n");
    let printed = place.vapo(&["config", "configs/my.toml", "--set", "critic.path=critic"]).ok();
    for (key, path) in [("dir", "configs/run"), ("train", "configs/data/a.jsonl"), ("path", "critic")] {
        let line = printed.lines().find(|line| line.starts_with(&format!("{key} = \"/"))).expect(key);
        assert!(line.ends_with(&format!("/{path}\"")), "{line}");
    }
    place.write("elsewhere.toml", &printed);
    assert_eq!(place.vapo(&["config", "elsewhere.toml"]).ok(), printed);

    place.write("configs/former.toml", "data = { train = \"configs/data/a.jsonl\", eval = \"data/a.jsonl\" }\n");
    let former = place.vapo(&["train", "configs/former.toml"]).failed(1);
    assert!(former.contains("in a config file, relative paths are relative to the file"), "{former}");
    place.write("verl.yaml", "actor_rollout_ref:\n  rollout:\n    n: 8\n");
    let yaml = place.vapo(&["train", "verl.yaml"]).failed(1);
    assert!(
        yaml.contains("a config is TOML, found YAML") && yaml.contains("\n  [rollout]\n  group_size = 8"),
        "{yaml}"
    );
}

#[test]
fn former_spellings_and_values_without_effect_are_reported_apart_from_the_result() {
    let place = Place::new();
    place.write("former.toml", "algorithm.updates_per_rollout = 3\n");
    let done = place.vapo(&["config", "former.toml", "--set", "algorithm.importance_cap=2"]);
    assert_eq!(
        done.stderr,
        "  warning: former.toml:1: `algorithm.updates_per_rollout = 3` is now written `algorithm.minibatches_per_epoch = 3`\n  \
         warning: algorithm.importance_cap = 2.0 has no effect: without rollout.top_k, top_p or min_p, responses are sampled \
         from the trained distribution and every weight is 1\n"
    );
    let printed = done.ok();
    assert!(printed.contains("\nminibatches_per_epoch = 3\n") && !printed.contains("updates_per_rollout"), "{printed}");
    place.write("printed.toml", &printed);
    let quiet = place.vapo(&["config", "printed.toml", "--set", "algorithm.importance_cap=off"]);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn wrong_usage_has_its_own_exit_code() {
    let place = Place::new();
    assert!(place.vapo(&["trian"]).failed(2).contains("train"));
    assert!(place.vapo(&["eval", "--samples", "many"]).failed(2).contains("invalid value 'many'"));
    assert!(place.vapo(&["pretrain"]).failed(2).contains("--out"));
    assert!(place.vapo(&["pretrain", "--out", "base", "--layers", "65"]).failed(2).contains("65 is not in 0..=64"));
    assert!(place.vapo(&["bench", "--threads", "99999"]).failed(2).contains("99999 is not in"));
    assert!(place.vapo(&[]).failed(2).contains("Usage:"));
}

#[test]
fn settings_are_refused_with_place_key_and_reason_before_anything_is_written() {
    let place = Place::new();
    place.write("bad.toml", "[run]\nsteps = 3\n\n[rollout]\ngroup_sise = 4\n");
    let unknown = place.vapo(&["train", "bad.toml"]).failed(1);
    assert!(unknown.starts_with("error: bad.toml:5: unknown key `rollout.group_sise`"), "{unknown}");
    assert!(unknown.contains("rollout.group_size"), "no nearest name in {unknown}");

    let range = place.vapo(&["train", "--set", "rollout.temperature=0", "--set", "eval.samples=0"]).failed(1);
    assert_eq!(range, "error: rollout.temperature (0) must be greater than 0\n  eval.samples (0) must be at least 1\n");
    let most = ["--set", "eval.problems=9223372036854775807", "--set", "run.threads=2000", "--set", "eval.samples=8"];
    assert_eq!(
        place.vapo(&[&["train"][..], &most].concat()).failed(1),
        "error: run.threads (2000) must be at most 1024\n  eval.problems (9223372036854775807) must be at most 10000000\n"
    );
    let product = place.vapo(&["eval", "--problems", "10000", "-n", "10000"]).failed(1);
    assert_eq!(product, "error: eval.problems x eval.samples (10000 x 10000) must be at most 10000000\n");
    assert!(place.vapo(&["generate", "-n", "0", "7a:"]).failed(1).contains("--samples (0) must be between 1 and"));
    let flag = place.vapo(&["eval", "--temperature", "-1"]).failed(1);
    assert_eq!(flag, "error: eval.temperature (-1) must not be negative\n");
    assert!(!place.path("runs").exists());
}

#[test]
fn what_is_missing_is_named() {
    let place = Place::new();
    let file = place.vapo(&["train", "nowhere.toml"]).failed(1);
    assert_eq!(file, "error: cannot read nowhere.toml: No such file or directory (os error 2)\n");
    let model = place.vapo(&["eval", "--model", "nowhere"]).failed(1);
    assert!(model.starts_with("error: nowhere: does not exist; expected a run"), "{model}");
    let base = place.vapo(&["train", "--set", "model.path=nowhere"]).failed(1);
    assert!(base.starts_with("error: nowhere"), "{base}");
    let data = place.vapo(&["eval", "--data", "nowhere.jsonl"]).failed(1);
    assert!(data.starts_with("error: cannot read nowhere.jsonl: "), "{data}");
    let run = place.vapo(&["resume", "nowhere"]).failed(1);
    assert_eq!(run, "error: nowhere is not a run directory: it has no config.toml\n");
    assert!(!place.path("runs").exists());
}

#[test]
fn existing_directories_are_not_changed() {
    let place = Place::new();
    std::fs::create_dir(place.path("run")).unwrap();
    place.write("run/notes.txt", "mine");
    let train = place.vapo(&["train", "tiny.toml"]).failed(1);
    assert!(train.starts_with("error: run directory run exists and is not empty"), "{train}");
    let pretrain = place.vapo(&["pretrain", "--out", "run"]).failed(1);
    assert!(pretrain.starts_with("error: run exists, expected a new directory"), "{pretrain}");
    place.write("samples.jsonl", "mine");
    let eval = place.vapo(&["eval", "--out", "samples.jsonl"]).failed(1);
    assert!(eval.starts_with("error: cannot write samples.jsonl\n  because: File exists"), "{eval}");
    assert_eq!((place.read("run/notes.txt"), place.read("samples.jsonl")), ("mine".into(), "mine".into()));
    assert_eq!(std::fs::read_dir(place.path("run")).unwrap().count(), 1);
}
