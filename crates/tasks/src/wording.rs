//! Messages about values of the wrong kind, in the words of whoever wrote the file.

/// Longest text that a message quotes.
const LONGEST: usize = 60;

/// A message of serde without the names of Rust's types: `invalid type: string "many", expected usize` becomes
/// `expected a whole number from 0, found "many"`. Other messages stay as they are.
///
/// ```
/// use vapo_tasks::plain_words;
/// assert_eq!(plain_words("invalid type: string \"many\", expected usize"), "expected a whole number from 0, found \"many\"");
/// assert_eq!(plain_words("missing field `path`"), "expected a key `path`, found none");
/// ```
pub fn plain_words(message: &str) -> String {
    plain_words_or(message, None)
}

/// The same for a value in whose place a word may stand. (What is said about a part of the value is left as it is.)
pub fn plain_words_or(message: &str, word: Option<&str>) -> String {
    let or = word.map_or(String::new(), |word| format!(" or \"{word}\""));
    let (message, place) = without_place(message.trim_end());
    let plain = match Mismatch::read(message) {
        Some(Mismatch { expected, found }) => format!("expected {expected}{or}, found {found}"),
        None if message.starts_with("expected ") && !message.contains(" key") => {
            match message.rsplit_once(", found ") {
                Some((expected, found)) => format!("{expected}{or}, found {found}"),
                None => format!("{message}{or}"),
            }
        }
        None => message.to_owned(),
    };
    plain + &place
}

/// `.. at line 3 column 5`, in brackets.
fn without_place(message: &str) -> (&str, String) {
    match message.rsplit_once(" at line ") {
        Some((message, place)) if place.chars().all(|letter| letter.is_ascii_digit() || " column".contains(letter)) => {
            (message, format!(" (line {})", place.replace(" column", ", column")))
        }
        _ => (message, String::new()),
    }
}

struct Mismatch {
    expected: String,
    found: String,
}

impl Mismatch {
    fn read(message: &str) -> Option<Self> {
        let rest = |beginning: &str| message.strip_prefix(beginning);
        if let Some(text) = rest("invalid type: ").or_else(|| rest("invalid value: ")) {
            let (found, expected) = text.rsplit_once(", expected ")?;
            return Some(Self { expected: kind(expected), found: value(found) });
        }
        if let Some(text) = rest("invalid length ") {
            let (length, expected) = text.split_once(", expected ")?;
            return Some(Self { expected: kind(expected), found: length.to_owned() });
        }
        if let Some(text) = rest("unknown variant ") {
            let (found, expected) = text.split_once(", expected ")?;
            return Some(Self { expected: quoted(expected), found: shortened(&quoted(found)) });
        }
        if let Some(text) = rest("unknown field ") {
            let (found, expected) = text.split_once(", ")?;
            let expected =
                expected.strip_prefix("expected ").map_or("no keys".to_owned(), |known| format!("a key {known}"));
            return Some(Self {
                expected: expected.replace("a key one of ", "one of the keys "),
                found: shortened(found),
            });
        }
        if let Some(name) = rest("missing field ") {
            return Some(Self { expected: format!("a key {name}"), found: "none".to_owned() });
        }
        if let Some(name) = rest("duplicate field ") {
            return Some(Self { expected: format!("{name} once"), found: "it twice".to_owned() });
        }
        rest("data did not match any variant")
            .map(|_| Self { expected: "another value".to_owned(), found: "this".to_owned() })
    }
}

/// What serde expects, by its kind of value.
fn kind(expected: &str) -> String {
    let word = expected.trim_start_matches("a ").trim_start_matches("an ");
    let plain = match word {
        "usize" | "u8" | "u16" | "u32" | "u64" | "u128" | "nonzero u64" | "nonzero usize" => "a whole number from 0",
        "isize" | "i8" | "i16" | "i32" | "i64" | "i128" => "a whole number",
        "f32" | "f64" => "a number",
        "string"
        | "str"
        | "borrowed string"
        | "character"
        | "char"
        | "string or table"
        | "string or map"
        | "map with a single key"
        | "variant identifier" => "a text",
        "path string" => "a path",
        "boolean" | "bool" => "true or false",
        "sequence" => "a list",
        "map" | "table" => "a table",
        "unit" | "null" => "nothing",
        _ if word.starts_with("struct ") || word.contains("enum") || word.ends_with(" map") => "a table",
        _ if word.ends_with(" sequence") => "a list of another length",
        _ => return length(word).map_or_else(|| expected.to_owned(), |length| format!("a list of {length} values")),
    };
    plain.to_owned()
}

/// The length of an array or a tuple.
fn length(word: &str) -> Option<&str> {
    let length = word.strip_prefix("array of length ").or_else(|| word.strip_prefix("array of size "));
    length.or_else(|| word.strip_prefix("tuple of size ")).filter(|length| length.parse::<u64>().is_ok())
}

/// What serde has found.
fn value(found: &str) -> String {
    let inside = |beginning: &str| found.strip_prefix(beginning);
    let number = ["integer `", "floating point `", "boolean `", "character `"].into_iter().find_map(inside);
    if let Some(number) = number {
        return number.trim_end_matches('`').to_owned();
    }
    if let Some(text) = inside("string ") {
        return shortened(text);
    }
    match found {
        "sequence" | "tuple variant" => "a list".to_owned(),
        "map" | "enum" | "struct variant" => "a table".to_owned(),
        "null" | "unit value" | "Option value" | "unit variant" => "nothing".to_owned(),
        "byte array" => "bytes".to_owned(),
        other => shortened(other),
    }
}

/// Names in quotes instead of grave accents, as they are written in a file.
fn quoted(names: &str) -> String {
    names.replace('`', "\"")
}

/// A text of an error message, of a bounded length.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}..", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::from_str;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Example {
        #[allow(dead_code)]
        count: Option<usize>,
        #[allow(dead_code)]
        range: Option<[f64; 2]>,
        #[allow(dead_code)]
        names: Option<Vec<String>>,
        #[allow(dead_code)]
        choice: Option<Choice>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Choice {
        First,
        SecondOne,
    }

    #[test]
    fn every_kind_of_mismatch_is_said_in_plain_words() {
        for (json, plain) in [
            (r#"{"count": "many"}"#, "expected a whole number from 0, found \"many\" (line 1, column 16)"),
            (r#"{"count": -1}"#, "expected a whole number from 0, found -1 (line 1, column 12)"),
            (r#"{"count": 1.5}"#, "expected a whole number from 0, found 1.5 (line 1, column 13)"),
            (r#"{"count": [1]}"#, "expected a whole number from 0, found a list (line 1, column 10)"),
            (r#"{"range": [1]}"#, "expected a list of 2 values, found 1 (line 1, column 13)"),
            (r#"{"range": [1, true]}"#, "expected a number, found true (line 1, column 18)"),
            (r#"{"names": {}}"#, "expected a list, found a table (line 1, column 10)"),
            (r#"{"names": [null]}"#, "expected a text, found nothing (line 1, column 15)"),
            (r#"{"choice": "third"}"#, "expected \"first\" or \"second-one\", found \"third\" (line 1, column 18)"),
            (
                r#"{"cuont": 1}"#,
                "expected one of the keys `count`, `range`, `names`, `choice`, found `cuont` (line 1, column 8)",
            ),
            ("7", "expected a table, found 7 (line 1, column 1)"),
        ] {
            assert_eq!(plain_words(&from_str::<Example>(json).unwrap_err().to_string()), plain, "{json}");
        }
        assert_eq!(
            plain_words_or("invalid type: map, expected f64", Some("off")),
            "expected a number or \"off\", found a table"
        );
        let long = plain_words(&format!("invalid type: string {:?}, expected usize", "é".repeat(1000)));
        assert!(long.chars().count() < 120, "{long}");
        assert_eq!(plain_words("a message of one's own"), "a message of one's own");
    }
}
