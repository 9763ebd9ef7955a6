//! The files of a data set: `"a.jsonl"`, `["a.parquet", "b.jsonl"]`, or tables, each with its own weight and limit.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use toml::Value;

use super::schema::from_table;

/// One or more data files.
#[derive(Clone, Debug, PartialEq)]
pub struct DataFiles(pub Vec<DataFile>);

/// A data file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// Its path.
    pub path: PathBuf,
    /// Its share of the prompts, relative to the weights of the other files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Maximum number of problems read from it, in place of `data.limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl fmt::Display for DataFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<String> = self.0.iter().map(|file| file.path.display().to_string()).collect();
        f.write_str(&paths.join(", "))
    }
}

impl Serialize for DataFiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// The shortest form.
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Entry<'a> {
            Path(&'a PathBuf),
            File(&'a DataFile),
        }
        fn entry(file: &DataFile) -> Entry<'_> {
            match file {
                DataFile { path, weight: None, limit: None } => Entry::Path(path),
                file => Entry::File(file),
            }
        }
        match &self.0[..] {
            [file] => entry(file).serialize(serializer),
            files => serializer.collect_seq(files.iter().map(entry)),
        }
    }
}

impl<'de> Deserialize<'de> for DataFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entry = |value: Value| match value {
            Value::String(path) => Ok(DataFile { path: path.into(), weight: None, limit: None }),
            Value::Table(table) => from_table(table).map_err(D::Error::custom),
            other => Err(D::Error::custom(format!("invalid value: {other}, expected a path or a table with `path`"))),
        };
        match Value::deserialize(deserializer)? {
            Value::Array(entries) => Ok(Self(entries.into_iter().map(entry).collect::<Result<_, _>>()?)),
            one => Ok(Self(vec![entry(one)?])),
        }
    }
}
