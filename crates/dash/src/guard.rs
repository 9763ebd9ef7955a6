//! Who may ask for what: decided about every request before a handler sees it.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    answer::Failure,
    parameters::{Parameters, TOKEN},
    token::Token,
};

const COOKIE: &str = "vapo_token";

/// Scripts, styles and pictures of this server and nothing else; no inline script, no frame around the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 7] = [
    (header::ALLOW, "GET, HEAD"),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The rules of a server.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Where it listens.
    address: IpAddr,
    /// `None`: everybody who reaches it may ask.
    token: Option<Token>,
}

/// What becomes of an allowed request.
enum Admission {
    Answer,
    /// The token came in the address of a page: it moves to a cookie, out of the browser's history.
    LogIn(String),
}

impl Guard {
    pub(crate) fn new(address: IpAddr, token: Option<Token>) -> Self {
        Self { address, token }
    }

    fn admit(&self, request: &Request) -> Result<Admission, Failure> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let message = format!("the method is {}, expected GET or HEAD", request.method());
            return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, message));
        }
        match &self.token {
            None => self.check_host(request).map(|()| Admission::Answer),
            Some(token) => admit_with(token, request),
        }
    }

    /// A page from elsewhere whose host name is made to lead to this machine (DNS rebinding) sends its own host name.
    fn check_host(&self, request: &Request) -> Result<(), Failure> {
        let hosts = request.headers().get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default());
        let hosts: Vec<&str> = hosts.chain(request.uri().authority().map(|authority| authority.as_str())).collect();
        if !hosts.is_empty() && hosts.iter().all(|host| self.is_own(host)) {
            return Ok(());
        }
        Err(Failure::new(
            StatusCode::FORBIDDEN,
            format!("the host is {:?}, expected localhost or {}", hosts.join(", "), self.address),
        ))
    }

    /// Whether a host, with any port (that of a tunnel is another one), is this machine.
    fn is_own(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        name.eq_ignore_ascii_case("localhost")
            || address.parse().is_ok_and(|address: IpAddr| address.is_loopback() || address == self.address)
    }
}

/// The token comes in the URL, in a cookie, or as `Authorization: Bearer`.
fn admit_with(token: &Token, request: &Request) -> Result<Admission, Failure> {
    let parameters = Parameters::new(request.uri().query());
    if parameters.all(TOKEN).any(|word| token.is(word)) {
        let is_page = request.uri().path() == "/";
        let cookie = || format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", token.as_str());
        return Ok(if is_page { Admission::LogIn(cookie()) } else { Admission::Answer });
    }
    if words(request.headers()).any(|word| token.is(word)) {
        return Ok(Admission::Answer);
    }
    Err(Failure::new(
        StatusCode::UNAUTHORIZED,
        "the token is missing or wrong, expected the one in the URL that `vapo dash` has printed",
    ))
}

/// The words in cookies and authorizations that may be the token.
fn words(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = |name| headers.get_all(name).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
    let cookies = values(header::COOKIE).flat_map(|cookies| cookies.split(';'));
    let cookies = cookies.filter_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    let bearers = values(header::AUTHORIZATION).filter_map(|value| value.strip_prefix("Bearer "));
    cookies.chain(bearers)
}

/// Answers, refuses or redirects a request. Every answer has the headers that protect the page.
pub(crate) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.admit(&request) {
        Ok(Admission::Answer) => next.run(request).await,
        Ok(Admission::LogIn(cookie)) => {
            (StatusCode::SEE_OTHER, [(header::LOCATION, "/".to_owned()), (header::SET_COOKIE, cookie)]).into_response()
        }
        Err(failure) => failure.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
