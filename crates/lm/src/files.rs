//! Reading files that nobody has checked.

use crate::Error;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

/// Opens a file, unless it is what a git repository holds in place of a large file until that is fetched.
pub(crate) fn open(path: &Path) -> Result<File, Error> {
    const POINTER: &[u8] = b"version https://git-lfs";
    let mut file = File::open(path).map_err(Error::io(path))?;
    let mut start = Vec::new();
    (&file).take(256).read_to_end(&mut start).and_then(|_| file.rewind()).map_err(Error::io(path))?;
    if start.starts_with(POINTER) {
        let text = String::from_utf8_lossy(&start);
        let size = text.lines().find_map(|line| line.strip_prefix("size ")?.parse::<u64>().ok());
        let size = size.map_or(String::new(), |size| format!(" of {size} bytes"));
        return Err(Error::content(path, format!("a git-lfs pointer to a file{size}: fetch it with `git lfs pull`")));
    }
    Ok(file)
}

/// The content of a file of at most `limit` bytes.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
    if bytes.len() as u64 > limit {
        return Err(Error::content(path, format!("more than {limit} bytes, which is more than any file of its kind")));
    }
    Ok(bytes)
}

/// What is wrong with JSON, without the names of Rust's types.
pub(crate) fn json_problem(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.starts_with("invalid type") || message.starts_with("invalid value") {
        true => format!("a value of the wrong kind at line {} column {}", error.line(), error.column()),
        false => message.replacen("unknown variant", "unknown", 1),
    }
}

/// The path of a file in a model directory, where there may be none.
///
/// A directory from elsewhere must not make the program read, and copy into its checkpoints, what lies outside of it. Links
/// may only lead to files inside of it or, from a snapshot in a Hugging Face cache, to the blobs of the same model.
pub(crate) fn path_in(dir: &Path, name: &str) -> Result<PathBuf, Error> {
    let path = dir.join(name);
    let Ok(target) = path.canonicalize() else {
        return match path.read_link() {
            Ok(_) => Err(Error::content(path, "a link to a file that does not exist: is the download complete?")),
            Err(_) => Ok(path),
        };
    };
    let home = dir.canonicalize().map_err(Error::io(dir))?;
    let snapshots = home.parent().filter(|parent| parent.file_name() == Some(OsStr::new("snapshots")));
    let blobs = snapshots.and_then(Path::parent).map(|model| model.join("blobs"));
    if !target.starts_with(&home) && !blobs.is_some_and(|blobs| target.starts_with(blobs)) {
        let problem =
            format!("a link to {}, which is outside of the directory: copy the file into it", target.display());
        return Err(Error::content(path, problem));
    }
    // To open a pipe would wait for its other end.
    if !target.is_file() {
        return Err(Error::content(path, "not a file"));
    }
    Ok(path)
}

/// The content of a file of at most `limit` bytes in a model directory; `None` if there is none.
///
/// # Errors
/// It cannot be read, is longer, or is a link that leads out of the directory.
pub fn read_model_file(dir: &Path, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let path = path_in(dir, name)?;
    path.exists().then(|| read_bounded(&path, limit)).transpose()
}
