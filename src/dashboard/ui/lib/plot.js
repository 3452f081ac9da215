// Plots over time (uPlot, fetched when the first is drawn) in the colours of the theme, and
// sparklines, which need nothing but a path.

import { fill, h, svg, text } from "./dom.js";
import { date, time } from "./format.js";

let loading = null;

function load() {
  loading ??= new Promise((done, failed) => {
    const style = h("link", { rel: "stylesheet", href: "/ui/vendor/uPlot.min.css" });
    const script = h("script", { src: "/ui/vendor/uPlot.iife.min.js" });
    script.onload = () => done(globalThis.uPlot);
    script.onerror = () => failed(new Error("The plots could not be loaded."));
    document.head.append(style, script);
  });
  return loading;
}

/** What a CSS variable comes to in the theme of now, as `rgb(…)`: a canvas knows no variables. */
function colour(name, part = 1) {
  const probe = h("i", { hidden: true, style: { color: `var(--${name})` } });
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return part === 1 ? color : color.replace("rgb(", "rgba(").replace(")", `, ${part})`);
}

/** Points between gaps, which no line would show. */
function lonely(chart, series) {
  const values = chart.data[series];
  const none = (value) => value === null || value === undefined;
  const alone = (place) =>
    !none(values[place]) && none(values[place - 1]) && none(values[place + 1]);
  return [...values.keys()].filter(alone);
}

/** Each point of a stacked series on top of those of the series before it. */
function stack(values) {
  const sums = [];
  return values.map((points) =>
    points.map((point, place) => {
      sums[place] = (sums[place] ?? 0) + (point ?? 0);
      return sums[place];
    }),
  );
}

/** What stands at a tick of the axis of time: the day where the ticks are days apart. */
const tickWords = (at, step) =>
  step >= 86_400 ? date(at) : time(at).slice(-8, step < 60 ? undefined : -3);

/**
 * A plot in `node`. `label` names it for who cannot see it; `series` are `{label, color, kind, dash,
 * format}`: `color` a CSS variable's name without its dashes ("accent", "good", "warn", "bad",
 * "series-1" to "series-6"), `kind` "line", "area" or "bars"; `format(value)` tells a value in words;
 * `stacked` puts the series upon one another; `marks` are `{value, label}`: lines across; plots with
 * the same `sync` share their cursor; `max` is the least upper end of the scale; `rest` are the values
 * that the legend shows while no time is pointed at (else the last ones). A series that `spans` goes on
 * over times without a value, its values marked.
 * Answers `{set(times, values), destroy()}`: times in seconds since the epoch, one array of values
 * (null where there is none) a series.
 */
export function plot(node, options) {
  const drawn = new Plot(node, options);
  return { set: (times, values) => drawn.set(times, values), destroy: () => drawn.destroy() };
}

class Plot {
  constructor(node, options) {
    this.options = { height: 150, format: String, ...options };
    this.values = null;
    this.legend = this.options.series.map((one) => {
      const value = h("b", {}, "–");
      const swatch = h("i", { class: one.kind ?? "line", style: { "--c": `var(--${one.color})` } });
      return { value, node: h("li", {}, swatch, one.label, " ", value) };
    });
    this.when = h("span", { class: "when" });
    this.area = h(
      "div",
      {
        class: "plot-area",
        role: "img",
        "aria-label": this.options.label,
        style: { "--height": `${this.options.height}px` },
      },
      h("p", { class: "quiet" }, "No figures yet"),
    );
    const caption = h(
      "figcaption",
      {},
      h(
        "ul",
        {},
        this.legend.map((one) => one.node),
      ),
      this.when,
    );
    fill(node, h("figure", { class: "plot" }, caption, this.area));
    this.seen = new ResizeObserver(() => this.chart?.setSize(this.size()));
    this.seen.observe(this.area);
    this.themed = () => this.draw();
    document.addEventListener("themed", this.themed);
  }

  size() {
    return { width: Math.max(120, this.area.clientWidth), height: this.options.height };
  }

  async set(times, values) {
    this.times = times;
    this.values = values;
    this.shown = this.options.stacked ? stack(values).reverse() : values;
    if (times.length === 0) return;
    if (this.chart) this.chart.setData([times, ...this.shown]);
    else await this.draw();
    this.tell(null);
  }

  /** What the legend says: the values under the cursor, or the last ones. */
  tell(index) {
    if (!this.values) return;
    const place = index ?? this.times.length - 1;
    this.legend.forEach((one, series) => {
      const format = this.options.series[series].format ?? this.options.format;
      const rest = index === null ? this.options.rest : undefined;
      text(one.value, format(rest ? rest[series] : (this.values[series]?.[place] ?? null)));
    });
    text(this.when, index === null ? "" : time(this.times[place] * 1000));
  }

  series(Chart, one) {
    const line = colour(one.color);
    const bars = one.kind === "bars";
    return {
      label: one.label,
      stroke: bars ? null : line,
      width: bars ? 0 : 1.5,
      dash: one.dash,
      fill: bars ? line : one.kind === "area" ? colour(one.color, 0.16) : null,
      paths: bars ? Chart.paths.bars({ size: [0.9, 24], gap: 1 }) : undefined,
      points: bars ? { show: false } : this.points(one, line),
      spanGaps: one.spans ?? false,
    };
  }

  /** All points of what spans gaps; else those that no line shows. */
  points(one, line) {
    return { show: true, size: 4, fill: line, ...(one.spans ? {} : { filter: lonely }) };
  }

  config(Chart) {
    const { series, stacked, sync, max, marks = [], format } = this.options;
    const order = stacked ? [...series].reverse() : series;
    const axis = {
      stroke: colour("ink-2"),
      font: "11px system-ui, sans-serif",
      ticks: { show: false },
      grid: { stroke: colour("line"), width: 1 },
    };
    const least = Math.max(max ?? 0, ...marks.map((mark) => (mark.value ?? 0) * 1.1));
    return {
      ...this.size(),
      legend: { show: false },
      padding: [8, 26, 0, 0],
      cursor: {
        sync: sync ? { key: sync } : undefined,
        y: false,
        drag: { x: false, y: false },
        points: { size: 5 },
      },
      scales: { y: { range: (_, __, top) => [0, Math.max(least, top * 1.08, 1e-9) || 1] } },
      series: [{}, ...order.map((one) => this.series(Chart, one))],
      axes: [
        {
          ...axis,
          grid: { show: false },
          space: 70,
          size: 22,
          values: (_, ticks, __, ___, step) => ticks.map((tick) => tickWords(tick * 1000, step)),
        },
        { ...axis, size: 48, space: 32, values: (_, ticks) => ticks.map(format) },
      ],
      hooks: {
        setCursor: [(chart) => this.tell(chart.cursor.idx ?? null)],
        draw: [(chart) => marks.forEach((mark) => this.mark(chart, mark))],
      },
    };
  }

  mark(chart, { value, label }) {
    if (value === null || value === undefined) return;
    const { ctx, bbox } = chart;
    const y = chart.valToPos(value, "y", true);
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("bad");
    ctx.setLineDash([4, 4]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "bottom";
    ctx.fillText(label, bbox.left + 4, y - 4);
    ctx.restore();
  }

  async draw() {
    const Chart = await load();
    if (this.gone || !this.values) return;
    this.chart?.destroy();
    fill(this.area);
    this.chart = new Chart(this.config(Chart), [this.times, ...this.shown], this.area);
  }

  destroy() {
    this.gone = true;
    this.seen.disconnect();
    document.removeEventListener("themed", this.themed);
    this.chart?.destroy();
  }
}

const WIDE = 120;
const HIGH = 28;

/** A sparkline: `{node, set(values)}`, from zero to the largest of its values. */
export function sparkline(color = "accent") {
  const area = svg("path", { class: "spark-area" });
  const line = svg("path", { class: "spark-line", "vector-effect": "non-scaling-stroke" });
  const node = svg(
    "svg",
    {
      class: "spark",
      viewBox: `0 0 ${WIDE} ${HIGH}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
      style: { "--c": `var(--${color})` },
    },
    area,
    line,
  );
  const set = (values) => {
    const top = Math.max(...values, 0) || 1;
    const step = WIDE / Math.max(1, values.length - 1);
    const points = values.map(
      (value, place) =>
        `${(place * step).toFixed(1)},${(HIGH - 1 - (value / top) * (HIGH - 3)).toFixed(1)}`,
    );
    if (points.length < 2) return;
    line.setAttribute("d", `M${points.join("L")}`);
    area.setAttribute("d", `M0,${HIGH}L${points.join("L")}L${WIDE},${HIGH}Z`);
  };
  return { node, set };
}
