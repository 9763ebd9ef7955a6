//! The server: its port, its routes, its threads.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
};

use axum::{Router, http::Uri, middleware, routing::get};

use crate::{
    answer::Failure,
    api, assets,
    changes::watch,
    error::{Error, Result},
    guard::{Guard, guard},
    site::Site,
    token::Token,
};

/// The token that stands for one from the system's random numbers.
const RANDOM: &str = "random";

/// What is served, where and to whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A directory of runs, of one run, or of a study.
    pub root: PathBuf,
    /// The address to listen on.
    pub address: IpAddr,
    /// The port; 0 for any free one.
    pub port: u16,
    /// What must be known to see anything; `random` for a random one. `None`: nothing on loopback, a random one elsewhere.
    pub token: Option<String>,
}

impl Settings {
    fn token(&self) -> Result<Option<Token>> {
        match self.token.as_deref() {
            Some(RANDOM) => Token::random().map(Some),
            Some(chosen) => Token::chosen(chosen).map(Some),
            None if self.address.is_loopback() => Ok(None),
            None => Token::random().map(Some),
        }
    }
}

/// A server with an open port.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    token: Option<Token>,
    site: Arc<Site>,
}

impl Server {
    /// Opens the directory of runs, and the port.
    ///
    /// # Errors
    /// The directory does not exist, the token is unfit, or the port is not free.
    pub fn bind(settings: &Settings) -> Result<Self> {
        let site = Arc::new(Site::open(&settings.root)?);
        let token = settings.token()?;
        let wanted = SocketAddr::new(settings.address, settings.port);
        let listener = TcpListener::bind(wanted).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => Error::PortInUse(settings.port),
            _ => Error::Listen { address: wanted, source },
        })?;
        let listen = |source| Error::Listen { address: wanted, source };
        let address = listener.local_addr().map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        Ok(Self { listener, address, token, site })
    }

    /// The address of the page, with the token if there is one.
    pub fn url(&self) -> String {
        let host = match self.address.ip() {
            address if address.is_unspecified() => host_name(),
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let token = self.token.as_ref().map(|token| format!("?token={}", token.as_str())).unwrap_or_default();
        format!("http://{host}:{}/{token}", self.address.port())
    }

    /// Whether a token is required.
    pub fn requires_token(&self) -> bool {
        self.token.is_some()
    }

    /// Answers requests until the process ends.
    ///
    /// # Errors
    /// The system has no thread or no socket for it.
    pub fn serve(self) -> Result<()> {
        let system = |source| Error::System { action: "start the server", source };
        // One thread moves bytes; readers have their own, as many as `Site` allows at a time.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
        let guard = Guard::new(self.address.ip(), self.token);
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener).map_err(system)?;
            tokio::spawn(watch(Arc::clone(self.site.runs()), Arc::clone(self.site.listeners())));
            axum::serve(listener, router(self.site, guard)).await.map_err(system)
        })
    }
}

fn router(site: Arc<Site>, rules: Guard) -> Router {
    Router::new()
        .route("/", get(assets::page))
        .route("/assets/{name}", get(assets::asset))
        .nest("/api", api::routes())
        .fallback(|uri: Uri| async move { Failure::not_found(format!("there is no {}", uri.path())) })
        .layer(middleware::from_fn_with_state(Arc::new(rules), guard))
        .with_state(site)
}

/// The name by which other machines know this one.
fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(|_| "localhost".into(), |name| name.to_string_lossy().into_owned())
}
