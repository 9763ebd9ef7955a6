//! The screen drawn in memory.

use std::time::{Duration, Instant};

use ratatui::{Terminal, backend::TestBackend, buffer::Buffer, style::Modifier};
use vapo_train::{Event, Progress, Row, Stage, metrics::keys as metric};

use super::{
    answer::{Answers, Quantity, tests::answer},
    draw,
    keys::Key,
    state::State,
};

/// Sizes from comfortable to absurd.
const SIZES: [[u16; 2]; 9] = [[120, 40], [80, 24], [200, 14], [40, 10], [20, 5], [13, 3], [2, 30], [1, 1], [0, 0]];

/// What is on a screen of this size.
fn drawn(state: &mut State, lines: &[String], [width, height]: [u16; 2]) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw::screen(frame, state, lines, Instant::now())).unwrap();
    terminal.backend().buffer().clone()
}

fn rows(buffer: &Buffer) -> Vec<String> {
    let row = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..buffer.area.height).map(row).collect()
}

/// A run of a few steps in the middle of sampling.
fn run(has_critic: bool) -> State {
    let mut state = State::new("runs/vapo-001  vapo", has_critic, 75, Instant::now());
    for step in 0..30 {
        let mut row = Row::new(step);
        row.number(metric::REWARDS.mean, step as f64 / 30.0);
        row.number(metric::RESPONSE_LENGTH.mean, 42.5);
        row.number(metric::ENTROPY, (step > 5).then_some(0.1));
        row.number(metric::EXPLAINED_VARIANCE, 0.25);
        row.number(&metric::eval::accuracy("chain", 8), (step % 10 == 0).then_some(0.177 + step as f64 / 50.0));
        state.remember(&row);
    }
    let progress = Progress { stage: Stage::Sampling, done: 64, total: 256, tokens: 2000 };
    state.note(&Event::Progress(progress), Instant::now());
    state
}

fn show(state: &mut State, texts: &[(&str, f32)]) {
    state.show_answers(
        Some(Answers { step: 29, answers: vec![answer(texts), answer(&[("other", 0.0)])] }),
        Instant::now(),
    );
}

fn lines(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("  line {number}")).collect()
}

#[test]
fn a_small_terminal_shows_everything() {
    let mut state = run(true);
    show(&mut state, &[("7a", 0.5), ("+", -1.5), ("5=2", 1.0)]);
    state.note(&Event::Warning("the policy has stopped exploring"), Instant::now());
    let found = rows(&drawn(&mut state, &lines(50), [80, 24]));
    let text = found.join("\n");
    for words in [
        "vapo  runs/vapo-001  vapo",
        "step 29/75",
        "accuracy 57.7%",
        "reward   0.967",
        "length    42.5",
        "entropy  0.100",
        "expl.var   0.250",
        "sampling  ━",
        "64/256",
        "answer 1/2 of step 29  right  reward 1.000  reference 3",
        "advantage -1.50",
        "1a+2b: 7a+5=2",
        "answer 2/2 of step 29",
        "   step  reward    eval",
        "! step 30: the policy has stopped exploring",
        "line 49",
        "q lines  ctrl-c stop  ←→ answer  ↑↓ scroll  tab color  space hold",
    ] {
        assert!(text.contains(words), "no {words:?} on\n{text}");
    }
    assert!(found[23].starts_with("q lines") && found[22].starts_with("line 49"), "{text}");
    let dots = |c: &char| ('\u{2801}'..='\u{28ff}').contains(c);
    assert!(text.chars().filter(dots).count() > 20, "curves:\n{text}");
}

#[test]
fn a_method_without_a_critic_has_no_explained_variance() {
    for size in [[80, 24], [120, 40]] {
        let text = rows(&drawn(&mut run(false), &[], size)).join("\n");
        let curves = text.split("sampling").next().unwrap();
        assert!(curves.contains("entropy") && !curves.contains("expl"), "{text}");
        assert!(text.contains("the answers of the first step appear here"), "{text}");
    }
    let wide = rows(&drawn(&mut run(true), &[], [160, 40])).join("\n");
    assert!(wide.contains("held-out accuracy") && wide.contains("explained variance"), "{wide}");
}

/// The step is the last thing to go.
#[test]
fn smaller_terminals_show_less() {
    let mut state = run(true);
    show(&mut state, &[("7a", 0.5)]);
    let small = rows(&drawn(&mut state, &lines(9), [40, 10]));
    assert!(
        small[0].contains("step 29/75") && small[1].contains("accuracy") && small[2].contains("sampling"),
        "{small:?}"
    );
    assert!(small.join("\n").contains("1a+2b: 7a") && small[9].starts_with("q lines"), "{small:?}");
    let tiny = rows(&drawn(&mut state, &lines(9), [20, 5]));
    assert!(tiny[0].contains("step 29/75") && tiny[2].contains("sampling"), "{tiny:?}");
}

#[test]
fn colors_tell_where_an_answer_was_credited() {
    let mut state = run(true);
    show(&mut state, &[("lost", -2.0), ("won", 2.0), ("same", 0.0)]);
    let background = |state: &mut State, word: &str| {
        let buffer = drawn(state, &[], [80, 24]);
        let row = rows(&buffer).iter().position(|row| row.contains("lostwonsame")).unwrap();
        let column = rows(&buffer)[row].find(word).unwrap();
        buffer[(column as u16, row as u16)].bg
    };
    let advantages = ["lost", "won", "same"].map(|word| background(&mut state, word));
    assert_eq!(advantages[2], ratatui::style::Color::Reset);
    assert!(advantages[0] != advantages[1] && advantages[1] != advantages[2], "{advantages:?}");
    state.press(Key::Quantity, Instant::now());
    assert_eq!(state.quantity, Quantity::Value);
    assert_eq!([background(&mut state, "lost"), background(&mut state, "same")], [advantages[1], advantages[0]]);
    state.press(Key::Quantity, Instant::now());
    state.press(Key::Quantity, Instant::now());
    assert_eq!(state.quantity, Quantity::Advantage, "no entropy in these answers");
}

#[test]
fn an_answer_that_was_lost_shows_where() {
    let mut state = run(true);
    let mut lost = answer(&[("1a+2", 0.1), ("=4", -0.9), ("<eos>", 0.0)]);
    (lost.verdict, lost.first_wrong) = ("wrong", Some(1));
    state.show_answers(Some(Answers { step: 29, answers: vec![lost] }), Instant::now());
    let buffer = drawn(&mut state, &[], [80, 24]);
    let found = rows(&buffer);
    assert!(found.join("\n").contains("wrong  reward 1.000  reference 3  lost at token 2"), "{found:?}");
    let row = found.iter().position(|row| row.contains("1a+2=4<eos>")).unwrap();
    let marked = (0..80).filter(|&x| buffer[(x, row as u16)].modifier.contains(Modifier::UNDERLINED));
    assert_eq!(marked.map(|x| buffer[(x, row as u16)].symbol()).collect::<String>(), "=4");
}

#[test]
fn hostile_answers_and_lines_stay_in_their_places() {
    let million = "x".repeat(1 << 20);
    let texts = [
        ("\x1b[2J\x1b]0;title\x07", 1.0),
        ("\r\n\n\n", 1.0),
        ("漢字かな交じり文", -1.0),
        ("👩‍👩‍👧‍👦\u{200b}", -1.0),
        ("\u{202e}reversed\u{2066}", 0.5),
        ("e\u{301}\u{301}\u{301}", f32::NAN),
        (million.as_str(), f32::INFINITY),
    ];
    let hostile = [format!("  \x1b[33m{million}"), "\u{202e}\x1b[2J\n\t漢字".into(), "\x1b[".into(), "漢".repeat(500)];
    for size in SIZES {
        for has_critic in [true, false] {
            let mut state = run(has_critic);
            show(&mut state, &texts);
            state.note(&Event::Warning(&million), Instant::now());
            state.note(&Event::Warning("\u{202e}\x1b[2J\n漢字"), Instant::now());
            (0..50).for_each(|_| state.press(Key::Down, Instant::now()));
            let text = rows(&drawn(&mut state, &hostile, size)).join("\n");
            let steers = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!text.contains(steers), "{size:?}:\n{text:?}");
            let found = text.contains("q lines");
            assert_eq!(found, size[0] >= 7 && size[1] >= 8, "{size:?}:\n{text}");
        }
    }
}

#[test]
fn keys_choose_what_is_shown() {
    let (mut state, now) = (run(true), Instant::now());
    state.press(Key::Next, now);
    show(&mut state, &[("word ", 1.0); 300]);
    assert_eq!(state.chosen, 0, "there was no answer yet");
    (0..3).for_each(|_| state.press(Key::Down, now));
    drawn(&mut state, &[], [80, 24]);
    assert_eq!(state.scrolled, 3);
    (0..300).for_each(|_| state.press(Key::Down, now));
    let text = rows(&drawn(&mut state, &[], [80, 24])).join("\n");
    assert!(state.scrolled < 30 && text.contains("word word"), "no further than the end: {}", state.scrolled);
    state.press(Key::Previous, now);
    assert_eq!((state.chosen, state.scrolled), (1, 0));

    assert!(!state.wants_answers(Instant::now()), "an answer can be read for a while");
    let later = Instant::now() + Duration::from_secs(60);
    assert!(state.wants_answers(later));
    state.press(Key::Hold, now);
    assert!(!state.wants_answers(later));
    state.press(Key::Hold, now);
    assert!(state.wants_answers(later));
}

#[test]
fn the_time_left_follows_the_stage_before_a_step_is_known() {
    let begun = Instant::now();
    let mut state = State::new("run", true, 10, begun);
    let mut progress = |done, secs| {
        let progress = Progress { stage: Stage::Sampling, done, total: 40, tokens: 100 * done };
        let now = begun + Duration::from_secs(secs);
        state.note(&Event::Progress(progress), now);
        (state.step_secs_left(now), state.run_secs_left(now), state.at_work.unwrap().rate)
    };
    assert_eq!(progress(0, 0), (None, None, None));
    assert_eq!(progress(10, 5), (Some(15.0), None, Some(200.0)));
}
