//! Who gets an answer.

use std::net::TcpListener;

use vapo_dash::{Error, Server, Settings};

use crate::client::{Client, Reply};

fn check_headers(reply: &Reply) {
    let policy = &reply.headers["content-security-policy"];
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(reply.headers["x-content-type-options"], "nosniff");
    assert_eq!(reply.headers["referrer-policy"], "no-referrer");
    assert_eq!(reply.headers["x-frame-options"], "DENY");
    assert_eq!(reply.headers["cross-origin-resource-policy"], "same-origin");
    assert!(["no-cache", "no-store"].contains(&reply.headers["cache-control"].as_str()), "{reply:?}");
}

#[test]
fn every_answer_has_the_headers_that_protect_the_page() {
    let root = tempfile::tempdir().unwrap();
    let open = Client::open(root.path());
    for target in ["/", "/assets/index.html", "/assets/none", "/none"] {
        check_headers(&open.get(target));
    }
    check_headers(&open.request("POST", "/", &[("Host", "localhost")]));
    check_headers(&open.request("GET", "/", &[("Host", "example.com")]));
    let closed = Client::with_token(root.path(), Some("correct-horse"));
    check_headers(&closed.get("/"));
    check_headers(&closed.get("/?token=correct-horse"));
}

#[test]
fn only_reading_is_allowed() {
    let root = tempfile::tempdir().unwrap();
    let client = Client::open(root.path());
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        let reply = client.request(method, "/", &[("Host", "localhost")]);
        assert_eq!(reply.error(405), format!("the method is {method}, expected GET or HEAD"));
        assert_eq!(reply.headers["allow"], "GET, HEAD");
    }
    let (get, head) = (client.get("/"), client.request("HEAD", "/", &[("Host", "localhost")]));
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.headers["content-length"], get.body.len().to_string());
}

#[test]
fn a_name_that_somebody_else_leads_to_this_machine_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let client = Client::open(root.path());
    let with_host = |host: &str| client.request("GET", "/", &[("Host", host)]).status;
    let own = ["localhost", "LocalHost:80", "127.0.0.1:8276", "127.0.0.1", "[::1]:9", "[::1]", "127.9.9.9"];
    assert_eq!(own.map(with_host), [200; 7]);
    let foreign = [
        "example.com",
        "example.com:8276",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "localhost:x",
        "",
        ":8276",
        "192.168.0.1",
        "0.0.0.0",
        "localhost@example.com",
        "::ffff:1.2.3.4",
    ];
    assert_eq!(foreign.map(with_host), [403; 11]);
    let reply = client.request("GET", "/", &[("Host", "example.com")]);
    assert_eq!(reply.error(403), "the host is \"example.com\", expected localhost or 127.0.0.1");
    assert_eq!(client.request("GET", "/", &[]).status, 403, "no host at all");
    assert_eq!(client.request("GET", "/", &[("Host", "localhost"), ("Host", "example.com")]).status, 403);
    assert_eq!(client.request("GET", "http://example.com/", &[("Host", "localhost")]).status, 403);
}

#[test]
fn a_token_opens_the_server_and_nothing_else_does() {
    let root = tempfile::tempdir().unwrap();
    let client = Client::with_token(root.path(), Some("correct-horse"));
    assert!(client.url.ends_with("/?token=correct-horse"), "{}", client.url);
    let with = |target: &str, name: &str, value: &str| {
        client.request("GET", target, &[("Host", "any.example.com"), (name, value)])
    };
    for target in
        ["/", "/assets/index.html", "/none", "/?token=", "/?token=correct-hors", "/?token=wrong&x=correct-horse"]
    {
        let error = with(target, "Accept", "*/*").error(401);
        assert!(error.contains("the token is missing or wrong"), "{error}");
    }
    for cookie in
        ["vapo_token=", "vapo_token=wrong", "token=correct-horse", "xvapo_token=correct-horse", "correct-horse"]
    {
        assert_eq!(with("/", "Cookie", cookie).status, 401, "{cookie}");
    }
    for authorization in ["correct-horse", "Basic correct-horse", "Bearer wrong", "Bearer  correct-horse"] {
        assert_eq!(with("/", "Authorization", authorization).status, 401, "{authorization}");
    }
    assert_eq!(with("/", "Authorization", "Bearer correct-horse").status, 200);
    assert_eq!(with("/", "Cookie", "a=b; vapo_token=correct-horse").status, 200);
    assert_eq!(with("/assets/index.html?token=correct-horse", "Accept", "*/*").status, 200);

    let reply = with("/?token=correct-horse", "Accept", "*/*");
    assert_eq!((reply.status, reply.headers["location"].as_str()), (303, "/"));
    assert_eq!(reply.headers["set-cookie"], "vapo_token=correct-horse; Path=/; HttpOnly; SameSite=Strict");
}

#[test]
fn an_address_that_others_reach_gets_a_token() {
    let root = tempfile::tempdir().unwrap();
    let settings = |address: &str, token: Option<&str>| Settings {
        root: root.path().to_path_buf(),
        address: address.parse().unwrap(),
        port: 0,
        token: token.map(str::to_owned),
    };
    let server = Server::bind(&settings("0.0.0.0", None)).unwrap();
    let token = server.url().split_once("/?token=").unwrap().1.to_owned();
    assert!(server.requires_token() && token.len() == 32, "{token}");
    assert!(!server.url().contains("0.0.0.0"), "{}", server.url());
    assert_ne!(Server::bind(&settings("0.0.0.0", None)).unwrap().url().split_once('?').unwrap().1, token);
    assert!(!Server::bind(&settings("127.0.0.1", None)).unwrap().requires_token());
    assert!(Server::bind(&settings("127.0.0.1", Some("random"))).unwrap().requires_token());
    let error = Server::bind(&settings("127.0.0.1", Some("a b"))).unwrap_err().to_string();
    assert!(error.contains("the token has 3 characters, expected 8 to 200"), "{error}");
    let client = Client::start(&settings("0.0.0.0", Some("correct-horse")));
    assert_eq!(client.get("/").status, 401);
}

#[test]
fn a_port_in_use_is_named() {
    let root = tempfile::tempdir().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let address = "127.0.0.1".parse().unwrap();
    let error = Server::bind(&Settings { root: root.path().to_path_buf(), address, port, token: None }).unwrap_err();
    assert!(matches!(error, Error::PortInUse(named) if named == port));
    assert!(error.to_string().contains("--port"), "{error}");
}
