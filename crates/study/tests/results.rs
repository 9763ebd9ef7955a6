//! The comparison, checked against hand-worked numbers from hand-written runs.

use std::{fs, path::Path};

use serde_json::{Value, json};
use vapo_study::{Budget, Plan, Results, Study, is_time_field, write_report};
use vapo_train::RunSummary;

const STUDY: &str = r#"
name = "by-hand"
seeds = [4, 7]
accuracies = [0.3, 0.9]
reference = "plain"

[settings]
run.steps = 2
rollout = { prompts_per_step = 5, group_size = 2 }
algorithm.minibatches_per_epoch = 2
eval = { every = 1, problems = 10, samples = 4 }
value_pretraining.steps = 0

[[arms]]
name = "plain"

[[arms]]
name = "pretrained"
note = "with value pretraining"
set.value_pretraining.steps = 1
"#;

/// Whether a step is one of value pretraining (`None`: before the first), samples and updates so far, processor seconds, accuracy.
type Step = (Option<bool>, u64, u64, f64, Option<f64>);

fn write_run(directory: &Path, rows: &[Step], end: &str) {
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("config.toml"), "").unwrap();
    let lines = rows.iter().enumerate().map(|(step, (pretraining, samples, updates, cpu_secs, accuracy))| {
        let mut row = json!({"training/global_step": step});
        if let Some(pretraining) = pretraining {
            row["training/value_pretraining"] = u8::from(*pretraining).into();
            row["training/prompts"] = (samples / 2).into();
            row["training/responses"] = (*samples).into();
            row["training/tokens"] = (10 * samples).into();
            row["training/policy_updates"] = (*updates).into();
            row["training/critic_updates"] = (2 * step as u64).into();
            row["perf/cpu_secs"] = (*cpu_secs).into();
            row["timing_s/step"] = (2.0 * cpu_secs).into();
            row["critic/vf_explained_var"] = json!(0.1 * step as f64);
        }
        if let Some(accuracy) = accuracy {
            row["val-core/chain/acc/mean@4"] = (*accuracy).into();
        }
        format!("{row}\n")
    });
    fs::write(directory.join("metrics.jsonl"), lines.collect::<String>()).unwrap();
    let text = match end {
        "summary.json" => serde_json::to_string(&RunSummary { cpu_secs: 9.0, ..RunSummary::default() }).unwrap(),
        _ => "error: the gradient is not finite\n".into(),
    };
    fs::write(directory.join(end), text).unwrap();
}

/// Two runs of `plain` (0.1 -> 0.2 -> 0.4 and 0.1 -> 0.4 -> 0.6), two of `pretrained`, the second of which crashed after a step.
fn by_hand(root: &Path) -> (Study, Plan) {
    let study = Study::from_toml(STUDY, Path::new("by-hand.toml")).unwrap();
    let plan = Plan::new(&study, root);
    let run = |arm: &str, seed: u64| root.join(format!("runs/{arm}/seed-{seed}"));
    let (before, policy, pretraining) = (None, Some(false), Some(true));
    for (seed, first, second) in [(4, 0.2, 0.4), (7, 0.4, 0.6)] {
        let rows =
            [(before, 0, 0, 0.0, Some(0.1)), (policy, 10, 2, 1.0, Some(first)), (policy, 20, 4, 1.0, Some(second))];
        write_run(&run("plain", seed), &rows, "summary.json");
    }
    let rows = [
        (before, 0, 0, 0.0, Some(0.1)),
        (pretraining, 30, 0, 3.0, None),
        (policy, 40, 2, 1.5, Some(0.5)),
        (policy, 50, 4, 1.5, Some(0.9)),
    ];
    write_run(&run("pretrained", 4), &rows, "summary.json");
    write_run(&run("pretrained", 7), &rows[..3], "crash.txt");
    (study, plan)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn means_intervals_areas_and_costs_are_those_worked_out_by_hand() {
    let root = tempfile::tempdir().unwrap();
    let (study, plan) = by_hand(root.path());
    let results = Results::read(&study, &plan).unwrap();
    let [plain, pretrained] = results.arms.as_slice() else { panic!("two arms") };

    // Finals 0.4 and 0.6: mean 0.5, deviation 0.1414, t(0.975, 1) = 12.7062, half width 1.27062.
    let last = plain.last.unwrap();
    assert!(close(last.mean, 0.5) && (last.high.unwrap() - 1.770_620_5).abs() < 1e-6, "{last:?}");
    // (2 x 0.15 + 2 x 0.3) / 4 and (2 x 0.25 + 2 x 0.5) / 4.
    assert!(close(plain.area.unwrap().mean, (0.225 + 0.375) / 2.0));
    // The mean curve is 0.1, 0.3, 0.5: 0.3 is reached after the first step, by both seeds in the end.
    let reach = plain.reach(0.3);
    let cost = reach.cost.unwrap();
    assert!(close(cost.updates, 2.0) && close(cost.samples, 10.0) && close(cost.cpu_secs, 1.0) && reach.seeds == 2);
    assert_eq!((plain.reach(0.6).cost, plain.reach(0.6).seeds), (None, 1));

    // The crashed run keeps its 0.5: finals 0.9 and 0.5, mean curve 0.1, 0.1, 0.5, 0.7.
    assert_eq!((pretrained.records.len(), pretrained.crashes(), results.crashes()), (2, 1, 1));
    assert!(close(pretrained.last.unwrap().mean, 0.7));
    // Areas: (2 x 0.3 + 2 x 0.7) / 4 and (2 x 0.3 + 2 x 0.5) / 4.
    assert!(close(pretrained.area.unwrap().mean, (0.5 + 0.4) / 2.0));
    // 0.3 lies half way between the end of value pretraining (30 samples, 3 s) and the next evaluation (40 samples, 4.5 s).
    let cost = pretrained.reach(0.3).cost.unwrap();
    assert!(close(cost.updates, 1.0) && close(cost.samples, 35.0) && close(cost.cpu_secs, 3.75), "{cost:?}");
    // Seed 4: 0.9 - 0.4, seed 7: 0.5 - 0.6.
    assert!(close(results.difference(pretrained, plain).unwrap().mean, 0.2));
    assert!(close(pretrained.pretraining().samples, 30.0) && close(pretrained.policy().samples, 15.0));
    // The last tenth of two steps is the last; the crashed run has one: (0.3 + 0.2) / 2.
    assert!(close(pretrained.metric("critic/vf_explained_var").unwrap().last, 0.25));

    let unequal = results.unequal_budgets();
    let words: Vec<_> = unequal.iter().map(|(arm, budget, used, first)| (*arm, *budget, *used, *first)).collect();
    assert_eq!(
        words,
        [
            ("pretrained", Budget::Prompts, 7.5, 10.0),
            ("pretrained", Budget::Samples, 15.0, 20.0),
            ("pretrained", Budget::Updates, 3.0, 4.0)
        ]
    );
}

#[test]
fn the_report_has_numbers_text_and_charts() {
    let root = tempfile::tempdir().unwrap();
    let (study, plan) = by_hand(root.path());
    write_report(&study, &Results::read(&study, &plan).unwrap(), root.path()).unwrap();
    let read = |name: &str| fs::read_to_string(root.path().join(name)).unwrap();
    let report: Value = serde_json::from_str(&read("report.json")).unwrap();
    assert_eq!((&report["task"], &report["unfinished"]), (&json!("chain"), &json!(0)));
    let arm = &report["arms"][1];
    for key in ["name", "seeds", "final_mean", "final_ci_low", "final_ci_high", "crashes", "cpu_secs"] {
        assert!(!arm[key].is_null(), "no {key} in {arm}");
    }
    // plain ends at 0.5, which the mean curve 0.1, 0.1, 0.5, 0.7 reaches after 2 updates, 40 samples and 4.5 s.
    assert!(close(arm["updates_to_plain_final"].as_f64().unwrap(), 2.0), "{arm}");
    assert!(close(arm["samples_to_plain_final"].as_f64().unwrap(), 40.0));
    assert!(close(arm["cpu_secs_to_plain_final"].as_f64().unwrap(), 4.5));
    assert_eq!(arm["crashed"][0], json!({"seed": 7, "reason": "error: the gradient is not finite"}));
    assert!(is_time_field("cpu_secs_to_plain_final") && !is_time_field("updates_to_plain_final"));

    let page = read("README.md");
    for words in [
        "| pretrained | 10.0 % | 70.0 % |",
        "**This budget should be equal.**",
        "pretrained seed 7: error: the gradient is not finite",
        "Fewer than 5 seeds",
        "](accuracy-by-samples.svg)",
        "1 / 35 / 3.8 / 2/2",
    ] {
        assert!(page.contains(words), "no {words:?} in\n{page}");
    }
    for axis in ["updates", "samples", "cpu-seconds"] {
        let svg = read(&format!("accuracy-by-{axis}.svg"));
        assert!(svg.contains("pretrained 70.0 %") && svg.contains("<polygon") && svg.trim_end().ends_with("</svg>"));
    }
}

#[test]
fn runs_of_other_settings_are_not_mixed_in() {
    let root = tempfile::tempdir().unwrap();
    let (study, plan) = by_hand(root.path());
    let run = root.path().join("runs/plain/seed-4/config.toml");
    fs::write(
        &run,
        plan.jobs.iter().find(|job| job.path() == run.parent().unwrap()).unwrap().config.to_commented_toml(),
    )
    .unwrap();
    fs::remove_dir_all(root.path().join("runs/pretrained")).unwrap();
    fs::remove_dir_all(root.path().join("runs/plain/seed-7")).unwrap();
    plan.check_existing().unwrap();

    let changed = STUDY.replace("minibatches_per_epoch = 2", "minibatches_per_epoch = 5");
    let changed = Plan::new(&Study::from_toml(&changed, Path::new("by-hand.toml")).unwrap(), root.path());
    let error = changed.check_existing().unwrap_err().to_string();
    assert!(error.contains("plain/seed-4 was made with settings that differ"), "{error}");
    assert!(error.contains("algorithm.minibatches_per_epoch: the run has 2, the study 5"), "{error}");

    let fewer = STUDY.replace("seeds = [4, 7]", "seeds = [7]");
    let fewer = Plan::new(&Study::from_toml(&fewer, Path::new("by-hand.toml")).unwrap(), root.path());
    assert_eq!(fewer.left_over(), [root.path().join("runs/plain/seed-4")]);
    assert_eq!(study.seeds, [4, 7]);
}

#[test]
fn a_row_without_a_metric_that_every_step_has_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let (study, plan) = by_hand(root.path());
    let path = root.path().join("runs/plain/seed-4/metrics.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    for key in ["training/value_pretraining", "training/responses", "perf/cpu_secs"] {
        fs::write(&path, text.replace(key, "renamed")).unwrap();
        let error = Results::read(&study, &plan).unwrap_err().to_string();
        assert!(error.starts_with(&format!("the row of step 1 in metrics.jsonl has no `{key}`")), "{error}");
    }
}
