//! One process.

use crate::farewell::Farewell;
use crate::link::{Fault, Link, Receive, Wait};

/// The link of a run on one process: nobody is on the other side.
pub struct Single;

impl Link for Single {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn name(&self) -> &str {
        "one process"
    }

    fn exchange(&mut self, peer: usize, _: &[u8], _: Receive<'_>, _: &Wait<'_>) -> Result<(), Fault> {
        Err(Fault::Broken { rank: peer, cause: "there is no other rank".into() })
    }

    fn tell(&mut self, _: &Farewell) {}

    fn heard(&mut self) -> Option<Fault> {
        None
    }

    fn finish(&mut self) {}
}
