//! Command-line arguments. The help texts contain examples, because they are the first documentation that people read.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, builder::RangedU64ValueParser};
use vapo_lm::WeightDtype;
use vapo_train::config;
use vapo_view::Quantity;

use crate::plot::PlotArgs;

const OVERVIEW: &str = "\
Examples:
  vapo train                                     # the built-in model learns the built-in task
  vapo train --set algorithm.preset=grpo         # the same with GRPO, for comparison
  vapo train configs/smollm2-arithmetic.toml     # a pretrained model, problems from a file
  vapo resume runs/vapo-001                      # continue after Ctrl-C or a crash
  vapo eval --model runs/vapo-001                # held-out accuracy of the trained model
  vapo generate --model runs/vapo-001            # sample from it

Exit codes: 0 success; 1 error; 2 wrong usage; 75 stopped before the end, with a checkpoint; 130 stopped immediately.
If NO_COLOR is set or stdout is a pipe, output is plain lines.";

/// Trains language models to reason, by reinforcement learning on problems whose answers can be checked.
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
    Import(ImportArgs),
    Plan(PlanArgs),
    Plot(PlotArgs),
    Config(ConfigArgs),
    Pretrain(PretrainArgs),
    Ablate(AblateArgs),
    Bench(BenchArgs),
    Doctor(DoctorArgs),
    Show(ShowArgs),
    Compare(CompareArgs),
    #[cfg(feature = "dash")]
    Dash(DashArgs),
    #[cfg(feature = "dash")]
    Report(ReportArgs),
}

/// A number up to a limit that fits an ordinary machine. (Settings in configs are checked separately.)
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

    /// The corresponding setting of a config.
    pub(crate) fn setting(self) -> config::Dtype {
        match self {
            Self::Float32 => config::Dtype::Float32,
            Self::Bfloat16 => config::Dtype::Bfloat16,
        }
    }
}

/// Maximum number of threads of a command without a config.
pub(crate) const MAX_THREADS: u64 = 1024;

/// Where settings come from.
#[derive(Args)]
pub(crate) struct ConfigSource {
    /// Config file (TOML) [default: the built-in run]
    pub(crate) config: Option<PathBuf>,

    /// Override a setting, e.g. --set run.steps=200 (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

fn config_examples() -> String {
    let presets: Vec<&str> = config::PRESETS.iter().map(|preset| preset.name).collect();
    format!(
        "\
Examples:
  vapo config                                    # the built-in run, with every setting explained
  vapo config --set algorithm.preset=dapo        # the settings of a preset
  vapo config my.toml > resolved.toml            # `vapo train resolved.toml` repeats it exactly

Presets: {}.

Relative paths in a file are relative to it, those in --set to the current directory; ~/ is the home directory. In increasing priority: defaults, preset, file, --set; a preset given with --set also overrides the method settings of the file. A preset only sets values that you could also set one by one. Unknown keys and values out of range are errors; for names from verl, TRL and NeMo-RL, the error message gives the name used here.",
        presets.join(", ")
    )
}

/// Print the resolved config, with a comment on every setting
#[derive(Args)]
#[command(after_help = config_examples())]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    pub(crate) source: ConfigSource,
}

const TRAIN_EXAMPLES: &str = "\
Examples:
  vapo train                                           # built-in model and task, with VAPO
  vapo train --set run.seed=1 --run-dir runs/seed-1    # another seed, in its own directory
  vapo train --set algorithm.preset=grpo               # another method in the same loop
  vapo train --set value_pretraining.steps=0           # VAPO without one of its seven parts
  vapo config > my.toml; vapo train my.toml            # edit a complete config

One step: sample responses, grade them, estimate values, assign credit, update critic and policy.

Columns during training:
  reward     mean over the step's responses
  eval       held-out accuracy, when it is measured
  length     mean response length in tokens
  entropy    of the policy, in nats per token
  expl.var   share of the return's variance that the critic explains: 1 all, 0 none
  clip       share of tokens whose ratio was clipped
  grad       norm of the policy's gradient before clipping (the critic's in value pretraining)
metrics.jsonl in the run directory has these and more, with verl's names.

On a terminal these lines are behind a live screen with curves and sampled answers, and are printed when it is left: by q, or at the end. --plain prints them as they come.

Ctrl-C, SIGTERM or SIGUSR1: writes a checkpoint, from which `vapo resume` continues exactly, and exits with code 75. Ctrl-C twice: stops immediately.";

/// Train a model: the built-in run, or a run described by a config file
#[derive(Args)]
#[command(after_help = TRAIN_EXAMPLES)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) source: ConfigSource,

    /// New directory for the run [default: runs/PRESET-001, or the next free number]
    #[arg(long, value_name = "DIR")]
    pub(crate) run_dir: Option<PathBuf>,

    /// Continue the run if the directory holds one with these settings: one command for schedulers that start jobs again
    #[arg(long, requires = "run_dir")]
    pub(crate) resume_or_start: bool,

    /// Print lines on a terminal too, instead of the live screen
    #[arg(long)]
    pub(crate) plain: bool,
}

const RESUME_EXAMPLES: &str = "\
Examples:
  vapo resume runs/vapo-001                            # after Ctrl-C, a crash or a power failure
  vapo resume runs/vapo-001 --set run.steps=300        # train a finished run further

A resumed run gives the same metrics and weights, byte for byte, as one that was never interrupted. Steps since the last checkpoint (checkpoint.every, checkpoint.every_minutes) are repeated. A damaged checkpoint is recognized by its checksums, and the one before it is used.";

/// Continue a run from its newest checkpoint
#[derive(Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub(crate) struct ResumeArgs {
    /// Directory of the run
    pub(crate) run: PathBuf,

    /// Override a setting of the run's config (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,

    /// Stop with a checkpoint when standard input is closed (for programs that start runs)
    #[arg(long)]
    pub(crate) supervised: bool,

    /// Print lines on a terminal too, instead of the live screen
    #[arg(long)]
    pub(crate) plain: bool,
}

/// The model and its settings.
#[derive(Args)]
pub(crate) struct ModelArgs {
    /// A run (its newest checkpoint), a checkpoint, or a Hugging Face directory [default: the base model of the config]
    #[arg(long, short, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,

    /// Config file for task, verifier and prompt template [default: the config the model was trained with, otherwise the built-in one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Override a setting of that config (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

/// How to sample; the default of each option comes from `[eval]` in the config.
#[derive(Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplingArgs {
    /// Softmax temperature; 0: always the most likely token
    #[arg(long, allow_negative_numbers = true)]
    temperature: Option<f64>,

    /// Sample among the k most likely tokens
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,

    /// Sample among the most likely tokens whose total probability is P
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f64>,

    /// Drop tokens less likely than this share of the most likely one
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    min_p: Option<f64>,

    /// Maximum length of a response in tokens
    #[arg(long, value_name = "TOKENS")]
    max_new_tokens: Option<usize>,

    /// Seed of the samples: the same seed gives the same samples
    #[arg(long)]
    seed: Option<u64>,

    /// Number of threads; 0: one per core. Does not change the samples
    #[arg(long)]
    threads: Option<usize>,
}

impl SamplingArgs {
    /// The given options as `key=value` entries of a config, so that ranges are checked in one place.
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
  vapo eval                                            # built-in base model and task
  vapo eval --model runs/vapo-001                      # newest checkpoint, its held-out problems
  vapo eval --model runs/vapo-001 -n 1 --temperature 0 # greedy
  vapo eval --model runs/vapo-001/checkpoints/step-000080 -n 64 --json
  vapo eval --model SmolLM2-135M-Instruct --data problems.jsonl -n 4 \\
      --set 'data.prompt_template=\"Q: {problem}\\nA:\"' --set 'rollout.stop_strings=[\"\\n\"]'
  vapo eval --model DIR --config configs/aime2024.toml # AIME 2024 as measured by VAPO and DAPO

Means over problems: avg@n, the share of right samples; pass@k, the probability that at least one of k samples is right (unbiased); maj@k, the probability that the most frequent answer of k samples is right. Brackets hold 95 % bootstrap intervals over problems. Samples depend only on weights, settings and seed, so with equal settings two evaluations differ only because of the weights. More: docs/evaluation.md";

/// Measure the held-out accuracy of a base model or a checkpoint
#[derive(Args)]
#[command(after_help = EVAL_EXAMPLES)]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// JSONL file of problems (`prompt`, `problem` or `question`, and `answer`), instead of the config's
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,

    /// Maximum number of problems, spread evenly over the set
    #[arg(long, value_name = "COUNT")]
    pub(crate) problems: Option<usize>,

    /// Samples per problem
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub(crate) samples: Option<usize>,

    /// A verifier's name, or any value of `reward.verifier`
    #[arg(long, value_name = "VERIFIER")]
    pub(crate) verifier: Option<String>,

    /// Run the program, or ask the server, that the config of the model's run names as its verifier
    #[arg(long)]
    pub(crate) allow_verifier: bool,

    /// Prompt template, with `{problem}` for the problem's text
    #[arg(long, value_name = "TEXT")]
    pub(crate) template: Option<String>,

    /// Write every problem with its samples and verdicts to this new file (JSON lines)
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
  vapo verify answers.jsonl                            # with `math`
  vapo verify answers.jsonl --verifier numeric --json
  vapo verify answers.jsonl --verifier '{ kind = \"math\", rule = \"boxed\" }' --list
  vapo verify answers.jsonl --config my.toml           # with the reward of a run

A row has `gold` (or `answer`) and `response` (or `pred`), a complete response or only an answer; if it also has `expected` (true or false), agreement is counted. Rows with only `text` and `expected` check which answer is extracted. --json prints {\"rows\", \"agree\", \"disagree\", \"failed\", \"rows_per_sec\"}; agree and disagree are null if no row has `expected`. A row on which the verifier failed counts only as failed.";

/// Grade the answers in a file and compare with the expected verdicts
#[derive(Args)]
#[command(after_help = VERIFY_EXAMPLES)]
pub(crate) struct VerifyArgs {
    /// Rows of answers (JSON lines)
    pub(crate) file: PathBuf,

    /// A verifier's name, or any value of `reward.verifier` [default: the config's, otherwise math]
    #[arg(long, value_name = "VERIFIER")]
    pub(crate) verifier: Option<String>,

    /// Config file whose reward is used
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Override a setting of that config (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,

    /// List every row that disagrees or failed, not only the first 20 (with --json, on stderr)
    #[arg(long)]
    pub(crate) list: bool,

    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,

    /// Number of threads; 0: one per core. Does not change the verdicts
    #[arg(long)]
    pub(crate) threads: Option<usize>,
}

const GENERATE_EXAMPLES: &str = "\
Examples:
  vapo generate --model SmolLM2-135M-Instruct          # a chat; /help lists its commands
  vapo generate                                        # the built-in model: a line is a prompt
  vapo generate --model SmolLM2-135M-Instruct --chat 'What is 7 + 5?'
  vapo generate --model runs/vapo-001 '7a+5b*3c+2d*4:' # one prompt, one response
  vapo generate --model runs/vapo-001 -n 8 --temperature 0.7 '7a+5b*3c+2d*4:' '1a*9b+2c*6d+3:'
  vapo generate --file prompts.txt --json > out.jsonl  # a line per prompt, an object per response
  cat prompts.txt | vapo generate --json               # the same

A .jsonl file holds one object per line with `prompt`, `problem` or `question`. Prompts use the templates the model was trained with (data.prompt_template and data.chat of its config); --chat uses the chat template, --raw no template.
In a terminal, a model with a chat template starts a multi-turn chat. The conversation is kept as tokens: text is never tokenized again.";

/// Sample responses to prompts, or chat with a model
#[derive(Args)]
#[command(after_help = GENERATE_EXAMPLES)]
pub(crate) struct GenerateArgs {
    /// Prompts [default: lines of stdin, or a conversation if stdin is a terminal]
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

    /// Use no template: the model continues the text itself
    #[arg(long)]
    pub(crate) raw: bool,

    /// Use the model's chat template (data.chat = "always")
    #[arg(long, conflicts_with = "raw")]
    pub(crate) chat: bool,

    /// System message of the chat template (data.system_prompt)
    #[arg(long, value_name = "TEXT", conflicts_with = "raw")]
    pub(crate) system: Option<String>,

    /// Answer the lines of stdin one after the other, as in a terminal, even if they come from a pipe
    #[arg(short, long, conflicts_with_all = ["prompts", "file", "samples"])]
    pub(crate) interactive: bool,

    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
}

const SCORE_EXAMPLES: &str = "\
Examples:
  vapo score --model SmolLM2-135M-Instruct --data texts.jsonl > scores.jsonl
  vapo score --model runs/vapo-001 --critic runs/vapo-001 --data texts.jsonl
  vapo generate --model runs/vapo-001 --json '7a+5b*3:' > samples.jsonl
  vapo score --model runs/vapo-001 --data samples.jsonl   # the same log-probs

Input: a JSON object per line with `prompt` and `response`. The two are tokenized separately, as in a rollout, and no token is added: write the beginning-of-sequence token in the prompt and the end token in the response, if they are needed. `prompt_tokens` and `response_tokens` (lists of ids) are used unchanged and override the texts.
Output: an object per row, in order, about the tokens of the response: tokens, logprobs (in nats, given all tokens before), and with --critic values (of the state before each token, bounded by critic.bound of a run's critic).";

/// Compute log-probs and critic values for the tokens of given texts
#[derive(Args)]
#[command(after_help = SCORE_EXAMPLES)]
pub(crate) struct ScoreArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// JSONL file of prompts and responses; `-` for stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,

    /// A run, a checkpoint, or a critic's directory, to add values
    #[arg(long, value_name = "DIR")]
    pub(crate) critic: Option<PathBuf>,

    /// Softmax temperature of the distribution
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub(crate) temperature: f64,

    /// Write to this new file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// Number of threads; 0: one per core. Does not change the results
    #[arg(long, default_value_t = 0, value_parser = at_most(MAX_THREADS))]
    pub(crate) threads: usize,
}

const IMPORT_EXAMPLES: &str = "\
Examples:
  vapo import SmolLM2-135M-Instruct.Q4_1.gguf models/smollm2
  vapo import model.gguf models/mine --dtype bfloat16  # half the size

Weights are dequantized (F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K); tokenizer and chat template are rebuilt from the file's metadata. transformers can load the directory too.";

/// Convert a GGUF file to a Hugging Face directory
#[derive(Args)]
#[command(after_help = IMPORT_EXAMPLES)]
pub(crate) struct ImportArgs {
    /// GGUF file of a Llama, Qwen2 or Qwen3 model
    #[arg(value_name = "MODEL.gguf")]
    pub(crate) file: PathBuf,

    /// New directory for the model
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,

    /// Type of the weights to write
    #[arg(long, default_value = "float32")]
    pub(crate) dtype: Dtype,
}

const PLAN_EXAMPLES: &str = "\
Examples:
  vapo plan                                            # the built-in run
  vapo plan configs/smollm2-arithmetic.toml --response-tokens 3
  vapo plan configs/dapo-math-qwen2.5-32b.toml --json  # needs neither weights nor data

Prints parameters, peak memory by part, and tokens, floating-point operations and time of each stage of a step. Memory is counted for responses of maximum length, work for responses of --response-tokens. Prompts are counted with the model's tokenizer; if the problems or the tokenizer are missing, --prompt-tokens gives their length. The time is an estimate: a reduced model (same width, at most 20 M weights) is trained and sampled for a few seconds on this machine, and every stage is assumed to run at the rate in FLOP/s measured for its kind of work.";

/// Estimate parameters, memory, work and time of a config, without loading weights
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

    /// Skip the measurement of time
    #[arg(long)]
    pub(crate) no_timing: bool,

    /// Plan a run on so many ranks, each a machine like this one
    #[arg(long, value_name = "RANKS", default_value_t = 1, value_parser = RangedU64ValueParser::<usize>::new().range(1..=4096))]
    pub(crate) ranks: usize,

    /// Bandwidth between two machines, each way (`vapo bench --link` measures it)
    #[arg(long, value_name = "GBIT_PER_SEC", default_value_t = 10.0)]
    pub(crate) network: f64,

    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

const BENCH_EXAMPLES: &str = "\
Examples:
  vapo bench                                           # a small model on one thread
  vapo bench --shape m2 --threads 0                    # SmolLM2-135M's shape on all cores
  vapo bench --model path/to/model --json              # your model's shape, as one JSON object";

/// Measure training, decoding and prefill speed on this machine.
///
/// Every rate is the median of several rounds. Shares are of one core's peak rate of fused multiply-adds, measured
/// immediately before and after each round, so they are meaningful even on a busy machine, unlike rates.
#[derive(Args)]
#[command(after_help = BENCH_EXAMPLES)]
pub(crate) struct BenchArgs {
    /// A standard shape and its work.
    #[arg(long, value_enum, default_value_t = BenchShape::M1, conflicts_with = "model")]
    pub(crate) shape: BenchShape,
    /// Use the shape in this Hugging Face directory's config.json instead (with random weights).
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Type of the weights.
    #[arg(long, value_enum, default_value_t = Dtype::Float32)]
    pub(crate) dtype: Dtype,
    /// Number of sequences sampled at once, instead of the shape's default.
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub(crate) batch: Option<usize>,
    /// Number of threads; 0 for all cores.
    #[arg(long, default_value_t = 1, value_parser = at_most(MAX_THREADS))]
    pub(crate) threads: usize,
    /// Rounds of each measurement.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Measure the connection between the ranks that a launcher has started instead (mpirun, srun, torchrun).
    #[arg(long)]
    pub(crate) link: bool,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The shapes used for comparing speed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BenchShape {
    /// 4.6 M parameters: vocabulary 512, width 256, 6 layers, 4 heads of 64, 2 kv heads, ffn 704.
    M1,
    /// SmolLM2-135M's shape: vocabulary 49152, width 576, 30 layers, 9 heads of 64, 3 kv heads, ffn 1536.
    M2,
}

const DOCTOR_EXAMPLES: &str = "\
Examples:
  vapo doctor runs/vapo-001                            # is everything there, in order and undamaged?
  vapo doctor runs/vapo-001 --replay 5                 # do 5 steps give the same bytes again?
  vapo doctor runs/vapo-001 --replay 5 --from 40       # the same from the checkpoint of step 40
  vapo doctor runs/vapo-001/dumps/policy-step-000012   # repeat an update whose gradient was not finite

Checks the order of rows, the files of evaluations, the checksums of checkpoints, and the summary. Nothing in the run directory is changed. --replay trains a copy in a temporary directory next to the run, with the settings of the checkpoint that it begins with, and reports the first difference in rows (time fields aside), evaluations, and weights and moments where the run has a checkpoint at the end of these steps.
Exit code 1: something is damaged, or a repetition differs.";

/// Check a run directory, and repeat steps of the run
#[derive(Args)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// Directory of a run, or a dump of an update
    pub(crate) path: PathBuf,

    /// Repeat this many steps and compare them with what the run recorded
    #[arg(long, value_name = "STEPS", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    pub(crate) replay: Option<u64>,

    /// Step of the checkpoint to begin with; 0: the start of the run [default: the oldest checkpoint]
    #[arg(long, value_name = "STEP", requires = "replay")]
    pub(crate) from: Option<u64>,

    /// Run the program, or ask the server, that the run's config names as its verifier
    #[arg(long, requires = "replay")]
    pub(crate) allow_verifier: bool,
}

#[cfg(feature = "dash")]
const DASH_EXAMPLES: &str = "\
Examples:
  vapo dash                                            # all runs below runs, at http://127.0.0.1:8276/
  vapo dash runs/vapo-001                              # one run
  vapo dash studies/paper --port 0                     # a study, at any free port
  ssh -L 8276:localhost:8276 HOST vapo dash            # runs on another machine, seen on this one
  vapo dash --address 0.0.0.0                          # reachable from other machines, with a token

Follows runs while they train, and changes nothing. Everything that the pages need is in the program: nothing is loaded from elsewhere. More: docs/dashboard.md";

/// Serve web pages about runs, and follow runs that train
#[cfg(feature = "dash")]
#[derive(Args)]
#[command(after_help = DASH_EXAMPLES)]
pub(crate) struct DashArgs {
    /// Directory of runs, of one run, or of a study
    #[arg(default_value = "runs")]
    pub(crate) runs: PathBuf,

    /// Port; 0: any free one
    #[arg(long, default_value_t = 8276)]
    pub(crate) port: u16,

    /// Address to listen on; an address that other machines reach requires a token
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) address: std::net::IpAddr,

    /// Show pages only to those who know this word; `random` makes one [default: none on loopback, otherwise random]
    #[arg(long)]
    pub(crate) token: Option<String>,
}

const SHOW_EXAMPLES: &str = "\
Examples:
  vapo show runs/vapo-001                              # the story of a run, also while it trains
  vapo show runs/vapo-001 --json                       # the same for programs
  vapo show runs/vapo-001 --step 120                   # the prompts of a recorded step, with pass rates
  vapo show runs/vapo-001 --step 120 --prompt 1913     # the responses to one of them, token by token
  vapo show runs/vapo-001 --step 120 --prompt 1913 --by value

Without --step: what the run is and what it cost, curves, milestones, alarms with their explanation, the settings in which it departs from its preset, and the best and the worst rollouts of the newest recorded step. Nothing is changed, and what cannot be read is reported.

Tokens are colored by --by, and the critic's value is drawn under them. Without colors (NO_COLOR, a pipe), the tokens where it stands out are put between signs and listed with their numbers. Which steps are recorded: records.every, records.groups, records.keep; more in docs/records.md";

/// Show the story of a run, or its recorded rollouts token by token
#[derive(Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub(crate) struct ShowArgs {
    /// Directory of the run
    pub(crate) run: PathBuf,

    /// A recorded step, instead of the story
    #[arg(long)]
    pub(crate) step: Option<u64>,

    /// A prompt of the step, by its prompt_id
    #[arg(long, value_name = "PROMPT_ID", requires = "step")]
    pub(crate) prompt: Option<u64>,

    /// What tokens are colored by
    #[arg(long, value_enum, default_value_t = ShownQuantity::Advantage, requires = "prompt")]
    pub(crate) by: ShownQuantity,

    /// Print the story as JSON
    #[arg(long, conflicts_with = "step")]
    pub(crate) json: bool,
}

/// What tokens can be colored by.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ShownQuantity {
    Advantage,
    Value,
    Logp,
    Entropy,
    Ratio,
    Return,
    Clip,
}

impl ShownQuantity {
    pub(crate) fn quantity(self) -> Quantity {
        match self {
            Self::Advantage => Quantity::Advantage,
            Self::Value => Quantity::Value,
            Self::Logp => Quantity::Logprob,
            Self::Entropy => Quantity::Entropy,
            Self::Ratio => Quantity::Ratio,
            Self::Return => Quantity::Return,
            Self::Clip => Quantity::Clip,
        }
    }
}

const COMPARE_EXAMPLES: &str = "\
Examples:
  vapo compare runs/vapo-001 runs/grpo-001
  vapo compare runs/*                                  # as many as there are; those that do not fit come below
  vapo compare runs/vapo-001 runs/grpo-001 --json

Reward, length, entropy, explained variance and clip share are means over the last tenth of the steps of policy training. CPU time is that of training, without evaluations and checkpoints.";

/// Show runs side by side, and the settings in which they differ
#[derive(Args)]
#[command(after_help = COMPARE_EXAMPLES)]
pub(crate) struct CompareArgs {
    /// Directories of the runs
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,

    /// Print the comparison as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(feature = "dash")]
const REPORT_EXAMPLES: &str = "\
Examples:
  vapo report runs/vapo-001                            # report.html
  vapo report runs/vapo-001 -o vapo-001.html

The file has everything in it: the story of the run, its curves, what its critic sees, and 20 rollouts token by token. It needs no network and no server. More: docs/dashboard.md";

/// Put a run's story, pictures and some rollouts into one file, to send to somebody
#[cfg(feature = "dash")]
#[derive(Args)]
#[command(after_help = REPORT_EXAMPLES)]
pub(crate) struct ReportArgs {
    /// Directory of a run
    pub(crate) run: PathBuf,

    /// The file
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    pub(crate) out: PathBuf,
}

const PRETRAIN_EXAMPLES: &str = "\
Examples:
  vapo pretrain --out base                             # the built-in base model, byte for byte
  vapo pretrain --out walk-base --task walk            # one for another built-in task
  vapo train --set data.task=walk --set model.path=walk-base

A base model learns from demonstrations that are often wrong: it learns the format of answers and is sometimes right, which is what reinforcement learning needs. Options without a default use the values of the task's built-in base model. The same settings give the same bytes on any machine and with any number of threads.";

/// Reproduce the built-in base model, or make a similar one
#[derive(Args)]
#[command(after_help = PRETRAIN_EXAMPLES)]
pub(crate) struct PretrainArgs {
    /// New directory for the model
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,

    /// Built-in task: chain, recall or walk
    #[arg(long, default_value = "chain")]
    pub(crate) task: String,

    /// Optimizer updates
    #[arg(long, value_name = "COUNT")]
    pub(crate) updates: Option<u64>,

    /// Demonstrations per update, each used once
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

    /// Number of threads; 0: one per core. Does not change the result
    #[arg(long, default_value_t = 0, value_parser = at_most(MAX_THREADS))]
    pub(crate) threads: usize,
}

const ABLATE_EXAMPLES: &str = "\
Examples:
  vapo ablate configs/studies/smoke.toml               # two arms, two seeds, a few seconds
  vapo ablate configs/studies/paper.toml               # starts or continues the paper's table 1
  vapo ablate configs/studies/paper.toml --report      # tables and curves of the results so far

A study file defines base settings, arms and seeds; see docs/studies.md. Each run is a separate process with an ordinary run directory. README.md, report.json and curves (SVG) are in the study's directory.

Ctrl-C once: every run writes a checkpoint, and the exit code is 75. Twice: stops immediately; the runs still write their checkpoints.";

/// Compare methods over several seeds at equal budgets, with intervals and curves
#[derive(Args)]
#[command(after_help = ABLATE_EXAMPLES)]
pub(crate) struct AblateArgs {
    /// Study file (TOML)
    pub(crate) study: PathBuf,

    /// Directory of the study [default: studies/NAME]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Number of concurrent runs [default: the number of cores divided by run.threads (1 in a study)]
    #[arg(long, value_name = "COUNT", value_parser = at_most(MAX_THREADS))]
    pub(crate) jobs: Option<usize>,

    /// Only report the results so far
    #[arg(long)]
    pub(crate) report: bool,

    /// Resume crashed runs from their newest checkpoint
    #[arg(long)]
    pub(crate) retry_crashed: bool,
}
