//! Converts models of other formats to Hugging Face directories.

use std::path::Path;

use vapo_lm::{ImportedGguf, WeightDtype, import_gguf};

use crate::{
    error::{Error, Result},
    files::create_directory_atomically,
};

/// Writes the model in a GGUF file as a Hugging Face directory, completely or not at all.
///
/// # Errors
/// The directory exists, or the file is damaged or has unsupported content.
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
