use super::*;
use crate::{Problem, Random, Stream, Verdict};

fn problem(answer: &str) -> Problem {
    Problem { index: 0, prompt: "?".into(), answer: answer.into(), data_source: "test".into(), ..Problem::default() }
}

fn exact(marker: Option<&str>) -> Verifier {
    Verifier::Exact { marker: marker.map(str::to_owned) }
}

fn numeric(marker: Option<&str>, tolerance: f64) -> Verifier {
    Verifier::Numeric { marker: marker.map(str::to_owned), tolerance }
}

/// 1 right, 0 wrong, m malformed, f failed.
fn verdict(verifier: &Verifier, answer: &str, response: &str) -> char {
    match verifier.build().unwrap().grade(&problem(answer), response.into()).verdict {
        Verdict::Graded { score: 1.0, correct: true } => '1',
        Verdict::Graded { score: 0.0, correct: false } => '0',
        Verdict::Malformed { score: 0.0, .. } => 'm',
        Verdict::Failed { .. } => 'f',
        other => panic!("score and flag disagree: {other:?}"),
    }
}

#[test]
fn exact_compares_the_trimmed_answer() {
    for (marker, answer, response, expected) in [
        (None, "Paris", "  Paris\n", '1'),
        (None, " Paris", "Paris", '1'),
        (None, "Paris", "paris", '0'),
        (None, "Paris", " \n", 'm'),
        (Some("A:"), "Paris", "It is in France. A: Paris", '1'),
        (Some("A:"), "Paris", "A: Rome, no, A: Paris", '1'),
        (Some("A:"), "Paris", "A: Paris, no, A: Rome", '0'),
        (Some("A:"), "Paris", "Paris", 'm'),
        (Some("A:"), "Paris", "Paris A:", 'm'),
    ] {
        assert_eq!(verdict(&exact(marker), answer, response), expected, "{response}");
    }
}

#[test]
fn numeric_compares_the_last_number_or_the_first_behind_the_marker() {
    for (marker, answer, response, expected) in [
        (None, "26", "13 * 2 = $26.", '1'),
        (None, "26", "26, because 13 * 2", '0'),
        (None, "1234", "1,234 dollars", '1'),
        (None, "0.5", "half, so 1/2", '1'),
        (None, "-3", "2-5=\u{2212}3", '1'),
        (None, "3", "2-5=-3", '0'),
        (None, "3", "no idea", 'm'),
        (None, "3", "3/0", 'm'),
        (None, "three", "3", 'f'),
        (None, "3 or 4", "3", 'f'),
        (Some("####"), "5", "2 + 3\n#### 5 (or 6)", '1'),
        (Some("####"), "5", "#### 4\n#### 5", '1'),
        (Some("####"), "5", "so 5", 'm'),
        (Some("####"), "5", "5 ####", 'm'),
    ] {
        assert_eq!(verdict(&numeric(marker, 0.0), answer, response), expected, "{response}");
    }
    assert_eq!(verdict(&numeric(None, 0.1), "1", "1.1"), '1');
    assert_eq!(verdict(&numeric(None, 0.1), "1", "1.1000001"), '0');
}

#[test]
fn never_panics_and_never_fails_on_arbitrary_text() {
    let pieces = [
        "0", "1", "9", "23", "456", ",", ".", "/", "-", "\u{2212}", "$", "\\", "e", "E", "+", "%", " ", "\n", "A:",
        "####", "x", "_", "^", "(", ")", "é", "答", "\u{a0}", "\u{202f}", "\u{0}", "🙂", "١",
    ];
    let verifiers = [exact(None), exact(Some("A:")), numeric(None, 0.0), numeric(Some("####"), 0.5)];
    for index in 0..20_000 {
        let mut random = Random::keyed(0, Stream::TestCase, &[index]);
        let text: String = (0..random.below(24)).map(|_| random.pick(&pieces)).collect();
        for verifier in &verifiers {
            assert_ne!(verdict(verifier, "23", &text), 'f', "{text:?}");
        }
        // A usable reference answer is right if it is given as the response.
        for verifier in [&verifiers[0], &verifiers[2]] {
            if verifier.build().unwrap().check_answer(&text).is_ok() {
                assert_eq!(verdict(verifier, &text, &format!(" {text}")), '1', "{text:?}");
            }
        }
    }
}

#[test]
fn settings_are_checked() {
    assert!(numeric(Some("A:"), 0.01).validate().is_ok());
    let message = |verifier: Verifier| verifier.validate().unwrap_err().to_string();
    assert_eq!(message(numeric(None, -1.0)), "tolerance is -1, expected 0 or a positive number");
    assert_eq!(message(exact(Some(" "))), "marker is \" \", expected a text that is not blank");
    let parsed: Verifier = serde_json::from_str(r#"{"kind": "numeric", "marker": "A:"}"#).unwrap();
    assert_eq!(parsed, numeric(Some("A:"), 0.0));
    assert!(serde_json::from_str::<Verifier>(r#"{"kind": "exact", "markr": "A:"}"#).is_err());
}

#[test]
fn regex_compares_the_last_capture() {
    let regex = |pattern: &str| Verifier::Regex { pattern: pattern.to_owned() };
    let answer = regex(r"(?i)answer\s*:\s*([^\n]+)");
    for (gold, response, expected) in [
        ("42", "Answer: 42", '1'),
        ("42", "answer : 7\nANSWER: 42 \nbye", '1'),
        ("42", "Answer: 42\nAnswer: 7", '0'),
        ("42", "it is 42", 'm'),
        ("42", "Answer:  \n", 'm'),
    ] {
        assert_eq!(verdict(&answer, gold, response), expected, "{response:?}");
    }
    // A classic case of catastrophic backtracking takes only linear time.
    assert_eq!(verdict(&regex("^(a|a)*$"), "x", &format!("{}b", "a".repeat(100_000))), 'm');
    let message = |pattern: &str| regex(pattern).validate().unwrap_err().to_string();
    assert_eq!(message("a(b"), "pattern is \"a(b\", expected a regular expression (unclosed group)");
    assert_eq!(message("ab"), "pattern is \"ab\", expected exactly one capture group, found 0");
    assert!(message("(a{1000}){1000}").contains("expected a regular expression ("));
}

#[test]
fn format_wants_each_tag_once_in_order_and_nothing_around() {
    let r1 = Verifier::Format { tags: format::default_tags(), opened: false };
    for (response, expected) in [
        ("<think>\na\n</think>\n<answer>7</answer>", '1'),
        (" <think></think><answer></answer>\n", '1'),
        ("<think>a<answer>7</answer>", 'm'),
        ("<answer>7</answer><think>a</think>", 'm'),
        ("<think>a</think>so<answer>7</answer>", 'm'),
        ("<think>a</think><think>b</think><answer>7</answer>", 'm'),
        ("<think>a</think><answer>7</answer><answer>8</answer>", 'm'),
        ("<think>a<think>b</think><answer>7</answer>", 'm'),
        ("hm <think>a</think><answer>7</answer>", 'm'),
        ("<think>a</think><answer>7</answer>.", 'm'),
        ("<think>a</think><answer>7", 'm'),
        ("", 'm'),
    ] {
        assert_eq!(verdict(&r1, "7", response), expected, "{response:?}");
    }
    let opened = Verifier::Format { tags: format::default_tags(), opened: true };
    assert_eq!(verdict(&opened, "7", "a</think><answer>7</answer>"), '1');
    assert_eq!(verdict(&opened, "7", "<think>a</think><answer>7</answer>"), 'm');
    let tags =
        |tags: &[&str]| Verifier::Format { tags: tags.iter().map(|tag| tag.to_string()).collect(), opened: false };
    assert!(tags(&["a"]).validate().is_ok());
    for wrong in [&[][..], &["a", "a"], &["<a>"], &[""]] {
        assert!(tags(wrong).validate().is_err(), "{wrong:?}");
    }
}

#[test]
fn equal_answers_have_equal_keys() {
    let key =
        |verifier: &Verifier, response: &str| verifier.build().unwrap().grade(&problem("7"), response.into()).answer;
    let number = numeric(None, 0.0);
    assert_eq!(key(&number, "so 0.50"), Some("1/2".to_owned()));
    assert_eq!(key(&number, "2/4"), key(&number, "0.5"));
    assert_eq!(key(&number, "-1,000.0"), Some("-1000".to_owned()));
    assert_eq!(key(&number, "none"), None);
    let math = Verifier::Math { rule: Rule::Auto, rounding: Rounding::Strict };
    assert_eq!(key(&math, "Answer: 14/2"), Some("7".to_owned()));
    assert_eq!((key(&math, "Answer: 0.50"), key(&math, "\\boxed{1/2}")), (Some("1/2".into()), Some("1/2".into())));
    assert_eq!(key(&math, "Answer: $x + 1$"), Some("x+1".to_owned()));
    assert_eq!(key(&exact(Some("A:")), "A:  Paris "), Some("Paris".to_owned()));
}
