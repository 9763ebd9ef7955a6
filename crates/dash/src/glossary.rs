//! What the documentation says about a metric.

use std::sync::LazyLock;

/// The page that explains every metric (a test of the program asks for each).
const PAGE: &str = include_str!("../../../docs/vapo.md");

/// Names as the page writes them, and their explanations.
static ENTRIES: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let chapter = PAGE.split("\n## ").find(|chapter| chapter.contains(". Metrics\n")).unwrap_or_default();
    chapter.lines().filter_map(|line| line.strip_prefix("| `")).flat_map(entries).collect()
});

/// The explanation of a metric, with what is healthy, as plain text.
pub(crate) fn explanation(metric: &str) -> Option<&'static str> {
    ENTRIES.iter().find(|(name, _)| is_name(name, metric)).map(|(_, text)| text.as_str())
}

/// The names in a row of a table, with the explanation that they share.
fn entries(row: &'static str) -> Vec<(String, String)> {
    let mut cells = row.trim_end().trim_end_matches('|').split(" | ").map(str::trim);
    let names = cells.next().unwrap_or_default();
    let (meaning, healthy) = (plain(cells.next().unwrap_or_default()), plain(cells.next().unwrap_or_default()));
    let text = if healthy.is_empty() { meaning } else { format!("{meaning}. Healthy: {healthy}") };
    // The row begins after the first backtick, so names are the first part, the third, and so on.
    names.split('`').step_by(2).flat_map(alternatives).map(|name| (name, text.clone())).collect()
}

/// `a/{mean,max}` as `a/mean` and `a/max`.
fn alternatives(name: &str) -> Vec<String> {
    match name.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        Some((before, (words, after))) => words.split(',').map(|word| format!("{before}{word}{after}")).collect(),
        None => vec![name.to_owned()],
    }
}

/// Text without links and marks of code.
fn plain(text: &str) -> String {
    let mut parts = text.split('[');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once("](").and_then(|(words, rest)| Some((words, rest.split_once(')')?.1))) {
            Some((words, rest)) => plain.extend([words, rest]),
            None => plain.extend(["[", part]),
        }
    }
    plain.replace('`', "")
}

/// Whether a metric is the one of this name, in which `SOURCE` and `TERM` stand for any word, and `N` and `K` for any number.
fn is_name(name: &str, metric: &str) -> bool {
    let is_part = |(own, part): (&str, &str)| match own.strip_suffix("@N").or(own.strip_suffix("@K")) {
        Some(word) => part.strip_prefix(word).and_then(|rest| rest.strip_prefix('@')).is_some_and(is_number),
        None => own == part || ["SOURCE", "TERM"].contains(&own),
    };
    name.split('/').count() == metric.split('/').count() && name.split('/').zip(metric.split('/')).all(is_part)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_has_the_words_of_the_documentation() {
        assert_eq!(
            explanation("training/tokens").unwrap().split(',').next(),
            Some("prompts drawn and responses sampled for training so far")
        );
        let lowest = explanation("vapo/explained_var_decile/10").unwrap();
        assert!(lowest.starts_with("the same, by tenths"), "{lowest}");
        let entropy = explanation("actor/entropy").unwrap();
        assert!(entropy.starts_with("entropy of the token distributions, in nats. Healthy: falls slowly"), "{entropy}");
        let term = explanation("rewards/format/max").unwrap();
        assert_eq!(term, "score of each term of the reward, if there are several (verifiers.md)");
        assert!(explanation("val-core/gsm8k/acc/mean@8").unwrap().contains("avg@N"));
        for unknown in ["val-core/gsm8k/acc/mean@", "val-core/gsm8k/acc/mean@x", "actor", "", "no/such/metric"] {
            assert_eq!(explanation(unknown), None, "{unknown}");
        }
    }
}
