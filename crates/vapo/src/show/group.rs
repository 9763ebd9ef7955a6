//! The responses to a prompt, token by token.

use anyhow::{Result, bail};
use vapo_view::{Quantity, Scale, rollouts::Response};

use super::{
    cells::{Cell, lines},
    paint::Paint,
};
use crate::{
    format::{count, decimal, one_line},
    screen::Screen,
};

/// Columns of prompts and answers at most.
const LONGEST_TEXT: usize = 2000;
/// Left of the tokens.
const INDENT: &str = "     ";
/// Signs around tokens that stand out, and around the first wrong one, where there are no colors.
const STANDS_OUT: [&str; 2] = ["«", "»"];
const WRONG: [&str; 2] = ["»", "«"];
const BLOCKS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Prints a group whose tokens are colored by a quantity, or marked where it is largest if the output has no colors.
///
/// # Errors
/// The record does not have the quantity.
pub(super) fn show(screen: &Screen, step: u64, responses: &[Response], quantity: Quantity) -> Result<()> {
    let Some(first) = responses.first() else { return Ok(()) };
    if quantity.of(&first.tokens).is_none() {
        let there = Quantity::ALL.iter().filter(|other| other.of(&first.tokens).is_some());
        let there: Vec<&str> = there.map(|other| other.key()).collect();
        bail!("the record of step {step} has no {}, expected one of {}", quantity.key(), there.join(", "));
    }
    let group = Shown {
        screen,
        quantity,
        paint: Paint::new(quantity.scale(responses)),
        scale: quantity.scale(responses),
        values: Quantity::Value.scale(responses),
    };
    group.print_head(step, responses, first);
    for (number, response) in responses.iter().enumerate() {
        group.print_response(number + 1, response);
    }
    group.print_legend();
    Ok(())
}

/// How the responses of a group are shown.
struct Shown<'a> {
    screen: &'a Screen,
    quantity: Quantity,
    paint: Paint,
    scale: Scale,
    values: Scale,
}

impl Shown<'_> {
    fn print_head(&self, step: u64, responses: &[Response], first: &Response) {
        let right = responses.iter().filter(|response| response.verdict == "right").count();
        let mean = |number: fn(&Response) -> f64| responses.iter().map(number).sum::<f64>() / responses.len() as f64;
        self.screen.line(&format!(
            "\n  {} (problem {} of {}): {}, {right} right, mean reward {}, mean length {}",
            self.screen.bold(&format!("step {step}, prompt {}", first.prompt_id)),
            first.problem,
            one_line(&first.data_source, 40),
            count(responses.len() as u64, "response", "responses"),
            decimal(mean(|response| f64::from(response.reward)), 3),
            decimal(mean(|response| f64::from(response.response_tokens)), 1),
        ));
        self.screen.line(&format!("  prompt  {}", one_line(&first.prompt, LONGEST_TEXT)));
        self.screen.line(&format!("  answer  {}", one_line(&first.answer, LONGEST_TEXT)));
    }

    fn print_response(&self, number: usize, response: &Response) {
        self.screen.line(&format!("\n  {number:>2} {}", self.facts(response)));
        let Some(numbers) = self.quantity.of(&response.tokens) else { return };
        let standing_out = if self.screen.is_watched() { Vec::new() } else { self.quantity.standing_out(&numbers) };
        // Tokens that stand out next to each other are between two signs.
        let stands_out = |token: usize| standing_out.contains(&token) && response.first_wrong != Some(token);
        let marks = |token: usize| {
            if response.first_wrong == Some(token) && !self.screen.is_watched() {
                return WRONG;
            }
            let is_first = stands_out(token) && !token.checked_sub(1).is_some_and(stands_out);
            let is_last = stands_out(token) && !stands_out(token + 1);
            [if is_first { STANDS_OUT[0] } else { "" }, if is_last { STANDS_OUT[1] } else { "" }]
        };
        let width = self.screen.width() - INDENT.len();
        for line in lines(response.tokens.text.as_deref().unwrap_or_default(), width, marks) {
            let cells = line.iter().map(|cell| self.painted(cell, response, &numbers));
            self.screen.line(&format!("{INDENT}{}", cells.collect::<String>()));
            if let Some(values) = &response.tokens.value {
                self.screen.line(&self.screen.dim(&format!("{INDENT}{}", self.curve(&line, values))));
            }
        }
        if let Some(wrong) = response.first_wrong {
            let what = format!("first wrong: {}", describe(response, wrong));
            self.screen.line(&format!("{INDENT}{}", self.screen.bad(&what)));
        }
        for token in standing_out {
            self.screen.line(&format!("{INDENT}  {}", describe(response, token)));
        }
    }

    /// Verdict, reward and what else is known of the whole response.
    fn facts(&self, response: &Response) -> String {
        let verdict = one_line(&response.verdict, 20);
        let verdict = match response.verdict.as_str() {
            "right" => self.screen.good(&format!("✓ {verdict}")),
            _ => self.screen.bad(&format!("✗ {verdict}")),
        };
        let mut facts = format!(
            "{verdict}  reward {}  {}  {}",
            decimal(f64::from(response.reward), 3),
            count(response.response_tokens.into(), "token", "tokens"),
            one_line(&response.stop_reason, 20),
        );
        if let Some(lambda) = response.lambda {
            facts += &format!("  lambda {lambda:.4}");
        }
        match &response.extracted_answer {
            Some(answer) => facts += &format!("  read: {}", one_line(answer, 40)),
            None if response.verdict != "right" => facts += "  no answer read",
            None => {}
        }
        for term in &response.scores {
            let score = term.score.map_or("failed".into(), |score| decimal(f64::from(score), 3));
            facts += &format!("  {} {score}", one_line(&term.name, 20));
        }
        if let Some(reason) = &response.reason {
            facts += &self.screen.dim(&format!("  ({})", one_line(reason, 80)));
        }
        facts
    }

    fn painted(&self, cell: &Cell, response: &Response, numbers: &[f32]) -> String {
        if !self.screen.is_watched() {
            return cell.text.clone();
        }
        let style = numbers.get(cell.token).map_or_else(console::Style::new, |&number| self.paint.style(number));
        let style = if response.first_wrong == Some(cell.token) { style.underlined().bold() } else { style };
        style.apply_to(&cell.text).to_string()
    }

    /// The critic's values under a line of tokens.
    fn curve(&self, line: &[Cell], values: &[f32]) -> String {
        let block = |token: usize| {
            let value = values.get(token).copied().unwrap_or(f32::NAN);
            if value.is_nan() { " " } else { BLOCKS[(self.values.shade(value) * 7.99) as usize] }
        };
        line.iter().map(|cell| block(cell.token).repeat(cell.width)).collect()
    }

    fn print_legend(&self) {
        let (quantity, screen) = (self.quantity, self.screen);
        let name = screen.bold(quantity.key());
        screen.line(&format!("\n  {name}: {}", quantity.about()));
        let ends = self.scale.ends().map(|(low, high)| [low, high].map(|end| decimal(f64::from(end), 3)));
        if screen.is_watched() {
            let scale = match &ends {
                Some([low, high]) => format!("{low} {} {high}", self.paint.ramp()),
                None => [("low", -1.0), ("high", 1.0), ("dual", 2.0)]
                    .map(|(state, number)| self.paint.style(number).apply_to(format!(" {state} ")).to_string())
                    .join(" "),
            };
            screen.line(&format!("  {scale}   underlined: the first wrong token"));
        } else {
            let what = match quantity {
                Quantity::Value => "changes most",
                Quantity::Clip => "is not none",
                Quantity::Logprob | Quantity::SamplerLogprob => "is lowest",
                Quantity::Advantage | Quantity::Ratio => "is farthest from its center",
                Quantity::Return | Quantity::Entropy => "is highest",
            };
            let [open, close] = STANDS_OUT;
            let [before, after] = WRONG;
            screen
                .line(&format!("  {open}..{close}: tokens where it {what}; {before}..{after}: the first wrong token"));
        }
        if let Some((low, high)) = self.values.ends().filter(|(low, high)| low < high) {
            let (low, high) = (decimal(f64::from(low), 3), decimal(f64::from(high), 3));
            screen.line(&format!("  {} .. {}: the critic's value, {low} .. {high}", BLOCKS[0], BLOCKS[7]));
        }
    }
}

/// A token and its numbers.
fn describe(response: &Response, token: usize) -> String {
    let text = response.tokens.text.as_ref().and_then(|texts| texts.get(token)).map_or("", String::as_str);
    let mut words = format!("token {} of {} {:?}", token + 1, response.response_tokens, one_line(text, 20));
    for quantity in Quantity::ALL {
        let number = quantity.of(&response.tokens).and_then(|numbers| numbers.get(token).copied());
        let shown = match (quantity, number) {
            (Quantity::SamplerLogprob | Quantity::Return, _) | (_, None) => continue,
            (Quantity::Clip, _) => match response.tokens.clip.as_ref().and_then(|clips| clips.get(token)) {
                Some(state) => one_line(state, 10),
                None => continue,
            },
            (_, Some(number)) => decimal(f64::from(number), 3),
        };
        words += &format!("  {} {shown}", quantity.key());
    }
    words
}
