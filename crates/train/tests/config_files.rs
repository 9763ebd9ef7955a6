//! Config files as people have them: in other formats, and with paths.

use std::{
    fs,
    path::{Path, PathBuf},
};

use vapo_train::{
    Config,
    config::{DataFiles, Resolved, Settings},
};

/// The error of a file with this name and content.
fn error(name: &str, text: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    let message = Resolved::load(Some(&path), &[]).unwrap_err().to_string();
    message.replace(&format!("{}/", directory.path().display()), "")
}

/// The TOML in such an error, which must be valid.
fn shown(message: &str) -> &str {
    let (_, toml) = message.split_once("as TOML:\n\n").unwrap_or_else(|| panic!("{message}"));
    let settings = Settings::from_toml(toml, Path::new("shown.toml")).unwrap();
    Resolved::layered(&[settings]).unwrap_or_else(|error| panic!("{error}\n{toml}"));
    toml
}

const VERL: &str = "\
# A run with verl.
hydra:
  searchpath:
    - file://verl/trainer/config
defaults:
  - ppo_trainer
  - _self_
data:
  train_files: ~/data/gsm8k/train.parquet  # verl's layout
  val_files: [test.parquet]
  max_response_length: 1024
  prompt_key: prompt
actor_rollout_ref:
  actor:
    optim:
      lr: 1e-6
    ppo_mini_batch_size: 64
    clip_ratio_high: 0.28
    use_kl_loss: False
    shuffle: true
  rollout:
    n: 8
    temperature: 1.0
    top_k: -1
    val_kwargs:
      n: 4
  model:
    path: 'Qwen/Qwen2.5-0.5B'
    lora_rank: null
trainer:
  note: |
    several: lines
    n: 3
  nnodes: 1
  total_training_steps: 200
  no_such_key: [1, 2]
";

#[test]
fn a_yaml_config_is_shown_as_toml() {
    let message = error("my.yaml", VERL);
    assert!(message.starts_with("my.yaml: a config is TOML, found YAML; `vapo config` prints one"), "{message}");
    assert_eq!(
        shown(&message),
        "\
[run]
steps = 200

[model]
path = \"Qwen/Qwen2.5-0.5B\"

[data]
train = \"~/data/gsm8k/train.parquet\"
eval = [\"test.parquet\"]
prompt_key = \"prompt\"

[rollout]
max_new_tokens = 1024
group_size = 8
temperature = 1.0

[algorithm]
clip_high = 0.28

[policy_optimizer]
learning_rate = 0.000001

[eval]
samples = 4

# hydra.searchpath = [\"file://verl/trainer/config\"]: there is no such setting
# defaults = [\"ppo_trainer\", \"_self_\"]: there is no such setting
# actor_rollout_ref.actor.ppo_mini_batch_size = 64: see `algorithm.minibatches_per_epoch`
# actor_rollout_ref.actor.use_kl_loss = false: see `algorithm.kl_in`
# actor_rollout_ref.actor.shuffle = true: prompts and minibatches are always shuffled, by `run.seed`
# actor_rollout_ref.rollout.top_k = -1: see `rollout.top_k`
# actor_rollout_ref.model.lora_rank = null: all weights are trained, there are no adapters (LoRA)
# trainer.nnodes = 1: a launcher such as mpirun sets the number of ranks, and each of them has the whole models (docs/cluster.md)
# trainer.no_such_key = [1, 2]: there is no such setting"
    );
    let smallest = error("verl.yaml", "actor_rollout_ref:\n  rollout:\n    n: 8\n");
    assert_eq!(shown(&smallest), "[rollout]\ngroup_size = 8");
    assert_eq!(error("my.toml", "trainer:\n  n: 8\n").lines().last().unwrap(), "group_size = 8", "by its content");
}

#[test]
fn a_json_config_is_shown_as_toml() {
    let message =
        error("my.json", r#"{"num_generations": 8, "beta": 0.0, "bf16": true, "use_vllm": true, "x": {"lr": 1e-6}}"#);
    assert!(message.starts_with("my.json: a config is TOML, found JSON; "), "{message}");
    assert!(shown(&message).contains("group_size = 8\n"), "{message}");
    assert!(message.contains("# bf16 = true: see `model.dtype`"), "{message}");
    let broken = error("my.json", "{\"num_generations\": 8");
    assert_eq!(broken, "my.json: a config is TOML, found JSON; `vapo config` prints one with every setting explained");
}

#[test]
fn a_broken_toml_file_is_a_broken_toml_file() {
    assert!(error("my.toml", "[run]\nseed = = 1\n").starts_with("my.toml:2: "));
    assert!(!error("my.toml", "seed == 1\n").contains("YAML"));
}

#[test]
fn what_is_shown_of_a_foreign_file_is_bounded_and_printable() {
    let long: String = (0..1000).map(|number| format!("key{number}: \"\u{1b}[31m{}\"\n", "x".repeat(1000))).collect();
    let message = error("my.yaml", &long);
    assert!(message.len() < 10_000 && !message.contains('\u{1b}'), "{message}");
    assert!(message.ends_with("# and 976 more"), "{message}");
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn paths(files: &Option<DataFiles>) -> Vec<PathBuf> {
    files.iter().flat_map(|files| &files.0).map(|file| file.path.clone()).collect()
}

#[test]
fn paths_in_a_file_are_relative_to_it_and_others_to_the_current_directory() {
    let directory = tempfile::tempdir().unwrap();
    let (file, base) = (directory.path().join("configs/my.toml"), directory.path().join("configs"));
    write(
        &file,
        "run.dir = \"runs/x\"\nmodel.path = \"../models/m\"\ncritic.path = \"off\"\n\
         data.train = [\"a.jsonl\", { path = \"~/b.jsonl\", limit = 3 }]\ndata.eval = \"/c.jsonl\"\n\
         reward.verifier = [\"exact\", { kind = \"command\", command = [\"python3\", \"~/grade.py\"] }]\n",
    );
    let config = Config::load(Some(&file), &["value_pretraining.save_critic=critic".to_owned()]).unwrap();
    let home = std::env::home_dir().unwrap();
    assert_eq!(config.run.dir, Some(base.join("runs/x")));
    assert_eq!(config.model.path, Some(base.join("../models/m")));
    assert_eq!(config.critic.path, None);
    assert_eq!(paths(&config.data.train), [base.join("a.jsonl"), home.join("b.jsonl")]);
    assert_eq!(paths(&config.data.eval), [PathBuf::from("/c.jsonl")]);
    assert_eq!(config.value_pretraining.save_critic, Some(PathBuf::from("critic")));
    let printed = config.to_commented_toml();
    assert!(
        printed.contains(&format!("command = [\"python3\", \"{}\"]", home.join("grade.py").display())),
        "{printed}"
    );
    assert!(printed.contains(&format!("directory = \"{}\"", base.display())), "{printed}");

    let absolute = config.clone().with_absolute_paths().unwrap();
    assert_eq!(absolute.value_pretraining.save_critic, Some(std::env::current_dir().unwrap().join("critic")));
    assert_eq!(absolute.reward, config.reward, "these are absolute already");
    let set = Config::load(None, &["model.path=~".to_owned(), "critic.path=~else/m".to_owned()]).unwrap();
    assert_eq!((set.model.path, set.critic.path), (Some(home), Some("~else/m".into())));
}

#[test]
fn the_config_that_a_run_wrote_keeps_its_paths() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["run", "run/checkpoints/step-000001"] {
        let file = directory.path().join(name).join("config.toml");
        write(
            &file,
            "run.dir = \"runs/x\"\nreward.verifier = { kind = \"command\", command = [\"sh\", \"tests/config.rs\"] }\n",
        );
        fs::create_dir_all(file.with_file_name("state")).unwrap();
        let config = Config::load(Some(&file), &[]).unwrap();
        assert_eq!(config.run.dir, Some("runs/x".into()));
        assert!(!config.to_commented_toml().contains("directory = "));
    }
}

/// Tests run in the directory of the crate.
#[test]
fn what_only_the_current_directory_has_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("my.toml");
    for (text, key) in [
        ("model.path = \"tests\"", "model.path"),
        ("data = { train = \"/a\", eval = \"tests/config.rs\" }", "data.eval"),
        ("reward.verifier = { kind = \"command\", command = [\"python3\", \"tests/config.rs\"] }", "reward.verifier"),
    ] {
        write(&file, text);
        let error = Resolved::load(Some(&file), &[]).unwrap_err().to_string();
        let name = if key == "model.path" { "tests" } else { "tests/config.rs" };
        let expected = format!(
            "{}:1: {key}: there is no {}, but the current directory has {name}: in a config file, relative paths are relative to \
             the file; begin it with / or ~/, or give it with --set",
            file.display(),
            directory.path().join(name).display()
        );
        assert_eq!(error, expected);
    }
    write(&directory.path().join("tests/config.rs"), "");
    Resolved::load(Some(&file), &[]).unwrap();
}
