//! Rewards written in Python.

use crate::{
    evaluate::{train_byte_model, write_byte_model},
    program::Place,
};

/// Whether tests of Python can run here.
fn has_python() -> bool {
    let found = std::process::Command::new("python3").arg("-c").arg("").status().is_ok_and(|status| status.success());
    if !found {
        eprintln!("left out: there is no python3");
    }
    found
}

const REWARDS: &str = r#"
def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    print("a message")
    if solution_str == "bad":
        raise ValueError(f"level {extra_info['level']}")
    return float(solution_str == str(ground_truth))

def short(prompts, completions, level, **columns):
    return [None if one == 2 else 1 / (1 + len(text)) for one, text in zip(level, completions)]
"#;

#[test]
fn verify_grades_with_a_python_function() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    place.write("rewards.py", REWARDS);
    let rows = [
        r#"{"gold": "7", "response": "7", "expected": true, "level": 1}"#,
        r#"{"gold": 8, "response": "7", "expected": false, "level": 1}"#,
        r#"{"gold": "7", "response": "bad", "expected": false, "level": 3}"#,
        r#"{"gold": {"target": [1]}, "response": "{'target': [1]}", "expected": true}"#,
    ];
    place.write("answers.jsonl", &rows.join("\n"));
    let verifier = "{ kind = \"python\", file = \"rewards.py\" }";
    let printed = place.vapo(&["verify", "answers.jsonl", "--verifier", verifier]).ok();
    assert!(
        printed.contains(
            "answers.jsonl, row 3: ValueError: level 3; traceback: rewards.py:5 in compute_score: raise ValueError("
        ),
        "{printed}"
    );
    let json = place.vapo(&["verify", "answers.jsonl", "--verifier", verifier, "--json"]).ok();
    assert!(json.contains("\"agree\":3,\"disagree\":0,\"failed\":1"), "{json}");
    let missing = "{ kind = \"python\", file = \"rewards.py\", function = \"score\" }";
    let printed = place.vapo(&["verify", "answers.jsonl", "--verifier", missing]).ok();
    assert!(printed.contains("it has no function `score`; it has compute_score, short"), "{printed}");
    let nowhere = "{ kind = \"python\", file = \"nowhere.py\" }";
    let printed = place.vapo(&["verify", "answers.jsonl", "--verifier", nowhere]).failed(1);
    assert!(printed.contains("cannot read nowhere.py: No such file"), "{printed}");
}

#[test]
fn a_run_trains_with_several_python_rewards() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    write_byte_model(&place.path("tiny"));
    place.write("rewards.py", REWARDS);
    let rows = |from: usize| -> String {
        let row = |n| format!("{{\"problem\": \"x{n}\", \"answer\": \"2\", \"level\": {}}}\n", n % 3);
        (from..from + 9).map(row).collect()
    };
    place.write("train.jsonl", &rows(0));
    place.write("test.jsonl", &rows(9));
    let verifier = |second: &str| {
        let first = "{ kind = \"python\", file = \"rewards.py\", workers = 1 }";
        let second =
            format!("{{ kind = \"python\", file = \"rewards.py\", name = \"short\", weight = 0.5, {second} }}");
        format!("[{first}, {second}]")
    };
    let train = |second: &str| train_byte_model(&place, "run.steps=1", &verifier(second));
    let refused = train("function = \"shorter\"").failed(1);
    let reason = "verifier `short`: it failed on the first reference answer: ";
    assert!(
        refused.contains(reason) && refused.contains("it has no function `shorter`; it has compute_score"),
        "{refused}"
    );
    assert!(!place.path("run/metrics.jsonl").exists(), "nothing was trained");

    train("function = \"short\"").ok();
    let metrics = place.read("run/metrics.jsonl");
    let last = metrics.lines().last().unwrap();
    for key in [
        "rewards/python/mean",
        "rewards/short/mean",
        "timing_s/reward",
        "timing_s/reward/python",
        "timing_s/reward/short",
    ] {
        assert!(last.contains(&format!("\"{key}\":")), "{key}: {last}");
    }
    let config = place.read("run/config.toml");
    assert!(config.contains(&format!("file = \"{}\"", place.path("rewards.py").display())), "{config}");
    let refused = place.vapo(&["eval", "--model", "run"]).failed(1);
    assert!(refused.contains("would run `python3 /") && refused.contains("--allow-verifier"), "{refused}");
    place.vapo(&["eval", "--model", "run", "--allow-verifier"]).ok();
}
