// Texts of a model: what cannot be seen is shown by symbols, and long ones are shortened.

// Controls, marks that change the direction of text, characters of no width, tags, and halves of characters.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffc]|[\u{e0000}-\u{e0fff}]|\p{Surrogate}/gu;
const SYMBOLS = new Map([
  ["\n", "⏎"], ["\t", "⇥"], ["\r", "‹cr›"], ["\u0000", "‹nul›"], ["\u001b", "‹esc›"], ["\u007f", "‹del›"], ["\u00ad", "‹shy›"], ["\u200b", "‹zwsp›"], ["\u200c", "‹zwnj›"],
  ["\u200d", "‹zwj›"], ["\u200e", "‹lrm›"], ["\u200f", "‹rlm›"], ["\u2028", "‹line sep›"], ["\u2029", "‹par sep›"],
  ["\u202a", "‹lre›"], ["\u202b", "‹rle›"], ["\u202c", "‹pdf›"], ["\u202d", "‹lro›"], ["\u202e", "‹rlo›"],
  ["\u2060", "‹wj›"], ["\u2066", "‹lri›"], ["\u2067", "‹rli›"], ["\u2068", "‹fsi›"], ["\u2069", "‹pdi›"], ["\ufeff", "‹bom›"],
]);

function symbol(character) {
  const known = SYMBOLS.get(character);
  if (known) return known;
  return `‹${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}›`;
}

/** A text whose every character can be seen; with `whitespace`, spaces too. */
export function visible(text, whitespace = false) {
  const shown = text.replace(UNSEEN, symbol);
  return whitespace ? shown.replace(/ /g, "·").replace(/\u00a0/g, "⍽") : shown;
}

/** The same, but lines end where the text has line ends. */
export function visibleLines(text) {
  return text.replace(UNSEEN, (character) => (character === "\n" ? "⏎\n" : symbol(character)));
}

/** The start of a text, at most `limit` characters of it, and how much is left. */
export function shortened(text, limit) {
  if (text.length <= limit) return text;
  // Not in the middle of a character.
  const end = /[\ud800-\udbff]/.test(text[limit - 1]) ? limit - 1 : limit;
  return `${text.slice(0, end)}… (${text.length.toLocaleString("en-US")} characters)`;
}
