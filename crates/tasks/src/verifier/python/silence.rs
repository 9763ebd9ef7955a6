//! Notices a function that never answers.

use std::time::{Duration, Instant};

/// Whether anything has been answered lately. A function that always hangs then costs one deadline, not one for each batch.
#[derive(Debug, Default)]
pub(super) struct Silence {
    last_answer: Option<Instant>,
    /// When a batch had used up its time without any answer, also to other batches.
    noticed: Option<Instant>,
}

impl Silence {
    /// Whether a batch may begin.
    ///
    /// # Errors
    /// Nothing was answered during the whole time of another batch, which ended less than that time ago.
    pub(super) fn check(&self, now: Instant, timeout: Duration) -> Result<(), String> {
        match self.noticed {
            Some(noticed) if now < noticed + timeout => {
                let seconds = timeout.as_secs_f64();
                Err(format!("not graded: no process had answered anything for {seconds} s (`timeout`)"))
            }
            _ => Ok(()),
        }
    }

    /// A process has answered.
    pub(super) fn answered(&mut self, now: Instant) {
        *self = Silence { last_answer: Some(now), noticed: None };
    }

    /// A batch that began at `begun` has used up its time.
    pub(super) fn used_up(&mut self, begun: Instant, now: Instant) {
        if self.last_answer.is_none_or(|answer| answer < begun) {
            self.noticed = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_deadline_without_any_answer_ends_what_waits() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let at = |seconds: u32| start + seconds * second;
        let mut silence = Silence::default();
        let begins = |silence: &Silence, seconds| silence.check(at(seconds), 10 * second).is_ok();
        assert!(begins(&silence, 0));
        silence.used_up(at(0), at(10));
        assert!(!begins(&silence, 10) && !begins(&silence, 19), "nobody answered");
        assert!(begins(&silence, 20), "later batches are tried again");
        // Of two processes, one answers while the other hangs.
        silence.answered(at(25));
        silence.used_up(at(20), at(30));
        assert!(begins(&silence, 30));
        silence.used_up(at(26), at(36));
        assert!(!begins(&silence, 36));
        silence.answered(at(37));
        assert!(begins(&silence, 37));
    }
}
