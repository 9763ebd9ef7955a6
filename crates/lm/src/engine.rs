//! Running networks: scores, values and gradients of packed sequences.

use crate::Model;
use crate::decoder::Pass;
use crate::layout::HeadPlace;
use crate::workspace::{HeadBuffers, Workspace};
use std::ops::Range;
use vapo_kernels::*;

/// A prompt with a response. Every response token is an action that was sampled; both parts hold at least one token.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'a> {
    /// Given tokens.
    pub prompt: &'a [u32],
    /// Sampled tokens, the end token included.
    pub response: &'a [u32],
}

impl Sequence<'_> {
    /// Tokens that pass through a network: all but the last, which nothing follows.
    fn num_inputs(&self) -> usize {
        self.prompt.len() + self.response.len() - 1
    }
}

/// Per-token outputs of a policy, `[n]` each.
#[derive(Clone, Debug, Default)]
pub struct Scored {
    /// Log-probability of the token, nats, under the temperature-scaled distribution.
    pub logp: Vec<f32>,
    /// Entropy of that distribution, nats.
    pub entropy: Vec<f32>,
}

/// Derivatives of a loss by the per-token outputs of a policy, `[n]` each.
#[derive(Clone, Debug)]
pub struct TokenGrad {
    /// dL/dlogp.
    pub dlogp: Vec<f32>,
    /// dL/dentropy, where the loss uses it.
    pub dentropy: Option<Vec<f32>>,
}

/// Most logits that exist at once. Responses that need more are scored chunk by chunk, and again for the gradient.
const MAX_LOGITS: usize = 1 << 25;

/// Threads and reusable buffers. Results have the same bits for any number of threads; scores, values and samples
/// also for any micro-batch size, gradients to rounding.
pub struct Engine {
    pub(crate) device: Device,
    pub(crate) work: Workspace,
    pub(crate) head: HeadBuffers,
    micro_batch_tokens: usize,
}

/// Sequences laid end to end, a prompt that several share once; shifted by one once and for all: row `scored[i]`
/// predicts `targets[i]`.
#[derive(Default)]
struct Packed {
    ids: Vec<u32>,
    positions: Vec<u32>,
    trees: Vec<Tree>,
    scored: Vec<usize>,
    targets: Vec<u32>,
}

impl Packed {
    fn new(sequences: &[Sequence]) -> Packed {
        let mut packed = Packed::default();
        for group in sequences.chunk_by(|a, b| a.prompt == b.prompt) {
            packed.push_group(group);
        }
        packed
    }

    /// Adds sequences of one prompt.
    fn push_group(&mut self, group: &[Sequence]) {
        let (prompt, first_row) = (group[0].prompt, self.ids.len());
        assert!(!prompt.is_empty(), "a prompt holds at least one token");
        self.ids.extend(prompt);
        self.positions.extend(0..prompt.len() as u32);
        let mut branches = Vec::with_capacity(group.len());
        for s in group {
            assert!(!s.response.is_empty(), "a response holds at least one token");
            let inputs = &s.response[..s.response.len() - 1];
            // The prompt's last row predicts the first token, the response's rows the others.
            self.scored.push(first_row + prompt.len() - 1);
            self.scored.extend(self.ids.len()..self.ids.len() + inputs.len());
            self.targets.extend(s.response);
            self.positions.extend((prompt.len()..prompt.len() + inputs.len()).map(|p| p as u32));
            self.ids.extend(inputs);
            branches.push(inputs.len());
        }
        self.trees.push(match branches[..] {
            [own] => Tree { first_row, prefix: prompt.len() + own, branches: Vec::new() },
            _ => Tree { first_row, prefix: prompt.len(), branches },
        });
    }

    fn pass<'a>(&'a self, device: &'a Device, model: &'a Model) -> Pass<'a> {
        Pass { device, model, ids: &self.ids, positions: &self.positions }
    }
}

impl Engine {
    /// An engine on a device, where its models must lie too. It passes sequences through in groups of about
    /// `micro_batch_tokens` tokens, at least one sequence each.
    pub fn new(device: &Device, micro_batch_tokens: usize) -> Engine {
        Engine { device: device.clone(), work: Workspace::default(), head: HeadBuffers::default(), micro_batch_tokens }
    }

    /// The device that kernels run on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Tokens that pass through together.
    pub fn micro_batch_tokens(&self) -> usize {
        self.micro_batch_tokens
    }

    /// Consecutive sequences that pass together: up to the token budget, and up to what one chunk of logits holds.
    fn micro_batches(&self, sequences: &[Sequence], vocab: usize) -> Vec<Range<usize>> {
        let mut batches: Vec<Range<usize>> = Vec::new();
        let (mut tokens, mut scored) = (0, 0);
        for (i, s) in sequences.iter().enumerate() {
            let shares_prompt = i > 0 && sequences[i - 1].prompt == s.prompt;
            let more = s.response.len() - 1 + if shares_prompt { 0 } else { s.prompt.len() };
            let fits = tokens + more <= self.micro_batch_tokens && (scored + s.response.len()) * vocab <= MAX_LOGITS;
            match batches.last_mut() {
                Some(batch) if fits => {
                    batch.end = i + 1;
                    (tokens, scored) = (tokens + more, scored + s.response.len());
                }
                _ => {
                    batches.push(i..i + 1);
                    (tokens, scored) = (s.num_inputs(), s.response.len());
                }
            }
        }
        batches
    }

    /// Log-probability and entropy of every response token of every sequence, in order.
    pub fn score(&mut self, policy: &Model, sequences: &[Sequence], temperature: f32) -> Scored {
        let mut all = Scored::default();
        for range in self.micro_batches(sequences, policy.config.vocab_size) {
            let packed = Packed::new(&sequences[range]);
            self.decode_and_norm(policy, &packed, false);
            let scores = self.score_chunks(policy, &packed, temperature);
            all.logp.extend(scores.iter().map(|score| score.logp));
            all.entropy.extend(scores.iter().map(|score| score.entropy));
        }
        all
    }

    /// V(s_t) for every response token t of every sequence, in order: read at the position before the token.
    pub fn values(&mut self, critic: &Model, sequences: &[Sequence]) -> Vec<f32> {
        let mut all = Vec::new();
        for range in self.micro_batches(sequences, 1) {
            let packed = Packed::new(&sequences[range]);
            self.decode_and_norm(critic, &packed, false);
            all.extend(self.scalar_values(critic, packed.scored.len()));
        }
        all
    }

    /// Adds a loss's gradient to `grads` (flat, as the policy's parameters). `loss` is called once per micro-batch with
    /// the range of response tokens (of all, in order) that it holds and the policy's outputs for them.
    pub fn policy_backward(
        &mut self,
        policy: &Model,
        grads: &mut Buffer,
        sequences: &[Sequence],
        temperature: f32,
        mut loss: impl FnMut(Range<usize>, &Scored) -> TokenGrad,
    ) {
        let mut first = 0;
        for range in self.micro_batches(sequences, policy.config.vocab_size) {
            let packed = Packed::new(&sequences[range]);
            let count = packed.scored.len();
            self.decode_and_norm(policy, &packed, true);
            let scores = self.score_chunks(policy, &packed, temperature);
            let scored = Scored {
                logp: scores.iter().map(|score| score.logp).collect(),
                entropy: scores.iter().map(|score| score.entropy).collect(),
            };
            let gradient = loss(first..first + count, &scored);
            assert_eq!(gradient.dlogp.len(), count, "one derivative per token");
            let rows: Vec<RowGradient> = (0..count)
                .map(|i| RowGradient {
                    target: packed.targets[i],
                    dlogp: gradient.dlogp[i],
                    dentropy: gradient.dentropy.as_ref().map_or(0.0, |d| d[i]),
                })
                .collect();
            self.reserve_gradients(policy, &packed);
            self.logits_backward(policy, grads, temperature, &scores, &rows);
            self.norm_and_decoder_backward(policy, grads, &packed);
            first += count;
        }
    }

    /// Adds a loss's gradient to `grads` (flat, as the critic's parameters). `loss` gets the range of response tokens
    /// and their values and returns dL/dV.
    pub fn critic_backward(
        &mut self,
        critic: &Model,
        grads: &mut Buffer,
        sequences: &[Sequence],
        mut loss: impl FnMut(Range<usize>, &[f32]) -> Vec<f32>,
    ) {
        let HeadPlace::Scalar { weight, bias } = &critic.layout.head else { panic!("a critic has a scalar head") };
        let mut first = 0;
        for range in self.micro_batches(sequences, 1) {
            let packed = Packed::new(&sequences[range]);
            let count = packed.scored.len();
            self.decode_and_norm(critic, &packed, true);
            let values = self.scalar_values(critic, count);
            let dvalues = loss(first..first + count, &values);
            assert_eq!(dvalues.len(), count, "one derivative per token");
            self.reserve_gradients(critic, &packed);
            let (before, from_bias) = grads.view_mut().split_at(bias.start);
            let (dweight, dbias) = (before.slice(weight.clone()), from_bias.slice(..1));
            let HeadBuffers { normed, dnormed, .. } = &mut self.head;
            let weight = critic.parameters.values(weight.clone());
            scalar_head_backward(&self.device, normed.view(), weight, &dvalues, dnormed.view_mut(), dweight, dbias);
            self.norm_and_decoder_backward(critic, grads, &packed);
            first += count;
        }
    }

    /// Runs the decoder and the final norm of the scored rows into `head.normed`.
    fn decode_and_norm(&mut self, model: &Model, packed: &Packed, keep: bool) {
        let config = &model.config;
        assert!(packed.positions.iter().all(|&p| (p as usize) < config.max_position_embeddings), "sequence too long");
        let device = &self.device;
        packed.pass(device, model).forward(keep, &mut self.work, &mut |layer, qkv, out| {
            attention(device, config.layer_attention(layer), qkv, &packed.trees, out);
        });
        self.gather_and_norm(model, &packed.scored);
    }

    /// Final norm of some rows of the decoder's output, into `head.normed`.
    pub(crate) fn gather_and_norm(&mut self, model: &Model, rows: &[usize]) {
        let (device, hidden) = (&self.device, model.config.hidden_size);
        let HeadBuffers { rows: gathered, normed, .. } = &mut self.head;
        let norm = model.norm(&model.layout.final_norm);
        let normed = normed.resize(device, rows.len() * hidden);
        gather_rows(device, self.work.hidden.view(), rows, hidden, gathered.resize(device, rows.len() * hidden));
        rms_norm(device, gathered.view(), norm, normed);
    }

    /// Logits of some of the rows in `head.normed`, into `head.logits`.
    pub(crate) fn logits(&mut self, policy: &Model, rows: Range<usize>) {
        let HeadPlace::Vocabulary(matrix) = &policy.layout.head else { panic!("a policy has a vocabulary head") };
        let (hidden, len) = (policy.config.hidden_size, rows.len() * matrix.outputs);
        let HeadBuffers { normed, logits, .. } = &mut self.head;
        let x = normed.slice(rows.start * hidden..rows.end * hidden);
        let logits = logits.resize(&self.device, len);
        linear(&self.device, x, &[policy.parameters.matrix(matrix)], logits, Write::Replace);
    }

    /// Scores the rows in `head.normed`, a chunk of logits at a time; the last chunk's logits stay.
    fn score_chunks(&mut self, policy: &Model, packed: &Packed, temperature: f32) -> Vec<RowScore> {
        let mut scores = vec![RowScore::default(); packed.targets.len()];
        for rows in chunks(scores.len(), policy.config.vocab_size) {
            self.logits(policy, rows.clone());
            let targets = &packed.targets[rows.clone()];
            score_rows(&self.device, self.head.logits.view(), temperature, targets, &mut scores[rows]);
        }
        scores
    }

    fn reserve_gradients(&mut self, model: &Model, packed: &Packed) {
        let (rows, scored) = (packed.ids.len(), packed.scored.len());
        self.head.reserve_gradients(&self.device, &model.config, rows, scored);
    }

    /// From derivatives by token scores to the head's gradient and `head.dnormed`.
    fn logits_backward(
        &mut self,
        policy: &Model,
        grads: &mut Buffer,
        temperature: f32,
        scores: &[RowScore],
        rows: &[RowGradient],
    ) {
        let HeadPlace::Vocabulary(matrix) = &policy.layout.head else { panic!("a policy has a vocabulary head") };
        let (hidden, vocab) = (policy.config.hidden_size, policy.config.vocab_size);
        let pieces = chunks(rows.len(), vocab);
        for piece in &pieces {
            if pieces.len() > 1 {
                self.logits(policy, piece.clone());
            }
            let (device, weight) = (&self.device, policy.parameters.matrix(matrix));
            let HeadBuffers { normed, logits, dnormed, .. } = &mut self.head;
            let part = piece.start * hidden..piece.end * hidden;
            let dweight = grads.slice_mut(matrix.range());
            logit_gradients(device, logits.view_mut(), temperature, &scores[piece.clone()], &rows[piece.clone()]);
            linear_dw(device, normed.slice(part.clone()), logits.view(), Columns::all(vocab), dweight);
            linear_dx(device, logits.view(), &[weight], dnormed.slice_mut(part), Write::Replace);
        }
    }

    fn scalar_values(&mut self, critic: &Model, count: usize) -> Vec<f32> {
        let HeadPlace::Scalar { weight, bias } = &critic.layout.head else { panic!("a critic has a scalar head") };
        let (weight, bias) = (critic.parameters.values(weight.clone()), critic.parameters.values(bias.clone()));
        let mut values = vec![0.0; count];
        scalar_head(&self.device, self.head.normed.view(), weight, bias, &mut values);
        values
    }

    /// From `head.dnormed` back through the final norm and the decoder.
    fn norm_and_decoder_backward(&mut self, model: &Model, grads: &mut Buffer, packed: &Packed) {
        let (device, hidden, place) = (&self.device, model.config.hidden_size, &model.layout.final_norm);
        let HeadBuffers { rows, dnormed, drows, dhidden, .. } = &mut self.head;
        let (norm, dweight) = (model.norm(place), grads.slice_mut(place.clone()));
        zero(device, drows.view_mut());
        rms_norm_backward(device, rows.view(), norm, dnormed.view(), drows.view_mut(), dweight);
        // A prompt's last row is scored once for each of its responses.
        zero(device, dhidden.view_mut());
        scatter_add_rows(device, drows.view(), &packed.scored, hidden, dhidden.view_mut());
        packed.pass(device, model).backward(&packed.trees, &mut self.work, dhidden, grads);
    }
}

/// Of `rows` positions, how many have their logits in memory at once.
pub fn rows_of_logits(rows: usize, vocab: usize) -> usize {
    rows.min((MAX_LOGITS / vocab).max(1))
}

/// Rows whose logits fit together.
pub(crate) fn chunks(rows: usize, vocab: usize) -> Vec<Range<usize>> {
    let size = rows_of_logits(rows, vocab).max(1);
    (0..rows).step_by(size).map(|first| first..(first + size).min(rows)).collect()
}
