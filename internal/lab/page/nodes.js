// The cards of the servers: what is proven of each, what it may therefore answer, and in a
// demo the buttons that break it.
import { routes } from "./charts.js";
import { $, el, icon, keyed, set, svg } from "./dom.js";
import { bytes, bytesRate, count, rate, seconds } from "./format.js";
import { nodeMark } from "./marks.js";

const badges = {
  primary: ["i-primary", "primary", "is-good"],
  streaming: ["i-good", "streaming", "is-good"],
  lagging: ["i-warning", "lagging", "is-warning"],
  detached: ["i-warning", "detached", "is-warning"],
  down: ["i-critical", "down", "is-critical"],
  writable: ["i-critical", "second primary", "is-critical"],
  foreign: ["i-critical", "another cluster's", "is-critical"],
  paused: ["i-paused", "paused", "is-warning"],
  frozen: ["i-frozen", "frozen", "is-critical"],
  starting: ["i-waiting", "starting", "is-warning"],
};

/** What a card calls a node: the demo knows more than the shop can see. */
function badgeOf(node, state) {
  if (state && ["frozen", "starting"].includes(state.role)) return state.role;
  if (state?.paused && node.state !== "down") return "paused";
  return node.state;
}

/** The verbs that make sense for a node now; others are shown, and disabled. */
function verbsOf(node, state, primary) {
  const [frozen, down] = [state.role === "frozen", state.role === "down"];
  const standby = state.role === "standby";
  const verbs = [];
  if (!node.primary || standby) verbs.push(state.paused ? ["resume", "Resume", standby] : ["pause", "Pause", standby]);
  verbs.push(frozen ? ["thaw", "Thaw", true] : ["freeze", "Freeze", !down]);
  verbs.push(down ? ["start", "Start", true] : ["kill", "Kill", true]);
  if (!node.primary) {
    verbs.push(["promote", "Promote", standby && !primary]);
    verbs.push(["rejoin", "Rejoin", Boolean(primary) && ["down", "detached", "writable"].includes(node.state)]);
  }
  return verbs;
}

const says = {
  pause: "Pause replay: it goes on receiving, and shows nothing new",
  resume: "Let it replay again",
  freeze: "Stop every process of it; connections stay open and nothing answers",
  thaw: "Wake it up",
  kill: "End every process of it at once, as a power cut would",
  start: "Start it in the role that it had",
  promote: "Make it the primary; possible while there is none",
  rejoin: "Make it a standby of the present primary",
};

export class Nodes {
  constructor(model, control) { Object.assign(this, { model, control }); }

  draw() {
    const last = this.model.last();
    if (!last) return;
    this.now = this.model.now();
    $("nodes").querySelector(".empty")?.remove();
    keyed($("nodes"), last.nodes, (n) => n.name, (n) => this.make(n), (card, n) => this.update(card, n, last.view));
  }

  make(node) {
    const mark = nodeMark(this.model.names.indexOf(node.name));
    const card = el("article", { class: "node", "data-node": node.name, "aria-label": node.name },
      el("div", { class: "node-head" },
        el("h3", {}, svg("svg", { class: "mark", "aria-hidden": "true" }, svg("use", { href: "#" + mark.symbol })), node.name),
        el("span", { class: "badge" }, icon("i-waiting"), el("span"))),
      el("p", { class: "figure" }, el("strong"), el("span", { class: "muted small" })),
      el("div", { class: "meter", "aria-hidden": "true" }, el("i")),
      el("ul", { class: "may" }),
      el("dl", { class: "facts" }),
      el("div", { class: "buttons", role: "group", "aria-label": "Break or mend " + node.name }));
    card.style.setProperty("--colour", `var(${mark.variable})`);
    return card;
  }

  update(card, node, view) {
    const state = this.model.stateOf(node.name);
    const kind = badgeOf(node, state);
    const [symbol, word, css] = badges[kind] ?? ["i-warning", kind, "is-warning"];
    card.dataset.state = kind;
    card.dataset.bound = node.bound ?? "";
    card.dataset.reads = (this.now.byNode[node.name] ?? 0).toFixed(2);
    card.classList.toggle("away", ["down", "frozen", "detached"].includes(kind));
    const badge = card.querySelector(".badge");
    badge.className = "badge " + css;
    badge.querySelector("use").setAttribute("href", "#" + symbol);
    set(badge.lastChild, word);
    this.figure(card, node, view);
    this.may(card, node, view);
    this.facts(card, node, state, view);
    this.buttons(card, node, state, view);
  }

  figure(card, node, view) {
    const [figure, text] = card.querySelector(".figure").children;
    const meter = card.querySelector(".meter");
    const most = Math.max(...Object.values(view.budgets)) * 1.2 / 1000;
    meter.hidden = node.primary;
    meter.firstChild.hidden = node.bound === null;
    if (node.primary) {
      set(figure, "Current");
      set(text, "it takes every write");
    } else if (node.bound === null) {
      set(figure, "–");
      set(text, "nothing is proven");
    } else {
      set(figure, seconds(node.bound));
      set(text, "is the most it may miss");
    }
    meter.firstChild.style.width = Math.min(100, (node.bound / most) * 100) + "%";
    const limits = Object.values(view.budgets).map((ms) => (ms / 10 / most) + "%");
    while (meter.children.length <= limits.length) meter.append(el("b"));
    limits.forEach((left, i) => { meter.children[i + 1].style.left = left; });
  }

  /** Which routes it may answer: the bound against each budget. */
  may(card, node, view) {
    const budgets = Object.entries(view.budgets).sort((a, b) => a[1] - b[1]);
    const lines = budgets.map(([name, ms]) => {
      const able = node.primary || (node.bound !== null && node.bound * 1000 <= ms);
      const what = routes[name] ?? name;
      return { name, able, text: node.primary ? what : `${what}: ${able ? "within" : "not within"} ${ms / 1000} s` };
    });
    keyed(card.querySelector(".may"), lines, (l) => l.name, () => el("li", {}, icon("i-good"), el("span")), (li, l) => {
      li.dataset.able = l.able;
      li.firstChild.setAttribute("class", "icon " + (l.able ? "is-good" : "is-warning"));
      li.querySelector("use").setAttribute("href", l.able ? "#i-good" : "#i-warning");
      set(li.lastChild, l.text);
    });
  }

  facts(card, node, state, view) {
    const facts = [["Reads", rate(this.now.byNode[node.name] ?? 0)]];
    if (node.primary) {
      facts.push(["Orders", rate(this.now.orders)], ["Log written", bytesRate(this.model.walRate())]);
    } else {
      facts.push(["Not replayed yet", bytes(node.behind)]);
    }
    if (state) {
      const right = this.model.stateOf(view.primary?.name)?.stock ?? null;
      const known = state.stock !== null && right !== null;
      facts.push(["Stock", count(state.stock)]);
      if (!node.primary) facts.push(["Of it sold already", known ? count(Math.max(0, state.stock - right)) : "–"]);
    }
    facts.push(["Timeline", node.timeline ? String(node.timeline) : "–"]);
    const list = card.querySelector(".facts");
    while (list.children.length > facts.length * 2) list.lastChild.remove();
    while (list.children.length < facts.length * 2) list.append(el("dt"), el("dd"));
    facts.forEach(([name, value], i) => {
      set(list.children[2 * i], name);
      set(list.children[2 * i + 1], value);
    });
  }

  buttons(card, node, state, view) {
    const group = card.querySelector(".buttons");
    group.hidden = !this.control.on || !state;
    if (group.hidden) return;
    const verbs = verbsOf(node, state, view.primary);
    // A pair such as pause and resume is one button, so that the focus stays on it.
    verbs.forEach(([verb, label, able], i) => {
      if (!group.children[i]) group.append(el("button", { type: "button", onclick: (e) => this.press(card, e.currentTarget) }));
      const button = group.children[i];
      const busy = this.control.busy.has(`nodes/${node.name}/${button.dataset.verb}`);
      button.setAttribute("aria-busy", busy);
      if (busy) return;
      button.dataset.verb = verb;
      button.className = verb === "kill" ? "hard" : "";
      button.title = says[verb];
      button.disabled = !able;
      button.setAttribute("aria-label", `${label} ${node.name}`);
      set(button, label);
    });
    while (group.children.length > verbs.length) group.lastChild.remove();
  }

  press(card, button) {
    if (button.getAttribute("aria-busy") !== "true") this.control.verb(card.dataset.node, button.dataset.verb);
  }
}
