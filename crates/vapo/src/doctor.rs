//! `vapo doctor`: checks a run directory, repeats some of its steps, or repeats an update that was saved because it failed.

use anyhow::{Result, bail};
use vapo_train::{
    RunDir,
    dump::{Examination, examine, is_dump},
    inspect::{Finding, Severity, inspect},
    replay::replay,
};

use crate::{
    args::DoctorArgs,
    config,
    format::{count, grouped},
    progress::RunProgress,
    screen::Screen,
};

/// Checks what the path names.
///
/// # Errors
/// Something is damaged, or a repetition gives something else.
pub(crate) fn run(args: &DoctorArgs) -> Result<()> {
    let screen = Screen::for_words();
    if is_dump(&args.path) {
        return show_examination(&screen, &examine(&args.path)?);
    }
    let run = RunDir::open(&args.path)?;
    let findings = inspect(&run)?;
    show_findings(&screen, &findings);
    let damages = findings.iter().filter(|finding| finding.severity == Severity::Damage).count();
    if damages > 0 {
        bail!("{}: {} found", args.path.display(), count(damages as u64, "damage", "damages"));
    }
    match args.replay {
        Some(steps) => {
            if !args.allow_verifier {
                config::refuse_outside_actions(&run.config()?, &args.path.display().to_string())?;
            }
            repeat(&screen, &run, args.from, steps)
        }
        None => Ok(()),
    }
}

fn show_findings(screen: &Screen, findings: &[Finding]) {
    let width = findings.iter().map(|finding| finding.place.len()).max().unwrap_or(0);
    for Finding { severity, place, text } in findings {
        let severity = match severity {
            Severity::Good => screen.good(&format!("{:<8}", "ok")),
            Severity::Note => screen.dim(&format!("{:<8}", "note")),
            Severity::Damage => screen.bad(&format!("{:<8}", "damaged")),
        };
        screen.line(&format!("  {severity}{place:<width$}  {text}"));
    }
}

fn repeat(screen: &Screen, run: &RunDir, from: Option<u64>, steps: u64) -> Result<()> {
    screen.line(&format!("\n  {}", screen.bold("repeating steps")));
    let mut progress = RunProgress::new(screen, &run.config()?, from);
    let result = replay(run, from, steps, &mut progress);
    screen.clear();
    let replayed = result?;
    let steps = format!("steps {} to {}, from the state after step {}", replayed.from + 1, replayed.to, replayed.from);
    if let Some(difference) = replayed.difference {
        bail!("{steps}: the repetition differs: {difference}");
    }
    screen.line(&format!("\n  {steps}: identical ({})", replayed.compared.join(", ")));
    Ok(())
}

fn show_examination(screen: &Screen, examination: &Examination) -> Result<()> {
    let (update, [responses, tokens]) = (&examination.update, examination.size);
    screen.line(&format!(
        "  the {}'s update in step {}, after {} updates: {} of {} tokens; its gradient norm was {}",
        update.network,
        update.step,
        update.updates,
        count(responses as u64, "response", "responses"),
        grouped(tokens as u64),
        update.grad_norm
    ));
    for part in &examination.not_finite {
        let (count, of) = (grouped(part.count as u64), grouped(part.of as u64));
        screen.line(&format!("  {:<16} {count} of {of} are not finite, the first in {}", part.what, part.first));
    }
    if !examination.is_reproduced() {
        bail!("the gradient is finite now: the update was not reproduced");
    }
    screen.line("  reproduced: the gradient is not finite");
    Ok(())
}
