//! A conversation as the tokens that the model has read and written: text is never tokenized a second time.

use anyhow::{Result, bail};
use serde_json::{Map, Value};
use vapo_lm::{ChatTemplate, Message, Tokenizer};

/// Placeholder for the last answer, to find the text that the template adds after it.
const ANSWER: &str = "\u{1}answer\u{1}";

/// Messages and their tokens.
pub(crate) struct Conversation {
    template: ChatTemplate,
    variables: Map<String, Value>,
    tokenizer: Tokenizer,
    system: Option<String>,
    /// As texts, for the template.
    messages: Vec<Message>,
    /// What the model has read and written: prompts as tokenized, answers as sampled.
    tokens: Vec<u32>,
}

impl Conversation {
    /// An empty conversation, with the template's variables and an optional system message.
    pub(crate) fn new(
        template: ChatTemplate,
        variables: Map<String, Value>,
        tokenizer: Tokenizer,
        system: Option<String>,
    ) -> Self {
        Self { template, variables, tokenizer, system, messages: Vec::new(), tokens: Vec::new() }
    }

    /// Forgets everything but the system message.
    pub(crate) fn reset(&mut self) {
        self.messages.clear();
        self.tokens.clear();
    }

    /// Starts a new conversation with this system message.
    pub(crate) fn set_system(&mut self, text: &str) {
        self.reset();
        self.system = Some(text.to_owned()).filter(|text| !text.is_empty());
    }

    /// The tokens of the conversation with this next user message, up to the start of the answer. Does not change the conversation.
    ///
    /// # Errors
    /// The template refuses the conversation.
    pub(crate) fn with_user(&self, text: &str) -> Result<Vec<u32>> {
        let mut messages: Vec<Message> = Vec::new();
        messages.extend(self.system.as_ref().map(|system| Message::new("system", system)));
        messages.extend(self.messages.iter().cloned());
        let has_answer = messages.last().is_some_and(|message| message.role == "assistant");
        if let (true, Some(answer)) = (has_answer, messages.last_mut()) {
            answer.content = ANSWER.into();
        }
        messages.push(Message::new("user", text));
        let rendered = self.template.render(&messages, true, &self.variables)?;
        if !has_answer {
            return Ok(self.tokenizer.encode(&rendered)?);
        }
        let Some((_, behind)) = rendered.rsplit_once(ANSWER) else {
            bail!(
                "the model's chat template leaves out earlier answers, so only single questions are possible: use /reset before each"
            );
        };
        let mut added = self.tokenizer.encode(behind)?;
        if added.first().is_some_and(|first| self.tokens.last() == Some(first)) {
            // The end token that the model itself wrote.
            added.remove(0);
        }
        Ok([&self.tokens[..], &added].concat())
    }

    /// Adds a message and the answer sampled after the tokens of [`Conversation::with_user`].
    pub(crate) fn answered(&mut self, user: &str, prompt: &[u32], answer: &[u32]) -> Result<()> {
        self.messages.push(Message::new("user", user));
        self.messages.push(Message::new("assistant", self.tokenizer.decode(answer)?));
        self.tokens = [prompt, answer].concat();
        Ok(())
    }

    /// Adds tokens sampled as a continuation of the last answer.
    pub(crate) fn went_on(&mut self, more: &[u32]) -> Result<()> {
        if let Some(last) = self.messages.last_mut() {
            last.content += &self.tokenizer.decode(more)?;
        }
        self.tokens.extend(more);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words are tokens; `<e>` ends a message.
    fn tokenizer() -> Tokenizer {
        let words = ["<unk>", "<e>", "<u>", "<a>", "<s>", "hi", "you", "so", "be", "kind"];
        let vocab: Map<String, Value> =
            words.iter().enumerate().map(|(id, word)| (word.to_string(), id.into())).collect();
        let json = serde_json::json!({
            "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"},
            "pre_tokenizer": {"type": "Whitespace"},
            "added_tokens": (0..5).map(|id| serde_json::json!({"id": id, "content": words[id], "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false})).collect::<Vec<_>>(),
        });
        Tokenizer::from_json(json.to_string().as_bytes()).unwrap()
    }

    fn conversation(template: &str) -> Conversation {
        Conversation::new(ChatTemplate::new(template, Map::new()).unwrap(), Map::new(), tokenizer(), None)
    }

    const TEMPLATE: &str = "{% for m in messages %}<{{ m.role[0] }}> {{ m.content }} <e> {% endfor %}{% if add_generation_prompt %}<a>{% endif %}";
    const E: u32 = 1;
    const U: u32 = 2;
    const A: u32 = 3;
    const S: u32 = 4;

    #[test]
    fn sampled_tokens_are_kept_and_the_end_token_occurs_once() {
        let mut talk = conversation(TEMPLATE);
        let first = talk.with_user("hi").unwrap();
        assert_eq!(first, [U, 5, E, A]);
        assert!(talk.tokens.is_empty());
        // An answer that the tokenizer would not produce from its text: the unknown word.
        talk.answered("hi", &first, &[0, 6, E]).unwrap();
        let second = talk.with_user("so").unwrap();
        assert_eq!(second, [U, 5, E, A, 0, 6, E, U, 7, E, A]);
        // Cut off: the template's end token is added.
        talk.answered("so", &second, &[6]).unwrap();
        talk.went_on(&[7]).unwrap();
        assert_eq!(talk.with_user("hi").unwrap()[second.len()..], [6, 7, E, U, 5, E, A]);
        talk.set_system("be kind");
        assert_eq!(talk.with_user("hi").unwrap(), [S, 8, 9, E, U, 5, E, A]);
    }

    #[test]
    fn a_template_that_drops_answers_is_refused() {
        let mut talk = conversation("{{ messages[-1].content }} <a>");
        let first = talk.with_user("hi").unwrap();
        talk.answered("hi", &first, &[6]).unwrap();
        assert!(talk.with_user("so").unwrap_err().to_string().contains("leaves out earlier answers"));
    }
}
