//! Hostile values: texts and lists that filters multiply, numbers at their ends, odd formats.

use serde_json::{Value, json};

use super::{Hostile, LONG, named};

pub fn products() -> Vec<Hostile> {
    let big = "a".repeat(200_000);
    let list: Vec<String> = (0..100_000).map(|n| format!("k{n}")).collect();
    let rows: Vec<Value> = (0..50_000).map(|n| json!({ "k": format!("{n}"), "v": n })).collect();
    let data = json!({ "s": big, "l": list, "angles": "<".repeat(200_000), "comments": "<!--".repeat(50_000), "scripts": "<script>".repeat(30_000), "rows": rows, "percents": "%".repeat(200_000), "amps": "&".repeat(200_000) });
    [
        "{{ s | replace: 'a', s }}",
        "{{ s | replace: '', s }}",
        "{{ s | replace: '', 'x' | size }}",
        "{{ s | split: '' | join: s }}",
        "{{ s | split: 'a' | size }}",
        "{{ s | split: '' | map: 'x' | size }}",
        "{{ l | join: s }}",
        "{{ l | uniq | size }}",
        "{{ l | sort | first }}{{ l | sort_natural | last }}",
        "{{ rows | uniq: 'k' | size }}{{ rows | sort: 'v' | size }}{{ rows | where: 'k', '9' | size }}",
        "{{ rows }}",
        "{{ rows | json }}{{ rows | json }}{{ rows | json }}",
        "{% for i in (1..100000) %}{{ s }}{% endfor %}",
        "{% for i in (1..100000) %}{% if s == s %}{% endif %}{% endfor %}",
        "{% for i in (1..100000) %}{% if s contains 'b' %}{% endif %}{% endfor %}",
        "{% for i in (1..100000) %}{% assign x = s | upcase | size %}{% endfor %}",
        "{% for i in (1..100000) %}{% assign x = l | reverse | size %}{% endfor %}",
        "{% for i in (1..100000) %}{% assign x = l | uniq | sort | size %}{% endfor %}",
        "{% for i in (1..100000) %}{% assign x = l %}{% endfor %}",
        "{% for i in (1..100000) %}{% assign x = s | sha2 | size %}{% endfor %}",
        "{% for i in (1..100000) %}{% assign x = s | truncatewords: 3 | strip_html | size %}{% endfor %}",
        "{% for x in l %}{% for y in l %}{% if x == y %}{% endif %}{% endfor %}{% endfor %}",
        "{{ angles | strip_html | size }}",
        "{{ comments | strip_html | size }}",
        "{{ scripts | strip_html | size }}",
        "{{ amps | escape | escape | escape | escape | escape | escape | size }}",
        "{{ amps | escape_once | size }}",
        "{{ percents | url_encode | url_encode | url_encode | url_encode | url_encode | url_encode | url_encode | url_encode | size }}",
        "{{ percents | url_decode | size }}",
        "{{ s | base64_encode | base64_encode | base64_encode | base64_encode | base64_encode | base64_encode | base64_encode | base64_encode | base64_encode | base64_encode | base64_encode | base64_encode | size }}",
        "{{ s | slice: 0, 9223372036854775807 | size }}",
        "{{ s | truncate: 9223372036854775807 | size }}",
        "{{ 'a b c' | truncatewords: 9223372036854775807 }}",
        "{{ s | truncate: 5, s | size }}",
        "{{ s | json_escape | size }}{{ s | md5 }}{{ s | hmac_sha256_hex: s }}",
        "{{ l | concat: l | concat: l | concat: l | size }}",
        "{{ s | newline_to_br | strip_newlines | size }}",
    ]
    .iter()
    .map(|template| ((*template).to_owned(), (*template).to_owned(), data.clone()))
    .collect()
}

pub fn numbers() -> Vec<Hostile> {
    let values = [
        "9223372036854775807",
        "-9223372036854775808",
        "99999999999999999999999999",
        "-99999999999999999999999999",
        "1.7976931348623157",
        "0.1",
        "-0.0",
        "'1e308'",
        "'-1e999'",
        "'NaN'",
        "'Infinity'",
        "huge",
        "tiny",
    ];
    let filters = [
        "abs",
        "plus: 9223372036854775807",
        "plus: huge",
        "minus: 9223372036854775807",
        "minus: -9223372036854775808",
        "times: 9223372036854775807",
        "times: -1",
        "times: huge",
        "divided_by: -1",
        "divided_by: 0",
        "divided_by: 0.0",
        "divided_by: tiny",
        "modulo: -1",
        "modulo: 0",
        "modulo: 0.0",
        "round",
        "round: 9223372036854775807",
        "round: -9223372036854775808",
        "round: 400",
        "round: -400",
        "ceil",
        "floor",
        "at_least: huge",
        "number_with_delimiter",
        "money",
        "date: '%Y %s'",
        "slice: -9223372036854775808, 9223372036854775807",
        "truncate: -5",
        "truncatewords: -5",
        "time_zone: 'UTC' | date: '%F'",
    ];
    let data = json!({ "huge": 1.7976931348623157e308, "tiny": 5e-324 });
    let mut all = Vec::new();
    for value in values {
        for filter in filters {
            let template = format!("{{{{ {value} | {filter} }}}}");
            all.push((template.clone(), template, data.clone()));
        }
    }
    let indexes =
        "{{ a[9223372036854775807] }}{{ a[-9223372036854775808] }}{{ a[99999999999999999999] }}";
    all.push(("far indexes".into(), indexes.into(), json!({ "a": [1] })));
    all
}

pub fn formats() -> Vec<Hostile> {
    let of = |format: &str| format!("{{{{ '2026-11-24T07:00:00Z' | date: '{format}' }}}}");
    let mut all: Vec<Hostile> = [
        "%",
        "%%%",
        "%9999999999999999999d",
        "%1000000000Y",
        "%999999999N",
        "%-",
        "%^",
        "%_",
        "%0",
        "%:",
        "%::::z",
        "%E",
        "%O",
        "%é",
        "%\u{0}",
        "%-^_0#d",
        "%Q%i%f%J%q%!",
    ]
    .iter()
    .map(|format| named(&format!("the date format {format:?}"), of(format)))
    .collect();
    all.push(named("a date format of many parts", of(&"%c".repeat(LONG))));
    all.push(named("a date format of many percents", of(&"%".repeat(LONG))));
    let dates = [
        "99999-99-99",
        "0000-00-00",
        "-1-1-1",
        "2026-02-30",
        "24:61:61",
        "now now",
        "2026-11-24T25:00:00Z",
        "١٢٣",
        "9999999999999999999999",
        "1e18",
    ];
    all.extend(dates.iter().map(|date| {
        named(&format!("the date {date:?}"), format!("{{{{ '{date}' | date: '%F %T %z' }}}}"))
    }));
    let zones = ["", "Nowhere/Land", "../../etc/passwd", "UTC+99", "\u{0}", "é"];
    all.extend(zones.iter().map(|zone| {
        let template = format!("{{{{ 'now' | time_zone: '{zone}' | date: '%F %z' }}}}");
        named(&format!("the time zone {zone:?}"), template)
    }));
    all
}

pub fn odd_bytes() -> Vec<Hostile> {
    let mut all: Vec<Hostile> = (0..32)
        .chain([0x7f, 0x85, 0xa0, 0x2028, 0xfeff, 0x202e, 0xfffe, 0x10ffff])
        .flat_map(|code| {
            let letter = char::from_u32(code).expect("a character");
            let data = json!({ "a": letter.to_string() });
            [
                (format!("{letter:?} as text"), format!("a{letter}b"), data.clone()),
                (format!("{letter:?} in an output"), format!("{{{{ a{letter} }}}}"), data.clone()),
                (
                    format!("{letter:?} in a tag"),
                    format!("{{%{letter}if{letter}a %}}x{{% endif{letter}%}}"),
                    data.clone(),
                ),
                (
                    format!("{letter:?} in a string"),
                    format!("{{{{ '{letter}' | json_escape }}}}{{{{ a | url_encode }}}}"),
                    data.clone(),
                ),
                (
                    format!("{letter:?} in a name"),
                    format!("{{{{ custom_attribute.${{{letter}}} }}}}"),
                    data,
                ),
            ]
        })
        .collect();
    let texts = [
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#"{"a":"\uD83D"}"#,
        "[",
        "",
        "nul",
        r#"{"a":1,"a":2}"#,
    ];
    all.extend(texts.iter().map(|text| {
        let template =
            "{{ a | json_parse }}{{ a | as_json_string }}{{ a | json }}{{ a | json_escape }}";
        (format!("JSON text {text:?}"), template.to_owned(), json!({ "a": text }))
    }));
    all
}
