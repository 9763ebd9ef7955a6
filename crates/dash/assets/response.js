// A response under the microscope.

import { get } from "./api.js";
import { fill, h } from "./dom.js";
import { given, responseFacts } from "./facts.js";
import { microscope } from "./microscope.js";
import { changeParameters } from "./router.js";
import { groupAddress, responseAddress } from "./rollouts.js";
import { runFrame } from "./run.js";
import { visibleLines } from "./text.js";

const TEXT_PART = 20000;

export async function responsePage(context) {
  const { parts, parameters, signal } = context;
  const [, , , step, row] = parts;
  const { id, body } = await runFrame(context, "rollouts");
  const response = await get(["runs", id, "responses", step, row], {}, signal);
  let inner = new AbortController();
  signal.addEventListener("abort", () => inner.abort());
  const scope = h("div", {});
  const draw = (now) => {
    inner.abort();
    inner = new AbortController();
    const token = now.get("token");
    const choice = { quantity: now.get("by") ?? undefined, token: token === null ? undefined : Number(token) - 1, whitespace: now.get("spaces") === "1" };
    const changed = ({ quantity, token: chosen, whitespace }) => changeParameters({ by: quantity, token: String(chosen + 1), spaces: whitespace }, { replaces: true });
    fill(scope, microscope(response, choice, changed, inner.signal));
  };
  fill(body,
    h("div", { class: "title" }, h("h2", {}, `Step ${step}, response ${Number(row) + 1}`),
      h("span", { class: "buttons" }, h("a", { class: "button", href: groupAddress(id, response) }, "its group"), Number(row) > 0 && h("a", { class: "button", href: responseAddress(id, { step, row: Number(row) - 1 }, kept(parameters)) }, "‹ before"), h("a", { class: "button", href: responseAddress(id, { step, row: Number(row) + 1 }, kept(parameters)) }, "next ›"))),
    h("section", { class: "card" }, h("p", { class: "prompt" }, given(response.prompt, 4000)), responseFacts(response)),
    scope, wholeText(response.response));
  draw(parameters);
  return draw;
}

function kept(parameters) {
  return { by: parameters.get("by") };
}

/** The response as it was graded; long ones in parts. */
function wholeText(text) {
  const pre = h("pre", { class: "whole-text given", dir: "ltr", tabindex: "0" });
  let shown = 0;
  const more = h("button", { type: "button", onclick: () => add() }, "Show more");
  const add = () => {
    const next = Math.min(text.length, shown + TEXT_PART);
    pre.append(visibleLines(text.slice(shown, next)));
    shown = next;
    more.hidden = shown >= text.length;
  };
  const details = h("details", { class: "card" }, h("summary", {}, "The response as text"), pre, more);
  details.addEventListener("toggle", () => details.open && shown === 0 && add());
  return details;
}
