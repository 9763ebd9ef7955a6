//! Ranks that must not or cannot begin together.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::job::{Job, Start, hosts, this_program};

#[test]
fn another_version_or_fingerprint_is_named_on_every_rank() {
    for start in hosts() {
        let expected = ["error: rank 1 on ", "runs version 9.9.9 of vapo, rank 0 on "];
        every_rank_says(start, "other-version", 2, &expected);
        let expected =
            ["rank 2 on ", "rank 3 on ", "has another data (cc) than rank 0 on ", "(bb): give all ranks the same"];
        let said = every_rank_says(start, "other-data", 4, &expected);
        assert!(!said.contains("rank 1 on "), "{said}");
    }
}

/// Under mpirun, only one may come to it: the end of the first is the end of all.
fn every_rank_says(start: Start, role: &'static str, ranks: usize, expected: &[&str]) -> String {
    let outcome = start.run(role, ranks);
    let said: Vec<String> = (0..ranks).map(|rank| outcome.said(rank)).filter(|said| !said.is_empty()).collect();
    assert!(said.len() == ranks || start == Start::Mpi && !said.is_empty(), "{said:?}");
    for said in &said {
        assert!(expected.iter().all(|text| said.contains(text)), "{said:?} instead of {expected:?}");
    }
    said.concat()
}

#[test]
fn ranks_that_do_not_come_are_named() {
    let mut job = Job::new("meets-soon", 4, 60);
    let port = job.port;
    [0, 2].into_iter().for_each(|rank| job.start(rank));
    let outcome = job.wait(&[]);
    for rank in [0, 2] {
        let expected = format!("error: of 4 ranks, 2 did not come to 127.0.0.1:{port} in time: 1, 3");
        assert_eq!(outcome.said(rank), expected, "rank {rank}");
    }
    let mut job = Job::new("meets-soon", 2, 60);
    job.start(1);
    let said = job.wait(&[]).said(1);
    assert!(said.contains("did not reach rank 0 at 127.0.0.1:") && said.contains("Connection refused"), "{said}");
}

#[test]
fn two_processes_of_one_rank_and_other_sizes_are_refused() {
    let mut job = Job::new("meets", 3, 60);
    [0, 1, 1].into_iter().for_each(|rank| job.start(rank));
    let said = job.wait(&[]).said(0);
    assert!(said.contains("two processes say that they are rank 1 of 3: at 127.0.0.1 and at 127.0.0.1"), "{said}");
    let mut job = Job::new("meets", 2, 60);
    job.start(0);
    job.size = 3;
    job.start(2);
    let outcome = job.wait(&[]);
    assert!(outcome.said(2).contains("rank 2 at 127.0.0.1 belongs to 3 ranks, rank 0 to 2"), "{}", outcome.said(2));
    assert_eq!(outcome.said(0), outcome.said(2));
}

#[test]
fn strangers_at_the_port_do_not_disturb() {
    let mut job = Job::new("meets", 2, 60);
    job.start(0);
    let place = ("127.0.0.1", job.port);
    let begun = Instant::now();
    let mut stranger = loop {
        match TcpStream::connect(place) {
            Ok(stream) => break stream,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(30), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    stranger.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("rank 0 reads");
    let gone = TcpStream::connect(place).expect("rank 0 listens");
    drop(gone);
    job.start(1);
    let outcome = job.wait(&[]);
    assert_eq!((outcome.said(0), outcome.said(1)), ("met".into(), "met".into()));
    let answered = stranger.read(&mut [0]);
    assert!(matches!(answered, Ok(0) | Err(_)), "a stranger gets no answer");
}

#[test]
fn another_version_of_the_link_is_refused() {
    let mut job = Job::new("meets", 2, 60);
    job.start(0);
    let begun = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(("127.0.0.1", job.port)) {
            Ok(stream) => break stream,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(30), "{error}"),
        }
    };
    // A greeting of version 77.
    let mut greeting = b"vapolink".to_vec();
    greeting.extend([77, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 9, 9, 0, 0]);
    stream.write_all(&greeting).expect("rank 0 reads");
    let said = job.wait(&[]).said(0);
    assert!(said.contains("a rank at 127.0.0.1 speaks version 77 of the link between ranks, this rank 1"), "{said}");
}

#[test]
fn a_missing_library_is_answered_with_what_was_looked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let run = |library: &str| {
        let mut command = this_program("meets", directory.path(), 60);
        command.env("PMI_RANK", "0").env("PMI_SIZE", "2").env("VAPO_MPI_LIB", library);
        command.output().expect("this program can be started");
        std::fs::read_to_string(directory.path().join("rank-0")).expect("the rank said something")
    };
    let said = run("/nowhere/libmpi.so");
    assert!(said.contains("VAPO_MPI_LIB names /nowhere/libmpi.so, which is no MPI library that works"), "{said}");
    assert!(said.contains("cannot open shared object file"), "{said}");
    let said = run("libc.so.6");
    assert!(said.contains("MPI_Init_thread"), "{said}");
}

#[test]
fn a_library_of_another_mpirun_is_found_out() {
    if !hosts().contains(&Start::Mpi) || std::env::var_os("MPIRUN").is_some() {
        eprintln!("skipped: needs Open MPI where the system looks for programs and libraries");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = this_program("meets", directory.path(), 60);
    // As if MPICH had started it: Open MPI then takes it for a job of one rank.
    command.env("PMI_RANK", "0").env("PMI_SIZE", "2").env("VAPO_MPI_LIB", "libmpi.so.40");
    command.output().expect("this program can be started");
    let said = std::fs::read_to_string(directory.path().join("rank-0")).expect("the rank said something");
    assert!(said.contains("2 ranks were started (PMI_SIZE=2), but Open MPI"), "{said}");
    assert!(said.contains("knows of 1: it does not belong to the mpirun that started them"), "{said}");
}
