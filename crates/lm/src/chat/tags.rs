//! Rewrites in a template's text what minijinja does not know, or reads in another way than Jinja2, so that it means the same.

/// The function around what a loop goes through.
pub(super) const ITEMS_OF: &str = "__items_of";
/// The filter in place of the operator `%` after a text.
pub(super) const FORMATTED: &str = "__formatted";

/// Formatted texts in the operands of formatted texts.
const MOST_DEPTH: usize = 8;

/// - `{% generation %}`, which is transformers' own and changes nothing in the text, becomes `{% if true %}`.
/// - `{% for x in y %}` becomes `{% for x in __items_of((y)) %}`, which refuses `none` as Python does.
/// - `'%s' % x` becomes `('%s' | __formatted(x))`.
pub(super) fn translated(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(begin) = rest.find("{").filter(|begin| begin + 1 < rest.len()) {
        let (before, tag) = rest.split_at(begin);
        out.push_str(before);
        let translate = match tag.as_bytes()[1] {
            b'%' => statement,
            b'{' => formats,
            b'#' => {
                let end = tag.find("#}").map_or(tag.len(), |end| end + 2);
                out.push_str(&tag[..end]);
                rest = &tag[end..];
                continue;
            }
            _ => {
                out.push('{');
                rest = &tag[1..];
                continue;
            }
        };
        let close = if tag.as_bytes()[1] == b'%' { "%}" } else { "}}" };
        let Some(end) = place(&tag[2..], |rest| rest.starts_with(close)).map(|end| end + 2) else {
            return out + tag;
        };
        out.push_str(&tag[..2]);
        out.push_str(&translate(&tag[2..end]));
        rest = &tag[end..];
        if close == "%}" && first_word(&tag[2..end]) == "raw" {
            let raw = end_of_raw(rest);
            out.push_str(&rest[..raw]);
            rest = &rest[raw..];
        }
    }
    out + rest
}

fn first_word(statement: &str) -> &str {
    let inside = statement.trim_start_matches(['-', '+']).trim_start();
    inside.split(|letter: char| !is_name(letter)).next().unwrap_or_default()
}

/// Where `{% endraw %}` begins.
fn end_of_raw(text: &str) -> usize {
    let mut begins = text.match_indices("{%").map(|(begin, _)| begin);
    begins.find(|begin| first_word(&text[begin + 2..]) == "endraw").unwrap_or(text.len())
}

/// The inside of `{% .. %}`.
fn statement(text: &str) -> String {
    let word = first_word(text);
    match word {
        "generation" => text.replacen(word, "if true", 1),
        "endgeneration" => text.replacen(word, "endif", 1),
        "for" => loop_head(text).unwrap_or_else(|| formats(text)),
        _ => formats(text),
    }
}

/// The head of a loop: `for NAMES in ITEMS [if CONDITION] [recursive]`.
fn loop_head(text: &str) -> Option<String> {
    let keyword = |from: usize, word: &str| place(&text[from..], |rest| is_word(rest, word)).map(|found| from + found);
    let begin = keyword(0, "in")? + "in".len();
    let sign = text.len() - usize::from(text.ends_with(['-', '+']));
    let ends = ["if", "recursive"].into_iter().filter_map(|word| keyword(begin, word));
    let end = ends.min().unwrap_or(sign);
    let items = formats(&text[begin..end]);
    Some(format!("{} {ITEMS_OF}(({items})) {}", &text[..begin], formats(&text[end..])))
}

fn formats(text: &str) -> String {
    formats_within(text, 0)
}

/// Texts followed by the operator `%`. Operands within operands are bounded, like the work for them.
fn formats_within(text: &str, depth: usize) -> String {
    if depth == MOST_DEPTH {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find(['"', '\'']) {
        let end = begin + length_of_text(&rest[begin..]);
        let after = rest[end..].trim_start();
        out.push_str(&rest[..begin]);
        let literal = &rest[begin..end];
        rest = &rest[end..];
        match after.strip_prefix('%').map(|operand| operand.split_at(length_of_operand(operand))) {
            Some((operand, behind)) if !operand.trim().is_empty() => {
                out.push_str(&format!("({literal} | {FORMATTED}({}))", formats_within(operand, depth + 1)));
                rest = behind;
            }
            _ => out.push_str(literal),
        }
    }
    out + rest
}

/// Length of a quoted text with its quotes.
fn length_of_text(text: &str) -> usize {
    let quote = text.as_bytes()[0];
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            byte if byte == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the operand that a text begins with: a value with its attributes, calls, indices and filters.
fn length_of_operand(text: &str) -> usize {
    let skipped = |at: usize| text.len() - text[at..].trim_start().len();
    let mut end = skipped(0);
    let mut may_begin = true;
    loop {
        let at = skipped(end);
        let Some(letter) = text[at..].chars().next() else { return end };
        let length = match letter {
            '\'' | '"' if may_begin => length_of_text(&text[at..]),
            '(' | '[' | '{' => {
                1 + place(&text[at + 1..], |rest| rest.starts_with([')', ']', '}'])).unwrap_or(text.len()) + 1
            }
            '.' | '|' => 1,
            letter if is_name(letter) && may_begin => {
                text[at..].find(|letter: char| !is_name(letter)).unwrap_or(text.len() - at)
            }
            _ => return end,
        };
        may_begin = matches!(letter, '.' | '|');
        end = (at + length).min(text.len());
    }
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Whether a text begins with a word.
fn is_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word).is_some_and(|rest| !rest.starts_with(is_name))
}

/// The first place in code, outside of quoted texts, brackets and words, where a condition holds.
fn place(text: &str, holds: impl Fn(&str) -> bool) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    while at < text.len() {
        let rest = &text[at..];
        if depth == 0 && holds(rest) {
            return Some(at);
        }
        let letter = rest.chars().next()?;
        at += match letter {
            '"' | '\'' => length_of_text(rest),
            letter if is_name(letter) => rest.find(|letter: char| !is_name(letter)).unwrap_or(rest.len()),
            letter => letter.len_utf8(),
        };
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}
