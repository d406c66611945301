// Shoppers who each buy two things, and look at their order.
import { buy, catalog, openLoop, popular } from "./shop.js";

export const options = openLoop({ "http_req_duration{name:checkout}": ["p(99)<1000"] });

export const setup = catalog;

export default function (shop) {
  const first = popular(shop.variants);
  const second = popular(shop.variants);
  buy(first === second ? [first] : [first, second]);
}
