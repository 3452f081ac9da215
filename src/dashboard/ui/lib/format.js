// Numbers and times as people read them. Pure but for `ago` and `until`, which look at the clock.

const NONE = "–";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });

const missing = (value) => value === null || value === undefined || Number.isNaN(value);

/** A count: 1,234, and 1.2M from a hundred thousand on. */
export function count(value) {
  if (missing(value)) return NONE;
  return Math.abs(value) < 100_000 ? whole.format(value) : short.format(value);
}

/** A rate a second, without its unit: 0.4, 12.5, 1,234. */
export function rate(value) {
  if (missing(value)) return NONE;
  if (value === 0 || Math.abs(value) >= 100) return count(value);
  const places = Math.abs(value) < 10 ? 100 : 10;
  return String(Math.round(value * places) / places);
}

/** Milliseconds with their unit: 0.8 ms, 12 ms, 1.25 s, 3 min 5 s. */
export function ms(value) {
  if (missing(value)) return NONE;
  if (value < 1) return `${Math.round(value * 100) / 100} ms`;
  if (value < 10) return `${Math.round(value * 10) / 10} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  if (value < 60_000) return `${Math.round(value / 10) / 100} s`;
  return seconds(value / 1000);
}

/** Bytes with their unit, in powers of 1,024. */
export function bytes(value) {
  if (missing(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let power = 0;
  let left = value;
  while (left >= 1024 && power < units.length - 1) {
    left /= 1024;
    power += 1;
  }
  return `${power === 0 || left >= 100 ? Math.round(left) : left.toFixed(1)} ${units[power]}`;
}

/** A part of one: 0.9983 is 99.8 %; what is not quite all never reads as 100 %. */
export function percent(value) {
  if (missing(value)) return NONE;
  const hundred = value * 100;
  if (hundred > 0 && hundred < 0.1) return "<0.1 %";
  if (hundred > 99.9 && hundred < 100) return ">99.9 %";
  return `${Number.isInteger(hundred) ? hundred : hundred.toFixed(1)} %`;
}

/** A span of seconds in its two largest units: 12 s, 3 min 5 s, 2 h 10 min, 4 d 3 h. */
export function seconds(value) {
  if (missing(value)) return NONE;
  const all = Math.max(0, Math.round(value));
  if (all < 60) return `${all} s`;
  const [minutes, hours] = [Math.floor(all / 60), Math.floor(all / 3600)];
  const two = (a, unit, b, small) => (b ? `${a} ${unit} ${b} ${small}` : `${a} ${unit}`);
  if (all < 3600) return two(minutes, "min", all % 60, "s");
  if (all < 86_400) return two(hours, "h", minutes % 60, "min");
  return two(Math.floor(hours / 24), "d", hours % 24, "h");
}

const since = (at) => (Date.now() - new Date(at).getTime()) / 1000;

/** How long ago a time was: 12 s ago. */
export function ago(at) {
  if (missing(at)) return NONE;
  const passed = since(at);
  return passed < 1 ? "just now" : `${seconds(passed)} ago`;
}

/** How long until a time: in 12 s; now, once it has passed. */
export function until(at) {
  if (missing(at)) return NONE;
  const left = -since(at);
  return left <= 0 ? "now" : `in ${seconds(Math.ceil(left))}`;
}

/** A time of day, with the date where it is not today's. */
export function time(at) {
  if (missing(at)) return NONE;
  const date = new Date(at);
  const today = date.toDateString() === new Date().toDateString();
  return today ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`;
}

/** A day: 30 Nov. */
export const date = (at) => (missing(at) ? NONE : day.format(new Date(at)));

/** A time with its date and zone, for titles. */
export function moment(at) {
  return missing(at) ? NONE : full.format(new Date(at));
}
