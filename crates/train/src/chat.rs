//! Converts a problem to the text that a chat model continues.

use std::path::Path;

use serde_json::Map;
use vapo_lm::{ChatTemplate, Message};
use vapo_tasks::Problem;

use crate::{
    config::{ChatUse, DataConfig},
    error::{Error, Result},
};

/// A model's chat template and how it is used.
#[derive(Debug)]
pub(crate) struct Chat {
    /// The template; an error in it is reported only when it is needed.
    template: Result<Option<ChatTemplate>, vapo_lm::Error>,
    when: ChatUse,
    system_prompt: Option<String>,
    variables: Map<String, serde_json::Value>,
}

impl Chat {
    /// The template of a model directory, with default settings.
    pub(crate) fn load(directory: &Path) -> Self {
        Self::new(ChatTemplate::load(directory))
    }

    /// A model without a template.
    pub(crate) fn none() -> Self {
        Self::new(Ok(None))
    }

    fn new(template: Result<Option<ChatTemplate>, vapo_lm::Error>) -> Self {
        Self { template, when: ChatUse::Auto, system_prompt: None, variables: Map::new() }
    }

    /// Applies a config's settings.
    ///
    /// # Errors
    /// `data.chat_date` is not a date, or `data.chat_template_kwargs` holds values that JSON cannot represent.
    pub(crate) fn configure(&mut self, data: &DataConfig) -> Result<()> {
        let wrong = |key: &str, problem: String| Error::Settings(vec![format!("data.{key}: {problem}")]);
        self.when = data.chat;
        self.system_prompt.clone_from(&data.system_prompt);
        let variables = serde_json::to_value(&data.chat_template_kwargs);
        let variables = variables.and_then(serde_json::from_value);
        self.variables = variables.map_err(|error| wrong("chat_template_kwargs", error.to_string()))?;
        if let Ok(Some(template)) = &mut self.template {
            template.set_date(&data.chat_date).map_err(|error| wrong("chat_date", error.to_string()))?;
        }
        Ok(())
    }

    /// The rendered conversation; `None` if the problem is a plain text to continue.
    ///
    /// # Errors
    /// There is no template for a conversation, or the template is invalid or refuses the conversation.
    pub(crate) fn render(&self, problem: &Problem) -> Result<Option<String>> {
        let failed = |message: String| Error::Run(format!("{}: {message}", problem.place()));
        let is_chat = match self.when {
            ChatUse::Auto => problem.context.is_some(),
            ChatUse::Always => true,
            ChatUse::Never => false,
        };
        let context = problem.context.as_deref().unwrap_or_default();
        if !is_chat {
            return match (context, &self.system_prompt) {
                ([], None) => Ok(None),
                ([], Some(_)) => {
                    Err(failed("the row holds a text: data.system_prompt needs data.chat = \"always\"".into()))
                }
                _ => Err(failed("the row holds several messages: data.chat must not be `never`".into())),
            };
        }
        let Some(template) = self.template.as_ref().map_err(|error| failed(error.to_string()))? else {
            let is_needed = self.when == ChatUse::Always || self.system_prompt.is_some() || !context.is_empty();
            return match is_needed {
                true => Err(failed("a chat needs a chat template, but the model has none".into())),
                false => Ok(None),
            };
        };
        let mut messages: Vec<Message> = Vec::with_capacity(context.len() + 2);
        let has_system = context.first().is_some_and(|message| message.role == "system");
        messages.extend(self.system_prompt.as_ref().filter(|_| !has_system).map(|text| Message::new("system", text)));
        messages.extend(context.iter().map(|message| Message::new(&message.role, &message.content)));
        messages.push(Message::new("user", &problem.prompt));
        let text = template.render(&messages, true, &self.variables).map_err(|error| failed(error.to_string()))?;
        Ok(Some(text))
    }

    /// The template and its variables; `None` without a template or if it is never used.
    ///
    /// # Errors
    /// The template is invalid.
    pub(crate) fn template(&self) -> Result<Option<(&ChatTemplate, &Map<String, serde_json::Value>)>> {
        let template = self.template.as_ref().map_err(|error| Error::Run(error.to_string()))?;
        Ok(template.as_ref().filter(|_| self.when != ChatUse::Never).map(|template| (template, &self.variables)))
    }

    /// The text that the template adds after an answer; `None` without a template or if it is never used.
    pub(crate) fn after_answer(&self) -> Option<String> {
        let template = self.template.as_ref().ok()?.as_ref().filter(|_| self.when != ChatUse::Never)?;
        template.after_answer(&self.variables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "{% if messages|length > 4 %}{{ raise_exception('too long') }}{% endif %}\
        {% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{{ mood }}>";

    fn chat(template: Option<&str>, data: &DataConfig) -> Chat {
        let template = template.map(|source| ChatTemplate::new(source, Map::new()));
        let mut chat = Chat::new(template.transpose());
        chat.configure(data).unwrap();
        chat
    }

    fn problem(context: Option<&[(&str, &str)]>) -> Problem {
        let message =
            |(role, content): &(&str, &str)| vapo_tasks::Message { role: (*role).into(), content: (*content).into() };
        let context = context.map(|messages| messages.iter().map(message).collect());
        Problem { prompt: "1+1?".into(), data_source: "set".into(), context, ..Problem::default() }
    }

    fn data(when: ChatUse, system_prompt: Option<&str>) -> DataConfig {
        DataConfig { chat: when, system_prompt: system_prompt.map(str::to_owned), ..DataConfig::default() }
    }

    #[test]
    fn texts_and_conversations_are_rendered_as_configured() {
        let rendered = |template, when, system, context: Option<&[(&str, &str)]>| {
            chat(template, &data(when, system)).render(&problem(context)).map_err(|error| error.to_string())
        };
        let text = |text: &str| Ok(Some(text.to_owned()));
        let place = "problem 0 of set: ";
        let some = Some(TEMPLATE);
        assert_eq!(rendered(some, ChatUse::Auto, None, None), Ok(None));
        assert_eq!(rendered(some, ChatUse::Auto, None, Some(&[])), text("[user]1+1?>"));
        assert_eq!(rendered(some, ChatUse::Always, Some("s"), None), text("[system]s[user]1+1?>"));
        let context: &[(&str, &str)] = &[("system", "own"), ("user", "a"), ("assistant", "b")];
        assert_eq!(
            rendered(some, ChatUse::Auto, Some("s"), Some(context)),
            text("[system]own[user]a[assistant]b[user]1+1?>")
        );
        assert_eq!(rendered(some, ChatUse::Never, None, Some(&[])), Ok(None));
        assert_eq!(rendered(None, ChatUse::Auto, None, Some(&[])), Ok(None), "a single question needs no template");
        let needs = format!("{place}a chat needs a chat template, but the model has none");
        assert_eq!(rendered(None, ChatUse::Auto, None, Some(context)), Err(needs.clone()));
        assert_eq!(rendered(None, ChatUse::Always, None, None), Err(needs));
        assert!(rendered(some, ChatUse::Never, None, Some(context)).unwrap_err().contains("several messages"));
        assert!(rendered(some, ChatUse::Auto, Some("s"), None).unwrap_err().contains("data.chat = \"always\""));
        let five = [("user", "a"), ("assistant", "b"), ("user", "a"), ("assistant", "b")];
        let raised = rendered(some, ChatUse::Auto, None, Some(&five)).unwrap_err();
        assert_eq!(raised, format!("{place}chat template: too long (line 1 of the template)"));
        assert!(rendered(Some("{% if %}"), ChatUse::Auto, None, None).is_ok(), "the template is not needed");
        assert!(rendered(Some("{% if %}"), ChatUse::Always, None, None).is_err());
    }

    #[test]
    fn variables_and_the_date_reach_the_template() {
        let mut settings = data(ChatUse::Always, None);
        settings.chat_template_kwargs.insert("mood".into(), toml::Value::from("calm"));
        assert_eq!(chat(Some(TEMPLATE), &settings).render(&problem(None)).unwrap().unwrap(), "[user]1+1?calm>");
        settings.chat_date = "2031-12-30".into();
        let date = Some("{{ strftime_now('%d.%m.%y') }}");
        assert_eq!(chat(date, &settings).render(&problem(None)).unwrap().unwrap(), "30.12.31");
        settings.chat_date = "today".into();
        let error = Chat::new(ChatTemplate::new("", Map::new()).map(Some)).configure(&settings).unwrap_err();
        assert!(error.to_string().starts_with("data.chat_date: "), "{error}");
    }
}
