//! Errors of starting the server and of reports.

use std::{io, net::SocketAddr};

/// Why the server does not start, or ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another program listens on the port.
    #[error("port {0} is in use, expected a free one: choose another with --port, or --port 0 for any free one")]
    PortInUse(u16),
    /// The port cannot be opened for another reason.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The token is not one.
    #[error("{0}")]
    Token(String),
    /// The system has no random numbers, threads or sockets for the server.
    #[error("cannot {action}: {source}")]
    System {
        /// A verb with its object.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The directory of runs, or a file of a run.
    #[error(transparent)]
    View(#[from] vapo_view::Error),
    /// A picture.
    #[error(transparent)]
    Picture(#[from] vapo_chart::Error),
}

/// A result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
