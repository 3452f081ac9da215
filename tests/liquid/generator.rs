//! Templates and their data from a seed, of what all engines mean the same by: output, filters,
//! conditions, loops with few rounds, assigns and captures.

use fastrand::Rng;
use serde_json::{Value, json};

/// What the engine that is compared with agrees about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dialect {
    /// What liquidjs has in common with Shopify's.
    Common,
    /// Shopify's own: also whole division, exact decimals and characters beyond 16 bits, which
    /// JavaScript has otherwise.
    Shopify,
}

/// Blocks stand in blocks this deep at most.
const DEPTH_MAX: u32 = 3;
const WORDS: &[&str] = &[
    "alpha",
    "Beta",
    "gamma ray",
    "a,b,c",
    "ä",
    "日本",
    "x",
    "",
    "Zed",
    "42",
    "one two three four",
];
/// Two units of UTF-16 each.
const WIDE_WORDS: &[&str] = &["😀", "a𝒳b"];
const TEXT_FILTERS: &[&str] = &[
    "upcase",
    "downcase",
    "capitalize",
    "strip",
    "lstrip",
    "rstrip",
    "escape",
    "strip_html",
    "strip_newlines",
    "base64_encode",
];

/// A template and its data.
pub fn make(seed: u64, dialect: Dialect) -> (String, Value) {
    let mut maker = Maker::new(seed, dialect);
    let data = maker.data();
    let template = maker.block(0);
    (template, data)
}

struct Maker {
    dice: Rng,
    dialect: Dialect,
    /// Names that are text, those that are numbers, those that are lists of text or of numbers.
    texts: Vec<String>,
    numbers: Vec<String>,
    text_lists: Vec<String>,
    number_lists: Vec<String>,
    loops: u32,
}

impl Maker {
    fn new(seed: u64, dialect: Dialect) -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            dice: Rng::with_seed(seed),
            dialect,
            texts: names(&["t1", "t2", "o.name", "o['name']", "rows[0].k", "words[1]"]),
            numbers: names(&["n1", "n2", "o.count", "rows[1].v", "counts[0]", "o.list[-1]"]),
            text_lists: names(&["words", "none"]),
            number_lists: names(&["counts", "o.list"]),
            loops: 0,
        }
    }

    fn pick<'a>(&mut self, from: &'a [&'a str]) -> &'a str {
        from[self.dice.usize(..from.len())]
    }

    fn named(&mut self, names: &[String]) -> String {
        names[self.dice.usize(..names.len())].clone()
    }

    fn word(&mut self) -> &'static str {
        let words = if self.dialect == Dialect::Shopify && self.dice.u32(..6) == 0 {
            WIDE_WORDS
        } else {
            WORDS
        };
        words[self.dice.usize(..words.len())]
    }

    fn whole(&mut self) -> i64 {
        self.dice.i64(-20..100)
    }

    fn data(&mut self) -> Value {
        let words: Vec<&str> = (0..self.dice.usize(2..5)).map(|_| self.word()).collect();
        let counts: Vec<i64> = (0..self.dice.usize(1..5)).map(|_| self.whole()).collect();
        json!({
            "t1": self.word(), "t2": self.word(),
            "n1": self.whole(), "n2": self.whole(),
            "flag": self.dice.bool(),
            "o": { "name": self.word(), "count": self.whole(), "list": [self.whole(), 7] },
            "rows": [{ "k": self.word(), "v": self.whole() }, { "k": "k", "v": self.whole() }],
            "words": words, "counts": counts, "none": [],
        })
    }

    fn text_value(&mut self) -> String {
        match self.dice.u32(..5) {
            0 | 1 => format!("'{}'", self.word()),
            2 => "missing".to_owned(),
            _ => {
                let names = self.texts.clone();
                self.named(&names)
            }
        }
    }

    fn text(&mut self) -> String {
        let mut made = self.text_value();
        for _ in 0..self.dice.u32(..4) {
            let (one, other) = (self.text_value(), self.text_value());
            let (from, length) = (self.dice.i32(-3..4), self.dice.u32(1..5));
            let filter = match self.dice.u32(..12) {
                0 => format!("append: {one}"),
                1 => format!("prepend: {one}"),
                2 => format!("replace: 'a', {other}"),
                3 => format!("remove: '{}'", self.pick(&["a", "b", ","])),
                4 => format!("slice: {from}, {length}"),
                5 => format!("truncate: {}, '{}'", 6 + length, self.pick(&["", "..", "…"])),
                6 => format!("default: {one}"),
                7 => "split: ',' | join: '+'".to_owned(),
                8 => format!("replace_first: 'b', {one}"),
                // Of nothing, liquidjs makes an empty text.
                9 if self.dialect == Dialect::Shopify => "url_encode".to_owned(),
                _ => self.pick(TEXT_FILTERS).to_owned(),
            };
            made = format!("{made} | {filter}");
        }
        made
    }

    fn number_value(&mut self) -> String {
        if self.dice.u32(..3) == 0 {
            return self.literal();
        }
        let names = self.numbers.clone();
        self.named(&names)
    }

    fn literal(&mut self) -> String {
        let whole = self.whole();
        if self.dialect == Dialect::Shopify && self.dice.u32(..4) == 0 {
            return format!("{whole}.{}", self.dice.u32(1..100));
        }
        whole.to_string()
    }

    fn number(&mut self) -> String {
        let mut made = self.number_value();
        for _ in 0..self.dice.u32(..4) {
            let other = self.number_value();
            let filter = match self.dice.u32(..8) {
                0 => format!("plus: {other}"),
                1 => format!("minus: {other}"),
                2 => format!("times: {}", self.dice.i32(-3..4)),
                3 => format!("at_least: {other}"),
                4 => format!("at_most: {other}"),
                5 => "abs".to_owned(),
                6 if self.dialect == Dialect::Shopify => {
                    format!("divided_by: {}", self.pick(&["2", "-3", "7", "4.0"]))
                }
                7 if self.dialect == Dialect::Shopify => {
                    format!("round: {}", self.dice.u32(1..4))
                }
                _ => format!("modulo: {}", self.dice.u32(1..9)),
            };
            made = format!("{made} | {filter}");
        }
        made
    }

    /// A list that is text in the end, or a number.
    fn of_list(&mut self) -> String {
        let is_text = self.dice.bool();
        let names = if is_text { self.text_lists.clone() } else { self.number_lists.clone() };
        let list = self.named(&names);
        let middle =
            self.pick(&["", " | reverse", " | sort", " | uniq", " | compact", " | concat: words"]);
        let middle =
            if is_text || middle != " | concat: words" { middle } else { " | concat: counts" };
        let end =
            self.pick(&["join: '/'", "size", "first", "last", "join", "slice: 0, 2 | join: ','"]);
        if self.dice.u32(..5) == 0 {
            return format!("rows | map: '{}' | {end}", self.pick(&["k", "v"]));
        }
        format!("{list}{middle} | {end}")
    }

    fn condition(&mut self) -> String {
        let one = match self.dice.u32(..7) {
            0 => format!("{} == {}", self.text_value(), self.text_value()),
            1 => format!("{} != {}", self.text_value(), self.text_value()),
            2 | 3 => {
                let sign = self.pick(&["<", "<=", ">", ">=", "==", "!="]);
                format!("{} {sign} {}", self.number_value(), self.number_value())
            }
            4 => format!("{} contains '{}'", self.text_value(), self.pick(&["a", "日", "Z"])),
            5 => "words contains 'x'".to_owned(),
            _ => self.pick(&["flag", "missing", "none", "t1", "n1", "true", "nil"]).to_owned(),
        };
        match self.dice.u32(..4) {
            0 => format!("{one} and {}", self.condition()),
            1 => format!("{one} or {}", self.condition()),
            _ => one,
        }
    }

    fn block(&mut self, depth: u32) -> String {
        // Shopify's drops blocks that show nothing, others do not.
        let mut made = if depth > 0 { ":".to_owned() } else { String::new() };
        for _ in 0..self.dice.u32(1..5) {
            made.push_str(&self.node(depth));
        }
        made
    }

    fn node(&mut self, depth: u32) -> String {
        let deepest = if depth < DEPTH_MAX { 14 } else { 8 };
        match self.dice.u32(..deepest) {
            0 => self.pick(&["text ", " { } ", "\n", "% é ", "a\tb"]).to_owned(),
            1 => self.output(Self::text),
            2 => self.output(Self::number),
            3 => self.output(Self::of_list),
            4 => self.assign(),
            5 => format!("{{% cycle 'a', 'b', '{}' %}}", self.pick(&["c", "d"])),
            6 => format!("{{% increment {} %}}", self.pick(&["i1", "i2"])),
            7 => "{% comment %} {{ n1 }} {% endcomment %}{% raw %}{{ n1 }}{% endraw %}".to_owned(),
            8 | 9 => self.conditional(depth),
            10 => self.case(depth),
            11 => self.capture(depth),
            _ => self.loop_(depth),
        }
    }

    fn output(&mut self, inner: fn(&mut Self) -> String) -> String {
        let (open, close) = (self.pick(&["{{", "{{-"]), self.pick(&["}}", "-}}"]));
        format!("{open} {} {close}", inner(self))
    }

    fn assign(&mut self) -> String {
        if self.dice.bool() {
            let made = format!("{{% assign at = {} %}}", self.text());
            self.texts.push("at".to_owned());
            return made;
        }
        let made = format!("{{% assign an = {} %}}", self.number());
        self.numbers.push("an".to_owned());
        made
    }

    fn capture(&mut self, depth: u32) -> String {
        let made =
            format!("{{% capture ct %}}{}{{% endcapture %}}[{{{{ ct }}}}]", self.block(depth + 1));
        self.texts.push("ct".to_owned());
        made
    }

    fn conditional(&mut self, depth: u32) -> String {
        let (word, end) = if self.dice.u32(..4) == 0 { ("unless", "unless") } else { ("if", "if") };
        let mut made = format!("{{% {word} {} %}}{}", self.condition(), self.block(depth + 1));
        if self.dice.bool() {
            let (condition, block) = (self.condition(), self.block(depth + 1));
            made.push_str(&format!("{{% elsif {condition} -%}}{block}"));
        }
        if self.dice.bool() {
            made.push_str(&format!("{{%- else %}}{}", self.block(depth + 1)));
        }
        format!("{made}{{% end{end} %}}")
    }

    fn case(&mut self, depth: u32) -> String {
        let (first, second) = (self.block(depth + 1), self.block(depth + 1));
        let value = self.text_value();
        // No value twice: Shopify's renders the block once for each that fits.
        let separator = self.pick(&[",", " or"]);
        let whens = format!("{{% when '{}'{separator} 'nowhere' %}}{first}", self.word());
        format!("{{% case {value} %}}{whens}{{% else %}}{second}{{% endcase %}}")
    }

    fn loop_(&mut self, depth: u32) -> String {
        self.loops += 1;
        let name = format!("x{}", self.loops);
        let over_text = self.dice.bool();
        let over = match (over_text, self.dice.u32(..3)) {
            (true, _) => self.pick(&["words", "none"]).to_owned(),
            (false, 0) => "counts".to_owned(),
            (false, _) => format!("({}..{})", self.dice.i32(-1..2), self.dice.i32(0..5)),
        };
        let bound = self.pick(&["", " limit: 2", " reversed", " limit: 3 offset: 1"]);
        let names = if over_text { &mut self.texts } else { &mut self.numbers };
        names.push(name.clone());
        let body = self.block(depth + 1);
        let names = if over_text { &mut self.texts } else { &mut self.numbers };
        names.retain(|kept| *kept != name);
        let place = self.pick(&["index", "index0", "rindex", "rindex0", "first", "last", "length"]);
        let jump = match self.dice.u32(..4) {
            0 => format!("{{% if {} %}}!{{% break %}}{{% endif %}}", self.condition()),
            1 => format!("{{% if {} %}}?{{% continue %}}{{% endif %}}", self.condition()),
            _ => String::new(),
        };
        format!(
            "{{% for {name} in {over}{bound} %}}{{{{ forloop.{place} }}}}{jump}{body}{{% endfor %}}"
        )
    }
}
