//! The critic doctor's part of the end of a run: what the critic saw, and what alarms were raised.

use serde_json::Value;

use crate::{
    format::{count, decimal},
    screen::Screen,
};

/// Alarms told in full; the others are in `summary.json`.
const SHOWN_ALARMS: usize = 6;

/// Prints what the summary says of the critic, if there is one.
pub(crate) fn show_critic(screen: &Screen, summary: &Value) {
    let critic = &summary["critic"];
    if critic.is_null() {
        return;
    }
    let number = |key: &str, digits| critic[key].as_f64().map_or("-".into(), |value| decimal(value, digits));
    let steps = count(critic["steps"].as_u64().unwrap_or(0), "step", "steps");
    screen.line(&format!("\n  {} (mean over the last {steps})", screen.bold("critic")));
    let row = |name: &str, text: String| screen.line(&format!("    {name:<20} {text}"));
    row("explained variance", format!("{}; {}", number("explained_variance", 3), sees(critic)));
    let deciles = critic["explained_variance_by_decile"].as_array().map_or(&[][..], Vec::as_slice);
    let deciles: Vec<String> =
        deciles.iter().map(|value| value.as_f64().map_or("-".into(), |value| decimal(value, 2))).collect();
    row("by tenth of answers", deciles.join("  "));
    let (bias, calibration) = (number("value_bias", 3), number("calibration_error", 3));
    row("against outcomes", format!("V - R {bias}, calibration error {calibration}, loss {}", number("value_loss", 4)));
    if critic["value_before_error"].is_number() {
        let (before, after) = (number("value_before_error", 3), number("value_after_error", 3));
        let correlation = number("advantage_error_correlation", 3);
        row(
            "at the first error",
            format!(
                "V {before} before, {after} after; advantage {} there, correlation {correlation}",
                number("advantage_at_error", 3)
            ),
        );
    }
}

/// The explained variance in words.
fn sees(critic: &Value) -> &'static str {
    match critic["explained_variance"].as_f64() {
        None => "not defined: the outcomes did not vary",
        Some(explained) if explained < -0.05 => "worse than a constant",
        Some(explained) if explained < 0.05 => "hardly more than a constant",
        Some(explained) if explained < 0.3 => "it sees something",
        Some(_) => "it sees how answers will end",
    }
}

/// Prints the alarms that the summary holds.
pub(crate) fn show_alarms(screen: &Screen, summary: &Value) {
    let alarms = summary["alarms"].as_array().map_or(&[][..], Vec::as_slice);
    if alarms.is_empty() {
        return;
    }
    screen.line(&format!("\n  {}", screen.bold(&count(alarms.len() as u64, "alarm", "alarms"))));
    for alarm in alarms.iter().take(SHOWN_ALARMS) {
        let (step, message) = (alarm["step"].as_u64().unwrap_or(0), alarm["message"].as_str().unwrap_or_default());
        screen.line(&format!("    step {step:<6} {}", screen.bad(message)));
    }
    if alarms.len() > SHOWN_ALARMS {
        screen.line(&screen.dim(&format!("    {} more in summary.json", alarms.len() - SHOWN_ALARMS)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_explained_variance_is_told_in_words() {
        let of = |explained: Value| sees(&json!({ "explained_variance": explained }));
        assert_eq!(of(Value::Null), "not defined: the outcomes did not vary");
        assert_eq!(of(json!(-0.2)), "worse than a constant");
        assert_eq!(of(json!(0.0)), "hardly more than a constant");
        assert_eq!(of(json!(0.1)), "it sees something");
        assert_eq!(of(json!(0.4)), "it sees how answers will end");
    }
}
