//! What templates may use: Jinja2's and Python's names with Python's meaning, where minijinja's differs or is missing.

use minijinja::{
    Environment, State, Value as Variable, filters,
    value::{Kwargs, Rest, ValueKind, ValueOrKwargs, from_args},
};

use super::{
    json, strings, tags,
    values::{invalid, items},
};

type Result<T = Variable> = std::result::Result<T, minijinja::Error>;

/// Adds them to an environment.
pub(super) fn add_to(environment: &mut Environment<'_>) {
    environment.set_unknown_method_callback(method);
    environment.set_formatter(write);
    environment.add_function(tags::ITEMS_OF, |value: Variable| items(value.clone()).map(|_| value));
    environment.add_function("raise_exception", |message: String| -> Result { Err(invalid(message)) });
    environment.add_test("iterable", |value: &Variable| items(value.clone()).is_ok());
    environment.add_test("sequence", |value: &Variable| {
        value.is_undefined() || matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::String)
    });
    environment.add_filter("tojson", json::to_json);
    environment.add_filter(tags::FORMATTED, formatted);
    environment.add_filter("list", list);
    environment.add_filter("join", join);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    for name in ["default", "d"] {
        environment.add_filter(name, default);
    }
    for name in ["escape", "e"] {
        environment.add_filter(name, escape);
    }
    environment.add_filter("dictsort", dict_sort);
}

/// Python's methods of texts, lists and maps. `replace` can give far more than it is given, so it pays beforehand.
fn method(state: &mut State, value: &Variable, name: &str, args: &[Variable]) -> Result {
    if let Some(text) = value.as_str() {
        if let Some(result) = strings::call(state, text, name, args) {
            return result;
        }
        if name == "replace" {
            let length = |index: usize| args.get(index).and_then(Variable::as_str).map_or(0, str::len);
            let bytes = (text.len() / length(0).max(1) + 1).saturating_mul(length(1));
            state.consume_fuel(bytes as u64 / 64)?;
        }
    }
    match (value.kind(), name, args) {
        (ValueKind::Seq | ValueKind::Map, "copy", []) => Ok(value.clone()),
        (ValueKind::Seq, "index", [wanted]) => {
            let place = items(value.clone())?.position(|item| item == *wanted);
            place.map(Variable::from).ok_or_else(|| invalid(format!("index: the list does not contain {wanted}")))
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args),
    }
}

/// Writes a value into the text; a number with a fraction as Python does.
fn write(out: &mut minijinja::Output<'_>, state: &mut State, value: &Variable) -> Result<()> {
    match json::fraction(value) {
        Some(number) => out.write_str(&json::number(number)).map_err(|error| invalid(error.to_string())),
        None => minijinja::escape_formatter(out, state, value),
    }
}

/// `'..' % operand`: a tuple holds the arguments, anything else is one.
fn formatted(state: &mut State, text: Variable, operand: Variable) -> Result {
    let arguments = match operand.is_tuple() {
        true => operand.try_iter()?.collect(),
        false => vec![operand],
    };
    let all: Vec<Variable> = std::iter::once(text).chain(arguments).collect();
    state.apply_filter("format", &all)
}

fn list(state: &State, value: Variable) -> Result {
    items(value.clone())?;
    filters::list(state, value)
}

fn join(state: &mut State, value: &Variable, options: Rest<ValueOrKwargs>) -> Result {
    items(value.clone())?;
    let all: Vec<Variable> = std::iter::once(value.clone()).chain(options.into_values()).collect();
    Variable::from_function(filters::join).call(state, &all)
}

/// A text that is no number gives the default, which is 0.
fn int(state: &State, value: &Variable, default: Option<Variable>, base: Option<u32>, options: Kwargs) -> Result {
    let default = given(default, &options)?.unwrap_or_else(|| 0.into());
    filters::int(state, &trimmed(value), Some(default), base, options)
}

fn float(state: &State, value: &Variable, default: Option<Variable>, options: Kwargs) -> Result {
    let default = given(default, &options)?.unwrap_or_else(|| 0.0.into());
    filters::float(state, &trimmed(value), Some(default), options)
}

fn given(default: Option<Variable>, options: &Kwargs) -> Result<Option<Variable>> {
    match default {
        None => options.get("default"),
        given => Ok(given),
    }
}

fn trimmed(value: &Variable) -> Variable {
    value.as_str().map_or_else(|| value.clone(), |text| text.trim().into())
}

fn default(value: &Variable, default: Option<Variable>, boolean: Option<bool>, options: Kwargs) -> Result {
    let default = match default {
        None => options.get::<Option<Variable>>("default_value")?,
        given => given,
    };
    let boolean = boolean.or(options.get("boolean")?).unwrap_or(false);
    options.assert_all_used()?;
    let is_missing = value.is_undefined() || (boolean && !value.is_true());
    Ok(if is_missing { default.unwrap_or_else(|| "".into()) } else { value.clone() })
}

/// As MarkupSafe does it, which leaves the slash.
fn escape(value: &Variable) -> Variable {
    if value.is_safe() {
        return value.clone();
    }
    let mut text = value.to_string();
    for (letter, name) in [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&#34;"), ('\'', "&#39;")] {
        text = text.replace(letter, name);
    }
    Variable::from_safe_string(text)
}

/// Its options may be given by position.
fn dict_sort(state: &State, value: &Variable, options: Rest<ValueOrKwargs>) -> Result {
    let options = options.into_values();
    let (case_sensitive, by, reverse, named): (Option<bool>, Option<String>, Option<bool>, Kwargs) =
        from_args(&options)?;
    let case_sensitive = case_sensitive.or(named.get("case_sensitive")?).unwrap_or(false);
    let by = by.or(named.get("by")?).unwrap_or_else(|| "key".to_owned());
    let reverse = reverse.or(named.get("reverse")?).unwrap_or(false);
    named.assert_all_used()?;
    state.consume_fuel(value.len().unwrap_or(0) as u64)?;
    let named = [("case_sensitive", case_sensitive.into()), ("by", by.into()), ("reverse", reverse.into())];
    filters::dictsort(value, named.into_iter().collect())
}
