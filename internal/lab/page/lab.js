// The live page: events come in, the model keeps them, and at most once a frame all of it
// is drawn.
import { Changes } from "./changes.js";
import { Charts } from "./charts.js";
import { Control } from "./control.js";
import { $, el, icon, keyed, set } from "./dom.js";
import { follow } from "./feed.js";
import { clock, count, rate } from "./format.js";
import { Model } from "./model.js";
import { Nodes } from "./nodes.js";
import { Tour } from "./tour.js";
import { Wires } from "./wires.js";

const model = new Model();
const changes = new Changes();
const control = new Control(model, draw);
const charts = new Charts(model);
const nodes = new Nodes(model, control);
const wires = new Wires(model);
const tour = new Tour(model, control);

let due = false;
function draw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    nodes.draw();
    wires.draw();
    charts.draw();
    drawTop();
    drawShop();
    drawLog();
    tour.draw();
  });
}

follow((view) => {
  const before = model.add(view);
  if (before === false) return;
  changes.step(before, model.last(), model.layerRates(model.samples.length - 1));
  draw();
}, (state) => {
  set($("link"), { connecting: "connecting", live: "live", away: "the shop is away, trying again" }[state]);
  $("link").classList.toggle("live", state === "live");
});

const verdicts = { good: "All is well", warning: "Warning", critical: "Critical" };

function drawTop() {
  const view = model.last()?.view;
  if (!view) return;
  const verdict = $("verdict");
  if (verdict.dataset.verdict !== view.verdict) {
    verdict.dataset.verdict = view.verdict;
    verdict.className = "verdict is-" + view.verdict;
    verdict.replaceChildren(icon("i-" + view.verdict), verdicts[view.verdict] ?? view.verdict);
  }
  keyed($("alarms"), view.alarms, (a) => a.code + a.detail, (a) => el("li", { "data-alarm": a.code }, a.detail), () => {});
}

function drawShop() {
  if (!model.last()) return;
  const now = model.now();
  set($("shop-rates"), `${rate(now.reads, "reads")}, ${rate(now.orders, "orders")}`);
  $("shoppers").hidden = !control.on;
  const shoppers = model.state()?.shoppers;
  if (!shoppers) return;
  const button = $("load");
  set(button, shoppers.running ? "Send shoppers home" : "Send shoppers in");
  button.classList.toggle("main", !shoppers.running);
  button.dataset.running = shoppers.running;
  const met = `${count(shoppers.reads)} reads (${count(shoppers.reads_refused)} refused), ${count(shoppers.orders)} orders`;
  const left = shoppers.running ? `; they leave in ${Math.ceil(shoppers.seconds_left / 60)} min` : "";
  set($("load-state"), shoppers.reads ? met + left : "Four look around, four buy.");
}
$("load").addEventListener("click", () => control.load($("load").dataset.running !== "true"));

let newest = 0;
function drawLog() {
  $("log-empty").hidden = changes.entries.length > 0;
  keyed($("log"), changes.entries, (e) => e.id, (e) => el("li", { "data-kind": e.kind },
    icon("i-" + e.kind, "icon " + ({ good: "is-good", primary: "is-good", critical: "is-critical" }[e.kind] ?? "is-warning")),
    el("strong", {}, e.what), el("time", {}, clock(e.t)), el("p")),
  (li, e) => set(li.lastChild, (e.n ? `${count(e.n)} ${e.n === 1 ? "read" : "reads"}. ` : "") + e.why));
  const last = changes.entries[0];
  if (last && last.id > newest) {
    newest = last.id;
    set($("said"), last.what);
  }
}

// The theme is the system's, until somebody chooses.
const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
function themed() {
  set($("theme").lastChild, isDark() ? "Light theme" : "Dark theme");
  charts.recolour();
}
$("theme").addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("leeway-lab-theme", theme);
  themed();
});
dark.addEventListener("change", themed);
const chosen = localStorage.getItem("leeway-lab-theme");
if (chosen) document.documentElement.dataset.theme = chosen;
themed();
