//! A server on a free port, and requests whose every byte a test chooses.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    thread,
    time::Duration,
};

use serde_json::Value;
use vapo_dash::{Server, Settings};

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server, which ends with the process of the tests.
pub(crate) struct Client {
    port: u16,
    pub(crate) url: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// By their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The value of an answer that succeeded.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The message of an answer that failed with this status.
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.headers["content-type"], "application/json");
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        body["error"].as_str().unwrap().to_owned()
    }
}

impl Client {
    /// Serves a directory to this machine.
    pub(crate) fn open(root: &Path) -> Self {
        Self::with_token(root, None)
    }

    pub(crate) fn with_token(root: &Path, token: Option<&str>) -> Self {
        let address = "127.0.0.1".parse().unwrap();
        Self::start(&Settings { root: root.to_path_buf(), address, port: 0, token: token.map(str::to_owned) })
    }

    pub(crate) fn start(settings: &Settings) -> Self {
        let server = Server::bind(settings).unwrap();
        let url = server.url();
        let port = url.rsplit_once(':').unwrap().1.split('/').next().unwrap().parse().unwrap();
        thread::spawn(move || server.serve().unwrap());
        Self { port, url }
    }

    pub(crate) fn get(&self, target: &str) -> Reply {
        self.request("GET", target, &[("Host", "localhost")])
    }

    /// A request with these headers and no others.
    pub(crate) fn request(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Reply {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.raw(format!("{method} {target} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n").as_bytes())
    }

    /// An open connection to which a request was written.
    pub(crate) fn connect(&self, request: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // The server may refuse a long request before it has read all of it.
        let _ = stream.write_all(request);
        stream
    }

    pub(crate) fn raw(&self, request: &[u8]) -> Reply {
        let mut answer = Vec::new();
        let _ = self.connect(request).read_to_end(&mut answer);
        parse(&answer)
    }
}

fn parse(answer: &[u8]) -> Reply {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an end of the headers");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())).unwrap();
    Reply { status, headers: lines.map(pair).collect(), body: answer[end + 4..].to_vec() }
}
