//! Jobs of several processes, each of them this test program, over TCP and over MPI where there is an `mpirun`.
//!
//! `MPIRUN` names another one (`tools/test_mpi.py` tries MPICH and Open MPI 5).

mod failures;
mod job;
mod meeting;
mod rank;

use job::{Start, hosts};

/// Sums along the tree, one by one and without anything of the crate.
fn expected_sum() -> Vec<f32> {
    let mut level: Vec<Vec<f32>> = (0..rank::SHARDS).map(rank::shard).collect();
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| pair[0].iter().zip(&pair[1]).map(|(a, b)| a + b).collect()).collect();
    }
    level.remove(0)
}

#[test]
fn any_number_of_ranks_on_any_transport_has_the_same_bits() {
    let expected = rank::after_update(expected_sum(), |norms| norms.iter().sum());
    for ranks in [1, 2, 4] {
        for start in hosts() {
            let outcome = start.run("bits", ranks);
            for rank in 0..ranks {
                assert_eq!(outcome.said(rank), rank::hash(&expected), "{start:?}, rank {rank} of {ranks}");
            }
        }
    }
}

#[test]
fn bytes_are_gathered_and_broadcast_among_any_number_of_ranks() {
    for ranks in [1, 2, 3, 5, 6] {
        let outcome = Start::Tcp.run("bytes", ranks);
        for rank in 0..ranks {
            assert_eq!(outcome.said(rank), format!("{ranks} ranks agree"));
        }
    }
}

#[test]
fn bytes_are_gathered_and_broadcast_over_mpi() {
    for start in hosts().into_iter().filter(|start| *start == Start::Mpi) {
        let outcome = start.run("bytes", 3);
        (0..3).for_each(|rank| assert_eq!(outcome.said(rank), "3 ranks agree"));
    }
}
