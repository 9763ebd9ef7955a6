//! Processes that are ranks of one job on this machine.

use std::net::TcpListener;

/// The variables of each rank's environment: they meet over TCP at a free port.
pub(crate) fn environments(ranks: usize) -> impl Iterator<Item = [(&'static str, String); 4]> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    (0..ranks).map(move |rank| {
        [
            ("RANK", rank.to_string()),
            ("WORLD_SIZE", ranks.to_string()),
            ("MASTER_ADDR", "127.0.0.1".into()),
            ("MASTER_PORT", port.clone()),
        ]
    })
}
