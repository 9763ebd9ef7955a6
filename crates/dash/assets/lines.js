// The lines of the microscope: which tokens are in which line and where, known before anything is drawn.

import { shortened, visible } from "./text.js";

/** A token of more characters is shortened. */
const LONGEST = 120;
/** Pixels between the text of two tokens. */
export const GAP = 2;

/** The texts of tokens as they are shown. */
export function shownTexts(texts, whitespace) {
  return texts.map((text) => visible(shortened(text, LONGEST), whitespace) || "∅");
}

/** Measures texts in a font; equal texts once. */
export function measurer(font) {
  const context = document.createElement("canvas").getContext("2d");
  context.font = font;
  const known = new Map();
  return (text) => {
    let width = known.get(text);
    if (width === undefined) known.set(text, (width = context.measureText(text).width));
    return width;
  };
}

/**
 * Divides tokens among lines of a width. A line ends after a token with a line end, and where possible before a space, not
 * within a word.
 * Returns the lines as `{ from, to }` and the distance of each token's left side from that of its line.
 */
export function layOut(texts, shown, measure, width) {
  const [lines, left, widths] = [[], new Float64Array(shown.length), new Float64Array(shown.length)];
  let [from, x, word] = [0, 0, 0];
  const endLine = (to) => {
    lines.push({ from, to });
    from = word = to;
  };
  for (let index = 0; index < shown.length; index++) {
    widths[index] = Math.min(Math.ceil(measure(shown[index])) + GAP, width);
    if (startsWord(texts, index)) word = index;
    if (x + widths[index] > width && index > from) {
      // A word that began in the second half of the line moves as a whole.
      const breaks = word > from && left[word] > width / 2 ? word : index;
      endLine(breaks);
      x = 0;
      for (let moved = breaks; moved < index; moved++) {
        left[moved] = x;
        x += widths[moved];
      }
    }
    left[index] = x;
    x += widths[index];
    if (texts[index].includes("\n")) {
      endLine(index + 1);
      x = 0;
    }
  }
  if (from < shown.length) lines.push({ from, to: shown.length });
  return { lines, left, widths };
}

function startsWord(texts, index) {
  return /^\s/.test(texts[index]) || (index > 0 && /\s$/.test(texts[index - 1]));
}

/** The line that a token is in. */
export function lineOf(lines, token) {
  let [low, high] = [0, lines.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (lines[middle].from <= token) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The token of a line that is nearest to a distance from the left. */
export function nearest(layout, line, x) {
  const { from, to } = layout.lines[line];
  let best = from;
  const distance = (token) => Math.abs(layout.left[token] + layout.widths[token] / 2 - x);
  for (let token = from; token < to; token++) if (distance(token) < distance(best)) best = token;
  return best;
}
