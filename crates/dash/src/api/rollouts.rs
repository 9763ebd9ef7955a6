//! The recorded rollouts of a run.

use std::sync::Arc;

use axum::extract::State;
use vapo_view::rollouts::{Query, Sort};

use crate::{
    answer::{Answer, Failure, Place},
    parameters::Parameters,
    pictures,
    site::Site,
};

const PARAMETERS: [&str; 14] = [
    "step_min",
    "step_max",
    "verdict",
    "stop_reason",
    "data_source",
    "reward_min",
    "reward_max",
    "length_min",
    "length_max",
    "text",
    "sort",
    "descending",
    "offset",
    "limit",
];

const SORTS: [(&str, Sort); 7] = [
    ("step", Sort::Step),
    ("reward", Sort::Reward),
    ("length", Sort::Length),
    ("score", Sort::Score),
    ("lambda", Sort::Lambda),
    ("mean_value", Sort::MeanValue),
    ("prompt", Sort::Prompt),
];

/// `/api/runs/RUN/rollouts`
pub(crate) async fn page(State(site): State<Arc<Site>>, Place(id): Place<String>, parameters: Parameters) -> Answer {
    let query = query(&parameters)?;
    site.json(move |site| site.with_rollouts(&id, |rollouts| Ok(rollouts.query(&query)))).await
}

fn query(parameters: &Parameters) -> Result<Query, Failure> {
    parameters.only(&PARAMETERS)?;
    let text = |name| Ok::<_, Failure>(parameters.text(name)?.map(str::to_owned));
    let usual = Query::default();
    Ok(Query {
        step_min: parameters.value("step_min", "a step")?,
        step_max: parameters.value("step_max", "a step")?,
        verdict: text("verdict")?,
        stop_reason: text("stop_reason")?,
        data_source: text("data_source")?,
        reward_min: parameters.value("reward_min", "a number")?,
        reward_max: parameters.value("reward_max", "a number")?,
        length_min: parameters.value("length_min", "a number of tokens")?,
        length_max: parameters.value("length_max", "a number of tokens")?,
        text: text("text")?,
        sort: parameters.choice("sort", &SORTS)?.unwrap_or(usual.sort),
        descending: parameters.value("descending", "true or false")?.unwrap_or(usual.descending),
        offset: parameters.value("offset", "a number of rows")?.unwrap_or(usual.offset),
        limit: parameters.value("limit", "a number of rows")?.unwrap_or(usual.limit),
    })
}

/// `/api/runs/RUN/groups/STEP/PROMPT`
pub(crate) async fn group(
    State(site): State<Arc<Site>>,
    Place((id, step, prompt)): Place<(String, u64, u64)>,
    parameters: Parameters,
) -> Answer {
    parameters.only(&[])?;
    site.json(move |site| site.with_rollouts(&id, |rollouts| Ok(rollouts.group(step, prompt)?))).await
}

/// `/api/runs/RUN/responses/STEP/ROW`
pub(crate) async fn response(
    State(site): State<Arc<Site>>,
    Place((id, step, row)): Place<(String, u64, usize)>,
    parameters: Parameters,
) -> Answer {
    parameters.only(&[])?;
    site.json(move |site| site.with_rollouts(&id, |rollouts| Ok(rollouts.response(step, row)?))).await
}

/// `/api/runs/RUN/critic?step=K&prompt=P`: what the critic sees, over the run and in a recorded step.
pub(crate) async fn critic(State(site): State<Arc<Site>>, Place(id): Place<String>, parameters: Parameters) -> Answer {
    parameters.only(&["step", "prompt"])?;
    let (step, prompt) = (parameters.value("step", "a step")?, parameters.value("prompt", "a prompt's number")?);
    site.json(move |site| {
        site.with_rollouts(&id, |rollouts| {
            site.with_view(&id, |view| Ok(pictures::critic(view, rollouts, step, prompt)?))
        })
    })
    .await
}
