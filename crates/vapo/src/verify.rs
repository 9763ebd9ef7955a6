//! `vapo verify`: verdicts on given answers, compared with expected verdicts.

mod row;

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    ops::ControlFlow,
    path::Path,
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use vapo_tasks::{Reward, Verdict, parallel_map};
use vapo_train::threads;

use crate::{
    args::VerifyArgs,
    config,
    format::{count, grouped, percent, printable, short},
    interrupt,
};

use row::{Expected, Row};

/// Maximum bytes per row.
const MAX_ROW_BYTES: u64 = 64 << 20;
/// Maximum rows and bytes in memory at once.
const BLOCK_ROWS: usize = 1 << 14;
const BLOCK_BYTES: usize = 64 << 20;
/// Rows that a thread takes at a time if verdicts take microseconds.
const CHUNK: usize = 64;
/// Rows listed by default.
const LISTED: usize = 20;
/// Characters of an answer shown in a list.
const SHOWN_CHARS: usize = 60;

/// Grades a file's rows and prints how many agree.
pub(crate) fn run(args: VerifyArgs) -> Result<()> {
    let config = config::load(args.config.as_deref(), &overrides(&args))?;
    let reward = Reward::new(&config.reward.verifier)?;
    interrupt::end_at_a_signal()?;
    let cannot_read = || format!("cannot read {}", args.file.display());
    let mut file = BufReader::new(File::open(&args.file).with_context(cannot_read)?);
    let path = Arc::from(args.file.as_path());
    let begun = Instant::now();
    let mut tally = Tally::default();
    let threads = threads(&config).max(reward.graded_at_once());
    loop {
        let block = read_block(&mut file, tally.lines).with_context(cannot_read)?;
        if block.is_empty() {
            break;
        }
        tally.lines += block.len();
        for judged in judge_block(&block, &path, &reward, threads) {
            let judged = judged.map_err(|(line, error)| anyhow!("{}, row {line}: {error}", args.file.display()))?;
            tally.add(judged, if args.list { usize::MAX } else { LISTED });
        }
    }
    if tally.rows == 0 {
        bail!("{} has no rows", args.file.display());
    }
    let rate = tally.rows as f64 / begun.elapsed().as_secs_f64();
    if args.json {
        if args.list {
            eprint!("{}", tally.list());
        }
        println!("{}", tally.to_json(rate));
        return Ok(());
    }
    let names: Vec<String> = config.reward.verifier.iter().map(|term| format!("`{}`", term.name())).collect();
    let text = tally.to_text(&args.file, &names.join(", "), rate);
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn overrides(args: &VerifyArgs) -> Vec<String> {
    let default = (args.config.is_none() && args.verifier.is_none()).then_some("math");
    let verifier = args.verifier.as_deref().or(default).map(|verifier| format!("reward.verifier={verifier}"));
    let threads = args.threads.map(|threads| format!("run.threads={threads}"));
    verifier.into_iter().chain(threads).chain(args.overrides.iter().cloned()).collect()
}

/// Lines of a file with their numbers, from 1.
type Block = Vec<(usize, Vec<u8>)>;

/// The next lines; `None` at the end.
fn read_block(file: &mut impl BufRead, lines_before: usize) -> Result<Block> {
    let (mut block, mut bytes) = (Block::new(), 0);
    while block.len() < BLOCK_ROWS && bytes < BLOCK_BYTES {
        let number = lines_before + block.len() + 1;
        let mut line = Vec::new();
        if file.by_ref().take(MAX_ROW_BYTES).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.len() as u64 == MAX_ROW_BYTES {
            bail!("row {number} has {MAX_ROW_BYTES} bytes or more");
        }
        bytes += line.len();
        block.push((number, line));
    }
    Ok(block)
}

/// A row's verdict, or its number and what is wrong with it.
type Outcome = Result<Judged, (usize, String)>;

/// Grades the rows that are not blank, in order.
fn judge_block(block: &Block, path: &Arc<Path>, reward: &Reward, threads: usize) -> Vec<Outcome> {
    let chunk = if reward.graded_at_once() > 0 { reward.graded_together() } else { CHUNK };
    let parts: Vec<&[(usize, Vec<u8>)]> = block.chunks(chunk).collect();
    let judge_part = |part: usize| -> Vec<Outcome> {
        let filled = parts[part].iter().filter(|(_, line)| !line.trim_ascii().is_empty());
        let parse = |(number, line): &(usize, Vec<u8>)| {
            Row::parse((path, *number), line, reward).map_err(|error| (*number, error))
        };
        judge(filled.map(parse).collect(), reward)
    };
    let judged = parallel_map(parts.len(), threads, judge_part, |_| ControlFlow::Continue(()));
    judged.unwrap_or_default().into_iter().flatten().collect()
}

/// Grades rows together, except those that name a verifier of their own.
fn judge(rows: Vec<Result<Row, (usize, String)>>, reward: &Reward) -> Vec<Outcome> {
    let common = rows.iter().flatten().filter(|row| row.own.is_none()).map(Row::attempt);
    let mut graded = reward.grade_all(&common.collect::<Vec<_>>()).into_iter();
    let judged = |row: Result<Row, _>| {
        let row = row?;
        let own = row.own.as_ref().map(|own| own.grade(&row.problem, row.attempt().response));
        let grade = own.or_else(|| graded.next()).expect("a grade for each row");
        let Row { number, problem, text, expected, .. } = row;
        Ok(Judged { number, gold: problem.answer, text, expected, verdict: grade.verdict })
    };
    rows.into_iter().map(judged).collect()
}

/// A row with its verdict.
struct Judged {
    number: usize,
    gold: String,
    text: String,
    expected: Option<Expected>,
    verdict: Verdict,
}

impl Judged {
    /// Whether the verdict is the expected one; `None` if nothing is expected or the verifier failed.
    fn agrees(&self) -> Option<bool> {
        let is_malformed = matches!(self.verdict, Verdict::Malformed { .. });
        match (&self.verdict, self.expected?) {
            (Verdict::Failed { .. }, Expected::Right(_)) => None,
            (_, Expected::Right(right)) => Some(self.verdict.is_correct() == right),
            // Without a reference answer, the verifier fails on any answer that it can read.
            (_, Expected::NoAnswer) => Some(is_malformed),
        }
    }

    fn failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failed { .. }) && self.expected != Some(Expected::NoAnswer)
    }

    fn describe(&self) -> String {
        let expected = match self.expected {
            None => String::new(),
            Some(Expected::Right(true)) => ", expected right".to_owned(),
            Some(Expected::Right(false)) => ", expected wrong".to_owned(),
            Some(Expected::NoAnswer) => ", expected no answer".to_owned(),
        };
        let reason = self.verdict.reason().map_or(String::new(), |reason| format!(" ({reason})"));
        let (gold, text, name) = (excerpt(&self.gold), excerpt(&self.text), self.verdict.name());
        format!("  row {}: gold {gold}, answer {text}: {name}{reason}{expected}\n", self.number)
    }
}

/// The end of a text on one line, because that is where answers are.
fn excerpt(text: &str) -> String {
    let line: Vec<char> = printable(text).chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    let start = line.len().saturating_sub(SHOWN_CHARS);
    let dots = if start > 0 { "..." } else { "" };
    format!("{dots}{:?}", line[start..].iter().collect::<String>()).replace("\\\\", "\\")
}

/// Counts over all rows.
#[derive(Default)]
struct Tally {
    /// Lines read, including blank ones.
    lines: usize,
    rows: usize,
    right: usize,
    malformed: usize,
    failed: usize,
    agree: usize,
    disagree: usize,
    /// Rows that disagree or failed, the first ones.
    listed: Vec<Judged>,
}

impl Tally {
    fn add(&mut self, judged: Judged, most_listed: usize) {
        self.rows += 1;
        self.right += usize::from(judged.verdict.is_correct());
        self.malformed += usize::from(matches!(judged.verdict, Verdict::Malformed { .. }));
        self.failed += usize::from(judged.failed());
        let agrees = judged.agrees();
        self.agree += usize::from(agrees == Some(true));
        self.disagree += usize::from(agrees == Some(false));
        if (agrees == Some(false) || judged.failed()) && self.listed.len() < most_listed {
            self.listed.push(judged);
        }
    }

    /// Whether any row has an expected verdict.
    fn is_compared(&self) -> bool {
        self.agree + self.disagree > 0
    }

    fn list(&self) -> String {
        self.listed.iter().map(Judged::describe).collect()
    }

    fn to_json(&self, rate: f64) -> Value {
        let compared = |number: usize| self.is_compared().then_some(number);
        json!({
            "rows": self.rows,
            "agree": compared(self.agree),
            "disagree": compared(self.disagree),
            "failed": self.failed,
            "rows_per_sec": (rate * 10.0).round() / 10.0,
        })
    }

    fn to_text(&self, file: &Path, verifiers: &str, rate: f64) -> String {
        let rows = count(self.rows as u64, "row", "rows");
        let mut text = format!("{}: {rows}, graded by {verifiers}, {} rows/s\n", file.display(), short(rate));
        let wrong = self.rows - self.right - self.malformed - self.failed;
        let verdicts =
            [("right", self.right), ("wrong", wrong), ("malformed", self.malformed), ("failed", self.failed)];
        for (name, number) in verdicts {
            text += &format!(
                "  {name:<10} {:>9}  {:>7}\n",
                grouped(number as u64),
                percent(number as f64 / self.rows as f64)
            );
        }
        if self.is_compared() {
            let compared = self.agree + self.disagree;
            let share = format!("{:.2} %", 100.0 * self.agree as f64 / compared as f64);
            text += &format!(
                "\n  agree with the expected verdict: {} of {} ({share})\n",
                grouped(self.agree as u64),
                grouped(compared as u64)
            );
        }
        let troubles = self.disagree + self.failed;
        if troubles > 0 {
            text += "\n";
            text += &self.list();
            if troubles > self.listed.len() {
                text += &format!("  and {} more (--list shows all)\n", grouped((troubles - self.listed.len()) as u64));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use vapo_tasks::Verifier;

    use super::*;

    fn judged(line: &str) -> Result<(&'static str, Option<bool>), String> {
        let reward = Reward::try_from(Verifier::Numeric { marker: None, tolerance: 0.0 }).unwrap();
        let judged = judge(
            vec![Row::parse((&Arc::from(Path::new("a")), 2), line.as_bytes(), &reward).map_err(|error| (2, error))],
            &reward,
        )
        .remove(0);
        judged.map(|judged| (judged.verdict.name(), judged.agrees())).map_err(|(_, error)| error)
    }

    #[test]
    fn rows_of_every_form_are_graded() {
        for (line, verdict, agrees) in [
            (r#"{"gold": "7", "pred": "so 7", "expected": true}"#, "right", Some(true)),
            (r#"{"answer": 7, "response": "8", "expected": true}"#, "wrong", Some(false)),
            (r#"{"gold": "7", "pred": "no"}"#, "malformed", None),
            (r#"{"gold": "7", "pred": "no", "expected": false}"#, "malformed", Some(true)),
            (r#"{"gold": "seven", "pred": "7", "expected": true}"#, "failed", None),
            (r#"{"text": "so 7", "expected": "7"}"#, "right", Some(true)),
            (r#"{"text": "so 7", "expected": "8"}"#, "wrong", Some(false)),
        ] {
            assert_eq!(judged(line), Ok((verdict, agrees)), "{line}");
        }
        for (line, words) in [
            (r#"{"pred": "7"}"#, "expected a field `gold` or `answer`, found `pred`"),
            (r#"{"gold": "7"}"#, "expected a field `response` or `pred`, found `gold`"),
            (r#"{"gold": "7", "pred": "7", "expected": "yes"}"#, "field `expected` is \"yes\", expected true or false"),
            (r#"{"gold": ["7"], "pred": "7"}"#, "field `gold` is [\"7\"], expected a string or a number"),
            ("[1]", "expected a JSON object"),
        ] {
            let error = judged(line).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
    }

    #[test]
    fn a_row_chooses_its_rule_and_options() {
        for (line, verdict) in [
            (r#"{"gold": "7", "pred": "Answer: 8\n\\boxed{7}", "kind": "math"}"#, "right"),
            (r#"{"gold": "7", "pred": "Answer: 8\n\\boxed{7}", "rule": "dapo"}"#, "wrong"),
            (r#"{"gold": "7", "pred": "Answer: 8\n\\boxed{7}", "kind": "equal_dapo"}"#, "wrong"),
            (
                r#"{"gold": "7", "pred": "Answer: 8\n\\boxed{7}", "kind": "equal_dapo", "options": {"strict_box_verify": true}}"#,
                "right",
            ),
            (r#"{"gold": "1/6", "pred": "0.1667", "kind": "math"}"#, "wrong"),
            (r#"{"gold": "1/6", "pred": "0.1667", "options": {"rounding": "given-digits"}}"#, "right"),
            (r#"{"gold": "1/6", "pred": "0.1666", "options": {"rounding": "given-digits"}}"#, "wrong"),
            (r#"{"gold": "7", "pred": "so 7.001", "kind": "numeric", "options": {"tolerance": 0.01}}"#, "right"),
        ] {
            assert_eq!(judged(line).map(|(verdict, _)| verdict), Ok(verdict), "{line}");
        }
        let error = judged(r#"{"gold": "7", "pred": "7", "rule": "last"}"#).unwrap_err();
        assert!(error.starts_with("the row's own verifier: unknown variant `last`"), "{error}");
        // A row starts no program: an unknown kind is the command's choice.
        assert_eq!(
            judged(r#"{"gold": "7", "pred": "7", "kind": "command", "command": ["false"]}"#),
            Ok(("right", None))
        );
    }

    #[test]
    fn blocks_hold_every_line_with_its_number() {
        let mut text = &b"a\n\nb"[..];
        let block = read_block(&mut text, 4).unwrap();
        assert_eq!(block, [(5, b"a\n".to_vec()), (6, b"\n".to_vec()), (7, b"b".to_vec())]);
        assert!(read_block(&mut text, 7).unwrap().is_empty());
    }
}
