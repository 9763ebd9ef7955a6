//! Spellings of earlier versions. They are still accepted; each use is reported with the current spelling.

use toml::Value;

/// Former keys and their current names.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("algorithm.updates_per_rollout", "algorithm.minibatches_per_epoch"),
    ("algorithm.critic_minibatches", "algorithm.critic_minibatches_per_epoch"),
    (CRITIC_PASSES, CRITIC_EPOCHS),
];

/// Current keys, their former values, and how these are written now; both as TOML.
const VALUES: &[(&str, &str, &str)] = &[
    ("algorithm.critic_minibatches_per_epoch", "\"off\"", "\"policy\""),
    ("eval.every", "0", "\"off\""),
    ("checkpoint.every", "0", "\"off\""),
    ("checkpoint.keep", "0", "\"all\""),
];

/// It counted the critic's passes per pass of the policy, while `critic_epochs` counts all of them.
const CRITIC_PASSES: &str = "algorithm.critic_updates_per_policy_update";
pub(super) const CRITIC_EPOCHS: &str = "algorithm.critic_epochs";

/// The current spelling of a setting.
pub(super) struct Renamed {
    pub(super) key: &'static str,
    pub(super) value: Value,
    /// An addition to the value, for the message.
    pub(super) note: &'static str,
    /// Whether the value must be multiplied by `algorithm.epochs`.
    pub(super) per_epoch: bool,
}

/// How a setting is written now; `None` if it is already current.
pub(super) fn present(key: &str, value: &Value) -> Option<Renamed> {
    let renamed = KEYS.iter().find(|(former, _)| *former == key).map(|(_, now)| *now);
    if key == CRITIC_PASSES && value.as_integer() != Some(1) {
        let note = " times algorithm.epochs: it counts all passes of the critic over a rollout";
        return Some(Renamed { key: CRITIC_EPOCHS, value: value.clone(), note, per_epoch: true });
    }
    if key == CRITIC_PASSES {
        return Some(Renamed { key: CRITIC_EPOCHS, value: "policy".into(), note: "", per_epoch: false });
    }
    let written = value.to_string();
    let respelled = VALUES.iter().find(|(now, former, _)| *now == renamed.unwrap_or(key) && *former == written);
    let key = renamed.or(respelled.map(|(now, ..)| *now))?;
    let value = respelled.map_or_else(|| value.clone(), |(.., now)| Value::String(now.trim_matches('"').to_owned()));
    Some(Renamed { key, value, note: "", per_epoch: false })
}

/// What replaces a verifier that no longer exists.
pub(super) fn verifier(term: &Value) -> Option<String> {
    let kind = term.as_str().or_else(|| term.get("kind")?.as_str())?;
    if kind != "length" {
        return None;
    }
    let number = |key: &str, default: &str| term.get(key).map_or_else(|| default.to_owned(), Value::to_string);
    Some(format!(
        "verifier `length` was removed; instead, set algorithm.overlong_buffer to {} / {} and \
         algorithm.overlong_penalty to {} / (algorithm.reward_right - algorithm.reward_wrong)",
        number("buffer", "buffer"),
        number("max_tokens", "rollout.max_new_tokens"),
        number("weight", "1.0"),
    ))
}
