//! Texts designed to be slow or large: each verdict takes at most 10 ms and 10 MB.

use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use vapo_tasks::math::{self, Rounding, Rule};

#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

const TIME_BOUND: Duration = Duration::from_millis(10);
const MEMORY_BOUND: usize = 10 << 20;
/// A slow verdict is timed this many times, because the machine may be busy.
const RETRIES: usize = 50;

fn hostile_texts() -> Vec<(&'static str, String)> {
    let million = 1_000_000;
    let nested = |open: &str, times: usize, close: &str| open.repeat(times) + "1" + &close.repeat(times);
    let boxed = |text: &str| format!("\\boxed{{{text}}}");
    let matrix = "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}";
    vec![
        ("nested braces", nested("{", 100_000, "}")),
        ("nested braces in a box", boxed(&nested("{", 100_000, "}"))),
        ("nested boxes", nested("\\boxed{", 30_000, "}")),
        ("open boxes", "\\boxed{".repeat(100_000)),
        ("nested parentheses", boxed(&nested("(", 4_000, ")"))),
        ("nested fractions", boxed(&nested("\\frac{1}{", 700, "}"))),
        ("nested moduli", boxed(&nested("x\\pmod{", 40, ""))),
        ("nested moduli that end", nested("x\\bmod{", 40, "}")),
        ("nested logarithms", nested("\\log_{", 300, "}")),
        ("many digits", boxed(&"9".repeat(million))),
        ("only digits", "9".repeat(million)),
        ("as many digits as allowed", boxed(&"9".repeat(4_000))),
        ("tower of powers", "9^{9^{9^{9^{9^{9^9}}}}}".to_owned()),
        ("huge power", "2^{10000000000000}".to_owned()),
        ("huge exponent", "1e999999999999999999".to_owned()),
        ("exponentials", "e^{e^{e^{e^{e^{e^x}}}}}".to_owned()),
        ("huge factorial", "100000000!".to_owned()),
        ("factorials", boxed(&"1000!".repeat(290))),
        ("factorial of factorials", format!("5{}", "!".repeat(1_000))),
        ("binomials", "\\binom{1000}{500}".repeat(100)),
        ("harmonic sum", (1..1_000).map(|k| format!("1/{k}+")).collect::<String>() + "1"),
        ("roots", "\\sqrt{2}+".repeat(700) + "1"),
        ("commands without arguments", "\\frac".repeat(1_900)),
        ("functions of functions", "\\sin".repeat(1_000) + "x"),
        ("powers of powers", "x^".repeat(700) + "2"),
        ("signs", "-".repeat(1_400) + "1"),
        ("signs both ways", "\\pm 1".repeat(500)),
        ("lists with signs both ways", "1\\pm x,".repeat(280)),
        ("long list", "x+1,".repeat(290) + "1"),
        ("matrices", matrix.repeat(90)),
        ("powers of matrices", format!("{matrix}^8").repeat(80)),
        ("unions", "(1,2)\\cup".repeat(95) + "(3,4)"),
        ("bars", "|".repeat(1_400)),
        ("percent signs", "5".to_owned() + &"%".repeat(1_000)),
        ("noise", (0..million).map(|i| char::from(32 + (i * 7919 % 95) as u8)).collect()),
        ("control characters", (0..million).map(|i| char::from((i * 31 % 32) as u8)).collect()),
        ("announcements", "answer is a b c d e ".repeat(50_000)),
        ("colons", "answer: ".repeat(120_000)),
        ("delimiters", "\\(".repeat(500_000)),
        ("dollars", "$1".repeat(500_000)),
        ("hashes", "#".repeat(million)),
        ("names", "a1 ".repeat(300_000)),
        ("white space", " ".repeat(million)),
        ("lines", "\n".repeat(million)),
        ("ends", "<|im_end|>".repeat(100_000)),
        ("periods", "answer: ".to_owned() + &". ".repeat(500_000)),
        ("other scripts", "é√½²∑答".repeat(60_000)),
        ("Chinese powers of ten", boxed(&"亿".repeat(3_300))),
        ("Chinese figures", boxed(&"九".repeat(3_300))),
        ("scale words", boxed(&("5".to_owned() + &" trillion".repeat(1_000)))),
        ("powers of units", format!("5 square cm^2000000000{}", " squared".repeat(500))),
        ("shifted factorials", "(n+9223372036854775807+9223372036854775807)!".repeat(30)),
        ("determinants", nested("\\begin{vmatrix}", 100, "\\end{vmatrix}")),
        ("parentheses with remarks", boxed(&"5 (approximately".repeat(250))),
        ("announcements behind a box", boxed("1") + &"Answer: so it is a ".repeat(50_000)),
    ]
}

#[test]
fn every_verdict_keeps_the_bounds() {
    let mut broken = Vec::new();
    for (name, text) in hostile_texts() {
        let near = format!("{}+x", text.chars().take(5_000).collect::<String>());
        for gold in ["42", "1, 2, 3", "\\frac{\\sqrt{3}}{2}", "x^2+1", "(0,1)\\cup(2,3)", near.as_str()] {
            for rule in [Rule::Auto, Rule::Boxed, Rule::AnswerLine, Rule::Dapo, Rule::Hashes, Rule::LastExpression] {
                let before = PEAK.current_usage();
                PEAK.reset_peak_usage();
                let time = fastest(|| drop(math::grade(rule, Rounding::Strict, gold, &text)));
                let memory = PEAK.peak_usage() - before;
                if time > TIME_BOUND || memory > MEMORY_BOUND {
                    broken.push(format!("{name}, {rule:?}, {gold:.20}: {time:?}, {memory} bytes"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The shortest time of a few runs, stopping at the first within the bound.
fn fastest(run: impl Fn()) -> Duration {
    let mut fastest = Duration::MAX;
    for _ in 0..RETRIES {
        let start = Instant::now();
        run();
        fastest = fastest.min(start.elapsed());
        if fastest <= TIME_BOUND {
            break;
        }
    }
    fastest
}
