//! Rows of CSV and TSV files. The first line names the columns.

use std::{io::BufRead, path::Path};

use serde_json::{Map, Value};

use super::row::{Each, Row};
use crate::{Error, RowError};

pub(super) fn read(path: &Path, delimiter: u8, reader: impl BufRead, each: &mut Each<'_>) -> Result<(), Error> {
    let content = |problem: String| Error::Content { path: path.to_owned(), problem };
    let mut table = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(reader);
    let names = table.headers().map_err(|error| content(format!("the line of column names: {error}")))?.clone();
    if let Some(twice) = (0..names.len()).find(|at| names.iter().take(*at).any(|earlier| earlier == &names[*at])) {
        return Err(content(format!("two columns are named {:?}", &names[twice])));
    }
    for record in table.records() {
        // The number of the line on which the row begins.
        let line = |position: Option<&csv::Position>| position.map_or(0, |position| position.line() as usize);
        let record = record.map_err(|error| {
            let row = line(error.position());
            let source = RowError::NotATable { message: described(&error) };
            Error::Row { path: path.to_owned(), row, source }
        })?;
        let fields: Map<String, Value> =
            names.iter().zip(&record).map(|(name, field)| (name.to_owned(), field.into())).collect();
        if each(line(record.position()), Row { fields, text: None })?.is_break() {
            break;
        }
    }
    Ok(())
}

fn described(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!(
                "{len} fields, expected {expected_len} as in the first line (quote fields that contain the delimiter)"
            )
        }
        csv::ErrorKind::Utf8 { .. } => "not UTF-8".to_owned(),
        _ => error.to_string(),
    }
}
