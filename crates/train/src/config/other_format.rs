//! Configs in YAML or JSON, as other frameworks have them: an error that shows the first settings as TOML.
//!
//! YAML is read only as far as such configs go (nested keys, scalars, lists of scalars), because nothing is done with it but to
//! show it.

use std::path::Path;

use toml::Value;

use super::{
    SECTIONS,
    names::{Counterpart, counterpart},
    resolve::is_accepted,
    root::known_key,
};
use crate::error::Error;

/// Settings that are shown.
const SHOWN: usize = 24;
/// Lines of YAML that are read.
const LINES: usize = 1000;
/// Longest line that is shown, in characters.
const LONGEST: usize = 160;

/// What the file is, with its first settings as TOML; `None` if it seems to be meant as TOML.
pub(super) fn explained(text: &str, path: &Path) -> Option<Error> {
    let is_json = text.trim_start().starts_with('{');
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let is_named = ["yaml", "yml", "json"].contains(&extension);
    let settings = if is_json { json_settings(text) } else { yaml_settings(text) };
    let is_yaml = is_named || is_yaml(text);
    if !is_json && !is_yaml || settings.is_empty() && !is_named {
        return None;
    }
    let format = if is_json { "JSON" } else { "YAML" };
    let mut message =
        format!("a config is TOML, found {format}; `vapo config` prints one with every setting explained");
    if !settings.is_empty() {
        message += &format!(". The first settings of this file as TOML:\n\n{}", as_toml(&settings));
    }
    Some(Error::Setting { origin: path.display().to_string(), message })
}

/// Whether the first line that is no comment is a key with a colon.
fn is_yaml(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    first.is_some_and(|line| line == "---" || key_and_value(line).is_some())
}

/// A dotted key with its value; `None` for null.
type Setting = (String, Option<Value>);

fn json_settings(text: &str) -> Vec<Setting> {
    fn flatten(key: &str, value: serde_json::Value, settings: &mut Vec<Setting>) {
        match value {
            serde_json::Value::Object(entries) if !entries.is_empty() => {
                for (name, value) in entries {
                    let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                    flatten(&key, value, settings);
                }
            }
            value => settings.push((key.to_owned(), Value::try_from(value).ok())),
        }
    }
    let mut settings = Vec::new();
    if let Ok(value @ serde_json::Value::Object(_)) = serde_json::from_str(text) {
        flatten("", value, &mut settings);
    }
    settings
}

fn yaml_settings(text: &str) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    let mut parents: Vec<(usize, &str)> = Vec::new();
    // Lines that are indented more belong to a text of several lines.
    let mut text_above: Option<usize> = None;
    for line in text.lines().take(LINES) {
        let content = line.trim();
        let depth = line.len() - line.trim_start().len();
        if content.is_empty() || content.starts_with('#') || text_above.is_some_and(|above| depth > above) {
            continue;
        }
        text_above = None;
        if let Some(item) = content.strip_prefix("- ") {
            add_item(&mut settings, &dotted(&parents), scalar(item));
            continue;
        }
        let Some((key, value)) = key_and_value(content) else { continue };
        while parents.last().is_some_and(|(above, _)| *above >= depth) {
            parents.pop();
        }
        parents.push((depth, key));
        match value {
            "" => continue,
            _ if value.starts_with(['|', '>']) => text_above = Some(depth),
            _ => settings.push((dotted(&parents), scalar(value))),
        }
        parents.pop();
    }
    settings
}

fn dotted(parents: &[(usize, &str)]) -> String {
    parents.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(".")
}

/// Adds an item to the list at a key.
fn add_item(settings: &mut Vec<Setting>, key: &str, item: Option<Value>) {
    match settings.last_mut() {
        Some((last, Some(Value::Array(items)))) if last == key => items.extend(item),
        _ => settings.push((key.to_owned(), Some(Value::Array(item.into_iter().collect())))),
    }
}

/// `key: value`, without a comment.
fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(": ").or_else(|| Some((line.strip_suffix(':')?, "")))?;
    let key = key.trim().trim_matches(['"', '\'']);
    let is_key = !key.is_empty() && key.chars().all(|letter| letter.is_alphanumeric() || "_-./".contains(letter));
    let value = value.trim();
    let value =
        if value.starts_with('#') { "" } else { value.split_once(" #").map_or(value, |(value, _)| value.trim_end()) };
    is_key.then_some((key, value))
}

fn scalar(text: &str) -> Option<Value> {
    let text = text.trim();
    let inside = |open: char, close: char| text.strip_prefix(open)?.strip_suffix(close);
    if let Some(quoted) = inside('"', '"').or_else(|| inside('\'', '\'')) {
        return Some(Value::String(quoted.to_owned()));
    }
    if let Some(items) = inside('[', ']').filter(|items| !items.contains(['[', '{'])) {
        return Some(Value::Array(items.split(',').filter_map(scalar).collect()));
    }
    match text {
        "" | "null" | "Null" | "NULL" | "~" => None,
        "true" | "True" => Some(Value::Boolean(true)),
        "false" | "False" => Some(Value::Boolean(false)),
        _ => Some(match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(whole), _) => Value::Integer(whole),
            (_, Ok(number)) if number.is_finite() => Value::Float(number),
            _ => Value::String(text.to_owned()),
        }),
    }
}

/// Settings under our names, and the rest as comments.
fn as_toml(settings: &[Setting]) -> String {
    let mut ours: Vec<(String, &Value)> = Vec::new();
    let mut comments = Vec::new();
    for (key, value) in &settings[..settings.len().min(SHOWN)] {
        let (names, remark) = translated(key, value.as_ref());
        let is_new = names.iter().all(|name| ours.iter().all(|(given, _)| given != name));
        match value {
            Some(value) if remark.is_empty() && is_new => ours.extend(names.into_iter().map(|name| (name, value))),
            _ => {
                let value = value.as_ref().map_or("null".to_owned(), Value::to_string);
                comments
                    .push(format!("# {key} = {value}: {}", if remark.is_empty() { "given before" } else { &remark }));
            }
        }
    }
    let mut lines = Vec::new();
    for (section, _) in SECTIONS {
        let mut of_section =
            ours.iter().filter_map(|(key, value)| Some((key.strip_prefix(section)?.strip_prefix('.')?, value)));
        let Some(first) = of_section.next() else { continue };
        lines.extend((!lines.is_empty()).then(String::new));
        lines.push(format!("[{section}]"));
        lines.extend(std::iter::once(first).chain(of_section).map(|(name, value)| format!("{name} = {value}")));
    }
    lines.extend((!lines.is_empty() && !comments.is_empty()).then(String::new));
    lines.extend(comments);
    if settings.len() > SHOWN {
        lines.push(format!("# and {} more", settings.len() - SHOWN));
    }
    lines.iter().map(|line| printable(line)).collect::<Vec<_>>().join("\n")
}

/// Our names of a setting, or a remark why the value cannot be taken over.
fn translated(key: &str, value: Option<&Value>) -> (Vec<String>, String) {
    let names = |text: &str| text.split("` and `").map(str::to_owned).collect::<Vec<_>>();
    let (names, see) = match counterpart(key) {
        _ if known_key(key).is_some() => (names(key), format!("see {key}")),
        Some(Counterpart::Same(ours)) => (names(&ours), format!("see `{ours}`")),
        Some(Counterpart::Related(ours)) => return (Vec::new(), format!("see `{ours}`")),
        Some(Counterpart::Absent(why)) => return (Vec::new(), why.to_owned()),
        None => return (Vec::new(), "there is no such setting".to_owned()),
    };
    let is_accepted = value.is_some_and(|value| names.iter().all(|name| is_accepted(name, value)));
    (names, if is_accepted { String::new() } else { see })
}

/// A line of bounded length without control characters.
fn printable(line: &str) -> String {
    let shown: String =
        line.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).take(LONGEST).collect();
    if shown.chars().count() < line.chars().count() { shown + ".." } else { shown }
}
