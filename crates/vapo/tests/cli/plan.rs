//! Plans compared with what runs then need.

use serde_json::Value;

use crate::program::Place;

fn plan(place: &Place, args: &[&str]) -> Value {
    let args = [&["plan", "--json", "--no-timing"], args].concat();
    serde_json::from_str(&place.vapo(&args).ok()).unwrap()
}

/// The built-in run with few steps, and a length limit that answers reach: caches of slots that never held a long answer
/// are counted, but use no memory yet.
#[test]
fn the_peak_of_the_built_in_run_is_predicted_within_15_percent() {
    let place = Place::new();
    let short = [
        "run.steps=1",
        "value_pretraining.steps=1",
        "rollout.max_new_tokens=64",
        "eval.problems=10",
        "eval.samples=2",
        "run.dir=run",
    ];
    let short: Vec<&str> = short.iter().flat_map(|setting| ["--set", setting]).collect();
    let planned = plan(&place, &short)["memory_bytes"]["total"].as_f64().unwrap() / 1e6;
    place.vapo(&[&["train"], &short[..]].concat()).ok();
    let summary: Value = serde_json::from_str(&place.read("run/summary.json")).unwrap();
    let measured = summary["peak_rss_mb"].as_f64().unwrap();
    assert!((planned / measured - 1.0).abs() < 0.15, "planned {planned:.1} MB, measured {measured:.1} MB");
}

/// The paper's model: 32,763,876,352 parameters, as its weights' index says (65,527,752,704 bytes of bfloat16).
#[test]
fn a_model_whose_weights_are_absent_is_planned_by_its_shape() {
    let place = Place::new();
    let shape = include_str!("../../../../configs/models/qwen2.5-32b/config.json");
    std::fs::create_dir_all(place.path("configs/models/qwen2.5-32b")).unwrap();
    place.write("configs/models/qwen2.5-32b/config.json", shape);
    place.write(
        "configs/large.toml",
        "[model]\npath = \"weights/Qwen2.5-32B\"\n[data]\ntrain = \"none.jsonl\"\neval = \"none.jsonl\"\n\
         [rollout]\nprompts_per_step = 512\ngroup_size = 16\nmax_new_tokens = 20480\n[algorithm]\nkl_weight = 0.001\n",
    );
    let planned = plan(&place, &["configs/large.toml", "--response-tokens", "5000"]);
    assert_eq!(planned["parameters"]["policy"], 32_763_876_352_u64);
    assert_eq!(planned["parameters"]["reference"], planned["parameters"]["policy"]);
    let head = 152_064 * 5120 - (5120 + 1);
    assert_eq!(planned["parameters"]["critic"], 32_763_876_352_u64 - head);
    assert_eq!((&planned["prompt_tokens"]["assumed"], &planned["response_tokens"]), (&true.into(), &5000.0.into()));
    let phases: Vec<&str> = planned["phases"].as_array().unwrap().iter().filter_map(|p| p["name"].as_str()).collect();
    assert_eq!(phases, ["value pretraining", "training", "evaluation"]);
    // Six operations per weight and token: 8192 responses of 5000 tokens, plus attention.
    let stages = planned["phases"][1]["stages"].as_array().unwrap();
    let training = stages.iter().find(|stage| stage["name"] == "policy updates").unwrap();
    let per_weight = training["flops"].as_f64().unwrap() / (31.2e9 * 8192.0 * 5000.0);
    assert!((6.0..8.0).contains(&per_weight), "{per_weight}");
    let text = place.vapo(&["plan", "configs/large.toml", "--no-timing"]).ok();
    assert!(text.contains("it does not fit") && text.contains("(assumed: --prompt-tokens)"), "{text}");
    let lost = place.vapo(&["plan", "--set", "model.path=nowhere", "--no-timing"]).failed(1);
    assert!(lost.starts_with("error: no config.json in nowhere (model.path) or in models/nowhere"), "{lost}");
}

#[test]
fn times_are_measured_unless_disabled() {
    let place = Place::new();
    let printed = place.vapo(&["plan", "tiny.toml", "--response-tokens", "40"]).ok();
    for words in ["parameters   policy 103.4k, critic 103.5k", "it fits", "training, 2 times", "the whole run: about"] {
        assert!(printed.contains(words), "no {words:?} in\n{printed}");
    }
    let bad = place.vapo(&["plan", "--response-tokens", "0"]).failed(1);
    assert_eq!(bad, "error: --response-tokens (0) must be at least 1\n");
}

#[test]
fn ranks_share_the_work_and_the_moments() {
    let place = Place::new();
    let (one, four) = (plan(&place, &[]), plan(&place, &["--ranks", "4", "--network", "1"]));
    let part = |plan: &Value, name: &str| plan["memory_bytes"]["parts"][name].as_u64();
    assert_eq!(part(&four, "moments"), part(&one, "moments").map(|bytes| bytes / 4));
    assert_eq!(part(&four, "moments of all ranks"), part(&one, "moments"));
    assert_eq!((part(&one, "moments of all ranks"), &one["phases"][1]["exchanges"]), (None, &Value::Null));
    let exchanges = &four["phases"][1]["exchanges"];
    let (bytes, secs) = (exchanges["bytes"].as_f64().unwrap(), exchanges["secs"].as_f64().unwrap());
    assert!(bytes > 1e6 && (secs - bytes * 8.0 / 1e9).abs() < 1e-9, "{exchanges}");
    let error = place.vapo(&["plan", "--ranks", "3"]).failed(1);
    assert!(error.contains("--ranks (3) must be a power of two"), "{error}");
}
