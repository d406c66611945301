// The guided tour. Each step says what to do and what to watch; what it watches is ticked
// when the page has seen it, and stays ticked.
import { $, el, keyed, set } from "./dom.js";
import { demo, reading } from "./steps.js";

const KEPT = "leeway-lab-step";

export class Tour {
  constructor(model, control) {
    Object.assign(this, { model, control, at: -1, steps: [], seen: new Set() });
    $("tour-next").addEventListener("click", () => this.go(this.at + 1));
    $("tour-back").addEventListener("click", () => this.go(this.at - 1));
    $("tour-again").addEventListener("click", () => this.go(0));
  }

  go(at) {
    this.at = Math.max(0, Math.min(at, this.steps.length - 1));
    this.seen.clear();
    this.since = this.model.last()?.t ?? 0;
    sessionStorage.setItem(KEPT, this.at);
    this.write();
    $("tour-title").focus({ preventScroll: true });
  }

  /** write makes the step anew. */
  write() {
    const step = this.steps[this.at];
    set($("tour-place"), `Tour, step ${this.at + 1} of ${this.steps.length}`);
    set($("tour-title"), step.title);
    $("tour-text").replaceChildren(...step.text.map((p) => el("p", {}, p)));
    $("tour-back").disabled = this.at === 0;
    $("tour-next").hidden = this.at === this.steps.length - 1;
    $("tour-again").hidden = this.at === 0;
    $("tour-do").replaceChildren(...(step.actions ?? []).map((action) =>
      el("button", { type: "button", class: "main", "data-do": action.name, onclick: () => this.control.send(...action.paths(this.model)) })));
    this.draw();
  }

  draw() {
    if (!this.model.last()) return;
    const steps = this.control.on ? demo : this.control.key ? this.steps : reading;
    if (steps.length === 0) return; // a key that no answer has confirmed yet
    if (steps !== this.steps) {
      this.steps = steps;
      this.since = this.model.last().t;
      this.at = Math.min(Number(sessionStorage.getItem(KEPT) ?? 0), steps.length - 1);
      this.write();
      return;
    }
    const step = steps[this.at];
    const now = { model: this.model, view: this.model.last().view, nodes: this.model.last().nodes, rates: this.model.now(), state: this.model.state() };
    (step.actions ?? []).forEach((action, i) => {
      const button = $("tour-do").children[i];
      const paths = action.paths(this.model);
      set(button, action.label(this.model));
      button.setAttribute("aria-busy", paths.some((p) => this.control.busy.has(p)));
      button.disabled = paths.length === 0 || (action.done?.(now) ?? false);
    });
    const watch = step.watch ?? [];
    watch.forEach((w, i) => { if (w.seen(now)) this.seen.add(i); });
    keyed($("tour-watch"), watch, (w) => this.at + w.text, (w) => el("li", {}, el("span", { class: "box", "aria-hidden": "true" }), el("span"), el("span", { class: "unseen" })), (li, w) => {
      const done = this.seen.has(watch.indexOf(w));
      li.className = done ? "done" : "";
      set(li.children[1], w.text);
      set(li.children[2], done ? "seen" : "not seen yet");
    });
    $("tour-next").classList.toggle("ready", this.seen.size === watch.length);
  }
}
