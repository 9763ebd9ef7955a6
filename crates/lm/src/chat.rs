//! Chat templates: the Jinja text by which a model's maker turns messages into the prompt that it was trained on.

mod json;
mod python;
mod strings;
mod tags;
mod values;

use std::path::Path;

use chrono::{
    NaiveDate, NaiveTime,
    format::{Item, StrftimeItems},
};
use minijinja::{
    AutoEscape, Environment, UndefinedBehavior,
    syntax::SyntaxConfig,
    value::{Serde, Value as Variable},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{Error, files::read_model_file};

/// What a rendering may cost: an instruction or 64 bytes each, so about 32 MB at most.
const FUEL: u64 = 500_000;
/// Bytes of stack for a rendering: enough to walk and to free the most deeply nested value that the fuel can pay for.
const STACK: usize = 256 << 20;
/// Calls of macros inside of macros.
const RECURSION: usize = 64;
/// Largest file that is read.
const MAX_BYTES: u64 = 16 << 20;
/// The template's name in the environment.
const NAME: &str = "chat_template";
/// Stands for an answer where the text around it is wanted.
const ANSWER: &str = "answer";

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`; a template may know more.
    pub role: String,
    /// The text.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Message {
        Message { role: role.into(), content: content.into() }
    }
}

/// A model's chat template, rendered as transformers' `apply_chat_template` does it.
///
/// The text it gives holds every special token that the prompt needs: tokenize it with [`Tokenizer::encode`], which adds none.
///
/// A rendering ends with an error after a fixed amount of work and memory, whatever the template does.
///
/// [`Tokenizer::encode`]: crate::Tokenizer::encode
#[derive(Clone)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    special_tokens: Map<String, Value>,
    source: String,
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ChatTemplate").field(&self.source).finish()
    }
}

impl ChatTemplate {
    /// Reads the template of a Hugging Face directory: `chat_template.jinja`, or else the key `chat_template` of
    /// `tokenizer_config.json` (of several templates the one named `default`). None if there is neither.
    ///
    /// # Errors
    /// A file cannot be read, or the template is not valid.
    pub fn load(dir: &Path) -> Result<Option<ChatTemplate>, Error> {
        let (config_path, template_path) = (dir.join("tokenizer_config.json"), dir.join("chat_template.jinja"));
        let config = read_object(dir, "tokenizer_config.json")?;
        let mut special_tokens = special_tokens(read_object(dir, "special_tokens_map.json")?);
        special_tokens.extend(self::special_tokens(config.clone()));
        let (path, source) = match read_model_file(dir, "chat_template.jinja", MAX_BYTES)? {
            Some(bytes) => {
                let source = String::from_utf8(bytes).map_err(|_| Error::content(&template_path, "not UTF-8"))?;
                (template_path, Some(source))
            }
            None => {
                let source = default_template(config.get("chat_template"));
                (config_path.clone(), source.map_err(|problem| Error::content(&config_path, problem))?)
            }
        };
        let Some(source) = source else { return Ok(None) };
        let template = ChatTemplate::new(&source, special_tokens);
        template.map(Some).map_err(|error| Error::content(path, error.to_string()))
    }

    /// Takes a template's text and the special tokens that it may name (`bos_token`, `eos_token` ..).
    ///
    /// # Errors
    /// The text is not valid.
    pub fn new(source: &str, special_tokens: Map<String, Value>) -> Result<ChatTemplate, Error> {
        let mut environment = Environment::new();
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true);
        environment.set_syntax(syntax.build().map_err(|error| problem(&error))?);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_debug(false);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION);
        python::add_to(&mut environment);
        environment.add_template_owned(NAME, tags::translated(source)).map_err(|error| problem(&error))?;
        let mut template = ChatTemplate { environment, special_tokens, source: source.to_owned() };
        template.set_date(ChatTemplate::DATE)?;
        Ok(template)
    }

    /// What `strftime_now` returns unless it is set: a prompt must not depend on the day on which it is made.
    pub const DATE: &'static str = "2024-07-26";

    /// Sets the day that the template's `strftime_now` returns (at midnight), as in `2024-07-26`.
    ///
    /// # Errors
    /// It is not a date.
    pub fn set_date(&mut self, date: &str) -> Result<(), Error> {
        let day = NaiveDate::parse_from_str(date, "%Y-%m-%d").map_err(|_| {
            Error::ChatTemplate(format!("the date {date:?} must be a day as in {}", ChatTemplate::DATE))
        })?;
        let midnight = day.and_time(NaiveTime::MIN);
        self.environment.add_function("strftime_now", move |format: &str| {
            let items: Vec<Item<'_>> = StrftimeItems::new(format).collect();
            if items.contains(&Item::Error) {
                return Err(values::invalid(format!("strftime_now does not know the format {format:?}")));
            }
            Ok(midnight.and_utc().format_with_items(items.into_iter()).to_string())
        });
        Ok(())
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The prompt for the next message: all messages, and, with `add_generation_prompt`, the beginning of the assistant's
    /// answer. `variables` are further ones that the template may read, e.g. `enable_thinking`.
    ///
    /// # Errors
    /// The template raises an exception (`System role not supported`), reads something undefined, or does too much work.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        variables: &Map<String, Value>,
    ) -> Result<String, Error> {
        let mut context = self.special_tokens.clone();
        context.extend(variables.clone());
        context.insert("messages".into(), json!(messages));
        context.insert("add_generation_prompt".into(), add_generation_prompt.into());
        for name in ["tools", "documents"] {
            context.entry(name).or_insert(Value::Null);
        }
        let render = || {
            let template = self.environment.get_template(NAME).map_err(|error| problem(&error))?;
            template.render(Variable::from(Serde(context))).map_err(|error| problem(&error))
        };
        std::thread::scope(|scope| {
            let worker = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, render);
            let worker = worker.map_err(|error| Error::ChatTemplate(format!("cannot start a thread: {error}")))?;
            worker.join().map_err(|_| Error::ChatTemplate("the template engine panicked".to_owned()))?
        })
    }

    /// What directly follows an answer, beginning with the token that ends it; none if the template does not show it.
    pub fn after_answer(&self, variables: &Map<String, Value>) -> Option<String> {
        let messages = [Message::new("user", "question"), Message::new("assistant", ANSWER)];
        let text = self.render(&messages, false, variables).ok()?;
        let (_, after) = text.rsplit_once(ANSWER)?;
        Some(after.to_owned())
    }
}

/// A JSON object from a file; empty if there is no file.
fn read_object(dir: &Path, name: &str) -> Result<Map<String, Value>, Error> {
    let Some(bytes) = read_model_file(dir, name, MAX_BYTES)? else { return Ok(Map::new()) };
    let wrong = |error| Error::content(dir.join(name), format!("expected a JSON object: {error}"));
    serde_json::from_slice(&bytes).map_err(wrong)
}

/// The entries that name a token, as its text: `"<s>"`, or `{"content": "<s>", ..}`.
fn special_tokens(config: Map<String, Value>) -> Map<String, Value> {
    let text = |value: Value| match value {
        Value::Object(mut token) => token.remove("content").filter(Value::is_string),
        other => Some(other).filter(Value::is_string),
    };
    let tokens = config.into_iter().filter(|(name, _)| name.ends_with("_token"));
    tokens.filter_map(|(name, value)| Some((name, text(value)?))).collect()
}

/// The template in a `tokenizer_config.json`: a text, or a list of named ones.
fn default_template(value: Option<&Value>) -> Result<Option<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(source)) => Ok(Some(source.clone())),
        Some(Value::Array(named)) => {
            let default = named.iter().find(|entry| entry["name"] == "default");
            let source = default.and_then(|entry| entry["template"].as_str());
            source.map(|source| Some(source.to_owned())).ok_or_else(|| {
                let names: Vec<&str> = named.iter().filter_map(|entry| entry["name"].as_str()).collect();
                format!("`chat_template` has no template named `default`, found: {}", names.join(", "))
            })
        }
        Some(_) => Err("`chat_template` must be a text or a list of named texts".to_owned()),
    }
}

/// A template's error with its line.
fn problem(error: &minijinja::Error) -> Error {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let line = error.line().map_or(String::new(), |line| format!(" (line {line} of the template)"));
    Error::ChatTemplate(detail + &line)
}
