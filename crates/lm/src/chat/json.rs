//! The filter `tojson` as transformers defines it: Python's `json.dumps` without escapes for HTML or non-ASCII letters.

use super::{ErrorKind, Kwargs, State, Variable};
use serde_json::Value;

/// Widest indentation per level.
const MOST_INDENT: usize = 16;

/// How lists and maps are written.
struct Style {
    item: String,
    key: String,
    /// Spaces per level, each entry on its own line.
    indent: Option<usize>,
    sort_keys: bool,
}

/// `value | tojson(indent=none, separators=none, sort_keys=false, ensure_ascii=false)`.
pub(super) fn to_json(state: &mut State, value: Variable, options: Kwargs) -> Result<String, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let ensure_ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sort_keys = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;
    let wrong = |detail: &str| minijinja::Error::new(ErrorKind::InvalidOperation, detail.to_owned());
    if indent.is_some_and(|indent| indent > MOST_INDENT) {
        return Err(wrong(&format!("tojson(indent=..) expects at most {MOST_INDENT}")));
    }
    if ensure_ascii {
        return Err(wrong("tojson(ensure_ascii=true) is not supported"));
    }
    let (item, key) = match separators.as_deref() {
        None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        None => (", ".to_owned(), ": ".to_owned()),
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(wrong("tojson(separators=..) expects two texts")),
    };
    let json = serde_json::to_value(&value).map_err(|error| wrong(&format!("tojson: {error}")))?;
    let mut out = String::new();
    Style { item, key, indent, sort_keys }.write(&json, 0, &mut out);
    state.consume_fuel(out.len() as u64 / 64)?;
    Ok(out)
}

impl Style {
    fn write(&self, value: &Value, depth: usize, out: &mut String) {
        match value {
            Value::Array(items) if !items.is_empty() => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.begin_entry(index, depth, out);
                    self.write(item, depth + 1, out);
                }
                self.end_entries(depth, out);
                out.push(']');
            }
            Value::Object(entries) if !entries.is_empty() => {
                let mut entries: Vec<_> = entries.iter().collect();
                if self.sort_keys {
                    entries.sort_by_key(|(name, _)| *name);
                }
                out.push('{');
                for (index, (name, entry)) in entries.into_iter().enumerate() {
                    self.begin_entry(index, depth, out);
                    out.push_str(&Value::from(name.as_str()).to_string());
                    out.push_str(&self.key);
                    self.write(entry, depth + 1, out);
                }
                self.end_entries(depth, out);
                out.push('}');
            }
            leaf => out.push_str(&leaf.to_string()),
        }
    }

    fn begin_entry(&self, index: usize, depth: usize, out: &mut String) {
        if index > 0 {
            out.push_str(&self.item);
        }
        self.new_line(depth + 1, out);
    }

    fn end_entries(&self, depth: usize, out: &mut String) {
        self.new_line(depth, out);
    }

    fn new_line(&self, depth: usize, out: &mut String) {
        if let Some(indent) = self.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent.saturating_mul(depth)));
        }
    }
}
