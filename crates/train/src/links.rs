//! Links in a run directory, which would make the program write somewhere else.

use std::{fs, path::Path};

use crate::error::{Error, Result};

/// Refuses a run directory in which a link leads out of it. A resumed run writes, renames and removes files under fixed
/// names; in a directory from elsewhere, such a name might stand for any file of the user.
///
/// # Errors
/// There is such a link in the directory or in one of `subdirectories`, or it cannot be read.
pub(crate) fn refuse_links_out(run: &Path, subdirectories: &[&str]) -> Result<()> {
    let home = run.canonicalize().map_err(Error::io("resolve", run))?;
    let subdirectories = subdirectories.iter().map(|name| run.join(name)).filter(|path| path.is_dir());
    // The subdirectories themselves are entries of the first.
    for directory in std::iter::once(run.to_path_buf()).chain(subdirectories) {
        for entry in fs::read_dir(&directory).map_err(Error::io("read", &directory))? {
            let path = entry.map_err(Error::io("read", &directory))?.path();
            if path.is_symlink() && !path.canonicalize().is_ok_and(|target| target.starts_with(&home)) {
                let problem = "a link that leads out of the run directory, expected files of its own (the directory as a whole may be moved or linked)";
                return Err(Error::file(&path, problem));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_may_stay_inside_only() {
        let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let run = root.path().join("run");
        fs::create_dir_all(run.join("eval")).unwrap();
        fs::create_dir_all(run.join("checkpoints/step-000001")).unwrap();
        fs::write(elsewhere.path().join("file"), "mine").unwrap();
        let check = |path: &Path| refuse_links_out(path, &["checkpoints", "eval"]).map_err(|error| error.to_string());
        symlink("step-000001", run.join("checkpoints/newest")).unwrap();
        check(&run).unwrap();
        symlink(&run, root.path().join("link")).unwrap();
        check(&root.path().join("link")).unwrap();
        for (name, target) in [
            ("run.lock", elsewhere.path().join("file")),
            ("metrics.jsonl", elsewhere.path().join("file")),
            ("metrics.partial", elsewhere.path().join("not there yet")),
            ("eval/step-000001.jsonl", "../../other".into()),
            ("checkpoints/step-000002", elsewhere.path().into()),
        ] {
            let path = run.join(name);
            symlink(target, &path).unwrap();
            let expected = format!("{}: a link that leads out of the run directory", path.display());
            let error = check(&run).unwrap_err();
            assert!(error.starts_with(&expected), "{error}");
            fs::remove_file(&path).unwrap();
        }
        fs::remove_dir(run.join("eval")).unwrap();
        symlink(elsewhere.path(), run.join("eval")).unwrap();
        assert!(check(&run).unwrap_err().contains("run/eval: a link"));
    }
}
