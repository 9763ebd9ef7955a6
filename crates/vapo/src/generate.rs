//! `vapo generate`: responses to prompts, in a batch or line by line.

use std::{
    io::{BufRead, IsTerminal, Write},
    ops::ControlFlow,
    path::Path,
};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;
use vapo_lm::{Engine, Request, Sample, Sampling, StopReason};
use vapo_tasks::{Problem, PromptTemplate};
use vapo_train::{LanguageModel, MemoryPlan, Progress, Stage, eval_sampling, rollout::Prompt, threads};

use crate::{
    args::GenerateArgs,
    format::printable,
    model::Chosen,
    screen::{Screen, StageBar},
};

/// Most responses to a prompt at once.
const MOST_SAMPLES: usize = 100_000;

/// Samples responses and prints them.
pub(crate) fn run(args: GenerateArgs) -> Result<()> {
    if !(1..=MOST_SAMPLES).contains(&args.samples) {
        bail!("--samples ({}) must be between 1 and {MOST_SAMPLES}", args.samples);
    }
    let chosen = Chosen::new(&args.model, &args.sampling.overrides())?;
    let prompts = prompts(&args)?;
    let config = &chosen.config;
    let model = chosen.load(|shape, text| {
        let prompts = prompts.as_deref().unwrap_or_default();
        let lengths = prompts.iter().map(|prompt| Ok(text.encode_prompt(prompt)?.len()));
        let longest = lengths.collect::<vapo_train::Result<Vec<_>>>()?.into_iter().max().unwrap_or(0);
        Ok(MemoryPlan::of_sampling(config, shape, (prompts.len().max(1), args.samples), longest))
    })?;
    let template =
        if args.raw { PromptTemplate::default() } else { PromptTemplate::new(config.data.prompt_template.as_str())? };
    let mut generator = Generator {
        sampling: eval_sampling(config, &model.model, &model.text),
        engine: Engine::new(threads(config), config.run.micro_batch_tokens),
        samples: args.samples,
        seed: config.run.seed,
        screen: Screen::for_result(),
        template,
        model,
    };
    match prompts {
        Some(prompts) => {
            let responses = generator.respond(0, &prompts)?;
            print(&prompts, &responses, args.json)
        }
        None => converse(&mut generator, &chosen, args.json),
    }
}

/// The prompts of the command line, of a file, or of a piped stdin; `None` if somebody sits there to type them.
fn prompts(args: &GenerateArgs) -> Result<Option<Vec<String>>> {
    let prompts = match &args.file {
        _ if !args.prompts.is_empty() => args.prompts.clone(),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                json_prompts(path, &text)?
            } else {
                lines(&text)
            }
        }
        None if std::io::stdin().is_terminal() => return Ok(None),
        None => lines(&std::io::read_to_string(std::io::stdin()).context("cannot read prompts from stdin")?),
    };
    if prompts.is_empty() {
        bail!("no prompts in {}", args.file.as_ref().map_or("stdin".into(), |path| path.display().to_string()));
    }
    Ok(Some(prompts))
}

fn lines(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.trim().is_empty()).map(str::to_string).collect()
}

fn json_prompts(path: &Path, text: &str) -> Result<Vec<String>> {
    const FIELDS: [&str; 3] = ["prompt", "problem", "question"];
    let rows = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    rows.map(|(line, number)| {
        let place = || format!("{}, row {number}", path.display());
        let row: Value = serde_json::from_str(line).with_context(place)?;
        let prompt = FIELDS.iter().find_map(|field| row[*field].as_str());
        prompt
            .map(str::to_string)
            .with_context(|| format!("{}: expected a text field {}", place(), FIELDS.join(" or ")))
    })
    .collect()
}

/// A response as text and tokens, with the tokens that were asked.
struct Response {
    prompt_tokens: Vec<u32>,
    text: String,
    sample: Sample,
}

/// A model ready to answer.
struct Generator {
    model: LanguageModel,
    engine: Engine,
    sampling: Sampling,
    samples: usize,
    seed: u64,
    template: PromptTemplate,
    screen: Screen,
}

impl Generator {
    /// Responses to each prompt, `[prompts][samples]`; `first` numbers the prompts in the random stream.
    fn respond(&mut self, first: u64, prompts: &[String]) -> Result<Vec<Vec<Response>>> {
        let tokenized = (first..).zip(prompts).map(|(index, prompt)| self.tokenize(index, prompt));
        let tokenized = tokenized.collect::<Result<Vec<_>>>()?;
        let requests: Vec<Request<'_>> = tokenized
            .iter()
            .map(|prompt| Request { prompt: &prompt.tokens, samples: self.samples, key: prompt.key })
            .collect();
        let total = prompts.len() * self.samples;
        let mut bar = StageBar::new(&self.screen);
        let mut progress = |tokens, done| {
            bar.show("", Progress { stage: Stage::Rollout, done, total, tokens }, "");
            ControlFlow::Continue(())
        };
        let groups = self.engine.generate(&self.model.model, &requests, &self.sampling, self.seed, &mut progress);
        self.screen.clear_bar();
        let groups = tokenized.into_iter().zip(groups.unwrap_or_default());
        let respond = |prompt: &Prompt, sample: Sample| {
            let text = self.model.text.tokenizer.decode(&sample.tokens)?;
            Ok(Response { prompt_tokens: prompt.tokens.clone(), text, sample })
        };
        groups.map(|(prompt, group)| group.into_iter().map(|sample| respond(&prompt, sample)).collect()).collect()
    }

    fn tokenize(&self, index: u64, prompt: &str) -> Result<Prompt> {
        let problem = Problem {
            index,
            prompt: self.template.render(prompt),
            answer: String::new(),
            data_source: "the prompts".into(),
            ..Problem::default()
        };
        Ok(Prompt::new(problem, index, &self.model.text, self.model.model.config(), self.sampling.max_new_tokens)?)
    }
}

fn print(prompts: &[String], responses: &[Vec<Response>], json: bool) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    for (prompt, group) in prompts.iter().zip(responses) {
        if !json && prompts.len() > 1 {
            writeln!(stdout, "{}", printable(prompt))?;
        }
        for (number, response) in group.iter().enumerate() {
            if json {
                writeln!(stdout, "{}", to_json(prompt, number, response)?)?;
                continue;
            }
            let indent = if prompts.len() > 1 { "    " } else { "" };
            let number = if group.len() > 1 { format!("[{}] ", number + 1) } else { String::new() };
            let cut = if response.sample.stop == StopReason::Length { "  [cut off]" } else { "" };
            writeln!(stdout, "{indent}{number}{}{cut}", printable(response.text.trim_end()))?;
        }
    }
    Ok(())
}

/// A response as `--json` prints it; `vapo score` reads it.
#[derive(Serialize)]
struct JsonRow<'a> {
    prompt: &'a str,
    sample: usize,
    response: &'a str,
    stop: &'static str,
    prompt_tokens: &'a [u32],
    response_tokens: &'a [u32],
    logprobs: &'a [f32],
}

fn to_json(prompt: &str, number: usize, response: &Response) -> Result<String> {
    let sample = &response.sample;
    let row = JsonRow {
        prompt,
        sample: number,
        response: &response.text,
        stop: match sample.stop {
            StopReason::StopToken => "stop_token",
            StopReason::StopString => "stop_string",
            StopReason::Length => "length",
        },
        prompt_tokens: &response.prompt_tokens,
        response_tokens: &sample.tokens,
        logprobs: &sample.logps,
    };
    Ok(serde_json::to_string(&row)?)
}

/// Answers line by line until an empty line or the end of stdin.
fn converse(generator: &mut Generator, chosen: &Chosen, json: bool) -> Result<()> {
    let screen = generator.screen.clone();
    screen.line(&format!(
        "{}, temperature {}, at most {} tokens. A prompt per line; Ctrl-D or an empty line ends.",
        screen.bold(&chosen.name),
        chosen.config.eval.temperature,
        generator.sampling.max_new_tokens
    ));
    let mut line = String::new();
    for number in 0.. {
        eprint!("{}", screen.bold("> "));
        line.clear();
        std::io::stdin().lock().read_line(&mut line).context("cannot read from stdin")?;
        let prompt = line.trim_end_matches(['\n', '\r']).to_string();
        if prompt.is_empty() {
            break;
        }
        match generator.respond(number, std::slice::from_ref(&prompt)) {
            Ok(responses) => print(&[prompt], &responses, json)?,
            Err(error) => screen.line(&screen.bad(&format!("{error:#}"))),
        }
    }
    Ok(())
}
