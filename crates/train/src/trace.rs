//! What the policy's updates of a step did with each of its tokens.

use vapo_algo::{ClipState, PolicyLoss};

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

    /// Notes what an update does with some of the tokens.
    pub(crate) fn note(&mut self, tokens: &[usize], entropy: &[f32], loss: &PolicyLoss) {
        for (n, &token) in tokens.iter().enumerate() {
            self.entropy[token] = entropy[n];
            self.ratio[token] = loss.ratios[n];
            self.clip[token] = loss.clips[n];
        }
    }
}
