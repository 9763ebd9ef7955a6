//! The responses of a step, packed for training. One constructor checks all lengths, once.

use std::ops::Range;

use vapo_algo::soft_overlong_penalty;
use vapo_lm::Sequence;
use vapo_tasks::{Random, Verdict};

use crate::{
    config::Config,
    error::{Error, Result},
    rollout::GradedRollout,
};

/// Graded responses `[R]` with their concatenated tokens `[N]`. Responses on which the verifier failed are left out.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    responses: Vec<GradedRollout<'a>>,
    rewards: Vec<f32>,
    /// Where each response starts among the N tokens, and N. `[R + 1]`
    offsets: Vec<usize>,
    old_logp: Vec<f32>,
    sampler_logp: Vec<f32>,
    failed: usize,
}

/// How grades are converted to rewards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RewardRules {
    /// Reward of score 1.
    pub right: f64,
    /// Reward of score 0.
    pub wrong: f64,
    /// Failed verdicts on more than this share of the step are an error.
    pub max_failed_share: f64,
    /// Soft overlong penalty, if there is one.
    pub overlong: Option<Overlong>,
}

/// Soft overlong penalty ([`soft_overlong_penalty`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overlong {
    /// Length of the longest response.
    pub max_tokens: usize,
    /// Number of tokens before that over which the reward falls.
    pub buffer_tokens: usize,
    /// Maximum penalty.
    pub penalty: f64,
}

impl RewardRules {
    /// The rules of a config.
    pub fn new(config: &Config) -> Self {
        let (algorithm, max_tokens) = (&config.algorithm, config.rollout.max_new_tokens);
        let overlong = algorithm.overlong_buffer.map(|share| Overlong {
            max_tokens,
            buffer_tokens: (share * max_tokens as f64).round() as usize,
            penalty: algorithm.largest_overlong_penalty(),
        });
        let (right, wrong) = (algorithm.reward_right, algorithm.reward_wrong);
        Self { right, wrong, max_failed_share: config.reward.max_failed_share, overlong }
    }

    fn reward(self, graded: &GradedRollout<'_>) -> Option<f32> {
        let earned = graded.grade.reward(self.right, self.wrong)?;
        let length = graded.rollout.completion.tokens.len();
        let penalty = self.overlong.map_or(0.0, |overlong| {
            let share = soft_overlong_penalty(length, overlong.max_tokens, overlong.buffer_tokens);
            overlong.penalty * f64::from(share)
        });
        Some((f64::from(earned) + penalty) as f32)
    }
}

impl<'a> Batch<'a> {
    /// Packs graded responses.
    ///
    /// # Errors
    /// The verifier failed on too many responses, or on every one.
    ///
    /// # Panics
    /// If a response is empty or does not have one log-prob per token (which the engine guarantees).
    pub fn new(graded: Vec<GradedRollout<'a>>, rules: RewardRules) -> Result<Self> {
        check_failures(graded.iter().map(|graded| &graded.grade.verdict), rules.max_failed_share, "step")?;
        let total = graded.len();
        let reward = |graded: &GradedRollout<'_>| rules.reward(graded);
        let (rewards, responses): (Vec<f32>, Vec<_>) =
            graded.into_iter().filter_map(|graded| Some((reward(&graded)?, graded))).unzip();
        let (mut offsets, mut old_logp, mut sampler_logp) = (vec![0], Vec::new(), Vec::new());
        for graded in &responses {
            let completion = &graded.rollout.completion;
            assert!(!completion.tokens.is_empty(), "a response holds at least its last token");
            assert_eq!(completion.tokens.len(), completion.logps.len(), "one log-prob per token");
            assert_eq!(
                completion.tokens.len(),
                completion.sampler_logps.len(),
                "one log-prob of the sampler per token"
            );
            old_logp.extend_from_slice(&completion.logps);
            sampler_logp.extend_from_slice(&completion.sampler_logps);
            offsets.push(old_logp.len());
        }
        Ok(Self { rewards, failed: total - responses.len(), responses, offsets, old_logp, sampler_logp })
    }

    /// The responses `[R]`, group by group.
    pub fn responses(&self) -> &[GradedRollout<'a>] {
        &self.responses
    }

    /// Reward of each response `[R]`.
    pub fn rewards(&self) -> &[f32] {
        &self.rewards
    }

    /// Log-prob of each token when it was sampled `[N]`.
    pub fn old_logp(&self) -> &[f32] {
        &self.old_logp
    }

    /// Log-prob of each token in the distribution it was drawn from, which top-k, top-p or min-p may have truncated `[N]`.
    pub fn sampler_logp(&self) -> &[f32] {
        &self.sampler_logp
    }

    /// Responses left out because the verifier failed on them.
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// N.
    pub fn num_tokens(&self) -> usize {
        self.old_logp.len()
    }

    /// The tokens of a response among the N.
    pub fn tokens_of(&self, response: usize) -> Range<usize> {
        self.offsets[response]..self.offsets[response + 1]
    }

    /// Tokens per response `[R]`.
    pub fn lengths(&self) -> Vec<usize> {
        self.offsets.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// Whether each response counts in the policy loss `[R]`: overlong filtering leaves out those that were cut off.
    pub fn included(&self, overlong_filtering: bool) -> Vec<bool> {
        self.responses.iter().map(|graded| !(overlong_filtering && graded.rollout.is_truncated())).collect()
    }

    /// The responses grouped by prompt, in order.
    pub fn groups(&self) -> Vec<Range<usize>> {
        let mut groups: Vec<Range<usize>> = Vec::new();
        for (index, graded) in self.responses.iter().enumerate() {
            match groups.last_mut() {
                Some(group) if self.responses[group.start].rollout.prompt.key == graded.rollout.prompt.key => {
                    group.end = index + 1;
                }
                _ => groups.push(index..index + 1),
            }
        }
        groups
    }

    /// All responses in the engine's format.
    pub fn sequences(&self) -> Vec<Sequence<'_>> {
        (0..self.responses.len()).map(|response| self.sequence(response)).collect()
    }

    fn sequence(&self, response: usize) -> Sequence<'_> {
        let rollout = &self.responses[response].rollout;
        Sequence { prompt: &rollout.prompt.tokens, response: &rollout.completion.tokens }
    }

    /// Some of the responses, in the given order.
    pub fn select(&self, responses: &[usize]) -> Minibatch<'_> {
        Minibatch {
            sequences: responses.iter().map(|&response| self.sequence(response)).collect(),
            lengths: responses.iter().map(|&response| self.tokens_of(response).len()).collect(),
            correct: responses.iter().map(|&response| self.responses[response].grade.verdict.is_correct()).collect(),
            truncated: responses.iter().map(|&response| self.responses[response].rollout.is_truncated()).collect(),
            tokens: responses.iter().flat_map(|&response| self.tokens_of(response)).collect(),
        }
    }

    /// Shuffles the responses and deals them into `parts` minibatches of equal size, up to one. Within a minibatch they
    /// are in order, so that responses to one prompt are adjacent and the engine computes the prompt once.
    pub fn minibatches(&self, parts: usize, mut random: Random) -> Vec<Minibatch<'_>> {
        let mut order: Vec<usize> = (0..self.responses.len()).collect();
        random.shuffle(&mut order);
        let bound = |part: usize| part * order.len() / parts;
        (0..parts)
            .map(|part| &order[bound(part)..bound(part + 1)])
            .filter(|part| !part.is_empty())
            .map(|part| {
                let mut part = part.to_vec();
                part.sort_unstable();
                self.select(&part)
            })
            .collect()
    }
}

/// Returns an error if the verifier failed on more than a share of the responses, or on all: the rest would be a biased
/// sample.
pub(crate) fn check_failures<'a>(
    verdicts: impl Iterator<Item = &'a Verdict>,
    max_share: f64,
    stage: &str,
) -> Result<()> {
    let (mut total, mut failed, mut first) = (0, 0, "");
    for verdict in verdicts {
        total += 1;
        if let Verdict::Failed { reason } = verdict {
            first = if failed == 0 { reason } else { first };
            failed += 1;
        }
    }
    if failed == 0 || (failed < total && f64::from(failed) <= max_share * f64::from(total)) {
        return Ok(());
    }
    Err(Error::Run(format!(
        "the verifier failed on {failed} of the {stage}'s {total} responses (reward.max_failed_share is {max_share}); first failure: {first}"
    )))
}

/// The responses of one optimizer update.
#[derive(Clone, Debug)]
pub struct Minibatch<'a> {
    /// Prompts and responses.
    pub sequences: Vec<Sequence<'a>>,
    /// Tokens per response.
    pub lengths: Vec<usize>,
    /// Whether the answer is right.
    pub correct: Vec<bool>,
    /// Whether the length limit cut the response off.
    pub truncated: Vec<bool>,
    tokens: Vec<usize>,
}

impl<'a> Minibatch<'a> {
    /// A minibatch that is a batch of its own: its part of a column is the whole column.
    pub(crate) fn whole(sequences: Vec<Sequence<'a>>, correct: Vec<bool>, truncated: Vec<bool>) -> Self {
        let lengths: Vec<usize> = sequences.iter().map(|sequence| sequence.response.len()).collect();
        let tokens = (0..lengths.iter().sum()).collect();
        Self { sequences, lengths, correct, truncated, tokens }
    }

    /// The minibatch's part of a per-token column of the batch: `[N]` -> `[n]`.
    pub fn gather(&self, column: &[f32]) -> Vec<f32> {
        self.tokens.iter().map(|&token| column[token]).collect()
    }

    /// Its tokens among the batch's N. `[n]`
    pub(crate) fn tokens(&self) -> &[usize] {
        &self.tokens
    }

    /// Whether each response counts in the policy loss.
    pub fn included(&self, overlong_filtering: bool) -> Vec<bool> {
        self.truncated.iter().map(|&truncated| !(overlong_filtering && truncated)).collect()
    }

    /// Tokens of the responses before this one.
    pub(crate) fn tokens_before(&self, response: usize) -> usize {
        self.lengths[..response].iter().sum()
    }

    /// n.
    pub fn num_tokens(&self) -> usize {
        self.tokens.len()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use vapo_lm::{Completion, StopReason};
    use vapo_tasks::{Problem, Stream};

    use super::*;
    use crate::rollout::{Prompt, Rollout};

    pub(crate) fn prompt(key: u64) -> Prompt {
        let problem = Problem {
            index: key,
            prompt: "p".into(),
            answer: "a".into(),
            data_source: "test".into(),
            ..Problem::default()
        };
        Prompt { problem, tokens: vec![1, 2], key }
    }

    pub(crate) fn graded<'a>(prompt: &'a Prompt, tokens: &[u32], verdict: Verdict) -> GradedRollout<'a> {
        let completion = Completion {
            tokens: tokens.to_vec(),
            logps: tokens.iter().map(|&token| -(token as f32)).collect(),
            sampler_logps: tokens.iter().map(|&token| -(token as f32)).collect(),
            stop: StopReason::StopToken,
        };
        GradedRollout { rollout: Rollout { prompt, completion, text: String::new() }, grade: verdict.into() }
    }

    const RULES: RewardRules = RewardRules { right: 1.0, wrong: -1.0, max_failed_share: 0.25, overlong: None };

    #[test]
    fn tokens_are_packed_in_order_and_failed_responses_left_out() {
        let (first, second) = (prompt(7), prompt(8));
        let batch = Batch::new(
            vec![
                graded(&first, &[3, 4], Verdict::graded(true)),
                graded(&first, &[5], Verdict::failed("timeout")),
                graded(&first, &[6], Verdict::malformed("no answer")),
                graded(&second, &[7, 8, 9], Verdict::graded(false)),
            ],
            RULES,
        )
        .unwrap();
        assert_eq!(batch.old_logp(), [-3.0, -4.0, -6.0, -7.0, -8.0, -9.0]);
        assert_eq!(batch.rewards(), [1.0, -1.0, -1.0]);
        assert_eq!((batch.failed(), batch.lengths()), (1, vec![2, 1, 3]));
        assert_eq!(batch.groups(), [0..2, 2..3]);
        let minibatch = batch.select(&[2, 0]);
        assert_eq!(minibatch.gather(batch.old_logp()), [-7.0, -8.0, -9.0, -3.0, -4.0]);
        assert_eq!((minibatch.lengths.as_slice(), minibatch.correct.as_slice()), (&[3, 2][..], &[false, true][..]));
        assert_eq!(minibatch.sequences[0].response, [7, 8, 9]);
    }

    /// A limit of 5 tokens with a buffer of 4: lengths 1, 3 and 5 lose nothing, half and all of the penalty.
    #[test]
    fn rewards_fall_towards_the_length_limit() {
        let prompt = prompt(0);
        let mut config = Config::default();
        config.rollout.max_new_tokens = 5;
        config.algorithm.reward_wrong = -1.0;
        (config.algorithm.overlong_buffer, config.algorithm.overlong_penalty) = (Some(0.8), 0.5);
        let of_length = |length: u32, right| graded(&prompt, &vec![1; length as usize], Verdict::graded(right));
        let responses = vec![of_length(1, true), of_length(3, true), of_length(5, true), of_length(5, false)];
        let batch = Batch::new(responses, RewardRules::new(&config)).unwrap();
        assert_eq!(batch.rewards(), [1.0, 0.5, 0.0, -2.0]);
        assert_eq!(config.reward_range(), [-2.0, 1.0]);
    }

    #[test]
    fn a_step_with_too_many_failures_is_an_error() {
        let prompt = prompt(0);
        let of = |failed: usize, graded_ones: usize, max_failed_share| {
            let failures = (0..failed).map(|number| graded(&prompt, &[1], Verdict::failed(format!("reason {number}"))));
            let others = (0..graded_ones).map(|_| graded(&prompt, &[1], Verdict::graded(true)));
            let rules = RewardRules { max_failed_share, ..RULES };
            Batch::new(failures.chain(others).collect(), rules).map(|batch| batch.failed()).map_err(|e| e.to_string())
        };
        assert_eq!(of(1, 3, 0.25), Ok(1));
        let expected = "the verifier failed on 2 of the step's 5 responses (reward.max_failed_share is 0.25); first failure: reason 0";
        assert_eq!(of(2, 3, 0.25), Err(expected.to_owned()));
        assert_eq!(of(5, 5, 1.0), Ok(5));
        assert!(of(3, 0, 1.0).unwrap_err().contains("on 3 of the step's 3 responses"));
    }

    #[test]
    fn the_reward_of_several_terms_is_their_weighted_sum() {
        let prompt = prompt(0);
        let shaped = |correct| {
            let mut graded = graded(&prompt, &[1], Verdict::graded(correct));
            (graded.grade.weight, graded.grade.shaping) = (2.0, -0.5);
            graded
        };
        let batch = Batch::new(vec![shaped(true), shaped(false)], RULES).unwrap();
        assert_eq!(batch.rewards(), [1.5, -2.5]);
    }

    #[test]
    fn minibatches_hold_every_response_once_and_repeat_with_their_seed() {
        let prompt = prompt(0);
        let responses = (0..11u32).map(|token| graded(&prompt, &[token], Verdict::graded(false)));
        let batch = Batch::new(responses.collect(), RULES).unwrap();
        let deal = |seed| -> Vec<Vec<f32>> {
            let parts = batch.minibatches(4, Random::keyed(seed, Stream::TestCase, &[0]));
            parts.iter().map(|part| part.gather(batch.old_logp())).collect()
        };
        let dealt = deal(1);
        assert_eq!(dealt.iter().map(Vec::len).collect::<Vec<_>>(), [2, 3, 3, 3]);
        let mut all: Vec<f32> = dealt.concat();
        assert!(!all.is_sorted(), "shuffled: {all:?}");
        all.sort_by(f32::total_cmp);
        assert_eq!(all, (0..11).rev().map(|token| -(token as f32)).collect::<Vec<_>>());
        assert_eq!(dealt, deal(1));
        assert_ne!(dealt, deal(2));
        assert_eq!(batch.minibatches(20, Random::new(0)).len(), 11, "no empty minibatch");
    }
}
