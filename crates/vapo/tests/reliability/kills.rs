//! Runs whose process is killed or asked to stop at random moments, again and again until they are finished.
//!
//! `VAPO_KILLS` is the number of kills for each kind of run, `VAPO_KILLS_SEED` the seed of their moments.

use std::{
    os::unix::process::ExitStatusExt,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use vapo_tasks::{Random, Stream};

use crate::run::{BF16, DAPO, Kind, Place, VAPO, difference};

/// The exit code of a run that was asked to stop.
const STOPPED: i32 = 75;

#[test]
fn a_killed_run_with_value_pretraining_and_dynamic_sampling_loses_nothing() {
    survives_kills(&VAPO);
}

#[test]
fn a_killed_run_without_critic_loses_nothing() {
    survives_kills(&DAPO);
}

#[test]
fn a_killed_run_in_bf16_loses_nothing() {
    survives_kills(&BF16);
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}: no number")))
}

/// Kills runs of a kind until there were enough kills, and compares what each has become with a run that was left alone.
fn survives_kills(kind: &Kind) {
    let (wanted, seed) = (setting("VAPO_KILLS", 3), setting("VAPO_KILLS_SEED", 0));
    println!("VAPO_KILLS_SEED={seed}");
    let root = tempfile::tempdir().unwrap();
    let whole = Place::new(root.path().join("whole"), kind);
    let begun = Instant::now();
    finish(&whole, 2);
    let (expected, duration) = (whole.outcome(), begun.elapsed());

    let mut tally = Tally::default();
    for round in 0.. {
        if tally.all() >= wanted {
            break;
        }
        println!("{}, round {round}", kind.name);
        let place = Place::new(root.path().join(format!("round-{round}")), kind);
        let random = &mut Random::keyed(seed, Stream::TestCase, &[kind.key, round]);
        kill_until_finished(&place, random, duration, &mut tally);
        assert_eq!(difference(&expected, &place.outcome()), None);
        let left = ["partial", "damaged"].map(|extension| place.with_extension(extension)).concat();
        assert!(left.is_empty(), "left behind, or damaged by a kill: {left:?}");
        tally.rounds += 1;
        std::fs::remove_dir_all(&place.path).unwrap();
    }
    println!("{}: {tally:?}, all with the bytes of the uninterrupted run", kind.name);
}

/// What ended the sessions before they were finished.
#[derive(Debug, Default)]
struct Tally {
    rounds: u64,
    kills: u64,
    /// Sessions that SIGTERM ended with a checkpoint.
    stops: u64,
    /// Sessions that SIGTERM ended before they could have stopped themselves.
    terminations: u64,
    /// Kills that left an unfinished checkpoint.
    in_checkpoints: u64,
    /// Kills that left another unfinished file.
    in_files: u64,
    /// Kills before there was a checkpoint.
    before_checkpoints: u64,
}

impl Tally {
    /// Number of sessions that a signal ended.
    fn all(&self) -> u64 {
        self.kills + self.stops + self.terminations
    }

    fn count_kill(&mut self, place: &Place<'_>) {
        let partial = place.partial();
        let in_checkpoints = |path: &Path| path.parent().is_some_and(|parent| parent.ends_with("checkpoints"));
        self.kills += 1;
        self.in_checkpoints += u64::from(partial.iter().any(|path| in_checkpoints(path)));
        self.in_files += u64::from(partial.iter().any(|path| !in_checkpoints(path)));
        let names = std::fs::read_dir(place.path.join("checkpoints")).into_iter().flatten().flatten();
        let complete = names.filter(|entry| entry.path().extension().is_none()).count();
        self.before_checkpoints += u64::from(complete == 0);
    }
}

/// Starts a session after the other, each with another number of threads, and kills it or asks it to stop at a random
/// moment: half of them at any time, the others while they write a file or a checkpoint, which few moments hit.
fn kill_until_finished(place: &Place<'_>, random: &mut Random, duration: Duration, tally: &mut Tally) {
    for session in 0.. {
        let threads = 1 + (session + random.below(2) as usize) % 3;
        let moment = duration.mul_f64(random.below(1000) as f64 / 1000.0);
        let while_writing = random.below(2) == 1;
        let lateness = Duration::from_micros(random.below(5000));
        let signal = if random.below(3) == 0 { Signal::SIGTERM } else { Signal::SIGKILL };
        println!(
            "  {threads} threads, {signal} after {moment:?}, while writing: {while_writing} and {lateness:?} later"
        );
        let mut running = place.start(threads);
        let begun = running.begun;
        let due = || begun.elapsed() >= moment && !(while_writing && place.partial().is_empty());
        let status = running.ended_before(due).unwrap_or_else(|| {
            sleep(if while_writing { lateness } else { Duration::ZERO });
            kill(Pid::from_raw(running.process.id().cast_signed()), signal).unwrap();
            running.wait()
        });
        match (status.code(), status.signal()) {
            (Some(0), _) => return,
            (Some(STOPPED), _) if signal == Signal::SIGTERM => tally.stops += 1,
            (None, Some(by)) if by == signal as i32 && signal == Signal::SIGTERM => tally.terminations += 1,
            (None, Some(by)) if by == signal as i32 => tally.count_kill(place),
            _ => panic!("{status} after {signal}; it printed\n{}", running.printed()),
        }
    }
}

fn finish(place: &Place<'_>, threads: usize) {
    let mut session = place.start(threads);
    let status = session.wait();
    assert!(status.success(), "{status}; it printed\n{}", session.printed());
}
