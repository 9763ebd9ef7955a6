//! What can be typed. The help texts carry examples: they are the first documentation that people read.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, builder::RangedU64ValueParser};
use vapo_lm::WeightDtype;
use vapo_train::config;

use crate::{bench::BenchArgs, import::ImportArgs};

const OVERVIEW: &str = "\
Examples:
  vapo train                                     # the built-in model learns the built-in task
  vapo train --set algorithm.preset=grpo         # the same by GRPO, to compare
  vapo train configs/smollm2-arithmetic.toml     # a real pretrained model, your own problems
  vapo resume runs/vapo-001                      # go on after Ctrl-C or a crash
  vapo eval --model runs/vapo-001                # held-out accuracy of the trained model
  vapo generate --model runs/vapo-001            # ask it something

Exit codes: 0 done, or stopped by a first Ctrl-C with a checkpoint; 1 error; 2 wrong usage; 130 stopped at once.
NO_COLOR=1, or a pipe as stdout, gives plain lines.";

/// Teaches a language model to reason by reinforcement learning on problems whose answers can be checked.
#[derive(Parser)]
#[command(name = "vapo", version, after_help = OVERVIEW, arg_required_else_help = true, max_term_width = 120)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Train(TrainArgs),
    Resume(ResumeArgs),
    Eval(EvalArgs),
    Generate(GenerateArgs),
    Score(ScoreArgs),
    Verify(VerifyArgs),
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(ImportArgs),
    Plan(PlanArgs),
    Config(ConfigArgs),
    Pretrain(PretrainArgs),
    Ablate(AblateArgs),
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(BenchArgs),
}

/// A number up to what fits an ordinary machine; configs check theirs themselves.
pub(crate) fn at_most(most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(..=most)
}

/// Types of weights.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Dtype {
    /// 4 bytes each
    Float32,
    /// 2 bytes each
    Bfloat16,
}

impl Dtype {
    pub(crate) fn weights(self) -> WeightDtype {
        self.setting().into()
    }

    /// As a config says it.
    pub(crate) fn setting(self) -> config::Dtype {
        match self {
            Self::Float32 => config::Dtype::Float32,
            Self::Bfloat16 => config::Dtype::Bfloat16,
        }
    }
}

/// Most threads of a command without a config.
pub(crate) const MOST_THREADS: u64 = 1024;

/// Where settings come from.
#[derive(Args)]
pub(crate) struct ConfigSource {
    /// Config file (TOML); without it: the built-in run
    pub(crate) config: Option<PathBuf>,

    /// Override a setting, e.g. --set run.steps=200 (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

const CONFIG_EXAMPLES: &str = "\
Examples:
  vapo config                                    # the built-in run, every setting explained
  vapo config --set algorithm.preset=dapo        # what a preset means: vapo, ppo, vc-ppo, grpo, dapo
  vapo config my.toml > resolved.toml            # `vapo train resolved.toml` repeats it exactly

Later wins: defaults, preset, file, --set. A preset only sets values that you could also set one by one. Unknown keys and values out of range are errors; verl's and NeMo-RL's names are recognised and translated in the message.";

/// Print the resolved config, every setting with a comment
#[derive(Args)]
#[command(after_help = CONFIG_EXAMPLES)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    pub(crate) source: ConfigSource,
}

const TRAIN_EXAMPLES: &str = "\
Examples:
  vapo train                                           # built-in model and task, by VAPO
  vapo train --set run.seed=1 --run-dir runs/seed-1    # another seed, in a directory of its own
  vapo train --set algorithm.preset=grpo               # another method in the same loop
  vapo train --set value_pretraining.steps=0           # VAPO without one of its seven parts
  vapo config > my.toml; vapo train my.toml            # your own config, from a complete one

One step: sample responses, grade them, estimate values, assign credit, update critic and policy.

Columns while it trains:
  reward     mean over the step's responses
  eval       held-out accuracy, where it was measured
  length     mean tokens of a response
  entropy    of the policy, nats per token
  expl.var   how much of the return the critic explains: 1 all, 0 nothing
  clip       share of tokens whose ratio was clipped
  grad       norm of the policy's gradient before clipping (the critic's in value pretraining)
metrics.jsonl in the run directory has these and more, under verl's names.

Ctrl-C once: a checkpoint is written, and `vapo resume` goes on exactly there. Twice: stop at once.";

/// Train a model: the built-in run, or what a config file says
#[derive(Args)]
#[command(after_help = TRAIN_EXAMPLES)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) source: ConfigSource,

    /// Directory of the run, not there yet [default: the next free runs/PRESET-001]
    #[arg(long, value_name = "DIR")]
    pub(crate) run_dir: Option<PathBuf>,
}

const RESUME_EXAMPLES: &str = "\
Examples:
  vapo resume runs/vapo-001                            # after Ctrl-C, a crash or a power cut
  vapo resume runs/vapo-001 --set run.steps=300        # train a finished run further

A resumed run gives the same metrics and weights, byte for byte, as one that was never stopped. At most the steps since the last checkpoint are done again (checkpoint.every).";

/// Continue a run from its newest checkpoint
#[derive(Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub(crate) struct ResumeArgs {
    /// Directory of the run
    pub(crate) run: PathBuf,

    /// Override a setting of the run's config (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,

    /// Stop with a checkpoint when standard input ends, for programs that start runs
    #[arg(long)]
    pub(crate) supervised: bool,
}

/// Which model, and the settings that go with it.
#[derive(Args)]
pub(crate) struct ModelArgs {
    /// A run (its newest checkpoint), a checkpoint, or a Hugging Face directory; without it: the base model of the config
    #[arg(long, short, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,

    /// Config file for task, verifier and prompt template [default: the one the model was trained with, else the built-in]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Override a setting of that config (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

/// How to sample; what is not given comes from `[eval]` of the config.
#[derive(Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplingArgs {
    /// Softmax temperature; 0: always the likeliest token
    #[arg(long, allow_negative_numbers = true)]
    temperature: Option<f64>,

    /// Sample among the k likeliest tokens
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,

    /// Sample among the likeliest tokens that together hold this probability
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f64>,

    /// Drop tokens less likely than this share of the likeliest one
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    min_p: Option<f64>,

    /// Longest response in tokens
    #[arg(long, value_name = "TOKENS")]
    max_new_tokens: Option<usize>,

    /// Seed of the samples: the same seed gives the same ones
    #[arg(long)]
    seed: Option<u64>,

    /// Threads; 0: one per core. The samples do not depend on it
    #[arg(long)]
    threads: Option<usize>,
}

impl SamplingArgs {
    /// The given ones as `key=value` entries of a config, so that one place checks ranges.
    pub(crate) fn overrides(&self) -> Vec<String> {
        let entry = |key: &str, value: Option<String>| value.map(|value| format!("{key}={value}"));
        let entries = [
            entry("eval.temperature", self.temperature.map(|value| format!("{value:?}"))),
            entry("eval.top_k", self.top_k.map(|value| value.to_string())),
            entry("eval.top_p", self.top_p.map(|value| format!("{value:?}"))),
            entry("eval.min_p", self.min_p.map(|value| format!("{value:?}"))),
            entry("eval.max_new_tokens", self.max_new_tokens.map(|value| value.to_string())),
            entry("run.seed", self.seed.map(|value| value.to_string())),
            entry("run.threads", self.threads.map(|value| value.to_string())),
        ];
        entries.into_iter().flatten().collect()
    }
}

const EVAL_EXAMPLES: &str = "\
Examples:
  vapo eval                                            # built-in base model, built-in task
  vapo eval --model runs/vapo-001                      # newest checkpoint, its own held-out problems
  vapo eval --model runs/vapo-001 -n 1 --temperature 0 # greedy
  vapo eval --model runs/vapo-001/checkpoints/step-000080 -n 64 --json
  vapo eval --model SmolLM2-135M-Instruct --data problems.jsonl -n 4 \\
      --set 'data.prompt_template=\"Q: {problem}\\nA:\"' --set 'rollout.stop_strings=[\"\\n\"]'
  vapo eval --model DIR --config configs/aime2024.toml # AIME 2024 as VAPO and DAPO measure it

Means over problems: avg@n, the share of right samples; pass@k, the probability that one of k samples is right (unbiased); maj@k, that their most frequent answer is. The brackets hold 95 % intervals, by the bootstrap over problems. Samples depend on weights, settings and seed alone: two evaluations differ by the weights and by nothing else. More: docs/evaluation.md";

/// Measure held-out accuracy of a base model or a checkpoint
#[derive(Args)]
#[command(after_help = EVAL_EXAMPLES)]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// JSONL file of problems (`prompt`, `problem` or `question`, and `answer`) instead of the config's
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,

    /// Problems at most, spread evenly over the set
    #[arg(long, value_name = "COUNT")]
    pub(crate) problems: Option<usize>,

    /// Samples per problem
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub(crate) samples: Option<usize>,

    /// A verifier's name, or what `reward.verifier` of a config may hold
    #[arg(long, value_name = "VERIFIER")]
    pub(crate) verifier: Option<String>,

    /// Text around a problem, with `{problem}` in its place
    #[arg(long, value_name = "TEXT")]
    pub(crate) template: Option<String>,

    /// Write every problem with its samples and verdicts to this file (JSON lines), which is not there yet
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  vapo verify answers.jsonl                            # by `math`
  vapo verify answers.jsonl --verifier numeric --json
  vapo verify answers.jsonl --verifier '{ kind = \"math\", rule = \"boxed\" }' --list
  vapo verify answers.jsonl --config my.toml           # by the reward of a run

A row has `gold` (or `answer`) and `response` (or `pred`), a whole reply or an answer alone; where it has `expected` (true or false), agreement is counted. Rows of `text` and `expected` check what answer is found. --json prints {\"rows\", \"agree\", \"disagree\", \"failed\", \"rows_per_sec\"}; agree and disagree are null where no row says what is expected. A row that the verifier failed on counts as failed alone.";

/// Grade the answers of a file, and compare with the verdicts that it expects
#[derive(Args)]
#[command(after_help = VERIFY_EXAMPLES)]
pub(crate) struct VerifyArgs {
    /// Rows of answers (JSON lines)
    pub(crate) file: PathBuf,

    /// A verifier's name, or what `reward.verifier` of a config may hold [default: the config's, else math]
    #[arg(long, value_name = "VERIFIER")]
    pub(crate) verifier: Option<String>,

    /// Config file whose reward grades
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Override a setting of that config (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,

    /// List every row that disagrees or failed, not only the first 20; with --json on stderr
    #[arg(long)]
    pub(crate) list: bool,

    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,

    /// Threads; 0: one per core. The verdicts do not depend on it
    #[arg(long)]
    pub(crate) threads: Option<usize>,
}

const GENERATE_EXAMPLES: &str = "\
Examples:
  vapo generate --model SmolLM2-135M-Instruct          # talk to it: /help lists commands, Ctrl-C stops an answer
  vapo generate                                        # the built-in base model: each line is a prompt
  vapo generate --model SmolLM2-135M-Instruct --chat 'What is 7 + 5?'
  vapo generate --model runs/vapo-001 '7a+5b*3c+2d*4:' # one prompt, one response
  vapo generate --model runs/vapo-001 -n 8 --temperature 0.7 '7a+5b*3c+2d*4:' '1a*9b+2c*6d+3:'
  vapo generate --file prompts.txt --json > out.jsonl  # a prompt per line, an object per response
  cat prompts.txt | vapo generate --json               # the same

A file that ends in .jsonl holds an object per line with `prompt`, `problem` or `question`. Prompts are asked as in the training of the model (data.prompt_template and data.chat of its config); --chat asks through the chat template, --raw leaves prompts as they are.
In a terminal a model with a chat template is talked to in turns. The tokens that it has read and sampled are kept, never made again from text.";

/// Sample responses to prompts, or talk to a model
#[derive(Args)]
#[command(after_help = GENERATE_EXAMPLES)]
pub(crate) struct GenerateArgs {
    /// Prompts; without any (and without --file): lines of stdin, or a conversation if that is a terminal
    pub(crate) prompts: Vec<String>,

    /// File of prompts, one per line, or .jsonl
    #[arg(long, value_name = "FILE", conflicts_with = "prompts")]
    pub(crate) file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Responses per prompt
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 1)]
    pub(crate) samples: usize,

    /// Print a JSON object per response: prompt, sample, response, stop, prompt_tokens, response_tokens, logprobs
    #[arg(long)]
    pub(crate) json: bool,

    /// Use no template: the model continues the text as it is
    #[arg(long)]
    pub(crate) raw: bool,

    /// Ask through the model's chat template (data.chat = "always")
    #[arg(long, conflicts_with = "raw")]
    pub(crate) chat: bool,

    /// System message of the chat template (data.system_prompt)
    #[arg(long, value_name = "TEXT", conflicts_with = "raw")]
    pub(crate) system: Option<String>,

    /// Answer the lines of stdin one after the other, as in a terminal, also if they come from a pipe
    #[arg(short, long, conflicts_with_all = ["prompts", "file", "samples"])]
    pub(crate) interactive: bool,

    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
}

const SCORE_EXAMPLES: &str = "\
Examples:
  vapo score --model SmolLM2-135M-Instruct --data texts.jsonl > scores.jsonl
  vapo score --model runs/vapo-001 --critic runs/vapo-001 --data texts.jsonl
  vapo generate --model runs/vapo-001 --json '7a+5b*3:' | vapo score --model runs/vapo-001 --data -   # the same log-probs

In: a JSON object per line with `prompt` and `response`. The two are tokenised apart, as in a rollout, and no token is added: a beginning-of-sequence token must stand in the prompt, an end token in the response. `prompt_tokens` and `response_tokens` (lists of ids) are taken as they are and win over the texts.
Out: an object per row, in order, about the tokens of the response: tokens, logprobs (nats, given all tokens before), and with --critic values (of the state before each token; a run's critic with its critic.bound).";

/// Log-probs, and values, of the tokens of given texts
#[derive(Args)]
#[command(after_help = SCORE_EXAMPLES)]
pub(crate) struct ScoreArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// JSONL file of prompts and responses; `-`: stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,

    /// A run, a checkpoint, or a critic's directory, whose values are wanted too
    #[arg(long, value_name = "DIR")]
    pub(crate) critic: Option<PathBuf>,

    /// Log-probs of the distribution at this softmax temperature
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub(crate) temperature: f64,

    /// Write to this file, which is not there yet, instead of stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// Threads; 0: one per core. The numbers do not depend on it
    #[arg(long, default_value_t = 0, value_parser = at_most(MOST_THREADS))]
    pub(crate) threads: usize,
}

const IMPORT_EXAMPLES: &str = "\
Examples:
  vapo import SmolLM2-135M-Instruct.Q4_1.gguf models/smollm2
  vapo import model.gguf models/mine --dtype bfloat16  # half the size

Weights are dequantised (F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K), tokenizer and chat template rebuilt from the file's metadata. The directory loads in transformers as well.";

const PLAN_EXAMPLES: &str = "\
Examples:
  vapo plan                                            # the built-in run
  vapo plan configs/smollm2-arithmetic.toml --response-tokens 3
  vapo plan configs/dapo-math-qwen2.5-32b.toml --json  # the paper's settings: no weights and no data are needed

Parameters, peak memory by part, and tokens, floating-point operations and time of each stage of a step. Memory is counted for responses as long as they may be, work for responses of --response-tokens. Prompts are counted with the model's tokenizer; where problems or tokenizer are missing, --prompt-tokens says how long they are. The time is an estimate: a slice of the model (same width, at most 20 M weights) is trained and sampled for a few seconds on this machine, and every stage is taken to run at the rate in FLOP/s that its kind of work had.";

/// What a config needs: parameters, memory, work and time, without loading weights
#[derive(Args)]
#[command(after_help = PLAN_EXAMPLES)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) source: ConfigSource,

    /// Mean length of a response [default: rollout.max_new_tokens]
    #[arg(long, value_name = "TOKENS")]
    pub(crate) response_tokens: Option<f64>,

    /// Length of a prompt, instead of tokenizing the problems
    #[arg(long, value_name = "TOKENS", value_parser = at_most(1 << 30))]
    pub(crate) prompt_tokens: Option<usize>,

    /// Leave out what is measured: the time
    #[arg(long)]
    pub(crate) no_timing: bool,

    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

const BENCH_EXAMPLES: &str = "\
Examples:
  vapo bench                                           # a small model on one thread
  vapo bench --shape m2 --threads 0                    # SmolLM2-135M's shape on all cores
  vapo bench --model path/to/model --json              # your model's shape, as one JSON object";

const PRETRAIN_EXAMPLES: &str = "\
Examples:
  vapo pretrain --out base                             # the built-in base model, the same bytes
  vapo pretrain --out walk-base --task walk            # one for the other built-in task
  vapo train --set data.task=walk --set model.path=walk-base

A base model learns from demonstrations that are often wrong: it knows how answers look and is right now and then, which is what reinforcement learning needs. The same settings give the same bytes on any machine and number of threads.";

/// Make the built-in base model again, or another one like it
#[derive(Args)]
#[command(after_help = PRETRAIN_EXAMPLES)]
pub(crate) struct PretrainArgs {
    /// Directory for the model, not there yet
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,

    /// Built-in task: chain, recall or walk
    #[arg(long, default_value = "chain")]
    pub(crate) task: String,

    /// Optimizer updates
    #[arg(long, value_name = "COUNT")]
    pub(crate) updates: Option<u64>,

    /// Demonstrations per update, each seen once
    #[arg(long, value_name = "COUNT", value_parser = at_most(100_000))]
    pub(crate) demonstrations: Option<usize>,

    /// Width of the model
    #[arg(long, value_name = "WIDTH", value_parser = at_most(1024))]
    pub(crate) hidden_size: Option<usize>,

    /// Decoder layers
    #[arg(long, value_name = "COUNT", value_parser = at_most(64))]
    pub(crate) layers: Option<usize>,

    /// Peak learning rate
    #[arg(long, value_name = "RATE")]
    pub(crate) learning_rate: Option<f64>,

    /// Seed of weights and demonstrations
    #[arg(long)]
    pub(crate) seed: Option<u64>,

    /// Threads; 0: one per core. The bytes do not depend on it
    #[arg(long, default_value_t = 0, value_parser = at_most(MOST_THREADS))]
    pub(crate) threads: usize,
}

const ABLATE_EXAMPLES: &str = "\
Examples:
  vapo ablate configs/studies/smoke.toml               # two arms, two seeds, some seconds
  vapo ablate configs/studies/paper.toml               # the paper's table 1; the same command goes on after Ctrl-C or a crash
  vapo ablate configs/studies/paper.toml --report      # tables and curves of what is there, nothing is run

A study file names base settings, arms and seeds; docs/studies.md explains it. Each run is a process of its own and a run directory like any other. README.md, report.json and curves (SVG) are in the study's directory.

Ctrl-C once: every run writes its checkpoint. Twice: stop at once; the runs still write theirs.";

/// Compare methods: arms times seeds at equal budgets, with intervals and curves
#[derive(Args)]
#[command(after_help = ABLATE_EXAMPLES)]
pub(crate) struct AblateArgs {
    /// Study file (TOML)
    pub(crate) study: PathBuf,

    /// Directory of the study [default: studies/NAME]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Runs at once [default: the machine's cores, by run.threads (1 in a study)]
    #[arg(long, value_name = "COUNT", value_parser = at_most(MOST_THREADS))]
    pub(crate) jobs: Option<usize>,

    /// Only report what is there
    #[arg(long)]
    pub(crate) report: bool,

    /// Let crashed runs go on from their newest checkpoint
    #[arg(long)]
    pub(crate) retry_crashed: bool,
}
