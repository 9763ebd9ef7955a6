//! What breaks a running process, and what is left of its run afterwards.

mod kills;
mod run;
