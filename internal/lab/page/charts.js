// The four charts.
import { Chart, limits } from "./chart.js";
import { $, colour, el, set } from "./dom.js";
import { count, rate, seconds } from "./format.js";
import { fill, layerMark, layersOf, nodeMark, shape } from "./marks.js";

/** What the budgets of /v1/replication are for. */
export const routes = { session: "carts and orders", browse: "browsing" };

/** A short piece of a node's line with its mark, for legends. */
function lineSwatch(mark) {
  return () => {
    const c = el("canvas");
    const ratio = window.devicePixelRatio || 1;
    [c.width, c.height] = [26 * ratio, 12 * ratio];
    const g = c.getContext("2d");
    g.scale(ratio, ratio);
    g.strokeStyle = g.fillStyle = colour(mark.variable);
    g.lineWidth = 2.5;
    g.setLineDash(mark.dash);
    g.moveTo(0, 6);
    g.lineTo(26, 6);
    g.stroke();
    if (mark.shape !== undefined) shape(g, mark.shape, 13, 6, 4.5);
    return c;
  };
}

function areaSwatch(mark) {
  return () => {
    const c = el("canvas");
    const ratio = window.devicePixelRatio || 1;
    [c.width, c.height] = [26 * ratio, 12 * ratio];
    const g = c.getContext("2d");
    g.fillStyle = fill(g, mark);
    g.fillRect(0, 0, c.width, c.height);
    return c;
  };
}

const line = (mark, more) => ({ stroke: () => colour(mark.variable), width: 2.5, dash: mark.dash, swatch: lineSwatch(mark), ...more });

/** Marks at the newest point of each line, so that lines are told apart by shape too. */
function drawMarks(u, marks) {
  const ratio = window.devicePixelRatio || 1;
  marks.forEach((mark, k) => {
    const values = u.data[k + 1];
    let i = values.length - 1;
    while (i >= 0 && values[i] === null) i--;
    if (i < 0 || mark.shape === undefined || u.data[0][u.data[0].length - 1] - u.data[0][i] > 3) return; // it ended
    u.ctx.fillStyle = colour(mark.variable);
    shape(u.ctx, mark.shape, u.valToPos(u.data[0][i], "x", true), u.valToPos(values[i], "y", true), 5 * ratio);
  });
}

export class Charts {
  constructor(model) {
    this.model = model;
    this.budgets = {};
    this.bound = new Chart($("bound"), $("bound-legend"), {
      unit: "seconds", least: 6.6, format: (v) => (v === null || v === undefined ? "nothing proven" : seconds(v)),
      draw: (u) => {
        const budgets = Object.entries(this.budgets).sort((a, b) => a[1] - b[1]);
        limits(u, budgets.map(([name, ms]) => ({ value: ms / 1000, text: `${ms / 1000} s: ${routes[name] ?? name}` })));
        drawMarks(u, this.boundMarks);
      },
    });
    this.reads = new Chart($("reads"), $("reads-legend"), { unit: "reads per second", least: 4, format: rate });
    this.orders = new Chart($("orders"), $("orders-legend"), { unit: "per second", least: 2, format: rate });
    const spread = (low, high) => (low === null ? [0, 1] : [low - Math.max(4, (high - low) * 0.12), high + Math.max(4, (high - low) * 0.12)]);
    this.stock = new Chart($("stock"), $("stock-legend"), { unit: "units", tight: spread, format: count, draw: (u) => drawMarks(u, this.stockMarks ?? []) });
  }

  draw() {
    const last = this.model.last();
    if (!last) return;
    this.budgets = last.view.budgets;
    $("bound").dataset.seconds = (last.t - this.model.samples[0].t).toFixed(1);
    this.drawBound();
    this.drawReads();
    this.drawOrders();
    this.drawStock();
  }

  drawBound() {
    const names = this.model.names.filter((name) => this.model.samples.some((s) => s.nodes.some((n) => n.name === name && !n.primary)));
    this.boundMarks = names.map((name) => nodeMark(this.model.names.indexOf(name)));
    const data = this.model.columns(names.map((name) => (s) => s.nodes.find((n) => n.name === name)?.bound ?? null));
    const series = names.map((name, k) => ({ key: name, label: name, ...line(this.boundMarks[k]) }));
    this.bound.show(data, series, { nothing: names.length ? "" : "There are no replicas." });
  }

  drawReads() {
    const { model } = this;
    const rates = model.samples.map((_, i) => model.layerRates(i));
    const busy = new Set(rates.flatMap((r) => Object.keys(r ?? {}).filter((k) => r[k] > 0)));
    const replicas = new Set(model.last().nodes.filter((n) => !n.primary && n.state !== "down").map((n) => "proven:" + n.name));
    const layers = layersOf(model.names).filter((l) => busy.has(l) || replicas.has(l));
    const values = model.columns(layers.map((l) => (_, i) => (rates[i] ? rates[i][l] ?? 0 : null)));
    const stacked = [values[0]];
    for (let k = 1; k < values.length; k++) {
      stacked.push(values[k].map((v, i) => (v === null ? null : v + (k > 1 ? stacked[k - 1][i] : 0))));
    }
    const series = layers.map((l) => {
      const mark = layerMark(l, model.names);
      return { key: l, label: mark.label, swatch: areaSwatch(mark), width: 1, stroke: () => colour("--panel"), fill: (u) => fill(u.ctx, mark) };
    });
    const bands = layers.slice(1).map((_, k) => ({ series: [k + 2, k + 1] }));
    this.reads.show(stacked, series, { bands, values, nothing: busy.size ? "" : "Nobody has read anything in these two minutes." });
  }

  drawOrders() {
    const { model } = this;
    const total = (name) => (_, i) => model.rate(i, (v) => v.counters[name]);
    const functions = [total("orders_placed"), total("units_sold")];
    const series = [
      { key: "orders", label: "orders", ...line({ variable: "--orders", dash: [] }) },
      { key: "units", label: "units sold", ...line({ variable: "--node-0", dash: [3, 4] }, { width: 2 }) },
    ];
    if (model.state()) {
      functions.push((s) => model.stateRate(s.t, (state) => state.shoppers.reads_refused + state.shoppers.writes_refused));
      series.push({ key: "refused", label: "refused (503)", ...line({ variable: "--critical", dash: [10, 3, 2, 3] }, { width: 2 }) });
    }
    const data = model.columns(functions);
    this.orders.show(data, series, { nothing: data[1].some((v) => v > 0) ? "" : "No order in these two minutes." });
  }

  /** In a demo the stock as each server has it, else what was sold. */
  drawStock() {
    const { model } = this;
    if (!model.state()) {
      this.stockMarks = [{}];
      const data = model.columns([(s) => s.view.counters.units_sold]);
      this.stock.show(data, [{ key: "sold", label: "units sold", ...line({ variable: "--node-0", dash: [] }) }]);
      return;
    }
    set($("stock-text"), "Units on all shelves, as each server has them. A stale read sees the line that lags behind.");
    this.stockMarks = model.names.map((_, k) => nodeMark(k));
    const data = [model.load.map((s) => s.t), ...model.names.map((name) => model.load.map((s) => s.nodes.find((n) => n.name === name)?.stock ?? null))];
    this.stock.show(data, model.names.map((name, k) => ({ key: name, label: name, ...line(this.stockMarks[k]) })));
  }

  recolour() {
    for (const chart of [this.bound, this.reads, this.orders, this.stock]) chart.recolour();
    this.draw();
  }
}
