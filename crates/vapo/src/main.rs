//! The `vapo` command: parses arguments and prints results. The work is done in `vapo-train`.

#![forbid(unsafe_code)]

mod ablate;
mod args;
mod bench;
mod chat;
mod compare;
mod config;
mod conversation;
mod critic;
#[cfg(feature = "dash")]
mod dash;
mod doctor;
mod eval;
mod forecast;
mod format;
mod generate;
mod header;
mod import;
mod interrupt;
#[cfg(feature = "screen")]
mod live;
#[cfg(not(feature = "screen"))]
#[path = "live/without.rs"]
mod live;
mod model;
mod plan;
mod plot;
mod pretrain;
mod progress;
mod prompts;
mod rates;
mod report;
mod response_row;
mod resume;
mod samples;
mod score;
mod screen;
mod show;
mod spark;
mod train;
mod verify;

use std::{
    io::{ErrorKind, Write, stderr},
    process::ExitCode,
};

use anyhow::Result;
use clap::Parser;

use args::{Cli, Command};
use format::printable;
use interrupt::{Ending, STOPPED};

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Stopped) => ExitCode::from(STOPPED),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // It is an error even if nobody reads it.
            let _ = writeln!(stderr(), "{}", describe(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<Ending> {
    if matches!(command, Command::Train(_) | Command::Resume(_) | Command::Ablate(_)) && vapo_train::is_another_rank() {
        screen::silence();
    }
    match command {
        Command::Train(args) => return train::run(args),
        Command::Resume(args) => return resume::run(args),
        Command::Ablate(args) => return ablate::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Generate(args) => generate::run(args),
        Command::Score(args) => score::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Import(args) => import::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Plot(args) => plot::run(&args),
        Command::Config(args) => config::run(args),
        Command::Pretrain(args) => pretrain::run(args),
        Command::Bench(args) => bench::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Compare(args) => compare::run(&args),
        #[cfg(feature = "dash")]
        Command::Dash(args) => dash::run(args),
        #[cfg(feature = "dash")]
        Command::Report(args) => dash::report(&args),
    }?;
    Ok(Ending::Done)
}

/// Whether the reader of our output has closed it (`vapo config | head`).
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// An error and its causes as one block, without causes that the message before already contains.
fn describe(error: &anyhow::Error) -> String {
    let mut text = String::from("error: ");
    let mut previous = String::new();
    // Messages quote files, which may hold escape codes of a terminal.
    for cause in error.chain().map(|cause| printable(&cause.to_string())) {
        if previous.contains(&cause) {
            continue;
        }
        if !previous.is_empty() {
            text.push_str("\n  because: ");
        }
        text.push_str(&cause.replace('\n', "\n  "));
        previous = cause;
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn an_error_is_printed_once_with_its_causes() {
        let error = anyhow!("no such file").context("cannot read a.toml: no such file").context("cannot train");
        assert_eq!(describe(&error), "error: cannot train\n  because: cannot read a.toml: no such file");
        assert_eq!(describe(&anyhow!("tensor \x1b]0;x\x07")), "error: tensor \u{fffd}]0;x\u{fffd}");
        assert_eq!(describe(&anyhow!("a is wrong\nb is wrong")), "error: a is wrong\n  b is wrong");
    }

    #[test]
    fn a_closed_pipe_is_recognized() {
        assert!(is_broken_pipe(&std::io::Error::from(ErrorKind::BrokenPipe).into()));
        assert!(!is_broken_pipe(&std::io::Error::from(ErrorKind::NotFound).into()));
    }
}
