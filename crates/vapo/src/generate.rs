//! `vapo generate`: responses to prompts in a batch, or a conversation.

use std::{io::Write, ops::ControlFlow};

use anyhow::{Result, bail};
use serde_json::Value;
use vapo_lm::{Completion, Engine, Request, Sampling, StopReason};
use vapo_tasks::PromptTemplate;
use vapo_train::{
    Config, LanguageModel, MemoryPlan, Progress, Stage, config::ChatUse, device, eval_sampling, rollout::Prompt,
};

use crate::{
    args::GenerateArgs,
    chat::Session,
    conversation::Conversation,
    format::printable,
    model::Chosen,
    prompts::{prompts, to_prompt},
    response_row::{JsonRow, stop_name},
    screen::{Screen, StageBar},
};

/// Maximum number of responses per prompt.
const MAX_SAMPLES: usize = 100_000;
/// A batch is answered in parts of this many rounds of slots: few enough to fit in memory, and to be printed soon.
const ROUNDS: usize = 16;
/// Number of tokens of a conversation that memory is planned for; more is allocated as needed.
const CONVERSATION_TOKENS: usize = 4096;

/// Samples responses and prints them.
pub(crate) fn run(args: GenerateArgs) -> Result<()> {
    if !(1..=MAX_SAMPLES).contains(&args.samples) {
        bail!("--samples ({}) must be between 1 and {MAX_SAMPLES}", args.samples);
    }
    let chosen = Chosen::new(&args.model, &overrides(&args))?;
    let config = &chosen.config;
    let texts = prompts(&args)?;
    let template =
        if args.raw { PromptTemplate::default() } else { PromptTemplate::new(config.data.prompt_template.as_str())? };
    let mut given = Vec::new();
    let device = device(config);
    let model = chosen.load(&device, |shape, text| {
        let Some(texts) = &texts else {
            let tokens = shape.max_position_embeddings.min(CONVERSATION_TOKENS);
            return MemoryPlan::of_sampling(config, shape, (1, 1), tokens).check_machine();
        };
        let longest = config.longest_eval_response();
        let prompts = (0..).zip(texts).map(|(key, prompt)| to_prompt(&template, prompt, key, (text, shape), longest));
        given = prompts.collect::<vapo_train::Result<Vec<Prompt>>>()?;
        let longest = given.iter().map(|prompt| prompt.tokens.len()).max().unwrap_or(0);
        MemoryPlan::of_sampling(config, shape, (given.len(), args.samples), longest).check_machine()
    })?;
    let sampling = eval_sampling(config, &model.model, &model.text);
    let engine = Engine::new(&device, config.run.micro_batch_tokens);
    let (seed, screen) = (config.run.seed, Screen::for_result());
    if let Some(texts) = &texts {
        return Batch { model, engine, sampling, samples: args.samples, seed, screen }.run(texts, &given, args.json);
    }
    let conversation = conversation(&args, config, &model)?;
    let mut session = Session::new(model, engine, sampling, seed, screen);
    (session.template, session.conversation, session.json) = (template, conversation, args.json);
    session.greet(&chosen.name);
    session.run()
}

/// The flags as entries of a config.
fn overrides(args: &GenerateArgs) -> Vec<String> {
    let mut overrides = args.sampling.overrides();
    if args.raw {
        overrides.extend(["data.chat=never".into(), "data.system_prompt=off".into()]);
    }
    if args.chat || args.system.is_some() {
        overrides.push("data.chat=always".into());
    }
    // A JSON string is also a TOML string.
    overrides.extend(args.system.as_ref().map(|text| format!("data.system_prompt={}", Value::from(text.as_str()))));
    overrides
}

/// A multi-turn conversation, if the model has a chat template and the config uses it or has no prompt template.
fn conversation(args: &GenerateArgs, config: &Config, model: &LanguageModel) -> Result<Option<Conversation>> {
    let data = &config.data;
    let asks_plainly = data.prompt_template == Config::default().data.prompt_template;
    let wanted = match data.chat {
        ChatUse::Always => true,
        ChatUse::Auto => asks_plainly,
        ChatUse::Never => false,
    };
    match model.text.chat_template()? {
        Some((template, variables)) if wanted => {
            let (template, tokenizer) = (template.clone(), model.text.tokenizer.clone());
            Ok(Some(Conversation::new(template, variables.clone(), tokenizer, data.system_prompt.clone())))
        }
        None if args.chat || args.system.is_some() => {
            bail!("the model has no chat template, which --chat and --system need")
        }
        _ => Ok(None),
    }
}

/// A prompt with its completion.
struct Rollout {
    prompt_tokens: Vec<u32>,
    text: String,
    completion: Completion,
}

/// A batch of prompts to answer.
struct Batch {
    model: LanguageModel,
    engine: Engine,
    sampling: Sampling,
    samples: usize,
    seed: u64,
    screen: Screen,
}

impl Batch {
    /// Answers the prompts, whose texts are `texts`, in parts, printing each part when it is done.
    fn run(&mut self, texts: &[String], prompts: &[Prompt], json: bool) -> Result<()> {
        let part = (ROUNDS * self.sampling.slots).div_ceil(self.samples).max(1);
        for (part_texts, part_prompts) in texts.chunks(part).zip(prompts.chunks(part)) {
            let responses = self.respond(part_prompts)?;
            print(part_texts, &responses, json, texts.len() > 1)?;
        }
        Ok(())
    }

    /// Responses to each prompt, `[prompts][samples]`.
    fn respond(&mut self, prompts: &[Prompt]) -> Result<Vec<Vec<Rollout>>> {
        let requests: Vec<Request<'_>> = prompts
            .iter()
            .map(|prompt| Request { prompt: &prompt.tokens, samples: self.samples, key: prompt.key })
            .collect();
        let total = prompts.len() * self.samples;
        let mut bar = StageBar::new(&self.screen);
        let mut progress = |tokens, done| {
            bar.show("", Progress { stage: Stage::Sampling, done, total, tokens }, "");
            ControlFlow::Continue(())
        };
        let groups = self.engine.generate(&self.model.model, &requests, &self.sampling, self.seed, &mut progress);
        self.screen.clear();
        let respond = |prompt: &Prompt, completion: Completion| {
            let tokenizer = &self.model.text.tokenizer;
            let text = tokenizer.decode_response(&completion.tokens, self.sampling.stop_strings.as_ref())?;
            Ok(Rollout { prompt_tokens: prompt.tokens.clone(), text, completion })
        };
        let groups = prompts.iter().zip(groups.unwrap_or_default());
        groups
            .map(|(prompt, group)| group.into_iter().map(|completion| respond(prompt, completion)).collect())
            .collect()
    }
}

fn print(prompts: &[String], responses: &[Vec<Rollout>], json: bool, several: bool) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    for (prompt, group) in prompts.iter().zip(responses) {
        if !json && several {
            writeln!(stdout, "{}", printable(prompt))?;
        }
        for (number, response) in group.iter().enumerate() {
            let completion = &response.completion;
            if json {
                let row = JsonRow {
                    prompt,
                    sample: number,
                    response: &response.text,
                    stop: stop_name(Some(completion.stop)),
                    prompt_tokens: &response.prompt_tokens,
                    response_tokens: &completion.tokens,
                    logprobs: &completion.logps,
                };
                writeln!(stdout, "{}", serde_json::to_string(&row)?)?;
                continue;
            }
            let indent = if several { "    " } else { "" };
            let number = if group.len() > 1 { format!("[{}] ", number + 1) } else { String::new() };
            let cut = if completion.stop == StopReason::Length { "  [cut off]" } else { "" };
            writeln!(stdout, "{indent}{number}{}{cut}", printable(response.text.trim_end()))?;
        }
    }
    Ok(stdout.flush()?)
}
