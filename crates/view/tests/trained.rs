//! The records of a small run that was really trained, compared with its metrics.

use std::{path::Path, sync::atomic::AtomicBool};

use vapo_train::{Config, Event, Row, Run, RunDir};
use vapo_view::{CriticView, Quantity, Rollouts, critic::heat_map, rollouts::Query};

fn train(directory: &Path) -> RunDir {
    let settings = [
        "run.steps=2",
        "run.threads=1",
        "rollout.prompts_per_step=3",
        "rollout.group_size=4",
        "rollout.max_new_tokens=64",
        "algorithm.minibatches_per_epoch=2",
        "value_pretraining.steps=1",
        "value_pretraining.prompts_per_step=6",
        "value_pretraining.group_size=2",
        "eval.problems=2",
        "eval.samples=1",
        "records.every=1",
        "records.groups=all",
    ];
    let mut settings: Vec<String> = settings.map(String::from).to_vec();
    settings.push(format!("run.dir={}", directory.display()));
    let mut run = Run::create(Config::load(None, &settings).unwrap()).unwrap();
    run.train(&mut |_: Event<'_>| (), &AtomicBool::new(false)).unwrap();
    RunDir::open(directory).unwrap()
}

fn mean(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

fn close(found: f64, row: &Row, key: &str) {
    let expected = row.get(key).unwrap_or_else(|| panic!("no {key}"));
    assert!((found - expected).abs() < 1e-5, "{found}, but {key} is {expected}");
}

#[test]
fn rollouts_and_critic_are_those_of_the_metrics() {
    let root = tempfile::tempdir().unwrap();
    let run = train(root.path());
    let (rows, rollouts) = (run.metrics().unwrap(), Rollouts::open(&run).unwrap());
    assert_eq!(rollouts.notes(), [""; 0]);
    assert_eq!(rollouts.steps().collect::<Vec<_>>(), [1, 2, 3]);
    let range = run.config().unwrap().reward_range();
    let series = |name: &str| -> Vec<(f64, f64)> {
        rows.iter().filter_map(|row| Some((row.global_step()? as f64, row.get(name)?))).collect()
    };
    for step in 1..=3 {
        let row = &rows[step as usize];
        let one_step = Query { step_min: Some(step), step_max: Some(step), ..Query::default() };
        let page = rollouts.query(&one_step);
        assert_eq!((page.total, page.of), (12, 36));
        close(mean(page.rows.iter().map(|row| f64::from(row.reward))), row, "critic/rewards/mean");
        close(mean(page.rows.iter().map(|row| f64::from(row.response_tokens))), row, "response_length/mean");

        let view = CriticView::of(series, &rollouts, Some(step), range).unwrap();
        let tokens: u64 = view.calibration.iter().map(|bin| bin.count).sum();
        let distance = |(predicted, observed): (f64, f64)| (predicted - observed).abs();
        let errors = view.calibration.iter().map(|bin| bin.count as f64 * distance((bin.predicted, bin.observed)));
        close(errors.sum::<f64>() / tokens as f64, row, "vapo/value_calibration_error");

        around_the_first_error(&rollouts, step, row);
    }
    let view = CriticView::of(series, &rollouts, None, range).unwrap();
    assert_eq!(view.step, Some(3));
    assert_eq!(view.explained_variance_by_tenth[9].len(), 3);
    assert!(!view.before_error.is_empty());
}

/// The task's first wrong token divides the values as the metrics have it.
fn around_the_first_error(rollouts: &Rollouts, step: u64, row: &Row) {
    let (mut before, mut after, mut advantages) = (Vec::new(), Vec::new(), Vec::new());
    for group in rollouts.groups(step).unwrap() {
        let responses = rollouts.group(step, group.prompt_id).unwrap();
        assert_eq!(heat_map(&responses, 10).len(), responses.len());
        for response in &responses {
            let text: String = response.tokens.text.as_ref().unwrap().concat();
            assert!(text.starts_with(&response.response), "{text:?} {:?}", response.response);
            let Some(wrong) = response.first_wrong else { continue };
            assert_ne!(response.verdict, "right");
            let values = Quantity::Value.of(&response.tokens).unwrap();
            let (until, since) = values.split_at(wrong + 1);
            before.extend(until.iter().map(|&value| f64::from(value)));
            after.extend(since.iter().map(|&value| f64::from(value)));
            advantages.push(f64::from(response.tokens.advantage.as_ref().unwrap()[wrong]));
        }
    }
    assert!(advantages.len() > 2, "some answers go wrong");
    close(mean(before), row, "vapo/value_before_error");
    close(mean(after), row, "vapo/value_after_error");
    close(mean(advantages), row, "vapo/advantage_at_error");
}
