// Visitors who look around: of a hundred pages sixty are of a product, thirty-five a
// list and five the tree of categories.
import { catalog, openLoop, popular, read } from "./shop.js";

export const options = openLoop({
  "http_req_duration{name:product}": ["p(99)<250"],
  "http_req_duration{name:list}": ["p(99)<250"],
  reads_by_replica: ["rate>0.99"],
});

export const setup = catalog;

export default function (shop) {
  const what = Math.random() * 100;
  if (what < 60) {
    read("product", `/v1/products/${popular(shop.products)}`);
  } else if (what < 80) {
    read("list", "/v1/products");
  } else if (what < 95) {
    read("list", `/v1/products?category=${popular(shop.categories)}`);
  } else {
    read("categories", "/v1/categories");
  }
}
