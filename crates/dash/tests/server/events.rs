//! Changes while somebody listens.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    client::Client,
    runs::{append, row, write_run},
};

/// A change is told within this time.
const LAG: Duration = Duration::from_secs(2);

/// An open stream of events.
struct Events(BufReader<TcpStream>);

impl Events {
    fn of(client: &Client) -> Self {
        let stream = client.connect(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut events = Self(BufReader::new(stream));
        let mut head = Vec::new();
        while head.last().is_none_or(|line: &String| !line.is_empty()) {
            head.push(events.line());
        }
        assert!(head.iter().any(|line| line == "content-type: text/event-stream"), "{head:?}");
        assert!(head.iter().any(|line| line == "x-content-type-options: nosniff"), "{head:?}");
        assert_eq!(events.next(), ("runs".into(), json!({})), "what may have changed before");
        events
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream has ended");
        line.trim_end().to_owned()
    }

    /// The name and the data of the next event.
    fn next(&mut self) -> (String, Value) {
        let mut name = String::new();
        loop {
            let line = self.line();
            if let Some(event) = line.strip_prefix("event: ") {
                name = event.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (name, serde_json::from_str(data).unwrap());
            }
        }
    }

    /// The next event, after `change` was made; it must come in time.
    fn after(&mut self, change: impl FnOnce()) -> (String, Value) {
        change();
        let begin = Instant::now();
        let event = self.next();
        assert!(begin.elapsed() < LAG, "{event:?} came after {:?}", begin.elapsed());
        event
    }
}

#[test]
fn a_change_of_a_run_is_told_within_two_seconds() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    write_run(&run, &[row(0, 0.5)]);
    let client = Client::open(root.path());
    let (mut events, mut others) = (Events::of(&client), Events::of(&client));
    // The first look finds a run that was not known.
    assert_eq!(events.next().0, "runs");
    let runs = client.get("/api/runs").json()["runs"].clone();
    assert_eq!(runs[0]["step"], json!(0));

    let state = &runs[0]["state"];
    let (name, data) = events.after(|| append(&run, &row(1, 0.75)));
    assert_eq!((name.as_str(), data), ("run", json!({ "id": "run", "step": 1, "state": state })));
    let lock = File::create(run.join("run.lock")).unwrap();
    let (name, data) = events.after(|| lock.lock().unwrap());
    assert_eq!(name, "run");
    assert_ne!(&data["state"], state, "it is running");
    assert_eq!(events.after(|| drop(lock)).1["state"], *state);
    assert_eq!(events.after(|| write_run(&root.path().join("other"), &[row(0, 0.1)])).0, "runs");
    assert_eq!(events.after(|| fs::remove_dir_all(&run).unwrap()).0, "runs");
    assert_eq!(events.after(|| fs::rename(root.path(), root.path().with_extension("moved")).unwrap()).0, "runs");
    client.get("/api/runs").error(404);
    fs::rename(root.path().with_extension("moved"), root.path()).unwrap();

    let told: Vec<String> = (0..6).map(|_| others.next().0).collect();
    assert_eq!(told, ["runs", "run", "run", "run", "runs", "runs"], "everybody is told");
}
