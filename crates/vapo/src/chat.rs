//! Interactive sampling: turns of a conversation, or separate prompts, answered token by token.

use std::{
    io::{BufRead, Write},
    ops::ControlFlow,
};

use anyhow::{Context, Result, bail};
use vapo_lm::{Engine, Sampling, StopReason, Streamed, TextStream};
use vapo_tasks::PromptTemplate;
use vapo_train::LanguageModel;

use crate::{
    conversation::Conversation,
    format::printable,
    interrupt::Attention,
    prompts::to_prompt,
    response_row::{JsonRow, stop_name},
    screen::Screen,
};

const HELP: &str = "  /reset          start a new conversation
  /system TEXT    start a new conversation with this system message (without TEXT: with none)
  /more           continue the last answer
  /quit           exit (also Ctrl-D)
  Ctrl-C stops an answer. A line that ends with \\ continues on the next line; //TEXT sends /TEXT.";

/// A typed line.
#[derive(Debug, PartialEq, Eq)]
enum Input {
    Say(String),
    Reset,
    System(String),
    More,
    Help,
    Quit,
    Nothing,
    Unknown(String),
}

impl Input {
    fn parse(text: &str) -> Self {
        let Some(command) = text.strip_prefix('/') else {
            return if text.trim().is_empty() { Self::Nothing } else { Self::Say(text.into()) };
        };
        if command.starts_with('/') {
            return Self::Say(command.into());
        }
        let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        match word {
            "reset" => Self::Reset,
            "system" => Self::System(rest.trim().into()),
            "more" => Self::More,
            "help" | "?" => Self::Help,
            "quit" | "exit" => Self::Quit,
            other => Self::Unknown(other.into()),
        }
    }
}

/// An interactive session with a model.
pub(crate) struct Session {
    /// The template for lines.
    pub(crate) template: PromptTemplate,
    /// The conversation, if lines are its turns; otherwise each line is a separate prompt.
    pub(crate) conversation: Option<Conversation>,
    /// Whether answers are printed as JSON rows.
    pub(crate) json: bool,
    model: LanguageModel,
    engine: Engine,
    sampling: Sampling,
    seed: u64,
    screen: Screen,
    /// Tokens of the last prompt with its answer, and why that ended; none before the first.
    last: Option<(Vec<u32>, Option<StopReason>)>,
    /// Counts answers; the key of the random stream.
    answers: u64,
}

/// An answer that was streamed.
struct Answer {
    sample: Streamed,
    text: String,
    /// Whether the model's context, not the setting, limited it.
    full: bool,
}

impl Session {
    /// A session in which every line is a prompt without a template.
    pub(crate) fn new(model: LanguageModel, engine: Engine, sampling: Sampling, seed: u64, screen: Screen) -> Self {
        Self {
            template: PromptTemplate::default(),
            conversation: None,
            json: false,
            model,
            engine,
            sampling,
            seed,
            screen,
            last: None,
            answers: 0,
        }
    }

    /// Prints the model and how it samples.
    pub(crate) fn greet(&self, name: &str) {
        let what = if self.conversation.is_some() { "a conversation" } else { "each line is a separate prompt" };
        let Sampling { temperature, max_new_tokens, .. } = self.sampling;
        self.screen.line(&format!(
            "{}: {what}, temperature {temperature}, at most {max_new_tokens} tokens. /help lists commands, Ctrl-D exits.",
            self.screen.bold(name)
        ));
    }

    /// Answers lines of stdin until they end.
    ///
    /// # Errors
    /// Stdin cannot be read, or stdout cannot be written.
    pub(crate) fn run(&mut self) -> Result<()> {
        let attention = Attention::new(&self.screen)?;
        while let Some(text) = self.read()? {
            let done = match Input::parse(&text) {
                Input::Say(text) => self.say(&text, &attention),
                Input::More => self.more(&attention),
                Input::Reset => self.begin_anew(None),
                Input::System(text) => self.begin_anew(Some(&text)),
                Input::Help => {
                    self.screen.line(HELP);
                    Ok(())
                }
                Input::Nothing => Ok(()),
                Input::Unknown(word) => {
                    self.screen.line(&format!("  there is no command /{word} (/help lists the commands)"));
                    Ok(())
                }
                Input::Quit => break,
            };
            match done {
                Err(error) if error.is::<std::io::Error>() => return Err(error),
                Err(error) => self.screen.line(&self.screen.bad(&format!("  {error:#}"))),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// The next input; a line that ends with a backslash continues on the next one.
    fn read(&self) -> Result<Option<String>> {
        let mut text = String::new();
        self.screen.ask("> ");
        loop {
            let mut line = String::new();
            if std::io::stdin().lock().read_line(&mut line).context("cannot read from stdin")? == 0 {
                return Ok(Some(text).filter(|text| !text.is_empty()));
            }
            text += line.trim_end_matches(['\n', '\r']);
            if !text.ends_with('\\') {
                return Ok(Some(text));
            }
            text.pop();
            text.push('\n');
            self.screen.ask(". ");
        }
    }

    fn begin_anew(&mut self, system: Option<&str>) -> Result<()> {
        let Some(conversation) = &mut self.conversation else {
            bail!("there is no conversation: each line is a separate prompt");
        };
        match system {
            Some(text) => conversation.set_system(text),
            None => conversation.reset(),
        }
        self.last = None;
        self.screen.line(&self.screen.dim("  a new conversation"));
        Ok(())
    }

    fn say(&mut self, text: &str, attention: &Attention) -> Result<()> {
        let (message, language) = (self.template.render(text), &self.model);
        let prompt = match &self.conversation {
            Some(conversation) => conversation.with_user(&message)?,
            None => {
                let reader = (&language.text, language.model.config());
                // Room for one token of an answer: whether there is room for more is checked during sampling.
                to_prompt(&self.template, text, self.answers, reader, 1)?.tokens
            }
        };
        let answer = self.answer(&prompt, attention)?;
        if let Some(conversation) = &mut self.conversation {
            conversation.answered(&message, &prompt, &answer.sample.tokens)?;
        }
        self.close(text, prompt, answer)
    }

    /// Continues the last answer.
    fn more(&mut self, attention: &Attention) -> Result<()> {
        let prompt = match &self.last {
            None => bail!("there is no answer to continue"),
            Some((_, Some(StopReason::StopToken))) => bail!("the model has ended its answer"),
            Some((tokens, _)) => tokens.clone(),
        };
        let answer = self.answer(&prompt, attention)?;
        if let Some(conversation) = &mut self.conversation {
            conversation.went_on(&answer.sample.tokens)?;
        }
        self.close("", prompt, answer)
    }

    /// Samples an answer, printing it as it is generated.
    fn answer(&mut self, prompt: &[u32], attention: &Attention) -> Result<Answer> {
        let longest = self.model.model.config().max_position_embeddings;
        let room = longest.saturating_sub(prompt.len());
        if room == 0 {
            bail!(
                "this would make {} tokens, but the model's context holds {longest}: no room for an answer (/reset starts a new conversation)",
                prompt.len()
            );
        }
        let full = room < self.sampling.max_new_tokens;
        let sampling = Sampling { max_new_tokens: room.min(self.sampling.max_new_tokens), ..self.sampling.clone() };
        let mut stream = TextStream::new(&self.model.text.tokenizer);
        let (mut text, mut trouble) = (String::new(), None);
        let json = self.json;
        let mut show = |piece: String| {
            let shown = if json { Ok(()) } else { show(&piece) };
            text += &piece;
            shown
        };
        attention.answering(true);
        let mut on_token = |token| {
            let shown = stream.push(token).map_err(anyhow::Error::from).and_then(|piece| Ok(show(piece)?));
            trouble = shown.err();
            if trouble.is_some() || attention.is_wanted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let request = (prompt, self.answers);
        let sample = self.engine.stream(&self.model.model, request, &sampling, self.seed, &mut on_token);
        attention.answering(false);
        self.answers += 1;
        if let Some(error) = trouble {
            return Err(error);
        }
        show(stream.finish()?)?;
        Ok(Answer { sample, text, full })
    }

    /// Ends an answer's line, prints why it ended, and stores it.
    fn close(&mut self, text: &str, prompt: Vec<u32>, answer: Answer) -> Result<()> {
        let mut stdout = std::io::stdout().lock();
        if self.json {
            let row = JsonRow {
                prompt: text,
                sample: 0,
                response: &answer.text,
                stop: stop_name(answer.sample.stop),
                prompt_tokens: &prompt,
                response_tokens: &answer.sample.tokens,
                logprobs: &answer.sample.logps,
            };
            writeln!(stdout, "{}", serde_json::to_string(&row)?)?;
        } else {
            writeln!(stdout)?;
        }
        let note = match answer.sample.stop {
            None => "  [stopped; /more continues]".to_string(),
            Some(StopReason::Length) if answer.full => {
                let longest = self.model.model.config().max_position_embeddings;
                format!("  [cut off: the model's context holds {longest} tokens; /reset starts a new conversation]")
            }
            Some(StopReason::Length) => {
                format!("  [cut off after {} tokens (--max-new-tokens); /more continues]", answer.sample.tokens.len())
            }
            Some(_) => String::new(),
        };
        if !note.is_empty() {
            self.screen.line(&self.screen.dim(&note));
        }
        self.last = Some(([prompt, answer.sample.tokens].concat(), answer.sample.stop));
        Ok(())
    }
}

fn show(piece: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(printable(piece).as_bytes())?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_begin_with_a_slash() {
        for (text, input) in [
            ("hello /reset", Input::Say("hello /reset".into())),
            ("//reset", Input::Say("/reset".into())),
            (" ", Input::Nothing),
            ("/reset", Input::Reset),
            ("/system  be brief ", Input::System("be brief".into())),
            ("/system", Input::System(String::new())),
            ("/quit", Input::Quit),
            ("/sing", Input::Unknown("sing".into())),
        ] {
            assert_eq!(Input::parse(text), input);
        }
    }
}
