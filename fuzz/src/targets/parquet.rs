//! A Parquet or Arrow file of problems; its first bytes say which.

use vapo_tasks::{DataOptions, Dataset, Reward, Verifier};

use super::Directory;

pub(crate) fn parquet(data: &[u8]) {
    let directory = Directory::new();
    let path = directory.write("data.parquet", data);
    let reward = Reward::try_from(Verifier::Exact { marker: None }).expect("a reward");
    let load = || Dataset::load(&path, &DataOptions::default(), &reward);
    let Ok(set) = load() else { return };
    assert_eq!(set.problems.len() + set.duplicates, set.rows);
    assert_eq!(load().expect("as before"), set);
}
