//! What the handlers share: the directory of runs, what was opened of it, and threads that read it.

use std::{path::Path, sync::Arc, time::Duration};

use axum::http::StatusCode;
use serde::Serialize;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};
use vapo_view::{Rollouts, Runs, Studies, View};

use crate::{
    answer::{Answer, Failure, json},
    changes::Listeners,
    recent::Recent,
};

/// How many requests read at a time. More would take more of the processor from a training on the same machine.
const READERS: usize = 2;
/// Longer than any request of a page takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Runs whose metrics are in memory: about 1 MB for a thousand steps.
const VIEWS: usize = 32;
/// Runs whose records are in memory: up to 200 MB for 250,000 rollouts.
const RECORDS: usize = 1;

/// A directory of runs with what was read of it.
#[derive(Debug)]
pub(crate) struct Site {
    runs: Arc<Runs>,
    studies: Studies,
    listeners: Arc<Listeners>,
    views: Recent<View>,
    rollouts: Recent<Rollouts>,
    readers: Arc<Semaphore>,
}

impl Site {
    /// # Errors
    /// There is no such directory.
    pub(crate) fn open(root: &Path) -> vapo_view::Result<Self> {
        let runs = Arc::new(Runs::open(root)?);
        Ok(Self {
            studies: Studies::of(Arc::clone(&runs)),
            runs,
            listeners: Arc::new(Listeners::new()),
            views: Recent::new(VIEWS),
            rollouts: Recent::new(RECORDS),
            readers: Arc::new(Semaphore::new(READERS)),
        })
    }

    pub(crate) fn runs(&self) -> &Arc<Runs> {
        &self.runs
    }

    pub(crate) fn studies(&self) -> &Studies {
        &self.studies
    }

    pub(crate) fn listeners(&self) -> &Arc<Listeners> {
        &self.listeners
    }

    /// Uses a run as it is now.
    pub(crate) fn with_view<T>(&self, id: &str, using: impl FnOnce(&View) -> Result<T, Failure>) -> Result<T, Failure> {
        self.views.with(
            id,
            || Ok(self.runs.run(id)?),
            |view| {
                view.refresh()?;
                using(view)
            },
        )
    }

    /// Uses the records of a run as they are now.
    pub(crate) fn with_rollouts<T>(
        &self,
        id: &str,
        using: impl FnOnce(&Rollouts) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let run = self.with_view(id, |view| Ok(view.directory().clone()))?;
        self.rollouts.with(
            id,
            || Ok(Rollouts::open(&run)?),
            |rollouts| {
                rollouts.refresh()?;
                using(rollouts)
            },
        )
    }

    /// The JSON of what `read` finds.
    pub(crate) async fn json<T: Serialize>(
        self: Arc<Self>,
        read: impl FnOnce(&Self) -> Result<T, Failure> + Send + 'static,
    ) -> Answer {
        self.answer(move |site| json(&read(site)?)).await
    }

    /// Runs `read` on a thread that may wait for files. A panic in it is an answer too.
    pub(crate) async fn answer(self: Arc<Self>, read: impl FnOnce(&Self) -> Answer + Send + 'static) -> Answer {
        let busy = |_| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the server is busy with other requests");
        let permit = timeout(PATIENCE, Arc::clone(&self.readers).acquire_owned()).await.map_err(busy)?;
        let reading = spawn_blocking(move || {
            // Held until the work is done, also if nobody waits for it any longer.
            let _permit = permit;
            read(&self)
        });
        match timeout(PATIENCE, reading).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Failure::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the program has an error here: the terminal of `vapo dash` shows its message",
            )),
            Err(_) => Err(Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("reading takes longer than {} s", PATIENCE.as_secs()),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn a_panic_is_an_answer_and_the_next_request_is_served() {
        let root = tempfile::tempdir().unwrap();
        let site = Arc::new(Site::open(root.path()).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for _ in 0..2 * READERS {
            let answer = runtime.block_on(Arc::clone(&site).json(|_| -> Result<(), Failure> { panic!("on purpose") }));
            assert_eq!(answer.into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
        }
        let answer = runtime.block_on(Arc::clone(&site).json(|_| Ok(1)));
        assert_eq!(answer.into_response().status(), StatusCode::OK);
    }
}
