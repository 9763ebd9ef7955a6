//! The networks of a run at one moment, borrowed from it or copied.

use std::borrow::Cow;

use vapo_lm::{AdamW, Model};

use crate::{division::Division, error::Result, network::Network, trainer::Trainer};

/// Policy and critic.
pub(crate) struct Networks<'a> {
    pub(crate) policy: State<'a>,
    pub(crate) critic: Option<State<'a>>,
}

/// What training changes in a network: weights, moments, the number of updates, and those skipped last.
pub(crate) struct State<'a> {
    pub(crate) model: Cow<'a, Model>,
    pub(crate) optimizer: Cow<'a, AdamW>,
    pub(crate) skipped: u64,
}

impl<'a> Networks<'a> {
    /// Those of a run as they are.
    pub(crate) fn of(trainer: &'a Trainer) -> Self {
        Self { policy: State::from(&trainer.policy), critic: trainer.critic.as_ref().map(State::from) }
    }

    /// Those of a run, on rank 0 with the moments of all ranks.
    ///
    /// # Errors
    /// Another rank failed.
    pub(crate) fn complete(policy: &'a Network, critic: Option<&'a Network>, division: &mut Division) -> Result<Self> {
        let mut complete = |network: &'a Network| -> Result<State<'a>> {
            let mut state = State::from(network);
            if division.is_shared() {
                let AdamW { first_moment, second_moment, .. } = &network.optimizer;
                let device = network.model.device();
                let first = division.gather_shares(network.model.flat_len(), &first_moment.view().to_vec(device))?;
                let second = division.gather_shares(network.model.flat_len(), &second_moment.view().to_vec(device))?;
                if let (Some(first), Some(second)) = (first, second) {
                    state.optimizer = Cow::Owned(network.optimizer.with_all(&network.model, [&first, &second]));
                }
            }
            Ok(state)
        };
        Ok(Self { policy: complete(policy)?, critic: critic.map(complete).transpose()? })
    }

    /// A copy that no longer depends on the run, in the memory of an earlier one of the same run if there is one: fresh
    /// memory costs more than the copy itself.
    pub(crate) fn into_owned(self, earlier: Option<Networks<'static>>) -> Networks<'static> {
        match earlier {
            Some(mut copy) => {
                copy.policy.copy_from(&self.policy);
                copy.critic.iter_mut().zip(&self.critic).for_each(|(copy, critic)| copy.copy_from(critic));
                copy
            }
            None => Networks { policy: self.policy.into_owned(), critic: self.critic.map(State::into_owned) },
        }
    }

    /// Takes a run back to the moment of this copy.
    pub(crate) fn restore(&self, trainer: &mut Trainer) {
        self.policy.restore(&mut trainer.policy);
        trainer.critic.iter_mut().zip(&self.critic).for_each(|(network, critic)| critic.restore(network));
    }
}

impl<'a> From<&'a Network> for State<'a> {
    fn from(network: &'a Network) -> Self {
        Self {
            model: Cow::Borrowed(&network.model),
            optimizer: Cow::Borrowed(&network.optimizer),
            skipped: network.skipped,
        }
    }
}

impl State<'_> {
    fn into_owned(self) -> State<'static> {
        State {
            model: Cow::Owned(self.model.into_owned()),
            optimizer: Cow::Owned(self.optimizer.into_owned()),
            skipped: self.skipped,
        }
    }

    fn restore(&self, network: &mut Network) {
        network.model.clone_from(&self.model);
        network.optimizer.clone_from(&self.optimizer);
        network.skipped = self.skipped;
    }
}

impl State<'static> {
    fn copy_from(&mut self, from: &State<'_>) {
        self.model.to_mut().clone_from(&from.model);
        self.optimizer.to_mut().clone_from(&from.optimizer);
        self.skipped = from.skipped;
    }
}
