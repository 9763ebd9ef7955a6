//! A response as printed by `--json`.

use serde::Serialize;
use vapo_lm::StopReason;

/// A response as printed by `--json` and read by `vapo score`.
#[derive(Serialize)]
pub(crate) struct JsonRow<'a> {
    pub(crate) prompt: &'a str,
    pub(crate) sample: usize,
    pub(crate) response: &'a str,
    pub(crate) stop: &'static str,
    pub(crate) prompt_tokens: &'a [u32],
    pub(crate) response_tokens: &'a [u32],
    pub(crate) logprobs: &'a [f32],
}

/// Why a response ended, as printed by `--json`.
pub(crate) fn stop_name(stop: Option<StopReason>) -> &'static str {
    match stop {
        Some(StopReason::StopToken) => "stop_token",
        Some(StopReason::StopString) => "stop_string",
        Some(StopReason::Length) => "length",
        None => "interrupted",
    }
}
