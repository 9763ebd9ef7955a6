use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, atomic::AtomicUsize},
};

use serde_json::Value;

use super::*;
use crate::{Reward, Verifier};

/// A server that calls `behave` with each request's object and connection, and counts the requests.
fn server(behave: impl Fn(usize, Value, &mut TcpStream) + Send + Sync + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/grade", listener.local_addr().unwrap());
    let (count, behave) = (Arc::new(AtomicUsize::new(0)), Arc::new(behave));
    let counter = count.clone();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let (counter, behave) = (counter.clone(), behave.clone());
            thread::spawn(move || {
                let mut connection = connection.unwrap();
                if let Some(request) = read_request(&connection) {
                    behave(counter.fetch_add(1, Ordering::Relaxed), request, &mut connection);
                }
            });
        }
    });
    (url, count)
}

fn read_request(connection: &TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(connection);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).ok()? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

fn reply(connection: &mut TcpStream, status: &str, body: &str) {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = connection.write_all((head + body).as_bytes());
}

fn verifier(url: &str, timeout: f64) -> HttpVerifier {
    HttpVerifier::new(Settings {
        url: url.to_owned(),
        parallel: 4,
        timeout: Duration::from_secs_f64(timeout),
        retries: 3,
        range: [0.0, 1.0],
    })
}

fn problem() -> Problem {
    Problem { index: 0, prompt: "?".into(), answer: "7".into(), data_source: "test".into(), ..Problem::default() }
}

fn failure(url: &str, timeout: f64) -> String {
    match verifier(url, timeout).grade(&problem(), "7".into()).verdict {
        Verdict::Failed { reason } => reason.replace(url, "URL"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_grades_responses_at_the_same_time() {
    let (url, count) = server(|_, request, connection| {
        let score = u8::from(request["response"] == request["answer"]);
        reply(connection, "200 OK", &format!("{{\"id\": {}, \"score\": {score}, \"answer\": \"a\"}}", request["id"]));
    });
    let verifier = verifier(&url, 20.0);
    let verdicts = crate::parallel_map(
        40,
        8,
        |index| verifier.grade(&problem(), if index % 2 == 0 { "7" } else { "8" }.into()),
        |_| std::ops::ControlFlow::Continue(()),
    );
    for (index, reading) in verdicts.unwrap().iter().enumerate() {
        assert_eq!((&reading.verdict, reading.answer.as_deref()), (&Verdict::graded(index % 2 == 0), Some("a")));
    }
    assert_eq!(count.load(Ordering::Relaxed), 40);
}

#[test]
fn passing_troubles_are_retried_and_lasting_ones_not() {
    let (url, count) = server(|number, request, connection| match number {
        0 => reply(connection, "503 Service Unavailable", "busy"),
        1 => {} // closed without a reply
        2 => reply(connection, "429 Too Many Requests", ""),
        _ => reply(connection, "200 OK", &format!("{{\"id\": {}, \"score\": 1}}", request["id"])),
    });
    let begun = Instant::now();
    assert_eq!(verifier(&url, 20.0).grade(&problem(), "7".into()).verdict, Verdict::graded(true));
    assert_eq!(count.load(Ordering::Relaxed), 4);
    assert!(begun.elapsed() >= Duration::from_millis(700), "waits 0.1, 0.2 and 0.4 s");

    let (url, count) = server(|_, _, connection| reply(connection, "500 Internal Server Error", "Traceback:\n boom"));
    assert_eq!(failure(&url, 20.0), "URL: status 500 Internal Server Error: `Traceback:  boom` (attempt 4)");
    assert_eq!(count.load(Ordering::Relaxed), 4);
    let (url, count) = server(|_, _, connection| reply(connection, "404 Not Found", "nothing here"));
    assert_eq!(failure(&url, 20.0), "URL: status 404 Not Found: `nothing here`");
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[test]
fn garbage_floods_hangs_and_drips_are_failures_with_reasons() {
    let (url, _) = server(|_, _, connection| reply(connection, "200 OK", "<html>"));
    assert!(failure(&url, 20.0).starts_with("URL: expected a JSON object with `id` and `score`"));
    let (url, _) = server(|_, _, connection| reply(connection, "200 OK", "{\"id\": 77, \"score\": 1}"));
    assert!(failure(&url, 20.0).contains("expected the reply to have the request's `id` (0)"));
    let (url, _) = server(|_, _, connection| {
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while connection.write_all(&[b'x'; 1 << 16]).is_ok() {}
    });
    assert_eq!(failure(&url, 20.0), "URL: the reply has more than 1048576 bytes");
    let (url, _) = server(|_, _, connection| {
        let _ = connection.write_all(b"not http at all\r\n\r\n");
    });
    assert!(failure(&url, 20.0).starts_with("URL: "));

    let begun = Instant::now();
    let (url, _) = server(|_, _, _| thread::sleep(Duration::from_secs(60)));
    assert_eq!(failure(&url, 0.5), "URL: no reply within 0.5 s");
    let (url, _) = server(|_, _, connection| {
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        while connection.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(failure(&url, 0.5), "URL: no reply within 0.5 s");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_missing_server_is_refused_before_anything_runs() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let http = |url: String| Verifier::Http { url, parallel: 1, timeout: 5.0, retries: 1, range: [0.0, 1.0] };
    let reward = Reward::try_from(http(format!("http://127.0.0.1:{port}/"))).unwrap();
    let message = reward.probe([problem()].iter()).unwrap_err().to_string();
    assert!(
        message.starts_with("verifier `http`: it failed on the first reference answer: http://127.0.0.1:"),
        "{message}"
    );
    assert!(message.contains("refused") && message.ends_with("(attempt 2)"), "{message}");
    for url in ["https://host/", "host:80", "http://", "http://a b"] {
        assert!(http(url.to_owned()).validate().is_err(), "{url}");
    }
}
