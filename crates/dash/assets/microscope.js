// The token microscope: a response token by token, each colored by a quantity, with a curve under every line. Only the
// lines that can be seen are in the page.

import { onSchemeChange } from "./colors.js";
import { spanOf } from "./curve.js";
import { atNextFrame, fill, freshId, h } from "./dom.js";
import { fixed } from "./format.js";
import { layOut, lineOf, measurer, nearest, shownTexts } from "./lines.js";
import { QUANTITIES, extremesOf, quantitiesOf, quantityOf, scaleOf, written } from "./quantity.js";
import { overviewStrip } from "./strip.js";
import { visible, shortened } from "./text.js";
import { LEFT, drawLine, legendParts } from "./tokenlines.js";

/** Heights of a line's text and curve in pixels: answers of a few lines are larger. */
const SMALL = { name: "small", text: 24, curve: 30, dot: 1.6 };
const LARGE = { name: "large", text: 34, curve: 96, dot: 2.6 };
/** The most lines of a large answer. */
const FEW_LINES = 3;
/** On less width than this, nothing is large. */
const NARROW = 500;
const BETWEEN = 10;
/** Lines above and below the visible ones that are there already. */
const SPARE = 4;
const KEYS = [
  ["← →", "token before, after"], ["↑ ↓", "line above, below"], ["Home End", "first, last token"], ["Page ↑ ↓", "a page"],
  ["[ ]", "previous, next token that stands out"], ["n", "first wrong token"], ["1 … 8, q", "quantity, next quantity"], ["w", "spaces visible"],
];

/**
 * The microscope over a response. `choice` holds the quantity, the token and whether spaces are visible; `changed` is called
 * when the reader chooses others, `signal` ends it.
 */
export function microscope(response, choice, changed, signal) {
  const { text } = response.tokens;
  if (!text || text.length === 0 || quantitiesOf(response.tokens).length === 0) return h("p", { class: "nothing" }, "No tokens are recorded for this response.");
  return new Microscope(response, choice, changed, signal).element;
}

class Microscope {
  constructor(response, choice, changed, signal) {
    this.response = response;
    this.tokens = response.tokens;
    this.count = this.tokens.text.length;
    this.changed = changed;
    this.available = quantitiesOf(this.tokens);
    this.quantity = this.available.find((quantity) => quantity.key === choice.quantity) ?? this.available[0];
    this.whitespace = choice.whitespace ?? false;
    this.active = Math.min(Math.max(choice.token ?? response.first_wrong ?? 0, 0), Math.max(0, this.count - 1));
    this.id = freshId("token");
    this.build();
    this.observe(signal);
  }

  build() {
    this.choices = h("div", { class: "choices", role: "radiogroup", "aria-label": "Color tokens by" });
    this.legend = h("div", { class: "legend" });
    this.strip = overviewStrip((share) => this.scrollToShare(share));
    this.sheet = h("div", { class: "sheet", role: "none" });
    this.scroller = h("div", {
      class: "scope", role: "listbox", tabindex: "0", "aria-label": `The response, ${this.count} tokens`, onkeydown: (event) => this.key(event),
    }, this.sheet);
    this.details = h("aside", { class: "token-details", "aria-label": "The token", "aria-live": "polite" });
    const spaces = h("input", { type: "checkbox", checked: this.whitespace, onchange: () => this.setWhitespace(spaces.checked) });
    this.spaces = spaces;
    this.element = h("section", { class: "microscope", "aria-label": "Tokens" },
      h("div", { class: "scope-bar" }, this.choices, h("label", { class: "check" }, spaces, "spaces visible"), this.buttons()),
      this.legend, this.strip.element,
      h("div", { class: "scope-and-details" }, this.scroller, this.details), keysHelp());
    this.drawChoices();
  }

  buttons() {
    const button = (text, title, action) => h("button", { type: "button", title, onclick: action }, text);
    const wrong = this.response.first_wrong;
    return h("div", { class: "buttons" },
      Number.isInteger(wrong) && button("first wrong token", "n", () => this.goTo(wrong)),
      button("‹ extreme", "[", () => this.extreme(-1)), button("extreme ›", "]", () => this.extreme(1)),
      navigator.clipboard && copyButton(this.response.response));
  }

  observe(signal) {
    const resized = new ResizeObserver(atNextFrame(() => this.measure()));
    resized.observe(this.scroller);
    signal?.addEventListener("abort", () => resized.disconnect());
    this.scroller.addEventListener("scroll", atNextFrame(() => this.drawLines()), { passive: true });
    this.sheet.addEventListener("pointerover", (event) => this.point(event, false));
    this.sheet.addEventListener("pointerleave", () => this.describe(this.active));
    this.sheet.addEventListener("click", (event) => this.point(event, true));
    this.scroller.addEventListener("copy", (event) => this.copy(event));
    onSchemeChange(() => this.recolor(), signal);
  }

  /** Lays the tokens out again for the present width. */
  measure() {
    const width = this.scroller.clientWidth - LEFT - 6;
    if (width <= 40 || (width === this.width && this.layoutOf === this.whitespace)) return;
    const isFirst = this.width === undefined;
    [this.width, this.layoutOf] = [width, this.whitespace];
    this.shown = shownTexts(this.tokens.text, this.whitespace);
    this.layOutIn(LARGE, width);
    if (this.layout.lines.length > FEW_LINES || width < NARROW) this.layOutIn(SMALL, width);
    this.sheet.style.height = `${this.layout.lines.length * this.line + 6}px`;
    this.recolor();
    this.reveal(this.active, isFirst);
    this.describe(this.active);
  }

  layOutIn(size, width) {
    this.size = size;
    this.line = size.text + size.curve + BETWEEN;
    this.sheet.className = `sheet ${size.name}`;
    this.layout = layOut(this.tokens.text, this.shown, measurer(getComputedStyle(this.sheet).font), width);
  }

  recolor() {
    if (!this.layout) return;
    this.scale = scaleOf(this.quantity, [this.response]);
    this.extremes = extremesOf(this.quantity, this.tokens[this.quantity.key]);
    this.curveQuantity = this.tokens.value ? quantityOf("value") : this.quantity.states ? quantityOf("logprob") : this.quantity;
    this.span = spanOf([this.tokens[this.curveQuantity.key]]);
    const curveOf = this.tokens[this.curveQuantity.key];
    this.strip.draw({ list: this.tokens[this.quantity.key], scale: this.scale, curveOf, wrong: this.response.first_wrong });
    fill(this.legend, legendParts(this));
    this.sheet.replaceChildren();
    this.drawn = new Map();
    this.drawLines();
  }

  /** Draws the lines that are visible and removes the others. */
  drawLines() {
    if (!this.layout) return;
    const { scrollTop, clientHeight } = this.scroller;
    const [lines, top] = [this.layout.lines, Math.floor(scrollTop / this.line)];
    const [from, to] = [Math.max(0, top - SPARE), Math.min(lines.length, Math.ceil((scrollTop + clientHeight) / this.line) + SPARE)];
    for (const [line, element] of this.drawn) {
      if (line >= from && line < to) continue;
      element.remove();
      this.drawn.delete(line);
    }
    for (let line = from; line < to; line++) {
      if (this.drawn.has(line)) continue;
      const element = drawLine(this, line);
      const next = [...this.drawn.keys()].filter((other) => other > line).sort((a, b) => a - b)[0];
      this.sheet.insertBefore(element, next === undefined ? null : this.drawn.get(next));
      this.drawn.set(line, element);
    }
    this.markActive();
    const bottom = Math.min(lines.length, Math.ceil((scrollTop + clientHeight - this.line / 2) / this.line));
    if (lines.length > 0) this.strip.frame(lines[Math.min(top, lines.length - 1)].from / this.count, lines[bottom - 1].to / this.count);
  }

  markActive() {
    this.sheet.querySelector(".token.is-active")?.classList.remove("is-active");
    this.sheet.querySelector('.token[aria-selected="true"]')?.setAttribute("aria-selected", "false");
    const element = document.getElementById(`${this.id}-${this.active}`);
    element?.classList.add("is-active");
    element?.setAttribute("aria-selected", "true");
    if (element) this.scroller.setAttribute("aria-activedescendant", element.id);
    else this.scroller.removeAttribute("aria-activedescendant");
  }

  /** All numbers of a token. */
  describe(token) {
    if (this.described === token || this.count === 0) return;
    this.described = token;
    const row = (quantity) => h("tr", { class: quantity === this.quantity ? "chosen" : "" }, h("th", { scope: "row" }, quantity.name), h("td", {}, written(quantity, this.tokens[quantity.key][token])));
    const standing = [token === this.response.first_wrong && "the first wrong token", this.extremes?.includes(token) && `stands out by its ${this.quantity.name}`].filter(Boolean);
    fill(this.details,
      h("p", { class: "token-big" }, h("bdi", { class: "given" }, visible(shortened(this.tokens.text[token], 200), true) || "∅")),
      h("p", { class: "quiet" }, `token ${token + 1} of ${this.count}, id ${this.tokens.id?.[token] ?? "–"}`),
      standing.length > 0 && h("p", { class: "standing" }, standing.join("; ")),
      h("table", {}, h("tbody", {}, this.available.map(row),
        h("tr", {}, h("th", { scope: "row" }, "probability"), h("td", {}, fixed(Math.exp(this.tokens.logprob[token]), 4))))));
  }

  point(event, isChoice) {
    const element = event.target.closest?.("[data-token]");
    if (!element) return;
    const token = Number(element.dataset.token);
    if (!isChoice) this.describe(token);
    else if (getSelection().isCollapsed) this.goTo(token);
  }

  goTo(token) {
    if (this.count === 0) return;
    this.active = Math.min(Math.max(token, 0), this.count - 1);
    this.reveal(this.active);
    this.markActive();
    this.describe(this.active);
    this.report();
  }

  reveal(token, isFirst = false) {
    const top = lineOf(this.layout.lines, token) * this.line;
    const { scrollTop, clientHeight } = this.scroller;
    const isHidden = top < scrollTop || top + this.line > scrollTop + clientHeight;
    if (isHidden) this.scroller.scrollTop = Math.max(0, isFirst || Math.abs(top - scrollTop) > clientHeight ? top - clientHeight / 3 : top < scrollTop ? top : top + this.line - clientHeight);
    this.drawLines();
  }

  scrollToShare(share) {
    const token = Math.min(this.count - 1, Math.max(0, Math.floor(share * this.count)));
    this.goTo(token);
  }

  extreme(direction) {
    const others = this.extremes.filter((token) => (direction > 0 ? token > this.active : token < this.active));
    const next = direction > 0 ? others[0] : others.at(-1);
    if (next !== undefined) this.goTo(next);
  }

  verticalMove(by) {
    const { lines, left, widths } = this.layout;
    const line = Math.min(Math.max(lineOf(lines, this.active) + by, 0), lines.length - 1);
    this.goTo(nearest(this.layout, line, left[this.active] + widths[this.active] / 2));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.layout) return;
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.line) - 1);
    const wrong = this.response.first_wrong;
    const actions = {
      ArrowLeft: () => this.goTo(this.active - 1), ArrowRight: () => this.goTo(this.active + 1),
      ArrowUp: () => this.verticalMove(-1), ArrowDown: () => this.verticalMove(1),
      PageUp: () => this.verticalMove(-page), PageDown: () => this.verticalMove(page),
      Home: () => this.goTo(0), End: () => this.goTo(this.count - 1),
      "[": () => this.extreme(-1), "]": () => this.extreme(1), n: () => Number.isInteger(wrong) && this.goTo(wrong),
      q: () => this.choose(this.available[(this.available.indexOf(this.quantity) + 1) % this.available.length]),
      w: () => this.setWhitespace(!this.whitespace),
    };
    const numbered = this.available.find((quantity) => QUANTITIES.indexOf(quantity) + 1 === Number(event.key));
    const action = numbered ? () => this.choose(numbered) : actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  drawChoices() {
    const option = (quantity) => {
      const isChosen = quantity === this.quantity;
      return h("button", {
        type: "button", role: "radio", "aria-checked": String(isChosen), tabindex: isChosen ? "0" : "-1", title: quantity.about,
        onclick: () => this.choose(quantity), onkeydown: (event) => this.choiceKey(event),
      }, h("kbd", { "aria-hidden": "true" }, String(QUANTITIES.indexOf(quantity) + 1)), quantity.name);
    };
    fill(this.choices, this.available.map(option));
  }

  choiceKey(event) {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const { length } = this.available;
    this.choose(this.available[(this.available.indexOf(this.quantity) + by + length) % length]);
    this.choices.querySelector('[aria-checked="true"]').focus();
  }

  choose(quantity) {
    this.quantity = quantity;
    this.drawChoices();
    this.recolor();
    this.described = undefined;
    this.describe(this.active);
    this.report();
  }

  setWhitespace(whitespace) {
    this.whitespace = this.spaces.checked = whitespace;
    this.measure();
    this.report();
  }

  report() {
    this.changed?.({ quantity: this.quantity.key, token: this.active, whitespace: this.whitespace });
  }

  /** What is copied is the text of the tokens, not the symbols that are shown for it. */
  copy(event) {
    const selection = getSelection();
    const chosen = [...this.sheet.querySelectorAll("[data-token]")].filter((element) => selection.containsNode(element, true));
    if (chosen.length === 0 || !event.clipboardData) return;
    event.clipboardData.setData("text/plain", chosen.map((element) => this.tokens.text[Number(element.dataset.token)]).join(""));
    event.preventDefault();
  }
}

/** Copies the response as it was graded, and says so. */
function copyButton(text) {
  const button = h("button", { type: "button", onclick: async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
    setTimeout(() => (button.textContent = "copy text"), 1500);
  } }, "copy text");
  return button;
}

function keysHelp() {
  return h("details", { class: "keys" }, h("summary", {}, "Keys"),
    h("dl", {}, KEYS.map(([key, text]) => h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)))));
}
