// A list of any length: only the rows that can be seen are in the page, and they are fetched page by page.

import { atNextFrame, freshId, h } from "./dom.js";

const PAGE = 100;
/** Browsers do not draw elements that are higher than this. */
const HIGHEST = 12e6;

/**
 * `fetchPage(offset, limit)` gives `{ rows, total }`, `draw(row, index)` an element, `open(row)` is called for the row that was
 * chosen, `loaded(page)` when rows have come.
 */
export class VirtualList {
  constructor({ label, rowHeight, fetchPage, draw, open, loaded, failed, signal }) {
    Object.assign(this, { rowHeight, fetchPage, drawRow: draw, open, loaded, failed });
    this.id = freshId("row");
    [this.pages, this.rows, this.total, this.active, this.version] = [new Map(), new Map(), 0, 0, 0];
    this.sheet = h("div", { class: "list-sheet", role: "none" });
    this.element = h("div", { class: "list", role: "listbox", tabindex: "0", "aria-label": label, onkeydown: (event) => this.key(event) }, this.sheet);
    this.element.addEventListener("scroll", atNextFrame(() => this.show()), { passive: true });
    this.element.addEventListener("focus", () => this.mark());
    const resized = new ResizeObserver(atNextFrame(() => this.resized()));
    resized.observe(this.element);
    signal.addEventListener("abort", () => resized.disconnect());
  }

  /** Fetches everything again: other rows, or, with `keepsPlace`, the same ones as they are now. */
  async reset({ keepsPlace = false } = {}) {
    this.version++;
    this.pages.clear();
    if (!keepsPlace) [this.element.scrollTop, this.active] = [0, 0];
    this.element.setAttribute("aria-busy", "true");
    await this.need(keepsPlace ? Math.floor(this.firstVisible() / PAGE) : 0);
    this.element.removeAttribute("aria-busy");
  }

  async need(page) {
    if (this.pages.has(page)) return;
    const version = this.version;
    this.pages.set(page, undefined);
    try {
      const answer = await this.fetchPage(page * PAGE, PAGE);
      if (version !== this.version) return;
      this.pages.set(page, answer.rows);
      const isNew = answer.total !== this.total || !this.shownVersion || this.shownVersion !== version;
      this.total = answer.total;
      this.loaded(answer);
      if (isNew) this.clear();
      this.shownVersion = version;
      this.show(page);
    } catch (error) {
      if (error.name === "AbortError" || version !== this.version) return;
      this.pages.delete(page);
      this.failed(error);
    }
  }

  resized() {
    const height = typeof this.rowHeight === "function" ? this.rowHeight() : this.rowHeight;
    if (height === this.height) return this.show();
    this.height = height;
    this.clear();
    this.show();
  }

  clear() {
    this.rows.clear();
    this.sheet.replaceChildren();
    this.height ??= typeof this.rowHeight === "function" ? this.rowHeight() : this.rowHeight;
    this.sheet.style.height = `${Math.min(this.total * this.height, HIGHEST)}px`;
  }

  /** Pixels of rows that lie above the visible ones: more than were scrolled in a list too long for the browser. */
  offset() {
    const [whole, high, seen] = [this.total * this.height, Math.min(this.total * this.height, HIGHEST), this.element.clientHeight];
    return whole <= high || high <= seen ? this.element.scrollTop : (this.element.scrollTop * (whole - seen)) / (high - seen);
  }

  firstVisible() {
    return this.height ? Math.max(0, Math.floor(this.offset() / this.height)) : 0;
  }

  show(changedPage) {
    if (!this.height || this.shownVersion === undefined) return;
    const seen = Math.ceil(this.element.clientHeight / this.height) + 1;
    const [first, offset] = [this.firstVisible(), this.offset()];
    const [from, to] = [Math.max(0, first - 6), Math.min(this.total, first + seen + 6)];
    for (const [index, element] of this.rows) {
      if (index >= from && index < to && Math.floor(index / PAGE) !== changedPage) continue;
      element.remove();
      this.rows.delete(index);
    }
    for (let index = from; index < to; index++) {
      if (!this.rows.has(index)) this.rows.set(index, this.add(index));
      this.rows.get(index).style.transform = `translateY(${index * this.height - offset + this.element.scrollTop}px)`;
    }
    for (let page = Math.floor(from / PAGE); page <= Math.floor(Math.max(from, to - 1) / PAGE); page++) if (to > from) this.needSoon(page);
    this.mark();
  }

  /** While somebody scrolls quickly, pages that are gone again are not fetched. */
  needSoon(page) {
    if (this.pages.has(page)) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const first = Math.floor(this.firstVisible() / PAGE);
      this.need(first);
      const last = Math.floor((this.firstVisible() + this.element.clientHeight / this.height) / PAGE);
      if (last !== first && last * PAGE < this.total) this.need(last);
    }, 40);
  }

  rowAt(index) {
    return this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  add(index) {
    const row = this.rowAt(index);
    const element = row ? this.drawRow(row, index) : h("div", { class: "row waiting" }, "…");
    element.setAttribute("role", "option");
    element.setAttribute("aria-posinset", String(index + 1));
    element.setAttribute("aria-setsize", String(this.total));
    element.id = `${this.id}-${index}`;
    element.style.height = `${this.height}px`;
    element.addEventListener("click", (event) => {
      if (event.target.closest("a") || !getSelection().isCollapsed) return;
      this.active = index;
      this.choose(index);
    });
    this.sheet.append(element);
    return element;
  }

  choose(index) {
    const row = this.rowAt(index);
    if (row) this.open(row);
  }

  mark() {
    for (const [index, element] of this.rows) {
      element.classList.toggle("is-active", index === this.active);
      element.setAttribute("aria-selected", String(index === this.active));
    }
    const active = this.rows.get(this.active);
    if (active) this.element.setAttribute("aria-activedescendant", active.id);
    else this.element.removeAttribute("aria-activedescendant");
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.height) return;
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.height) - 1);
    const target = { ArrowDown: this.active + 1, ArrowUp: this.active - 1, PageDown: this.active + page, PageUp: this.active - page, Home: 0, End: this.total - 1 }[event.key];
    if (event.key === "Enter") this.choose(this.active);
    else if (target === undefined) return;
    else this.goTo(Math.min(Math.max(target, 0), this.total - 1));
    event.preventDefault();
  }

  goTo(index) {
    this.active = index;
    const [top, offset, seen] = [index * this.height, this.offset(), this.element.clientHeight];
    let wanted = offset;
    if (top < offset) wanted = top;
    else if (top + this.height > offset + seen) wanted = top + this.height - seen;
    const [whole, high] = [this.total * this.height, Math.min(this.total * this.height, HIGHEST)];
    if (wanted !== offset) this.element.scrollTop = whole <= high ? wanted : (wanted * (high - seen)) / (whole - seen);
    this.show();
  }
}
