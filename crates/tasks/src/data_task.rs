//! A user's problems as a task.

use std::{collections::BTreeSet, path::Path};

use crate::{DataOptions, Dataset, Error, Grade, Problem, Response, Reward, Sampler, Task};

/// Data sets and a reward.
#[derive(Clone, Debug)]
pub struct DataTask {
    train: Vec<Problem>,
    held_out: Vec<Problem>,
    reward: Reward,
    sampler: Sampler,
    leaked: usize,
    warnings: Vec<String>,
}

impl DataTask {
    /// Puts a task together. Training problems whose prompt is also kept for evaluation are left out
    /// ([`DataTask::leaked`] counts them).
    ///
    /// # Errors
    /// [`Error::Setting`] if no training problems are left, [`Error::Term`] if a verifier does not work.
    pub fn new(train: Dataset, held_out: Option<Dataset>, reward: Reward, seed: u64) -> Result<DataTask, Error> {
        let mut warnings: Vec<String> = duplicates("training", &train).into_iter().collect();
        warnings.extend(held_out.as_ref().and_then(|set| duplicates("held-out", set)));
        let held_out = held_out.map_or_else(Vec::new, |set| set.problems);
        let kept: BTreeSet<&str> = held_out.iter().map(|problem| problem.prompt.as_str()).collect();
        let read = train.problems.len();
        let mut train = train.problems;
        train.retain(|problem| !kept.contains(problem.prompt.as_str()));
        if train.is_empty() {
            return Err(Error::Setting {
                setting: "the number of training problems that are not kept for evaluation",
                expected: "at least 1".to_owned(),
                found: format!("0 of {read}"),
            });
        }
        let leaked = read - train.len();
        if leaked > 0 {
            warnings
                .push(format!("{leaked} of {read} training problems are left out: they are held out for evaluation"));
        }
        reward.probe(train.iter().chain(&held_out))?;
        let sampler = Sampler::new(seed, train.len());
        Ok(DataTask { train, held_out, reward, sampler, leaked, warnings })
    }

    /// Training problems, in the order of the file; the order of training is [`Task::train_problems`].
    pub fn train(&self) -> &[Problem] {
        &self.train
    }

    /// Training problems left out because they are kept for evaluation.
    pub fn leaked(&self) -> usize {
        self.leaked
    }
}

impl Task for DataTask {
    fn name(&self) -> &str {
        &self.train[0].data_source
    }

    fn train_problems(&self, start: u64, count: usize) -> Vec<Problem> {
        let rows = self.sampler.rows(start, count);
        rows.into_iter().map(|row| self.train[row].clone()).collect()
    }

    fn listed_train_problems(&self) -> &[Problem] {
        &self.train
    }

    fn held_out(&self) -> &[Problem] {
        &self.held_out
    }

    fn grade(&self, problem: &Problem, response: Response<'_>) -> Grade {
        self.reward.grade(problem, response)
    }

    fn graded_at_once(&self) -> usize {
        self.reward.graded_at_once()
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}

/// A user's problems that are evaluated and never trained on.
#[derive(Clone, Debug)]
pub struct HeldOutTask {
    name: String,
    problems: Vec<Problem>,
    reward: Reward,
    warnings: Vec<String>,
}

impl HeldOutTask {
    /// Reads them from a JSONL file.
    ///
    /// # Errors
    /// As for [`Dataset::load_jsonl`], and [`Error::Term`] if a verifier does not work.
    pub fn load_jsonl(path: &Path, options: &DataOptions, reward: Reward) -> Result<HeldOutTask, Error> {
        let set = Dataset::load_jsonl(path, options, &reward)?;
        reward.probe(set.problems.iter())?;
        let warnings = duplicates("held-out", &set).into_iter().collect();
        Ok(HeldOutTask { name: path.display().to_string(), problems: set.problems, reward, warnings })
    }
}

impl Task for HeldOutTask {
    fn name(&self) -> &str {
        &self.name
    }

    fn train_problems(&self, _start: u64, _count: usize) -> Vec<Problem> {
        Vec::new()
    }

    fn held_out(&self) -> &[Problem] {
        &self.problems
    }

    fn grade(&self, problem: &Problem, response: Response<'_>) -> Grade {
        self.reward.grade(problem, response)
    }

    fn graded_at_once(&self) -> usize {
        self.reward.graded_at_once()
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}

/// Says how many rows repeat a prompt, if any do.
fn duplicates(kind: &str, set: &Dataset) -> Option<String> {
    let (duplicates, rows, conflicting) = (set.duplicates, set.rows, set.conflicting_duplicates);
    let conflict = match conflicting {
        0 => String::new(),
        _ => format!(", {conflicting} of them with another answer (the first one counts)"),
    };
    (duplicates > 0)
        .then(|| format!("{duplicates} of {rows} {kind} rows are left out: they repeat an earlier prompt{conflict}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verifier;

    fn set(names: &[&str]) -> Dataset {
        let problem = |(index, name): (usize, &&str)| Problem {
            index: index as u64,
            prompt: name.to_string(),
            answer: format!("{name}!"),
            data_source: "letters".into(),
            extra: Default::default(),
        };
        let problems: Vec<Problem> = names.iter().enumerate().map(problem).collect();
        Dataset { rows: problems.len(), problems, duplicates: 0, conflicting_duplicates: 0 }
    }

    fn exact() -> Reward {
        Reward::try_from(Verifier::Exact { marker: None }).unwrap()
    }

    #[test]
    fn never_trains_on_what_it_evaluates_on() {
        let task = DataTask::new(set(&["a", "b", "c", "d"]), Some(set(&["c", "x"])), exact(), 1).unwrap();
        assert_eq!(task.leaked(), 1);
        let mut drawn: Vec<String> = task.train_problems(0, 3).into_iter().map(|p| p.prompt).collect();
        drawn.sort();
        assert_eq!(drawn, ["a", "b", "d"]);
        assert_eq!(task.held_out().len(), 2);
        let left_out = "1 of 4 training problems are left out: they are held out for evaluation";
        assert_eq!(task.warnings(), [left_out]);
        let error = DataTask::new(set(&["a"]), Some(set(&["a"])), exact(), 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the number of training problems that are not kept for evaluation is 0 of 1, expected at least 1"
        );
    }

    #[test]
    fn repeated_rows_are_told() {
        let repeated =
            |conflicting_duplicates| Dataset { rows: 5, duplicates: 3, conflicting_duplicates, ..set(&["a", "b"]) };
        let held_out = Dataset { duplicates: 3, rows: 9, ..set(&["x"]) };
        let task = DataTask::new(repeated(2), Some(held_out), exact(), 1).unwrap();
        assert_eq!(
            task.warnings(),
            [
                "3 of 5 training rows are left out: they repeat an earlier prompt, \
                 2 of them with another answer (the first one counts)",
                "3 of 9 held-out rows are left out: they repeat an earlier prompt"
            ]
        );
        assert_eq!(DataTask::new(set(&["a"]), None, exact(), 1).unwrap().warnings(), [""; 0]);
    }

    #[test]
    fn prompts_depend_on_the_position_alone_and_are_graded() {
        let task = DataTask::new(set(&["a", "b", "c"]), None, exact(), 7).unwrap();
        let all = task.train_problems(0, 12);
        assert_eq!(task.train_problems(5, 4), all[5..9]);
        assert!(task.grade(&all[0], format!("{}!", all[0].prompt).as_str().into()).verdict.is_correct());
        assert!(!task.grade(&all[0], "?!".into()).verdict.is_correct());
    }
}
