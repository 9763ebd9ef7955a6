//! The groups of a recorded step.

use vapo_view::rollouts::Group;

use crate::{
    format::{bar, count, decimal, one_line, percent},
    screen::Screen,
};

const BAR: usize = 12;
/// Columns left of the prompt.
const LEFT: usize = 54;

pub(super) fn show(screen: &Screen, place: &str, step: u64, groups: &[Group]) {
    let responses: usize = groups.iter().map(|group| group.responses).sum();
    let right: usize = groups.iter().map(|group| group.right).sum();
    let share = right as f64 / responses.max(1) as f64;
    screen.line(&format!(
        "\n  {}: {}, {}, {} right",
        screen.bold(&format!("step {step} of {place}")),
        count(groups.len() as u64, "prompt", "prompts"),
        count(responses as u64, "response", "responses"),
        percent(share),
    ));
    screen.line(
        &screen.dim(&format!("  {:>10}  {:<23}  {:>7}  {:>6}  prompt", "prompt_id", "right", "reward", "length")),
    );
    for group in groups {
        let share = group.right as f64 / group.responses.max(1) as f64;
        let right = format!("{}/{}", group.right, group.responses);
        let room = screen.width().saturating_sub(LEFT).max(20);
        screen.line(&format!(
            "  {:>10}  {right:<9}  {:<BAR$}  {:>7}  {:>6}  {}",
            group.prompt_id,
            bar(share, BAR),
            decimal(group.reward, 3),
            decimal(group.length, 1),
            one_line(&group.prompt, room),
        ));
    }
    if let Some(group) = groups.first() {
        let prompt = group.prompt_id;
        screen.line(&format!(
            "\n  vapo show {place} --step {step} --prompt {prompt}    {}",
            screen.dim("shows its responses")
        ));
    }
}
