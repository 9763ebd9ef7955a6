//! The user's own server, with one JSON object per request.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use ureq::Agent;

use super::{
    Grader, Reading,
    protocol::{MAX_REPLY_BYTES, parse_reply, request, shown},
};
use crate::{Error, Problem, Response, Verdict};

/// Wait before the first retry; it doubles for each further one.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// How requests are sent to a server.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) url: String,
    /// Concurrent requests.
    pub(super) parallel: usize,
    /// Time allowed for one response, retries included.
    pub(super) timeout: Duration,
    /// Retries after a failed connection or status 429 or 5xx.
    pub(super) retries: usize,
    pub(super) range: [f64; 2],
}

#[derive(Debug)]
pub(super) struct HttpVerifier {
    settings: Settings,
    agent: Agent,
    next_id: AtomicU64,
}

/// Why a request got no verdict, and whether a retry may help.
struct Refusal {
    reason: String,
    is_passing: bool,
}

impl HttpVerifier {
    pub(super) fn new(settings: Settings) -> HttpVerifier {
        // Statuses are handled here, and a proxy in the environment must not come between a run and its server.
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .max_idle_connections_per_host(settings.parallel)
            .build();
        HttpVerifier { settings, agent: config.into(), next_id: AtomicU64::new(0) }
    }

    fn post(&self, id: u64, body: &[u8], timeout: Duration) -> Result<Reading, Refusal> {
        let failed = |error: ureq::Error| {
            let is_passing =
                matches!(&error, ureq::Error::Io(_) | ureq::Error::ConnectionFailed | ureq::Error::HostNotFound);
            let reason = match error {
                ureq::Error::Timeout(_) => format!("no reply within {:.1} s", self.settings.timeout.as_secs_f64()),
                ureq::Error::BodyExceedsLimit(_) => format!("the reply has more than {MAX_REPLY_BYTES} bytes"),
                error => error.to_string(),
            };
            Refusal { reason, is_passing }
        };
        let request = self.agent.post(&self.settings.url).content_type("application/json");
        let request = request.config().timeout_global(Some(timeout)).build();
        let mut reply = request.send(body).map_err(failed)?;
        let status = reply.status();
        let body = reply.body_mut().with_config().limit(MAX_REPLY_BYTES as u64).read_to_vec().map_err(failed)?;
        if !status.is_success() {
            let is_passing = status.is_server_error() || status.as_u16() == 429;
            return Err(Refusal { reason: format!("status {status}: {}", shown(&body)), is_passing });
        }
        parse_reply(&body, id, self.settings.range).map_err(|reason| Refusal { reason, is_passing: false })
    }
}

impl Grader for HttpVerifier {
    fn grade(&self, problem: &Problem, response: Response<'_>) -> Reading {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let body = request(id, problem, response);
        let deadline = Instant::now() + self.settings.timeout;
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            let refusal = match self.post(id, &body, deadline.saturating_duration_since(Instant::now())) {
                Ok(reading) => return reading,
                Err(refusal) => refusal,
            };
            let is_last = attempt > self.settings.retries || Instant::now() + wait >= deadline;
            if !refusal.is_passing || is_last {
                let url = &self.settings.url;
                let attempts = if attempt == 1 { String::new() } else { format!(" (attempt {attempt})") };
                return Verdict::failed(format!("{url}: {}{attempts}", refusal.reason)).into();
            }
            thread::sleep(wait);
            wait *= 2;
            attempt += 1;
        }
    }

    fn at_once(&self) -> usize {
        self.settings.parallel
    }

    fn is_external(&self) -> bool {
        true
    }
}

/// Checks an address.
pub(super) fn check_url(url: &str) -> Result<(), Error> {
    let is_http = url.strip_prefix("http://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if is_http && !url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Ok(());
    }
    let expected = "an address that starts with http:// (for https, put a proxy in front of the server)".to_owned();
    Err(Error::Setting { setting: "url", expected, found: format!("{url:?}") })
}

#[cfg(test)]
mod tests;
