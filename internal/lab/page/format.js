// Figures with their units, short enough for a chart.

export function seconds(s) {
  if (s === null || s === undefined) return "–";
  if (s < 10) return s.toFixed(2) + " s";
  if (s < 120) return s.toFixed(1) + " s";
  return Math.floor(s / 60) + " min " + Math.round(s % 60) + " s";
}

/** rate(12, "reads") is "12 reads/s". */
export function rate(r, of = "") {
  if (r === null || r === undefined) return "–";
  const n = r === 0 ? "0" : r < 0.05 ? "< 0.1" : r < 10 ? r.toFixed(1) : Math.round(r).toLocaleString("en");
  return of ? `${n} ${of}/s` : n + "/s";
}

export function bytes(b) {
  if (b === null || b === undefined) return "–";
  if (b < 1000) return Math.round(b) + " B";
  if (b < 1e6) return (b / 1e3).toFixed(b < 1e4 ? 1 : 0) + " kB";
  if (b < 1e9) return (b / 1e6).toFixed(1) + " MB";
  return (b / 1e9).toFixed(1) + " GB";
}

export function bytesRate(b) { return b === null || b === undefined ? "–" : bytes(b) + "/s"; }

export function count(n) { return n === null || n === undefined ? "–" : Math.round(n).toLocaleString("en"); }

export function clock(t) { return new Date(t * 1000).toLocaleTimeString("en-GB"); }

/** "a", "a and b", "a, b and c" */
export function list(words) {
  return words.length < 2 ? words.join("") : words.slice(0, -1).join(", ") + " and " + words[words.length - 1];
}
