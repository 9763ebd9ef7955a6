//! The critic's diagnostics and the alarms, at the end of a run.

use vapo_train::{CriticSummary, alarm::Alarm};

use crate::{
    format::{count, decimal},
    screen::Screen,
};

/// Maximum number of alarms printed; the others are in `summary.json`.
const SHOWN_ALARMS: usize = 6;

/// Prints the critic's diagnostics.
pub(crate) fn show_critic(screen: &Screen, critic: &CriticSummary) {
    let number = |value: Option<f64>, digits| value.map_or("-".into(), |value| decimal(value, digits));
    let steps = count(critic.steps as u64, "step", "steps");
    screen.line(&format!("\n  {} (mean over the last {steps})", screen.bold("critic")));
    let row = |name: &str, text: String| screen.line(&format!("    {name:<20} {text}"));
    let explained = critic.explained_variance;
    row("explained variance", format!("{}; {}", number(explained, 3), sees(explained)));
    row("by tenth of answers", critic.explained_variance_by_decile.map(|value| number(value, 2)).join("  "));
    row(
        "errors",
        format!(
            "V - R {}, calibration error {}, loss {}",
            number(critic.value_bias, 3),
            number(critic.calibration_error, 3),
            number(critic.value_loss, 4)
        ),
    );
    if critic.value_before_error.is_some() {
        row(
            "at the first error",
            format!(
                "V {} before, {} after; advantage there {}, correlation {}",
                number(critic.value_before_error, 3),
                number(critic.value_after_error, 3),
                number(critic.advantage_at_error, 3),
                number(critic.advantage_error_correlation, 3)
            ),
        );
    }
}

/// The explained variance in words.
fn sees(explained_variance: Option<f64>) -> &'static str {
    match explained_variance {
        None => "undefined: all outcomes were equal",
        Some(explained) if explained < -0.05 => "worse than a constant",
        Some(explained) if explained < 0.05 => "hardly better than a constant",
        Some(explained) if explained < 0.3 => "it predicts outcomes weakly",
        Some(_) => "it predicts outcomes well",
    }
}

/// Prints the alarms that were raised.
pub(crate) fn show_alarms(screen: &Screen, alarms: &[Alarm]) {
    if alarms.is_empty() {
        return;
    }
    screen.line(&format!("\n  {}", screen.bold(&count(alarms.len() as u64, "alarm", "alarms"))));
    for alarm in alarms.iter().take(SHOWN_ALARMS) {
        screen.line(&format!("    step {:<6} {}", alarm.step, screen.bad(&alarm.message)));
    }
    if alarms.len() > SHOWN_ALARMS {
        screen.line(&screen.dim(&format!("    {} more in summary.json", alarms.len() - SHOWN_ALARMS)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_explained_variance_is_described_in_words() {
        assert_eq!(sees(None), "undefined: all outcomes were equal");
        assert_eq!(sees(Some(-0.2)), "worse than a constant");
        assert_eq!(sees(Some(0.0)), "hardly better than a constant");
        assert_eq!(sees(Some(0.1)), "it predicts outcomes weakly");
        assert_eq!(sees(Some(0.4)), "it predicts outcomes well");
    }
}
