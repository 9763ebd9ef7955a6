//! Reading files whose size nobody has checked.

use crate::Error;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The content of a file of at most `limit` bytes.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(Error::io(path))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
    if bytes.len() as u64 > limit {
        return Err(Error::content(path, format!("more than {limit} bytes, which is more than any file of its kind")));
    }
    Ok(bytes)
}
