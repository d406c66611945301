// One chart of the page: uPlot with the same two minutes, the same axes and a legend of
// ours, which names what a pointer points at and otherwise the newest.
import { colour, el, keyed, set } from "./dom.js";
import { WINDOW } from "./model.js";

const AGES = [-120, -90, -60, -30, 0];
const age = (s) => (s === 0 ? "now" : s % 60 === 0 ? `${s / 60} min`.replace("-", "−") : `${s} s`.replace("-", "−"));

export class Chart {
  /** unit is the label of the y axis; draw is a hook that draws over the series. */
  constructor(host, legend, { unit, least, format, draw, tight }) {
    Object.assign(this, { host, legend, unit, least, format, drawOver: draw, tight });
    this.shown = null; // which series the chart was built for
    this.pointed = null;
    this.empty = el("p", { class: "nothing" });
    host.append(this.empty);
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(host);
  }

  size() { return { width: this.host.clientWidth, height: this.host.clientHeight }; }

  /** show draws the data; series are {key, label, swatch, ...uPlot's own}. When they are
   * others than before, the plot is made anew. */
  show(data, series, { bands = [], nothing = "", values = data } = {}) {
    const shown = series.map((s) => s.key).join("|");
    this.series = series;
    this.values = values;
    this.end = data[0][data[0].length - 1];
    set(this.empty, nothing);
    this.tell(); // first: the legend decides how much room is left
    if (!this.plot || shown !== this.shown) this.build(series, bands, data);
    else this.plot.setData(data);
    this.shown = shown;
  }

  build(series, bands, data) {
    this.plot?.destroy();
    const axis = { stroke: () => colour("--muted"), font: "12px Inter, system-ui, sans-serif", ticks: { show: false } };
    const grid = { stroke: () => colour("--line"), width: 1 };
    this.plot = new uPlot({
      ...this.size(), padding: [10, 12, 0, 0], legend: { show: false }, bands,
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: "lab" }, points: { show: false } },
      scales: {
        x: { time: false, range: () => [this.end - WINDOW, this.end] },
        y: { range: (_, low, high) => (this.tight ? this.tight(low, high) : [0, Math.max(this.least, (high ?? 0) * 1.12)]) },
      },
      axes: [
        { ...axis, size: 30, gap: 6, grid: { ...grid, show: false }, splits: () => AGES.map((a) => this.end + a), values: (_, at) => at.map((t) => age(Math.round(t - this.end))) },
        { ...axis, grid, size: this.tight ? 62 : 36, gap: 4, label: this.unit, labelSize: 20, labelGap: 2, labelFont: axis.font, values: (_, at) => at.map((v) => this.axisValue(v)) },
      ],
      series: [{}, ...series.map(({ key, label, swatch, ...own }) => ({ points: { show: false }, spanGaps: false, ...own }))],
      hooks: { draw: this.drawOver ? [(u) => this.drawOver(u)] : [], setCursor: [(u) => { this.pointed = u.cursor.idx; this.tell(); }] },
    }, data, this.host);
  }

  axisValue(v) { return v >= 10000 || this.tight ? v.toLocaleString("en") : String(Math.round(v * 100) / 100); }

  /** tell writes the legend: the values under the pointer, or the newest. */
  tell() {
    const pointed = this.pointed !== null && this.pointed !== undefined && this.pointed < this.values[0].length;
    const at = pointed ? this.pointed : this.values[0].length - 1;
    keyed(this.legend, this.series, (s) => s.key, (s) => el("li", {}, s.swatch(), el("span", {}, s.label), el("strong")), (li, s) => {
      set(li.lastChild, this.format(this.values[this.series.indexOf(s) + 1]?.[at]));
    });
  }

  /** recolour after a change of theme. */
  recolour() {
    this.shown = null;
    this.legend.replaceChildren();
  }
}

/** Dashed horizontal lines with their names, for limits: [{value, text}], the lowest
 * first. A name that would cover the one before stands beside it. */
export function limits(u, list) {
  let before = null;
  for (const { value, text } of list) {
    const y = u.valToPos(value, "y", true);
    if (y < u.bbox.top || y > u.bbox.top + u.bbox.height) continue;
    const ratio = window.devicePixelRatio || 1;
    const x = before && before.y - y < 15 * ratio ? before.end + 14 * ratio : u.bbox.left + 6 * ratio;
    before = { y, end: x + drawLimit(u, x, y, text, ratio) };
  }
}

function drawLimit(u, x, y, text, ratio) {
  const c = u.ctx;
  c.save();
  c.strokeStyle = colour("--text");
  c.lineWidth = 1.3 * ratio;
  c.setLineDash([6 * ratio, 5 * ratio]);
  c.beginPath();
  c.moveTo(u.bbox.left, y);
  c.lineTo(u.bbox.left + u.bbox.width, y);
  c.stroke();
  c.font = `${11.5 * ratio}px Inter, system-ui, sans-serif`;
  c.textAlign = "left";
  c.textBaseline = "bottom";
  c.lineJoin = "round";
  c.lineWidth = 4 * ratio;
  c.setLineDash([]);
  c.strokeStyle = colour("--panel");
  c.strokeText(text, x, y - 3 * ratio);
  c.fillStyle = colour("--text");
  c.fillText(text, x, y - 3 * ratio);
  const { width } = c.measureText(text);
  c.restore();
  return width;
}
