//! Runs on several ranks: the same bytes for any number of them, and nothing lost when one is.

use std::process::{Command, ExitStatus};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    environments::environments,
    run::{BF16, DAPO, Kind, Place, Session, VAPO, difference},
};

/// The exit code of a run that was asked to stop.
const STOPPED: i32 = 75;
const SHARDS: usize = 4;

/// Starts a session on so many ranks, which meet over TCP.
fn start(place: &Place<'_>, ranks: usize) -> Vec<Session> {
    start_with(place, ranks, |_, _| ())
}

/// The same, with a change to the commands of some ranks.
fn start_with(place: &Place<'_>, ranks: usize, change: impl Fn(usize, &mut Command)) -> Vec<Session> {
    let begin = |(rank, environment): (usize, [(&str, String); 4])| {
        let mut command = place.command(1);
        command.envs(environment);
        change(rank, &mut command);
        Session::start(command, place.path.with_extension(format!("{rank}.log")))
    };
    environments(ranks).enumerate().map(begin).collect()
}

fn wait(ranks: &mut [Session]) -> Vec<ExitStatus> {
    ranks.iter_mut().map(Session::wait).collect()
}

fn finish(place: &Place<'_>, ranks: usize) {
    let mut sessions = start(place, ranks);
    let ends = wait(&mut sessions);
    let printed: String = sessions.iter().map(Session::printed).collect();
    assert!(ends.iter().all(ExitStatus::success), "{ends:?}\n{printed}");
}

#[test]
fn any_number_of_ranks_gives_the_same_run() {
    let root = tempfile::tempdir().unwrap();
    for kind in [&VAPO, &DAPO, &BF16] {
        let outcome = |ranks: usize| {
            let place = Place::with_shards(root.path().join(format!("{}-{ranks}", kind.name)), kind, SHARDS);
            finish(&place, ranks);
            place.outcome()
        };
        let expected = outcome(1);
        assert_eq!(difference(&expected, &outcome(2)), None, "{} on 2 ranks", kind.name);
        assert_eq!(difference(&expected, &outcome(4)), None, "{} on 4 ranks", kind.name);
    }
}

#[test]
fn ranks_of_an_mpi_library_give_the_same_run() {
    if Command::new("mpirun").arg("--version").output().is_err() {
        return println!("skipped: no mpirun here");
    }
    let root = tempfile::tempdir().unwrap();
    let [alone, together] = ["alone", "together"].map(|name| Place::with_shards(root.path().join(name), &VAPO, SHARDS));
    finish(&alone, 1);
    let vapo = together.command(1);
    let mut command = Command::new("mpirun");
    // Open MPI wants to be told that it may run as root and share processors.
    command.args(["-n", "2"]).arg(vapo.get_program()).args(vapo.get_args());
    command.envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")]);
    command.env("OMPI_MCA_rmaps_base_oversubscribe", "1");
    let mut session = Session::start(command, root.path().join("mpirun.log"));
    assert!(session.wait().success(), "{}", session.printed());
    assert!(session.printed().contains("ranks    2 on 1 machine over "), "{}", session.printed());
    assert_eq!(difference(&alone.outcome(), &together.outcome()), None);
}

/// Ends a session of four ranks by a signal to one of them, once it has a checkpoint.
fn interrupted(place: &Place<'_>, rank: usize, signal: Signal) -> Vec<(Option<i32>, String)> {
    let mut sessions = start(place, 4);
    let first = place.path.join("checkpoints/step-000001");
    assert_eq!(sessions[0].ended_before(|| first.exists()), None, "{}", sessions[0].printed());
    kill(Pid::from_raw(sessions[rank].process.id() as i32), signal).unwrap();
    let ends = wait(&mut sessions);
    ends.iter().zip(&sessions).map(|(end, session)| (end.code(), session.printed())).collect()
}

#[test]
fn a_run_that_loses_a_rank_goes_on_with_others() {
    let root = tempfile::tempdir().unwrap();
    let whole = Place::with_shards(root.path().join("whole"), &VAPO, SHARDS);
    finish(&whole, 2);
    for rank in [0, 3] {
        let place = Place::with_shards(root.path().join(format!("without-{rank}")), &VAPO, SHARDS);
        let ends = interrupted(&place, rank, Signal::SIGKILL);
        for (other, (code, printed)) in ends.iter().enumerate().filter(|(other, _)| *other != rank) {
            assert_eq!(*code, Some(1), "rank {other}:\n{printed}");
            assert!(printed.contains(&format!("rank {rank} on ")), "rank {other} does not say who is gone:\n{printed}");
        }
        finish(&place, 2);
        assert_eq!(difference(&whole.outcome(), &place.outcome()), None, "without rank {rank}");
    }
}

#[test]
fn all_ranks_stop_when_one_is_asked_to() {
    let root = tempfile::tempdir().unwrap();
    let whole = Place::with_shards(root.path().join("whole"), &DAPO, SHARDS);
    finish(&whole, 1);
    let place = Place::with_shards(root.path().join("stopped"), &DAPO, SHARDS);
    for (rank, (code, printed)) in interrupted(&place, 2, Signal::SIGTERM).iter().enumerate() {
        assert_eq!(*code, Some(STOPPED), "rank {rank}:\n{printed}");
    }
    finish(&place, 1);
    assert_eq!(difference(&whole.outcome(), &place.outcome()), None);
}

/// What each rank says of a session that cannot begin; nothing is written.
fn refused(kind: &Kind, shards: usize, ranks: usize, change: impl Fn(usize, &mut Command)) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    let place = Place::with_shards(root.path().join("run"), kind, shards);
    let mut sessions = start_with(&place, ranks, change);
    let ends = wait(&mut sessions);
    assert!(ends.iter().all(|end| end.code() == Some(1)), "{ends:?}");
    assert!(!place.path.exists());
    sessions.iter().map(Session::printed).collect()
}

#[test]
fn ranks_that_do_not_fit_together_are_told_so_before_anything_is_written() {
    for said in refused(&VAPO, 2, 4, |_, _| ()) {
        assert!(said.contains("4 ranks cannot share run.gradient_shards = 2"), "{said}");
    }
    let other_seed = |rank: usize, command: &mut Command| {
        if rank == 1 {
            command.args(["--set", "run.seed=7"]);
        }
    };
    for said in refused(&VAPO, 2, 2, other_seed) {
        assert!(said.contains("rank 1 on ") && said.contains("has another config"), "{said}");
    }
    let no_address = |_: usize, command: &mut Command| {
        command.env_remove("MASTER_ADDR");
    };
    for said in refused(&VAPO, 2, 2, no_address) {
        assert!(said.contains("MASTER_ADDR is not set"), "{said}");
    }
}
