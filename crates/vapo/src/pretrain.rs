//! `vapo pretrain`: trains the built-in base model, or a similar one.

use std::path::Path;

use anyhow::{Result, bail};
use vapo_train::{
    Config, Event, ModelDirectory, device,
    pretrain::{PretrainSettings, pretrain},
};

use crate::{
    args::PretrainArgs,
    format::rough_duration,
    interrupt::stop_flag,
    screen::{Screen, StageBar},
};

/// Trains a base model and compares it with the one that comes with the program.
pub(crate) fn run(args: PretrainArgs) -> Result<()> {
    let screen = Screen::for_words();
    let settings = settings(&args)?;
    let mut config = Config::default();
    config.run.threads = args.threads;
    let stop = stop_flag(&screen, "stopping: nothing will be written", None)?;
    let mut bar = StageBar::new(&screen);
    let began = std::time::Instant::now();
    let mut observer = |event: Event<'_>| {
        if let Event::Progress(progress) = event {
            let secs = began.elapsed().as_secs_f64() / progress.done.max(1) as f64;
            let left = secs * (progress.total - progress.done) as f64;
            bar.show("", progress, &format!("about {} left", rough_duration(left)));
        }
    };
    let loss = pretrain(&settings, &device(&config), &args.out, &mut observer, &stop)?;
    screen.clear();
    let out = args.out.display();
    let Some(loss) = loss else { bail!("stopped before the end; {out} was not written") };
    screen.line(&format!("wrote {out}: a base model for `{}`, final loss {loss:.4} nats per token", settings.task));
    if settings == PretrainSettings::of_task(&settings.task)
        && let Ok(built_in) = ModelDirectory::built_in(&settings.task)
    {
        let same = have_same_weights(&args.out, built_in.path())?;
        let verdict = if same { "is identical to" } else { "differs from" };
        screen.line(&format!("model.safetensors {verdict} the built-in one"));
    }
    screen.line(&format!(
        "next: vapo eval --model {out} --set data.task={0}; vapo train --set model.path={out} --set data.task={0}",
        settings.task
    ));
    Ok(())
}

fn settings(args: &PretrainArgs) -> Result<PretrainSettings> {
    let standard = PretrainSettings::of_task(&args.task);
    let settings = PretrainSettings {
        updates: args.updates.unwrap_or(standard.updates),
        demonstrations_per_update: args.demonstrations.unwrap_or(standard.demonstrations_per_update),
        hidden_size: args.hidden_size.unwrap_or(standard.hidden_size),
        num_layers: args.layers.unwrap_or(standard.num_layers),
        learning_rate: args.learning_rate.unwrap_or(standard.learning_rate),
        seed: args.seed.unwrap_or(standard.seed),
        ..standard
    };
    let heads = settings.num_heads;
    if settings.hidden_size == 0 || !settings.hidden_size.is_multiple_of(2 * heads) {
        bail!(
            "--hidden-size ({}) must be a multiple of {} ({heads} heads of even size)",
            settings.hidden_size,
            2 * heads
        );
    }
    for (flag, value) in [
        ("--updates", settings.updates),
        ("--demonstrations", settings.demonstrations_per_update as u64),
        ("--layers", settings.num_layers as u64),
    ] {
        if value == 0 {
            bail!("{flag} (0) must be at least 1");
        }
    }
    if !(settings.learning_rate > 0.0 && settings.learning_rate.is_finite()) {
        bail!("--learning-rate ({}) must be greater than 0", settings.learning_rate);
    }
    Ok(settings)
}

fn have_same_weights(one: &Path, other: &Path) -> Result<bool> {
    Ok(std::fs::read(one.join("model.safetensors"))? == std::fs::read(other.join("model.safetensors"))?)
}
