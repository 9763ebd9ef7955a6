use tokenizers::Tokenizer;

use super::*;
use crate::Verdict;

fn tasks() -> Vec<BuiltinTask> {
    let make = |name| BuiltinTask::new(World::named(name).unwrap(), 7, 0..TEST_PROBLEMS).unwrap();
    let doubting = World::Chain(Chain { doubt_wrong: 0.4, doubt_right: 0.1, ..Chain::default() });
    let doubting = BuiltinTask::new(doubting, 7, 0..TEST_PROBLEMS).unwrap();
    World::NAMES.into_iter().map(make).chain([doubting]).collect()
}

#[test]
fn held_out_problems_are_distinct_and_never_trained_on() {
    for task in tasks() {
        let held_out: BTreeSet<&str> = task.held_out().iter().map(|p| p.prompt.as_str()).collect();
        assert_eq!(held_out.len(), TEST_PROBLEMS);
        let trained = task.train_problems(0, 20_000);
        let shown = task.demonstrations(0, 20_000).into_iter().map(|d| d.problem);
        for problem in trained.iter().cloned().chain(shown) {
            assert!(!is_held_out(&problem.prompt) && !held_out.contains(problem.prompt.as_str()));
        }
        let distinct: BTreeSet<&str> = trained.iter().map(|p| p.prompt.as_str()).collect();
        assert!(distinct.len() > 7_000, "{}: {}", task.name(), distinct.len());
    }
}

#[test]
fn disjoint_ranges_of_the_held_out_problems_are_disjoint_sets() {
    for task in tasks() {
        let validation = BuiltinTask::new(task.world().clone(), 7, TEST_PROBLEMS..TEST_PROBLEMS + 200).unwrap();
        let indices = validation.held_out().iter().map(|problem| problem.index);
        assert_eq!(indices.collect::<Vec<_>>(), (512..712).collect::<Vec<_>>());
        let prompts = |task: &BuiltinTask| -> BTreeSet<String> {
            task.held_out().iter().map(|problem| problem.prompt.clone()).collect()
        };
        assert!(prompts(&validation).is_disjoint(&prompts(&task)), "{}", task.name());
        assert!(prompts(&validation).iter().all(|prompt| is_held_out(prompt)));
    }
}

#[test]
fn problems_depend_only_on_seed_and_position() {
    for task in tasks() {
        let all = task.train_problems(0, 50);
        assert_eq!(task.train_problems(20, 10), all[20..30]);
        assert_eq!(task.demonstrations(5, 1)[0], task.demonstrations(0, 6)[5]);
        let other = BuiltinTask::new(task.world().clone(), 8, 0..TEST_PROBLEMS).unwrap();
        assert_ne!(other.train_problems(0, 50), all);
        assert_eq!(other.held_out(), task.held_out());
    }
}

#[test]
fn solutions_are_right_and_every_change_of_a_character_is_found() {
    for task in tasks() {
        for problem in &task.held_out()[..100] {
            let solution = task.solution(problem).unwrap();
            assert_eq!(task.grade(problem, solution.as_str().into()).verdict, Verdict::graded(true));
            assert_eq!(task.first_wrong_step(problem, &solution), None);
            for offset in 0..solution.len() {
                let mut changed = solution.clone().into_bytes();
                changed[offset] = b':';
                let changed = String::from_utf8(changed).unwrap();
                let wrong = task.first_wrong_step(problem, &changed).unwrap();
                assert_eq!(wrong.offset, offset, "{changed}");
            }
        }
    }
}

/// Share of right demonstrations, their mean and longest length.
fn measure(task: &BuiltinTask) -> (f64, f64, usize) {
    let shown = task.demonstrations(0, 10_000);
    let right =
        shown.iter().filter(|d| task.grade(&d.problem, d.response.as_str().into()).verdict.is_correct()).count();
    let lengths = shown.iter().map(|d| d.response.len());
    let mean = lengths.clone().sum::<usize>() as f64 / shown.len() as f64;
    (right as f64 / shown.len() as f64, mean, lengths.max().unwrap_or(0))
}

#[test]
fn demonstrations_are_well_formed_and_seldom_right() {
    for task in tasks() {
        let (right, mean, longest) = measure(&task);
        let measured = format!("{right} right, {mean} characters, at most {longest}");
        let expected = if task.name() == "recall" { 0.04..0.1 } else { 0.15..0.3 };
        assert!(expected.contains(&right), "{}: {measured}", task.name());
        assert!(mean > 40.0 && longest < 200, "{}: {measured}", task.name());
        for shown in task.demonstrations(0, 1000) {
            let verdict = task.grade(&shown.problem, shown.response.as_str().into()).verdict;
            assert!(matches!(verdict, Verdict::Graded { .. }), "{shown:?}");
        }
    }
}

#[test]
fn without_a_wrong_step_the_answer_is_right_and_with_one_it_is_nearly_always_lost() {
    for task in tasks() {
        let (mut wrong_steps, mut lucky) = (0, 0);
        for shown in task.demonstrations(0, 5000) {
            let correct = task.grade(&shown.problem, shown.response.as_str().into()).verdict.is_correct();
            match task.first_wrong_step(&shown.problem, &shown.response) {
                None => assert!(correct, "{shown:?}"),
                Some(_) => {
                    wrong_steps += 1;
                    lucky += usize::from(correct);
                }
            }
        }
        // A later error can cancel the first with probability about 1/9.
        assert!(lucky * 8 < wrong_steps, "{}: {lucky} of {wrong_steps}", task.name());
    }
}

#[test]
fn verdicts_never_panic() {
    for task in tasks() {
        let problem = &task.held_out()[0];
        let pieces = ["0", "7", "b", "*", "+", "-", "=", "?", "é", " ", "a+5=", "+24", ":", "\u{0}"];
        for index in 0..5000 {
            let mut random = Random::keyed(0, Stream::TestCase, &[index]);
            let text: String = (0..random.below(20)).map(|_| random.pick(&pieces)).collect();
            let _ = task.grade(problem, text.as_str().into());
            task.first_wrong_step(problem, &text);
            let stranger = Problem { prompt: text.clone(), ..problem.clone() };
            task.solution(&stranger);
            task.first_wrong_step(&stranger, &text);
        }
    }
}

#[test]
fn the_tokenizer_has_a_token_per_character_and_loses_nothing() {
    for task in tasks() {
        let tokenizer = Tokenizer::from_bytes(task.world().tokenizer_json()).unwrap();
        assert_eq!(tokenizer.token_to_id(BOS), Some(0));
        assert_eq!(tokenizer.token_to_id(EOS), Some(1));
        for shown in task.demonstrations(0, 500) {
            let text = shown.problem.prompt + &shown.response;
            let encoding = tokenizer.encode(text.as_str(), false).unwrap();
            assert_eq!(encoding.len(), text.len());
            assert_eq!(tokenizer.decode(encoding.get_ids(), true).unwrap(), text);
            let with_specials = format!("{text}{EOS}");
            let ids = tokenizer.encode(with_specials.as_str(), true).unwrap().get_ids().to_vec();
            assert_eq!((ids[0], ids[ids.len() - 1], ids.len()), (0, 1, text.len() + 2));
            assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
        }
        assert!(tokenizer.encode("7 5", false).is_err(), "an unknown character must be an error");
    }
}

#[test]
fn settings_and_names_are_checked() {
    assert_eq!(
        World::named("chains").unwrap_err().to_string(),
        "there is no built-in task `chains`, expected one of: chain, recall, walk"
    );
    let too_many = BuiltinTask::new(World::Walk(Walk::default()), 0, 0..5000).unwrap_err().to_string();
    assert!(too_many.starts_with("the number of held-out problems is 5000, expected at most about 9"), "{too_many}");
}
