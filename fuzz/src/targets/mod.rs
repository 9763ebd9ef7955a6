//! What each target does with its input.
//!
//! An input with several parts has the byte 0xFF between them, which no text contains.

mod chat_template;
mod checkpoint;
mod config;
mod event_files;
mod gguf;
mod jsonl;
mod math;
mod metrics;
mod model_directory;
mod parquet;
mod run_directory;
mod score_rows;
mod study;
mod tokenizer;
mod verifier_protocol;
mod verifier_texts;

pub(crate) use chat_template::chat_template;
pub(crate) use checkpoint::checkpoint;
pub(crate) use config::config;
pub(crate) use event_files::event_files;
pub(crate) use gguf::gguf;
pub(crate) use jsonl::jsonl;
pub(crate) use math::math;
pub(crate) use metrics::metrics;
pub(crate) use model_directory::model_directory;
pub(crate) use parquet::parquet;
pub(crate) use run_directory::run_directory;
pub(crate) use score_rows::score_rows;
pub(crate) use study::study;
pub(crate) use tokenizer::tokenizer;
pub(crate) use verifier_protocol::verifier_protocol;
pub(crate) use verifier_texts::verifier_texts;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The first `N` parts of an input, missing ones empty; the last part is all that is left.
fn parts<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut parts = data.splitn(N, |byte| *byte == 0xFF);
    [(); N].map(|()| parts.next().unwrap_or_default())
}

/// All parts of an input as texts; `None` if one is not UTF-8.
fn texts(data: &[u8]) -> Option<Vec<&str>> {
    data.split(|byte| *byte == 0xFF).map(|part| std::str::from_utf8(part).ok()).collect()
}

/// A part as a text; what is not UTF-8 is replaced.
fn text(part: &[u8]) -> String {
    String::from_utf8_lossy(part).into_owned()
}

/// A directory with files, removed when it is dropped.
struct Directory(TempDir);

impl Directory {
    fn new() -> Directory {
        let (memory, other) = (Path::new("/dev/shm"), std::env::temp_dir());
        let place = if memory.is_dir() { memory } else { &other };
        Directory(tempfile::tempdir_in(place).expect("a directory for temporary files"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_path_buf()
    }

    /// Writes a file and returns its path.
    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).expect("a file can be written");
        path
    }

    /// The same, unless it would be empty.
    fn write_any(&self, name: &str, content: &[u8]) {
        if !content.is_empty() {
            self.write(name, content);
        }
    }
}
