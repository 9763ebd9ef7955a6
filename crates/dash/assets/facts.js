// What is known of a response besides its tokens: verdict, reward, lengths.

import { h } from "./dom.js";
import { count, fixed, number } from "./format.js";
import { shortened, visible } from "./text.js";

const MARKS = { right: "✓", wrong: "✗", malformed: "?" };

/** A verdict as a sign and a word, so that it needs no color. */
export function verdictBadge(verdict) {
  return h("span", { class: `verdict ${MARKS[verdict] ? verdict : "other"}` }, h("span", { "aria-hidden": "true" }, MARKS[verdict] ?? "·"), visible(verdict ?? "ungraded"));
}

const STOPS = { stop_token: "ended by itself", stop_string: "ended at a stop string", length: "cut off" };

export function stopReason(reason) {
  return STOPS[reason] ?? visible(reason ?? "–");
}

/** A text of the run, isolated from its surroundings and shortened. */
export function given(text, limit = 300) {
  return h("bdi", { class: "given", dir: "ltr" }, visible(shortened(text ?? "–", limit)));
}

/** A name and what it stands for. */
export function fact(name, ...value) {
  return h("div", { class: "fact" }, h("dt", {}, name), h("dd", {}, ...value));
}

/** The facts about a response as a list. */
export function responseFacts(response) {
  const scores = (response.scores ?? []).map(({ name, score }) => `${visible(name)} ${number(score)}`);
  return h("dl", { class: "facts" },
    fact("verdict", verdictBadge(response.verdict)),
    fact("reward", number(response.reward)),
    scores.length > 0 ? fact("scores", scores.join(", ")) : fact("score", number(response.score)),
    fact("answer", given(response.answer, 120)),
    fact("read in the response", given(response.extracted_answer, 120)),
    response.reason && fact("verifier", given(response.reason, 300)),
    fact("length", `${count(response.response_tokens, "token")}, ${stopReason(response.stop_reason)}`),
    response.lambda !== null && response.lambda !== undefined && fact("lambda", fixed(response.lambda, 4)),
    fact("problem", `${visible(response.data_source ?? "")} ${response.problem ?? ""}`),
    response.policy_version !== undefined && fact("policy", `after ${count(response.policy_version, "update")}`),
  );
}
