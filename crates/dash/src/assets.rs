//! The files of the pages, which are a part of the program.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use crate::answer::{Answer, Failure, Place};

/// The page that every address without a fragment leads to.
const PAGE: &str = "index.html";

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// Names and contents.
        const FILES: &[(&str, &[u8])] = &[$(($name, include_bytes!(concat!("../assets/", $name)))),*];
    };
}

files![
    "api.js",
    "badge.js",
    "cards.js",
    "chart.js",
    "colors.js",
    "compare.js",
    "config.js",
    "critic.js",
    "curve.js",
    "curves.js",
    "dom.js",
    "facts.js",
    "format.js",
    "group.js",
    "icon.svg",
    "index.html",
    "lines.js",
    "list.js",
    "live.js",
    "main.js",
    "metrics.js",
    "microscope.js",
    "quantity.js",
    "report.js",
    "response.js",
    "rollouts.js",
    "router.js",
    "run.js",
    "runs.js",
    "story.js",
    "strip.js",
    "studies.js",
    "style.css",
    "text.js",
    "tokenlines.js",
];

/// The content of a file of text.
///
/// # Panics
/// There is no such file, or it is no text: the name is written in this crate.
pub(crate) fn text(name: &str) -> &'static str {
    let content = FILES.iter().find(|(own, _)| *own == name).map(|(_, content)| str::from_utf8(content));
    content.expect("a file of the pages").expect("a file of text")
}

/// `/`
pub(crate) async fn page(headers: HeaderMap) -> Answer {
    answer(PAGE, &headers)
}

/// `/assets/NAME`
pub(crate) async fn asset(Place(name): Place<String>, headers: HeaderMap) -> Answer {
    answer(&name, &headers)
}

/// A browser asks each time whether it has the present file, so that pages of two versions never mix.
fn answer(name: &str, headers: &HeaderMap) -> Answer {
    let found = FILES.iter().find(|(own, _)| *own == name);
    let (name, content) = found.ok_or_else(|| Failure::not_found(format!("there is no asset {name:?}")))?;
    let tag = tag(content);
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|tags| tags.split(',')).any(|known| known.trim().trim_start_matches("W/") == tag);
    let about = [(header::ETAG, tag), (header::CACHE_CONTROL, "no-cache".to_owned())];
    let response: Response = if is_known {
        (StatusCode::NOT_MODIFIED, about).into_response()
    } else {
        (about, [(header::CONTENT_TYPE, content_type(name))], *content).into_response()
    };
    Ok(response)
}

fn tag(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_file_of_the_pages_is_in_the_program_with_a_type_that_browsers_run() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let embedded: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names.collect::<BTreeSet<_>>(), embedded);
        assert!(FILES.iter().all(|(name, _)| content_type(name) != "application/octet-stream"));
    }
}
