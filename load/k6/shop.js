// What the scenarios share: the shop's catalog, and the one way of asking for something.
import http from "k6/http";
import { check, fail } from "k6";
import { Counter, Rate } from "k6/metrics";

export const url = __ENV.SHOP_URL || "http://127.0.0.1:8080";

// Reads by where they were answered, and promises that were broken.
export const byReplica = new Rate("reads_by_replica");
export const broken = new Counter("promises_broken");

// openLoop begins journeys at a constant rate, whatever the shop does with them.
export function openLoop(thresholds) {
  return {
    discardResponseBodies: false,
    scenarios: {
      journeys: {
        executor: "constant-arrival-rate",
        rate: Number(__ENV.RATE || 50),
        timeUnit: "1s",
        duration: __ENV.DURATION || "20s",
        preAllocatedVUs: 50,
        maxVUs: 500,
      },
    },
    thresholds: Object.assign(
      {
        promises_broken: ["count==0"],
        checks: ["rate==1"],
        dropped_iterations: ["count==0"], // the load itself had too little of the machine
      },
      thresholds,
    ),
  };
}

// catalog is read once, before the journeys begin.
export function catalog() {
  const page = http.get(`${url}/v1/products?in_stock=true&limit=100`, { tags: { name: "setup" } });
  if (page.status !== 200) {
    fail(`${url} answered ${page.status}: does a shop listen there?`);
  }
  const products = page.json("data").map((p) => p.slug);
  const categories = [...new Set(page.json("data").map((p) => p.category.slug))];
  const variants = [];
  for (const slug of products.slice(0, 20)) {
    const product = http.get(`${url}/v1/products/${slug}`, { tags: { name: "setup" } });
    variants.push(...product.json("variants").filter((v) => v.availability !== "out").map((v) => v.id));
  }
  return { products, categories, variants };
}

// popular draws an element, the first the most often.
export function popular(list) {
  return list[Math.floor(list.length * Math.random() ** 3)];
}

export function read(name, path, headers) {
  const answer = http.get(url + path, { headers: headers || {}, tags: { name } });
  check(answer, { [`${name}: 200`]: (a) => a.status === 200 });
  byReplica.add((answer.headers["Data-Source"] || "").startsWith("replica"));
  return answer;
}

const form = {
  email: "load@example.com",
  shipping_address: { name: "Load Test", line1: "1 Test Road", city: "London", postal_code: "N1 1AA", country: "GB" },
};

// buy orders one of each variant, and reads the order as the shopper who has just
// placed it: no replica that lacks it may answer.
export function buy(variants) {
  const json = { "Content-Type": "application/json" };
  const cart = http.post(
    `${url}/v1/carts`,
    JSON.stringify({ items: variants.map((v) => ({ variant_id: v, quantity: 1 })) }),
    { headers: json, tags: { name: "create cart" } },
  );
  if (!check(cart, { "create cart: 201": (a) => a.status === 201 })) {
    return;
  }
  const shopper = { Authorization: `Bearer ${cart.json("shopper_token")}` };
  const checkout = (token) =>
    http.post(`${url}/v1/carts/${cart.json("id")}/checkout`, JSON.stringify(form), {
      headers: Object.assign({ "Idempotency-Key": `k6-${__VU}-${__ITER}`, "Consistency-Token": token }, json, shopper),
      tags: { name: "checkout" },
      responseCallback: http.expectedStatuses(201, 409), // to be sold out is an answer
    });
  let placed = checkout(cart.headers["Consistency-Token"]);
  for (let tries = 1; placed.status === 503 && tries < 5; tries++) {
    placed = checkout(cart.headers["Consistency-Token"]); // the same key: it is one order
  }
  if (!check(placed, { "checkout: 201 or 409": (a) => a.status === 201 || a.status === 409 }) || placed.status === 409) {
    return;
  }
  const own = read(`own order`, `/v1/orders/${placed.json("id")}`, {
    Authorization: shopper.Authorization,
    "Consistency-Token": placed.headers["Consistency-Token"],
  });
  if (own.status === 404 || (own.status === 200 && own.json("items").length !== variants.length)) {
    broken.add(1); // they do not see what they have just bought
  }
}
