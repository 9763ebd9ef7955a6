//! A response as Markdown, which TensorBoard shows.

use vapo_tasks::Verdict;

/// Characters of a text that are shown. TensorBoard lays out the whole of it.
const MAX_CHARS: usize = 50_000;

/// A response to show, with what it answers.
pub(super) struct Sample<'a> {
    pub(super) verdict: &'a Verdict,
    pub(super) tokens: usize,
    pub(super) prompt: &'a str,
    pub(super) response: &'a str,
    /// The reference answer.
    pub(super) answer: &'a str,
}

impl Sample<'_> {
    pub(super) fn to_markdown(&self) -> String {
        let heading = format!("**{}**, {} tokens", self.verdict.name(), self.tokens);
        let texts = [("Prompt", self.prompt), ("Response", self.response), ("Reference answer", self.answer)];
        texts.iter().fold(heading, |shown, (name, text)| format!("{shown}\n\n{name}\n\n{}", literal(text)))
    }
}

/// A text as a block of code: only an indented line belongs to one, so no text can leave it. Control characters would be
/// taken for ends of lines or for marks of the program that reads the Markdown.
fn literal(text: &str) -> String {
    let printable = |c: char| if c.is_control() && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
    let shown: String = text.chars().take(MAX_CHARS).map(printable).collect();
    let block = shown.split('\n').map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n");
    match text.chars().count() - shown.chars().count() {
        0 => block,
        more => format!("{block}\n\n({more} more characters)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_in_its_block() {
        let hostile = "a\n\n# b\r**c**\n```\n<script>\x1b[1m\u{2}\n    deep\n\tend";
        let sample =
            Sample { verdict: &Verdict::graded(false), tokens: 7, prompt: "1 + 1 =", response: hostile, answer: "" };
        let expected = "**wrong**, 7 tokens\n\nPrompt\n\n    1 + 1 =\n\nResponse\n\n    a\n    \n    # b\u{fffd}**c**\n    ```\n    <script>\u{fffd}[1m\u{fffd}\n        deep\n    \tend\n\nReference answer\n\n    ";
        assert_eq!(sample.to_markdown(), expected);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "ä".repeat(MAX_CHARS);
        assert_eq!(literal(&long), format!("    {long}"));
        assert_eq!(literal(&format!("{long}bc")), format!("    {long}\n\n(2 more characters)"));
    }
}
