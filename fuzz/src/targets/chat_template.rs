//! A chat template, or a `tokenizer_config.json` with one, and the roles and contents of messages.

use serde_json::{Map, Value, json};
use vapo_lm::{ChatTemplate, Message};

use super::{Directory, texts};

/// Longer prompts would mean that the limit on a rendering's work does not limit its memory.
const LONGEST: usize = 64 << 20;

pub(crate) fn chat_template(data: &[u8]) {
    let Some(texts) = texts(data) else { return };
    let Some(template) = read(texts[0]) else { return };
    let messages: Vec<Message> =
        texts[1..].chunks(2).map(|pair| Message::new(pair[0], pair.get(1).copied().unwrap_or_default())).collect();
    let variables = Map::from_iter([("enable_thinking".to_owned(), Value::Bool(false))]);
    for prompt in [false, true] {
        let rendered = template.render(&messages, prompt, &variables).map_err(|error| error.to_string());
        let again = template.render(&messages, prompt, &variables).map_err(|error| error.to_string());
        assert_eq!(rendered, again, "the same messages give the same prompt");
        let length = rendered.map_or(0, |text| text.len());
        assert!(length <= LONGEST, "a prompt of {length} bytes");
    }
    template.after_answer(&variables);
}

fn read(text: &str) -> Option<ChatTemplate> {
    let token = |text: &str| Value::from(text);
    if serde_json::from_str::<Map<String, Value>>(text).is_ok() {
        let directory = Directory::new();
        directory.write("tokenizer_config.json", text.as_bytes());
        directory.write("special_tokens_map.json", json!({"eos_token": {"content": "</s>"}}).to_string().as_bytes());
        return ChatTemplate::load(&directory.path()).ok()?;
    }
    let tokens = [("bos_token", "<s>"), ("eos_token", "</s>")].map(|(name, text)| (name.to_owned(), token(text)));
    ChatTemplate::new(text, Map::from_iter(tokens)).ok()
}
