//! Recorded rollouts on the terminal.

use vapo_lm::{Completion, StopReason, Tokenizer};
use vapo_tasks::{Problem, Verdict};
use vapo_train::{
    RunDir,
    batch::{Batch, RewardRules},
    credit::Credit,
    records::StepRecord,
    rollout::{GradedRollout, Prompt, Rollout},
};
use vapo_view::Rollouts;

use crate::program::Place;

/// One step of value pretraining, two of the policy.
#[test]
fn a_recorded_group_is_shown_token_by_token() {
    let place = Place::new();
    place.vapo(&["train", "tiny.toml", "--set", "records.every=1", "--set", "records.groups=all"]).ok();
    let rollouts = Rollouts::open(&RunDir::open(&place.path("run")).unwrap()).unwrap();
    let groups = rollouts.groups(3).unwrap();
    let list = place.vapo(&["show", "run", "--step", "3"]).ok();
    assert!(list.contains("step 3 of run: 3 prompts, 12 responses, "), "{list}");
    for group in &groups {
        let (prompt, right) = (group.prompt_id.to_string(), format!("{}/{}", group.right, group.responses));
        let line = list.lines().find(|line| line.trim_start().starts_with(&format!("{prompt} "))).expect(&prompt);
        assert!(line.contains(&right) && line.ends_with(&group.prompt), "{line:?}");
    }

    let prompt = groups[0].prompt_id.to_string();
    assert!(list.contains(&format!("vapo show run --step 3 --prompt {prompt} ")), "{list}");
    let shown = place.vapo(&["show", "run", "--step", "3", "--prompt", &prompt]).ok();
    assert!(!shown.contains('\x1b'), "escape codes in a pipe:\n{shown}");
    let unmarked = shown.replace(['«', '»'], "");
    for response in rollouts.group(3, groups[0].prompt_id).unwrap() {
        let text = response.tokens.text.as_ref().unwrap().concat();
        assert!(unmarked.contains(&text), "no {text:?} in\n{shown}");
        let facts = format!("reward {:.3}  {} tokens", response.reward, response.response_tokens);
        assert!(shown.contains(&facts), "no {facts:?} in\n{shown}");
        if let Some(wrong) = response.first_wrong {
            let advantage = response.tokens.advantage.as_ref().unwrap()[wrong];
            let place = format!("first wrong: token {} of {} ", wrong + 1, response.response_tokens);
            let credit = format!("  advantage {advantage:.3}");
            let is_named = shown.lines().any(|line| line.contains(&place) && line.contains(&credit));
            assert!(is_named, "no {place:?} with {credit:?} in\n{shown}");
        }
    }
    assert!(shown.contains("first wrong: ") && shown.contains('«') && shown.contains("the critic's value"), "{shown}");
    let early = rollouts.groups(1).unwrap()[0].prompt_id.to_string();
    let by_value = place.vapo(&["show", "run", "--step", "1", "--prompt", &early, "--by", "value"]);
    assert!(by_value.ok().contains("  value: the critic's value of the state"));

    let failed = |args: &[&str]| place.vapo(&[&["show", "run"], args].concat()).failed(1);
    assert_eq!(failed(&["--step", "7"]), "error: step 7 is not recorded, expected one of 1, 2, 3\n");
    let first: Vec<String> = rollouts.groups(3).unwrap().iter().map(|group| group.prompt_id.to_string()).collect();
    assert_eq!(
        failed(&["--step", "3", "--prompt", "999999"]),
        format!("error: prompt 999999 is not in the record of step 3, expected one of {}\n", first.join(", "))
    );
    assert_eq!(
        failed(&["--step", "1", "--prompt", &early, "--by", "entropy"]),
        "error: the record of step 1 has no entropy, expected one of value, advantage, return, logprob, sampler_logprob\n"
    );
    std::fs::write(place.path("run/rollouts/step-000002.parquet"), "PAR1").unwrap();
    assert!(failed(&["--step", "2"]).contains("run/rollouts/step-000002.parquet: not a readable Parquet file"));
}

/// Codes that clear a screen or turn the direction of a text, wide characters, a line of 1 MB.
#[test]
fn hostile_tokens_are_printed_safely() {
    let place = Place::new();
    let tokens = ["?", "\x1b[2J", "\u{202e}", "漢字", "\r\n", "\t", &"x".repeat(1 << 20)];
    let vocab: serde_json::Map<_, _> = tokens.iter().zip(0..).map(|(text, id)| (text.to_string(), id.into())).collect();
    let json = serde_json::json!({ "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "?" } });
    let tokenizer = Tokenizer::from_json(json.to_string().as_bytes()).unwrap();
    let problem =
        Problem { answer: "\x1b]0;title\x07".repeat(1000), data_source: "\x1b[1m".into(), ..Problem::default() };
    let prompt = Prompt { problem, tokens: (0..7).collect(), key: 5 };
    let ids: Vec<u32> = (0..70).map(|n| n % 7).collect();
    let completion =
        Completion { logps: vec![-1.0; 70], sampler_logps: vec![-1.0; 70], tokens: ids, stop: StopReason::Length };
    let graded = GradedRollout {
        rollout: Rollout { prompt: &prompt, completion, text: tokens.concat() },
        grade: Verdict::malformed("\x1b[31mred").into(),
    };
    let rules = RewardRules { right: 1.0, wrong: 0.0, max_failed_share: 0.0, overlong: None };
    let batch = Batch::new(vec![graded], rules).unwrap();
    let credit = Credit { advantages: vec![f32::NAN; 70], values: None, reward_kl: None };
    let record = StepRecord {
        step: 4,
        policy_version: 0,
        batch: &batch,
        credit: &credit,
        first_wrong: &[Some(1)],
        trace: None,
        tokenizer: &tokenizer,
    };
    std::fs::create_dir_all(place.path("run/rollouts")).unwrap();
    place.write("run/config.toml", "");
    record.write(&place.path("run/rollouts"), None).unwrap();
    for args in
        [&["--step", "4"][..], &["--step", "4", "--prompt", "5"], &["--step", "4", "--prompt", "5", "--by", "logp"]]
    {
        let shown = place.vapo(&[&["show", "run"], args].concat()).ok();
        let steers = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!shown.contains(steers), "{:?}", shown.chars().find(|c| steers(*c)));
        assert!(shown.len() < 50_000, "{} bytes", shown.len());
        assert!(shown.contains("漢字"), "{shown}");
    }
}
