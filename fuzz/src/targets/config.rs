//! A config file and overrides: TOML text, then `key=value` texts.

use std::path::Path;

use vapo_study::Budget;
use vapo_train::Phase;
use vapo_train::config::{Resolved, Role, Settings};

use super::texts;

pub(crate) fn config(data: &[u8]) {
    let Some(texts) = texts(data) else { return };
    let overrides: Vec<String> = texts[1..].iter().map(ToString::to_string).collect();
    let file = Settings::from_toml(texts[0], Path::new("config.toml"));
    let (Ok(file), Ok(overrides)) = (file, Settings::from_overrides(&overrides)) else { return };
    let Ok(Resolved { config, .. }) = Resolved::layered(&[file, overrides]) else { return };

    let printed = config.to_commented_toml();
    let again = Settings::from_toml(&printed, Path::new("printed.toml")).expect("a printed config is TOML");
    let again = Resolved::layered(&[again.with_role(Role::Recorded)]).expect("a printed config is valid");
    assert_eq!(again.config, config, "a printed config is the same config");
    assert_eq!(again.warnings, [""; 0], "a printed config has no former spellings");

    // What is derived from a valid config exists.
    let [low, high] = config.reward_range();
    assert!(low <= high && low.is_finite() && high.is_finite(), "rewards from {low} to {high}");
    for phase in [Phase::Policy, Phase::ValuePretraining] {
        let (prompts, responses) = config.step_size(phase);
        prompts.checked_mul(responses).expect("the responses of a step can be counted");
    }
    for budget in Budget::ALL {
        budget.planned(&config);
    }
    config.critic_epochs().checked_mul(config.critic_minibatches_per_epoch()).expect("updates can be counted");
}
