// What the page knows: the events of the last two minutes, and what follows from them.
// Events hold totals; everything per second is a difference over about two seconds.

export const WINDOW = 120; // seconds
const SMOOTH = 2;
const GAP = 5; // no event for so long: nobody looked, and nothing is drawn in between

/** "0/3007B48" in bytes; LSNs stay below 2^53 for some 9 petabytes of log. */
export function bytesOf(lsn) {
  if (!lsn) return null;
  const [high, low] = lsn.split("/");
  return parseInt(high, 16) * 2 ** 32 + parseInt(low, 16);
}

/** The nodes of a view in the order of their names, which no failover changes. */
export function nodesOf(view) {
  const received = Object.fromEntries(view.sync.standbys.map((s) => [s.name, s]));
  const flush = view.primary && bytesOf(view.primary.flush_lsn);
  const nodes = view.replicas.map((r) => {
    const at = bytesOf(r.replay_lsn);
    const got = received[r.name];
    return {
      name: r.name, state: r.state, primary: false, timeline: r.timeline, position: r.replay_lsn, bytes: at,
      bound: r.bound_ms === null ? null : r.bound_ms / 1000,
      behind: r.lag_bytes, waiting: got && at !== null ? Math.max(0, bytesOf(got.flush_lsn) - at) : null,
      streaming: got?.state === "streaming", sync: r.sync_state,
    };
  });
  if (view.primary) {
    nodes.push({
      name: view.primary.name, state: "primary", primary: true, timeline: view.primary.timeline,
      position: view.primary.flush_lsn, bytes: flush, bound: null,
    });
  }
  return nodes.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
}

/** Why a read was answered where it was, as one of the layers of the chart. */
export function layerOf(view, node, reason) {
  if (reason === "shed") return "shed";
  if (reason === "replica") return "proven:" + node;
  if (view.primary?.name !== node && view.replicas.some((r) => r.name === node && r.state !== "down" && r.state !== "writable")) return "stale";
  return ["token", "lag", "no_replica"].includes(reason) ? reason : "other";
}

export class Model {
  constructor() {
    this.samples = [];
    this.names = []; // every node there ever was, for its colour and its mark
    this.load = []; // what the demo's controls told: {t, nodes, shoppers}
  }

  /** add returns the sample before it, or null; false when the event is known already. */
  add(view) {
    const sample = { t: Date.parse(view.at) / 1000, view, nodes: nodesOf(view), layers: this.layers(view) };
    const before = this.last();
    if (before && sample.t <= before.t) return false;
    for (const n of sample.nodes) if (!this.names.includes(n.name)) this.names.push(n.name);
    this.names.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    this.samples.push(sample);
    while (this.samples[0].t < sample.t - WINDOW - SMOOTH) this.samples.shift();
    return before ?? null;
  }

  addState(state) {
    if (!this.last()) return;
    this.load.push({ t: this.last().t, ...state });
    while (this.load[0].t < this.last().t - WINDOW - SMOOTH) this.load.shift();
  }

  last() { return this.samples[this.samples.length - 1]; }
  state() { return this.load[this.load.length - 1]; }
  node(name) { return this.last()?.nodes.find((n) => n.name === name); }
  stateOf(name) { return this.state()?.nodes.find((n) => n.name === name); }

  layers(view) {
    const sums = {};
    for (const [node, reasons] of Object.entries(view.reads)) {
      for (const [reason, n] of Object.entries(reasons)) {
        const before = this.last();
        const was = before?.view.reads[node]?.[reason] ?? (before ? 0 : n);
        const layer = layerOf(view, node, reason);
        sums[layer] = (sums[layer] ?? 0) + Math.max(0, n - was);
      }
    }
    return sums; // reads since the event before, by layer
  }

  /** from is the index of the sample that begins the seconds before i. */
  from(i) {
    let j = i;
    while (j > 0 && this.samples[i].t - this.samples[j].t < SMOOTH && this.samples[j].t - this.samples[j - 1].t < GAP) j--;
    return j;
  }

  /** rate of a total per second at sample i; null when it cannot be told. */
  rate(i, total) {
    const j = this.from(i);
    const dt = this.samples[i]?.t - this.samples[j]?.t;
    const n = total(this.samples[i]?.view) - total(this.samples[j]?.view);
    return dt > 0.3 && n >= 0 ? n / dt : null;
  }

  /** rate of a total that the demo's controls tell, per second at time t. */
  stateRate(t, total) {
    const seen = this.load.filter((s) => s.t <= t && s.t > t - 4 * SMOOTH);
    const newest = seen[seen.length - 1];
    const from = seen.findLast((s) => s.t <= newest.t - SMOOTH) ?? seen[0];
    return seen.length > 1 && newest.t > from.t ? Math.max(0, total(newest) - total(from)) / (newest.t - from.t) : null;
  }

  /** Reads per second at sample i, by layer. */
  layerRates(i) {
    const j = this.from(i);
    const dt = this.samples[i].t - this.samples[j].t;
    if (dt < 0.3) return null;
    const rates = {};
    for (let k = j + 1; k <= i; k++) {
      for (const [layer, n] of Object.entries(this.samples[k].layers)) rates[layer] = (rates[layer] ?? 0) + n / dt;
    }
    return rates;
  }

  /** The present rates: of orders, of reads in all, by node and by layer. */
  now() {
    const i = this.samples.length - 1;
    if (i < 0) return { orders: 0, reads: 0, byNode: {}, layers: {} };
    const byNode = {};
    let reads = 0;
    for (const name of this.names) {
      byNode[name] = this.rate(i, (v) => Object.entries(v.reads[name] ?? {}).reduce((sum, [why, n]) => sum + (why === "shed" ? 0 : n), 0)) ?? 0;
      reads += byNode[name];
    }
    return { orders: this.rate(i, (v) => v.counters.orders_placed) ?? 0, reads, byNode, layers: this.layerRates(i) ?? {} };
  }

  /** Bytes of log that the primary writes per second; null across a failover. */
  walRate() {
    const i = this.samples.length - 1;
    if (i < 1) return null;
    const j = this.from(i);
    const [a, b] = [this.samples[j].view.primary, this.samples[i].view.primary];
    if (!a || !b || a.name !== b.name || this.samples[i].t === this.samples[j].t) return null;
    return Math.max(0, bytesOf(b.flush_lsn) - bytesOf(a.flush_lsn)) / (this.samples[i].t - this.samples[j].t);
  }

  /** Columns for a chart: the times, with a hole where nobody looked, and one column for
   * each function of (sample, index). */
  columns(functions) {
    const times = [];
    const columns = functions.map(() => []);
    this.samples.forEach((s, i) => {
      if (i > 0 && s.t - this.samples[i - 1].t > GAP) {
        times.push(s.t - 0.001);
        columns.forEach((c) => c.push(null));
      }
      times.push(s.t);
      functions.forEach((f, k) => columns[k].push(f(s, i)));
    });
    return [times, ...columns];
  }
}
