//! What breaks a running process, and what is left of its run afterwards.

#[path = "../common/ranks.rs"]
mod environments;
#[cfg(target_os = "linux")]
mod faults;
mod kills;
mod ranks;
mod run;
mod surroundings;
