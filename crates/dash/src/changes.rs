//! What changes below the directory of runs, told to those who listen.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    sync::{
        Notify,
        broadcast::{Receiver, Sender},
    },
    task::spawn_blocking,
    time::sleep,
};
use vapo_view::{RunEntry, Runs};

/// Between two looks at the directories.
const PAUSE: Duration = Duration::from_secs(1);
/// A pause is at least so many times as long as a look, so that a slow file system is not busy with looking.
const PAUSE_PER_LOOK: u32 = 4;
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// A listener who is further behind is told to read everything again.
const BACKLOG: usize = 256;

/// A change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// Runs have come or gone, or can no longer be listed.
    Runs,
    /// A run has gone on, with its id, step and state.
    Run(Value),
}

/// Those who listen.
#[derive(Debug)]
pub(crate) struct Listeners {
    sender: Sender<Change>,
    came: Notify,
}

impl Listeners {
    pub(crate) fn new() -> Self {
        Self { sender: Sender::new(BACKLOG), came: Notify::new() }
    }

    pub(crate) fn listen(&self) -> Receiver<Change> {
        let receiver = self.sender.subscribe();
        self.came.notify_one();
        receiver
    }

    async fn wait_for_one(&self) {
        while self.sender.receiver_count() == 0 {
            self.came.notified().await;
        }
    }
}

/// Looks for changes while anybody listens.
pub(crate) async fn watch(runs: Arc<Runs>, listeners: Arc<Listeners>) {
    let mut known = Known::default();
    loop {
        listeners.wait_for_one().await;
        let begin = Instant::now();
        let runs = Arc::clone(&runs);
        let found = spawn_blocking(move || runs.list().ok()).await.ok().flatten();
        for change in known.update(found) {
            // Nobody may listen any longer.
            let _ = listeners.sender.send(change);
        }
        sleep((begin.elapsed() * PAUSE_PER_LOOK).clamp(PAUSE, MAX_PAUSE)).await;
    }
}

/// The runs as they were at the last look; `None` if they could not be listed.
#[derive(Debug, Default)]
struct Known(Option<BTreeMap<String, RunEntry>>);

impl Known {
    /// Takes note of the runs as they are now, and returns what has changed.
    fn update(&mut self, found: Option<Vec<RunEntry>>) -> Vec<Change> {
        let found = found.map(|entries| entries.into_iter().map(|entry| (entry.id.clone(), entry)).collect());
        let before = std::mem::replace(&mut self.0, found);
        match (&before, &self.0) {
            (None, None) => Vec::new(),
            (Some(before), Some(now)) => changes(before, now),
            _ => vec![Change::Runs],
        }
    }
}

fn changes(before: &BTreeMap<String, RunEntry>, now: &BTreeMap<String, RunEntry>) -> Vec<Change> {
    let list = (!before.keys().eq(now.keys())).then_some(Change::Runs);
    let changed = now.values().filter(|entry| before.get(&entry.id).is_some_and(|before| before != *entry));
    let runs = changed.map(|entry| Change::Run(json!({ "id": entry.id, "step": entry.step, "state": entry.state })));
    list.into_iter().chain(runs).collect()
}
