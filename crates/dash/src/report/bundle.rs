//! A page in one file: its script, its style and its data are inside, and it may load nothing else.

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

use crate::assets;

/// The modules of a report, each after those that it imports.
const MODULES: [&str; 14] = [
    "dom.js",
    "text.js",
    "format.js",
    "colors.js",
    "quantity.js",
    "curve.js",
    "strip.js",
    "lines.js",
    "tokenlines.js",
    "facts.js",
    "badge.js",
    "cards.js",
    "microscope.js",
    "report.js",
];

/// The page of a report about this data, which is JSON.
pub(crate) fn page(data: &str) -> String {
    let (script, style) = (script(), assets::text("style.css"));
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data: blob:; base-uri 'none'; form-action 'none'",
        source(&script),
        source(style)
    );
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>vapo report</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<main id="page"><noscript>This report needs JavaScript.</noscript></main>
<script type="application/json" id="report">{}</script>
<script type="module">{script}</script>
</body>
</html>
"#,
        harmless(data)
    )
}

/// All modules as one: a name that one exports is known to those after it.
fn script() -> String {
    let lines = MODULES.into_iter().flat_map(|name| assets::text(name).lines());
    let own = lines.filter(|line| !line.starts_with("import "));
    own.fold(String::new(), |script, line| script + line.strip_prefix("export ").unwrap_or(line) + "\n")
}

/// The source expression that allows exactly this script or style.
fn source(content: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(content)))
}

/// JSON in which nothing ends the element that it is in, or begins another.
fn harmless(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn declared(script: &str) -> Vec<&str> {
        let kinds = ["function ", "async function ", "class ", "const ", "let "];
        script
            .lines()
            .filter_map(|line| kinds.iter().find_map(|kind| line.strip_prefix(kind)))
            .filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
            .collect()
    }

    #[test]
    fn no_two_modules_declare_the_same_name() {
        let script = script();
        let names = declared(&script);
        let mut known = BTreeSet::new();
        let twice: Vec<_> = names.iter().filter(|name| !known.insert(**name)).collect();
        assert!(names.len() > 50 && twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn every_import_is_of_a_module_before_and_on_one_line() {
        for (place, module) in MODULES.iter().enumerate() {
            for line in assets::text(module).lines().filter(|line| line.starts_with("import ")) {
                let from = line.rsplit_once("\"./").and_then(|(_, name)| name.strip_suffix("\";"));
                let from = from.unwrap_or_else(|| panic!("{module}: {line}"));
                assert!(MODULES[..place].contains(&from), "{module} imports {from}");
                assert!(!line.contains(" as "), "{module}: {line}");
            }
        }
    }

    #[test]
    fn text_cannot_leave_the_data() {
        let text = "</script><script>alert(1)</script><!--\u{2028}";
        let data = serde_json::to_string(&[text]).unwrap();
        let page = page(&data);
        assert_eq!(page.matches("<script").count(), 2, "the data and the script");
        assert_eq!(page.matches("</script").count(), 2);
        let inside = page.split(r#"id="report">"#).nth(1).unwrap().split("</script>").next().unwrap();
        assert_eq!(serde_json::from_str::<Vec<String>>(inside).unwrap(), [text]);
    }

    #[test]
    fn neither_script_nor_style_ends_its_element() {
        let script = script();
        assert!(
            !script.contains("</script") && !script.contains("<!--") && !assets::text("style.css").contains("</style")
        );
        assert!(!script.contains("\nimport ") && !script.contains("\nexport "));
    }
}
