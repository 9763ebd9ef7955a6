//! `vapo dash`: starts, answers, ends.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::program::Place;

/// The first line that the program prints, and its output to keep open.
fn first_line(child: &mut Child) -> (String, BufReader<ChildStdout>) {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    (line, output)
}

/// The beginning of the answer to a request.
fn ask(address: &str, target: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut start = [0; 15];
    stream.read_exact(&mut start).unwrap();
    (String::from_utf8(start.to_vec()).unwrap(), stream)
}

#[test]
fn it_serves_until_a_signal_ends_it() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let place = Place::new();
        let mut child = place.start(&["dash", ".", "--port", "0"]);
        let (line, _output) = first_line(&mut child);
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
        assert!(address.starts_with("127.0.0.1:") && !line.contains("token"), "{line}");
        assert_eq!(ask(&address, "/").0, "HTTP/1.1 200 OK");
        let (events, _open) = ask(&address, "/api/events");
        assert_eq!(events, "HTTP/1.1 200 OK");

        let begin = Instant::now();
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    }
}

#[test]
fn it_says_when_a_token_is_required() {
    let place = Place::new();
    let mut child = place.start(&["dash", ".", "--port", "0", "--token", "random"]);
    let (line, mut output) = first_line(&mut child);
    let (address, token) = line.split_once("http://").unwrap().1.split_once("/?token=").unwrap();
    let token = token.split_whitespace().next().unwrap();
    let mut notice = String::new();
    output.read_line(&mut notice).unwrap();
    assert!(notice.contains("its token is required"), "{notice}");
    assert_eq!(ask(address, "/").0, "HTTP/1.1 401 Un");
    assert_eq!(ask(address, &format!("/?token={token}")).0, "HTTP/1.1 303 Se");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    child.wait().unwrap();
}

#[test]
fn what_cannot_be_served_is_an_error() {
    let place = Place::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let error = place.vapo(&["dash", ".", "--port", &port]).failed(1);
    assert_eq!(
        error,
        format!(
            "error: port {port} is in use, expected a free one: choose another with --port, or --port 0 for any free one\n"
        )
    );
    let error = place.vapo(&["dash", "none"]).failed(1);
    assert!(error.starts_with("error: cannot read none: "), "{error}");
    let error = place.vapo(&["dash", ".", "--address", "elsewhere"]).failed(2);
    assert!(error.contains("elsewhere"), "{error}");
    let error = place.vapo(&["dash", ".", "--token", "short"]).failed(1);
    assert!(error.contains("expected 8 to 200"), "{error}");
}

#[test]
fn a_report_is_one_file_with_everything_in_it() {
    let place = Place::new();
    place.vapo(&["train", "tiny.toml", "--set", "records.every=1", "--set", "records.groups=all"]).ok();
    let said = place.vapo(&["report", "run", "-o", "one.html"]).ok();
    // A step of value pretraining with 8 prompts and two steps with 3 groups of 4.
    assert!(said.contains("one.html: ") && said.contains("20 of 32 rollouts"), "{said}");
    let page = place.read("one.html");
    assert!(page.starts_with("<!doctype html>") && page.contains("default-src 'none'"));
    let loads = ["src=\"", "href=\"http", "@import", "url("].iter().find(|load| page.contains(**load));
    assert_eq!(loads, None);
    let data = page.split(r#"id="report">"#).nth(1).unwrap().split("</script>").next().unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let shown = data["chosen"]["responses"].as_array().unwrap();
    assert!(shown.iter().all(|chosen| !chosen["response"]["tokens"]["text"].as_array().unwrap().is_empty()));
    assert!(data["charts"].as_array().unwrap().len() >= 4 && data["pictures"].as_array().unwrap().len() >= 4);
    place.vapo(&["report", "run", "-o", "two.html"]).ok();
    assert!(page == place.read("two.html"), "the same run gives another report");

    let error = place.vapo(&["report", "nowhere"]).failed(1);
    assert!(error.contains("nowhere"), "{error}");
    let error = place.vapo(&["report", "run", "-o", "no/such/report.html"]).failed(1);
    assert!(error.contains("no/such"), "{error}");
}
