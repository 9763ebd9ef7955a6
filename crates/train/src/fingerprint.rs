//! Fingerprints of a user's problems, by which a resumed run notices that its data files have changed.

use serde::{Deserialize, Serialize};
use vapo_tasks::{Problem, Task};

/// Fingerprints of the training and of the held-out problems, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DataFingerprint {
    pub(crate) train: u64,
    pub(crate) held_out: u64,
}

impl DataFingerprint {
    /// None for a task that generates its problems.
    pub(crate) fn of(task: &dyn Task) -> Option<Self> {
        let train = task.listed_train_problems();
        (!train.is_empty()).then(|| Self { train: fingerprint(train), held_out: fingerprint(task.held_out()) })
    }
}

/// FNV-1a over everything that is asked and graded, each text after its length.
fn fingerprint(problems: &[Problem]) -> u64 {
    let mut hash: u64 = 0xCBF2_9CE4_8422_2325;
    for problem in problems {
        let context = problem.context.iter().flatten().flat_map(|message| [&message.role, &message.content]);
        for text in context.chain([&problem.prompt, &problem.answer, &problem.data_source]) {
            for byte in (text.len() as u64).to_le_bytes().into_iter().chain(text.bytes()) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
            }
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use vapo_tasks::{Grade, Message, Response};

    use super::*;

    /// A user's problems, of which the first is held out.
    struct Listed(Vec<Problem>);

    impl Task for Listed {
        fn name(&self) -> &str {
            "listed"
        }

        fn train_problems(&self, _start: u64, _count: usize) -> Vec<Problem> {
            self.0.clone()
        }

        fn listed_train_problems(&self) -> &[Problem] {
            &self.0
        }

        fn held_out(&self) -> &[Problem] {
            &self.0[..1]
        }

        fn grade(&self, _problem: &Problem, _response: Response<'_>) -> Grade {
            unreachable!("nothing is answered")
        }
    }

    fn problem(prompt: &str, answer: &str) -> Problem {
        Problem { prompt: prompt.into(), answer: answer.into(), ..Problem::default() }
    }

    #[test]
    fn only_listed_problems_have_fingerprints() {
        assert_eq!(DataFingerprint::of(&Listed(Vec::new())), None);
        let [a, b] = [problem("1+1", "2"), problem("1+2", "3")];
        let expected = DataFingerprint {
            train: fingerprint(&[a.clone(), b.clone()]),
            held_out: fingerprint(std::slice::from_ref(&a)),
        };
        assert_eq!(DataFingerprint::of(&Listed(vec![a, b])), Some(expected));
    }

    /// Checkpoints hold fingerprints, so every version computes the same ones.
    #[test]
    fn the_function_is_that_of_earlier_versions() {
        let plain = problem("1+1", "2");
        assert_eq!(fingerprint(&[]), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fingerprint(std::slice::from_ref(&plain)), 0xCC79_031C_E796_C786);
        let hi = Message { role: "user".into(), content: "hi".into() };
        assert_eq!(fingerprint(&[Problem { context: Some(vec![hi]), ..plain }]), 0x73E3_A8B4_0D10_DE44);
    }

    #[test]
    fn texts_and_their_order_count() {
        let [a, b] = [problem("1+1", "2"), problem("1+2", "3")];
        let of = |problems: &[&Problem]| fingerprint(&problems.iter().copied().cloned().collect::<Vec<_>>());
        let same = of(&[&a, &b]);
        assert_eq!(same, of(&[&a, &b]));
        let others = [of(&[&b, &a]), of(&[&a]), of(&[&a, &b, &b]), of(&[&a, &problem("1+23", "")])];
        assert!(others.iter().all(|other| *other != same), "{others:?}");
    }
}
