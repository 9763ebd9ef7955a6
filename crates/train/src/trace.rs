//! What the policy's updates of a step did with each of its tokens.

use vapo_algo::{ClipState, PolicyLoss};

use crate::{batch::Minibatch, division::Division, error::Result};

/// Columns of a step's tokens `[N]`, from the last update that had the token.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenTrace {
    /// Entropy of the distribution that the token is drawn from, in nats.
    pub entropy: Vec<f32>,
    /// Its ratio in the loss, new over old.
    pub ratio: Vec<f32>,
    /// What the loss did with it.
    pub clip: Vec<ClipState>,
}

impl TokenTrace {
    /// Columns of tokens that no update has had yet.
    pub(crate) fn new(tokens: usize) -> Self {
        Self { entropy: vec![0.0; tokens], ratio: vec![0.0; tokens], clip: vec![ClipState::Unused; tokens] }
    }

    /// Supplies what an update that this rank has not computed does with its tokens.
    ///
    /// # Errors
    /// Another rank failed.
    pub(crate) fn share(&mut self, division: &mut Division, minibatch: &Minibatch<'_>) -> Result<()> {
        if !division.is_shared() {
            return Ok(());
        }
        let responses = division.part_by_size(&minibatch.lengths);
        let tokens = minibatch.tokens();
        let own = minibatch.tokens_before(responses.start)..minibatch.tokens_before(responses.end);
        let own = tokens[own].iter().map(|&token| (self.entropy[token], self.ratio[token], self.clip[token]));
        let all = division.gather("what updates do", Some(own.collect()))?.expect("every rank has its tokens");
        for (&token, (entropy, ratio, clip)) in tokens.iter().zip(all) {
            (self.entropy[token], self.ratio[token], self.clip[token]) = (entropy, ratio, clip);
        }
        Ok(())
    }

    /// Notes what an update does with some of the tokens.
    pub(crate) fn note(&mut self, tokens: &[usize], entropy: &[f32], loss: &PolicyLoss) {
        for (n, &token) in tokens.iter().enumerate() {
            self.entropy[token] = entropy[n];
            self.ratio[token] = loss.ratios[n];
            self.clip[token] = loss.clips[n];
        }
    }
}
