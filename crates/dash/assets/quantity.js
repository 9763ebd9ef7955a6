// What tokens can be colored by, and how its numbers become colors.

import { clipColor, mixed, scheme } from "./colors.js";
import { fixed } from "./format.js";

/**
 * In the order of their number keys. `center`: a scale in two directions; `falling`: small numbers are dark; `states`: words
 * instead of numbers; `jumps`: what stands out is a change; `withZero`: the scale has 0 and the returns in it.
 */
export const QUANTITIES = [
  { key: "value", name: "value", jumps: true, withZero: true, about: "the critic's value of the state before the token, in units of the reward" },
  { key: "advantage", name: "advantage", center: 0, about: "what the policy loss credits the token with, after normalization" },
  { key: "return", name: "return", withZero: true, about: "the Monte-Carlo return of the token" },
  { key: "logprob", name: "log-prob", falling: true, about: "under the policy that sampled it, in nats: dark is surprising" },
  { key: "entropy", name: "entropy", about: "of the distribution over the token's position, in nats: dark is undecided" },
  { key: "ratio", name: "ratio", center: 1, about: "of new and old probability in the last update" },
  { key: "clip", name: "clip", states: ["none", "low", "high", "dual", "unused"], about: "what the last update's loss did with the token" },
  { key: "sampler_logprob", name: "sampler log-prob", falling: true, about: "in the distribution that the token was drawn from, in nats" },
];

const CLIPS = {
  none: "not clipped", low: "clipped at the lower bound", high: "clipped at the upper bound",
  dual: "bounded by the dual clip", unused: "left out of the update",
};

export function quantityOf(key) {
  return QUANTITIES.find((quantity) => quantity.key === key);
}

/** Those that a response has. */
export function quantitiesOf(tokens) {
  return QUANTITIES.filter((quantity) => tokens[quantity.key]);
}

/** A token's number as text. */
export function written(quantity, value) {
  if (value === null || value === undefined) return "–";
  return quantity.states ? CLIPS[value] ?? value : fixed(value, 4);
}

/** How far a number is from what is usual, for finding extremes: its distance from the center or from the light end. */
export function strength(quantity, value) {
  if (value === null || value === undefined) return 0;
  if (quantity.states) return value === "none" ? 0 : 1;
  if (quantity.key === "ratio") return Math.abs(Math.log(Math.max(value, 1e-9)));
  if (quantity.center !== undefined) return Math.abs(value - quantity.center);
  return quantity.falling ? -value : value;
}

/** The scale of a quantity over the tokens of some responses: its ends, and the color of a number. */
export function scaleOf(quantity, responses) {
  if (quantity.states) return { ends: null, color: clipColor, share: (value) => strength(quantity, value) };
  const listsOf = (tokens) => (quantity.withZero ? [tokens.value, tokens.return, [0]] : [tokens[quantity.key]]);
  const numbers = responses.flatMap(({ tokens }) => listsOf(tokens).flatMap((list) => (list ?? []).filter(Number.isFinite)));
  if (quantity.center !== undefined) return diverging(quantity, numbers);
  const [low, high] = rangeOf(numbers);
  const share = (value) => {
    const part = high > low ? (value - low) / (high - low) : 0.5;
    return quantity.falling ? 1 - part : part;
  };
  return { ends: [low, high], share, color: (value) => mixed(scheme().sequential, Number.isFinite(value) ? share(value) : 0) };
}

function diverging(quantity, numbers) {
  const reach = rangeOf(numbers.map((value) => strength(quantity, value)))[1] || 1;
  const share = (value) => Math.min(strength(quantity, value) / reach, 1);
  const ends = quantity.key === "ratio" ? [Math.exp(-reach), Math.exp(reach)] : [quantity.center - reach, quantity.center + reach];
  const color = (value) => {
    const { negative, positive } = scheme();
    return mixed(value < quantity.center ? negative : positive, Number.isFinite(value) ? share(value) : 0);
  };
  return { ends, share, color };
}

/** Nearly the extremes: of many numbers, the outermost two in a thousand do not decide. */
function rangeOf(numbers) {
  if (numbers.length === 0) return [0, 1];
  const sorted = Float64Array.from(numbers).sort();
  const left = Math.floor(sorted.length / 500);
  return [sorted[left], sorted[sorted.length - 1 - left]];
}

/** The tokens that stand out: a fiftieth of them, at least 5 and at most 100, in their order. */
export function extremesOf(quantity, list) {
  const size = (value, index) => (quantity.jumps ? Math.abs(value - (list[index - 1] ?? value)) : strength(quantity, value));
  const ranked = (list ?? []).map((value, index) => [size(value, index), index]);
  if (quantity.states) return ranked.filter(([size]) => size > 0).map(([, index]) => index);
  const wanted = Math.min(100, Math.max(5, Math.ceil(ranked.length / 50)));
  const best = ranked.sort((a, b) => b[0] - a[0]).slice(0, wanted);
  return best.map(([, index]) => index).sort((a, b) => a - b);
}
