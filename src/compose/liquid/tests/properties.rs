//! Properties: nothing panics, what is plain stays, and JSON stays JSON.

use proptest::prelude::*;
use serde_json::json;

use super::{Budget, Context, NOW, Scope, Template, scope, world};

/// Parts of templates, valid and not, to be put together at random.
const PARTS: &[&str] = &[
    "{{",
    "}}",
    "{%",
    "%}",
    "{{-",
    "-}}",
    "{%-",
    "-%}",
    " if ",
    " endif ",
    " for i in ",
    "(1..3)",
    " endfor ",
    " assign x = ",
    " case x ",
    " when ",
    " endcase ",
    " capture y ",
    " endcapture ",
    " else ",
    " elsif ",
    " raw ",
    " endraw ",
    " comment ",
    " endcomment ",
    " liquid\n",
    "\n",
    " echo ",
    " cycle ",
    " break ",
    "properties",
    ".list",
    ".name",
    "[0]",
    "[",
    "]",
    "${first_name}",
    "${",
    "}",
    " | ",
    "append: ",
    "split: ",
    "join",
    "json",
    "date: ",
    "'%Y %-d'",
    "sort",
    "slice: ",
    "truncate: ",
    "round: ",
    "'a'",
    "\"",
    "'",
    "1",
    "-1",
    "9223372036854775807",
    "1.5",
    ", ",
    ": ",
    "==",
    " contains ",
    " and ",
    " or ",
    "é",
    "😀",
    "\\",
    " limit: ",
    " offset: ",
    "reversed",
    "now",
    " time_zone: ",
    "'Europe/Berlin'",
    "forloop",
    ".index",
    "text",
    " # ",
    "nil",
    "blank",
    "x",
    "y",
];

fn sources() -> impl Strategy<Value = String> {
    let parts = prop::collection::vec(prop::sample::select(PARTS), 0..40);
    prop_oneof![parts.prop_map(|parts| parts.concat()), any::<String>()]
}

/// Valid templates, some bytes of which are changed.
fn mutations() -> impl Strategy<Value = String> {
    const VALID: &[&str] = &[
        "{% if {{custom_attribute.${plan}}} == 'gold' %}{{ ${first_name} | default: 'x' }}{% endif %}",
        "{% for p in properties.people limit: 2 reversed %}{{ p.name | upcase }},{% else %}-{% endfor %}",
        "{% liquid\n assign a = properties.list | join: '-'\n if a\n echo a\n endif\n%}",
        "{% case properties.count %}{% when 1, 3 %}a{% else %}b{% endcase %}{% raw %}{{{% endraw %}",
        "{{ 'now' | time_zone: 'Asia/Tokyo' | date: '%Y-%m-%d' }}{{ properties.price | round: 1 }}",
    ];
    let change = (any::<prop::sample::Index>(), any::<char>(), 0..3_u8);
    let changes = prop::collection::vec(change, 1..6);
    (prop::sample::select(VALID), changes).prop_map(|(valid, changes)| {
        let mut letters: Vec<char> = valid.chars().collect();
        for (index, letter, kind) in changes {
            let at = index.index(letters.len().max(1)).min(letters.len());
            match kind {
                0 if at < letters.len() => letters[at] = letter,
                1 if at < letters.len() => drop(letters.remove(at)),
                _ => letters.insert(at, letter),
            }
        }
        letters.into_iter().collect()
    })
}

fn small() -> Budget {
    Budget { fuel: 20_000, output: 1 << 16, string: 1 << 14, built: 1 << 18 }
}

fn render_everywhere(source: &str) {
    let Ok(template) = Template::parse(source) else { return };
    let world = world();
    for context in [Context::Text, Context::Json, Context::Url, Context::Header] {
        let rendered = template.render(&scope(&world), context, &mut small());
        if let (Ok(text), Context::Json) = (rendered, context) {
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{source}");
        }
    }
}

proptest! {
    #[test]
    fn no_source_panics(source in sources()) {
        render_everywhere(&source);
    }

    #[test]
    fn no_mutation_panics(source in mutations()) {
        render_everywhere(&source);
    }

    #[test]
    fn text_without_braces_stays(source in "[^{]*") {
        let template = Template::parse(&source).expect("plain");
        prop_assert!(template.is_plain());
        let text = template.render(&Scope::at(NOW), Context::Text, &mut Budget::default());
        prop_assert_eq!(text, Ok(source));
    }

    #[test]
    fn any_value_keeps_its_place_in_json(x in any::<String>()) {
        let properties = json!({"x": x});
        let scope = Scope { properties: Some(&properties), ..Scope::at(NOW) };
        let source = r#"["{{ properties.x }}",{{ properties.x }},{{ properties.x | json }}]"#;
        let template = Template::parse(source).expect("valid");
        let text = template.render(&scope, Context::Json, &mut Budget::default()).expect("JSON");
        let read: Vec<String> = serde_json::from_str(&text).expect("three texts");
        prop_assert_eq!(read, vec![x; 3]);
    }

    #[test]
    fn filters_take_any_value(x in any::<String>(), number in any::<i64>(), float in any::<f64>()) {
        let properties = json!({"x": x, "n": number, "f": float, "l": [x, number, float]});
        let scope = Scope { properties: Some(&properties), ..Scope::at(NOW) };
        for filter in [
            "abs", "ceil", "floor", "round: 3", "round: n", "plus: n", "minus: n", "times: n",
            "divided_by: n", "modulo: n", "times: f", "modulo: f", "at_least: f", "slice: n, n",
            "slice: -3, 2", "truncate: n", "truncatewords: n, x", "split: x", "date: x",
            "date: '%s %N %U %W %V %z'", "time_zone: x", "sort", "sort_natural", "uniq", "sum",
            "number_with_delimiter", "url_decode", "base64_decode", "json_parse", "strip_html",
            "escape_once", "replace_last: x, x", "capitalize", "first", "last", "json", "join: x",
        ] {
            let filter = filter.replace(": n", ": properties.n").replace(", n", ", properties.n")
                .replace(": f", ": properties.f").replace(": x", ": properties.x")
                .replace(", x", ", properties.x");
            for input in ["x", "n", "f", "l"] {
                let source = format!("{{{{ properties.{input} | {filter} }}}}");
                let template = Template::parse(&source).expect("valid");
                let _ = template.render(&scope, Context::Text, &mut small());
            }
        }
    }
}
