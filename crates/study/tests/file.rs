//! Valid and invalid study files.

use std::path::Path;

use vapo_study::Study;

const STUDY: &str = r#"
name = "test"
seeds = 5
reference = "dapo"
[settings]
run.steps = 7
algorithm.minibatches_per_epoch = 8
[[arms]]
name = "vapo"
set.algorithm.preset = "vapo"
[[arms]]
name = "vapo-20"
like = "vapo"
set.value_pretraining.steps = 20
set.critic.bound = "atan"
[[arms]]
name = "dapo"
set.algorithm.preset = "dapo"
"#;

fn load(text: &str) -> Result<Study, String> {
    Study::from_toml(text, Path::new("s.toml")).map_err(|error| error.to_string())
}

#[test]
fn arms_stack_base_preset_shared_settings_and_their_own() {
    let study = load(STUDY).unwrap();
    assert_eq!(study.seeds, [0, 1, 2, 3, 4]);
    let config = |name: &str| &study.arm(name).unwrap().config;
    // Every run has one thread; the arm's preset replaces the built-in run's method, and the study's settings override both.
    assert_eq!((config("vapo").run.threads, config("vapo").run.steps), (1, 7));
    assert_eq!(config("vapo").policy_optimizer.learning_rate, 6e-4);
    assert_eq!(config("vapo").value_pretraining.steps, 50);
    assert_eq!(config("vapo").algorithm.advantage_normalization.to_string(), "none");
    assert_eq!((config("vapo").policy_updates_per_step(), config("dapo").policy_updates_per_step()), (8, 8));
    assert_eq!((config("vapo-20").value_pretraining.steps, config("dapo").value_pretraining.steps), (20, 0));
    assert_eq!(
        (config("vapo-20").algorithm.positive_lm_weight, config("dapo").algorithm.positive_lm_weight),
        (0.1, 0.0)
    );
    let set: Vec<_> = study.arm("vapo-20").unwrap().set.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(set, ["algorithm.preset=\"vapo\"", "critic.bound=\"atan\"", "value_pretraining.steps=20"]);
    assert_eq!(study.warnings(), Vec::<String>::new());
    assert!(load(&STUDY.replace("seeds = 5", "seeds = [1, 8]")).unwrap().warnings()[0].starts_with("2 seeds"));
}

#[test]
fn former_spellings_are_understood_and_reported_once() {
    let former = load(&STUDY.replace("minibatches_per_epoch", "updates_per_rollout")).unwrap();
    let configs = |study: &Study| study.arms.iter().map(|arm| arm.config.clone()).collect::<Vec<_>>();
    assert_eq!(configs(&former), configs(&load(STUDY).unwrap()));
    assert_eq!(
        former.warnings(),
        ["s.toml:7: `algorithm.updates_per_rollout = 8` is now written `algorithm.minibatches_per_epoch = 8`"]
    );
}

#[test]
fn invalid_input_is_refused_with_a_clear_message() {
    let refused = |from: &str, to: &str, words: &str| {
        assert!(STUDY.contains(from));
        let error = load(&STUDY.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(words), "expected {words:?} in {error:?}");
    };
    refused("seeds = 5", "seed = 5", "s.toml: line 3: unknown key `seed`, did you mean `seeds`?");
    refused("like = ", "likes = ", "line 13: unknown key `likes`, did you mean `like`?");
    refused("run.steps = 7", "run.stepps = 7", "s.toml:6: unknown key `run.stepps`, did you mean `run.steps`?");
    refused(
        "like = \"vapo\"",
        "like = \"vapp\"",
        "arm `vapo-20` is like `vapp`, expected the name of an arm above it, did you mean `vapo`?",
    );
    refused("reference = \"dapo\"", "reference = \"dap\"", "there is no arm `dap`, did you mean `dapo`?");
    refused("bound = \"atan\"", "bound = \"tan\"", "arm `vapo-20`: s.toml:15: critic.bound: ");
    refused("run.steps = 7", "run.seed = 7", "run.seed is set by the study: use `seeds`");
    refused("name = \"dapo\"", "name = \"vapo\"", "there are two arms `vapo`");
    refused("name = \"dapo\"", "name = \"../dapo\"", "name `../dapo` may contain only a-z");
    refused("seeds = 5", "seeds = [1, 1]", "seed 1 is listed twice");
    refused("seeds = 5", "seeds = \"five\"", "expected a number of seeds or a list of them");
    refused("seeds = 5", "seeds = 5\naccuracies = [60]", "accuracies (60) must be between 0 and 1");
    refused("seeds = 5", "seeds = 100000", "expected at most 10000 runs");
    refused(
        "set.algorithm.preset = \"dapo\"",
        "set.algorithm.preset = \"dapo\"\nset.rollout.group_size = 8",
        "arm `dapo` plans 896 samples in policy training and arm `vapo` 1792, expected the same",
    );
    refused(
        "set.algorithm.preset = \"dapo\"",
        "set.algorithm.preset = \"dapo\"\nset.eval.samples = 1",
        "arms `vapo` and `dapo` differ in [data] or [eval]",
    );
}

#[test]
fn arms_of_another_study_override_the_settings_of_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Study::load(&path).map_err(|error| error.to_string())
    };
    let charts = "[[charts]]\nname = \"both\"\narms = [\"vapo\", \"dapo\"]\n";
    let one = write("one.toml", &format!("{STUDY}{charts}")).unwrap();
    let text =
        "name = \"two\"\nseeds = 5\nreference = \"vapo-20\"\narms_from = \"one.toml\"\n[settings]\nrun.steps = 8\n";
    let two = write("two.toml", text).unwrap();
    let arms = |study: &Study| study.arms.iter().map(|arm| (arm.name.clone(), arm.set.clone())).collect::<Vec<_>>();
    assert_eq!(arms(&two), arms(&one));
    assert_eq!((two.charts.len(), &*two.charts[0].arms[1]), (1, "dapo"));
    assert_eq!((two.arms[0].config.run.steps, two.arms[2].config.value_pretraining.steps), (8, 0));

    let error = write("three.toml", &format!("{text}{charts}")).unwrap_err();
    assert!(error.contains("three.toml: `arms_from` takes arms and charts from another study"), "{error}");
    let error = write("four.toml", &text.replace("one.toml", "none.toml")).unwrap_err();
    assert!(error.contains("none.toml"), "{error}");
    let error = write("five.toml", &text.replace("one.toml", "two.toml")).unwrap_err();
    assert!(error.contains("expected at least one arm"), "{error}");
}

#[test]
fn every_committed_study_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/studies");
    let mut studies = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let study = Study::load(&entry.unwrap().path()).unwrap();
        assert!(study.name == "smoke" || study.warnings().is_empty(), "{}: {:?}", study.name, study.warnings());
        studies += 1;
    }
    assert!(studies >= 2);
}
