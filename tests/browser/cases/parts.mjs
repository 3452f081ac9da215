// The pure parts of the page, in the browser that runs them.

import assert from "node:assert/strict";

const DOCUMENTS = [
  "{\"a\":1,\"b\":[true,false,null,-0.5e+3,\"\\u00e9\\\"\\\\\"],\"c\":{},\"d\":[]}", "[[],{}]", " 1 ", "\"x\"",
  "{\"n\":12345678901234567890,\"m\":1.0}",
];
/** Text that is no JSON, and where that shows. */
const FAULTS = [["{\"a\":1,}", 7], ["{\"a\" 1}", 5], ["[1 2]", 3], ["{\"a\":\"x", 5], ["", 0], ["{} x", 3]];

export default {
  "JSON is set out in lines with every number as it was": async (world) => {
    const page = await world.open("#/compose");
    const told = await page.evaluate(async ([documents, faults]) => {
      const { pretty, scan, slice } = await import("/ui/parts/json.js");
      return {
        pretty: documents.map(pretty), faults: faults.map(([text]) => scan(text).fault?.at),
        deep: scan("[".repeat(100_000)).fault.detail,
        slice: slice("{\"a/b\": {\"~\": [0, 1e9]}}", "/a~1b/~0/1"),
      };
    }, [DOCUMENTS, FAULTS]);
    const bare = (text) => text.replaceAll(/\s/g, "");
    told.pretty.forEach((text, place) => assert.equal(bare(text), bare(DOCUMENTS[place])));
    assert.deepEqual(told.faults, FAULTS.map(([, at]) => at));
    assert.match(told.deep, /too deeply/);
    assert.equal(told.slice, "1e9");
  },

  "nodes of a graph never touch, and every way goes down but those that close a circle": async (world) => {
    const page = await world.open("#/compose");
    const graphs = await page.evaluate(async () => {
      const { layered } = await import("/ui/parts/layers.js");
      // Graphs of all shapes, the same each time.
      let seed = 7;
      const roll = (below) => {
        seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
        return seed % below;
      };
      return Array.from({ length: 40 }, (_, size) => {
        const nodes = Array.from({ length: size + 1 }, (__, id) =>
          ({ id: String(id), width: 100 + roll(100), height: 40 + roll(40) }));
        const edges = Array.from({ length: size * 2 }, () => ({ from: String(roll(size + 1)),
          to: String(roll(size + 1)), labelWidth: roll(2) * 60 }));
        return layered(nodes, edges);
      });
    });
    for (const { nodes, edges, width } of graphs) {
      for (const [place, a] of nodes.entries()) {
        assert.ok(a.x - a.width / 2 >= -1 && a.x + a.width / 2 <= width + 1);
        for (const b of nodes.slice(place + 1)) {
          const apart = Math.abs(a.x - b.x) >= (a.width + b.width) / 2
            || Math.abs(a.y - b.y) >= (a.height + b.height) / 2;
          assert.ok(apart, `${JSON.stringify(a)} and ${JSON.stringify(b)}`);
        }
      }
      for (const { points, back } of edges) {
        const down = points[points.length - 1][1] - points[0][1];
        assert.ok(back ? down < 0 : down > 0);
      }
    }
  },
};
