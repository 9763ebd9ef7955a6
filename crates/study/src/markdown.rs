//! The study's page: tables and charts.

use vapo_train::metrics::keys;

use crate::{
    arm::ArmResult,
    chart::CostAxis,
    file::{Chart, FEW_SEEDS, Study},
    interval::Interval,
    record::{Cost, Metric},
    results::Results,
};

/// The metrics of critic and policy on the page, with titles; other metrics are in `report.json`.
const DIAGNOSTICS: &[(&str, &str)] = &[
    (keys::EXPLAINED_VARIANCE, "explained variance"),
    (keys::EXPLAINED_VARIANCE_BY_DECILE[0], "tenth 1"),
    (keys::EXPLAINED_VARIANCE_BY_DECILE[1], "tenth 2"),
    (keys::EXPLAINED_VARIANCE_BY_DECILE[2], "tenth 3"),
    (keys::EXPLAINED_VARIANCE_BY_DECILE[3], "tenth 4"),
    (keys::EXPLAINED_VARIANCE_BY_DECILE[4], "tenth 5"),
    (keys::EXPLAINED_VARIANCE_BY_DECILE[5], "tenth 6"),
    (keys::EXPLAINED_VARIANCE_BY_DECILE[6], "tenth 7"),
    (keys::EXPLAINED_VARIANCE_BY_DECILE[7], "tenth 8"),
    (keys::EXPLAINED_VARIANCE_BY_DECILE[8], "tenth 9"),
    (keys::EXPLAINED_VARIANCE_BY_DECILE[9], "tenth 10"),
    (keys::VALUE_BEFORE_ERROR, "value before the first wrong step"),
    (keys::VALUE_AFTER_ERROR, "value after that step"),
    (keys::ADVANTAGE_AT_ERROR, "advantage at that step"),
    (keys::ADVANTAGE_ERROR_CORRELATION, "correlation of advantage with that step"),
    (keys::CALIBRATION_ERROR, "calibration error of values"),
    (keys::VALUE_LOSS, "value loss"),
    (keys::VALUES.mean, "mean value"),
    (keys::RETURNS.mean, "mean return"),
    (keys::ENTROPY, "entropy"),
    (keys::CLIP_LOW_FRAC, "clipped low"),
    (keys::CLIP_HIGH_FRAC, "clipped high"),
    (keys::PPO_KL, "KL per step"),
    (keys::RESPONSE_LENGTH.mean, "length"),
    (keys::UNANIMOUS_GROUP_FRAC, "unanimous groups"),
];

/// The page as Markdown.
pub(crate) fn readme(study: &Study, results: &Results, charts: &[Chart]) -> String {
    let mut page = format!("# Study `{}`\n\n", study.name);
    if !study.about.is_empty() {
        page += &format!("{}\n\n", study.about.trim());
    }
    page += &setup(study, results);
    page += "\n## Final accuracy\n\n";
    page += &table(&final_table(study, results));
    page += &below_final_table(study, results);
    if let Some(rows) = reach_table(study, results) {
        page += "\n## Cost to reach an accuracy\n\n";
        page += &table(&rows);
        page += "\nPolicy updates, samples and processor seconds where the mean curve, interpolated linearly between evaluations, first reaches the accuracy, including value pretraining. `-`: never.\n";
    }
    page += "\n## Curves\n\nMean over seeds with its 95 % interval. By samples and by seconds, the flat part at the start is value pretraining.\n";
    for chart in charts {
        for axis in CostAxis::ALL {
            page += &format!(
                "\n![Accuracy by {}: {}]({})\n",
                axis.title(),
                chart.arms.join(", "),
                axis.file_name(&chart.name)
            );
        }
    }
    page += "\n## Budgets\n\nMeans per run.\n\n";
    page += &table(&budget_table(results));
    page += &unequal(study, results);
    page += "\n## Critic and policy\n\nMeans over the last tenth of policy training and over seeds. Metrics are explained in docs/vapo.md, chapter 5; all of them are in `report.json`.\n\n";
    page += &table(&diagnostics_table(results, |arm| &arm.metrics));
    if results.arms.iter().any(|arm| !arm.pretraining_metrics.is_empty()) {
        page += "\nAt the end of value pretraining (mean over its last five steps):\n\n";
        page += &table(&diagnostics_table(results, |arm| &arm.pretraining_metrics));
    }
    page += "\n## Arms\n\n";
    page += &arms_list(results);
    page += &crash_list(results);
    page
}

fn setup(study: &Study, results: &Results) -> String {
    let eval = &study.arms[0].config.eval;
    let mut text = format!(
        "Task `{}`; {} arms x {} seeds ({}); accuracy: mean over {} held-out problems x {} samples (avg@{}). vapo {}.\n",
        study.task(),
        study.arms.len(),
        study.seeds.len(),
        study.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
        eval.problems,
        eval.samples,
        eval.samples,
        env!("CARGO_PKG_VERSION"),
    );
    text += &format!("The study took {:.0} processor seconds, including evaluations.\n", results.process_cpu_secs);
    if results.unfinished > 0 {
        text += &format!("\n**Incomplete: {} of {} runs have not finished.**\n", results.unfinished, results.runs);
    }
    if study.seeds.len() < FEW_SEEDS {
        text += &format!("\n**Fewer than {FEW_SEEDS} seeds: the intervals are not very meaningful.**\n");
    }
    text
}

fn final_table(study: &Study, results: &Results) -> Vec<Vec<String>> {
    let reference = study.reference.as_ref().and_then(|name| results.arm(name));
    let mut head = vec!["arm", "before", "final", "95 % interval", "mean over updates"];
    let (minus, to) = match &study.reference {
        Some(name) => (format!("minus {name}, paired"), format!("updates to {name}'s final")),
        None => Default::default(),
    };
    if reference.is_some() {
        head.extend([minus.as_str(), to.as_str()]);
    }
    head.extend(["seeds", "crashes", "tokens", "CPU s", "wall s"]);
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for arm in &results.arms {
        let mean = |interval: Option<Interval>| interval.map_or("-".into(), |interval| percent(interval.mean));
        let mut row = vec![arm.name.clone(), mean(arm.before), mean(arm.last), range(arm.last), mean(arm.area)];
        if let Some(reference) = reference {
            let is_itself = arm.name == reference.name;
            row.push(if is_itself { "".into() } else { signed(results.difference(arm, reference)) });
            let updates = reference.last.and_then(|last| arm.reach(last.mean).cost).map(|cost| cost.updates);
            row.push(updates.map_or("-".into(), |updates| format!("{updates:.0}")));
        }
        let total = arm.total();
        row.extend([arm.records.len().to_string(), arm.crashes().to_string()]);
        row.extend([format!("{:.0}", total.tokens), secs(total.cpu_secs), secs(total.wall_secs)]);
        rows.push(row);
    }
    rows
}

fn below_final_table(study: &Study, results: &Results) -> String {
    let mut text = String::from(
        "\nIntervals are Student's t intervals over seeds. \"Mean over updates\" is the area under the curve divided by its length. ",
    );
    if study.reference.is_some() {
        text += "\"Paired\" is the mean difference seed by seed, with its interval. ";
    }
    text += "Tokens and seconds are means per run over all training, with value pretraining and without evaluations.";
    if results.crashes() > 0 {
        text += " A crashed run counts with its last evaluation.";
    }
    text + "\n"
}

fn reach_table(study: &Study, results: &Results) -> Option<Vec<Vec<String>>> {
    if study.accuracies.is_empty() {
        return None;
    }
    let title = |accuracy: &f64| format!("{}: updates / samples / CPU s / seeds", percent(*accuracy));
    let mut rows =
        vec![std::iter::once("arm".to_owned()).chain(study.accuracies.iter().map(title)).collect::<Vec<_>>()];
    for arm in &results.arms {
        let cell = |&accuracy: &f64| {
            let reach = arm.reach(accuracy);
            let seeds = format!("{}/{}", reach.seeds, arm.records.len());
            match reach.cost {
                Some(cost) => format!("{:.0} / {:.0} / {} / {seeds}", cost.updates, cost.samples, secs(cost.cpu_secs)),
                None => format!("- / - / - / {seeds}"),
            }
        };
        rows.push(std::iter::once(arm.name.clone()).chain(study.accuracies.iter().map(cell)).collect());
    }
    Some(rows)
}

fn budget_table(results: &Results) -> Vec<Vec<String>> {
    let head = [
        "arm",
        "policy training: updates",
        "samples",
        "prompts",
        "tokens",
        "CPU s",
        "critic updates",
        "value pretraining: samples",
        "tokens",
        "CPU s",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for arm in &results.arms {
        let (policy, pretraining): (Cost, Cost) = (arm.policy(), arm.pretraining());
        let whole = |number: f64| format!("{number:.0}");
        rows.push(vec![
            arm.name.clone(),
            whole(policy.updates),
            whole(policy.samples),
            whole(policy.prompts),
            whole(policy.tokens),
            secs(policy.cpu_secs),
            whole(policy.critic_updates + pretraining.critic_updates),
            whole(pretraining.samples),
            whole(pretraining.tokens),
            secs(pretraining.cpu_secs),
        ]);
    }
    rows
}

fn unequal(study: &Study, results: &Results) -> String {
    let unequal = results.unequal_budgets();
    let held = study.equal.iter().map(|budget| budget.name()).collect::<Vec<_>>().join(" and ");
    let mut text = match held.is_empty() {
        true => "\nThis study holds no budget equal.\n".to_owned(),
        false => format!("\nHeld equal in policy training: {held}.\n"),
    };
    for (name, budget, used, first) in unequal {
        let broken = if study.equal.contains(&budget) { " **This budget should be equal.**" } else { "" };
        text +=
            &format!("\n- `{name}` used {used:.0} {}, `{}` {first:.0}.{broken}", budget.name(), results.arms[0].name);
    }
    text + "\n"
}

/// Diagnostics of critic and policy. Rows: metrics; columns: arms.
fn diagnostics_table(results: &Results, of: fn(&ArmResult) -> &Vec<Metric>) -> Vec<Vec<String>> {
    let value = |arm: &ArmResult, key: &str| of(arm).iter().find(|metric| metric.key == key).map(|metric| metric.last);
    let arms: Vec<&ArmResult> = results.arms.iter().filter(|arm| !of(arm).is_empty()).collect();
    let mut rows =
        vec![std::iter::once(String::new()).chain(arms.iter().map(|arm| arm.name.clone())).collect::<Vec<_>>()];
    for (key, title) in DIAGNOSTICS {
        let values: Vec<Option<f64>> = arms.iter().map(|arm| value(arm, key)).collect();
        if values.iter().any(Option::is_some) {
            let cells = values.into_iter().map(|value| value.map_or("-".into(), significant));
            rows.push(std::iter::once((*title).to_owned()).chain(cells).collect());
        }
    }
    rows
}

fn arms_list(results: &Results) -> String {
    let line = |arm: &ArmResult| {
        let set: Vec<String> = arm.set.iter().map(|(key, value)| format!("`{key} = {value}`")).collect();
        let note = if arm.note.is_empty() { String::new() } else { format!("{}; ", arm.note) };
        let set = if set.is_empty() { "the study's base settings".to_owned() } else { set.join(", ") };
        format!("- **{}**: {note}{set}\n", arm.name)
    };
    results.arms.iter().map(line).collect()
}

fn crash_list(results: &Results) -> String {
    let crashes = results.arms.iter().flat_map(|arm| {
        let crashed = arm.records.iter().filter_map(|record| Some((record.seed, record.crash.as_ref()?)));
        crashed.map(move |(seed, reason)| format!("- {} seed {seed}: {}\n", arm.name, reason.replace('\n', " ")))
    });
    let crashes: String = crashes.collect();
    if crashes.is_empty() { crashes } else { format!("\n## Crashes\n\n{crashes}") }
}

fn table(rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let Some((head, body)) = rows.split_first() else { return String::new() };
    let rule = format!("|---{}\n", "|---:".repeat(head.len() - 1) + "|");
    line(head) + &rule + &body.iter().map(|row| line(row)).collect::<String>()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn range(interval: Option<Interval>) -> String {
    match interval.and_then(|interval| interval.low.zip(interval.high)) {
        Some((low, high)) => format!("{:.1} to {:.1}", 100.0 * low, 100.0 * high),
        None => "-".into(),
    }
}

/// A difference in percentage points with the half-width of its interval: `+3.1 ± 1.2`.
fn signed(interval: Option<Interval>) -> String {
    match interval {
        Some(Interval { mean, high: Some(high), .. }) => format!("{:+.1} ± {:.1}", 100.0 * mean, 100.0 * (high - mean)),
        Some(Interval { mean, .. }) => format!("{:+.1}", 100.0 * mean),
        None => "-".into(),
    }
}

/// `3.2`, `61`
fn secs(number: f64) -> String {
    let digits = usize::from(number < 10.0);
    format!("{number:.digits$}")
}

/// About three significant digits.
fn significant(number: f64) -> String {
    match number.abs() {
        0.0 => "0".into(),
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 0.1 => format!("{number:.3}"),
        size if size >= 0.001 => format!("{number:.4}"),
        _ => format!("{number:.1e}"),
    }
}
