//! Python's methods of texts, where minijinja's differ or are missing. Positions count characters, as in Python.

use minijinja::{
    State, Value as Variable,
    value::{Kwargs, Tuple, from_args},
};

use super::values::{invalid, items};

type Result<T = Variable> = std::result::Result<T, minijinja::Error>;

/// Calls a method; `None` if it is not one of these. What gives many parts, or more than it is given, is paid beforehand.
pub(super) fn call(state: &State, text: &str, name: &str, args: &[Variable]) -> Option<Result> {
    Some(match name {
        "strip" | "lstrip" | "rstrip" => strip(text, name, args),
        "removeprefix" | "removesuffix" => remove(text, name, args),
        "startswith" | "endswith" => begins_or_ends(text, name, args),
        "find" | "rfind" | "index" | "rindex" | "count" => search(text, name, args),
        "split" | "rsplit" => split(state, text, name == "rsplit", args),
        "splitlines" => split_lines(state, text, args),
        "partition" | "rpartition" => partition(text, name, args),
        "join" => join(state, text, args),
        "center" | "ljust" | "rjust" | "zfill" => fill(state, text, name, args),
        "title" => none(args).map(|()| title(text).into()),
        "swapcase" => none(args).map(|()| swap_case(text).into()),
        "isspace" => none(args).map(|()| (!text.is_empty() && text.chars().all(is_space)).into()),
        _ => return None,
    })
}

fn none(args: &[Variable]) -> Result<()> {
    from_args(args)
}

/// What Python takes for white space: four control characters more than Unicode does.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\x1c'..='\x1f').contains(&letter)
}

fn strip(text: &str, name: &str, args: &[Variable]) -> Result {
    let (letters,): (Option<&str>,) = from_args(args)?;
    let is_outside = |letter: char| letters.map_or_else(|| is_space(letter), |letters| letters.contains(letter));
    Ok(match name {
        "lstrip" => text.trim_start_matches(is_outside),
        "rstrip" => text.trim_end_matches(is_outside),
        _ => text.trim_matches(is_outside),
    }
    .into())
}

fn remove(text: &str, name: &str, args: &[Variable]) -> Result {
    let (part,): (&str,) = from_args(args)?;
    let rest = if name == "removeprefix" { text.strip_prefix(part) } else { text.strip_suffix(part) };
    Ok(rest.unwrap_or(text).into())
}

/// The part of a text from `start` to `end`, which count from the end if they are negative, and its first position. `None` if they
/// are out of order.
fn part(text: &str, start: Option<i64>, end: Option<i64>) -> Option<(i64, &str)> {
    let length = text.chars().count() as i64;
    let place = |place: i64| if place < 0 { (place + length).max(0) } else { place };
    let (start, end) = (place(start.unwrap_or(0)), place(end.unwrap_or(length)).min(length));
    let byte = |place: i64| text.char_indices().nth(place as usize).map_or(text.len(), |(byte, _)| byte);
    (start <= end).then(|| (start, &text[byte(start)..byte(end)]))
}

fn begins_or_ends(text: &str, name: &str, args: &[Variable]) -> Result {
    let (wanted, start, end): (&Variable, Option<i64>, Option<i64>) = from_args(args)?;
    let wanted: Vec<Variable> = if wanted.is_tuple() { wanted.try_iter()?.collect() } else { vec![wanted.clone()] };
    let part = part(text, start, end);
    for wanted in &wanted {
        let Some(wanted) = wanted.as_str() else {
            return Err(invalid(format!("{name} expects a text or a tuple of texts, found {}", wanted.kind())));
        };
        let holds = |part: &str| if name == "endswith" { part.ends_with(wanted) } else { part.starts_with(wanted) };
        if part.is_some_and(|(_, part)| holds(part)) {
            return Ok(true.into());
        }
    }
    Ok(false.into())
}

fn search(text: &str, name: &str, args: &[Variable]) -> Result {
    let (wanted, start, end): (&str, Option<i64>, Option<i64>) = from_args(args)?;
    let part = part(text, start, end);
    if name == "count" {
        return Ok(part.map_or(0, |(_, part)| part.matches(wanted).count()).into());
    }
    let found = part.and_then(|(first, part)| {
        let byte = if name.starts_with('r') { part.rfind(wanted) } else { part.find(wanted) };
        Some(first + part[..byte?].chars().count() as i64)
    });
    if found.is_none() && name.ends_with("index") {
        return Err(invalid(format!("{name}: the text does not contain {wanted:?}")));
    }
    Ok(found.unwrap_or(-1).into())
}

fn split(state: &State, text: &str, from_right: bool, args: &[Variable]) -> Result {
    let (separator, most, options): (Option<&str>, Option<i64>, Kwargs) = from_args(args)?;
    let separator = match separator {
        None => options.get::<Option<&str>>("sep")?,
        given => given,
    };
    let most = match most {
        None => options.get::<Option<i64>>("maxsplit")?,
        given => given,
    };
    options.assert_all_used()?;
    // A negative number is no limit.
    let most = usize::try_from(most.unwrap_or(-1)).unwrap_or(usize::MAX);
    let splits = match separator {
        Some("") => return Err(invalid("split expects a separator that is not empty")),
        Some(separator) => text.matches(separator).count(),
        None => text.split(is_space).filter(|word| !word.is_empty()).count(),
    };
    state.consume_fuel(splits.min(most) as u64)?;
    let mut parts: Vec<&str> = match separator {
        Some(separator) if from_right => text.rsplitn(most.saturating_add(1), separator).collect(),
        Some(separator) => text.splitn(most.saturating_add(1), separator).collect(),
        None => words(text, most, from_right),
    };
    if from_right {
        parts.reverse();
    }
    Ok(parts.into_iter().map(Variable::from).collect())
}

/// At most that many words from one end, and the rest without white space on that side.
fn words(text: &str, most: usize, from_right: bool) -> Vec<&str> {
    let trimmed = |rest: &'_ str| -> usize {
        if from_right { rest.trim_end_matches(is_space).len() } else { rest.trim_start_matches(is_space).len() }
    };
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let length = trimmed(rest);
        rest = if from_right { &rest[..length] } else { &rest[rest.len() - length..] };
        if rest.is_empty() {
            return parts;
        }
        let word = if from_right { rest.rsplit(is_space).next() } else { rest.split(is_space).next() };
        let word = word.filter(|_| parts.len() < most).unwrap_or(rest);
        parts.push(word);
        rest = if from_right { &rest[..rest.len() - word.len()] } else { &rest[word.len()..] };
    }
}

fn split_lines(state: &State, text: &str, args: &[Variable]) -> Result {
    let (keep_ends, options): (Option<bool>, Kwargs) = from_args(args)?;
    let keep_ends = keep_ends.or(options.get("keepends")?).unwrap_or(false);
    options.assert_all_used()?;
    let is_end = |letter: char| {
        matches!(letter, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}')
    };
    state.consume_fuel(text.matches(is_end).count() as u64)?;
    let mut lines: Vec<&str> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line = rest.find(is_end).unwrap_or(rest.len());
        let end = match rest[line..].chars().next() {
            Some('\r') if rest[line + 1..].starts_with('\n') => line + 2,
            Some(letter) => line + letter.len_utf8(),
            None => line,
        };
        lines.push(&rest[..if keep_ends { end } else { line }]);
        rest = &rest[end..];
    }
    Ok(lines.into_iter().map(Variable::from).collect())
}

fn partition(text: &str, name: &str, args: &[Variable]) -> Result {
    let (separator,): (&str,) = from_args(args)?;
    if separator.is_empty() {
        return Err(invalid(format!("{name} expects a separator that is not empty")));
    }
    let parts = match name {
        "partition" => text.split_once(separator).map_or([text, "", ""], |(before, after)| [before, separator, after]),
        _ => text.rsplit_once(separator).map_or(["", "", text], |(before, after)| [before, separator, after]),
    };
    Ok(Tuple::from(parts.map(Variable::from)).into())
}

fn join(state: &State, text: &str, args: &[Variable]) -> Result {
    let (parts,): (&Variable,) = from_args(args)?;
    let mut joined = String::new();
    for (index, part) in items(parts.clone())?.enumerate() {
        let Some(part) = part.as_str() else {
            return Err(invalid(format!("join expects texts, found {}", part.kind())));
        };
        state.consume_fuel((text.len() + part.len()) as u64 / 64 + 1)?;
        joined.push_str(if index > 0 { text } else { "" });
        joined.push_str(part);
    }
    Ok(joined.into())
}

/// Fills a text up to a width.
fn fill(state: &State, text: &str, name: &str, args: &[Variable]) -> Result {
    let (width, letter): (i64, Option<char>) = from_args(args)?;
    let width = usize::try_from(width).unwrap_or(0);
    let missing = width.saturating_sub(text.chars().count());
    state.consume_fuel(missing as u64 / 16)?;
    let padding = |count: usize| String::from(letter.unwrap_or(' ')).repeat(count);
    Ok(match name {
        "ljust" => text.to_owned() + &padding(missing),
        "rjust" => padding(missing) + text,
        "zfill" => {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            format!("{sign}{}{digits}", "0".repeat(missing))
        }
        _ => {
            // Of an odd number of spaces Python puts the larger part to the left if the width is odd.
            let left = missing / 2 + (missing & width & 1);
            padding(left) + text + &padding(missing - left)
        }
    }
    .into())
}

/// Words begin after everything that is no letter with a case: `It'S`.
fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut is_inside = false;
    for letter in text.chars() {
        match is_inside {
            true => titled.extend(letter.to_lowercase()),
            false => titled.extend(letter.to_uppercase()),
        }
        is_inside = letter.is_lowercase() || letter.is_uppercase();
    }
    titled
}

fn swap_case(text: &str) -> String {
    let swapped = |letter: char| -> String {
        if letter.is_uppercase() { letter.to_lowercase().collect() } else { letter.to_uppercase().collect() }
    };
    text.chars().map(swapped).collect()
}
