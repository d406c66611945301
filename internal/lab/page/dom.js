// Making and changing elements. Text is only ever set as text, and nothing has a style
// attribute: the page's policy allows neither scripts nor styles inside of markup.

export const $ = (id) => document.getElementById(id);

/** el("li", {class: "x"}, "text", child...) */
export function el(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined && c !== false));
  return e;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, ...children) {
  const e = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  e.append(...children);
  return e;
}

/** One of the symbols of index.html; it only decorates, a word stands beside it. */
export function icon(name, css = "icon") {
  return svg("svg", { class: css, "aria-hidden": "true" }, svg("use", { href: "#" + name }));
}

/** set changes a text only if it is another one, so that nothing is read out twice. */
export function set(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

/** keyed makes the children of a list be those of the entries, keeping what is there. */
export function keyed(parent, entries, key, make, update) {
  const old = new Map([...parent.children].map((c) => [c.dataset.key, c]));
  let at = parent.firstElementChild;
  for (const entry of entries) {
    const k = String(key(entry));
    let child = old.get(k);
    if (!child) {
      child = make(entry);
      child.dataset.key = k;
    }
    old.delete(k);
    update(child, entry);
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
  for (const gone of old.values()) gone.remove();
}

const probe = document.createElement("span");
probe.hidden = true;
document.documentElement.append(probe);

/** What a variable such as --node-0 is in the present theme, for a canvas. */
export function colour(name) {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}
