//! A user's problems as a task.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    Attempt, Dataset, Error, Grade, Mixture, Problem, Response, Reward, Sampler, Task,
    dataset::{Question, question},
};

/// A training set and its weight.
#[derive(Clone, Debug)]
pub struct TrainSet {
    /// The problems.
    pub set: Dataset,
    /// Prompts are drawn from the sets in proportion to this; if no set has one, every problem is equally likely.
    pub weight: Option<f64>,
}

/// Data sets and a reward.
#[derive(Clone, Debug)]
pub struct DataTask {
    name: String,
    train: Vec<Problem>,
    held_out: Vec<Problem>,
    reward: Reward,
    /// The order of training; `None` without training problems.
    order: Option<Mixture>,
    leaked: usize,
    sets: Vec<String>,
    warnings: Vec<String>,
}

impl DataTask {
    /// Builds a task. Training problems whose prompt is also held out for evaluation are left out
    /// ([`DataTask::leaked`] counts them), and so are those contained in an earlier training set.
    ///
    /// # Errors
    /// [`Error::Setting`] if only some of the sets have a weight, or if no training problems are left in a
    /// set; [`Error::Term`] if a verifier does not work.
    pub fn new(train: Vec<TrainSet>, held_out: Vec<Dataset>, reward: Reward, seed: u64) -> Result<DataTask, Error> {
        let mut sets: Vec<String> = train.iter().map(|part| describe("training", &part.set)).collect();
        sets.extend(held_out.iter().map(|set| describe("held-out", set)));
        let all = train.iter().map(|part| &part.set).chain(&held_out);
        let mut warnings: Vec<String> = all.flat_map(Dataset::left_out).collect();
        let held_out = joined(held_out);
        let kept: BTreeSet<Question> = held_out.iter().map(question).collect();
        let mut seen = BTreeSet::new();
        let (mut problems, mut lengths, mut weights, mut leaked) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for TrainSet { set, weight } in train {
            let (name, read) = (set.name, set.rows - set.duplicates);
            let Left { left, held_out, repeated } = leave_out(set.problems, &kept, &mut seen);
            if left.is_empty() {
                return Err(Error::Setting {
                    setting: "the number of training problems after filtering",
                    expected: "at least 1".to_owned(),
                    found: format!("0 of {read} in {name}"),
                });
            }
            if held_out > 0 {
                let why = "they are held out for evaluation";
                warnings.push(format!("{held_out} of {read} training problems of {name} are left out: {why}"));
            }
            if repeated > 0 {
                let why = "an earlier set contains them";
                warnings.push(format!("{repeated} of {read} training problems of {name} are left out: {why}"));
            }
            leaked += held_out;
            lengths.push(left.len());
            weights.push(weight);
            problems.extend(left);
        }
        number(&mut problems);
        reward.probe(problems.iter().chain(&held_out))?;
        let order = Some(order(seed, &lengths, &weights)?);
        let name = problems.first().map(|problem| problem.data_source.clone()).unwrap_or_default();
        Ok(DataTask { name, train: problems, held_out, reward, order, leaked, sets, warnings })
    }

    /// A task used only for evaluation.
    ///
    /// # Errors
    /// [`Error::Term`] if a verifier does not work.
    pub fn without_training(held_out: Vec<Dataset>, reward: Reward) -> Result<DataTask, Error> {
        let names: Vec<&str> = held_out.iter().map(|set| set.name.as_str()).collect();
        let task = DataTask {
            name: names.join(", "),
            sets: held_out.iter().map(|set| describe("held-out", set)).collect(),
            warnings: held_out.iter().flat_map(Dataset::left_out).collect(),
            held_out: joined(held_out),
            reward,
            train: Vec::new(),
            order: None,
            leaked: 0,
        };
        task.reward.probe(task.held_out.iter())?;
        Ok(task)
    }

    /// Training problems, in the order of the files; the order of training is [`Task::train_problems`].
    pub fn train(&self) -> &[Problem] {
        &self.train
    }

    /// Training problems left out because they are held out for evaluation.
    pub fn leaked(&self) -> usize {
        self.leaked
    }
}

impl Task for DataTask {
    fn name(&self) -> &str {
        &self.name
    }

    fn train_problems(&self, start: u64, count: usize) -> Vec<Problem> {
        let rows = self.order.as_ref().map_or(Vec::new(), |order| order.rows(start, count));
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

    fn grade_all(&self, attempts: &[Attempt<'_>]) -> Vec<Grade> {
        self.reward.grade_all(attempts)
    }

    fn graded_at_once(&self) -> usize {
        self.reward.graded_at_once()
    }

    fn graded_together(&self) -> usize {
        self.reward.graded_together()
    }

    fn verifier_secs(&self) -> Vec<(Arc<str>, f64)> {
        self.reward.secs()
    }

    fn sets(&self) -> Vec<String> {
        self.sets.clone()
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}

fn describe(kind: &str, set: &Dataset) -> String {
    format!("{}: {} {kind} problems ({})", set.name, set.problems.len(), set.layout)
}

fn joined(sets: Vec<Dataset>) -> Vec<Problem> {
    let mut problems: Vec<Problem> = sets.into_iter().flat_map(|set| set.problems).collect();
    number(&mut problems);
    problems
}

fn number(problems: &mut [Problem]) {
    (0..).zip(problems).for_each(|(index, problem)| problem.index = index);
}

/// What remains of a training set.
struct Left {
    left: Vec<Problem>,
    held_out: usize,
    repeated: usize,
}

/// Leaves out problems that are `kept` for evaluation or were `seen` before.
fn leave_out(problems: Vec<Problem>, kept: &BTreeSet<Question>, seen: &mut BTreeSet<Question>) -> Left {
    let mut found = Left { left: Vec::with_capacity(problems.len()), held_out: 0, repeated: 0 };
    for problem in problems {
        let question = question(&problem);
        if kept.contains(&question) {
            found.held_out += 1;
        } else if seen.insert(question) {
            found.left.push(problem);
        } else {
            found.repeated += 1;
        }
    }
    found
}

/// The order over sets of these lengths: one shuffle of all problems, or one of each set, mixed by weight.
fn order(seed: u64, lengths: &[usize], weights: &[Option<f64>]) -> Result<Mixture, Error> {
    let given: Vec<f64> = weights.iter().flatten().copied().collect();
    if given.is_empty() {
        return Ok(Mixture::of_one(Sampler::new(seed, lengths.iter().sum())));
    }
    let wrong = |expected: &str| Error::Setting {
        setting: "the list of training set weights",
        expected: expected.to_owned(),
        found: weights
            .iter()
            .map(|weight| weight.map_or("none".into(), |w| w.to_string()))
            .collect::<Vec<_>>()
            .join(", "),
    };
    if given.len() < weights.len() {
        return Err(wrong("one weight for each set, or none at all"));
    }
    Mixture::new(seed, lengths, &given).ok_or_else(|| wrong("positive numbers, none below a thousandth of their sum"))
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
            ..Problem::default()
        };
        let problems: Vec<Problem> = names.iter().enumerate().map(problem).collect();
        Dataset { name: "set".into(), rows: problems.len(), problems, ..Dataset::default() }
    }

    fn task(train: Dataset, held_out: Option<Dataset>, seed: u64) -> Result<DataTask, Error> {
        let train = vec![TrainSet { set: train, weight: None }];
        DataTask::new(train, held_out.into_iter().collect(), exact(), seed)
    }

    fn exact() -> Reward {
        Reward::try_from(Verifier::Exact { marker: None }).unwrap()
    }

    #[test]
    fn never_trains_on_what_it_evaluates_on() {
        let task = task(set(&["a", "b", "c", "d"]), Some(set(&["c", "x"])), 1).unwrap();
        assert_eq!(task.leaked(), 1);
        let mut drawn: Vec<String> = task.train_problems(0, 3).into_iter().map(|p| p.prompt).collect();
        drawn.sort();
        assert_eq!(drawn, ["a", "b", "d"]);
        assert_eq!(task.held_out().len(), 2);
        let left_out = "1 of 4 training problems of set are left out: they are held out for evaluation";
        assert_eq!(task.warnings(), [left_out]);
        let error = self::task(set(&["a"]), Some(set(&["a"])), 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the number of training problems after filtering is 0 of 1 in set, expected at least 1"
        );
    }

    #[test]
    fn repeated_rows_are_reported() {
        let repeated =
            |conflicting_duplicates| Dataset { rows: 5, duplicates: 3, conflicting_duplicates, ..set(&["a", "b"]) };
        let held_out = Dataset { duplicates: 3, rows: 9, ..set(&["x"]) };
        let task = task(repeated(2), Some(held_out), 1).unwrap();
        assert_eq!(
            task.warnings(),
            [
                "3 of 5 rows of set are left out: they repeat an earlier prompt, \
                 2 of them with a different answer (the first one counts)",
                "3 of 9 rows of set are left out: they repeat an earlier prompt"
            ]
        );
        assert_eq!(self::task(set(&["a"]), None, 1).unwrap().warnings(), [""; 0]);
    }

    #[test]
    fn a_task_without_training_has_only_held_out_problems() {
        let named =
            |name: &str, problems: &[&str]| Dataset { name: name.into(), rows: 9, duplicates: 1, ..set(problems) };
        let task = DataTask::without_training(vec![named("one", &["a"]), named("two", &["b", "c"])], exact()).unwrap();
        assert_eq!((task.name(), task.train_problems(0, 3)), ("one, two", vec![]));
        assert_eq!(task.held_out().iter().map(|problem| problem.index).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!((task.sets().len(), task.warnings().len()), (2, 2));
    }

    #[test]
    fn prompts_depend_only_on_the_position_and_are_graded() {
        let task = task(set(&["a", "b", "c"]), None, 7).unwrap();
        let all = task.train_problems(0, 12);
        assert_eq!(task.train_problems(5, 4), all[5..9]);
        assert!(task.grade(&all[0], format!("{}!", all[0].prompt).as_str().into()).verdict.is_correct());
        assert!(!task.grade(&all[0], "?!".into()).verdict.is_correct());
    }

    #[test]
    fn sets_are_mixed_by_weight_and_share_no_problem() {
        let part = |names: &[&str], weight| TrainSet { set: set(names), weight };
        let mixed = |parts| DataTask::new(parts, vec![set(&["x"]), set(&["y"])], exact(), 5);
        let task = mixed(vec![part(&["a", "b"], Some(1.0)), part(&["b", "c", "d"], Some(3.0))]).unwrap();
        assert_eq!(task.warnings(), ["1 of 3 training problems of set are left out: an earlier set contains them"]);
        let drawn = task.train_problems(0, 4000);
        let count = |names: &[&str]| drawn.iter().filter(|problem| names.contains(&problem.prompt.as_str())).count();
        assert_eq!((count(&["a", "b"]), count(&["c", "d"])), (1000, 3000));
        assert_eq!((count(&["a"]), count(&["c"])), (500, 1500), "each set goes through its own epochs");
        assert_eq!(task.train_problems(1234, 777), drawn[1234..1234 + 777]);
        assert_eq!(task.held_out().iter().map(|problem| problem.index).collect::<Vec<_>>(), [0, 1]);

        let message = |weights: [Option<f64>; 2]| {
            mixed(vec![part(&["a"], weights[0]), part(&["b"], weights[1])]).unwrap_err().to_string()
        };
        assert_eq!(
            message([Some(1.0), None]),
            "the list of training set weights is 1, none, expected one weight for each set, or none at all"
        );
        assert!(message([Some(1.0), Some(-1.0)]).contains("is 1, -1, expected positive numbers"));
        assert!(message([Some(1.0), Some(1e-9)]).contains("none below a thousandth"));
    }
}
