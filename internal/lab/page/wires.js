// The wires of the map: reads and orders between the shop and each server, and the log
// from the primary to its standbys. Beside each other, cards hang on lines from above
// and share a bus below; one below the other, the lines run along the two edges.
import { $, svg } from "./dom.js";
import { bytes, rate } from "./format.js";

export class Wires {
  constructor(model) {
    this.model = model;
    new ResizeObserver(() => this.draw()).observe($("map"));
  }

  draw() {
    const last = this.model.last();
    const cards = [...$("nodes").querySelectorAll(".node")];
    if (!last || cards.length === 0) return;
    const map = $("map").getBoundingClientRect();
    const box = (e) => {
      const r = e.getBoundingClientRect();
      return { left: r.left - map.left - 1, right: r.right - map.left - 1, top: r.top - map.top - 1, bottom: r.bottom - map.top - 1, x: (r.left + r.right) / 2 - map.left - 1, y: (r.top + r.bottom) / 2 - map.top - 1 };
    };
    this.shop = box($("shop"));
    this.boxes = Object.fromEntries(cards.map((c) => [c.dataset.node, box(c)]));
    const all = Object.values(this.boxes);
    this.wide = all.length === 1 ? map.width > 560 : Math.abs(all[0].top - all[1].top) < 4;
    this.now = this.model.now();
    const wires = [];
    last.nodes.forEach((node, i) => wires.push(...this.traffic(node, i)));
    const primary = last.nodes.find((n) => n.primary);
    last.nodes.filter((n) => !n.primary).forEach((node, i) => wires.push(...this.log(primary, node, i)));
    if (!primary && this.wide) wires.push(svg("text", { x: map.width / 2, y: Math.max(...all.map((b) => b.bottom)) + 24, "text-anchor": "middle" }, "No primary: no log is written"));
    // A path that stays the same is left alone, so that its dots keep on moving.
    const svgs = $("wires");
    wires.forEach((w, i) => {
      const old = svgs.children[i];
      if (old && old.isEqualNode(w)) return;
      if (old) old.replaceWith(w);
      else svgs.append(w);
    });
    while (svgs.children.length > wires.length) svgs.lastChild.remove();
  }

  /** Reads, and for the primary orders, in lines as wide as there are many. */
  traffic(node, i) {
    const b = this.boxes[node.name];
    if (!b) return [];
    const reads = this.now.byNode[node.name] ?? 0;
    const width = reads < 0.05 ? 1.5 : Math.min(9, 2 + Math.sqrt(reads) * 0.8);
    const line = (d, css, w) => {
      const p = svg("path", { d, class: "wire " + css });
      p.style.strokeWidth = w.toFixed(1);
      return p;
    };
    const css = reads < 0.05 ? "read idle" : "read";
    if (!this.wide) {
      const along = (x, y) => `M${x} ${this.shop.bottom}V${y - 8}Q${x} ${y} ${x + 8} ${y}H${b.left}`;
      const rails = [line(along(this.shop.left + 4 + i * 5, b.y), css, Math.min(width, 4))];
      if (node.primary) rails.push(line(along(this.shop.left + 20, b.y - 14), this.now.orders > 0 ? "write" : "write idle", this.now.orders > 0 ? 3 : 1.5));
      return rails;
    }
    const text = (x, words, end) => svg("text", { x, y: (this.shop.bottom + b.top) / 2 + 5, "text-anchor": end ? "end" : "start" }, words);
    const out = [line(`M${b.x} ${b.top}V${this.shop.bottom}`, css, width)];
    if (!node.primary) return [...out, text(b.x + 11, rate(reads, "reads"))];
    const x = b.x + 14;
    out[0] = line(`M${b.x - 14} ${b.top}V${this.shop.bottom}`, css, width);
    out.push(text(b.x - 25, rate(reads, "reads"), true), line(`M${x} ${this.shop.bottom}V${b.top}`, this.now.orders > 0 ? "write" : "write idle", this.now.orders > 0 ? 3.5 : 1.5), text(x + 10, rate(this.now.orders, "orders")));
    return out;
  }

  /** The log to one standby: flowing, still because nothing is written, stuck because it
   * is not replayed, or cut. */
  log(primary, node, i) {
    const to = this.boxes[node.name];
    const from = primary && this.boxes[primary.name];
    if (!from || !to) return [];
    const state = this.model.stateOf(node.name);
    let css = (this.model.walRate() ?? 0) > 200 ? "flowing" : "still";
    let words = css === "flowing" ? "replays as it comes" : "nothing to replay";
    if (node.state === "down" || node.state === "detached" || node.state === "writable" || node.state === "foreign") [css, words] = ["cut", "no log arrives"];
    else if (state?.paused || node.bound === null || node.bound > 1.5) [css, words] = ["stuck", `${bytes(node.behind)} not replayed`];
    const tip = (points) => svg("polygon", { points, class: "tip " + css });
    if (!this.wide) {
      const x = this.shop.right - 6 - i * 7;
      const end = to.y + 12;
      const turn = end > from.y ? 8 : -8;
      return [
        svg("path", { d: `M${from.right} ${from.y}H${x - 8}Q${x} ${from.y} ${x} ${from.y + turn}V${end - turn}Q${x} ${end} ${x - 8} ${end}H${to.right + 8}`, class: "wire wal " + css }),
        tip(`${to.right + 1},${end} ${to.right + 9},${end - 5} ${to.right + 9},${end + 5}`),
      ];
    }
    const low = Math.max(...Object.values(this.boxes).map((b) => b.bottom)) + 27 + i * 9;
    const start = from.x + (to.x > from.x ? 1 : -1) * (14 + i * 10);
    const side = to.x > start ? 8 : -8;
    return [
      svg("path", { d: `M${start} ${from.bottom}V${low - 8}Q${start} ${low} ${start + side} ${low}H${to.x - side}Q${to.x} ${low} ${to.x} ${low - 8}V${to.bottom + 9}`, class: "wire wal " + css }),
      tip(`${to.x},${to.bottom + 1} ${to.x - 5},${to.bottom + 10} ${to.x + 5},${to.bottom + 10}`),
      svg("text", { x: to.x + 12, y: to.bottom + 14 }, words),
    ];
  }
}
