//! Tests the documentation against the program: every metric, setting and function that it names.

#[path = "common/ranks.rs"]
mod ranks;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// Every kind of column in a few seconds: a critic, each kind of clip, a reference policy, evaluations.
const RUN: &str = r#"
[run]
dir = "run"
steps = 1

[rollout]
prompts_per_step = 3
group_size = 4
max_new_tokens = 48

[algorithm]
minibatches_per_epoch = 2
kl_weight = 0.01

[value_pretraining]
steps = 1
prompts_per_step = 8

[eval]
problems = 5
samples = 4

[records]
every = 1
"#;

/// The same with a reward of two terms.
const SHAPED: [&str; 5] = [
    "data.train=own.jsonl",
    "data.eval=held-out.jsonl",
    "reward.verifier=[{ kind = \"numeric\", name = \"TERM\" }, { kind = \"exact\", name = \"OTHER\" }]",
    "run.dir=shaped",
    "critic.bound=sigmoid",
];

/// The pages for users and contributors; the changelog names settings of the past.
const PAGES: [&str; 18] = [
    "README.md",
    "SECURITY.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/commands.md",
    "docs/vapo.md",
    "docs/methods.md",
    "docs/engine.md",
    "docs/benchmarks.md",
    "docs/studies.md",
    "docs/data.md",
    "docs/verifiers.md",
    "docs/evaluation.md",
    "docs/models.md",
    "docs/reliability.md",
    "docs/records.md",
    "docs/dashboard.md",
    "docs/tensorboard.md",
];

/// The sections of a config, by which a setting in a text is recognized.
const SECTIONS: [&str; 14] = [
    "run",
    "model",
    "data",
    "reward",
    "rollout",
    "algorithm",
    "value_pretraining",
    "critic",
    "policy_optimizer",
    "critic_optimizer",
    "eval",
    "checkpoint",
    "records",
    "tensorboard",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Text between single backticks, outside of code blocks.
fn code_spans(text: &str) -> Vec<String> {
    let blocks = text.split("```").step_by(2);
    blocks.flat_map(|text| text.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

fn vapo(place: &TempDir, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_vapo")).args(args).current_dir(place).output().unwrap();
    assert!(output.status.success(), "vapo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command on two ranks.
fn on_two_ranks(place: &TempDir, args: &[&str]) {
    let begin = |environment| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vapo"));
        command.envs::<[(&str, String); 4], _, _>(environment).args(args).current_dir(place);
        command.stdout(Stdio::null()).spawn().unwrap()
    };
    for mut rank in ranks::environments(2).map(begin).collect::<Vec<_>>() {
        assert!(rank.wait().unwrap().success(), "vapo {args:?}");
    }
}

/// `a/{mean,max}` as `a/mean` and `a/max`.
fn expand(key: &str) -> Vec<String> {
    match key.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        Some((before, (choices, after))) => {
            choices.split(',').map(|choice| format!("{before}{choice}{after}")).collect()
        }
        None => vec![key.to_owned()],
    }
}

/// The metrics of `docs/vapo.md`: the first cell of each row of the tables in its chapter on metrics.
fn documented_metrics() -> BTreeSet<String> {
    let text = read("docs/vapo.md");
    let chapter = text.split("\n## ").find(|chapter| chapter.contains(". Metrics\n")).expect("a chapter on metrics");
    let rows = chapter.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| format!("`{}", row.split(" | ").next().unwrap_or_default()));
    cells.flat_map(|cell| code_spans(&cell)).flat_map(|key| expand(&key)).collect()
}

#[test]
fn alarms_are_explained_in_the_words_of_the_docs() {
    let page = read("docs/vapo.md");
    for sign in vapo_train::alarm::Sign::ALL {
        let row = format!("\n| `vapo/alarm/{}` | {} |\n", sign.name(), sign.explanation());
        assert!(page.contains(&row), "docs/vapo.md has no row{row}");
    }
}

#[test]
fn every_metric_of_a_run_is_documented_and_every_documented_one_exists() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("tiny.toml"), RUN).unwrap();
    on_two_ranks(&place, &["train", "tiny.toml", "--set", "run.gradient_shards=2"]);
    let problems = |last: u32| -> String {
        let row = |n| format!("{{\"problem\": \"{n}a+{last}:\", \"answer\": \"7\", \"data_source\": \"chain\"}}\n");
        (0..9).map(row).collect()
    };
    std::fs::write(place.path().join("own.jsonl"), problems(1)).unwrap();
    std::fs::write(place.path().join("held-out.jsonl"), problems(2)).unwrap();
    let overrides = SHAPED.iter().flat_map(|setting| ["--set", setting]);
    vapo(&place, &["train", "tiny.toml"].into_iter().chain(overrides).collect::<Vec<_>>());
    let mut recorded = BTreeSet::new();
    for run in ["run", "shaped"] {
        for line in std::fs::read_to_string(place.path().join(run).join("metrics.jsonl")).unwrap().lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let general = [("/chain/", "/SOURCE/"), ("@4", "@N"), ("@2", "@K"), ("/OTHER", "/TERM")];
            let name = |key: &String| general.iter().fold(key.clone(), |key, (own, name)| key.replace(own, name));
            recorded.extend(row.as_object().unwrap().keys().map(name));
        }
    }
    let documented = documented_metrics();
    assert!(recorded.len() > 50, "a run with every feature has more than {recorded:?}");
    let missing: Vec<_> = recorded.difference(&documented).collect();
    assert!(missing.is_empty(), "not in docs/vapo.md: {missing:?}");
    let stale: Vec<_> = documented.difference(&recorded).collect();
    assert!(stale.is_empty(), "in docs/vapo.md, but not in any run: {stale:?}");
}

#[test]
fn every_preset_is_documented() {
    for page in ["docs/vapo.md", "docs/methods.md"] {
        let named: BTreeSet<String> = code_spans(&read(page)).into_iter().collect();
        for preset in vapo_train::config::PRESETS {
            assert!(named.contains(preset.name), "{page} does not name the preset {}", preset.name);
        }
    }
}

/// `section.key`, with the value if the text says `section.key = value`.
fn setting(span: &str) -> Option<(&str, &str, Option<&str>)> {
    let (name, value) = span.split_once(" = ").map_or((span, None), |(name, value)| (name, Some(value)));
    let (section, key) = name.split('=').next()?.split_once('.')?;
    let is_word = key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let is_file = ["toml", "json", "jsonl", "safetensors", "md", "rs", "py", "lock"].contains(&key);
    (SECTIONS.contains(&section) && is_word && !is_file).then_some((section, key, value))
}

/// All texts of a page that may name a setting: code spans, and what follows `--set`, also in code blocks.
fn possible_settings(page: &str) -> Vec<String> {
    let overrides = page.split("--set ").skip(1).filter_map(|rest| rest.split_whitespace().next());
    let overrides = overrides.map(|word| word.trim_matches(['\'', '`', ')']).to_owned());
    code_spans(page).into_iter().chain(overrides).collect()
}

#[test]
fn settings_exist_and_have_the_defaults_that_the_documentation_gives() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("empty.toml"), "").unwrap();
    let defaults = vapo(&place, &["config", "empty.toml"]);
    let sections: Vec<&str> = defaults.trim_start_matches('[').split("\n[").collect();
    let mut settings = 0;
    for page in PAGES {
        for text in possible_settings(&read(page)) {
            let Some((section, key, value)) = setting(&text) else { continue };
            let lines = sections.iter().find(|text| text.starts_with(&format!("{section}]"))).map(|text| text.lines());
            let line = lines.and_then(|mut lines| lines.find(|line| line.starts_with(&format!("{key} = "))));
            let line = line.unwrap_or_else(|| panic!("{page} names `{section}.{key}`, which is not a setting"));
            if let Some(value) = value {
                assert_eq!(line, format!("{key} = {value}"), "{page}: default of {section}.{key}");
            }
            settings += 1;
        }
    }
    assert!(settings > 60, "only {settings} settings found in the documentation");
}

#[test]
fn the_documentation_and_the_help_name_every_preset() {
    let presets: Vec<&str> = vapo_train::config::PRESETS.iter().map(|preset| preset.name).collect();
    let page = read("docs/vapo.md");
    let chapter = page.split("\n## ").find(|chapter| chapter.contains(". Presets\n")).expect("a chapter on presets");
    let paragraph = chapter.split("\n\n").nth(1).unwrap();
    let named: Vec<String> = code_spans(paragraph.split(". [methods.md]").next().unwrap());
    assert_eq!(named[1..], presets, "docs/vapo.md");
    let page = read("docs/methods.md");
    let table = page.split("\n## ").find(|chapter| chapter.contains(". Presets\n")).expect("a chapter on presets");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|row| row.split('`').next());
    assert_eq!(rows.collect::<Vec<_>>(), presets, "docs/methods.md");
    let place = tempfile::tempdir().unwrap();
    let help = vapo(&place, &["config", "--help"]);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains(&format!("Presets: {}.", presets.join(", "))), "{help}");
}

#[test]
fn configs_in_the_documentation_are_valid() {
    let place = tempfile::tempdir().unwrap();
    let page = read("README.md");
    let configs: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!configs.is_empty());
    for config in configs {
        std::fs::write(place.path().join("example.toml"), config).unwrap();
        vapo(&place, &["config", "example.toml"]);
    }
}

#[test]
fn functions_and_files_that_the_documentation_names_exist() {
    let mut functions = 0;
    for page in PAGES {
        for span in code_spans(&read(page)) {
            let Some((file, item)) = span.split_once(".rs::") else { continue };
            let source = read(&format!("crates/{file}.rs"));
            let name = item.rsplit("::").next().unwrap_or(item);
            let defined = ["fn", "struct", "enum", "const", "trait"].iter().any(|kind| {
                source
                    .split(&format!("{kind} {name}"))
                    .skip(1)
                    .any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
            });
            assert!(defined, "{page} names `{span}`, which does not exist");
            functions += 1;
        }
        for link in read(page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let folder = Path::new(page).parent().unwrap_or(Path::new(""));
            let exists = target.is_empty() || target.contains("://") || root().join(folder).join(target).exists();
            assert!(exists, "{page} links to {link}, which does not exist");
        }
    }
    assert!(functions > 30, "only {functions} functions found in the documentation");
}
