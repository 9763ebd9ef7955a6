#![allow(missing_docs)]
use std::io::BufRead;
use vapo_tasks::math::{self, Equality, Rule};
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let (mut rows, mut bad) = (0, 0);
    for line in std::io::BufReader::new(std::fs::File::open(&path).unwrap()).lines() {
        let row: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let text = |k: &str| row.get(k).and_then(|v| v.as_str()).unwrap_or("").to_owned();
        let kind = text("kind");
        let f = text("fn");
        rows += 1;
        let (ok, got) = match kind.as_str() {
            "extract" | "normalize" => {
                let rule = if f.contains("int") || f.contains("gsm8k") { Rule::Auto } else { Rule::Boxed };
                let t = text("text");
                let exp = match &row["expected"] {
                    serde_json::Value::Null => None,
                    serde_json::Value::String(s) => Some(s.clone()),
                    o => Some(o.to_string()),
                };
                if kind == "normalize" {
                    let e = math::compare(&exp.clone().unwrap(), &t);
                    (e == Equality::Equal, format!("{e:?}"))
                } else {
                    let got = math::extract(&t, rule);
                    let ok = got == exp
                        || (exp.is_some()
                            && got.is_some()
                            && math::equal(exp.as_ref().unwrap(), got.as_ref().unwrap()));
                    (ok, format!("{got:?}"))
                }
            }
            "" => {
                let v = math::grade(Rule::Auto, &text("gold"), &text("response"));
                (
                    v.is_correct() == row["expected"].as_bool().unwrap(),
                    format!("{v:?} {:?}", math::extract(&text("response"), Rule::Auto)),
                )
            }
            _ => {
                let rule = match (kind.as_str(), f.as_str()) {
                    ("equal_dapo", "is_correct_strict_box") => Rule::Boxed,
                    ("equal_dapo", "is_correct_minerva") => Rule::Dapo,
                    (_, "grade_answer_verl") => Rule::Boxed,
                    _ => Rule::Auto,
                };
                let v = if rule == Rule::Auto {
                    math::compare(&text("gold"), &text("pred")) == Equality::Equal
                } else {
                    math::grade(rule, &text("gold"), &text("pred")).is_correct()
                };
                (
                    v == row["expected"].as_bool().unwrap(),
                    format!(
                        "{v:?} gold {:?} pred {:?}",
                        math::extract(&text("gold"), Rule::Auto),
                        math::extract(&text("pred"), rule)
                    ),
                )
            }
        };
        if !ok {
            bad += 1;
            if bad < 80 {
                let cut = |s: String| {
                    if s.len() > 160 {
                        format!("..{}", s.chars().rev().take(160).collect::<String>().chars().rev().collect::<String>())
                    } else {
                        s
                    }
                };
                println!(
                    "{} {kind} {f} expected {} got {}\n    {:?} << {:?}{:?}",
                    row["id"],
                    row["expected"],
                    got,
                    cut(text("gold")),
                    cut(text("pred")),
                    cut(text("text") + &text("response"))
                );
            }
        }
    }
    println!("rows {rows} bad {bad}");
}
