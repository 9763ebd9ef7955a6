//! The reward of a response: one verifier decides whether it is right, and others add to the reward.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    Attempt, Error, Grade, Problem, Response, Verdict, Verifier,
    verifier::{Grader, LARGEST, Reading},
};

/// A verifier as a term of the reward. In a config: its name, or a table of `kind`, the verifier's settings and the fields below.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RewardTerm {
    /// Name of its column in the records; by default, the verifier's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Factor of its score.
    #[serde(default = "one")]
    pub weight: f64,
    /// The data sources whose problems it grades; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// The verifier.
    #[serde(flatten)]
    pub verifier: Verifier,
}

fn one() -> f64 {
    1.0
}

impl From<Verifier> for RewardTerm {
    fn from(verifier: Verifier) -> RewardTerm {
        RewardTerm { name: None, weight: 1.0, sources: Vec::new(), verifier }
    }
}

impl RewardTerm {
    /// Name of its column in the records.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.verifier.kind())
    }

    fn applies_to(&self, source: &str) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|own| own == source)
    }
}

/// The lowest and the highest reward that terms can give, from the rewards of a right and a wrong answer ([`Grade::reward`]).
pub fn reward_range(terms: &[RewardTerm], right: f64, wrong: f64) -> [f64; 2] {
    let decides_always = |term: &RewardTerm| term.sources.is_empty() && !term.verifier.may_abstain();
    let deciding = terms.iter().position(decides_always).map_or(terms, |first| &terms[..=first]);
    let decided = deciding
        .iter()
        .flat_map(|term| term.verifier.range().map(|score| term.weight * (wrong + score * (right - wrong))));
    let (low, high) =
        decided.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), reward| (low.min(reward), high.max(reward)));
    // A term that decides for one source may add to the reward of another.
    let added = terms.iter().skip(1).map(|term| term.verifier.range().map(|score| term.weight * score));
    added.fold([low, high], |[low, high], [a, b]| [low + a.min(b).min(0.0), high + a.max(b).max(0.0)])
}

/// Checks the terms of a reward.
///
/// # Errors
/// [`Error::Term`] for the first term that has invalid settings or another term's name.
pub fn check_terms(terms: &[RewardTerm]) -> Result<(), Error> {
    let wrong =
        |term: &RewardTerm, message: &str| Error::Term { term: term.name().to_owned(), message: message.into() };
    for (index, term) in terms.iter().enumerate() {
        term.verifier.validate().map_err(|error| wrong(term, &error.to_string()))?;
        if terms[..index].iter().any(|other| other.name() == term.name()) {
            return Err(wrong(term, "another verifier has the same name, expected a different `name`"));
        }
        if !(-LARGEST..=LARGEST).contains(&term.weight) {
            let expected = format!("expected a number between -{LARGEST} and {LARGEST}");
            return Err(wrong(term, &format!("weight is {}, {expected}", term.weight)));
        }
    }
    if terms.is_empty() {
        let (setting, expected) = ("the number of verifiers", "at least 1".to_owned());
        return Err(Error::Setting { setting, expected, found: "0".to_owned() });
    }
    Ok(())
}

/// The initialized terms of a reward.
#[derive(Clone, Debug)]
pub struct Reward {
    terms: Arc<[Term]>,
}

#[derive(Debug)]
struct Term {
    settings: RewardTerm,
    name: Arc<str>,
    grader: Box<dyn Grader>,
    /// Time taken so far.
    nanos: AtomicU64,
}

impl Term {
    /// The verifier's readings, timed.
    fn read(&self, attempts: &[Attempt<'_>]) -> Vec<Option<Reading>> {
        if attempts.is_empty() {
            return Vec::new();
        }
        let begun = Instant::now();
        let readings = self.grader.grade_all(attempts);
        self.nanos.fetch_add(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        readings
    }

    /// The grade of a response if this term decides.
    fn decide(&self, reading: Reading) -> Grade {
        let scores = vec![(self.name.clone(), reading.verdict.score())];
        Grade { weight: self.settings.weight as f32, scores, ..Grade::from(reading) }
    }

    /// Adds to a grade that another term has decided.
    fn add(&self, reading: Reading, grade: &mut Grade) {
        grade.scores.push((self.name.clone(), reading.verdict.score()));
        match reading.verdict {
            Verdict::Failed { reason } => {
                let reason = format!("{}: {reason}", self.name);
                grade.remark = Some(reason.clone());
                grade.verdict = Verdict::failed(reason);
            }
            Verdict::Graded { score, .. } | Verdict::Malformed { score, .. } => {
                grade.shaping += self.settings.weight as f32 * score;
            }
        }
    }
}

impl Reward {
    /// Initializes the verifiers. Of the terms that apply to a problem, the first decides whether an answer is right; the
    /// weighted scores of the others are added to its reward.
    ///
    /// # Errors
    /// As for [`check_terms`].
    pub fn new(terms: &[RewardTerm]) -> Result<Reward, Error> {
        check_terms(terms)?;
        let build = |settings: &RewardTerm| {
            let grader = settings.verifier.build()?;
            Ok(Term { name: settings.name().into(), settings: settings.clone(), grader, nanos: AtomicU64::new(0) })
        };
        Ok(Reward { terms: terms.iter().map(build).collect::<Result<_, Error>>()? })
    }

    /// The terms for problems of a data source.
    fn terms_of<'a>(&'a self, source: &'a str) -> impl Iterator<Item = &'a Term> {
        self.terms.iter().filter(move |term| term.settings.applies_to(source))
    }

    /// Checks that a response could earn the reward of a right answer.
    ///
    /// # Errors
    /// What was expected, as a clause that follows the answer.
    pub fn check_answer(&self, source: &str, answer: &str) -> Result<(), String> {
        match self.terms_of(source).next() {
            Some(deciding) => deciding.grader.check_answer(answer),
            None => Err(format!("expected a verifier that decides for the data source `{source}`")),
        }
    }

    /// Whether the reference answers of a data source may be objects or lists, because another program decides.
    pub fn takes_objects(&self, source: &str) -> bool {
        self.terms_of(source).next().is_some_and(|deciding| deciding.grader.is_external())
    }

    /// Whether a verifier is given all fields of a problem's row.
    pub fn takes_rows(&self) -> bool {
        self.terms.iter().any(|term| term.grader.takes_rows())
    }

    /// Grades a response.
    pub fn grade(&self, problem: &Problem, response: Response<'_>) -> Grade {
        let grade = self.grade_all(&[Attempt { problem, response }]).pop();
        grade.expect("one grade for one response")
    }

    /// Grades several responses, of which those to one problem follow each other.
    pub fn grade_all(&self, attempts: &[Attempt<'_>]) -> Vec<Grade> {
        let mut grades: Vec<Option<Grade>> = vec![None; attempts.len()];
        for term in self.terms.iter() {
            let applies = |index: &usize| term.settings.applies_to(&attempts[*index].problem.data_source);
            let own: Vec<usize> = (0..attempts.len()).filter(applies).collect();
            let readings = term.read(&own.iter().map(|&index| attempts[index]).collect::<Vec<_>>());
            for (index, reading) in own.into_iter().zip(readings) {
                let Some(reading) = reading else { continue };
                match &mut grades[index] {
                    Some(grade) => term.add(reading, grade),
                    none => *none = Some(term.decide(reading)),
                }
            }
        }
        grades
            .into_iter()
            .zip(attempts)
            .map(|(grade, attempt)| {
                let mut grade = grade.unwrap_or_else(|| self.undecided(attempt.problem));
                if self.terms.len() == 1 {
                    grade.scores.clear();
                }
                grade
            })
            .collect()
    }

    /// The grade of a response that no verifier has graded.
    fn undecided(&self, problem: &Problem) -> Grade {
        let source = &problem.data_source;
        let reason = match self.terms_of(source).next() {
            Some(_) => format!("{}: no verifier applies to it: each returned None", problem.place()),
            None => format!("no verifier for the data source `{source}`"),
        };
        Verdict::failed(reason).into()
    }

    /// Lets every verifier that runs another program grade the reference answer of one of these problems, so that a
    /// missing or broken program is detected before a run starts.
    ///
    /// # Errors
    /// [`Error::Term`] with the reason why a verifier failed.
    pub fn probe<'a>(&self, problems: impl Iterator<Item = &'a Problem> + Clone) -> Result<(), Error> {
        for term in self.terms.iter().filter(|term| term.grader.is_external()) {
            let mut own = problems.clone().filter(|problem| term.settings.applies_to(&problem.data_source));
            let Some(problem) = own.next() else { continue };
            let response = Response { text: &problem.answer, tokens: Some(1) };
            let reading = term.grader.grade_all(&[Attempt { problem, response }]).pop().flatten();
            if let Some(Verdict::Failed { reason }) = reading.map(|reading| reading.verdict) {
                let message = format!("it failed on the first reference answer: {reason}");
                return Err(Error::Term { term: term.name.to_string(), message });
            }
        }
        Ok(())
    }

    /// How many responses to grade at once if another program does the work; 0: one per thread.
    pub fn graded_at_once(&self) -> usize {
        self.terms.iter().map(|term| term.grader.at_once()).max().unwrap_or(0)
    }

    /// How many responses to hand over together.
    pub fn graded_together(&self) -> usize {
        self.terms.iter().map(|term| term.grader.together()).max().unwrap_or(1)
    }

    /// Seconds that each verifier has taken so far, added up over all that work at the same time.
    pub fn secs(&self) -> Vec<(Arc<str>, f64)> {
        let secs = |term: &Term| Duration::from_nanos(term.nanos.load(Ordering::Relaxed)).as_secs_f64();
        self.terms.iter().map(|term| (term.name.clone(), secs(term))).collect()
    }
}

impl TryFrom<Verifier> for Reward {
    type Error = Error;

    /// The reward of one verifier.
    fn try_from(verifier: Verifier) -> Result<Reward, Error> {
        Reward::new(&[verifier.into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(source: &str, answer: &str) -> Problem {
        Problem {
            index: 0,
            prompt: "?".into(),
            answer: answer.into(),
            data_source: source.into(),
            ..Problem::default()
        }
    }

    fn term(json: &str) -> RewardTerm {
        serde_json::from_str(json).unwrap()
    }

    fn terms() -> Vec<RewardTerm> {
        vec![
            term(r#"{"kind": "numeric", "sources": ["sums"], "weight": 2}"#),
            term(r#"{"kind": "exact", "name": "text"}"#),
            term(r#"{"kind": "numeric", "name": "near", "tolerance": 1, "weight": -0.5}"#),
        ]
    }

    #[test]
    fn the_first_term_for_the_source_decides_and_the_others_add() {
        let reward = Reward::new(&terms()).unwrap();
        let grade = |source, text: &str| reward.grade(&problem(source, "7"), Response::from(text));
        let sum = grade("sums", "so 7");
        assert!(sum.verdict.is_correct() && sum.answer.as_deref() == Some("7"));
        assert_eq!(sum.scores, [("numeric".into(), Some(1.0)), ("text".into(), Some(0.0)), ("near".into(), Some(1.0))]);
        // 2 * right + 1 * 0 - 0.5 * 1
        assert_eq!((sum.reward(1.0, -1.0), sum.shaping), (Some(1.5), -0.5));
        // Another source: the text decides, a wrong answer earns -1, and the third term subtracts a half.
        let text = grade("words", "so 7");
        assert!(!text.verdict.is_correct() && text.scores.len() == 2);
        assert_eq!(text.reward(1.0, -1.0), Some(-1.5));
    }

    #[test]
    fn a_failed_term_fails_the_whole_and_is_named() {
        let reward = Reward::new(&terms()).unwrap();
        let grade = reward.grade(&problem("words", "seven"), Response::from("seven"));
        let reason = "near: reference answer \"seven\": expected a single number";
        assert_eq!(grade.verdict, Verdict::failed(reason));
        assert_eq!(grade.reward(1.0, 0.0), None);
        assert_eq!(grade.scores[0], ("text".into(), Some(1.0)));
        let only = Reward::new(&[term(r#"{"kind": "numeric", "sources": ["sums"]}"#)]).unwrap();
        let message = only.check_answer("words", "7").unwrap_err();
        assert_eq!(message, "expected a verifier that decides for the data source `words`");
    }

    #[test]
    fn the_range_holds_every_reward() {
        // Deciding term: 2 * (-1..1) or 1 * (-1..1); added: 0..1 for the text and -0.5..0.
        assert_eq!(reward_range(&terms(), 1.0, -1.0), [-2.5, 3.0]);
        assert_eq!(reward_range(&terms()[1..2], 1.0, 0.0), [0.0, 1.0]);
    }

    #[test]
    fn terms_are_checked() {
        let message = |json: &[&str]| {
            let terms: Vec<RewardTerm> = json.iter().map(|json| term(json)).collect();
            check_terms(&terms).unwrap_err().to_string()
        };
        assert_eq!(message(&[]), "the number of verifiers is 0, expected at least 1");
        assert_eq!(
            message(&[r#"{"kind": "exact"}"#, r#"{"kind": "exact", "marker": "A:"}"#]),
            "verifier `exact`: another verifier has the same name, expected a different `name`"
        );
        assert_eq!(
            message(&[r#"{"kind": "numeric", "name": "n", "tolerance": -1}"#]),
            "verifier `n`: tolerance is -1, expected 0 or a positive number"
        );
        assert_eq!(
            message(&[r#"{"kind": "exact", "weight": -1e7}"#]),
            "verifier `exact`: weight is -10000000, expected a number between -1000000 and 1000000"
        );
        let range = message(&[r#"{"kind": "command", "command": ["a"], "range": [0, 1e39]}"#]);
        assert!(
            range.ends_with("], expected two numbers between -1000000 and 1000000, the smaller one first"),
            "{range}"
        );
        for (json, words) in [
            (r#"{"kind": "numeric", "tolerence": 1}"#, "unknown field `tolerence`, expected `marker` or `tolerance`"),
            (r#"{"kind": "nmeric"}"#, "unknown variant `nmeric`"),
            (r#"{"weight": 2}"#, "missing field `kind`"),
        ] {
            let error = serde_json::from_str::<RewardTerm>(json).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        for term in terms() {
            assert_eq!(serde_json::from_str::<RewardTerm>(&serde_json::to_string(&term).unwrap()).unwrap(), term);
        }
    }
}
