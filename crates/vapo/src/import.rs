//! `vapo import`: converts a GGUF file to a Hugging Face directory.

use anyhow::Result;
use vapo_train::import;

use crate::{args::ImportArgs, screen::Screen};

/// Writes the directory and prints what it contains.
pub(crate) fn run(args: &ImportArgs) -> Result<()> {
    let (dtype, name) = (args.dtype.weights(), args.dtype.weights().name());
    let imported = import(&args.file, &args.directory, dtype)?;
    let (screen, config, directory) = (Screen::for_words(), &imported.config, args.directory.display());
    let types: Vec<String> = imported.types.iter().map(|(name, count)| format!("{count} {name}")).collect();
    screen.line(&format!("wrote {directory}"));
    screen.line(&format!(
        "  network    {:?}: {} layers, width {}, vocabulary {}, {:.1} M parameters as {name} (from {} tensors)",
        config.family,
        config.num_layers,
        config.hidden_size,
        config.vocab_size,
        imported.num_params as f64 / 1e6,
        types.join(", ")
    ));
    let template = if imported.has_chat_template { "with a chat template" } else { "without a chat template" };
    screen.line(&format!("  tokenizer  {}, {template}", imported.tokenizer));
    screen.line(&format!("next: vapo generate --model {directory}"));
    Ok(())
}
