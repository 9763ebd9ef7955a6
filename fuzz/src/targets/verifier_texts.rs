//! A reference answer, a response, a marker, a regular expression and tags, through every verifier that needs no program.

use vapo_tasks::math::{self, Equality, Rounding, Rule};
use vapo_tasks::{Grade, Problem, Response, Reward, Verdict, Verifier};

use super::{parts, text};

const RULES: [Rule; 6] = [Rule::Auto, Rule::Boxed, Rule::AnswerLine, Rule::Dapo, Rule::Hashes, Rule::LastExpression];

pub(crate) fn verifier_texts(data: &[u8]) {
    let [gold, response, marker, pattern, tags] = parts(data).map(text);
    let marker = Some(marker).filter(|marker| !marker.is_empty());
    let tags: Vec<String> = tags.split(' ').map(str::to_owned).collect();
    let mut verifiers = vec![
        Verifier::Exact { marker: marker.clone() },
        Verifier::Numeric { marker: marker.clone(), tolerance: 0.0 },
        Verifier::Numeric { marker, tolerance: 0.01 },
        Verifier::Regex { pattern },
        Verifier::Format { tags: tags.clone(), opened: false },
        Verifier::Format { tags, opened: true },
    ];
    verifiers.extend(RULES.map(|rule| Verifier::Math { rule, rounding: Rounding::Strict }));
    for verifier in verifiers {
        let kind = verifier.kind();
        let Ok(reward) = Reward::try_from(verifier) else { continue };
        let problem = Problem { answer: gold.clone(), data_source: "fuzz".into(), ..Problem::default() };
        let grade = |response: &str| reward.grade(&problem, Response::from(response));
        let Grade { verdict, .. } = consistent(grade(&response), kind);
        assert_eq!(consistent(grade(&response), kind).verdict, verdict, "the same response has the same verdict");
        let usable = reward.check_answer(&problem.data_source, &gold).is_ok();
        let failed = matches!(verdict, Verdict::Failed { .. });
        assert!(!(usable && failed), "{kind} fails on {gold:?}, which it accepted");
    }
    bare_answers(&gold, &response);
}

fn consistent(grade: Grade, kind: &str) -> Grade {
    let score = grade.verdict.score();
    assert!(score.is_none_or(|score| (0.0..=1.0).contains(&score)), "{kind}");
    assert!(!grade.verdict.is_correct() || score == Some(1.0), "{kind}");
    grade
}

/// What must hold of bare answers.
fn bare_answers(gold: &str, answer: &str) {
    let numeric = Reward::try_from(Verifier::Numeric { marker: None, tolerance: 0.01 }).expect("a reward");
    let right = |gold: &str, answer: &str| {
        let problem = Problem { answer: gold.to_owned(), ..Problem::default() };
        numeric.grade(&problem, Response::from(answer)).verdict.is_correct()
    };
    if [gold, answer].iter().all(|text| numeric.check_answer("", text).is_ok()) {
        assert!(right(gold, gold) && right(answer, answer), "a number is equal to itself");
        assert_eq!(right(gold, answer), right(answer, gold), "numbers are compared in any order");
    }
    if math::check_gold(gold).is_ok() {
        assert_eq!(math::compare(gold, gold), Equality::Equal, "an answer is equal to itself");
        assert_eq!(
            math::compare(gold, &format!(" {gold}\n")),
            Equality::Equal,
            "white space around it does not matter"
        );
    }
    let _ = math::compare(gold, answer);
}
