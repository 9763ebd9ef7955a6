// Scales of color for light and dark pages. Negative is orange and positive is blue, which color-blind people can tell
// apart; a sequential scale changes its lightness all the way, so that it can be read without color.

const SCHEMES = {
  light: { sequential: ["#f4f7f6", "#62b3ad", "#0b4a5c"], negative: ["#f6f6f5", "#f2a45c", "#a34700"], positive: ["#f6f6f5", "#7fb2e5", "#174f98"], clip: { none: "#f4f4f3", low: "#f2a45c", high: "#7fb2e5", dual: "#c49ae0", unused: "#cfcfcf" }, line: "#0b5563" },
  dark: { sequential: ["#1d2426", "#1f7c83", "#a6f2e0"], negative: ["#22262a", "#a95a1c", "#ffb87a"], positive: ["#22262a", "#2f6db5", "#a3cfff"], clip: { none: "#22262a", low: "#a95a1c", high: "#2f6db5", dual: "#7d4fa3", unused: "#4a4d50" }, line: "#7fdcca" },
};

const dark = globalThis.matchMedia?.("(prefers-color-scheme: dark)");

/** Calls a function when the page changes between light and dark. */
export function onSchemeChange(action, signal) {
  dark?.addEventListener("change", action, { signal });
}

/** The colors of the present scheme. */
export function scheme() {
  return dark?.matches ? SCHEMES.dark : SCHEMES.light;
}

function channels(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

/** The color at a share of the way through some colors. */
export function mixed(stops, share) {
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const index = Math.min(Math.floor(place), stops.length - 2);
  const [from, to] = [channels(stops[index]), channels(stops[index + 1])];
  return from.map((channel, at) => Math.round(channel + (to[at] - channel) * (place - index)));
}

/** As CSS writes it. */
export function css([red, green, blue]) {
  return `rgb(${red} ${green} ${blue})`;
}

/** Black or white, whichever can be read better on a color. */
export function inkOn(color) {
  const [red, green, blue] = color.map((channel) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) ? "#111" : "#fff";
}

export function clipColor(state) {
  return channels(scheme().clip[state] ?? scheme().clip.none);
}
