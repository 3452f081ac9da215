// JSON as it was written: where each value stands in a text, what is wrong with it, and the same text
// set out in lines. Numbers and strings are never read and written anew, so that none is changed.

/** Deeper than this no document of ours goes, and no text may exhaust the stack. */
const DEPTH_MAX = 200;
const SPACE = /[ \t\r\n]*/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

class Scanner {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.places = new Map();
  }

  fail(detail) {
    throw Object.assign(new Error(detail), { at: this.at });
  }

  take(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found) this.at = pattern.lastIndex;
    return found?.[0];
  }

  space() {
    this.take(SPACE);
    return this.text[this.at];
  }

  string(wanted) {
    const found = this.text[this.at] === '"' ? this.take(STRING) : undefined;
    if (found === undefined) this.fail(wanted);
    return JSON.parse(found);
  }

  value(pointer, depth) {
    if (depth > DEPTH_MAX) this.fail("This is nested too deeply.");
    const next = this.space();
    const start = this.at;
    if (next === "{") this.members(pointer, depth);
    else if (next === "[") this.items(pointer, depth);
    else if (next === '"') this.string("This text never ends, or has a line break or a wrong \\ in it.");
    else if ((this.take(NUMBER) ?? this.take(WORD)) === undefined) {
      this.fail(`A value is missing ${next === undefined ? "at the end" : "here"}.`);
    }
    this.places.set(pointer, { ...this.places.get(pointer), start, end: this.at });
  }

  /** Whether another one follows. */
  more(close) {
    const next = this.space();
    if (next !== "," && next !== close) this.fail(`A comma or ${close} is missing before this.`);
    this.at += 1;
    return next === ",";
  }

  members(pointer, depth) {
    this.at += 1;
    if (this.space() === "}") {
      this.at += 1;
      return;
    }
    do {
      this.space();
      const key = this.at;
      const name = this.string("A name in double quotes is missing here.");
      const own = `${pointer}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
      this.places.set(own, { key });
      if (this.space() !== ":") this.fail("A colon is missing here.");
      this.at += 1;
      this.value(own, depth + 1);
    } while (this.more("}"));
  }

  items(pointer, depth) {
    this.at += 1;
    if (this.space() === "]") {
      this.at += 1;
      return;
    }
    let index = 0;
    do {
      this.value(`${pointer}/${index}`, depth + 1);
      index += 1;
    } while (this.more("]"));
  }
}

/**
 * Where everything is: `{places, fault}`; `places` maps JSON pointers to `{key, start, end}` (offsets;
 * `key` is that of the member's name), `fault` is `{at, detail}` where the text is no JSON, else null.
 */
export function scan(text) {
  const scanner = new Scanner(text);
  try {
    scanner.value("", 0);
    if (scanner.space() !== undefined) scanner.fail("Nothing may follow the end of the value.");
    return { places: scanner.places, fault: null };
  } catch (error) {
    if (error.at === undefined) throw error;
    return { places: scanner.places, fault: { at: error.at, detail: error.message } };
  }
}

/** The place of a pointer, or of the nearest thing around it that is there. */
export function nearest(places, pointer) {
  let path = pointer ?? "";
  while (path && !places.has(path)) path = path.slice(0, path.lastIndexOf("/"));
  return places.get(path) ?? { start: 0, end: 0 };
}

/** Line and column, from 1, of an offset. */
export function spot(text, at) {
  const before = text.slice(0, at);
  const line = before.split("\n").length;
  return { line, column: at - (before.lastIndexOf("\n") + 1) + 1 };
}

/** The same JSON in lines, two spaces a level; what is no JSON stays as it is. */
export function pretty(text) {
  if (scan(text).fault) return text;
  const tokens = text.match(TOKEN);
  let out = "";
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  tokens.forEach((token, place) => {
    const before = tokens[place - 1];
    if (token === "}" || token === "]") {
      depth -= 1;
      if (before !== "{" && before !== "[") out += line();
    } else if (before === "{" || before === "[" || before === ",") {
      out += line();
    }
    out += token === ":" ? ": " : token;
    if (token === "{" || token === "[") depth += 1;
  });
  return out;
}

/** The text of the value at a pointer, as it was written; undefined where there is none. */
export function slice(text, pointer) {
  const place = scan(text).places.get(pointer);
  return place?.end === undefined ? undefined : text.slice(place.start, place.end);
}
