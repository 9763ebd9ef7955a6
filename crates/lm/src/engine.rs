//! Running networks: scores, values and gradients of packed sequences.

use crate::layout::HeadPlace;
use crate::trunk::{self, Tokens, Workspace};
use crate::{Head, Model};
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

/// What a policy says of response tokens, `[n]` each.
#[derive(Clone, Debug, Default)]
pub struct Scored {
    /// Log-probability of the token, nats, under the temperature-scaled distribution.
    pub logp: Vec<f32>,
    /// Entropy of that distribution, nats.
    pub entropy: Vec<f32>,
}

/// Derivatives of a loss by what a policy says of response tokens, `[n]` each.
#[derive(Clone, Debug)]
pub struct TokenGrad {
    /// dL/dlogp.
    pub dlogp: Vec<f32>,
    /// dL/dentropy, where the loss uses it.
    pub dentropy: Option<Vec<f32>>,
}

/// Most logits that exist at once. Responses that need more are scored chunk by chunk, and again for the gradient.
pub const MAX_LOGITS: usize = 1 << 25;

/// Threads and reusable buffers. Results have the same bits for any number of threads; scores, values and samples
/// also for any micro-batch size, gradients to rounding.
pub struct Engine {
    pub(crate) device: Device,
    pub(crate) work: Workspace,
    pub(crate) head: HeadBuffers,
    micro_batch_tokens: usize,
}

/// Buffers around the head, for the `n` positions that are scored.
#[derive(Default)]
pub(crate) struct HeadBuffers {
    /// Residual stream at those positions `[n, hidden]`.
    rows: Buffer,
    normed: Buffer,
    pub(crate) logits: Buffer,
    dnormed: Buffer,
    drows: Buffer,
    /// Gradient by the trunk's output, all positions `[m, hidden]`.
    doutput: Buffer,
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
            [own] => Tree { first_row, trunk: prompt.len() + own, branches: Vec::new() },
            _ => Tree { first_row, trunk: prompt.len(), branches },
        });
    }

    fn tokens(&self) -> Tokens<'_> {
        Tokens { ids: &self.ids, positions: &self.positions }
    }
}

impl Engine {
    /// An engine of `threads` threads (at least 1) that passes sequences through in groups of about
    /// `micro_batch_tokens` tokens, at least one sequence each.
    pub fn new(threads: usize, micro_batch_tokens: usize) -> Engine {
        Engine::with_device(Device::new(threads), micro_batch_tokens)
    }

    /// The same on a chosen device.
    pub fn with_device(device: Device, micro_batch_tokens: usize) -> Engine {
        Engine { device, work: Workspace::default(), head: HeadBuffers::default(), micro_batch_tokens }
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.device.threads()
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
            self.trunk_and_norm(policy, &packed, false);
            let (scored, _) = self.score_chunks(policy, &packed, temperature);
            all.logp.extend(scored.logp);
            all.entropy.extend(scored.entropy);
        }
        all
    }

    /// V(s_t) for every response token t of every sequence, in order: read at the position before the token.
    pub fn values(&mut self, critic: &Model, sequences: &[Sequence]) -> Vec<f32> {
        let mut all = Vec::new();
        for range in self.micro_batches(sequences, 1) {
            let packed = Packed::new(&sequences[range]);
            self.trunk_and_norm(critic, &packed, false);
            all.extend(self.scalar_values(critic, packed.scored.len()));
        }
        all
    }

    /// Adds a loss's gradient to `grads` (flat, as the policy's parameters). `loss` is called once per micro-batch with
    /// the range of response tokens (of all, in order) that it holds and what the policy says of them.
    pub fn policy_backward(
        &mut self,
        policy: &Model,
        grads: &mut [f32],
        sequences: &[Sequence],
        temperature: f32,
        mut loss: impl FnMut(Range<usize>, &Scored) -> TokenGrad,
    ) {
        let mut first = 0;
        for range in self.micro_batches(sequences, policy.config.vocab_size) {
            let packed = Packed::new(&sequences[range]);
            let count = packed.scored.len();
            self.trunk_and_norm(policy, &packed, true);
            let (scored, stats) = self.score_chunks(policy, &packed, temperature);
            let gradient = loss(first..first + count, &scored);
            assert_eq!(gradient.dlogp.len(), count, "one derivative per token");
            let rows: Vec<RowGradient> = (0..count)
                .map(|i| RowGradient {
                    target: packed.targets[i],
                    dlogp: gradient.dlogp[i],
                    dentropy: gradient.dentropy.as_ref().map_or(0.0, |d| d[i]),
                })
                .collect();
            self.logits_backward(policy, grads, temperature, &stats, &rows);
            self.norm_and_trunk_backward(policy, grads, &packed);
            first += count;
        }
    }

    /// Adds a loss's gradient to `grads` (flat, as the critic's parameters). `loss` gets the range of response tokens
    /// and their values and returns dL/dV.
    pub fn critic_backward(
        &mut self,
        critic: &Model,
        grads: &mut [f32],
        sequences: &[Sequence],
        mut loss: impl FnMut(Range<usize>, &[f32]) -> Vec<f32>,
    ) {
        let HeadPlace::Scalar { weight, bias } = &critic.layout.head else { panic!("a critic has a scalar head") };
        let mut first = 0;
        for range in self.micro_batches(sequences, 1) {
            let packed = Packed::new(&sequences[range]);
            let count = packed.scored.len();
            self.trunk_and_norm(critic, &packed, true);
            let values = self.scalar_values(critic, count);
            let dvalues = loss(first..first + count, &values);
            assert_eq!(dvalues.len(), count, "one derivative per token");
            let hidden = count * critic.config.hidden_size;
            let dnormed = self.head.dnormed.reserve(hidden);
            let (dweight, dbias) = two_parts(grads, weight, bias);
            let w = critic.parameters.vector(weight);
            scalar_head_backward(&self.head.normed[..hidden], &w, &dvalues, dnormed, dweight, dbias);
            self.norm_and_trunk_backward(critic, grads, &packed);
            first += count;
        }
    }

    /// Runs the trunk and the final norm of the scored rows into `head.normed`.
    fn trunk_and_norm(&mut self, model: &Model, packed: &Packed, keep: bool) {
        let config = &model.config;
        assert!(packed.positions.iter().all(|&p| (p as usize) < config.max_position_embeddings), "sequence too long");
        let device = &self.device;
        trunk::forward(device, model, &packed.tokens(), keep, &mut self.work, &mut |_, qkv, out| {
            attention(device, config.attention, qkv, &packed.trees, out);
        });
        self.gather_and_norm(model, &packed.scored);
    }

    /// Final norm of some rows of the trunk's output, into `head.normed`.
    pub(crate) fn gather_and_norm(&mut self, model: &Model, rows: &[usize]) {
        let hidden = model.config.hidden_size;
        let gathered = self.head.rows.reserve(rows.len() * hidden);
        for (to, &row) in gathered.chunks_exact_mut(hidden).zip(rows) {
            to.copy_from_slice(&self.work.output((row + 1) * hidden)[row * hidden..]);
        }
        let weight = model.parameters.vector(&model.layout.final_norm);
        let normed = self.head.normed.reserve(rows.len() * hidden);
        rms_norm(&self.device, gathered, &weight, model.config.rms_norm_eps, normed);
    }

    /// Logits of some of the rows in `head.normed`.
    pub(crate) fn logits(&mut self, policy: &Model, rows: Range<usize>) -> &mut [f32] {
        let HeadPlace::Vocabulary(matrix) = &policy.layout.head else { panic!("a policy has a vocabulary head") };
        let hidden = policy.config.hidden_size;
        let logits = self.head.logits.reserve(rows.len() * matrix.outputs);
        let x = &self.head.normed[rows.start * hidden..rows.end * hidden];
        linear(&self.device, x, &[policy.parameters.matrix(matrix)], logits, Write::Replace);
        logits
    }

    /// Scores the rows in `head.normed`, a chunk of logits at a time; the last chunk's logits stay.
    fn score_chunks(&mut self, policy: &Model, packed: &Packed, temperature: f32) -> (Scored, Vec<RowStats>) {
        let (count, vocab) = (packed.targets.len(), policy.config.vocab_size);
        let mut stats = vec![RowStats::default(); count];
        let mut scored = Scored { logp: Vec::with_capacity(count), entropy: Vec::with_capacity(count) };
        for rows in chunks(count, vocab) {
            self.logits(policy, rows.clone());
            let logits = &self.head.logits[..rows.len() * vocab];
            score_rows(&self.device, logits, vocab, temperature, &mut stats[rows.clone()]);
            for (i, row) in rows.zip(logits.chunks_exact(vocab)) {
                scored.logp.push(stats[i].logp(row[packed.targets[i] as usize], temperature));
                scored.entropy.push(stats[i].entropy);
            }
        }
        (scored, stats)
    }

    /// From derivatives by token scores to the head's gradient and `head.dnormed`.
    fn logits_backward(
        &mut self,
        policy: &Model,
        grads: &mut [f32],
        temperature: f32,
        stats: &[RowStats],
        rows: &[RowGradient],
    ) {
        let HeadPlace::Vocabulary(matrix) = &policy.layout.head else { panic!("a policy has a vocabulary head") };
        let (hidden, vocab) = (policy.config.hidden_size, policy.config.vocab_size);
        self.head.dnormed.reserve(rows.len() * hidden);
        let pieces = chunks(rows.len(), vocab);
        for piece in &pieces {
            if pieces.len() > 1 {
                self.logits(policy, piece.clone());
            }
            let HeadBuffers { normed, logits, dnormed, .. } = &mut self.head;
            let logits = &mut logits[..piece.len() * vocab];
            let part = piece.start * hidden..piece.end * hidden;
            logit_gradients(&self.device, logits, vocab, temperature, &stats[piece.clone()], &rows[piece.clone()]);
            linear_dw(&self.device, &normed[part.clone()], logits, vocab, 0, vocab, &mut grads[matrix.range()]);
            linear_dx(&self.device, logits, &[policy.parameters.matrix(matrix)], &mut dnormed[part], Write::Replace);
        }
    }

    fn scalar_values(&mut self, critic: &Model, count: usize) -> Vec<f32> {
        let HeadPlace::Scalar { weight, bias } = &critic.layout.head else { panic!("a critic has a scalar head") };
        let (p, mut values) = (&critic.parameters, vec![0.0; count]);
        let normed = &self.head.normed[..count * critic.config.hidden_size];
        scalar_head(&self.device, normed, &p.vector(weight), p.vector(bias)[0], &mut values);
        values
    }

    /// From `head.dnormed` back through the final norm and the trunk.
    fn norm_and_trunk_backward(&mut self, model: &Model, grads: &mut [f32], packed: &Packed) {
        let (hidden, count) = (model.config.hidden_size, packed.scored.len());
        let HeadBuffers { rows, dnormed, drows, doutput, .. } = &mut self.head;
        let (rows, dnormed) = (&rows[..count * hidden], &dnormed[..count * hidden]);
        let drows = drows.reserve(count * hidden);
        drows.fill(0.0);
        let norm = model.layout.final_norm.clone();
        let weight = model.parameters.vector(&norm);
        rms_norm_backward(&self.device, rows, &weight, model.config.rms_norm_eps, dnormed, drows, &mut grads[norm]);
        let doutput = doutput.reserve(packed.ids.len() * hidden);
        doutput.fill(0.0);
        for (from, &row) in drows.chunks_exact(hidden).zip(&packed.scored) {
            // A prompt's last row is scored once for each of its responses.
            doutput[row * hidden..(row + 1) * hidden].iter_mut().zip(from).for_each(|(to, from)| *to += from);
        }
        trunk::backward(&self.device, model, &packed.tokens(), &packed.trees, &mut self.work, doutput, grads);
    }
}

/// Rows whose logits fit together.
pub(crate) fn chunks(rows: usize, vocab: usize) -> Vec<Range<usize>> {
    let size = (MAX_LOGITS / vocab).max(1);
    (0..rows).step_by(size).map(|first| first..(first + size).min(rows)).collect()
}

/// The value head's weight and bias in a flat buffer.
fn two_parts<'a>(flat: &'a mut [f32], weight: &Range<usize>, bias: &Range<usize>) -> (&'a mut [f32], &'a mut f32) {
    let (before, from_bias) = flat.split_at_mut(bias.start);
    (&mut before[weight.clone()], &mut from_bias[0])
}

impl Model {
    /// Checks that sequences of `tokens` tokens fit the positions of this network.
    pub fn fits(&self, tokens: usize) -> bool {
        tokens <= self.config.max_position_embeddings
    }

    pub(crate) fn assert_policy(&self) {
        assert_eq!(self.head, Head::Language, "only a policy can be sampled from");
    }
}
