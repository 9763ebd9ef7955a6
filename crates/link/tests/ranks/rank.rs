//! What a rank of these jobs does: the test program starts itself with `--exact rank::rank --ignored`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use vapo_link::{Error, Identity, Launch, Ranks, ShardSum, Shares, Transport};

pub(crate) const SHARDS: usize = 8;
const LEN: usize = 100_003;
const UNIT: usize = 4096;
/// How long ranks wait, in seconds.
pub(crate) const PATIENCE: &str = "VAPO_LINK_TEST_PATIENCE";
pub(crate) const ROLE: &str = "VAPO_LINK_TEST_ROLE";
pub(crate) const DIRECTORY: &str = "VAPO_LINK_TEST_DIRECTORY";

#[test]
#[ignore = "a rank of the other tests' jobs"]
fn rank() {
    let role = std::env::var(ROLE).expect("the role in a job");
    let directory = std::env::var(DIRECTORY).expect("the job's directory");
    let variables = ["RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"];
    let rank =
        variables.iter().find_map(|name| std::env::var(name).ok()).map_or(0, |rank| rank.parse().expect("a number"));
    let result = work(&role, rank);
    let failed = result.is_err();
    let said = result.unwrap_or_else(|error| format!("error: {error}"));
    std::fs::write(Path::new(&directory).join(format!("rank-{rank}")), said).expect("the directory can be written");
    // As a program does after an error: mpirun ends the others.
    std::process::exit(failed.into());
}

fn work(role: &str, rank: usize) -> Result<String, Error> {
    let mut ranks = begin(role, rank)?;
    let said = match role {
        "bits" => bits(&mut ranks)?,
        "bytes" => bytes(&mut ranks)?,
        "killed" | "stopped" | "late" => {
            ranks.barrier("the step's begin")?;
            if rank == 2 {
                match role {
                    "killed" => raise(Signal::SIGKILL).expect("a signal"),
                    "stopped" => raise(Signal::SIGSTOP).expect("a signal"),
                    _ => std::thread::sleep(Duration::from_secs(8)),
                }
            }
            ranks.reduce("gradients of the critic", &mut vec![1.0; 3_000_000])?;
            String::from("nothing happened")
        }
        "gives-up" | "leaves" => {
            ranks.barrier("the step's begin")?;
            if rank == 1 && role == "leaves" {
                return Ok("left".into());
            } else if rank == 1 {
                ranks.fail("the disk is full");
                // Under mpirun, the end of a process is that of all, whether they have heard or not.
                std::thread::sleep(Duration::from_secs(3));
                return Ok("gave up".into());
            }
            std::thread::sleep(Duration::from_millis(500));
            // Between two operations, the failure is seen without waiting; the operation says the same.
            ranks.check("a long computation")?;
            String::from("nothing happened")
        }
        "strays" => {
            ranks.barrier(if rank == 1 { "verdicts" } else { "gradients" })?;
            String::from("nothing happened")
        }
        _ => String::from("met"),
    };
    ranks.finish()?;
    Ok(said)
}

fn begin(role: &str, rank: usize) -> Result<Ranks, Error> {
    let version = if role == "other-version" && rank == 1 { "9.9.9" } else { "1.0.0" };
    let data = if role == "other-data" && rank > 1 { "cc" } else { "bb" };
    let parts = vec![("config".into(), "aa".into()), ("data".into(), data.into())];
    let patience = std::env::var(PATIENCE).ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(60);
    let meeting = Duration::from_secs(if role == "meets-soon" { 3 } else { 60 });
    let identity = Identity { version: version.into(), parts };
    let launch = Launch::detect(Transport::Auto, |name| std::env::var(name).ok())?;
    launch.begin(&identity, meeting, Duration::from_secs(patience))
}

/// A step of training: shards, a norm over all ranks, an update of this rank's share, and everybody's new weights.
fn bits(ranks: &mut Ranks) -> Result<String, Error> {
    let mut sum = ShardSum::new(SHARDS, ranks.size())?;
    let mut values = Vec::new();
    for index in ShardSum::shards_of(SHARDS, ranks.size(), ranks.rank()) {
        values = shard(index);
        sum.add(&mut values);
    }
    let shares = Shares::new(values.len(), UNIT, ranks.size())?;
    ranks.reduce_scatter("gradients", &mut values, &shares)?;
    let mine = shares.of(ranks.rank());
    let mut norms = vec![0.0; values.len().div_ceil(UNIT)];
    norms[shares.by_unit().of(ranks.rank())].copy_from_slice(&squares(&values[mine.clone()]));
    ranks.gather_shares("norms", &mut norms, &shares.by_unit())?;
    let norm: f64 = norms.iter().sum();
    update(&mut values[mine], norm);
    ranks.gather_shares("weights", &mut values, &shares)?;
    // The same sum on every rank at once, twice as long as a piece of any transport.
    let mut long = vec![ranks.rank() as f32; 3 << 20];
    // From another thread, as beside a backward pass.
    std::thread::scope(|scope| scope.spawn(|| ranks.reduce("long", &mut long)).join().expect("no panic"))?;
    let expected = (0..ranks.size()).sum::<usize>() as f32;
    assert!(long.iter().all(|&value| value == expected));
    Ok(hash(&values))
}

fn squares(values: &[f32]) -> Vec<f64> {
    values.chunks(UNIT).map(|unit| unit.iter().map(|&value| f64::from(value) * f64::from(value)).sum()).collect()
}

fn update(values: &mut [f32], norm: f64) {
    values.iter_mut().for_each(|value| *value = (f64::from(*value) / norm.sqrt()) as f32);
}

/// What the weights are after the same step in one piece.
pub(crate) fn after_update(mut sum: Vec<f32>, total: impl Fn(&[f64]) -> f64) -> Vec<f32> {
    let norm = total(&squares(&sum));
    update(&mut sum, norm);
    sum
}

pub(crate) fn hash(values: &[f32]) -> String {
    let mut hasher = DefaultHasher::new();
    values.iter().for_each(|value| value.to_bits().hash(&mut hasher));
    format!("{:016x}", hasher.finish())
}

/// Gradients whose sum depends on its order: signs and sizes of all kinds.
pub(crate) fn shard(index: usize) -> Vec<f32> {
    let mut state = index as u64 + 1;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..LEN).map(|_| (random() as i32 as f32) * 2f32.powi((random() % 20) as i32 - 40)).collect()
}

/// Parts of many lengths, an empty one among them, and one that no piece holds.
fn bytes(ranks: &mut Ranks) -> Result<String, Error> {
    let (rank, size) = (ranks.rank(), ranks.size());
    let part = |rank: usize| vec![rank as u8 + 1; [0, 7, 900_000][rank % 3] * (rank + 1)];
    let everything: Vec<Vec<u8>> = (0..size).map(part).collect();
    assert_eq!(ranks.gather("samples", &part(rank))?, everything);
    assert_eq!(ranks.gather_to_first("moments", &part(rank))?, (rank == 0).then_some(everything));
    let mut plan = if rank == 0 { vec![42; 5_000_000] } else { vec![1] };
    ranks.broadcast("plan", &mut plan)?;
    assert_eq!(plan, vec![42; 5_000_000]);
    assert_eq!(ranks.any("stop", 1 << rank)?, (1 << size) - 1);
    assert_eq!(ranks.any("stop", 0)?, 0);
    let hosts: Vec<&str> = ranks.peers().iter().map(|peer| peer.host.as_str()).collect();
    assert_eq!(ranks.on_this_host(), (rank, size), "{hosts:?}");
    let traffic = ranks.traffic();
    assert_eq!(traffic.sent_bytes > 0 && traffic.received_bytes > 0 && traffic.seconds > 0.0, size > 1);
    Ok(format!("{size} ranks agree"))
}
