//! A rank that fails is named by all others, soon.

use std::time::Duration;

use super::job::{Outcome, Start, hosts};

/// Far below the 60 seconds that ranks wait, with room for a busy machine.
const SOON: Duration = Duration::from_secs(30);

fn say(outcome: &Outcome, ranks: &[usize], expected: &[&str]) {
    for &rank in ranks {
        let said = outcome.said(rank);
        for text in expected {
            assert!(said.contains(text), "rank {rank} said {said:?} instead of {text:?}; {}", outcome.output);
        }
    }
    assert!(outcome.elapsed < SOON, "{:?}", outcome.elapsed);
}

#[test]
fn a_killed_rank_is_named() {
    let outcome = Start::Tcp.run("killed", 4);
    // It may be dead before the others have left the barrier.
    say(&outcome, &[0, 1, 3], &["error: rank 2 on ", "` without a word"]);
}

#[test]
fn a_killed_rank_ends_a_job_of_mpi() {
    for start in hosts().into_iter().filter(|start| *start == Start::Mpi) {
        let outcome = start.run("killed", 4);
        assert!(outcome.elapsed < SOON, "{:?}", outcome.elapsed);
        for rank in 0..4 {
            assert!(!outcome.said(rank).contains("nothing happened"), "rank {rank}");
        }
        // Open MPI's mpirun names the rank, MPICH's the process and its signal.
        let output = &outcome.output;
        assert!(output.contains("process rank 2 with PID") || output.contains("EXIT CODE: 9"), "{output}");
    }
}

#[test]
fn a_rank_that_hangs_is_named_also_by_those_that_wait_for_others() {
    let outcome = Start::Tcp.run_with("stopped", 4, 2, &[2]);
    let expected = ["error: rank 2 on ", "sent and taken nothing for 2 s in `gradients of the critic`"];
    say(&outcome, &[0, 1, 3], &expected);
    for start in hosts().into_iter().filter(|start| *start == Start::Mpi) {
        // Whoever ends first is followed by mpirun's end of the others, so one message at least.
        let outcome = start.run_with("stopped", 4, 2, &[2]);
        let said: String = (0..4).map(|rank| outcome.said(rank)).chain([outcome.output.clone()]).collect();
        assert!(said.contains("rank 2 on ") && said.contains(expected[1]), "{said}");
        assert!(!said.contains("rank 1 on ") && !said.contains("rank 3 on "), "{said}");
        assert!(outcome.elapsed < SOON, "{:?}", outcome.elapsed);
    }
}

#[test]
fn a_rank_that_comes_too_late_learns_that_nobody_waits() {
    let outcome = Start::Tcp.run_with("late", 4, 2, &[]);
    say(&outcome, &[0, 1, 3], &["error: rank 2 on ", "sent and taken nothing for 2 s"]);
    say(&outcome, &[2], &["this process, came too late to `gradients of the critic`"]);
}

#[test]
fn a_rank_that_gives_up_says_why_to_all() {
    let expected = ["error: rank 1 on ", "cannot go on: the disk is full"];
    say(&Start::Tcp.run("gives-up", 4), &[0, 2, 3], &expected);
    for start in hosts().into_iter().filter(|start| *start == Start::Mpi) {
        // Whoever hears it first ends, which is the end of all.
        let outcome = start.run("gives-up", 4);
        let said = [0, 2, 3].map(|rank| outcome.said(rank)).concat();
        assert!(expected.iter().all(|text| said.contains(text)) && !said.contains("nothing happened"), "{said}");
        assert!(outcome.elapsed < SOON, "{:?}", outcome.elapsed);
    }
    let outcome = Start::Tcp.run("leaves", 4);
    say(&outcome, &[0, 2, 3], &["error: rank 1 on ", "cannot go on: it stopped before the end"]);
}

#[test]
fn a_rank_that_does_something_else_is_found_out() {
    for start in hosts() {
        let outcome = start.run("strays", 2);
        let said = outcome.said(0) + &outcome.said(1);
        assert!(said.contains("ranks must do the same"), "{said}; {}", outcome.output);
        assert!(said.contains("`verdicts` (operation 2)") && said.contains("`gradients` (operation 2)"), "{said}");
    }
}
