// Where the nodes of a directed graph go: in layers from top to bottom, few crossings, straight edges
// where it can be. Pure; for graphs of some hundred nodes. Sugiyama's four steps, each in its plainest
// form: turn round what goes back, give layers, order within them, give places.

/** Space between neighbours of a layer, and between layers. */
const GAP_X = 24;
const GAP_Y = 16;
/** Room that an edge takes which only passes a layer. */
const LANE = 14;
const SWEEPS = 8;

/** Edges that close a circle, found by walking from each node in turn. */
function backward(nodes, out) {
  const back = new Set();
  const state = new Map();
  for (const { id: root } of nodes) {
    if (state.has(root)) continue;
    const path = [{ id: root, next: 0 }];
    state.set(root, "open");
    while (path.length > 0) {
      const top = path[path.length - 1];
      const edge = out.get(top.id)[top.next];
      top.next += 1;
      if (!edge) {
        state.set(top.id, "done");
        path.pop();
      } else if (state.get(edge.to) === "open") {
        back.add(edge);
      } else if (!state.has(edge.to)) {
        state.set(edge.to, "open");
        path.push({ id: edge.to, next: 0 });
      }
    }
  }
  return back;
}

/** The layer of each node: the longest way to it. Every other layer is left to edges' labels. */
function layersOf(nodes, edges) {
  const rank = new Map(nodes.map(({ id }) => [id, 0]));
  const waits = new Map(nodes.map(({ id }) => [id, 0]));
  for (const { to } of edges) waits.set(to, waits.get(to) + 1);
  const ready = nodes.filter(({ id }) => waits.get(id) === 0).map(({ id }) => id);
  for (const id of ready) {
    for (const edge of edges) {
      if (edge.from !== id) continue;
      rank.set(edge.to, Math.max(rank.get(edge.to), rank.get(id) + 2));
      waits.set(edge.to, waits.get(edge.to) - 1);
      if (waits.get(edge.to) === 0) ready.push(edge.to);
    }
  }
  return rank;
}

/** Layers of cells, an edge being a chain of cells from its upper to its lower end. */
function cellsOf(nodes, edges, rank) {
  const layers = [];
  const put = (layer, cell) => {
    (layers[layer] ??= []).push(cell);
    return Object.assign(cell, { layer, up: [], down: [] });
  };
  const own = new Map(nodes.map((node) =>
    [node.id, put(rank.get(node.id), { ...node, node })]));
  for (const edge of edges) {
    const chain = [own.get(edge.from)];
    for (let layer = rank.get(edge.from) + 1; layer < rank.get(edge.to); layer += 1) {
      const labelled = chain.length === 1 && edge.labelWidth > 0;
      chain.push(put(layer, labelled
        ? { width: edge.labelWidth, height: 18 } : { width: LANE, height: 0 }));
    }
    chain.push(own.get(edge.to));
    chain.slice(1).forEach((cell, place) => {
      chain[place].down.push(cell);
      cell.up.push(chain[place]);
    });
    edge.chain = chain;
  }
  for (let layer = 0; layer < layers.length; layer += 1) layers[layer] ??= [];
  return layers;
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Orders each layer by the mean place of the neighbours above, then below, in turns. */
function order(layers) {
  const number = (layer) => layer.forEach((cell, place) => { cell.place = place; });
  layers.forEach(number);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const side = sweep % 2 === 0 ? "up" : "down";
    const turn = side === "up" ? layers : [...layers].reverse();
    for (const layer of turn) {
      for (const cell of layer) {
        const near = cell[side].map((one) => one.place);
        cell.wish = near.length > 0 ? mean(near) : cell.place;
      }
      layer.sort((a, b) => a.wish - b.wish || a.place - b.place);
      number(layer);
    }
  }
}

/** Puts the cells of a layer as near as can be to where they would be, without touching. */
function settle(layer, side) {
  const wish = layer.map((cell) => {
    const near = cell[side].map((one) => one.x);
    return near.length > 0 ? mean(near) : cell.x;
  });
  const apart = (a, b) => (a.width + b.width) / 2 + GAP_X;
  const right = [];
  layer.forEach((cell, place) => {
    const least = place > 0 ? right[place - 1] + apart(layer[place - 1], cell) : -Infinity;
    right[place] = Math.max(wish[place], least);
  });
  const left = [];
  for (let place = layer.length - 1; place >= 0; place -= 1) {
    const most = place < layer.length - 1
      ? left[place + 1] - apart(layer[place], layer[place + 1]) : Infinity;
    left[place] = Math.min(wish[place], most);
  }
  // Both keep the distances, and so does what lies between them.
  layer.forEach((cell, place) => { cell.x = (left[place] + right[place]) / 2; });
}

function place(layers) {
  for (const layer of layers) {
    let x = 0;
    for (const cell of layer) {
      cell.x = x + cell.width / 2;
      x += cell.width + GAP_X;
    }
  }
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const down = sweep % 2 === 0;
    for (const layer of down ? layers : [...layers].reverse()) settle(layer, down ? "up" : "down");
  }
  let y = 0;
  for (const layer of layers) {
    const height = Math.max(0, ...layer.map((cell) => cell.height));
    for (const cell of layer) Object.assign(cell, { y: y + height / 2, half: height / 2 });
    y += height + GAP_Y;
  }
}

/** The points of an edge, from the lower side of one end to the upper side of the other. */
function pointsOf(chain) {
  const [first, last] = [chain[0], chain[chain.length - 1]];
  // Ways out of one step leave it side by side, in the order of where they go.
  const outs = [...first.down].sort((a, b) => a.x - b.x);
  const step = Math.min(28, first.width / (outs.length + 1));
  const shift = (outs.indexOf(chain[1]) - (outs.length - 1) / 2) * step;
  // Straight down through a layer that it only passes: a curve would cut the corners of nodes.
  const inner = chain.slice(1, -1).flatMap((cell) => (cell.half > 0
    ? [[cell.x, cell.y - cell.half], [cell.x, cell.y + cell.half]] : [[cell.x, cell.y]]));
  return [[first.x + shift, first.y + first.height / 2], ...inner, [last.x, last.y - last.height / 2]];
}

/**
 * `nodes` are `{id, width, height}`, `edges` `{from, to, labelWidth}` between them. Answers
 * `{width, height, nodes: [{id, x, y, …}], edges: [{…, points, label: [x, y], back}]}`: x and y are
 * middles; the points of an edge that goes back lead upwards.
 */
export function layered(nodes, edges) {
  const all = edges.map((edge) => ({ ...edge }));
  const out = new Map(nodes.map(({ id }) => [id, []]));
  for (const edge of all) out.get(edge.from).push(edge);
  const back = backward(nodes, out);
  for (const edge of back) [edge.from, edge.to] = [edge.to, edge.from];
  const looped = all.filter((edge) => edge.from === edge.to);
  const forward = all.filter((edge) => edge.from !== edge.to);
  const layers = cellsOf(nodes, forward, layersOf(nodes, forward));
  order(layers);
  place(layers);
  const cells = layers.flat();
  const left = Math.min(...cells.map((cell) => cell.x - cell.width / 2));
  for (const cell of cells) cell.x -= left;
  for (const edge of forward) {
    edge.points = pointsOf(edge.chain);
    edge.label = edge.labelWidth > 0 ? [edge.chain[1].x, edge.chain[1].y] : null;
    edge.back = back.has(edge);
    if (edge.back) {
      edge.points.reverse();
      [edge.from, edge.to] = [edge.to, edge.from];
    }
  }
  return {
    width: Math.max(...cells.map((cell) => cell.x + cell.width / 2)),
    height: Math.max(...cells.map((cell) => cell.y + cell.height / 2)),
    nodes: cells.filter((cell) => cell.node).map(({ node, x, y }) => ({ ...node, x, y })),
    edges: forward.map(({ chain: _, ...edge }) => edge),
    looped,
  };
}
