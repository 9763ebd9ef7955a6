//! What moves between the ranks that a launcher has started: `mpirun -n 2 vapo bench --link`.

use anyhow::{Result, bail};
use serde_json::json;
use vapo_train::{Config, Division, launch};

use crate::{args::BenchArgs, format::bytes};

/// Values in a buffer: those of a network of 16 M weights.
const VALUES: usize = 1 << 24;

/// Sums a buffer over all ranks, as an update sums its gradients, and prints the median rate.
pub(super) fn run(args: &BenchArgs) -> Result<()> {
    let mut division = Division::for_whole_runs(launch(&Config::default())?, "bench")?;
    let ranks = division.ranks().size();
    if ranks == 1 {
        bail!("--link measures the connection between ranks: start it with mpirun, srun or torchrun");
    }
    let mut values = vec![1.0; VALUES];
    // The first time, memory is new.
    division.measure_sum(&mut values)?;
    let mut rounds = (0..args.rounds.max(1))
        .map(|_| {
            values.fill(1.0);
            Ok(division.measure_sum(&mut values)?)
        })
        .collect::<Result<Vec<_>>>()?;
    assert!(values.iter().all(|value| *value == ranks as f32), "a sum of ones is the number of ranks");
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (secs, sent) = rounds[rounds.len() / 2];
    let (leads, transport) = (division.leads(), division.ranks().transport().to_owned());
    division.end(None)?;
    if !leads {
        return Ok(());
    }
    let gbit = 8.0 * sent as f64 / secs / 1e9;
    if args.json {
        println!(
            "{}",
            json!({"ranks": ranks, "transport": transport, "secs": secs, "sent_bytes": sent, "gbit_per_sec": gbit})
        );
    } else {
        println!(
            "{ranks} ranks over {transport}: a sum of {} of gradients takes {:.3} s",
            bytes(4 * VALUES as u64),
            secs
        );
        println!("each rank sends {} at {gbit:.2} Gbit/s (vapo plan --ranks {ranks} --network {gbit:.2})", bytes(sent));
    }
    Ok(())
}
