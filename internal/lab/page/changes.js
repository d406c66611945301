// What happened: each entry is what differs between two events. Events hold totals, so
// that nothing is lost when some are missed.
import { count } from "./format.js";

const QUIET = 4; // seconds without a read of a kind end an entry; the next one begins anew
const WORTH = 0.05; // of all reads: now and then one is too quick for every replica, and that is no event
const KEEP = 60;

const reads = {
  token: { kind: "fallback", what: "Reads of what sessions have just done went to the primary", why: "No replica had replayed their writes yet (token)." },
  lag: { kind: "fallback", what: "Reads went to the primary: replicas were beyond their budget", why: "No replica could prove that it was fresh enough (lag)." },
  no_replica: { kind: "fallback", what: "Reads went to the primary: no replica answered", why: "Within a cap, so that checkout keeps its room (no_replica)." },
  other: { kind: "fallback", what: "Reads went to the primary", why: "Because of a conflict with replay, or of another timeline." },
  stale: { kind: "stale", what: "Lists were served stale, and said so", why: "They allow it; a product page or a cart never is." },
  shed: { kind: "critical", what: "Reads were shed", why: "The cap on reads at the primary was reached; they were answered 503." },
};

const states = {
  streaming: ["good", "has caught up", "It is within the budget of browsing and takes reads."],
  lagging: ["warning", "is beyond the budget of browsing", "It takes no reads now but those that may be stale."],
  down: ["critical", "does not answer", "Its reads go elsewhere."],
  detached: ["warning", "is stranded", "Nothing is proven of it: it follows another timeline, or nobody."],
  writable: ["critical", "accepts writes as well", "Two servers do: a split brain. Fence the older one."],
  foreign: ["critical", "belongs to another cluster", "It is used for nothing."],
};

export class Changes {
  constructor() {
    this.entries = []; // newest first: {id, kind, what, why, t, until, n}
    this.next = 1;
    this.primary = undefined; // the last that there was
  }

  add(t, kind, what, why, more = {}) {
    this.entries.unshift({ id: this.next++, kind, what, why, t, until: t, ...more });
    this.entries.length = Math.min(this.entries.length, KEEP);
  }

  /** step notes what changed from one sample to the next; rates are those of its reads. */
  step(before, now, rates) {
    if (!before) {
      if (now.view.primary) this.primary = now.view.primary;
      return;
    }
    this.promoted(now);
    this.moved(before, now);
    this.writes(before, now);
    this.read(now, rates);
    this.counted(before, now);
  }

  promoted(now) {
    const primary = now.view.primary;
    if (!primary) {
      if (this.primary && !this.primary.lost) {
        this.add(now.t, "critical", "No primary answers", `${this.primary.name} was it. Browsing goes on; carts and checkout are answered 503.`);
        this.primary = { ...this.primary, lost: true };
      }
      return;
    }
    if (this.primary && primary.name !== this.primary.name) {
      this.add(now.t, "primary", `${primary.name} was promoted`, `It is the primary now, on timeline ${primary.timeline}.`);
    } else if (this.primary?.lost) {
      this.add(now.t, "good", `${primary.name} is back`, "It is the primary as before.");
    }
    this.primary = primary;
  }

  moved(before, now) {
    for (const n of now.nodes) {
      const was = before.nodes.find((b) => b.name === n.name);
      if (!was || was.state === n.state || n.primary || (was.primary && n.state === "down")) continue;
      const [kind, what, why] = states[n.state] ?? ["warning", "is " + n.state, ""];
      this.add(now.t, kind, `${n.name} ${what}`, why);
    }
  }

  writes(before, now) {
    const refused = (s) => s.view.alarms.some((a) => a.code === "no_synchronous_standby");
    if (refused(now) && !refused(before)) this.add(now.t, "critical", "Writes are refused", "No standby confirms them, and nothing is accepted that could be lost.");
    if (!refused(now) && refused(before) && now.view.primary) this.add(now.t, "good", "Writes are taken again", "A standby confirms them.");
  }

  /** read counts into the entry of its kind as long as that goes on. */
  read(now, rates) {
    const sum = Object.values(rates ?? {}).reduce((a, b) => a + b, 0);
    for (const [layer, n] of Object.entries(now.layers)) {
      const r = reads[layer];
      if (!r || n === 0) continue;
      const open = this.entries.find((e) => e.layer === layer && now.t - e.until < QUIET);
      if (open) {
        open.n += n;
        open.until = now.t;
      } else if (layer === "shed" || (rates?.[layer] ?? 0) > Math.max(1, WORTH * sum)) {
        this.add(now.t, r.kind, r.what, r.why, { layer, n });
      }
    }
  }

  counted(before, now) {
    const more = (name) => (now.view.counters[name] ?? 0) - (before.view.counters[name] ?? 0);
    if (more("commit_unknown") > 0) this.add(now.t, "warning", `${count(more("commit_unknown"))} commits whose outcome is not known`, "The client was told so, and asks again under the same key.");
    if (more("history_rewound") > 0) this.add(now.t, "warning", "A session knew more than the primary", "Its token is of an older timeline, or ahead of it: writes may have been lost.");
  }
}
