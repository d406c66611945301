// The steps of the tour: in a demo, where things can be broken, and elsewhere.
import { list } from "./format.js";
import { bytesOf } from "./model.js";

const replicas = (model) => model.last().nodes.filter((n) => !n.primary && model.stateOf(n.name)?.role === "standby");
const primary = (model) => model.last().nodes.find((n) => n.primary);

/** Those that follow nobody; first those that run: they are back at once, and orders with
 * them. */
function strays(model) {
  if (!primary(model)) return [];
  const list = model.last().nodes.filter((n) => !n.primary && ["down", "detached", "writable"].includes(n.state));
  return list.sort((a, b) => (a.state === "down") - (b.state === "down"));
}

/** The standby that has received most, of those on the newest timeline, as shop cluster
 * choose has it: another could lack an acknowledged order. One whose replay stands still
 * may well have received most. */
function heir(model) {
  if (primary(model)) return undefined;
  const received = (n) => bytesOf(model.stateOf(n.name).received) ?? 0;
  return replicas(model).filter((n) => n.state !== "down")
    .sort((a, b) => (b.timeline ?? 0) - (a.timeline ?? 0) || received(b) - received(a))[0];
}

const budget = (now, name) => now.view.budgets[name] / 1000;
const bounds = (now) => now.nodes.filter((n) => !n.primary && n.bound !== null).map((n) => n.bound);
const all = (values, test) => values.length > 0 && values.every(test);

export const demo = [
  {
    title: "Three servers and a shop",
    text: [
      "The primary takes every write and streams its log, the WAL, to the replicas, which replay it. The shop reads from the replicas and keeps the primary free for carts and orders.",
      "Send in a few shoppers and look at the wires: reads come from the replicas, orders go to the primary.",
    ],
    actions: [{ name: "load", label: () => "Send shoppers in", paths: () => ["load/start"], done: (now) => now.state?.shoppers.running }],
    watch: [
      { text: "Replicas answer reads", seen: (now) => Object.entries(now.rates.layers).some(([l, r]) => l.startsWith("proven:") && r > 0) },
      { text: "Orders are placed", seen: (now) => now.rates.orders > 0 },
    ],
  },
  {
    title: "How old may an answer be?",
    text: [
      "Of each replica the shop can prove a bound: it misses nothing that is older than that. Normally that is about a tenth of a second, because the shop looks ten times a second.",
      "Each route has a budget, the leeway that it allows. Carts and orders may be 1 second old, and never older than what the same shopper has done. Lists and product pages may be 5 seconds old. The chart of the bounds has both as dashed lines.",
    ],
    watch: [{ text: "Every bound is below both lines", seen: (now) => all(bounds(now), (b) => b < budget(now, "session")) }],
  },
  {
    title: "Make the replicas late",
    text: [
      "Pausing replay is a lag of any length, made on purpose. The replicas go on receiving the log and show none of it.",
      "Nobody sees an old cart: the shopper's own last write is a token that each read carries, and a replica that has not replayed it is not asked.",
    ],
    actions: [{
      name: "pause", label: (m) => `Pause ${list(replicas(m).map((n) => n.name)) || "the replicas"}`,
      paths: (m) => replicas(m).filter((n) => !m.stateOf(n.name).paused).map((n) => `nodes/${n.name}/pause`),
    }],
    watch: [
      { text: "At once: what shoppers have just done is read from the primary (token)", seen: (now) => (now.rates.layers.token ?? 0) > 0 },
      { text: "The bounds rise by one second each second", seen: (now) => all(bounds(now), (b) => b > budget(now, "session")) },
      { text: "After 5 s: product pages come from the primary (lag)", seen: (now) => (now.rates.layers.lag ?? 0) > 0 },
      { text: "After 5 s: lists and searches are stale, and say so", seen: (now) => (now.rates.layers.stale ?? 0) > 0 },
    ],
  },
  {
    title: "Let them catch up",
    text: ["What was received is replayed at once. The bounds fall, and reads return to the replicas by themselves. Look at the stock: the lines meet again."],
    actions: [{
      name: "resume", label: (m) => `Resume ${list(replicas(m).filter((n) => m.stateOf(n.name).paused).map((n) => n.name)) || "the replicas"}`,
      paths: (m) => replicas(m).filter((n) => m.stateOf(n.name).paused).map((n) => `nodes/${n.name}/resume`),
    }],
    watch: [
      { text: "Every bound is below both lines again", seen: (now) => !now.state?.nodes.some((n) => n.paused) && all(bounds(now), (b) => b < budget(now, "session")) },
      { text: "No read goes to the primary", seen: (now) => !now.state?.nodes.some((n) => n.paused) && ["token", "lag"].every((l) => (now.rates.layers[l] ?? 0) < 1) },
    ],
  },
  {
    title: "Lose the primary",
    text: [
      "Kill it, as a power cut would. Nothing can be written now, and nothing that was acknowledged is lost: each order was on a replica before its shopper was told.",
      "Browsing goes on. After 5 seconds without the primary nobody can prove that budget any more: lists and searches are labelled stale, and product pages, which never are, are refused like carts and checkout.",
    ],
    actions: [{ name: "kill", label: (m) => `Kill ${primary(m)?.name ?? "the primary"}`, paths: (m) => (primary(m) ? [`nodes/${primary(m).name}/kill`] : []) }],
    watch: [
      { text: "There is no primary, and no order is placed", seen: (now) => !now.view.primary && now.rates.orders === 0 },
      { text: "Replicas still answer those who browse", seen: (now) => !now.view.primary && now.rates.reads > 0 },
      { text: "After 5 s: lists and searches are stale, and say so", seen: (now) => !now.view.primary && (now.rates.layers.stale ?? 0) > 0 },
    ],
  },
  {
    title: "Promote a replica",
    text: [
      "A person does this, or a manager such as Patroni; the shop only follows. It finds the new primary by itself, on a new timeline, without a restart.",
      "Writes are still refused: no other server follows the new primary yet, and the shop accepts nothing that could be lost.",
    ],
    actions: [{ name: "promote", label: (m) => `Promote ${heir(m)?.name ?? "a replica"}`, paths: (m) => (heir(m) ? [`nodes/${heir(m).name}/promote`] : []) }],
    watch: [{ text: "The shop has followed, on a higher timeline", seen: (now) => (now.view.primary?.timeline ?? 0) > 1 }],
  },
  {
    title: "Bring the others back",
    text: [
      "They are told to follow the new primary. The old one first throws away what it had and nobody else (pg_rewind).",
      "With the first that follows, orders are taken again. Shoppers who were told that an outcome was unknown have asked again under the same key, and have one order, not two.",
    ],
    actions: [{
      name: "rejoin", label: (m) => `Rejoin ${list(strays(m).map((n) => n.name)) || "the others"}`,
      paths: (m) => strays(m).map((n) => `nodes/${n.name}/rejoin`),
    }],
    watch: [
      { text: "All servers are in step", seen: (now) => now.view.verdict === "good" },
      { text: "Orders are placed", seen: (now) => now.view.verdict === "good" && now.rates.orders > 0 },
    ],
  },
  {
    title: "That was it",
    text: [
      "You have seen a lag, a fallback and a failover. Nobody was shown anything older than what they had just done, and the app was never restarted.",
      "There is more to break: freeze a server, so that it hangs instead of dying, or kill both replicas and look at what the cap on reads at the primary sheds. What it all rests on is in ARCHITECTURE.md.",
    ],
    actions: [{ name: "stop", label: () => "Send shoppers home", paths: () => ["load/stop"], done: (now) => !now.state?.shoppers.running }],
  },
];

export const reading = [
  {
    title: "What this page shows",
    text: [
      "What this shop believes of its database, twice a second. Only the log flows from the primary to the replicas; reads come from the replicas, as long as they are fresh enough.",
      "This page cannot change anything. To break things with buttons, run make demo and open the link that it prints.",
    ],
  },
  demo[1],
  {
    title: "Where reads went",
    text: [
      "A read that no replica can answer within its budget goes to the primary, within a cap, and is counted with its reason: token, a session's own write that no replica has yet; lag, replicas beyond the budget; no_replica, none there. Lists may be stale instead, and say so.",
      "Hold the pointer on a chart to read its figures at that time.",
    ],
  },
];
