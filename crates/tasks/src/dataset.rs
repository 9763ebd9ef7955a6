//! A user's problems, read from a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::{Map, Value};

use crate::{Error, Problem, PromptTemplate, Reward, RowError};

/// Names under which a problem's text is found, the first that is there wins.
const PROMPT_FIELDS: [&str; 3] = ["prompt", "problem", "question"];
const ANSWER_FIELD: &str = "answer";
const SOURCE_FIELD: &str = "data_source";
/// What stands before the final answer in GSM8K's `answer` field.
const GSM8K_MARKER: &str = "####";

/// How a data file is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataOptions {
    /// The text around each problem.
    pub template: PromptTemplate,
    /// Read this many distinct problems at most.
    pub limit: Option<usize>,
}

/// Distinct problems with their answers, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The problems; `index` is the place in this list.
    pub problems: Vec<Problem>,
    /// Rows read, blank lines aside.
    pub rows: usize,
    /// Rows left out because an earlier one has the same prompt.
    pub duplicates: usize,
    /// Those of the duplicates whose answer differs from the one that was kept.
    pub conflicting_duplicates: usize,
}

impl Dataset {
    /// Reads a file with a JSON object per line.
    ///
    /// Fields: `prompt` (or else `problem`, `question`), a text; `answer`, a text or number, of which the part behind
    /// the last `####` counts where there is one (GSM8K; its thousands separators are dropped); `data_source`, optional,
    /// by default the file's name without its extension. Other fields go to [`Problem::extra`]. Blank lines are
    /// allowed.
    ///
    /// # Errors
    /// An unreadable file, a row that is wrong or whose answer `reward` cannot use (with its number), or no problems.
    pub fn load_jsonl(path: &Path, options: &DataOptions, reward: &Reward) -> Result<Dataset, Error> {
        let read = |source| Error::Read { path: path.to_owned(), source };
        let source = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut reader = BufReader::new(File::open(path).map_err(read)?);
        let mut set = Dataset { problems: Vec::new(), rows: 0, duplicates: 0, conflicting_duplicates: 0 };
        let mut kept: BTreeMap<String, usize> = BTreeMap::new();
        let mut line = Vec::new();
        for row in 1.. {
            line.clear();
            let full = options.limit.is_some_and(|limit| set.problems.len() >= limit);
            if full || reader.read_until(b'\n', &mut line).map_err(read)? == 0 {
                break;
            }
            let bytes = if row == 1 { line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&line) } else { &line };
            let Some(problem) = parse_row(bytes, options, reward, &source).map_err(|source| Error::Row {
                path: path.to_owned(),
                row,
                source,
            })?
            else {
                continue;
            };
            set.rows += 1;
            set.add(problem, &mut kept);
        }
        if set.problems.is_empty() {
            return Err(Error::Empty { path: path.to_owned(), rows: set.rows });
        }
        Ok(set)
    }

    /// Appends a problem unless its prompt is already there.
    fn add(&mut self, mut problem: Problem, kept: &mut BTreeMap<String, usize>) {
        if let Some(&first) = kept.get(&problem.prompt) {
            self.duplicates += 1;
            self.conflicting_duplicates += usize::from(self.problems[first].answer != problem.answer);
            return;
        }
        problem.index = self.problems.len() as u64;
        kept.insert(problem.prompt.clone(), self.problems.len());
        self.problems.push(problem);
    }
}

/// Reads one line; none if it is blank. The index is set by the caller.
fn parse_row(
    line: &[u8],
    options: &DataOptions,
    reward: &Reward,
    file_stem: &str,
) -> Result<Option<Problem>, RowError> {
    let line = std::str::from_utf8(line).map_err(|e| RowError::NotUtf8 { column: e.valid_up_to() + 1 })?.trim_end();
    if line.trim_start().is_empty() {
        return Ok(None);
    }
    let mut fields = match serde_json::from_str(line).map_err(not_json)? {
        Value::Object(fields) => fields,
        other => {
            return Err(RowError::NotAnObject { found: kind(&other) });
        }
    };
    let prompt_field = PROMPT_FIELDS
        .into_iter()
        .find(|field| fields.contains_key(*field))
        .ok_or_else(|| missing(&PROMPT_FIELDS, &fields))?;
    if !fields.contains_key(ANSWER_FIELD) {
        return Err(missing(&[ANSWER_FIELD], &fields));
    }
    let text = take_text(&mut fields, prompt_field)?;
    let answer = match fields.get(ANSWER_FIELD) {
        Some(Value::Number(_)) => {
            fields.shift_remove(ANSWER_FIELD);
            number_as_written(line)?
        }
        _ => final_answer(&take_text(&mut fields, ANSWER_FIELD)?),
    };
    let data_source = match fields.contains_key(SOURCE_FIELD) {
        true => take_text(&mut fields, SOURCE_FIELD)?,
        false => file_stem.to_owned(),
    };
    let unusable = |reason| RowError::UnusableAnswer { answer: answer.clone(), reason };
    reward.check_answer(&data_source, &answer).map_err(unusable)?;
    let prompt = options.template.render(&text);
    Ok(Some(Problem { index: 0, prompt, answer, data_source, extra: fields }))
}

/// Takes a text that is not blank out of a row.
fn take_text(fields: &mut Map<String, Value>, field: &str) -> Result<String, RowError> {
    match fields.shift_remove(field).unwrap_or_default() {
        Value::String(text) if text.trim().is_empty() => Err(RowError::EmptyField { field: field.to_owned() }),
        Value::String(text) => Ok(text),
        other => {
            let expected = if field == ANSWER_FIELD { "a string or a number" } else { "a string" };
            Err(RowError::WrongType { field: field.to_owned(), expected, found: kind(&other) })
        }
    }
}

/// The digits of a numeric answer: a parsed JSON number would have lost those beyond the 17th.
fn number_as_written(line: &str) -> Result<String, RowError> {
    #[derive(serde::Deserialize)]
    struct Row<'a> {
        #[serde(borrow)]
        answer: &'a serde_json::value::RawValue,
    }
    let row: Row = serde_json::from_str(line).map_err(not_json)?;
    Ok(row.answer.get().to_owned())
}

fn final_answer(answer: &str) -> String {
    match answer.rsplit_once(GSM8K_MARKER) {
        Some((_, last)) => last.trim().replace(',', ""),
        None => answer.trim().to_owned(),
    }
}

fn missing(expected: &[&str], fields: &Map<String, Value>) -> RowError {
    let list =
        |names: Vec<&str>, joint: &str| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(joint);
    let found = match fields.is_empty() {
        true => "no fields".to_owned(),
        false => list(fields.keys().map(String::as_str).collect(), ", "),
    };
    RowError::MissingField { expected: list(expected.to_vec(), " or "), found }
}

fn not_json(error: serde_json::Error) -> RowError {
    let message = error.to_string();
    // The line that serde_json counts is always 1 here.
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    RowError::NotJson { column: error.column(), message }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verifier;

    fn load(bytes: &[u8], options: &DataOptions, verifier: &Verifier) -> Result<Dataset, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set.jsonl");
        std::fs::write(&path, bytes).unwrap();
        let directory = format!("{}/", dir.path().display());
        Dataset::load_jsonl(&path, options, &Reward::try_from(verifier.clone()).unwrap())
            .map_err(|error| error.to_string().replace(&directory, ""))
    }

    const EXACT: Verifier = Verifier::Exact { marker: None };
    const NUMERIC: Verifier = Verifier::Numeric { marker: None, tolerance: 0.0 };

    #[test]
    fn reads_the_usual_fields() {
        let text = "\u{feff}{\"problem\": \"1+1\", \"answer\": \"2\", \"level\": 3}\r\n\n  \n\
            {\"question\": \"2+2\", \"answer\": \"so 2+2=4\\n#### 1,004 \", \"data_source\": \"openai/gsm8k\"}\n\
            {\"prompt\": \"p\", \"problem\": \"q\", \"answer\": 12345678901234567890123.50}";
        let options = DataOptions { template: PromptTemplate::new("Q: {problem}\nA:").unwrap(), limit: None };
        let set = load(text.as_bytes(), &options, &NUMERIC).unwrap();
        assert_eq!((set.rows, set.duplicates), (3, 0));
        let short = |p: &Problem| (p.index, p.prompt.clone(), p.answer.clone(), p.data_source.clone());
        let expected = [
            (0, "Q: 1+1\nA:", "2", "set"),
            (1, "Q: 2+2\nA:", "1004", "openai/gsm8k"),
            (2, "Q: p\nA:", "12345678901234567890123.50", "set"),
        ];
        for (problem, (index, prompt, answer, source)) in set.problems.iter().zip(expected) {
            assert_eq!(short(problem), (index, prompt.into(), answer.into(), source.into()));
        }
        assert_eq!(set.problems[0].extra, serde_json::json!({"level": 3}).as_object().unwrap().clone());
        assert_eq!(set.problems[2].extra["problem"], "q");
    }

    #[test]
    fn leaves_out_and_counts_repeated_prompts() {
        let text = r#"{"prompt": "a", "answer": "1"}
            {"prompt": "b", "answer": "2"}
            {"prompt": "a", "answer": "1"}
            {"prompt": "a", "answer": "3"}
            {"prompt": "c", "answer": "4"}"#;
        let set = load(text.as_bytes(), &DataOptions::default(), &EXACT).unwrap();
        assert_eq!((set.rows, set.duplicates, set.conflicting_duplicates), (5, 2, 1));
        assert_eq!(set.problems.iter().map(|p| p.answer.as_str()).collect::<Vec<_>>(), ["1", "2", "4"]);
        let two = DataOptions { limit: Some(2), ..Default::default() };
        assert_eq!(load(text.as_bytes(), &two, &EXACT).unwrap().problems, set.problems[..2]);
    }

    #[test]
    fn errors_name_row_and_field() {
        let good = r#"{"prompt": "a", "answer": "1"}"#;
        for (line, expected) in [
            (
                &br#"{"text": "a", "answer": "1"}"#[..],
                "expected a field `prompt` or `problem` or `question`, found `text`, `answer`",
            ),
            (br#"{"prompt": "a", "gold": "1"}"#, "expected a field `answer`, found `prompt`, `gold`"),
            (b"{}", "expected a field `prompt` or `problem` or `question`, found no fields"),
            (br#"{"prompt": 7, "answer": "1"}"#, "field `prompt` is a number, expected a string"),
            (br#"{"prompt": "a", "answer": ["1"]}"#, "field `answer` is an array, expected a string or a number"),
            (br#"{"prompt": "a", "answer": null}"#, "field `answer` is null, expected a string or a number"),
            (br#"{"prompt": " ", "answer": "1"}"#, "field `prompt` is empty"),
            (br#"{"prompt": "a", "answer": "one"}"#, "field `answer` is \"one\", expected a single number"),
            (
                br#"{"prompt": "a", "answer": "1", "data_source": 1}"#,
                "field `data_source` is a number, expected a string",
            ),
            (br#"[1, 2]"#, "expected a JSON object, found an array"),
            (br#"{"prompt": "a" "answer": "1"}"#, "not valid JSON at column 16: expected `,` or `}`"),
            (b"{\"prompt\": \"\xFF", "not UTF-8, first bad byte at column 13"),
        ] {
            let text = [good.as_bytes(), b"\n\n", line].concat();
            let error = load(&text, &DataOptions::default(), &NUMERIC).unwrap_err();
            assert_eq!(error, format!("set.jsonl, row 3: {expected}"));
        }
        assert_eq!(
            load(b"\n\n", &DataOptions::default(), &EXACT).unwrap_err(),
            "set.jsonl holds no problems (rows read: 0)"
        );
        let missing = Dataset::load_jsonl(
            Path::new("/no/such.jsonl"),
            &DataOptions::default(),
            &Reward::try_from(EXACT).unwrap(),
        );
        assert!(missing.unwrap_err().to_string().starts_with("cannot read /no/such.jsonl: "));
    }
}
