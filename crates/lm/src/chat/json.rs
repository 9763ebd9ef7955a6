//! The filter `tojson` as transformers defines it: Python's `json.dumps` without escapes for HTML or non-ASCII letters.

use minijinja::{
    State, Value as Variable,
    value::{Kwargs, Rest, ValueOrKwargs, from_args},
};
use serde_json::Value;

use super::values::invalid;

/// Widest indentation per level.
const MOST_INDENT: usize = 16;

/// How lists and maps are written.
struct Style {
    item: String,
    key: String,
    /// Spaces per level, each entry on its own line.
    indent: Option<usize>,
    sort_keys: bool,
    ensure_ascii: bool,
}

/// `value | tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false)`.
pub(super) fn to_json(
    state: &State,
    value: Variable,
    options: Rest<ValueOrKwargs>,
) -> Result<String, minijinja::Error> {
    type Given = (Option<bool>, Option<usize>, Option<Vec<String>>, Option<bool>, Kwargs);
    let options = options.into_values();
    let (ensure_ascii, indent, separators, sort_keys, named): Given = from_args(&options)?;
    let ensure_ascii = ensure_ascii.or(named.get("ensure_ascii")?).unwrap_or(false);
    let indent = indent.or(named.get("indent")?);
    let separators = separators.or(named.get("separators")?);
    let sort_keys = sort_keys.or(named.get("sort_keys")?).unwrap_or(false);
    named.assert_all_used()?;
    if value.is_undefined() {
        return Err(invalid("tojson: the value is undefined"));
    }
    if indent.is_some_and(|indent| indent > MOST_INDENT) {
        return Err(invalid(format!("tojson(indent=..) expects at most {MOST_INDENT}")));
    }
    let (item, key) = match separators.as_deref() {
        None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        None => (", ".to_owned(), ": ".to_owned()),
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(invalid("tojson(separators=..) expects two texts")),
    };
    let json = serde_json::to_value(&value).map_err(|error| invalid(format!("tojson: {error}")))?;
    let mut out = String::new();
    Style { item, key, indent, sort_keys, ensure_ascii }.write(&json, 0, &mut out);
    state.consume_fuel(out.len() as u64 / 64)?;
    Ok(out)
}

/// A number with a fraction.
pub(super) fn fraction(value: &Variable) -> Option<f64> {
    let is_fraction = value.is_number() && !value.is_integer();
    f64::try_from(value.clone()).ok().filter(|number| is_fraction && number.is_finite())
}

/// A number with a fraction as Python writes it. It and Rust take an exponent for the same numbers, but write it differently.
pub(super) fn number(number: f64) -> String {
    let written = format!("{number:?}");
    let Some((digits, exponent)) = written.split_once('e') else { return written };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// A text as JSON; letters beyond ASCII as escapes, if that is wanted.
fn quoted(text: &str, ensure_ascii: bool) -> String {
    let quoted = Value::from(text).to_string();
    if !ensure_ascii {
        return quoted;
    }
    let mut units = [0; 2];
    let mut escaped = String::with_capacity(quoted.len());
    for letter in quoted.chars() {
        match letter.is_ascii() {
            true => escaped.push(letter),
            false => {
                letter.encode_utf16(&mut units).iter().for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}")))
            }
        }
    }
    escaped
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
                    out.push_str(&quoted(name, self.ensure_ascii));
                    out.push_str(&self.key);
                    self.write(entry, depth + 1, out);
                }
                self.end_entries(depth, out);
                out.push('}');
            }
            Value::String(text) => out.push_str(&quoted(text, self.ensure_ascii)),
            Value::Number(whole) if !whole.is_f64() => out.push_str(&whole.to_string()),
            Value::Number(real) => out.push_str(&number(real.as_f64().unwrap_or(f64::NAN))),
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
