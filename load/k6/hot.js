// Everybody wants the same.
import { buy, catalog, openLoop } from "./shop.js";

export const options = openLoop({ "http_req_duration{name:checkout}": ["p(99)<2000"] });

export const setup = catalog;

export default function (shop) {
  buy([__ENV.VARIANT || shop.variants[0]]);
}
