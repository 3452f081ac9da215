// Being made.

import { fill } from "../lib/dom.js";
import { heading } from "../lib/parts.js";

export default async function view(root, { params }) {
  fill(root, heading(params.host ?? "Hosts"));
}
