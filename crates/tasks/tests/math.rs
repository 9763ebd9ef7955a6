//! The math verifier against our own table of cases, the stored corpus, and shared data if available.

use std::path::{Path, PathBuf};

use vapo_tasks::{
    Verdict,
    math::{self, Equality, Rounding, Rule},
};

fn tests_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

#[test]
fn table_of_cases() {
    let table = std::fs::read_to_string(tests_folder().join("math/cases.txt")).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        // An answer may itself contain a bar, so the outer fields are split off from both ends.
        let (_, rest) = line.split_once(" | ").unwrap();
        let (rest, verdict) = rest.rsplit_once("| ").unwrap();
        let (gold, answer) = halves(rest);
        let (gold, answer) = (gold.replace('¶', "\n"), answer.replace('¶', "\n"));
        let expected = match verdict {
            "=" | ">" => Equality::Equal,
            "!" => Equality::Different,
            _ => Equality::Unreadable,
        };
        count += 1;
        if line.starts_with("reply") {
            let found = math::grade(Rule::Auto, Rounding::Strict, &gold, &answer);
            let right = match expected {
                Equality::Equal => found.is_correct(),
                Equality::Different => !found.is_correct(),
                Equality::Unreadable => matches!(found, Verdict::Malformed { .. }),
            };
            if !right {
                wrong.push(format!("{line}: {found:?} of {:?}", math::extract(&answer, Rule::Auto)));
            }
            continue;
        }
        let found = math::compare(&gold, &answer);
        let back = math::compare(&answer, &gold);
        let symmetric = verdict == ">" || expected != Equality::Equal || back == expected;
        if found != expected || !symmetric {
            wrong.push(format!("{line}: {found:?}, in the other order {back:?}"));
        }
    }
    assert!(count > 300, "only {count} cases");
    assert!(wrong.is_empty(), "{} of {count} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// Splits `gold | answer` at the bar between spaces that leaves both sides with paired bars.
fn halves(text: &str) -> (&str, &str) {
    let paired = |side: &str| side.matches('|').count().is_multiple_of(2) || side.contains("<|");
    let cuts = text.match_indices(" | ").map(|(at, _)| (&text[..at], text[at + 3..].trim()));
    let mut whole = cuts.filter(|(left, right)| paired(left) && paired(right));
    whole.next().unwrap_or((text.split_once(" |").unwrap().0, ""))
}

#[test]
fn rules_find_their_answer() {
    let long = format!("Answer: 5\n{}", "x".repeat(400));
    for (rule, response, expected) in [
        (Rule::Boxed, "\\boxed{1} then \\boxed{\\frac{3}{4}}", Some("\\frac{3}{4}")),
        (Rule::Boxed, "\\fbox{2}", Some("2")),
        (Rule::Boxed, "\\boxed{12", None),
        (Rule::Boxed, "so it is 12", None),
        (Rule::AnswerLine, "Answer: 12\nand more", Some("12")),
        (Rule::AnswerLine, "answer: $x^2$", Some("x^2")),
        (Rule::AnswerLine, "\\boxed{12}", None),
        (Rule::Dapo, "Answer: 5", Some("5")),
        (Rule::Dapo, "ANSWER : 5\n", Some("5")),
        (Rule::Dapo, "Answer: 4\nAnswer: 5", Some("5")),
        (Rule::Dapo, long.as_str(), None),
        (Rule::Dapo, "just 5", None),
        (Rule::Hashes, "#### 4\n#### 5\n", Some("5")),
        (Rule::Hashes, "5", None),
        (Rule::LastExpression, "first 3, then 4.5 apples", Some("4.5")),
        (Rule::LastExpression, "so $x = 4$ holds", Some("x = 4")),
        (Rule::LastExpression, "no number", None),
    ] {
        assert_eq!(math::extract(response, rule).as_deref(), expected, "{rule:?} of {response:?}");
    }
}

#[test]
fn unusable_reference_answers_are_refused() {
    for gold in ["", "  ", "$$", "!!!", "\\boxed{}"] {
        assert!(math::check_gold(gold).is_err(), "{gold:?}");
    }
    for gold in ["7", "\\frac{1}{2}", "Evelyn", "x", "(1,2)", "\\text{A}"] {
        assert!(math::check_gold(gold).is_ok(), "{gold:?}");
    }
}

#[test]
fn corpus_gets_the_same_verdicts_again() {
    for entry in std::fs::read_dir(tests_folder().join("corpus")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for text in String::from_utf8_lossy(&bytes).lines() {
            assert_eq!(math::compare(text, text), math::compare(text, text), "{text:?}");
            let found = math::compare(text, &format!("{text} "));
            assert!(math::check_gold(text).is_err() || found == Equality::Equal, "{text:?} is not equal to itself");
        }
    }
}

/// Rows of a shared file; `None`, with a message, if it does not exist.
fn shared(name: &str) -> Option<Vec<serde_json::Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} does not exist", path.display());
        return None;
    };
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn reference_answers_are_found_in_their_solutions() {
    let mut missed = Vec::new();
    for name in ["math500.jsonl", "gsm8k_test.jsonl", "math_train_7474.jsonl", "aime_2024.jsonl", "amc23.jsonl"] {
        for row in shared(name).unwrap_or_default() {
            let Some(gold) = row["answer"].as_str().filter(|gold| !gold.is_empty()) else { continue };
            let boxed = format!("\\boxed{{{gold}}}");
            let solution = row["solution"].as_str().filter(|_| !name.starts_with("aime"));
            for response in std::iter::once(boxed.as_str()).chain(solution) {
                if !math::grade(Rule::Auto, Rounding::Strict, gold, response).is_correct() {
                    missed.push(format!("{name}: {gold}"));
                }
            }
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn reported_answers_get_the_right_verdict() {
    let rows = shared("verifier_reports.jsonl").unwrap_or_default();
    let agrees = |row: &&serde_json::Value| {
        let text = |name: &str| row[name].as_str().unwrap();
        let verdict = math::grade(Rule::Auto, Rounding::Strict, text("gold"), text("pred"));
        Some(verdict.is_correct()) == row["expected"].as_bool()
    };
    let wrong: Vec<_> = rows.iter().filter(|row| !agrees(row)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn tags_and_rules_work_together() {
    for (rule, response, expected) in [
        (Rule::Boxed, "<think>\\boxed{1}</think><answer>2</answer>", Some("2")),
        (Rule::Boxed, "<answer>so \\boxed{2}</answer>", Some("2")),
        (Rule::Hashes, "<answer>2</answer>", Some("2")),
        (Rule::Dapo, "<answer>Answer: 2</answer>", Some("2")),
        (Rule::LastExpression, "<think>1</think> 2", Some("2")),
        (Rule::Dapo, "**Answer**: 58", Some("58")),
        (Rule::Dapo, "Answer: The value is 58", Some("58")),
        (Rule::Auto, "<think>the answer is 1", None),
        // A stop string may have cut off the end of the tag.
        (Rule::Auto, "<think>1</think><answer>2", Some("2")),
        // The announcement is behind the box that is cut off.
        (Rule::Auto, "\\boxed{2 + \\boxed{3}. The answer is 4", Some("3")),
    ] {
        assert_eq!(math::extract(response, rule).as_deref(), expected, "{rule:?} of {response:?}");
    }
}

#[test]
fn nothing_is_no_list_of_coordinates() {
    assert_eq!(math::compare("(1, 2)", "{}"), Equality::Different);
}

#[test]
fn rounding_is_a_setting() {
    for (gold, answer, right) in [
        ("\\frac16", "0.1667", true),
        ("\\frac16", "0.167", true),
        ("\\frac16", "0.17", false),
        ("\\frac16", "0.1666", false),
        ("-\\frac16", "-0.1667", true),
        ("\\sqrt2", "1.41", true),
        ("\\sqrt2", "1.42", false),
        ("\\pi", "3.1416", true),
        ("3.14159", "3.142", true),
        ("3.14", "3.142", false),
        ("(0.4, \\frac{22}{7}]", "(0.4, 3.1429]", true),
        ("\\begin{pmatrix}1/3\\\\2/3\\end{pmatrix}", "\\begin{pmatrix}0.33333\\\\0.66667\\end{pmatrix}", true),
        ("1234.56", "1235", false),
        ("x/3", "0.333", false),
    ] {
        let graded = |rounding| math::grade(Rule::Auto, rounding, gold, answer).is_correct();
        assert_eq!(graded(Rounding::GivenDigits), right, "{gold}, {answer}");
        assert!(!graded(Rounding::Strict), "{gold}, {answer}");
    }
}

#[test]
fn real_replies_are_graded_as_people_graded_them() {
    let rows = shared("verifier_real_gsm8k.jsonl").unwrap_or_default();
    let agrees = |row: &&serde_json::Value| {
        let verdict =
            math::grade(Rule::Auto, Rounding::Strict, row["gold"].as_str().unwrap(), row["response"].as_str().unwrap());
        Some(verdict.is_correct()) == row["expected"].as_bool()
    };
    let agree = rows.iter().filter(agrees).count();
    assert!(agree * 1000 >= rows.len() * 995, "{agree} of {}", rows.len());
}

/// Cases from other test suites whose expected verdict contradicts the meaning of the answers; `docs/verifiers.md` gives the reasons.
const DISPUTED: [u64; 9] = [32, 254, 264, 278, 320, 366, 382, 404, 418];

#[test]
fn verdicts_of_other_test_suites() {
    let mut wrong = Vec::new();
    for row in shared("verifier_cases.jsonl").unwrap_or_default() {
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        let rule = match (text("kind"), text("fn")) {
            ("equal_dapo", "is_correct_minerva") => Rule::Dapo,
            ("extract", _) | (_, "is_correct_strict_box" | "grade_answer_verl") if !text("fn").contains("final") => {
                Rule::Boxed
            }
            _ => Rule::Auto,
        };
        let agrees = match text("kind") {
            "extract" => {
                let found = math::extract(text("text"), rule);
                let expected = row["expected"].as_i64().map(|number| number.to_string());
                match expected.as_deref().or(row["expected"].as_str()) {
                    None => found.is_none(),
                    Some(expected) => found.is_some_and(|found| math::equal(expected, &found)),
                }
            }
            "normalize" => math::equal(text("expected"), text("text")),
            _ => {
                Some(math::grade(rule, Rounding::Strict, text("gold"), text("pred")).is_correct())
                    == row["expected"].as_bool()
            }
        };
        let id = row["id"].as_u64().unwrap();
        if agrees == DISPUTED.contains(&id) {
            wrong.push(id);
        }
    }
    assert!(wrong.is_empty(), "cases {wrong:?}");
}
