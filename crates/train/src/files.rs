//! Files that are complete or absent, even if the process is killed.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

use safetensors::{View, serialize_to_file};

use crate::error::{Error, Result};

/// Extension of a file or directory that is being written.
pub(crate) const PARTIAL: &str = "partial";

/// Extension of a directory while another one takes its name.
pub(crate) const REPLACED: &str = "replaced";

/// Writes a file under a temporary name, syncs it and renames it.
///
/// # Errors
/// It cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    fill_atomically(path, |file| file.write_all(bytes).map_err(Error::io("write", path)))
}

/// The same for what `fill` writes.
pub(crate) fn fill_atomically(path: &Path, fill: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>) -> Result<()> {
    let temporary = path.with_extension(PARTIAL);
    let mut file = BufWriter::new(File::create(&temporary).map_err(Error::io("write", path))?);
    fill(&mut file)?;
    let complete = || {
        file.into_inner()?.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_parent(path)
    };
    complete().map_err(Error::io("write", path))
}

/// Writes a file of tensors that is as readable as all other files: the library's would be for their owner alone.
pub(crate) fn write_tensors(tensors: impl IntoIterator<Item = (String, impl View)>, path: &Path) -> Result<()> {
    let usual = File::create(path).and_then(|file| file.metadata()).map_err(Error::io("create", path))?.permissions();
    serialize_to_file(tensors, None, path).map_err(|error| Error::file(path, error.to_string()))?;
    fs::set_permissions(path, usual).map_err(Error::io("write", path))
}

/// Makes a directory under a temporary name (and those above it under their own), lets `fill` write into it, syncs its
/// files and renames it. Leftovers of an interrupted attempt are removed first.
pub(crate) fn create_directory_atomically(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    }
    create_subdirectory_atomically(path, fill)
}

/// The same in a directory that exists: if a user has moved it away, nothing is made in its place.
pub(crate) fn create_subdirectory_atomically(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let temporary = path.with_extension(PARTIAL);
    if temporary.exists() {
        fs::remove_dir_all(&temporary).map_err(Error::io("remove", &temporary))?;
    }
    fs::create_dir(&temporary).map_err(Error::io("create", &temporary))?;
    fill(&temporary)?;
    sync_tree(&temporary).map_err(Error::io("write", &temporary))?;
    let rename = || {
        let replaces = path.exists();
        if replaces {
            fs::rename(path, path.with_extension(REPLACED))?;
        }
        fs::rename(&temporary, path)?;
        sync_parent(path)?;
        if replaces { fs::remove_dir_all(path.with_extension(REPLACED)) } else { Ok(()) }
    };
    rename().map_err(Error::io("create", path))
}

/// Removes a directory so that it is complete or absent under its name, even if the process is killed.
pub(crate) fn remove_directory_atomically(path: &Path) -> Result<()> {
    let temporary = path.with_extension(PARTIAL);
    let remove = || {
        fs::rename(path, &temporary)?;
        fs::remove_dir_all(&temporary)
    };
    remove().map_err(Error::io("remove", path))
}

fn sync_tree(directory: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::open(&path)?.sync_all()?;
        }
    }
    sync_directory(directory)
}

/// Makes the entry of a new file or directory durable.
pub(crate) fn sync_parent(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        _ => Ok(()),
    }
}

/// Makes a rename durable. Only Unix can open a directory for this.
fn sync_directory(directory: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_synced_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let missing = root.path().join("missing");
        for result in [sync_tree(&missing), sync_directory(&missing), sync_parent(&missing.join("file"))] {
            assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::NotFound);
        }
        sync_parent(Path::new("a name without a directory")).unwrap();
    }

    #[test]
    fn a_failed_directory_leaves_nothing_under_its_name() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("step-000001");
        let result = create_directory_atomically(&path, |directory| {
            fs::write(directory.join("half"), "x").unwrap();
            Err(Error::Run("killed".into()))
        });
        assert!(result.is_err() && !path.exists());
        create_directory_atomically(&path, |directory| write_atomically(&directory.join("whole"), b"y")).unwrap();
        let names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["whole"]);
        assert!(!path.with_extension("partial").exists());
    }
}
