//! Pictures of runs.

use roxmltree::Document;

use crate::program::Place;

/// A run without its files but those that are read: four rows, of which one belongs to value pretraining.
fn write_run(place: &Place, name: &str, reward: f64) {
    let row = |step: u64, rest: &str| format!("{{\"training/global_step\":{step},{rest}}}\n");
    let trained = |step: u64, pretraining: u64, updates: u64, more: &str| {
        let counters = format!("\"training/value_pretraining\":{pretraining},\"training/policy_updates\":{updates}");
        let values = format!("\"critic/rewards/mean\":{reward},\"response_length/mean\":40.5,\"perf/cpu_secs\":2.5");
        row(step, &format!("{counters},\"training/responses\":{},{values}{more}", 100 * step))
    };
    let rows = [
        row(0, "\"val-core/chain/acc/mean@2\":0.25"),
        trained(1, 1, 0, ""),
        trained(2, 0, 4, ",\"actor/entropy\":0.5"),
        trained(3, 0, 8, ",\"actor/entropy\":null,\"val-core/chain/acc/mean@2\":0.75"),
    ];
    std::fs::create_dir(place.path(name)).unwrap();
    place.write(&format!("{name}/config.toml"), "");
    place.write(&format!("{name}/metrics.jsonl"), &rows.concat());
}

fn texts(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).unwrap();
    let texts = document.descendants().filter(|node| node.has_tag_name("text"));
    texts.filter_map(|node| node.text()).map(|text| text.trim().to_owned()).collect()
}

#[test]
fn the_curves_of_a_trained_run_are_drawn() {
    let place = Place::new();
    place.vapo(&["train", "tiny.toml"]).ok();
    assert_eq!(place.vapo(&["plot", "run", "-o", "curves.svg"]).ok(), "wrote curves.svg\n");
    let svg = place.read("curves.svg");
    let texts = texts(&svg);
    for text in ["held-out accuracy", "mean reward of a step", "entropy, nats per token", "value pretraining"] {
        assert!(texts.iter().any(|shown| shown == text), "no {text:?} in {texts:?}");
    }
    assert!(!texts.contains(&"no data".to_owned()), "{texts:?}");
    place.vapo(&["plot", "run", "-o", "again.svg"]).ok();
    assert_eq!(place.read("again.svg"), svg);
}

#[test]
fn the_overview_shows_accuracy_and_other_runs() {
    let place = Place::new();
    for (name, reward) in [("one", 0.5), ("two", 0.6), ("three", 0.7)] {
        write_run(&place, name, reward);
    }
    place.vapo(&["plot", "one", "two", "three", "-o", "curves.svg"]).ok();
    let texts = texts(&place.read("curves.svg"));
    for text in ["25 %", "75 %", "held-out accuracy of 2 other runs", "step (one rollout each)"] {
        assert!(texts.iter().any(|shown| shown == text), "no {text:?} in {texts:?}");
    }
    place.vapo(&["plot", "one", "-o", "curves.png"]).ok();
    assert_eq!(std::fs::read(place.path("curves.png")).unwrap()[..8], *b"\x89PNG\r\n\x1a\n");
}

#[test]
fn named_metrics_are_drawn_over_the_wanted_axis() {
    let place = Place::new();
    write_run(&place, "one", 0.5);
    write_run(&place, "two", 0.6);
    for (axis, title, last) in [
        ("step", "step (one rollout each)", "3.0"),
        ("updates", "policy updates", "8"),
        ("samples", "samples", "300"),
        ("cpu-seconds", "processor seconds of training", "7"),
    ] {
        let metric = ["--metric", "critic/rewards/mean", "--metric", "response_length/mean"];
        place.vapo(&[&["plot", "one", "two", "-o", "m.svg", "--x", axis], &metric[..]].concat()).ok();
        let texts = texts(&place.read("m.svg"));
        for text in ["critic/rewards/mean", "response_length/mean", "one", "two", title, last] {
            assert!(texts.iter().any(|shown| shown == text), "no {text:?} in {texts:?}");
        }
    }
    let curves = |smooth: &str| {
        place.vapo(&["plot", "one", "-o", "s.svg", "--metric", "training/policy_updates", "--smooth", smooth]).ok();
        let svg = place.read("s.svg");
        let document = Document::parse(&svg).unwrap();
        let is_curve = |node: &roxmltree::Node<'_, '_>| node.attribute("stroke") == Some("#1C5CD6");
        document.descendants().filter(is_curve).count()
    };
    assert_eq!((curves("0"), curves("0.5")), (1, 2), "smoothed, with the rows behind");
}

#[test]
fn damaged_rows_are_named_and_the_others_drawn() {
    let place = Place::new();
    write_run(&place, "one", 0.5);
    let rows = place.read("one/metrics.jsonl");
    place.write("one/metrics.jsonl", &rows.replacen('\n', "\nnonsense\n", 1));
    let printed = place.vapo(&["plot", "one", "-o", "curves.svg"]).ok();
    assert_eq!(printed, "  warning: one: metrics.jsonl: 1 line is damaged and left out (2)\nwrote curves.svg\n");
    assert!(texts(&place.read("curves.svg")).contains(&"75 %".to_owned()));
}

#[test]
fn what_cannot_be_drawn_is_said() {
    let place = Place::new();
    write_run(&place, "one", 0.5);
    let fails = |args: &[&str]| place.vapo(&[&["plot"], args].concat()).failed(1);
    assert_eq!(fails(&["one", "-o", "a.jpg"]), "error: a.jpg: expected a file that ends with .svg or .png\n");
    assert!(fails(&["missing", "-o", "a.svg"]).contains("missing is not a run directory"));
    let unknown = fails(&["one", "-o", "a.svg", "--metric", "actor/entrpy"]);
    assert!(unknown.contains("no run has the metric `actor/entrpy`; similar: `actor/entropy`"), "{unknown}");
    assert!(fails(&["one", "-o", "a.svg", "--metric", "?"]).contains("docs/vapo.md lists all"));
    place.write("one/metrics.jsonl", "");
    assert_eq!(fails(&["one", "-o", "a.svg"]), "error: one has no metrics yet: expected rows in metrics.jsonl\n");
    let usage = place.vapo(&["plot", "one", "-o", "a.svg", "--smooth", "9"]).failed(2);
    assert!(usage.contains("expected a number from 0 to 0.99"), "{usage}");
    assert!(!place.path("a.svg").exists());
}
