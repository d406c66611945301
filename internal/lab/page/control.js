// The demo's buttons. Their key comes in the fragment of the address, which no browser
// sends anywhere; it is taken out of the address bar and kept for this tab alone.
import { $, set } from "./dom.js";

const AT = "/lab/control/";
const KEPT = "leeway-lab-key";

function takeKey() {
  const given = location.hash.match(/^#key=(\w+)$/);
  if (given) {
    sessionStorage.setItem(KEPT, given[1]);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(KEPT);
}

export class Control {
  constructor(model, changed) {
    Object.assign(this, { model, changed, key: takeKey(), busy: new Set() });
    if (this.key) this.watch();
  }

  /** Whether there are buttons: a key, and a demo that takes it. */
  get on() { return Boolean(this.key && this.model.state()); }

  ask(path, method = "POST") {
    return fetch(AT + path, { method, headers: { "X-Lab-Key": this.key }, cache: "no-store" });
  }

  async watch() {
    try {
      if (!document.hidden) {
        const answer = await this.ask("state", "GET");
        if (answer.status === 403 || answer.status === 404) { // another run's key, or no demo
          sessionStorage.removeItem(KEPT);
          this.key = null;
          this.changed();
          return;
        }
        if (answer.ok) this.model.addState(await answer.json());
        this.changed();
      }
    } catch { /* the shop is away; the stream says so */ }
    setTimeout(() => this.watch(), 1000);
  }

  /** send does something to servers, one after the other, and tells what was refused. */
  async send(...paths) {
    this.refusal("");
    for (const path of paths) {
      this.busy.add(path);
      this.changed();
      try {
        const answer = await this.ask(path);
        if (!answer.ok) {
          this.refusal((await answer.json()).error);
          return;
        }
      } catch {
        this.refusal("The shop does not answer.");
        return;
      } finally {
        this.busy.delete(path);
        this.changed();
      }
    }
  }

  refusal(text) {
    set($("refusal"), text);
    $("refusal").hidden = !text;
  }

  verb(node, verb) { return this.send(`nodes/${node}/${verb}`); }
  load(start) { return this.send(start ? "load/start" : "load/stop"); }
}
