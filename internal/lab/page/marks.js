// How nodes and reasons look. Each has a colour and a second sign besides: a shape and a
// dash for nodes, a pattern for reasons.
import { colour } from "./dom.js";

const SHAPES = 4;

/** The mark of the node with this place among all nodes. */
export function nodeMark(place) {
  const i = place % SHAPES;
  return { variable: "--node-" + i, symbol: "m-" + i, dash: [[], [8, 4], [2, 4], [10, 3, 2, 3]][i], shape: i };
}

/** layerMark describes a layer of the chart of reads; names are all nodes. */
export function layerMark(layer, names) {
  if (layer.startsWith("proven:")) {
    const node = layer.slice(7);
    return { label: node + ", proven", variable: nodeMark(names.indexOf(node)).variable, pattern: "plain" };
  }
  return {
    stale: { label: "stale, and labelled so", variable: "--stale", pattern: "slash" },
    token: { label: "primary: own writes", variable: "--token", pattern: "dots" },
    lag: { label: "primary: beyond budget", variable: "--lag", pattern: "backslash" },
    no_replica: { label: "primary: no replica", variable: "--absent", pattern: "cross" },
    other: { label: "primary: other reasons", variable: "--other", pattern: "lines" },
    shed: { label: "shed: answered 503", variable: "--shed", pattern: "checks" },
  }[layer];
}

/** The order of layers from the bottom of the stack. */
export function layersOf(names) {
  return [...names.map((n) => "proven:" + n), "stale", "token", "lag", "no_replica", "other", "shed"];
}

const tiles = {
  slash: (c, n) => { c.moveTo(-2, n + 2); c.lineTo(n + 2, -2); c.moveTo(-2, 2); c.lineTo(2, -2); c.moveTo(n - 2, n + 2); c.lineTo(n + 2, n - 2); },
  backslash: (c, n) => { c.moveTo(-2, -2); c.lineTo(n + 2, n + 2); c.moveTo(n - 2, -2); c.lineTo(n + 2, 2); c.moveTo(-2, n - 2); c.lineTo(2, n + 2); },
  cross: (c, n) => { c.moveTo(0, 0); c.lineTo(n, n); c.moveTo(n, 0); c.lineTo(0, n); },
  lines: (c, n) => { c.moveTo(0, n / 2); c.lineTo(n, n / 2); },
};

/** fill is a canvas style: the colour, with the pattern over it. */
export function fill(context, mark) {
  const ratio = window.devicePixelRatio || 1;
  const n = Math.round(8 * ratio);
  const tile = document.createElement("canvas");
  tile.width = tile.height = n;
  const c = tile.getContext("2d");
  c.fillStyle = colour(mark.variable);
  c.fillRect(0, 0, n, n);
  c.strokeStyle = c.fillStyle = colour("--panel");
  c.lineWidth = 1.6 * ratio;
  if (mark.pattern === "dots") {
    c.beginPath();
    c.arc(n / 4, n / 4, 1.5 * ratio, 0, 7);
    c.arc((3 * n) / 4, (3 * n) / 4, 1.5 * ratio, 0, 7);
    c.fill();
  } else if (mark.pattern === "checks") {
    c.fillRect(0, 0, n / 2, n / 2);
    c.fillRect(n / 2, n / 2, n / 2, n / 2);
  } else if (tiles[mark.pattern]) {
    c.beginPath();
    tiles[mark.pattern](c, n);
    c.stroke();
  }
  return context.createPattern(tile, "repeat");
}

/** shape draws a node's mark on a canvas. */
export function shape(c, which, x, y, r) {
  c.beginPath();
  if (which === 0) c.arc(x, y, r, 0, 7);
  else if (which === 1) c.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
  else if (which === 2) { c.moveTo(x, y - r * 1.15); c.lineTo(x + r * 1.1, y + r * 0.9); c.lineTo(x - r * 1.1, y + r * 0.9); }
  else { c.moveTo(x, y - r * 1.2); c.lineTo(x + r * 1.2, y); c.lineTo(x, y + r * 1.2); c.lineTo(x - r * 1.2, y); }
  c.closePath();
  c.fill();
}
