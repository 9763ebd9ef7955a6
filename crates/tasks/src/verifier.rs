//! Rules that compare a response with a reference answer.

mod number;

use serde::{Deserialize, Serialize};

use crate::{Error, Problem, Verdict};
use number::{Rational, literals};

/// A rule that grades a response against [`Problem::answer`]. Pure, linear in the response's length, one bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Verifier {
    /// The response's answer is the reference answer, character for character, white space around both aside.
    Exact {
        /// The answer is what follows the last occurrence of this text (e.g. `A:`); without a marker, the whole response.
        #[serde(default)]
        marker: Option<String>,
    },
    /// The response's number equals the reference answer's, compared as fractions of whole numbers of any size.
    Numeric {
        /// The number is the first behind the last occurrence of this text (e.g. `####`); without a marker, the response's last.
        #[serde(default)]
        marker: Option<String>,
        /// The largest absolute difference that counts as equal, e.g. 0.01.
        #[serde(default)]
        tolerance: f64,
    },
}

impl Verifier {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Setting`] for a blank marker or a tolerance that is negative or not finite.
    pub fn validate(&self) -> Result<(), Error> {
        let (Verifier::Exact { marker } | Verifier::Numeric { marker, .. }) = self;
        if let Some(marker) = marker.as_deref().filter(|marker| marker.trim().is_empty()) {
            let expected = "a text that is not blank".to_owned();
            return Err(Error::Setting { setting: "marker", expected, found: format!("{marker:?}") });
        }
        if let Verifier::Numeric { tolerance, .. } = self
            && exact_tolerance(*tolerance).is_none()
        {
            let expected = "0 or a positive number".to_owned();
            return Err(Error::Setting { setting: "tolerance", expected, found: tolerance.to_string() });
        }
        Ok(())
    }

    /// Checks that a reference answer is one that a response could match.
    ///
    /// # Errors
    /// What the verifier needs, as a clause to follow the answer.
    pub fn check_answer(&self, answer: &str) -> Result<(), String> {
        match self {
            Verifier::Exact { .. } if answer.trim().is_empty() => Err("expected a text".to_owned()),
            Verifier::Exact { .. } => Ok(()),
            Verifier::Numeric { .. } => reference(answer).map(drop),
        }
    }

    /// Grades a response.
    pub fn grade(&self, problem: &Problem, response: &str) -> Verdict {
        match self {
            Verifier::Exact { marker } => grade_exact(marker.as_deref(), &problem.answer, response),
            Verifier::Numeric { marker, tolerance } => {
                grade_numeric(marker.as_deref(), *tolerance, &problem.answer, response)
            }
        }
    }
}

fn grade_exact(marker: Option<&str>, answer: &str, response: &str) -> Verdict {
    match after_marker(marker, response).map(str::trim) {
        Err(malformed) => malformed,
        Ok("") => Verdict::malformed("no answer"),
        Ok(given) => Verdict::graded(given == answer.trim()),
    }
}

fn grade_numeric(marker: Option<&str>, tolerance: f64, answer: &str, response: &str) -> Verdict {
    let tolerance = exact_tolerance(tolerance).ok_or("the tolerance is not a number".to_owned());
    let (answer, tolerance) = match (reference(answer), tolerance) {
        (Ok(answer), Ok(tolerance)) => (answer, tolerance),
        (Err(reason), _) => {
            return Verdict::failed(format!("reference answer {answer:?}: {reason}"));
        }
        (_, Err(reason)) => return Verdict::failed(reason),
    };
    let text = match after_marker(marker, response) {
        Ok(text) => text,
        Err(malformed) => return malformed,
    };
    let mut found = literals(text);
    let literal = if marker.is_some() { found.next() } else { found.last() };
    match literal.map(|literal| literal.value()) {
        None => Verdict::malformed("no number"),
        Some(Err(reason)) => Verdict::malformed(reason),
        Some(Ok(given)) => Verdict::graded(given.is_within(&tolerance, &answer)),
    }
}

/// The text that holds the answer, or the verdict on a response that lacks the marker.
fn after_marker<'a>(marker: Option<&str>, response: &'a str) -> Result<&'a str, Verdict> {
    let Some(marker) = marker else {
        return Ok(response);
    };
    let (_, after) = response.rsplit_once(marker).ok_or_else(|| Verdict::malformed(format!("no marker {marker:?}")))?;
    Ok(after)
}

/// The single number of a reference answer.
fn reference(answer: &str) -> Result<Rational, String> {
    let mut found = literals(answer);
    match (found.next(), found.next()) {
        (Some(literal), None) => literal.value().map_err(|reason| format!("which holds {reason}")),
        _ => Err("expected a single number".to_owned()),
    }
}

/// The decimal number that a setting was written as: 0.1 means a tenth and not the nearest binary fraction.
fn exact_tolerance(tolerance: f64) -> Option<Rational> {
    if !tolerance.is_finite() || tolerance < 0.0 {
        return None;
    }
    literals(&tolerance.to_string()).next()?.value().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;

    fn problem(answer: &str) -> Problem {
        Problem {
            index: 0,
            prompt: "?".into(),
            answer: answer.into(),
            data_source: "test".into(),
            extra: Default::default(),
        }
    }

    fn exact(marker: Option<&str>) -> Verifier {
        Verifier::Exact { marker: marker.map(str::to_owned) }
    }

    fn numeric(marker: Option<&str>, tolerance: f64) -> Verifier {
        Verifier::Numeric { marker: marker.map(str::to_owned), tolerance }
    }

    /// 1 right, 0 wrong, m malformed, f failed.
    fn verdict(verifier: &Verifier, answer: &str, response: &str) -> char {
        match verifier.grade(&problem(answer), response) {
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
        assert_eq!(verdict(&numeric(None, f64::NAN), "1", "1"), 'f');
    }

    #[test]
    fn never_panics_and_never_fails_on_arbitrary_text() {
        let pieces = [
            "0", "1", "9", "23", "456", ",", ".", "/", "-", "\u{2212}", "$", "\\", "e", "E", "+", "%", " ", "\n", "A:",
            "####", "x", "_", "^", "(", ")", "é", "答", "\u{a0}", "\u{202f}", "\u{0}", "🙂", "١",
        ];
        let verifiers = [exact(None), exact(Some("A:")), numeric(None, 0.0), numeric(Some("####"), 0.5)];
        for index in 0..20_000 {
            let mut random = Random::keyed(0, 0, index);
            let text: String = (0..random.below(24)).map(|_| random.pick(&pieces)).collect();
            for verifier in &verifiers {
                assert_ne!(verdict(verifier, "23", &text), 'f', "{text:?}");
            }
            // A usable reference answer is right when it is given back.
            for verifier in [&verifiers[0], &verifiers[2]] {
                if verifier.check_answer(&text).is_ok() {
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
}
