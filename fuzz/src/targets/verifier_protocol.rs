//! A reply of a `command`, `http` or `python` verifier to request 7.

use serde_json::Value;
use vapo_tasks::{Verdict, read_reply, read_results};

const ID: u64 = 7;

/// Responses of a call of a Python function.
const CALLED: usize = 2;

pub(crate) fn verifier_protocol(data: &[u8]) {
    reply(data);
    results(data);
}

fn results(data: &[u8]) {
    let [low, high] = [-1.5, 2.5];
    match read_results(data, ID, CALLED, [low, high]) {
        Err(reason) => assert!(reason.chars().count() <= 2000, "a message of {} bytes", reason.len()),
        Ok(grades) => {
            assert_eq!(grades.len(), CALLED);
            for grade in grades.into_iter().flatten() {
                match grade.verdict {
                    Verdict::Graded { score, .. } => assert!((low..=high).contains(&f64::from(score))),
                    Verdict::Failed { reason } => assert!(reason.chars().count() <= 2000),
                    Verdict::Malformed { .. } => panic!("a reply cannot say this"),
                }
            }
        }
    }
}

fn reply(data: &[u8]) {
    for [low, high] in [[0.0, 1.0], [-1.5, 2.5]] {
        match read_reply(data, ID, [low, high]) {
            Err(reason) => assert!(reason.chars().count() < 1000, "a message of {} bytes", reason.len()),
            Ok(grade) => {
                // A field that is not read may hold a number that is too large.
                let Ok(reply) = serde_json::from_slice::<Value>(data) else { continue };
                assert_eq!(reply["id"].as_u64(), Some(ID), "only a reply to the request counts");
                match grade.verdict {
                    Verdict::Graded { score, correct } => {
                        let written = reply["score"].as_f64().expect("a number");
                        assert!((low..=high).contains(&written) && score == written as f32);
                        assert_eq!(correct, reply["correct"].as_bool().unwrap_or(written == high));
                    }
                    Verdict::Failed { .. } => assert!(reply["error"].is_string()),
                    Verdict::Malformed { .. } => panic!("a reply cannot say this"),
                }
            }
        }
    }
}
