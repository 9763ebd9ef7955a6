// Numbers and times for people.

/** A number with about `digits` significant digits; what is not a number is a dash. */
export function number(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size < 1e-4 || size >= 1e7) return minus(value.toExponential(digits - 2));
  if (Number.isInteger(value)) return minus(value.toLocaleString("en-US"));
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return minus(value.toLocaleString("en-US", { maximumFractionDigits: Math.min(decimals, digits) }));
}

/** With three decimals, for columns of numbers. */
export function fixed(value, decimals = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.5 * 10 ** -decimals || size >= 1e6)) return minus(value.toExponential(2));
  return minus(value.toFixed(decimals));
}

function minus(text) {
  return text.replaceAll("-", "−");
}

export function percent(share) {
  return share === null || share === undefined || !Number.isFinite(share) ? "–" : minus(`${(100 * share).toFixed(1)} %`);
}

export function count(value, one, many = `${one}s`) {
  return `${value.toLocaleString("en-US")} ${value === 1 ? one : many}`;
}

/** How long ago something was, in the largest unit. */
export function ago(seconds, now = Date.now() / 1000) {
  const passed = Math.max(0, now - seconds);
  for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (passed >= length) return `${count(Math.floor(passed / length), unit)} ago`;
  }
  return "just now";
}

/** The state of a run as a word; running ones have a process. */
export function stateOf(state) {
  return typeof state === "string" ? state : Object.keys(state ?? { unknown: 0 })[0];
}
