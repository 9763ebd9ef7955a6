//! Chat templates against transformers, and templates that are wrong or mean harm.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use vapo_lm::{ChatTemplate, Message};

#[derive(Deserialize)]
struct Fixture {
    special_tokens: Map<String, Value>,
    conversations: BTreeMap<String, Vec<Message>>,
    cases: Vec<Case>,
}

/// A rendering by transformers: a text, or what the template raised.
#[derive(Deserialize)]
struct Case {
    template: String,
    conversation: String,
    variables: Map<String, Value>,
    add_generation_prompt: bool,
    text: Option<String>,
    error: Option<String>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chat")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

fn hello() -> Vec<Message> {
    vec![Message::new("user", "hello")]
}

fn render(source: &str) -> Result<String, String> {
    let template = ChatTemplate::new(source, Map::new()).map_err(|error| error.to_string())?;
    template.render(&hello(), true, &Map::new()).map_err(|error| error.to_string())
}

#[test]
fn renders_what_transformers_renders() {
    let fixture: Fixture = serde_json::from_str(&read("cases.json")).unwrap();
    assert!(fixture.cases.len() > 100);
    for case in &fixture.cases {
        let template = ChatTemplate::new(&read(&case.template), fixture.special_tokens.clone()).unwrap();
        let messages = &fixture.conversations[&case.conversation];
        let rendered = template.render(messages, case.add_generation_prompt, &case.variables);
        let place = format!("{} with `{}` and {:?}", case.template, case.conversation, case.variables);
        match (&case.text, rendered) {
            (Some(expected), rendered) => assert_eq!(rendered.as_ref().ok(), Some(expected), "{place}: {rendered:?}"),
            (None, Err(error)) => {
                let raised = case.error.as_deref().unwrap();
                assert!(error.to_string().starts_with(&format!("chat template: {raised} (line ")), "{place}: {error}");
            }
            (None, Ok(text)) => panic!("{place}: expected an error, found {text:?}"),
        }
    }
}

#[derive(Deserialize)]
struct Fragments {
    special_tokens: Map<String, Value>,
    variables: Map<String, Value>,
    conversation: Vec<Message>,
    /// Source, and what transformers renders; none where it raises an error.
    cases: Vec<(String, Option<String>)>,
}

/// Fragments that Python renders and vapo refuses.
const REFUSED: &[&str] = &[
    "{{ '{!r}'.format('a') }}",
    "{{ '{:.1%}'.format(0.256) }}",
    "{{ '%r' % 'x' }}",
    "{{ 'a\\nb' | indent('--') }}",
    "{{ +5 }}",
    "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{{ ns['a'] }}",
    "{% macro f(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, x=3) }}",
];

/// Fragments that Python refuses and vapo renders: it compares values of any kinds.
const RENDERED: &[&str] = &[
    "{{ 1 in 'a1' }}",
    "{{ 'a' < 1 }}",
    "{{ none < 1 }}",
    "{{ mixed | sort }}",
    "{% for t, g in people | groupby('tags', default='-') %}{{ t }};{% endfor %}",
];

#[test]
fn fragments_mean_what_they_mean_in_python() {
    let fixture: Fragments = serde_json::from_str(&read("fragments.json")).unwrap();
    assert!(fixture.cases.len() > 500);
    let mut differences = Vec::new();
    let mut exceptions = 0;
    for (source, expected) in &fixture.cases {
        let rendered = ChatTemplate::new(source, fixture.special_tokens.clone())
            .and_then(|template| template.render(&fixture.conversation, true, &fixture.variables));
        let is_exception = match (expected, &rendered) {
            (Some(_), Err(_)) => REFUSED.contains(&source.as_str()),
            (None, Ok(_)) => RENDERED.contains(&source.as_str()),
            _ => false,
        };
        exceptions += usize::from(is_exception);
        if !is_exception && rendered.as_ref().ok() != expected.as_ref() {
            differences.push(format!("{source}\n  expected {expected:?}\n  found    {rendered:?}"));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert_eq!(exceptions, REFUSED.len() + RENDERED.len(), "an exception that is none");
}

/// What the rewriting of tags leaves as it is, and what it must find.
#[test]
fn tags_are_found_where_jinja_finds_them() {
    for (source, expected) in [
        (
            "{% raw %}{% for x in y %}{{ 'a' % b }}{% generation %}{% endraw %}",
            "{% for x in y %}{{ 'a' % b }}{% generation %}",
        ),
        ("{# {% for x in none %} {{ #}{{ '%s' % 'a}}%}' }}", "a}}%}"),
        ("{% for x in ['%}', \"if\"] if x != 'in' %}{{ x }}{% endfor %}", "%}if"),
        ("{%- for x in [[1, 2]] recursive -%} {{ x if x is number else loop(x) }} {%- endfor +%}", "12"),
        ("{% for x in 1, 2 %}{{ x }}{% endfor %}{ {%+ generation -%} a {%- endgeneration %}{", "12{ a{"),
        ("{{ '%s and %s' % (messages[0].role | upper, {'a': [1]}['a'][0]) ~ '!' }}", "USER and 1!"),
        ("{{ '%s' % ('%s' % ('%s' % 'deep')) }}", "deep"),
    ] {
        assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
    }
    let nothing = render("{% for tool in tools %}{% endfor %}").unwrap_err();
    assert_eq!(
        nothing,
        "chat template: none has no items to loop over; test for it first, as in `if tools` (line 1 of the template)"
    );
}

#[test]
fn a_directory_gives_its_template_and_special_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let load = || ChatTemplate::load(dir.path()).map_err(|error| error.to_string());
    let text = |template: &ChatTemplate| template.render(&hello(), true, &Map::new()).unwrap();
    assert!(load().unwrap().is_none());

    write("special_tokens_map.json", r#"{"bos_token": {"content": "<b>"}, "eos_token": "<old>"}"#);
    write(
        "tokenizer_config.json",
        r#"{"eos_token": "<e>", "pad_token": null, "chat_template": "{{ bos_token ~ eos_token ~ pad_token }}\n\n"}"#,
    );
    assert_eq!(text(&load().unwrap().unwrap()), "<b><e>\n");

    let named = json!({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]});
    write("tokenizer_config.json", &named.to_string());
    assert_eq!(text(&load().unwrap().unwrap()), "d");

    write("chat_template.jinja", "file {{ messages[0].content }}");
    assert_eq!(text(&load().unwrap().unwrap()), "file hello");

    write("chat_template.jinja", "{% if %}");
    let error = load().unwrap_err();
    assert!(
        error.contains("chat_template.jinja: chat template: ") && error.contains("(line 1 of the template)"),
        "{error}"
    );
    std::fs::remove_file(dir.path().join("chat_template.jinja")).unwrap();

    write("tokenizer_config.json", r#"{"chat_template": [{"name": "rag", "template": "t"}]}"#);
    assert!(load().unwrap_err().ends_with("`chat_template` has no template named `default`, found: rag"));
    write("tokenizer_config.json", "[".repeat(100_000).as_str());
    assert!(load().unwrap_err().contains("expected a JSON object"));
}

#[test]
fn the_clock_is_set() {
    let mut template = ChatTemplate::new("{{ strftime_now('%Y-%m-%d %B %H:%M') }}", Map::new()).unwrap();
    let text = |template: &ChatTemplate| template.render(&hello(), true, &Map::new()).unwrap();
    assert_eq!(text(&template), "2024-07-26 July 00:00");
    template.set_date("2030-01-02").unwrap();
    assert_eq!(text(&template), "2030-01-02 January 00:00");
    let error = template.set_date("2030-02-30").unwrap_err().to_string();
    assert_eq!(error, "chat template: the date \"2030-02-30\" must be a day as in 2024-07-26");
    assert!(render("{{ strftime_now('%Q') }}").unwrap_err().contains("does not know the format \"%Q\""));
}

#[test]
fn what_ends_an_answer_is_found() {
    let after = |name: &str| {
        let tokens = json!({"bos_token": "<s>", "eos_token": "</s>"}).as_object().unwrap().clone();
        ChatTemplate::new(&read(name), tokens).unwrap().after_answer(&Map::new())
    };
    assert_eq!(after("smollm2.jinja").as_deref(), Some("<|im_end|>\n"));
    assert_eq!(after("headers.jinja").as_deref(), Some("<|eot|>"));
    assert_eq!(after("instruct.jinja").as_deref(), Some("</s>"));
    assert_eq!(ChatTemplate::new("{{ messages[0].content }}", Map::new()).unwrap().after_answer(&Map::new()), None);
}

#[test]
fn templates_that_mean_harm_end_with_an_error() {
    for source in [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
        "{{ 'x' * 99999999999 }}",
        "{% for i in range(90000) %}{{ 'x' * 90000 }}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ messages | tojson(indent=99999999999) }}",
        "{{ '%999999999d' | format(1) }}",
        "{{ 'x'.replace('', 'y' * 99999) .replace('y', 'z' * 99999) }}",
        "{{ ('y' * 99999).join(('z' * 99999) | list) }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{{ 'x'.center(99999999999) }}",
        "{{ 'x'.zfill(9223372036854775807) }}",
        "{{ '%999999999d' % 1 }}",
        "{{ ('x ' * 9999999).split() | length }}",
        "{{ ('\\n' * 9999999).splitlines() | length }}",
        "{{ messages.nothing.more }}",
        "{{ messages[0].content.no_such_method() }}",
        "{{ 1 // 0 }}",
        "{% include 'other' %}",
        "{% include '/etc/hostname' %}",
        "{% extends '/etc/hostname' %}",
        "{% import '/etc/hostname' as other %}",
        "{% from '/etc/hostname' import other %}",
        "{{ open('/etc/hostname') }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ unknown_function() }}",
    ] {
        let outcome = render(source);
        assert!(
            outcome.as_ref().is_err_and(|error| error.starts_with("chat template: ")),
            "{source}: {:.99?}",
            outcome
        );
    }
    let nested = format!("{}1{}", "(".repeat(9_999), ")".repeat(9_999));
    assert!(render(&format!("{{{{ {nested} }}}}")).is_err());
    let nested = format!("{}1{}", "'%s' % (".repeat(99_999), ")".repeat(99_999));
    assert!(render(&format!("{{{{ {nested} }}}}")).is_err());
}

#[test]
fn deeply_nested_values_are_no_danger() {
    let grow = "{% set n = namespace(x=[]) %}{% for i in range(90000) %}{% set n.x = [n.x] %}{% endfor %}";
    for use_of_it in ["{{ n.x }}", "{{ n.x | tojson }}", "{{ n.x == n.x }}", "done"] {
        let outcome = render(&format!("{grow}{use_of_it}"));
        let message = outcome.expect_err(use_of_it);
        assert!(message.contains("fuel"), "{message}");
    }
    let shallow = grow.replace("90000", "20000");
    for use_of_it in ["{{ n.x }}", "{{ n.x | tojson }}", "{{ n.x == n.x }}", "{{ n.x | length }}"] {
        let _ = render(&format!("{shallow}{use_of_it}"));
    }
}

#[test]
fn mutilated_templates_never_panic() {
    let sources: Vec<String> = ["thinking.jinja", "headers.jinja", "odd.jinja"].map(read).to_vec();
    let pieces = ["{%", "%}", "{{", "}}", "{#", "-", "if", "[", "(", "'", "|", "generation", "é", " endfor ", "."];
    for (number, source) in sources.iter().enumerate() {
        let places: Vec<usize> = source.char_indices().map(|(place, _)| place).step_by(7).collect();
        for (index, &place) in places.iter().enumerate() {
            let piece = pieces[(index * 7 + number) % pieces.len()];
            let longer = format!("{}{piece}{}", &source[..place], &source[place..]);
            for mutilated in [&source[..place], &source[place..], &longer] {
                let _ = render(mutilated);
            }
        }
    }
}
