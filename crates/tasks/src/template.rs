//! The prompt template.

use crate::Error;

const PLACEHOLDER: &str = "{problem}";

/// A prompt template: a text with the placeholder `{problem}`, once or more. All other braces are literal.
///
/// ```
/// let template = vapo_tasks::PromptTemplate::new("Q: {problem}\nPut it into \\boxed{}.\nA:")?;
/// assert_eq!(template.render("1 + 1?"), "Q: 1 + 1?\nPut it into \\boxed{}.\nA:");
/// # Ok::<(), vapo_tasks::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptTemplate {
    template: String,
}

impl PromptTemplate {
    /// Checks a template.
    ///
    /// # Errors
    /// [`Error::Template`] if it has no `{problem}`.
    pub fn new(template: impl Into<String>) -> Result<PromptTemplate, Error> {
        let template = template.into();
        if !template.contains(PLACEHOLDER) {
            return Err(Error::Template { template });
        }
        Ok(PromptTemplate { template })
    }

    /// Replaces each placeholder with a problem's text; placeholders within the problem are not replaced.
    pub fn render(&self, problem: &str) -> String {
        self.template.replace(PLACEHOLDER, problem)
    }
}

impl Default for PromptTemplate {
    /// Only the problem.
    fn default() -> PromptTemplate {
        PromptTemplate { template: PLACEHOLDER.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_may_hold_the_placeholder() {
        let template = PromptTemplate::new("<{problem}> and <{problem}>").unwrap();
        assert_eq!(template.render("{problem}!"), "<{problem}!> and <{problem}!>");
        assert_eq!(PromptTemplate::default().render("x"), "x");
    }

    #[test]
    fn a_template_needs_the_placeholder() {
        assert_eq!(
            PromptTemplate::new("Q: {question}\nA:").unwrap_err().to_string(),
            "the prompt template \"Q: {question}\\nA:\" has no `{problem}`, the placeholder for the problem's text"
        );
    }
}
