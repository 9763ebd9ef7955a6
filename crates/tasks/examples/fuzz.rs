//! A mutation fuzzer for the math verifier: answers from a corpus are cut, joined and mutated by a seeded generator.
//!
//! `cargo run --release -p vapo-tasks --example fuzz -- [--minutes 60] [--seed 1] [--corpus DIR] [--findings DIR]`
//!
//! Each pair of texts must get the same verdict twice, without a panic and within the time limit; a text that reads as
//! an answer must equal itself; and a comparison must not depend on the order. Texts that break a rule are written to the
//! findings folder, one file each; move them to the corpus, where a test replays them.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use vapo_tasks::math::{self, Equality, Rounding, Rule};
use vapo_tasks::{Random, Stream};

/// No verdict may take longer.
const TIME_BOUND: Duration = Duration::from_millis(10);
/// A slow verdict is timed this many times, because the machine may have been busy.
const RETRIES: usize = 30;

const RULES: [Rule; 6] = [Rule::Auto, Rule::Boxed, Rule::AnswerLine, Rule::Dapo, Rule::Hashes, Rule::LastExpression];

/// Fragments with a meaning for the parser.
const PIECES: &[&str] = &[
    "0",
    "1",
    "2",
    "10",
    "007",
    "1,234",
    "1{,}000",
    "3.14",
    ".5",
    "1e5",
    "-",
    "+",
    "*",
    "/",
    "^",
    "_",
    "!",
    "%",
    "=",
    "<",
    ">",
    "\\le ",
    "\\ne ",
    "\\in ",
    "\\cup ",
    "\\cap ",
    "\\setminus ",
    "\\pm ",
    "\\mp ",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "\\{",
    "\\}",
    "|",
    ",",
    ";",
    ":",
    "$",
    "\\(",
    "\\)",
    "\\[",
    "\\]",
    "\\\\",
    "&",
    "\\frac{1}{2}",
    "\\frac",
    "\\sqrt",
    "\\sqrt[3]{",
    "\\binom{5}{2}",
    "\\pi ",
    "e",
    "i",
    "x",
    "y",
    "n",
    "\\theta ",
    "\\infty ",
    "\\sin ",
    "\\cos^2 ",
    "\\log_2 ",
    "\\ln ",
    "\\sum_{k=0}^{n} ",
    "\\lim_{x \\to 0} ",
    "\\begin{pmatrix}",
    "\\end{pmatrix}",
    "\\begin{array}{cc}",
    "\\end{array}",
    "\\text{ cm}",
    "\\text{",
    "\\mathrm{",
    "\\boxed{",
    "\\fbox{",
    "\\left",
    "\\right",
    "\\quad",
    "\\!",
    "\\,",
    "\\%",
    "\\$",
    "^\\circ",
    "°",
    "²",
    "√",
    "½",
    "\u{2212}",
    "答",
    "é",
    "\u{0}",
    "\u{c}",
    "\n",
    " ",
    "and",
    "or",
    "Answer:",
    "the answer is ",
    "####",
    "</think>",
    "<|im_end|>",
    "degrees",
    "dollars",
    "(C)",
    "\\overline{3}",
    "0.\\overline{",
    "999!",
    "2^{10^{9}}",
    "9^{9^{9^{9}}}",
    "\\mathbb{R}",
    "\\emptyset",
    "f(x)",
    "AB",
    "a.m.",
    "12:30",
    "10001_2",
    "\\choose ",
    "\\pmod{7}",
    "<answer>",
    "</answer>",
    "<think>",
    "the correct option is ",
    "Option C is correct",
    "答案：",
    "故选C",
    "三分之一",
    "百分之",
    "二十万",
    "平方厘米",
    "或",
    "million",
    " dozen",
    "two hundred and ",
    "thirty-",
    " halves",
    "at most ",
    "not ",
    " when ",
    ", as ",
    " is ",
    "(approx)",
    "k\\in\\mathbb{Z}",
    "C_8^3",
    "P(8,3)",
    "\\Gamma(",
    "(n+1)!",
    "^{\\text{th}}",
    "nd",
    "a_nb_n",
    "x^*",
    "0.(6)",
    "0.166\\ldots",
    "...",
    "\\begin{vmatrix}",
    "\\end{vmatrix}",
    "^T",
    "\\\\[6pt]",
    "['8']",
    "u=3, v=8; ",
    "|x|<",
    "-2x<",
    "(1101)_2",
    "FF_{16}",
    " to ",
    "m/s",
    "s^{-1}",
    "square ",
    "USD ",
    "€",
    "{:}",
    "no solution",
    "all real numbers",
];

fn main() {
    let options = Options::parse();
    let corpus = read_corpus(&options.corpus);
    let deadline = Instant::now() + Duration::from_secs(60 * options.minutes);
    let (mut tried, mut found, mut slowest) = (0_u64, 0_u64, Duration::ZERO);
    std::panic::set_hook(Box::new(|_| {}));
    while Instant::now() < deadline {
        let mut random = Random::keyed(options.seed, Stream::TestCase, &[tried]);
        let left = mutated(&corpus, &mut random);
        // Half of the pairs are similar, so that comparisons go deep.
        let right = if random.below(2) == 0 { bent(&left, &mut random) } else { mutated(&corpus, &mut random) };
        tried += 1;
        let checked = catch_unwind(|| check(&left, &right)).unwrap_or_else(|_| Err("a panic".to_owned()));
        match checked {
            Ok(took) => slowest = slowest.max(took),
            Err(reason) => {
                found += 1;
                eprintln!("finding {found} (seed {}, number {}): {reason}", options.seed, tried - 1);
                keep(&options.findings, options.seed, tried - 1, &left, &right);
            }
        }
        if tried % 1_000_000 == 0 {
            println!("{tried} pairs, {found} findings, slowest verdict {slowest:?}");
        }
    }
    println!(
        "{tried} pairs in {} minutes from seed {}, {found} findings, slowest verdict {slowest:?}",
        options.minutes, options.seed
    );
    if found > 0 {
        std::process::exit(1);
    }
}

/// Tries all rules on a pair; returns the slowest verdict's time, or the rule that was broken.
fn check(left: &str, right: &str) -> Result<Duration, String> {
    let verdict = timed(|| math::compare(left, right))?;
    let (equality, mut slowest) = verdict;
    if math::compare(left, right) != equality {
        return Err("a second verdict differs".to_owned());
    }
    if (math::compare(right, left) == Equality::Equal) != (equality == Equality::Equal) && bare(left) && bare(right) {
        return Err("the order matters".to_owned());
    }
    if math::check_gold(left).is_ok() && math::compare(left, &format!(" {left}")) != Equality::Equal {
        return Err("not equal to itself".to_owned());
    }
    for rule in RULES {
        let (verdict, took) = timed(|| math::grade(rule, Rounding::Strict, left, right))?;
        slowest = slowest.max(took);
        if verdict.score().is_none() {
            return Err(format!("{rule:?} failed: {verdict:?}"));
        }
    }
    Ok(slowest)
}

/// Whether a text is a single bare answer without an announcement. For other texts the order may matter: an answer may
/// repeat items of a list that the reference answer does not repeat, and only an answer is reduced to the value in which a
/// chain of equalities ends.
fn bare(text: &str) -> bool {
    let separators = [",", ";", "&", "\\\\", "and", "or", "quad", "\n", "pm", "mp", "=", "approx", "equiv", "或", "和"];
    !separators.iter().any(|separator| text.contains(separator))
        && math::extract(text, Rule::Auto).is_some_and(|answer| answer == text)
}

/// Runs once, or until one run is within the limit: a busy machine is not a finding.
fn timed<T: Send>(run: impl Fn() -> T + std::panic::RefUnwindSafe) -> Result<(T, Duration), String> {
    let mut fastest = Duration::MAX;
    for _ in 0..RETRIES {
        let start = Instant::now();
        let result = catch_unwind(&run).map_err(|_| "a panic".to_owned())?;
        fastest = fastest.min(start.elapsed());
        if fastest <= TIME_BOUND {
            return Ok((result, fastest));
        }
    }
    Err(format!("a verdict takes {fastest:?}"))
}

/// A text made from one or two texts of the corpus, mutated a few times.
fn mutated(corpus: &[String], random: &mut Random) -> String {
    let mut text = corpus[random.below(corpus.len() as u64) as usize].clone();
    if random.below(3) == 0 {
        text += &corpus[random.below(corpus.len() as u64) as usize];
    }
    for _ in 0..random.below(6) {
        text = bent(&text, random);
    }
    text
}

/// A text after one edit: a fragment inserted; a span deleted, duplicated or moved; or a character replaced.
fn bent(text: &str, random: &mut Random) -> String {
    let at = boundary(text, random);
    let other = boundary(text, random);
    let (start, end) = (at.min(other), at.max(other));
    let piece = random.pick(PIECES);
    match random.below(8) {
        0..=2 => format!("{}{piece}{}", &text[..at], &text[at..]),
        3 => format!("{}{}", &text[..start], &text[end..]),
        4 => format!("{}{}{}", &text[..end], &text[start..end], &text[end..]),
        5 => format!("{}{piece}{}", &text[..start], &text[end..]),
        6 if end - start < 40 => {
            format!("{}{}{}", &text[..start], text[start..end].repeat(1 + random.below(200) as usize), &text[end..])
        }
        _ => format!("{piece}{text}{}", random.pick(PIECES)),
    }
}

fn boundary(text: &str, random: &mut Random) -> usize {
    let mut at = random.below(text.len() as u64 + 1) as usize;
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The lines of all files in a folder, and initial fragments.
fn read_corpus(folder: &Path) -> Vec<String> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).map_or(vec![], |entries| entries.flatten().map(|entry| entry.path()).collect());
    paths.sort();
    let files = paths.iter().filter_map(|path| std::fs::read(path).ok());
    let mut corpus: Vec<String> = PIECES.iter().map(|piece| (*piece).to_owned()).collect();
    corpus
        .extend(files.flat_map(|bytes| String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect::<Vec<_>>()));
    corpus
}

fn keep(folder: &Path, seed: u64, number: u64, left: &str, right: &str) {
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(folder.join(format!("{seed}-{number}.left")), left))
        .and_then(|()| std::fs::write(folder.join(format!("{seed}-{number}.right")), right));
    if let Err(error) = written {
        eprintln!("cannot write to {}: {error}", folder.display());
    }
}

struct Options {
    minutes: u64,
    seed: u64,
    corpus: PathBuf,
    findings: PathBuf,
}

impl Options {
    fn parse() -> Options {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let mut options =
            Options { minutes: 1, seed: 1, corpus: tests.join("corpus"), findings: PathBuf::from("findings") };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let Some(value) = arguments.next() else { usage() };
            match name.as_str() {
                "--minutes" => options.minutes = value.parse().unwrap_or_else(|_| usage()),
                "--seed" => options.seed = value.parse().unwrap_or_else(|_| usage()),
                "--corpus" => options.corpus = value.into(),
                "--findings" => options.findings = value.into(),
                _ => usage(),
            }
        }
        options
    }
}

fn usage() -> ! {
    eprintln!("usage: fuzz [--minutes N] [--seed N] [--corpus DIR] [--findings DIR]");
    std::process::exit(2);
}
