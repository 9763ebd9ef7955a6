//! Errors in a user's data or settings.

use std::path::PathBuf;

/// Why a task could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The data file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A row of the data file is wrong.
    #[error("{}, row {row}: {source}", path.display())]
    Row {
        /// The data file.
        path: PathBuf,
        /// The line's number, from 1.
        row: usize,
        /// What is wrong with it.
        source: RowError,
    },
    /// The data file cannot be parsed in the format that it seems to have.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The data file.
        path: PathBuf,
        /// What was expected and found.
        problem: String,
    },
    /// The data file holds no problems.
    #[error("{} holds no problems (rows read: {rows})", path.display())]
    Empty {
        /// The data file.
        path: PathBuf,
        /// Rows that are not blank.
        rows: usize,
    },
    /// The prompt template has no placeholder for the problem.
    #[error("the prompt template {template:?} has no `{{problem}}`, the placeholder for the problem's text")]
    Template {
        /// The template as given.
        template: String,
    },
    /// A setting of a task or verifier is out of range.
    #[error("{setting} is {found}, expected {expected}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// The value that is allowed.
        expected: String,
        /// The value given.
        found: String,
    },
    /// A term of the reward is wrong.
    #[error("verifier `{term}`: {message}")]
    Term {
        /// Its name.
        term: String,
        /// What is wrong with it.
        message: String,
    },
    /// No built-in task has this name.
    #[error("there is no built-in task `{name}`, expected one of: {known}")]
    UnknownTask {
        /// The name given.
        name: String,
        /// The existing names.
        known: String,
    },
}

/// What is wrong with one row of a data file.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// The bytes are not text.
    #[error("not UTF-8, first bad byte at column {column}")]
    NotUtf8 {
        /// The byte's position in the line, from 1.
        column: usize,
    },
    /// The line is not JSON.
    #[error("not valid JSON at column {column}: {message}")]
    NotJson {
        /// Where reading stopped, from 1.
        column: usize,
        /// What the parser expected there.
        message: String,
    },
    /// The line is JSON, but not an object.
    #[error("expected a JSON object, found {found}")]
    NotAnObject {
        /// The kind of value found.
        found: &'static str,
    },
    /// The row is longer than any plausible row of text.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The longest row accepted.
        limit: u64,
    },
    /// A conversation cannot be answered.
    #[error("field `{field}`: {problem}")]
    Messages {
        /// The field's name.
        field: String,
        /// What was expected and found.
        problem: String,
    },
    /// None of the accepted fields exists.
    #[error("expected a field {expected}, found {found}")]
    MissingField {
        /// The accepted names.
        expected: String,
        /// The names found in the row.
        found: String,
    },
    /// None of the accepted columns exists.
    #[error("expected a field {expected}, found {found} ({setting} names another)")]
    MissingColumn {
        /// The accepted names.
        expected: String,
        /// The names found in the row.
        found: String,
        /// The setting that names the column.
        setting: &'static str,
    },
    /// A line of a table cannot be read.
    #[error("{message}")]
    NotATable {
        /// What was expected and found.
        message: String,
    },
    /// A field holds the wrong kind of value.
    #[error("field `{field}` is {found}, expected {expected}")]
    WrongType {
        /// The field's name.
        field: String,
        /// The accepted kinds of value.
        expected: &'static str,
        /// The kind of value found.
        found: &'static str,
    },
    /// A field's text is blank.
    #[error("field `{field}` is empty")]
    EmptyField {
        /// The field's name.
        field: String,
    },
    /// The verifier could never mark a response as right.
    #[error("field `{field}` is {answer:?}, {reason}")]
    UnusableAnswer {
        /// The field's name.
        field: String,
        /// The answer found.
        answer: String,
        /// What the verifier needs.
        reason: String,
    },
}
