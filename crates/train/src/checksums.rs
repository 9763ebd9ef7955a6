//! Checksums of the files below a directory, in the format of `sha256sum`: `sha256sum --check SHA256SUMS` verifies them too.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path},
};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// The list, at the top of the directory.
pub(crate) const CHECKSUMS: &str = "SHA256SUMS";

/// Bytes read at once.
const BLOCK: usize = 1 << 20;
const HEX_DIGITS: usize = 64;

/// The list of all files below a directory, sorted by name.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn checksums(directory: &Path) -> Result<String> {
    let mut list = String::new();
    for name in names_below(directory, "")? {
        let path = directory.join(&name);
        let sum = sum_of(&path).map_err(Error::io("read", &path))?;
        writeln!(list, "{sum}  {name}").expect("a string takes everything");
    }
    Ok(list)
}

/// Compares every file with the directory's list; in subdirectories, every file must be in it.
///
/// # Errors
/// The first file that differs, is missing or cannot be read, or a list that is not one.
pub(crate) fn verify(directory: &Path) -> Result<()> {
    let listed = listed(directory)?;
    for name in names_below(directory, "")?.iter().filter(|name| name.contains('/')) {
        if !listed.contains_key(name) {
            return Err(Error::file(&directory.join(name), format!("is not in {CHECKSUMS}")));
        }
    }
    listed.iter().try_for_each(|(name, sum)| verify_file(&directory.join(name), sum))
}

/// Compares the files of a subdirectory with the list of the directory above it.
///
/// # Errors
/// As for [`verify`].
pub(crate) fn verify_part(directory: &Path, part: &str) -> Result<()> {
    let listed = listed(directory)?;
    for name in names_below(&directory.join(part), &format!("{part}/"))? {
        let path = directory.join(&name);
        let sum = listed.get(&name).ok_or_else(|| Error::file(&path, format!("is not in {CHECKSUMS}")))?;
        verify_file(&path, sum)?;
    }
    Ok(())
}

fn verify_file(path: &Path, sum: &str) -> Result<()> {
    match sum_of(path) {
        Ok(found) if found == *sum => Ok(()),
        Ok(found) => {
            Err(Error::file(path, format!("its SHA-256 is {found:.8}.., expected {sum:.8}.. as in {CHECKSUMS}")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::file(path, format!("is missing, expected it as in {CHECKSUMS}")))
        }
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Names and sums of a directory's list.
///
/// # Errors
/// It cannot be read, or a line is none of a list.
pub(crate) fn listed(directory: &Path) -> Result<BTreeMap<String, String>> {
    let path = directory.join(CHECKSUMS);
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().enumerate().map(|(index, line)| {
        let entry = line.split_once("  ").filter(|(sum, name)| {
            sum.len() == HEX_DIGITS && sum.bytes().all(|digit| digit.is_ascii_hexdigit()) && is_below(name)
        });
        let (sum, name) = entry.ok_or_else(|| {
            let problem = format!("line {} is {line:?}, expected a SHA-256, two spaces and a name", index + 1);
            Error::file(&path, problem)
        })?;
        Ok((name.to_owned(), sum.to_owned()))
    });
    lines.collect()
}

/// Whether a name cannot lead out of the directory.
fn is_below(name: &str) -> bool {
    !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

/// The files below `directory`, except its own list, with `/` between the parts of a name.
fn names_below(directory: &Path, prefix: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(Error::io("read", directory))? {
        let path = entry.map_err(Error::io("read", directory))?.path();
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            names.extend(names_below(&path, &format!("{name}/"))?);
        } else if name != CHECKSUMS {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn sum_of(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut block) = (File::open(path)?, Sha256::new(), vec![0; BLOCK]);
    loop {
        match file.read(&mut block)? {
            0 => break,
            bytes => hash.update(&block[..bytes]),
        }
    }
    Ok(hex(hash))
}

/// A digest as text.
pub(crate) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::with_capacity(HEX_DIGITS), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digests are NIST's for "abc" and for the empty message (FIPS 180-2, B.1).
    const LIST: &str = "\
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  config.toml
ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  state/policy
";

    fn directory() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("state")).unwrap();
        for (name, text) in [("config.toml", ""), ("state/policy", "abc"), (CHECKSUMS, LIST)] {
            fs::write(root.path().join(name), text).unwrap();
        }
        root
    }

    #[test]
    fn the_list_is_that_of_sha256sum() {
        let root = directory();
        assert_eq!(checksums(root.path()).unwrap(), LIST);
        verify(root.path()).unwrap();
        verify_part(root.path(), "state").unwrap();
    }

    #[test]
    fn every_kind_of_damage_is_named() {
        let damage = |change: &dyn Fn(&Path)| {
            let root = directory();
            change(root.path());
            let error = verify(root.path()).unwrap_err().to_string();
            error.replace(&format!("{}/", root.path().display()), "")
        };
        let write =
            |name: &'static str, text: &'static str| move |root: &Path| fs::write(root.join(name), text).unwrap();
        assert_eq!(
            damage(&write("state/policy", "abd")),
            "state/policy: its SHA-256 is a52d159f.., expected ba7816bf.. as in SHA256SUMS"
        );
        assert_eq!(
            damage(&|root| fs::remove_file(root.join("state/policy")).unwrap()),
            "state/policy: is missing, expected it as in SHA256SUMS"
        );
        assert_eq!(damage(&write("state/more", "")), "state/more: is not in SHA256SUMS");
        let first_line = LIST.split_inclusive('\n').next().unwrap();
        assert_eq!(damage(&write(CHECKSUMS, first_line)), "state/policy: is not in SHA256SUMS", "a truncated list");
        let outside = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  ../policy";
        assert_eq!(
            damage(&write(CHECKSUMS, outside)),
            format!("SHA256SUMS: line 1 is {outside:?}, expected a SHA-256, two spaces and a name")
        );
        assert!(damage(&|root| fs::remove_file(root.join(CHECKSUMS)).unwrap()).starts_with("cannot read SHA256SUMS: "));
        let replaced = damage(&|root| {
            fs::remove_file(root.join("config.toml")).unwrap();
            fs::create_dir(root.join("config.toml")).unwrap();
        });
        assert!(replaced.starts_with("cannot read config.toml: "), "{replaced}");
    }

    #[test]
    fn a_part_is_verified_alone() {
        let root = directory();
        fs::write(root.path().join("config.toml"), "changed").unwrap();
        verify_part(root.path(), "state").unwrap();
        fs::write(root.path().join("state/policy"), "").unwrap();
        assert!(verify_part(root.path(), "state").is_err());
    }
}
