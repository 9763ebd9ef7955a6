//! Sampling and grading side by side: what another program grades, it grades while other responses are still sampled.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use vapo_lm::Completion;
use vapo_tasks::{Attempt, Grade, Response, Task};

use crate::{
    error::Result,
    progress::{Progress, Watcher},
    rollout::{Generator, GradedRollout, Prompt, Rollout},
    stage::Stage,
    timing::Timing,
};

/// What to sample, and who grades it.
#[derive(Clone, Copy)]
pub(crate) struct Work<'t, 'p> {
    pub(crate) task: &'t dyn Task,
    pub(crate) prompts: &'p [Prompt],
    /// Responses per prompt.
    pub(crate) samples: usize,
}

/// Responses that are graded together: whole groups, or a single response. Which ones depends on the prompts alone, not on
/// when they end, so that a verifier that compares them is as reproducible as one that does not.
struct Lot {
    /// The place of its first response among all.
    first: usize,
    /// Text and number of tokens of each, as soon as it is sampled.
    texts: Vec<Option<(String, usize)>>,
    missing: usize,
}

/// The responses of a lot with their grades.
struct GradedLot {
    first: usize,
    results: Vec<(String, Grade)>,
}

impl<'p> Work<'_, 'p> {
    fn responses(self) -> usize {
        self.prompts.len() * self.samples
    }

    /// All lots, which are still to be sampled.
    fn lots(self) -> Vec<Lot> {
        let size = match self.task.graded_together() {
            0 | 1 => 1,
            together => (together / self.samples.max(1)).max(1) * self.samples,
        };
        let firsts = (0..self.responses()).step_by(size.max(1));
        firsts
            .map(|first| {
                let missing = size.min(self.responses() - first);
                Lot { first, texts: vec![None; missing], missing }
            })
            .collect()
    }

    fn grade(self, lot: Lot) -> GradedLot {
        let first = lot.first;
        let texts: Vec<(String, usize)> = lot.texts.into_iter().flatten().collect();
        let attempts = texts.iter().zip(first..).map(|((text, tokens), place)| Attempt {
            problem: &self.prompts[place / self.samples].problem,
            response: Response { text, tokens: Some(*tokens) },
        });
        let grades = self.task.grade_all(&attempts.collect::<Vec<_>>());
        GradedLot { first, results: texts.into_iter().map(|(text, _)| text).zip(grades).collect() }
    }

    /// The sampled responses with their grades.
    fn joined(self, sampled: Vec<Completion>, graded: Vec<(String, Grade)>) -> Vec<GradedRollout<'p>> {
        let responses = sampled.into_iter().zip(graded).enumerate();
        let joined = responses.map(|(place, (completion, (text, grade)))| {
            let rollout = Rollout { prompt: &self.prompts[place / self.samples], completion, text };
            GradedRollout { rollout, grade }
        });
        joined.collect()
    }
}

/// Hands each lot to the threads that grade.
struct Dealer {
    lots: Vec<Option<Lot>>,
    /// Responses per lot.
    size: usize,
    /// Whether another program grades; otherwise, lots are held back, because grading would compete with sampling.
    overlaps: bool,
    /// `None` after the last lot.
    to_grade: Option<Sender<Lot>>,
}

impl Dealer {
    fn new(work: Work<'_, '_>, to_grade: Sender<Lot>) -> Self {
        let lots = work.lots();
        let size = lots.first().map_or(1, |lot| lot.missing);
        Self {
            lots: lots.into_iter().map(Some).collect(),
            size,
            overlaps: work.task.graded_at_once() > 0,
            to_grade: Some(to_grade),
        }
    }

    /// Takes a response that has just been sampled.
    fn take(&mut self, place: usize, text: String, tokens: usize) {
        let Some(lot) = &mut self.lots[place / self.size] else { return };
        lot.texts[place % self.size] = Some((text, tokens));
        lot.missing -= 1;
        if lot.missing == 0 && self.overlaps {
            self.hand_over(place / self.size);
        }
    }

    fn hand_over(&mut self, lot: usize) {
        if let (Some(lot), Some(to_grade)) = (self.lots[lot].take(), &self.to_grade) {
            // The threads are there as long as the results are awaited.
            let _ = to_grade.send(lot);
        }
    }

    /// Hands over what was held back. There will be no more.
    fn finish(&mut self) {
        (0..self.lots.len()).for_each(|lot| self.hand_over(lot));
        self.to_grade = None;
    }
}

/// Samples `work.samples` responses to every prompt, group by group, and grades them: each rank those to its part of the
/// prompts. `None` if a rank was stopped.
///
/// # Errors
/// A response is no text, or another rank failed.
pub(crate) fn sample_and_grade<'p>(
    generator: &mut Generator<'_>,
    work: Work<'_, 'p>,
    timing: &mut Timing,
    watcher: &mut dyn Watcher,
) -> Result<Option<Vec<GradedRollout<'p>>>> {
    let own = Work { prompts: &work.prompts[generator.division.part(work.prompts.len())], ..work };
    let threads = generator.engine.device().threads().max(work.task.graded_at_once());
    let (to_grade, lots) = channel();
    let (report, graded) = channel();
    let (lots, ends) = (Mutex::new(lots), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, own.responses().max(1)) {
            let (report, lots, ends) = (report.clone(), &lots, &ends);
            scope.spawn(move || {
                while let Some(lot) = next(lots) {
                    if ends.load(Ordering::Relaxed) || report.send(own.grade(lot)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(report);
        let sample_then_wait = || {
            let mut dealer = Dealer::new(own, to_grade);
            let mut sample = || {
                let mut on_text = |place, text, tokens| dealer.take(place, text, tokens);
                let sampled = generator.sample(own.prompts, own.samples, watcher, &mut on_text)?;
                if sampled.is_some() {
                    dealer.finish();
                }
                generator.division.gather("samples", sampled)
            };
            let Some(sampled) = timing.lap(Stage::Sampling, &mut sample)? else { return Ok(None) };
            let graded = timing.lap(Stage::Grading, || {
                let graded = collect(&graded, own.responses(), watcher);
                generator.division.gather("grades", graded)
            })?;
            Ok(graded.map(|graded| work.joined(sampled, graded)))
        };
        let outcome = sample_then_wait();
        // Of a run that is stopped, only what is being graded is waited for.
        ends.store(true, Ordering::Relaxed);
        outcome
    })
}

/// The next lot; `None` if there will be no more.
fn next(lots: &Mutex<Receiver<Lot>>) -> Option<Lot> {
    lots.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Waits for all grades; `None` if stopped.
fn collect(graded: &Receiver<GradedLot>, total: usize, watcher: &mut dyn Watcher) -> Option<Vec<(String, Grade)>> {
    let mut results: Vec<Option<(String, Grade)>> = vec![None; total];
    let mut done = 0;
    for lot in graded {
        done += lot.results.len();
        results.iter_mut().skip(lot.first).zip(lot.results).for_each(|(place, result)| *place = Some(result));
        if watcher.progress(Progress { stage: Stage::Grading, done, total, tokens: 0 }).is_break() {
            return None;
        }
    }
    results.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use vapo_tasks::{Problem, Verdict};

    use super::*;
    use crate::batch::tests::prompt;

    /// A task that gives each response the number of those graded together as score.
    struct Counting {
        together: usize,
        at_once: usize,
    }

    impl Task for Counting {
        fn name(&self) -> &str {
            "counting"
        }

        fn train_problems(&self, _start: u64, _count: usize) -> Vec<Problem> {
            Vec::new()
        }

        fn held_out(&self) -> &[Problem] {
            &[]
        }

        fn grade(&self, _problem: &Problem, _response: Response<'_>) -> Grade {
            unreachable!("responses are graded together")
        }

        fn grade_all(&self, attempts: &[Attempt<'_>]) -> Vec<Grade> {
            let score = attempts.len() as f32;
            attempts.iter().map(|_| Verdict::Graded { score, correct: false }.into()).collect()
        }

        fn graded_at_once(&self) -> usize {
            self.at_once
        }

        fn graded_together(&self) -> usize {
            self.together
        }
    }

    /// The first places and sizes of the lots handed over after each of these responses is sampled, and at the end.
    fn handed_over(task: &Counting, (prompts, samples): (u64, usize), order: &[usize]) -> Vec<Vec<(usize, usize)>> {
        let prompts: Vec<Prompt> = (0..prompts).map(prompt).collect();
        let (to_grade, lots) = channel();
        let mut dealer = Dealer::new(Work { task, prompts: &prompts, samples }, to_grade);
        let handed = || lots.try_iter().map(|lot: Lot| (lot.first, lot.texts.len())).collect();
        let mut found = Vec::new();
        for &place in order {
            dealer.take(place, String::new(), 1);
            found.push(handed());
        }
        dealer.finish();
        found.push(handed());
        found
    }

    #[test]
    fn whole_groups_are_handed_over_as_soon_as_they_are_complete() {
        let task = Counting { together: 5, at_once: 2 };
        // Two groups of two fit into five; the third is alone.
        let found = handed_over(&task, (3, 2), &[5, 3, 0, 4, 1, 2]);
        assert_eq!(found, [vec![], vec![], vec![], vec![(4, 2)], vec![], vec![(0, 4)], vec![]]);
        let larger_group = handed_over(&task, (2, 6), &[1, 2, 3, 4, 5, 0]);
        assert_eq!(larger_group[5], [(0, 6)], "a group is never separated");
        let alone = handed_over(&Counting { together: 1, at_once: 8 }, (2, 2), &[2, 0]);
        assert_eq!(alone[..2], [vec![(2, 1)], vec![(0, 1)]]);
    }

    #[test]
    fn what_this_program_grades_waits_for_the_end_of_sampling() {
        let found = handed_over(&Counting { together: 1, at_once: 0 }, (1, 2), &[1, 0]);
        assert_eq!(found, [vec![], vec![], vec![(0, 1), (1, 1)]]);
    }

    #[test]
    fn grades_come_back_to_their_responses() {
        let prompts: Vec<Prompt> = (0..2).map(prompt).collect();
        let task = Counting { together: 3, at_once: 1 };
        let work = Work { task: &task, prompts: &prompts, samples: 3 };
        let (report, graded) = channel();
        for mut lot in work.lots().into_iter().rev() {
            lot.texts = (lot.first..lot.first + 3).map(|place| Some((place.to_string(), 1))).collect();
            report.send(work.grade(lot)).unwrap();
        }
        drop(report);
        struct Silent;
        impl Watcher for Silent {
            fn progress(&mut self, _progress: Progress) -> std::ops::ControlFlow<()> {
                std::ops::ControlFlow::Continue(())
            }

            fn stopped(&self) -> bool {
                false
            }
        }
        let results = collect(&graded, 6, &mut Silent).unwrap();
        let texts: Vec<&str> = results.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(texts, ["0", "1", "2", "3", "4", "5"]);
        assert!(results.iter().all(|(_, grade)| grade.verdict.score() == Some(3.0)));
    }
}
