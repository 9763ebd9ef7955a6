//! What a resumed run has to know about the settings and data of the sessions before it.

use crate::{
    config::Config,
    trainer::{Trainer, critic_updates, policy_updates},
};

/// Warns of falling learning rates that rise again because the run now has more steps than `previous` planned.
pub(crate) fn replanned(previous: &Config, trainer: &Trainer) -> Vec<String> {
    let steps = (previous.run.steps, trainer.config.run.steps);
    let policy = (&trainer.policy, &previous.policy_optimizer, policy_updates(previous));
    let critic = trainer
        .critic
        .as_ref()
        .map(|critic| (critic, &previous.critic_optimizer, critic_updates(previous, trainer.planned_pretraining())));
    let networks = std::iter::once(policy).chain(critic).filter(|_| steps.0 != steps.1);
    let rates = networks.map(|(network, optimizer, updates)| {
        (network.name(), network.learning_rate_under(optimizer, updates), network.learning_rate())
    });
    rates
        .filter(|(_, before, now)| now > before)
        .map(|(name, before, now)| {
            format!(
                "run.steps is {} instead of {}: the {name}'s learning rate is planned anew for the whole run and rises from {before:.2e} to {now:.2e}",
                steps.1, steps.0
            )
        })
        .collect()
}
