//! A GGUF file.

use vapo_lm::{ChatTemplate, Device, Head, Model, Tokenizer, WeightDtype, import_gguf};

use super::Directory;

pub(crate) fn gguf(data: &[u8]) {
    let (source, imported) = (Directory::new(), Directory::new());
    let path = source.write("model.gguf", data);
    let Ok(found) = import_gguf(&path, &imported.path(), WeightDtype::Float32) else { return };
    let model = Model::load(&Device::cpu(1), &imported.path(), Head::Language)
        .unwrap_or_else(|error| panic!("an imported model can be read: {error}"));
    assert_eq!(model.num_params(), found.num_params);
    let tokenizer =
        Tokenizer::load(&imported.path()).unwrap_or_else(|error| panic!("an imported tokenizer can be read: {error}"));
    tokenizer.check_fits(model.config()).unwrap_or_else(|error| panic!("its tokens have embeddings: {error}"));
    // A template that is not valid is found where it is used.
    let _ = ChatTemplate::load(&imported.path());
}
