//! Models of other formats as Hugging Face directories.

use std::path::Path;

use vapo_lm::{ImportedGguf, WeightDtype, import_gguf};

use crate::{
    error::{Error, Result},
    files::create_directory_atomically,
};

/// Writes the model of a GGUF file as a Hugging Face directory, which is complete or absent.
///
/// # Errors
/// The directory exists; the file is damaged or holds something that is not supported.
pub fn import(file: &Path, directory: &Path, dtype: WeightDtype) -> Result<ImportedGguf> {
    if directory.exists() {
        return Err(Error::Run(format!("{} exists, expected a new directory for the model", directory.display())));
    }
    let mut imported = None;
    create_directory_atomically(directory, |directory| {
        imported = Some(import_gguf(file, directory, dtype)?);
        Ok(())
    })?;
    Ok(imported.expect("the closure has run"))
}
