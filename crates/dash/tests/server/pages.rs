//! The files of the pages.

use crate::client::Client;

#[test]
fn the_page_is_in_the_program() {
    let root = tempfile::tempdir().unwrap();
    let client = Client::open(root.path());
    let page = client.get("/");
    assert_eq!((page.status, page.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));
    assert!(page.text().starts_with("<!doctype html>"));
    assert_eq!(client.get("/assets/index.html").body, page.body);
    for name in ["none.js", "..%2findex.html", "%2e%2e", "index.html%00", "a%2Fb", "%ff"] {
        let status = client.get(&format!("/assets/{name}")).status;
        assert!([400, 404].contains(&status), "{name}: {status}");
    }
}

#[test]
fn a_browser_that_has_a_file_does_not_get_it_again() {
    let root = tempfile::tempdir().unwrap();
    let client = Client::open(root.path());
    let tag = client.get("/").headers["etag"].clone();
    let with = |tags: &str| client.request("GET", "/", &[("Host", "localhost"), ("If-None-Match", tags)]);
    for tags in [tag.clone(), format!("\"other\", {tag}"), format!("W/{tag}")] {
        let reply = with(&tags);
        assert_eq!((reply.status, reply.body.len(), &reply.headers["etag"]), (304, 0, &tag));
    }
    assert_eq!(with("\"other\"").status, 200);
}
