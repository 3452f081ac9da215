//! The filters by name. Each is a pure function of its input, its arguments and the time; it pays
//! for what it builds, and reading its texts has been paid for before it runs.

mod dates;
mod digests;
mod json;
mod lists;
mod markup;
mod math;
mod texts;
mod urls;

use super::budget::Budget;
use super::nearest::suggestion;
use super::value::Value;
use crate::model::Timestamp;

/// What a filter gives, or what is wrong.
pub(super) type Made<'a> = Result<Value<'a>, String>;

/// A filter.
#[derive(Debug)]
pub(super) struct Filter {
    /// Its name.
    pub name: &'static str,
    /// Arguments that it needs, and that it takes.
    arity: (usize, usize),
    /// What it does.
    pub run: for<'a> fn(Value<'a>, &Arguments<'a>, &mut Kit<'_>) -> Made<'a>,
}

/// What a filter works with.
pub(super) struct Kit<'b> {
    /// What it may still cost.
    pub budget: &'b mut Budget,
    /// The time of the rendering.
    pub now: Timestamp,
}

/// The arguments of a filter; the widest takes two.
#[derive(Default)]
pub(super) struct Arguments<'a> {
    first: Option<Value<'a>>,
    second: Option<Value<'a>>,
    /// `allow_false: true` of `default`.
    pub allow_false: bool,
}

impl<'a> Arguments<'a> {
    /// Adds an argument.
    pub fn push(&mut self, value: Value<'a>) {
        match self.first {
            None => self.first = Some(value),
            Some(_) => self.second = Some(value),
        }
    }

    /// The first argument.
    pub fn first(&self) -> Option<&Value<'a>> {
        self.first.as_ref()
    }

    /// The second argument.
    pub fn second(&self) -> Option<&Value<'a>> {
        self.second.as_ref()
    }

    /// All arguments.
    pub fn all(&self) -> impl Iterator<Item = &Value<'a>> {
        self.first.iter().chain(self.second.iter())
    }

    /// The first argument, or nil.
    pub fn one(&self) -> Value<'a> {
        self.first.clone().unwrap_or(Value::Nil)
    }
}

impl Filter {
    /// Whether it takes `count` arguments.
    pub fn check(&self, count: usize) -> Result<(), String> {
        let (least, most) = self.arity;
        if (least..=most).contains(&count) {
            return Ok(());
        }
        let wanted = match (least, most) {
            (0, 0) => "no argument".into(),
            (1, 1) => format!("one argument, as in {}: value", self.name),
            (least, most) if least == most => format!("{least} arguments"),
            (least, most) => format!("{least} to {most} arguments"),
        };
        Err(format!("`{}` takes {wanted}; {count} given", self.name))
    }
}

/// The filter of that name, or what is wrong with the name.
pub(super) fn find(name: &str) -> Result<&'static Filter, String> {
    if let Some(filter) = FILTERS.iter().find(|filter| filter.name == name) {
        return Ok(filter);
    }
    if name.starts_with("catalog_") {
        return Err(format!("`{name}` is not taken: there are no catalogs here"));
    }
    let shown = super::fault::shown(name);
    let near = suggestion(name, FILTERS.iter().map(|filter| filter.name));
    Err(format!("`{shown}` is no filter{near}"))
}

/// A row of the table.
const fn filter(
    name: &'static str,
    least: usize,
    most: usize,
    run: for<'a> fn(Value<'a>, &Arguments<'a>, &mut Kit<'_>) -> Made<'a>,
) -> Filter {
    Filter { name, arity: (least, most), run }
}

/// All filters: those of the Liquid standard, Braze's, and what webhooks need beside them.
static FILTERS: &[Filter] = &[
    filter("abs", 0, 0, math::abs),
    filter("append", 1, 1, texts::append),
    filter("as_json_string", 0, 0, json::json),
    filter("at_least", 1, 1, math::at_least),
    filter("at_most", 1, 1, math::at_most),
    filter("base64_decode", 0, 0, digests::base64_decode),
    filter("base64_encode", 0, 0, digests::base64_encode),
    filter("base64_url_safe_decode", 0, 0, digests::base64_url_safe_decode),
    filter("base64_url_safe_encode", 0, 0, digests::base64_url_safe_encode),
    filter("capitalize", 0, 0, texts::capitalize),
    filter("ceil", 0, 0, math::ceil),
    filter("compact", 0, 1, lists::compact),
    filter("concat", 1, 1, lists::concat),
    filter("date", 1, 1, dates::date),
    filter("default", 0, 1, texts::default),
    filter("divided_by", 1, 1, math::divided_by),
    filter("downcase", 0, 0, texts::downcase),
    filter("escape", 0, 0, markup::escape),
    filter("escape_once", 0, 0, markup::escape_once),
    filter("find", 1, 2, lists::find),
    filter("find_index", 1, 2, lists::find_index),
    filter("first", 0, 0, lists::first),
    filter("floor", 0, 0, math::floor),
    filter("has", 1, 2, lists::has),
    filter("hmac_sha1", 1, 1, digests::hmac_sha1_hex),
    filter("hmac_sha1_base64", 1, 1, digests::hmac_sha1_base64),
    filter("hmac_sha1_hex", 1, 1, digests::hmac_sha1_hex),
    filter("hmac_sha256", 1, 1, digests::hmac_sha256_hex),
    filter("hmac_sha256_base64", 1, 1, digests::hmac_sha256_base64),
    filter("hmac_sha256_hex", 1, 1, digests::hmac_sha256_hex),
    filter("hmac_sha512", 1, 1, digests::hmac_sha512_hex),
    filter("join", 0, 1, lists::join),
    filter("json", 0, 0, json::json),
    filter("json_escape", 0, 0, json::json_escape),
    filter("json_parse", 0, 0, json::json_parse),
    filter("last", 0, 0, lists::last),
    filter("lstrip", 0, 0, texts::lstrip),
    filter("map", 1, 1, lists::map),
    filter("md5", 0, 0, digests::md5),
    filter("minus", 1, 1, math::minus),
    filter("modulo", 1, 1, math::modulo),
    filter("money", 0, 0, math::money),
    filter("newline_to_br", 0, 0, markup::newline_to_br),
    filter("number_with_delimiter", 0, 1, math::number_with_delimiter),
    filter("plus", 1, 1, math::plus),
    filter("prepend", 1, 1, texts::prepend),
    filter("property_accessor", 1, 1, lists::property_accessor),
    filter("reject", 1, 2, lists::reject),
    filter("remove", 1, 1, texts::remove),
    filter("remove_first", 1, 1, texts::remove_first),
    filter("remove_last", 1, 1, texts::remove_last),
    filter("replace", 1, 2, texts::replace),
    filter("replace_first", 1, 2, texts::replace_first),
    filter("replace_last", 1, 2, texts::replace_last),
    filter("reverse", 0, 0, lists::reverse),
    filter("round", 0, 1, math::round),
    filter("rstrip", 0, 0, texts::rstrip),
    filter("sha1", 0, 0, digests::sha1),
    filter("sha2", 0, 0, digests::sha256),
    filter("sha256", 0, 0, digests::sha256),
    filter("size", 0, 0, lists::size),
    filter("slice", 1, 2, lists::slice),
    filter("sort", 0, 1, lists::sort),
    filter("sort_natural", 0, 1, lists::sort_natural),
    filter("split", 1, 1, texts::split),
    filter("strip", 0, 0, texts::strip),
    filter("strip_html", 0, 0, markup::strip_html),
    filter("strip_newlines", 0, 0, texts::strip_newlines),
    filter("sum", 0, 1, lists::sum),
    filter("time_zone", 1, 1, dates::time_zone),
    filter("times", 1, 1, math::times),
    filter("to_json", 0, 0, json::json),
    filter("truncate", 0, 2, texts::truncate),
    filter("truncatewords", 0, 2, texts::truncatewords),
    filter("uniq", 0, 1, lists::uniq),
    filter("upcase", 0, 0, texts::upcase),
    filter("url_decode", 0, 0, urls::url_decode),
    filter("url_encode", 0, 0, urls::url_encode),
    filter("url_escape", 0, 0, urls::url_escape),
    filter("url_param_escape", 0, 0, urls::url_param_escape),
    filter("where", 1, 2, lists::select),
];
