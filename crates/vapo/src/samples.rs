//! Chooses the example answers shown at the end of a run.

use serde_json::Value;

/// A held-out problem before and after training.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    /// What it illustrates.
    pub(crate) title: &'static str,
    /// The prompt.
    pub(crate) prompt: String,
    /// The reference answer.
    pub(crate) answer: String,
    /// A response of the initial policy.
    pub(crate) before: GradedCompletion,
    /// A response of the trained policy.
    pub(crate) after: GradedCompletion,
}

/// A graded response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GradedCompletion {
    /// Its text.
    pub(crate) response: String,
    /// `right`, `wrong`, `malformed` or `failed`, as in the run's files.
    pub(crate) verdict: String,
}

impl GradedCompletion {
    pub(crate) fn is_right(&self) -> bool {
        self.verdict == "right"
    }
}

/// A line of an evaluation's file.
struct Problem<'a> {
    prompt: &'a str,
    answer: &'a str,
    accuracy: f64,
    samples: &'a [Value],
}

impl<'a> Problem<'a> {
    /// `None` if the line has another format.
    fn read(line: &'a Value) -> Option<Self> {
        Some(Self {
            prompt: line["prompt"].as_str()?,
            answer: line["answer"].as_str()?,
            accuracy: line["accuracy"].as_f64()?,
            samples: line["samples"].as_array()?,
        })
    }

    /// The first sample that is right (or the first that is not).
    fn sample(&self, right: bool) -> Option<GradedCompletion> {
        let mut responses = self.samples.iter().filter_map(|sample| {
            let text = |key: &str| sample[key].as_str().map(str::to_string);
            Some(GradedCompletion { response: text("response")?, verdict: text("verdict")? })
        });
        responses.find(|response| response.is_right() == right)
    }
}

/// A kind of example: which samples are shown, and which problem illustrates it best (from accuracies before and after).
struct Kind {
    title: &'static str,
    right_before: bool,
    right_after: bool,
    score: fn(f64, f64) -> f64,
}

const KINDS: [Kind; 3] = [
    Kind {
        title: "wrong before, right after",
        right_before: false,
        right_after: true,
        score: |before, after| after - before,
    },
    Kind {
        title: "right before, right after",
        right_before: true,
        right_after: true,
        score: |before, after| before + after,
    },
    Kind { title: "still wrong", right_before: false, right_after: false, score: |before, after| -before - after },
];

/// Up to three problems of both evaluations, as far as they exist: the one that training improved most, the one with the
/// highest accuracies, and the one with the lowest.
pub(crate) fn choose(first: &[Value], last: &[Value]) -> Vec<Comparison> {
    let pairs: Vec<(Problem<'_>, Problem<'_>)> = first
        .iter()
        .zip(last)
        .filter_map(|(before, after)| Some((Problem::read(before)?, Problem::read(after)?)))
        .filter(|(before, after)| before.prompt == after.prompt)
        .collect();
    let mut chosen: Vec<Comparison> = Vec::new();
    for Kind { title, right_before, right_after, score } in KINDS {
        let fitting = pairs.iter().filter_map(|(before, after)| {
            let comparison = Comparison {
                title,
                prompt: before.prompt.to_string(),
                answer: before.answer.to_string(),
                before: before.sample(right_before)?,
                after: after.sample(right_after)?,
            };
            let new = chosen.iter().all(|other| other.prompt != comparison.prompt);
            new.then(|| (score(before.accuracy, after.accuracy), comparison))
        });
        // The first of the best, so that the report of a run is always the same.
        let best = fitting.reduce(|best, other| if other.0 > best.0 { other } else { best });
        chosen.extend(best.map(|(_, comparison)| comparison));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(prompt: &str, verdicts: &[&str]) -> Value {
        let right = verdicts.iter().filter(|verdict| **verdict == "right").count();
        let samples: Vec<Value> = verdicts
            .iter()
            .enumerate()
            .map(|(i, v)| json!({"response": format!("{prompt}{i}"), "verdict": v}))
            .collect();
        json!({"prompt": prompt, "answer": "7", "accuracy": right as f64 / verdicts.len() as f64, "samples": samples})
    }

    #[test]
    fn the_largest_gain_comes_first_and_no_problem_twice() {
        let first =
            [line("a", &["wrong", "right"]), line("b", &["malformed", "wrong"]), line("c", &["wrong", "wrong"])];
        let last = [line("a", &["right", "right"]), line("b", &["right", "right"]), line("c", &["wrong", "right"])];
        let chosen = choose(&first, &last);
        let found: Vec<(&str, &str, &str)> =
            chosen.iter().map(|c| (c.title, c.before.response.as_str(), c.after.response.as_str())).collect();
        assert_eq!(
            found,
            [
                ("wrong before, right after", "b0", "b0"),
                ("right before, right after", "a1", "a0"),
                ("still wrong", "c0", "c0")
            ]
        );
        assert_eq!(chosen[0].before.verdict, "malformed");
    }

    #[test]
    fn missing_examples_are_not_shown() {
        assert_eq!(choose(&[], &[]), []);
        assert_eq!(choose(&[line("a", &["wrong"])], &[line("b", &["right"])]), []);
    }
}
