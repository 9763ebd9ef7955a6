//! `vapo dash`: serves web pages about runs until it is stopped.

use anyhow::Result;
use vapo_dash::{Server, Settings};

use crate::{args::DashArgs, format::printable, interrupt, screen::Screen};

/// Serves the pages; a signal ends the process, and with it every connection.
///
/// # Errors
/// The directory of runs does not exist, or the port is not free.
pub(crate) fn run(args: DashArgs) -> Result<()> {
    let DashArgs { runs, port, address, token } = args;
    let screen = Screen::for_words();
    let shown = printable(&runs.display().to_string());
    let server = Server::bind(&Settings { root: runs, address, port, token })?;
    interrupt::end_at_a_signal()?;
    screen.line(&format!("  {shown}: {}    {}", screen.bold(&server.url()), screen.dim("Ctrl-C ends it")));
    if server.requires_token() {
        screen.line("  Only this URL opens the pages: its token is required. The connection is not encrypted.");
    }
    Ok(server.serve()?)
}
