//! Tasks that come with the program: problems generated from their index, easy enough for a model that is trained in a
//! minute, with answers whose steps can be checked one by one.

mod chain;
mod recall;
mod steps;
mod tokenizer;
mod walk;

use std::{collections::BTreeSet, ops::Range};

pub use chain::Chain;
pub use recall::Recall;
pub use steps::WrongStep;
pub use tokenizer::{BOS, EOS};
pub use walk::Walk;

use crate::random::{Random, Stream, stable_hash};
use crate::{Error, Grade, Problem, Response, Task};

/// Fixed, so that held-out problems do not change with the seed and runs can be compared.
const HELD_OUT_SEED: u64 = 0;
/// One problem in this many is held out.
const HELD_OUT_SHARE: u64 = 10;
/// Draws per requested held-out problem before the world counts as too small; duplicates make more than one necessary.
const MAX_DRAWS: usize = 20;

/// Default number of test problems.
pub const TEST_PROBLEMS: usize = 512;

/// A world of problems; its fields are its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum World {
    /// Evaluate an expression step by step.
    Chain(Chain),
    /// Apply memorized functions.
    Recall(Recall),
    /// Reach a number by moves.
    Walk(Walk),
}

impl World {
    /// The names of all worlds.
    pub const NAMES: [&str; 3] = [chain::NAME, recall::NAME, walk::NAME];

    /// The world of this name with its default settings.
    ///
    /// # Errors
    /// [`Error::UnknownTask`].
    pub fn named(name: &str) -> Result<World, Error> {
        match name {
            chain::NAME => Ok(World::Chain(Chain::default())),
            recall::NAME => Ok(World::Recall(Recall::default())),
            walk::NAME => Ok(World::Walk(Walk::default())),
            _ => Err(Error::UnknownTask { name: name.to_owned(), known: World::NAMES.join(", ") }),
        }
    }

    /// The world's name.
    pub fn name(&self) -> &'static str {
        match self {
            World::Chain(_) => chain::NAME,
            World::Recall(_) => recall::NAME,
            World::Walk(_) => walk::NAME,
        }
    }

    /// The world's tokenizer, as the text of a Hugging Face `tokenizer.json`: a token per character, [`BOS`] and [`EOS`].
    pub fn tokenizer_json(&self) -> String {
        tokenizer::json(match self {
            World::Chain(_) => chain::ALPHABET,
            World::Recall(_) => recall::ALPHABET,
            World::Walk(_) => walk::ALPHABET,
        })
    }

    /// The `tokenizer_config.json` that transformers needs in addition.
    pub fn tokenizer_config_json(&self) -> String {
        tokenizer::config_json()
    }

    fn validate(&self) -> Result<(), Error> {
        match self {
            World::Chain(chain) => chain.validate(),
            World::Recall(recall) => recall.validate(),
            World::Walk(walk) => walk.validate(),
        }
    }

    /// A random prompt and its answer.
    fn draw(&self, random: &mut Random) -> (String, String) {
        match self {
            World::Chain(chain) => chain.draw(random),
            World::Recall(recall) => recall.draw(random),
            World::Walk(walk) => walk.draw(random),
        }
    }

    /// A random problem from one side of the split, which depends only on the prompt's text.
    fn draw_from(&self, held_out: bool, index: u64, random: &mut Random) -> Problem {
        loop {
            let (prompt, answer) = self.draw(random);
            if is_held_out(&prompt) == held_out {
                let data_source = self.name().to_owned();
                return Problem { index, prompt, answer, data_source, ..Problem::default() };
            }
        }
    }
}

/// Whether a problem is held out for evaluation, regardless of seed and settings.
fn is_held_out(prompt: &str) -> bool {
    stable_hash(prompt).is_multiple_of(HELD_OUT_SHARE)
}

/// A training problem with the demonstrator's solution, errors included.
#[derive(Clone, Debug, PartialEq)]
pub struct Demonstration {
    /// The problem, never a held-out one.
    pub problem: Problem,
    /// The solution, right or wrong.
    pub response: String,
}

/// A built-in world as a task: endless training problems, and held-out problems that are never among them.
#[derive(Clone, Debug)]
pub struct BuiltinTask {
    world: World,
    seed: u64,
    held_out: Vec<Problem>,
}

impl BuiltinTask {
    /// Makes the task. Its held-out problems, all distinct, form one fixed sequence per world; `held_out` is the range of
    /// those used for evaluation, so that disjoint ranges give disjoint sets.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting out of range or a world with fewer held-out problems.
    pub fn new(world: World, seed: u64, held_out: Range<usize>) -> Result<BuiltinTask, Error> {
        world.validate()?;
        let mut random = Random::keyed(HELD_OUT_SEED, Stream::HeldOutProblems, &[0]);
        let mut problems: Vec<Problem> = Vec::with_capacity(held_out.end);
        let mut seen = BTreeSet::new();
        for _ in 0..held_out.end.saturating_mul(MAX_DRAWS) {
            if problems.len() == held_out.end {
                break;
            }
            let problem = world.draw_from(true, problems.len() as u64, &mut random);
            if seen.insert(problem.prompt.clone()) {
                problems.push(problem);
            }
        }
        if problems.len() < held_out.end {
            let expected = format!("at most about {} for `{}`", problems.len(), world.name());
            let found = held_out.end.to_string();
            return Err(Error::Setting { setting: "the number of held-out problems", expected, found });
        }
        Ok(BuiltinTask { world, seed, held_out: problems.split_off(held_out.start) })
    }

    /// The world with its settings.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The demonstrations `start..start + count` for pretraining; they depend only on the task's seed and these indices.
    pub fn demonstrations(&self, start: u64, count: usize) -> Vec<Demonstration> {
        let make = |index| {
            let mut random = Random::keyed(self.seed, Stream::Demonstration, &[index]);
            let problem = self.world.draw_from(false, index, &mut random);
            let response = match &self.world {
                World::Chain(chain) => chain.demonstrate(&problem.prompt, &mut random),
                World::Recall(recall) => recall.demonstrate(&problem.prompt, &mut random),
                World::Walk(walk) => walk.demonstrate(&problem.prompt, &mut random),
            };
            // A world can parse every prompt that it draws.
            Demonstration { problem, response: response.unwrap_or_default() }
        };
        (start..).take(count).map(make).collect()
    }

    /// A right solution; `None` if the problem does not belong to this world.
    pub fn solution(&self, problem: &Problem) -> Option<String> {
        match &self.world {
            World::Chain(chain) => chain.solution(&problem.prompt),
            World::Recall(recall) => recall.solution(&problem.prompt),
            World::Walk(walk) => walk.solution(&problem.prompt),
        }
    }

    /// The first step of a response that is wrong and was not taken back; `None` if every step is right, or if the
    /// problem does not belong to this world.
    pub fn first_wrong_step(&self, problem: &Problem, response: &str) -> Option<WrongStep> {
        match &self.world {
            World::Chain(chain) => chain.first_wrong_step(&problem.prompt, response),
            World::Recall(recall) => recall.first_wrong_step(&problem.prompt, response),
            World::Walk(walk) => walk.first_wrong_step(&problem.prompt, response),
        }
    }
}

impl Task for BuiltinTask {
    fn name(&self) -> &str {
        self.world.name()
    }

    fn train_problems(&self, start: u64, count: usize) -> Vec<Problem> {
        let make = |index| {
            let mut random = Random::keyed(self.seed, Stream::TrainProblem, &[index]);
            self.world.draw_from(false, index, &mut random)
        };
        (start..).take(count).map(make).collect()
    }

    fn first_wrong_offset(&self, problem: &Problem, response: &str) -> Option<usize> {
        self.first_wrong_step(problem, response).map(|wrong| wrong.offset)
    }

    fn held_out(&self) -> &[Problem] {
        &self.held_out
    }

    fn grade(&self, problem: &Problem, response: Response<'_>) -> Grade {
        match &self.world {
            World::Chain(chain) => {
                let last = response.text.chars().last().map(String::from);
                Grade::from(chain.grade(&problem.answer, response.text)).with_answer(last)
            }
            World::Recall(recall) => recall.grade(&problem.prompt, response.text).into(),
            World::Walk(walk) => walk.grade(&problem.prompt, response.text).into(),
        }
    }
}

#[cfg(test)]
mod tests;
