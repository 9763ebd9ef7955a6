//! A user's problems, read from files.

mod arrow;
mod columns;
mod directory;
mod json;
mod options;
mod pages;
mod parquet;
mod repair;
mod row;
mod source;
mod table;

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use options::DataOptions;
pub use pages::check_pages;

use crate::{Error, Message, Origin, Problem, Reward};
use columns::Columns;
use row::Each;
use source::{Format, Source};

/// Distinct problems with their answers, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// The file.
    pub name: String,
    /// The problems; `index` is the position in this list.
    pub problems: Vec<Problem>,
    /// Rows read, not counting blank lines.
    pub rows: usize,
    /// Rows left out because an earlier row has the same prompt.
    pub duplicates: usize,
    /// Duplicates whose answer differs from the one that was kept.
    pub conflicting_duplicates: usize,
    /// Problems left out by [`Dataset::retain`].
    pub too_long: usize,
    /// The file's layout, according to its first row, e.g. ``Parquet, verl schema: `prompt` (messages), `reward_model.ground_truth` ``.
    pub layout: String,
}

impl Dataset {
    /// Reads a Parquet, Arrow (IPC, Feather), JSON, JSONL, CSV or TSV file, or a directory that `Dataset.save_to_disk` of the
    /// datasets library wrote; texts may be packed with gzip. The format is recognized by the first bytes and, for tables and
    /// for an object, the extension.
    ///
    /// Columns: see [`DataOptions`]. The problem is a text or a list of messages of which the last is the user's, possibly as a
    /// JSON text. If an answer (a text, number, boolean or list of one, or an object or list for an external verifier) contains `####`, the part after the last one counts (GSM8K; its thousands separators are dropped); in
    /// a `solution`, its last box. `data_source` is optional; by default it is the file's name without extension.
    /// Other columns go to [`Problem::extra`].
    ///
    /// # Errors
    /// An unreadable file, an invalid row or a row whose answer `reward` cannot use (with its number), or no problems.
    pub fn load(path: &Path, options: &DataOptions, reward: &Reward) -> Result<Dataset, Error> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let shared: Arc<Path> = Arc::from(path);
        let mut set = Dataset { name: path.display().to_string(), ..Dataset::default() };
        let mut kept = BTreeMap::new();
        let mut first: Option<Columns> = None;
        let format = read_rows(path, &mut |row, fields| {
            let wrong = |source| Error::Row { path: path.to_owned(), row, source };
            let (mut problem, columns) = columns::problem(fields, options, reward, &stem).map_err(wrong)?;
            problem.origin = Some(Origin { path: shared.clone(), row });
            first.get_or_insert(columns);
            set.rows += 1;
            set.add(problem, &mut kept);
            let full = options.limit.is_some_and(|limit| set.problems.len() >= limit);
            Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        match first {
            None => Err(Error::Empty { path: path.to_owned(), rows: set.rows }),
            Some(columns) => Ok(Dataset { layout: format!("{}, {columns}", format.name()), ..set }),
        }
    }

    /// Leaves out problems for which `too_long` returns true and counts them.
    ///
    /// # Errors
    /// The first error that `too_long` returns.
    pub fn retain<E>(&mut self, mut too_long: impl FnMut(&Problem) -> Result<bool, E>) -> Result<(), E> {
        let mut kept = Vec::with_capacity(self.problems.len());
        for mut problem in std::mem::take(&mut self.problems) {
            if too_long(&problem)? {
                self.too_long += 1;
            } else {
                problem.index = kept.len() as u64;
                kept.push(problem);
            }
        }
        self.problems = kept;
        Ok(())
    }

    /// Sentences that say what was left out and why.
    pub(crate) fn left_out(&self) -> Vec<String> {
        let Dataset { name, rows, duplicates, conflicting_duplicates: conflicting, too_long, .. } = self;
        let mut sentences = Vec::new();
        if *duplicates > 0 {
            let conflict = match conflicting {
                0 => String::new(),
                _ => format!(", {conflicting} of them with a different answer (the first one counts)"),
            };
            let repeat = "they repeat an earlier prompt";
            sentences.push(format!("{duplicates} of {rows} rows of {name} are left out: {repeat}{conflict}"));
        }
        if *too_long > 0 {
            let distinct = rows - duplicates;
            let longer = "their prompts are longer than data.max_prompt_tokens";
            sentences.push(format!("{too_long} of {distinct} problems of {name} are left out: {longer}"));
        }
        sentences
    }

    /// Appends a problem unless its prompt exists already.
    fn add(&mut self, mut problem: Problem, kept: &mut BTreeMap<Question, usize>) {
        if let Some(&first) = kept.get(&question(&problem)) {
            self.duplicates += 1;
            self.conflicting_duplicates += usize::from(self.problems[first].answer != problem.answer);
            return;
        }
        problem.index = self.problems.len() as u64;
        kept.insert(question(&problem), self.problems.len());
        self.problems.push(problem);
    }
}

/// The question to the model; problems with the same question are duplicates.
pub(crate) type Question = (String, Option<Vec<Message>>);

pub(crate) fn question(problem: &Problem) -> Question {
    (problem.prompt.clone(), problem.context.clone())
}

/// Reads Arrow files one after the other, as one.
fn read_parts(files: &[PathBuf], each: &mut Each<'_>) -> Result<(), Error> {
    let mut next = 1;
    for path in files {
        let refused = || Error::Content { path: path.clone(), problem: "expected an Arrow file".to_owned() };
        let Source::Arrow(file) = source::open(path)? else { return Err(refused()) };
        let Some(number) = arrow::read(path, file, next, each)? else { break };
        next = number;
    }
    Ok(())
}

fn read_rows(path: &Path, each: &mut Each<'_>) -> Result<Format, Error> {
    let (format, reader) = match source::open(path)? {
        Source::Parquet(file) => return parquet::read(path, file, each).map(|()| Format::Parquet),
        Source::Arrow(file) => return arrow::read(path, file, 1, each).map(|_| Format::Arrow),
        Source::Files(files) => return read_parts(&files, each).map(|()| Format::Arrow),
        Source::Text(format, reader) => (format, reader),
    };
    match format {
        Format::JsonLines => json::read_lines(path, reader, each)?,
        Format::Csv(delimiter) => table::read(path, delimiter, reader, each)?,
        _ => json::read_document(path, reader, each)?,
    }
    Ok(format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PromptTemplate, Verifier};

    fn load(bytes: &[u8], options: &DataOptions, verifier: &Verifier) -> Result<Dataset, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set.jsonl");
        std::fs::write(&path, bytes).unwrap();
        let directory = format!("{}/", dir.path().display());
        Dataset::load(&path, options, &Reward::try_from(verifier.clone()).unwrap())
            .map_err(|error| error.to_string().replace(&directory, ""))
    }

    const EXACT: Verifier = Verifier::Exact { marker: None };
    const NUMERIC: Verifier = Verifier::Numeric { marker: None, tolerance: 0.0 };

    #[test]
    fn reads_the_usual_fields() {
        let text = "\u{feff}{\"problem\": \"1+1\", \"answer\": \"2\", \"level\": 3}\r\n\n  \n\
            {\"question\": \"2+2\", \"answer\": \"so 2+2=4\\n#### 1,004 \", \"data_source\": \"openai/gsm8k\"}\n\
            {\"prompt\": \"p\", \"problem\": \"q\", \"answer\": 12345678901234567890123.50}";
        let options = DataOptions { template: PromptTemplate::new("Q: {problem}\nA:").unwrap(), ..Default::default() };
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
        let two = load(text.as_bytes(), &two, &EXACT).unwrap();
        assert_eq!(two.problems.iter().map(|p| p.prompt.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn errors_name_row_and_field() {
        let good = r#"{"prompt": "a", "answer": "1"}"#;
        for (line, expected) in [
            (
                &br#"{"text": "a", "answer": "1"}"#[..],
                "expected a field `prompt` or `problem` or `question` or `messages`, found `text`, `answer` \
                 (data.prompt_key names another)",
            ),
            (
                br#"{"prompt": "a", "gold": "1"}"#,
                "expected a field `reward_model.ground_truth` or `answer` or `ground_truth` or `final_answer` or `solution` or \
                 `label`, found `prompt`, `gold` (data.answer_key names another)",
            ),
            (
                b"{}",
                "expected a field `prompt` or `problem` or `question` or `messages`, found no fields \
                 (data.prompt_key names another)",
            ),
            (br#"{"prompt": 7, "answer": "1"}"#, "field `prompt` is a number, expected a string or a list of messages"),
            (
                br#"{"prompt": "a", "answer": ["1", "2"]}"#,
                "field `answer` is an array, expected a string, a number, a boolean or a list of one (or, for command, http and python verifiers, an object or a list)",
            ),
            (
                br#"{"prompt": "a", "answer": NaN}"#,
                "field `answer` is null, expected a string, a number, a boolean or a list of one (or, for command, http and python verifiers, an object or a list)",
            ),
            (
                br#"{"prompt": "a", "answer": {"target": 24}}"#,
                "field `answer` is an object, expected a string, a number, a boolean or a list of one (or, for command, http and python verifiers, an object or a list)",
            ),
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
        let missing =
            Dataset::load(Path::new("/no/such.jsonl"), &DataOptions::default(), &Reward::try_from(EXACT).unwrap());
        assert!(missing.unwrap_err().to_string().starts_with("cannot read /no/such.jsonl: "));
    }
}
