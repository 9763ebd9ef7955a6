//! Messages about values of the wrong kind: no names of Rust's types, but the key, its place and what was expected.

use std::path::Path;

use vapo_tasks::Verifier;
use vapo_train::config::{Resolved, SECTIONS, Settings};

/// Words of Rust and serde that nobody who writes a config should have to know.
const FOREIGN_WORDS: &[&str] = &[
    "usize",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "isize",
    "i32",
    "i64",
    "i128",
    "f32",
    "f64",
    "Vec",
    "Option",
    "bool",
    "struct",
    "newtype",
    "variant",
    "enum",
    "sequence",
    "map",
    "tuple",
    "unit",
    "untagged",
    "deserialize",
    "PathBuf",
    "str",
];
const FOREIGN_PHRASES: &[&str] =
    &["invalid type", "invalid value", "invalid length", "floating point `", "integer `", "string \""];

/// Values of every kind; most settings refuse most of them.
const VALUES: &[&str] = &[
    "\"no such word\"",
    "-1",
    "1.5",
    "true",
    "[]",
    "[1]",
    "[\"a\"]",
    "[1, 2, 3]",
    "[true, [1]]",
    "[{ path = 1 }]",
    "{}",
    "{ a = 1 }",
    "{ path = 1 }",
    "{ path = \"a\", weight = \"b\" }",
    "{ path = \"a\", limit = -1 }",
    "2024-07-26",
    "99999999999999999",
    "{ kind = 1 }",
    "{ kind = \"none\" }",
    "\"\"",
];

fn message(text: &str) -> Option<String> {
    let settings = Settings::from_toml(text, Path::new("my.toml"));
    settings.and_then(|settings| Resolved::layered(&[settings])).err().map(|error| error.to_string())
}

fn check_words(text: &str, message: &str) {
    let words = message.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let foreign: Vec<&str> = words.filter(|word| FOREIGN_WORDS.contains(word)).collect();
    assert!(foreign.is_empty(), "{text}\n{message}\n{foreign:?}");
    assert!(!FOREIGN_PHRASES.iter().any(|phrase| message.contains(phrase)), "{text}\n{message}");
}

#[test]
fn every_setting_refuses_wrong_values_in_plain_words() {
    let mut refused = 0;
    for (section, fields) in SECTIONS {
        for field in *fields {
            let mut refusals = 0;
            for value in VALUES {
                let text = format!("[{section}]\n{} = {value}\n", field.name);
                let Some(message) = message(&text) else { continue };
                check_words(&text, &message);
                let place = format!("my.toml:2: {section}.{}", field.name);
                let key = format!("{section}.{}", field.name);
                assert!(message.starts_with(&place) || message.contains(&key), "{text}\n{message}");
                refusals += 1;
            }
            assert!(refusals > 5, "{section}.{} takes nearly everything", field.name);
            refused += refusals;
        }
    }
    assert!(refused > 1500, "{refused}");
}

/// The options of a verifier, from the message about one that it does not have.
fn options(kind: &str) -> Vec<String> {
    let message = message(&format!("reward.verifier = {{ kind = \"{kind}\", none = 1 }}\n")).unwrap();
    let (_, known) = message.split_once("expected ").unwrap();
    let (known, _) = known.split_once(", found `none`").unwrap_or_else(|| panic!("{message}"));
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_option_of_a_verifier_refuses_wrong_values_in_plain_words() {
    /// Options that a verifier may require.
    const REQUIRED: [(&str, &str); 4] =
        [("pattern", "\"(a)\""), ("command", "[\"a\"]"), ("url", "\"http://a/b\""), ("file", "\"a.py\"")];
    for kind in Verifier::KINDS {
        let options = options(kind);
        let mut refused = 0;
        for option in options.iter().map(String::as_str).chain(["weight", "sources", "name"]) {
            let given =
                REQUIRED.iter().filter(|(name, _)| *name != option && options.iter().any(|known| known == name));
            let given: String = given.map(|(name, value)| format!("{name} = {value}, ")).collect();
            for value in VALUES.iter().chain(&["{ cpu_secs = \"a\" }", "{ cpu = 1 }"]) {
                let text = format!("reward.verifier = {{ kind = \"{kind}\", {given}{option} = {value} }}\n");
                let Some(message) = message(&text) else { continue };
                check_words(&text, &message);
                assert!(message.contains("reward.verifier"), "{text}\n{message}");
                refused += 1;
            }
        }
        assert!(refused > 40, "{kind}: {refused}");
    }
}

#[test]
fn a_wrong_value_is_named_with_its_key() {
    for (text, expected) in [
        (
            "rollout.group_size = \"many\"",
            "my.toml:1: rollout.group_size: expected a whole number from 0, found \"many\"",
        ),
        ("rollout.group_size = -1", "my.toml:1: rollout.group_size: expected a whole number from 0, found -1"),
        (
            "\n[rollout]\nstop_tokens = [1, \"a\"]",
            "my.toml:3: rollout.stop_tokens: expected a whole number from 0, found \"a\"",
        ),
        ("data.chain_operations = [1]", "my.toml:1: data.chain_operations: expected a list of 2 values, found 1"),
        ("data.chat_template_kwargs = 1", "my.toml:1: data.chat_template_kwargs: expected a table, found 1"),
        ("eval.every = \"of\"", "my.toml:1: eval.every: expected a whole number from 0 or \"off\", found \"of\""),
        (
            "model.dtype = \"float16\"",
            "my.toml:1: model.dtype: expected \"float32\" or \"bfloat16\", found \"float16\"",
        ),
        (
            "reward.verifier = { kind = \"numeric\", tolerance = \"a\" }",
            "my.toml:1: reward.verifier: verifier `numeric`: tolerance: expected a number, found \"a\"",
        ),
        (
            "data.train = [{ path = \"a\", weight = \"b\" }]",
            "my.toml:1: data.train: weight: expected a number, found \"b\"",
        ),
    ] {
        assert_eq!(message(text).as_deref(), Some(expected));
    }
}
