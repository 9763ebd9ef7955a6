// A group: all responses to a prompt side by side.

import { get } from "./api.js";
import { css, onSchemeChange } from "./colors.js";
import { miniature, spanOf } from "./curve.js";
import { fill, h } from "./dom.js";
import { fact, given, stopReason, verdictBadge } from "./facts.js";
import { count, fixed, number } from "./format.js";
import { QUANTITIES, quantityOf, scaleOf } from "./quantity.js";
import { changeParameters } from "./router.js";
import { responseAddress } from "./rollouts.js";
import { runFrame } from "./run.js";
import { visible } from "./text.js";
import { legendScale } from "./tokenlines.js";

export async function groupPage(context) {
  const { parts, parameters, signal } = context;
  const [, , , step, prompt] = parts;
  const { id, body } = await runFrame(context, "rollouts");
  const group = await get(["runs", id, "groups", step, prompt], {}, signal);
  if (group.length === 0) throw new Error(`No response to prompt ${prompt} of step ${step} is recorded.`);
  const available = QUANTITIES.filter((quantity) => group.some((response) => response.tokens[quantity.key]));
  let quantity = pick(available, parameters);
  const [cards, legend] = [h("div", { class: "group" }), h("span", { class: "legend" })];
  const chooser = h("select", { onchange: () => {
    quantity = quantityOf(chooser.value);
    changeParameters({ by: quantity.key });
    draw();
  } }, available.map(({ key, name }) => h("option", { value: key }, name)));
  const draw = () => {
    chooser.value = quantity.key;
    const [scale, curve] = [scaleOf(quantity, group), curveOf(quantity, group)];
    fill(legend, quantity.about, scale.ends && legendScale(quantity, scale));
    fill(cards, group.map((response, index) => responseCard(id, response, index, quantity, scale, curve)));
  };
  onSchemeChange(draw, signal);
  fill(body, groupFacts(group, step), h("div", { class: "filters" }, h("label", {}, "Color and curve", chooser), legend), cards);
  draw();
  return (changed) => {
    quantity = pick(available, changed);
    draw();
  };
}

function pick(available, parameters) {
  return available.find(({ key }) => key === parameters.get("by")) ?? available[0];
}

/** Curves of a group have one scale, so that they can be compared. */
function curveOf(quantity, group) {
  const drawn = quantity.states ? quantityOf("logprob") : quantity;
  return { drawn, span: spanOf(group.map((response) => response.tokens[drawn.key])) };
}

function groupFacts(group, step) {
  const rewards = group.map((response) => response.reward);
  const mean = rewards.reduce((sum, reward) => sum + reward, 0) / rewards.length;
  const right = group.filter((response) => response.verdict === "right").length;
  return h("section", { class: "card" }, h("h2", {}, `Group of ${count(group.length, "response")}, step ${step}`),
    h("p", { class: "prompt" }, given(group[0].prompt, 2000)),
    h("dl", { class: "facts" }, fact("answer", given(group[0].answer, 200)), fact("right", `${right} of ${group.length}`), fact("mean reward", fixed(mean)),
      fact("problem", `${visible(group[0].data_source ?? "")} ${group[0].problem ?? ""}`)));
}

function responseCard(id, response, index, quantity, scale, { drawn, span }) {
  const list = response.tokens[drawn.key];
  const address = responseAddress(id, response, { by: quantity.key });
  return h("article", { class: "card response-card" },
    h("header", {}, h("h3", {}, h("a", { href: address }, `Response ${index + 1}`)), verdictBadge(response.verdict)),
    h("p", { class: "card-figures" }, h("span", {}, "reward ", h("strong", {}, number(response.reward))), h("span", { class: "quiet" }, `${count(response.response_tokens, "token")}, ${stopReason(response.stop_reason)}`)),
    list && h("div", { class: "mini" }, h("div", { class: "mini-scale quiet", "aria-hidden": "true" }, h("span", {}, fixed(span[1], 2)), h("span", {}, fixed(span[0], 2))),
      miniature(list, { span, mark: response.first_wrong, label: `${drawn.name} over the response, from ${fixed(list[0])} to ${fixed(list.at(-1))}` })),
    response.tokens[quantity.key] && colorStrip(response.tokens[quantity.key], scale),
    h("p", { class: "response-text" }, given(response.response, 1200)),
    h("p", { class: "quiet" }, "read ", given(response.extracted_answer, 80), response.reason && [" · ", given(response.reason, 120)]));
}

function colorStrip(list, scale) {
  const canvas = h("canvas", { class: "color-strip", width: String(Math.min(list.length, 1200)), height: "1", "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  for (let x = 0; x < canvas.width; x++) {
    context.fillStyle = css(scale.color(list[Math.floor((x / canvas.width) * list.length)]));
    context.fillRect(x, 0, 1, 1);
  }
  return canvas;
}
