//! Directories in the place of a file: those of the datasets library are read, others are refused.

use std::{
    fs::File,
    io::Read,
    path::{Component, Path, PathBuf},
};

use serde_json::Value;

/// Longest description of a directory, in bytes.
const LONGEST: u64 = 1 << 24;

/// The Arrow files of a directory that `Dataset.save_to_disk` wrote, in order.
///
/// # Errors
/// What another directory is, and what to name instead.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if let Some(dictionary) = description(path, "dataset_dict.json")? {
        let splits = dictionary["splits"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let names: Vec<String> = splits.map(|split| format!("{:?}", path.join(split))).collect();
        return Err(format!("is a directory of several splits, expected one of them: {}", names.join(", ")));
    }
    let Some(state) = description(path, "state.json")? else { return Err(other(path)) };
    let names = state["_data_files"].as_array().into_iter().flatten().map(|file| &file["filename"]);
    let names =
        names.map(|name| name.as_str().ok_or("its state.json lists no files")).collect::<Result<Vec<_>, _>>()?;
    // A list from a stranger must not lead elsewhere.
    let inside = |name: &str| matches!(Path::new(name).components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
    match names.iter().find(|name| !inside(name)) {
        Some(name) => Err(format!("its state.json names {name:?}, expected files of the directory itself")),
        None => Ok(names.iter().map(|name| path.join(name)).collect()),
    }
}

/// A JSON file of a directory, if it exists.
fn description(path: &Path, name: &str) -> Result<Option<Value>, String> {
    let Ok(file) = File::open(path.join(name)) else { return Ok(None) };
    let value = serde_json::from_reader(file.take(LONGEST));
    value.map(Some).map_err(|error| format!("its {name} is not readable: {error}"))
}

/// What any other directory is.
fn other(path: &Path) -> String {
    const ENDS: [&str; 8] = [".parquet", ".arrow", ".feather", ".jsonl", ".json", ".csv", ".tsv", ".gz"];
    let entries = path.read_dir().into_iter().flatten().flatten();
    let mut files: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| ENDS.iter().any(|end| name.ends_with(end)))
        .collect();
    files.sort();
    files.truncate(3);
    match files.is_empty() {
        true => "is a directory without data files, expected a file".into(),
        false => format!("is a directory, expected a file, for example {}", files.join(", ")),
    }
}
