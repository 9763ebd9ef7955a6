//! The result of an evaluation: the verdict on every sample, and the measures computed from them.

mod statistics;

use serde_json::{Value, json};
use vapo_algo::Summary;
use vapo_tasks::{Grade, Problem, Random, Stream, Verdict};

use crate::metrics::{Row, keys};
use statistics::{Vote, bootstrap_interval, majority_at_k, pass_at_k, sample_counts};

/// The result of an evaluation.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Per problem, in the order of the held-out set.
    pub problems: Vec<ProblemResult>,
    /// Samples per problem.
    pub samples: usize,
}

/// The result on one problem.
#[derive(Clone, Debug)]
pub struct ProblemResult {
    /// The problem.
    pub problem: Problem,
    /// Its samples.
    pub completions: Vec<GradedCompletion>,
}

/// One graded sample.
#[derive(Clone, Debug)]
pub struct GradedCompletion {
    /// The response as text.
    pub text: String,
    /// Its number of tokens.
    pub tokens: usize,
    /// Whether the length limit cut it off.
    pub truncated: bool,
    /// Its grade.
    pub grade: Grade,
}

impl GradedCompletion {
    fn to_json(&self) -> Value {
        let mut sample = json!({
            "response": self.text,
            "tokens": self.tokens,
            "truncated": self.truncated,
            "verdict": self.grade.verdict.name(),
            "score": self.grade.verdict.score(),
            "answer": self.grade.answer,
            "reason": self.grade.remark,
        });
        if !self.grade.scores.is_empty() {
            sample["scores"] = self.grade.scores.iter().map(|(name, score)| (name.to_string(), json!(score))).collect();
        }
        sample
    }
}

impl ProblemResult {
    /// Samples that the verifier could grade.
    fn graded(&self) -> impl Iterator<Item = &Grade> {
        self.completions.iter().map(|completion| &completion.grade).filter(|grade| grade.verdict.score().is_some())
    }

    /// Share of right answers among those that the verifier could grade; `None` if it could grade none.
    pub fn accuracy(&self) -> Option<f64> {
        let graded = self.graded().count();
        (graded > 0).then(|| self.correct() as f64 / graded as f64)
    }

    fn correct(&self) -> usize {
        self.graded().filter(|grade| grade.verdict.is_correct()).count()
    }

    /// pass@k over the samples that the verifier could grade; `None` for fewer than k.
    fn pass_at(&self, k: usize) -> Option<f64> {
        pass_at_k(self.graded().count(), self.correct(), k)
    }

    /// The vote of each graded sample; `None` if the verifier does not report the answer it read.
    fn ballots(&self) -> Option<Vec<Option<Vote>>> {
        let (mut answers, mut ballots): (Vec<&str>, _) = (Vec::new(), Vec::new());
        for grade in self.graded() {
            let Verdict::Graded { correct, .. } = grade.verdict else {
                ballots.push(None);
                continue;
            };
            let text = grade.answer.as_deref()?;
            let answer = answers.iter().position(|known| *known == text).unwrap_or(answers.len());
            if answer == answers.len() {
                answers.push(text);
            }
            ballots.push(Some(Vote { answer, correct }));
        }
        Some(ballots)
    }

    /// maj@k; `None` for fewer than k samples or without votes.
    fn majority_at(&self, k: usize) -> Option<f64> {
        majority_at_k(&self.ballots()?, k, Random::keyed(self.problem.index, Stream::Votes, &[k as u64]))
    }

    /// The problem as a line of `eval/step-*.jsonl`.
    pub fn to_json(&self) -> Value {
        json!({
            "data_source": self.problem.data_source,
            "index": self.problem.index,
            "prompt": self.problem.prompt,
            "answer": self.problem.answer,
            "accuracy": self.accuracy(),
            "samples": self.completions.iter().map(GradedCompletion::to_json).collect::<Vec<_>>(),
        })
    }
}

/// A mean over problems.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// `avg@n`, `pass@k` or `maj@k`.
    pub name: String,
    /// The mean.
    pub value: f64,
    /// Standard error of the mean; `None` for fewer than two problems.
    pub standard_error: Option<f64>,
    /// 95 % interval by the bootstrap over problems; `None` for fewer than two.
    pub interval: Option<[f64; 2]>,
    /// Number of problems with this measure.
    pub problems: usize,
}

impl Measure {
    /// `None` if no problem has it.
    fn new(name: String, values: &[f64]) -> Option<Self> {
        let mut summary = Summary::default();
        values.iter().for_each(|value| summary.push(*value));
        let problems = values.len();
        let standard_error = summary.std().map(|deviation| deviation / (problems as f64).sqrt());
        // The same resamples for every measure, so that their intervals can be compared.
        let interval = bootstrap_interval(values, Random::keyed(0, Stream::Bootstrap, &[0]));
        summary.mean().map(|value| Self { name, value, standard_error, interval, problems })
    }
}

/// Shares and lengths over all samples.
#[derive(Clone, Debug, Default)]
pub struct SampleShares {
    /// Tokens per sample.
    pub tokens: Summary,
    /// Cut off by the length limit.
    pub truncated: Summary,
    /// Without a readable answer.
    pub malformed: Summary,
    /// On which the verifier failed.
    pub failed: Summary,
    /// Score of each term of the reward, if there are several.
    pub scores: Vec<(String, Summary)>,
}

impl SampleShares {
    fn of<'a>(results: impl Iterator<Item = &'a ProblemResult>) -> Self {
        let mut shares = Self::default();
        for completion in results.flat_map(|result| &result.completions) {
            let share = |holds: bool| f64::from(u8::from(holds));
            let verdict = &completion.grade.verdict;
            shares.tokens.push(completion.tokens as f64);
            shares.truncated.push(share(completion.truncated));
            shares.malformed.push(share(matches!(verdict, Verdict::Malformed { .. })));
            shares.failed.push(share(matches!(verdict, Verdict::Failed { .. })));
            add_scores(&mut shares.scores, &completion.grade);
        }
        shares
    }
}

/// Adds a response's scores by term to those of others.
pub(crate) fn add_scores(scores: &mut Vec<(String, Summary)>, grade: &Grade) {
    for (name, score) in grade.scores.iter().filter_map(|(name, score)| Some((name, (*score)?))) {
        let known = scores.iter().position(|(known, _)| **known == **name);
        let place = known.unwrap_or_else(|| {
            scores.push((name.to_string(), Summary::default()));
            scores.len() - 1
        });
        scores[place].1.push(f64::from(score));
    }
}

impl Evaluation {
    /// Mean accuracy over problems; `None` if no answer could be graded.
    pub fn accuracy(&self) -> Option<f64> {
        mean(self.problems.iter(), ProblemResult::accuracy)
    }

    /// Share of problems with at least one right sample.
    pub fn pass_rate(&self) -> Option<f64> {
        mean(self.problems.iter(), |result| result.pass_at(self.samples))
    }

    /// avg@n, then pass@k and maj@k for k = 2, 4, 8, .. and n, without measures that no problem has.
    pub fn measures(&self) -> Vec<Measure> {
        let values =
            |of: &dyn Fn(&ProblemResult) -> Option<f64>| -> Vec<f64> { self.problems.iter().filter_map(of).collect() };
        let counts = sample_counts(self.samples);
        let average = Measure::new(format!("avg@{}", self.samples), &values(&ProblemResult::accuracy));
        let pass = counts.iter().map(|&k| Measure::new(format!("pass@{k}"), &values(&|result| result.pass_at(k))));
        let majority =
            counts.iter().map(|&k| Measure::new(format!("maj@{k}"), &values(&|result| result.majority_at(k))));
        std::iter::once(average).chain(pass).chain(majority).flatten().collect()
    }

    /// Shares and lengths over all samples.
    pub fn shares(&self) -> SampleShares {
        SampleShares::of(self.problems.iter())
    }

    /// The data sources, in the order of their first problems.
    fn sources(&self) -> Vec<&str> {
        let mut sources: Vec<&str> = Vec::new();
        for result in &self.problems {
            if !sources.contains(&result.problem.data_source.as_str()) {
                sources.push(&result.problem.data_source);
            }
        }
        sources
    }

    /// The metrics, per data source: `val-core/<source>/acc/mean@n`.
    pub fn to_row(&self) -> Row {
        let (mut row, samples) = (Row::default(), self.samples);
        for source in self.sources() {
            let own = || self.problems.iter().filter(|result| result.problem.data_source == source);
            row.number(&keys::eval::accuracy(source, samples), mean(own(), ProblemResult::accuracy));
            for k in sample_counts(samples) {
                row.number(&keys::eval::pass(source, k, samples), mean(own(), |result| result.pass_at(k)));
                row.number(&keys::eval::majority(source, k, samples), mean(own(), |result| result.majority_at(k)));
            }
            let shares = SampleShares::of(own());
            row.number(&keys::eval::response_length(source), shares.tokens.mean());
            row.number(&keys::eval::response_clip_ratio(source), shares.truncated.mean());
            row.number(&keys::eval::malformed_frac(source), shares.malformed.mean());
            row.number(&keys::eval::failed_frac(source), shares.failed.mean());
            for (name, scores) in &shares.scores {
                row.number(&keys::eval::reward_term(source, name), scores.mean());
            }
        }
        row
    }

    /// All problems, one JSON object per line.
    pub fn to_jsonl(&self) -> String {
        self.problems.iter().map(|result| format!("{}\n", result.to_json())).collect()
    }

    pub(crate) fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        self.problems.iter().flat_map(|result| &result.completions).map(|completion| &completion.grade.verdict)
    }
}

/// Mean of a measure over the problems that have it.
fn mean<'a>(
    results: impl Iterator<Item = &'a ProblemResult>,
    measure: impl Fn(&ProblemResult) -> Option<f64>,
) -> Option<f64> {
    let mut summary = Summary::default();
    results.filter_map(measure).for_each(|value| summary.push(value));
    summary.mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::tests::prompt;

    fn result(source: &str, verdicts: &[Verdict]) -> ProblemResult {
        let mut problem = prompt(0).problem;
        problem.data_source = source.into();
        let answer = |verdict: &Verdict| GradedCompletion {
            text: "t".into(),
            tokens: 3,
            truncated: false,
            grade: verdict.clone().into(),
        };
        ProblemResult { problem, completions: verdicts.iter().map(answer).collect() }
    }

    #[test]
    fn accuracy_is_the_mean_over_problems_and_failed_verdicts_do_not_count() {
        let (right, wrong) = (Verdict::graded(true), Verdict::graded(false));
        let failed = Verdict::failed("no server");
        let evaluation = Evaluation {
            samples: 4,
            problems: vec![
                result("a", &[right.clone(), wrong.clone(), failed.clone(), failed.clone()]),
                result("a", &[wrong.clone(), wrong.clone(), wrong.clone(), Verdict::malformed("empty")]),
                result("b", &[right.clone(), right.clone(), right, wrong]),
                result("b", &[failed.clone(), failed.clone(), failed.clone(), failed]),
            ],
        };
        assert!((evaluation.accuracy().unwrap() - (0.5 + 0.0 + 0.75) / 3.0).abs() < 1e-12);
        let row = evaluation.to_row();
        assert_eq!(row.get("val-core/a/acc/mean@4"), Some(0.25));
        assert_eq!(row.get("val-core/b/acc/mean@4"), Some(0.75));
        assert_eq!(row.get("val-core/a/acc/best@4/mean"), Some(0.0), "the first has two graded samples only");
        assert_eq!(row.get("val-aux/a/acc/best@2/mean"), Some(0.5));
        assert_eq!(row.get("val-aux/b/failed_frac"), Some(0.5));
        let lines = evaluation.to_jsonl();
        assert_eq!(lines.lines().count(), 4);
        let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!((&first["accuracy"], &first["samples"][2]["verdict"]), (&json!(0.5), &json!("failed")));
        assert_eq!(first["samples"][2]["score"], Value::Null);
    }

    /// A problem whose samples gave these answers: `R` is right, `a` and `b` are wrong, `-` is none, `!` is a failure.
    fn voted(index: u64, answers: &str) -> ProblemResult {
        let grade = |c: char| match c {
            '-' => Verdict::malformed("empty").into(),
            '!' => Verdict::failed("no server").into(),
            c => Grade::from(Verdict::graded(c == 'R')).with_answer(Some(c.to_string())),
        };
        let mut result = result("a", &[]);
        result.problem.index = index;
        result.completions = answers
            .chars()
            .map(|c| GradedCompletion { text: c.into(), tokens: 1, truncated: c == '-', grade: grade(c) })
            .collect();
        result
    }

    #[test]
    fn several_samples_pass_and_vote_together() {
        let evaluation = Evaluation {
            samples: 4,
            problems: vec![voted(0, "aRRb"), voted(1, "aa-R"), voted(2, "!!!R"), voted(3, "bbbb")],
        };
        let measures = evaluation.measures();
        let found: Vec<(&str, usize)> = measures.iter().map(|m| (m.name.as_str(), m.problems)).collect();
        // The third problem has a single graded sample.
        assert_eq!(found, [("avg@4", 4), ("pass@2", 3), ("pass@4", 3), ("maj@2", 3), ("maj@4", 3)]);
        let value = |name: &str| measures.iter().find(|measure| measure.name == name).unwrap().value;
        assert!((value("avg@4") - (0.5 + 0.25 + 1.0 + 0.0) / 4.0).abs() < 1e-12);
        // 1 - C(2, 2) / C(4, 2) and 1 - C(3, 2) / C(4, 2)
        assert!((value("pass@2") - (5.0 / 6.0 + 0.5 + 0.0) / 3.0).abs() < 1e-12);
        assert!((value("pass@4") - 2.0 / 3.0).abs() < 1e-12);
        assert!((value("maj@4") - 1.0 / 3.0).abs() < 1e-12, "R of aRRb; a of aa-R; b");
        let average = &measures[0];
        // Deviation of (0.5, 0.25, 1, 0) over the root of 4.
        assert!((average.standard_error.unwrap() - (0.546_875_f64 / 3.0).sqrt() / 2.0).abs() < 1e-12);
        let [low, high] = average.interval.unwrap();
        assert!(0.0 <= low && low < average.value && average.value < high && high <= 1.0, "{low} {high}");
        let row = evaluation.to_row();
        assert_eq!(row.get("val-core/a/acc/maj@4/mean"), Some(value("maj@4")));
        assert_eq!(row.get("val-aux/a/acc/best@2/mean"), Some(value("pass@2")));
        let share = |name: &str| row.get(&format!("val-aux/a/{name}")).unwrap();
        assert!(
            (share("malformed_frac") - 1.0 / 16.0).abs() < 1e-12 && (share("failed_frac") - 3.0 / 16.0).abs() < 1e-12
        );
        let silent =
            Evaluation { samples: 2, problems: vec![result("a", &[Verdict::graded(true), Verdict::graded(true)])] };
        assert_eq!(silent.to_row().get("val-core/a/acc/maj@2/mean"), None, "no vote without answers");
    }

    #[test]
    fn terms_of_a_reward_have_columns_of_their_own() {
        let mut one = voted(0, "R!");
        one.completions[0].grade.scores = vec![("math".into(), Some(1.0)), ("length".into(), Some(-0.5))];
        one.completions[1].grade.scores = vec![("math".into(), None), ("length".into(), Some(0.0))];
        let evaluation = Evaluation { samples: 2, problems: vec![one] };
        let row = evaluation.to_row();
        assert_eq!(row.get("val-aux/a/rewards/math/mean"), Some(1.0));
        assert_eq!(row.get("val-aux/a/rewards/length/mean"), Some(-0.25));
        let line: Value = serde_json::from_str(&evaluation.to_jsonl()).unwrap();
        assert_eq!(line["samples"][0]["scores"], json!({"math": 1.0, "length": -0.5}));
        assert_eq!((&line["samples"][0]["answer"], &line["samples"][1]["reason"]), (&json!("R"), &json!("no server")));
        assert_eq!(line["samples"][1]["scores"]["math"], Value::Null);
    }
}
