//! `vapo dash` serves web pages about runs until it is stopped; `vapo report` writes one about a run.

use anyhow::Result;
use vapo_dash::{Server, Settings};
use vapo_train::write_atomically;

use crate::{
    args::{DashArgs, ReportArgs},
    format::{grouped, printable},
    interrupt,
    screen::Screen,
};

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

/// Writes the report of a run.
///
/// # Errors
/// It is not a run, or the file cannot be written.
pub(crate) fn report(args: &ReportArgs) -> Result<()> {
    let report = vapo_dash::report(&args.run)?;
    write_atomically(&args.out, report.page.as_bytes())?;
    let size = report.page.len() as f64 / 1e6;
    let rollouts = format!("{} of {} rollouts", report.shown, grouped(report.recorded as u64));
    Screen::for_words().line(&format!("  {}: {size:.1} MB, {rollouts}", printable(&args.out.display().to_string())));
    Ok(())
}
