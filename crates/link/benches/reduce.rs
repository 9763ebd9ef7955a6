//! Our sum in a fixed order beside `MPI_Allreduce`, in one run: `cargo bench -p vapo-link --bench reduce`.
//!
//! Starts itself on 2 and 4 ranks by mpirun, and over TCP. Variables: `FLOATS` (134 million, the parameters of
//! SmolLM2-135M), `ROUNDS` (5), `MPIRUN` (the program), `VAPO_MPI_LIB` (its library).

use std::process::Command;
use std::time::{Duration, Instant};

use vapo_link::{Identity, Launch, Ranks, Transport};

const PATIENCE: Duration = Duration::from_secs(300);

fn main() {
    if std::env::var_os("VAPO_LINK_BENCH").is_some() {
        return measure();
    }
    for ranks in ["2", "4"] {
        let mpirun = std::env::var("MPIRUN").unwrap_or_else(|_| "mpirun".into());
        let mut mpi = Command::new(&mpirun);
        mpi.args(["-n", ranks]).arg(std::env::current_exe().expect("this program")).env("VAPO_LINK_BENCH", "mpi");
        // For Open MPI: more ranks than processors, also as root. Others do not read them.
        for (name, value) in [("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")] {
            mpi.env(name, value).env("OMPI_MCA_rmaps_base_oversubscribe", "1");
            mpi.env("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe");
        }
        match mpi.status() {
            Ok(status) if status.success() => {}
            other => println!("{mpirun} -n {ranks}: {other:?}"),
        }
        tcp(ranks);
    }
}

fn tcp(ranks: &str) {
    let size: usize = ranks.parse().expect("a number");
    let program = std::env::current_exe().expect("this program");
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let start = |rank: usize| {
        let mut command = Command::new(&program);
        command.env("VAPO_LINK_BENCH", "tcp").env("RANK", rank.to_string()).env("WORLD_SIZE", ranks);
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
        command.spawn().expect("this program can be started")
    };
    for mut child in (0..size).map(start).collect::<Vec<_>>() {
        assert!(child.wait().expect("the rank ends").success());
    }
}

/// One rank: alternates both sums and prints the medians on rank 0.
fn measure() {
    let number = |name, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (floats, rounds) = (number("FLOATS", 134_515_008), number("ROUNDS", 5));
    let identity = Identity { version: env!("CARGO_PKG_VERSION").into(), parts: Vec::new() };
    let launch = Launch::detect(Transport::Auto, |name| std::env::var(name).ok()).expect("variables that fit");
    let mut ranks = launch.begin(&identity, PATIENCE, PATIENCE).expect("the ranks meet");
    let mut values = vec![0.0; floats];
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(time(&mut ranks, &mut values, |ranks, values| ranks.reduce("ours", values).is_ok()));
        theirs.push(time(&mut ranks, &mut values, |ranks, values| ranks.own_sum(values).expect("a sum")));
    }
    if ranks.rank() == 0 {
        let median = |seconds: &[f64]| {
            let mut sorted = seconds.to_vec();
            sorted.sort_by(f64::total_cmp);
            sorted[sorted.len() / 2]
        };
        let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
        print!(
            "{}, {} ranks, {:.1} M floats: {:.2} s",
            ranks.transport(),
            ranks.size(),
            floats as f64 / 1e6,
            median(&ours)
        );
        match ranks.transport() {
            "TCP" => println!(),
            _ => println!(", MPI_Allreduce {:.2} s, ratio {:.2} ({ratios:.2?})", median(&theirs), median(&ratios)),
        }
    }
    ranks.finish().expect("all ranks end");
}

/// Seconds from when all ranks begin until this one has the sum.
fn time(ranks: &mut Ranks, values: &mut [f32], sum: impl FnOnce(&mut Ranks, &mut [f32]) -> bool) -> f64 {
    values.fill(0.5);
    ranks.barrier("the next round").expect("all ranks come");
    let begun = Instant::now();
    sum(ranks, values);
    ranks.barrier("the end of a round").expect("all ranks come");
    begun.elapsed().as_secs_f64()
}
