//! `/api/events`: changes as they are noticed.

use std::{convert::Infallible, future::ready, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{StreamExt, stream};
use tokio::sync::broadcast::error::RecvError;

use crate::{changes::Change, site::Site};

/// A connection on which nothing happens is kept open by a comment.
const PING: Duration = Duration::from_secs(15);

/// The first event makes a page read what may have changed before it listened.
pub(crate) async fn events(State(site): State<Arc<Site>>) -> Response {
    let first = stream::once(ready(Change::Runs));
    let changes = stream::unfold(site.listeners().listen(), |mut receiver| async move {
        let change = match receiver.recv().await {
            Ok(change) => change,
            Err(RecvError::Lagged(_)) => Change::Runs,
            Err(RecvError::Closed) => return None,
        };
        Some((change, receiver))
    });
    let events = first.chain(changes).map(|change| Ok::<_, Infallible>(event(&change)));
    Sse::new(events).keep_alive(KeepAlive::new().interval(PING)).into_response()
}

fn event(change: &Change) -> Event {
    match change {
        Change::Runs => Event::default().event("runs").data("{}"),
        Change::Run(run) => Event::default().event("run").data(run.to_string()),
    }
}
