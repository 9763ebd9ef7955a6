//! What the pages ask for, below `/api`.

mod chart;
mod events;
mod rollouts;
mod runs;
mod series;
mod studies;

use std::sync::Arc;

use axum::{Router, routing::get};

use crate::site::Site;

/// The routes below `/api`.
pub(crate) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/runs", get(runs::list))
        .route("/runs/{run}", get(runs::run))
        .route("/runs/{run}/config", get(runs::config))
        .route("/runs/{run}/series", get(chart::series))
        .route("/runs/{run}/rollouts", get(rollouts::page))
        .route("/runs/{run}/groups/{step}/{prompt}", get(rollouts::group))
        .route("/runs/{run}/responses/{step}/{row}", get(rollouts::response))
        .route("/compare", get(runs::compare))
        .route("/studies", get(studies::list))
        .route("/studies/{study}", get(studies::study))
        .route("/runs/{run}/critic", get(rollouts::critic))
        .route("/chart", get(chart::frame))
        .route("/chart.svg", get(chart::svg))
        .route("/chart.csv", get(chart::csv))
        .route("/events", get(events::events))
}
