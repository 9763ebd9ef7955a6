//! Diagnostics of the critic, and of credit where an answer goes wrong.

use vapo_algo::{Calibration, Correlation, ExplainedVariance, Summary};
use vapo_lm::Tokenizer;
use vapo_tasks::Task;

use crate::{
    batch::Batch,
    credit::{Credit, ValueCredit},
    metrics::{Row, keys},
    rollout::GradedRollout,
};

/// Diagnostics of a step's values and advantages.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    /// The critic's side, if there is a critic.
    pub critic: Option<CriticDiagnostics>,
    /// Around the first error of wrong answers, if the task knows where that is.
    pub errors: ErrorDiagnostics,
}

/// Values against Monte-Carlo returns.
#[derive(Clone, Debug)]
pub struct CriticDiagnostics {
    /// Explained variance by the token's position in its response, in tenths.
    pub by_decile: [ExplainedVariance; 10],
    /// Calibration: values compared with the returns that follow.
    pub calibration: Calibration,
    /// V minus return.
    pub bias: Summary,
}

/// Values and advantages around the first wrong token of wrong answers.
#[derive(Clone, Debug, Default)]
pub struct ErrorDiagnostics {
    /// V up to and including the state in which the wrong token was chosen, where nothing is wrong yet.
    pub values_before: Summary,
    /// V after it.
    pub values_after: Summary,
    /// Advantage of the wrong token.
    pub advantage: Summary,
    /// Correlation between the advantage and being the first wrong token, over the tokens of wrong answers.
    pub correlation: Correlation,
}

impl Diagnostics {
    /// Diagnoses a step before its updates, with [`first_wrong_tokens`]; `range` is the least and the greatest reward.
    pub(crate) fn of(batch: &Batch<'_>, credit: &Credit, first_wrong: &[Option<usize>], range: [f64; 2]) -> Self {
        Self {
            critic: credit.values.as_ref().map(|values| CriticDiagnostics::of(batch, values, range)),
            errors: ErrorDiagnostics::of(batch, credit, first_wrong),
        }
    }

    pub(crate) fn write(&self, row: &mut Row) {
        if let Some(critic) = &self.critic {
            for (key, explained) in keys::EXPLAINED_VARIANCE_BY_DECILE.into_iter().zip(&critic.by_decile) {
                row.number(key, explained.value());
            }
            row.number(keys::CALIBRATION_ERROR, critic.calibration.error());
            row.number(keys::VALUE_BIAS, critic.bias.mean());
            row.number(keys::VALUE_BEFORE_ERROR, self.errors.values_before.mean());
            row.number(keys::VALUE_AFTER_ERROR, self.errors.values_after.mean());
        }
        row.number(keys::ADVANTAGE_AT_ERROR, self.errors.advantage.mean());
        row.number(keys::ADVANTAGE_ERROR_CORRELATION, self.errors.correlation.value());
    }
}

impl CriticDiagnostics {
    fn of(batch: &Batch<'_>, values: &ValueCredit, range: [f64; 2]) -> Self {
        let (mut calibration, mut bias) = (Calibration::new(range), Summary::default());
        for (&value, &outcome) in values.old_values.iter().zip(&values.returns) {
            calibration.push(value, outcome);
            bias.push(f64::from(value) - f64::from(outcome));
        }
        Self { by_decile: explained_by_part(batch, values), calibration, bias }
    }
}

/// Explained variance of the values against the Monte-Carlo return, by the token's position in its response.
pub(crate) fn explained_by_part<const PARTS: usize>(
    batch: &Batch<'_>,
    values: &ValueCredit,
) -> [ExplainedVariance; PARTS] {
    let mut parts = [ExplainedVariance::default(); PARTS];
    for response in 0..batch.responses().len() {
        let tokens = batch.tokens_of(response);
        for (position, token) in tokens.clone().enumerate() {
            parts[PARTS * position / tokens.len()].push(values.old_values[token], values.returns[token]);
        }
    }
    parts
}

impl ErrorDiagnostics {
    fn of(batch: &Batch<'_>, credit: &Credit, first_wrong: &[Option<usize>]) -> Self {
        let mut diagnostics = Self::default();
        for (response, wrong) in first_wrong.iter().enumerate() {
            let Some(wrong) = *wrong else { continue };
            for (position, token) in batch.tokens_of(response).enumerate() {
                let advantage = f64::from(credit.advantages[token]);
                diagnostics.correlation.push(advantage, f64::from(u8::from(position == wrong)));
                if position == wrong {
                    diagnostics.advantage.push(advantage);
                }
                if let Some(values) = &credit.values {
                    let side =
                        if position <= wrong { &mut diagnostics.values_before } else { &mut diagnostics.values_after };
                    side.push(f64::from(values.old_values[token]));
                }
            }
        }
        diagnostics
    }
}

/// For each response `[R]` that is not right, its first wrong token, where the task knows it.
pub(crate) fn first_wrong_tokens(batch: &Batch<'_>, task: &dyn Task, tokenizer: &Tokenizer) -> Vec<Option<usize>> {
    let first_wrong = |graded: &GradedRollout<'_>| {
        let rollout = Some(&graded.rollout).filter(|_| !graded.grade.verdict.is_correct())?;
        let offset = task.first_wrong_offset(&rollout.prompt.problem, &rollout.text)?;
        Some(token_at(&rollout.completion.tokens, offset, tokenizer))
    };
    batch.responses().iter().map(first_wrong).collect()
}

/// The token containing byte `offset` of the response's text; the last token if the text ends before that.
fn token_at(tokens: &[u32], offset: usize, tokenizer: &Tokenizer) -> usize {
    let bytes = |length: usize| tokenizer.decode(&tokens[..length]).map_or(0, |text| text.len());
    let (mut low, mut high) = (0, tokens.len() - 1);
    while low < high {
        let middle = (low + high) / 2;
        if bytes(middle + 1) > offset { high = middle } else { low = middle + 1 }
    }
    low
}

#[cfg(test)]
mod tests {
    use vapo_tasks::{Grade, Problem, Response, Verdict, World};

    use super::*;
    use crate::{
        base::TextFiles,
        batch::{
            RewardRules,
            tests::{graded, prompt},
        },
    };

    /// Every wrong answer goes wrong at its second character.
    struct SecondCharacter;

    impl Task for SecondCharacter {
        fn name(&self) -> &str {
            "second character"
        }

        fn train_problems(&self, _start: u64, _count: usize) -> Vec<Problem> {
            Vec::new()
        }

        fn held_out(&self) -> &[Problem] {
            &[]
        }

        fn grade(&self, _problem: &Problem, _response: Response<'_>) -> Grade {
            Verdict::graded(false).into()
        }

        fn first_wrong_offset(&self, _problem: &Problem, _response: &str) -> Option<usize> {
            Some(1)
        }
    }

    /// A wrong answer of three characters and a right one of one: values 0.4, 0.6 until the second character is chosen,
    /// 0.1 after it. Its advantages -0.2, -0.5, -0.1 against 0, 1, 0: mean -4/15; products -0.5 + 4/15, squares 0.0867 and 2/3.
    #[test]
    fn values_are_split_at_the_choice_of_the_first_wrong_token() {
        let world = World::named("chain").unwrap();
        let text = TextFiles::from_texts(world.tokenizer_json(), world.tokenizer_config_json()).unwrap();
        let tokens = text.tokenizer.encode("7a+").unwrap();
        assert_eq!(tokens.len(), 3);
        let prompt = prompt(0);
        let mut wrong = graded(&prompt, &tokens, Verdict::graded(false));
        wrong.rollout.text = "7a+".into();
        let responses = vec![wrong, graded(&prompt, &tokens[..1], Verdict::graded(true))];
        let rules = RewardRules { right: 1.0, wrong: 0.0, max_failed_share: 0.0, overlong: None };
        let batch = Batch::new(responses, rules).unwrap();
        let values = ValueCredit {
            old_values: vec![0.4, 0.6, 0.1, 0.9],
            targets: vec![0.0, 0.0, 0.0, 1.0],
            returns: vec![0.0, 0.0, 0.0, 1.0],
            policy_lambdas: vec![1.0; 2],
        };
        let credit = Credit { advantages: vec![-0.2, -0.5, -0.1, 0.3], values: Some(values), reward_kl: None };
        let first_wrong = first_wrong_tokens(&batch, &SecondCharacter, &text.tokenizer);
        assert_eq!(first_wrong, [Some(1), None], "a right answer has no wrong token");
        let diagnostics = Diagnostics::of(&batch, &credit, &first_wrong, [0.0, 1.0]);

        let close = |found: Option<f64>, expected: f64| assert!((found.unwrap() - expected).abs() < 1e-6, "{found:?}");
        close(diagnostics.errors.values_before.mean(), 0.5);
        close(diagnostics.errors.values_after.mean(), 0.1);
        close(diagnostics.errors.advantage.mean(), -0.5);
        close(diagnostics.errors.correlation.value(), (-0.5 + 4.0 / 15.0) / (0.26f64 / 3.0 * 2.0 / 3.0).sqrt());
        let critic = diagnostics.critic.unwrap();
        close(critic.bias.mean(), (0.4 + 0.6 + 0.1 - 0.1) / 4.0);
        assert_eq!(
            critic.by_decile.each_ref().map(|explained| explained.errors().count()),
            [2, 0, 0, 1, 0, 0, 1, 0, 0, 0]
        );
        assert_eq!(token_at(&tokens, 3, &text.tokenizer), 2, "a text that ends too early goes wrong at its last token");
    }
}
