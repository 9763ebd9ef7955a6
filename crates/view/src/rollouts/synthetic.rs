//! Records with the writer of a real run, for tests and the benchmark: any number and length of responses, in no time.

use std::{fs, ops::Range, path::Path};

use vapo_algo::ClipState;
use vapo_lm::{Completion, StopReason, Tokenizer};
use vapo_tasks::{Grade, Problem, Random, Verdict, World};
use vapo_train::{
    RunDir,
    batch::{Batch, RewardRules},
    credit::{Credit, ValueCredit},
    records::StepRecord,
    rollout::{GradedRollout, Prompt, Rollout},
    trace::TokenTrace,
};

const RULES: RewardRules = RewardRules { right: 1.0, wrong: 0.0, max_failed_share: 1.0, overlong: None };
const WORDS: [&str; 11] = ["we", "add", "Seven", "and", "nine", "carry", "the", "one", "check", "again", "therefore"];

/// What the records hold.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) prompts: usize,
    pub(crate) group_size: usize,
    /// Mean length of a response.
    pub(crate) tokens: usize,
}

/// Adds the records of some steps to a run's directory, which is made if it does not exist.
pub(crate) fn write_records(directory: &Path, steps: Range<u64>, shape: Shape) -> RunDir {
    fs::create_dir_all(directory.join("rollouts")).unwrap();
    fs::write(directory.join("config.toml"), "").unwrap();
    let tokenizer = Tokenizer::from_json(World::named("chain").unwrap().tokenizer_json().as_bytes()).unwrap();
    for step in steps {
        write_record(directory, step, shape, &tokenizer);
    }
    RunDir::open(directory).unwrap()
}

fn write_record(directory: &Path, step: u64, shape: Shape, tokenizer: &Tokenizer) {
    let mut random = Random::new(step);
    let prompts: Vec<Prompt> = (0..shape.prompts as u64).map(|n| prompt(step * shape.prompts as u64 + n)).collect();
    let answers: Vec<GradedRollout<'_>> = prompts
        .iter()
        .flat_map(|prompt| std::iter::repeat_n(prompt, shape.group_size))
        .map(|prompt| answer(prompt, shape.tokens, &mut random))
        .collect();
    let lengths: Vec<usize> = answers.iter().map(|graded| graded.rollout.completion.tokens.len()).collect();
    let first_wrong: Vec<Option<usize>> = answers
        .iter()
        .zip(&lengths)
        .map(|(graded, &length)| (!graded.grade.verdict.is_correct()).then(|| random.below(length as u64) as usize))
        .collect();
    let batch = Batch::new(answers, RULES).unwrap();
    let n = batch.num_tokens();
    let mut column = || (0..n).map(|_| random.unit() as f32 * 2.0 - 1.0).collect::<Vec<f32>>();
    let values = ValueCredit {
        old_values: column(),
        targets: column(),
        returns: column(),
        policy_lambdas: lengths.iter().map(|&length| 1.0 - 1.0 / length as f64).collect(),
    };
    let credit = Credit { advantages: column(), values: Some(values), reward_kl: None };
    let trace = TokenTrace { entropy: column(), ratio: column(), clip: vec![ClipState::Unclipped; n] };
    let record = StepRecord {
        step,
        policy_version: 16 * step,
        batch: &batch,
        credit: &credit,
        first_wrong: &first_wrong,
        trace: Some(&trace),
        tokenizer,
    };
    record.write(&directory.join("rollouts"), None).unwrap();
}

fn prompt(key: u64) -> Prompt {
    let problem =
        Problem { index: key % 100, answer: (key % 10).to_string(), data_source: "sums".into(), ..Problem::default() };
    Prompt { problem, tokens: (0..20).map(|n| 3 + (key + n) as u32 % 30).collect(), key }
}

fn answer<'p>(prompt: &'p Prompt, mean: usize, random: &mut Random) -> GradedRollout<'p> {
    let length = (mean / 2 + random.below(mean as u64 + 1) as usize).max(1);
    let tokens: Vec<u32> = (0..length).map(|_| 3 + random.below(30) as u32).collect();
    let logps: Vec<f32> = (0..length).map(|_| -random.unit() as f32).collect();
    let stop = if random.chance(0.1) { StopReason::Length } else { StopReason::StopToken };
    let completion = Completion { tokens, sampler_logps: logps.clone(), logps, stop };
    // About four characters per token, as English has.
    let mut text = String::new();
    if random.chance(0.1) {
        text += "ÄPFEL ";
    }
    while text.len() < 4 * length {
        text += random.pick(&WORDS);
        text += " ";
    }
    let verdict = match random.below(10) {
        0 => Verdict::malformed("no answer"),
        n => Verdict::graded(n > 5),
    };
    let answer = verdict.is_correct().then(|| prompt.problem.answer.clone());
    GradedRollout { rollout: Rollout { prompt, completion, text }, grade: Grade { answer, ..verdict.into() } }
}
