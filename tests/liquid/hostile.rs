//! Templates and data that mean harm: too many rounds, too much text, too deep, cut off.

mod values;

use std::fmt::Write as _;

use serde_json::{Value, json};

/// Blocks in blocks, brackets in brackets.
const DEEP: usize = 20_000;
/// Links of a chain that is not deep by its looks.
const LONG: usize = 100_000;
/// Bytes of a large template.
const LARGE: usize = 5 << 20;

/// A name, a template, and its data.
pub type Hostile = (String, String, Value);

/// All of them but the cut-off ones.
pub fn all() -> Vec<Hostile> {
    let mut all = rounds();
    all.extend(doublings());
    all.extend(nested());
    all.extend(chains());
    all.extend(large());
    all.extend(values::products());
    all.extend(values::numbers());
    all.extend(values::formats());
    all.extend(values::odd_bytes());
    all
}

fn named(name: &str, template: impl Into<String>) -> Hostile {
    (name.to_owned(), template.into(), json!({}))
}

fn rounds() -> Vec<Hostile> {
    let inside = |levels: usize, body: &str| {
        let open: String = (0..levels).fold(String::new(), |mut made, level| {
            write!(made, "{{% for x{level} in (1..1000) %}}").expect("a string takes it");
            made
        });
        format!("{open}{body}{}", "{% endfor %}".repeat(levels))
    };
    vec![
        named("a loop of a thousand million", "{% for i in (1..1000000000) %}x{% endfor %}"),
        named(
            "a loop of all whole numbers",
            "{% for i in (-9223372036854775808..9223372036854775807) %}{% endfor %}",
        ),
        named("a loop that shows nothing", "{% for i in (1..1000000000) %}{% endfor %}"),
        named("a loop that goes on", "{% for i in (1..1000000000) %}{% continue %}{% endfor %}"),
        named(
            "a loop of comments",
            "{% for i in (1..1000000000) %}{% comment %}x{% endcomment %}{% endfor %}",
        ),
        named(
            "a loop that is skipped far",
            "{% for i in (1..1000000000) offset: 999999990 %}{{ i }}{% endfor %}",
        ),
        named(
            "a loop backwards",
            "{% for i in (1..1000000000) reversed limit: 3 %}{{ i }}{% endfor %}",
        ),
        named(
            "a loop with a wide limit",
            "{% for i in (1..9) limit: 9223372036854775807 offset: 9223372036854775807 %}x{% endfor %}",
        ),
        named(
            "a table of a thousand million",
            "{% tablerow i in (1..1000000000) cols: 3 %}x{% endtablerow %}",
        ),
        named("loops in loops", inside(7, "x")),
        named("loops in loops that show nothing", inside(7, "")),
        named("loops in loops that count", inside(7, "{% increment n %}")),
        named("loops in loops that assign", inside(7, "{% assign a = a | append: 'x' %}")),
        named("a range that is joined", "{{ (1..1000000000) | join: ',' }}"),
        named("a range that is printed", "{{ (1..1000000000) }}"),
        named(
            "a range that is turned round",
            "{% assign r = (1..1000000000) | reverse %}{{ r | first }}",
        ),
        named(
            "a range that is measured",
            "{% assign r = (-9223372036854775808..9223372036854775807) %}{{ r.size }}{{ r | size }}",
        ),
        named("a range that is looked into", "{% if (1..1000000000) contains 5.5 %}x{% endif %}"),
        named(
            "ranges that are compared",
            "{% if (1..1000000000) == (1..1000000000) %}x{% endif %}",
        ),
    ]
}

fn doublings() -> Vec<Hostile> {
    let forty = |body: &str| format!("{{% assign a = 'x' %}}{}{{{{ a | size }}}}", body.repeat(40));
    vec![
        named("forty doublings by append", forty("{% assign a = a | append: a %}")),
        named("forty doublings by prepend", forty("{% assign a = a | prepend: a %}")),
        named("forty doublings by capture", forty("{% capture a %}{{ a }}{{ a }}{% endcapture %}")),
        named("forty doublings by replace", forty("{% assign a = a | replace: 'x', 'xx' %}")),
        named(
            "forty doublings in one chain",
            format!("{{{{ 'x' {} }}}}", "| replace: 'x', 'xx' ".repeat(40)),
        ),
        named(
            "forty doublings of a list",
            format!(
                "{{% assign a = 'x y' | split: ' ' %}}{}{{{{ a | size }}}}",
                "{% assign a = a | concat: a %}".repeat(40)
            ),
        ),
        named(
            "forty doublings of escapes",
            forty("{% assign a = a | append: '&' | escape | url_encode %}"),
        ),
        named(
            "doublings in a loop",
            "{% assign a = 'x' %}{% for i in (1..60) %}{% assign a = a | append: a %}{% endfor %}{{ a | size }}",
        ),
        named("many large variables", {
            let mut made = "{% assign a = 'xxxxxxxxxxxxxxxx' %}".to_owned()
                + &"{% assign a = a | append: a %}".repeat(14);
            (0..5_000).for_each(|n| {
                write!(made, "{{% assign v{n} = a | append: '{n}' %}}").expect("a string takes it")
            });
            made
        }),
        named(
            "many large list entries",
            format!(
                "{{% assign a = 'x' %}}{}{{% assign l = a | split: 'y' %}}{}{{{{ l | size }}}}",
                "{% assign a = a | append: a %}".repeat(16),
                "{% assign l = l | concat: l %}".repeat(16)
            ),
        ),
    ]
}

fn nested() -> Vec<Hostile> {
    let blocks = |open: &str, close: &str| format!("{}x{}", open.repeat(DEEP), close.repeat(DEEP));
    let mut all: Vec<Hostile> = [
        ("ifs", "{% if true %}", "{% endif %}"),
        ("unlesses", "{% unless false %}", "{% endunless %}"),
        ("elses", "{% if false %}{% else %}", "{% endif %}"),
        ("loops", "{% for i in (1..1) %}", "{% endfor %}"),
        ("cases", "{% case 1 %}{% when 1 %}", "{% endcase %}"),
        ("captures", "{% capture a %}", "{% endcapture %}"),
        ("comments", "{% comment %}", "{% endcomment %}"),
        ("tables", "{% tablerow i in (1..1) %}", "{% endtablerow %}"),
        ("ifs that do not end", "{% if true %}", ""),
        ("ends that do not begin", "", "{% endif %}"),
        ("parentheses in an output", "{{ (", ") }}"),
        ("outputs in outputs", "{{ ", " }}"),
        ("liquid tags", "{% liquid ", " %}"),
    ]
    .iter()
    .map(|(name, open, close)| named(&format!("deep {name}"), blocks(open, close)))
    .collect();
    let inside =
        |open: &str, close: &str| format!("{{{{ {}1{} }}}}", open.repeat(DEEP), close.repeat(DEEP));
    let lines =
        format!("{{% liquid\n{}echo 1\n{}%}}", "if true\n".repeat(DEEP), "endif\n".repeat(DEEP));
    all.extend([
        named("deep parentheses", inside("(", ")")),
        named("deep ranges", inside("(1..", ")")),
        named("deep ranges at the left", inside("(", "..1)")),
        named("deep brackets", inside("a[", "]")),
        named("deep braces of Braze", inside("{{ ", " }}")),
        named(
            "deep braces in a condition",
            format!("{{% if {}a{} %}}x{{% endif %}}", "{{".repeat(DEEP), "}}".repeat(DEEP)),
        ),
        named("deep dollars", inside("${", "}")),
        named("deep lines of a liquid tag", lines),
        named(
            "deep conditions in parentheses",
            format!("{{% if {}true{} %}}x{{% endif %}}", "(".repeat(DEEP), ")".repeat(DEEP)),
        ),
    ]);
    let deep: Value =
        serde_json::from_str(&format!("{}1{}", "[".repeat(120), "]".repeat(120))).expect("JSON");
    all.push((
        "deep data".into(),
        "{{ a }}{{ a | join }}{{ a | json }}{% if a == a %}{% endif %}".into(),
        json!({ "a": deep }),
    ));
    all
}

fn chains() -> Vec<Hostile> {
    vec![
        named(
            "a chain of ands",
            format!("{{% if true{} %}}x{{% endif %}}", " and true".repeat(LONG)),
        ),
        named(
            "a chain of ors",
            format!("{{% if false{} %}}x{{% endif %}}", " or false".repeat(LONG)),
        ),
        named(
            "a chain of elsifs",
            format!("{{% if false %}}{}{{% endif %}}", "{% elsif false %}".repeat(LONG)),
        ),
        named(
            "a chain of whens",
            format!("{{% case 1 %}}{}{{% endcase %}}", "{% when 2 %}".repeat(LONG)),
        ),
        named(
            "a when of many values",
            format!("{{% case 1 %}}{{% when 2{} %}}x{{% endcase %}}", ", 2".repeat(LONG)),
        ),
        named("a chain of filters", format!("{{{{ 'x'{} }}}}", " | upcase".repeat(LONG))),
        named("a chain of dots", format!("{{{{ a{} }}}}", ".a".repeat(LONG))),
        named("a chain of brackets", format!("{{{{ a{} }}}}", "[0]".repeat(LONG))),
        named(
            "a filter of many arguments",
            format!("{{{{ 'x' | append: 'y'{} }}}}", ", 'y'".repeat(LONG)),
        ),
        named("a cycle of many", format!("{{% cycle 'a'{} %}}", ", 'a'".repeat(LONG))),
        named("many small tags", "{% assign a = 1 %}".repeat(LONG)),
        named("many small outputs", "{{ 1 }}".repeat(LONG)),
        named(
            "many names",
            (0..LONG).fold(String::new(), |mut made, n| {
                write!(made, "{{% assign n{n} = 1 %}}").expect("a string takes it");
                made
            }),
        ),
        named("a chain of dashes", format!("{{{{ {}1 }}}}", "-".repeat(LONG))),
        named("a chain of pipes", format!("{{{{ 1 {} }}}}", "|".repeat(LONG))),
    ]
}

fn large() -> Vec<Hostile> {
    let filled = |piece: &str| piece.repeat(LARGE / piece.len());
    [
        ("text", "x"),
        ("open braces", "{"),
        ("open outputs", "{{"),
        ("open tags", "{%"),
        ("closing braces", "}}"),
        ("outputs", "{{ a }}"),
        ("ends", "{% endif %}"),
        ("spaces", " "),
        ("trimmed spaces", "{{- ' ' -}}    "),
        ("quotes", "'"),
        ("quotes in an output", "{{ '"),
        ("dollars", "${"),
        ("raws", "{% raw %}"),
        ("raws that end", "{% raw %}{{{% endraw %}"),
        ("comments", "{% comment %}"),
        ("newlines", "\n"),
        ("wide letters", "😀"),
    ]
    .iter()
    .map(|(name, piece)| named(&format!("five megabytes of {name}"), filled(piece)))
    .chain([
        named("a name of five megabytes", format!("{{{{ {} }}}}", filled("a"))),
        named("a string of five megabytes", format!("{{{{ '{}' }}}}", filled("a"))),
        named("a number of five megabytes", format!("{{{{ {} }}}}", filled("9"))),
        named("a fraction of five megabytes", format!("{{{{ 0.{} }}}}", filled("9"))),
        named("a dollar name of five megabytes", format!("{{{{ ${{{}}} }}}}", filled("a"))),
        named("a tag of five megabytes", format!("{{% {} %}}", filled("a"))),
        named(
            "a comment of five megabytes",
            format!("{{% comment %}}{}{{% endcomment %}}", filled("a")),
        ),
        named("an output of five megabytes of spaces", format!("{{{{ {} }}}}", filled(" "))),
    ])
    .collect()
}

/// A template with everything in it, to be cut off anywhere.
pub const WHOLE: &str = r#"Dear {{ ${first_name} | default: 'friend' | capitalize }} é😀,
{%- assign total = 0 -%}{% comment %} {{ nothing }} {% endcomment %}
{% for item in items limit: 3 offset: 0 reversed %}{% if item.n > 1 and item.sku contains "A" or false %}
{{ forloop.index }}: {{ item['sku'] | append: "x" | truncate: 10, "…" }}{% elsif item.n == blank %}?{% else %}-{% endif %}
{% unless forloop.last %}{% cycle 'g': 'odd', 'even' %}{% else %}{% break %}{% endunless %}{% else %}none{% endfor %}
{% case {{custom_attribute.${Favorite Color}}} %}{% when 'red', 'blue' or 'green' %}{{ (1..3) | join: '-' }}{% else %}{% endcase %}
{% capture text %}{% raw %}{{ raw }}{% endraw %}{{ 1.50 | plus: -2 }}{% endcapture %}{{ text | replace: "{", '}' }}
{% increment n %}{% decrement n %}{% echo 'x' %}{% liquid
 assign y = 'a,b' | split: ','
 for z in y
  echo z
 endfor
%}{% # inline %}{{ 'now' | date: "%Y-%m-%d" }}{{ hash | property_accessor: 'a' }}
{% if total != 0 %}{% abort_message("why") %}{% endif %}"#;

/// The data of `WHOLE`.
pub fn whole_data() -> Value {
    json!({
        "recipient": { "external_id": "u", "attributes": { "first_name": "ada", "Favorite Color": "blue" } },
        "items": [{ "sku": "A1", "n": 2 }, { "sku": "B2", "n": 1 }],
        "hash": { "a": 1 },
    })
}

/// `WHOLE` without its end, or without its beginning, cut everywhere; or with one byte taken out.
pub fn cut_off() -> Vec<String> {
    let cuts: Vec<usize> = (0..=WHOLE.len()).filter(|at| WHOLE.is_char_boundary(*at)).collect();
    let without = |pair: &[usize]| format!("{}{}", &WHOLE[..pair[0]], &WHOLE[pair[1]..]);
    let prefixes = cuts.iter().map(|at| WHOLE[..*at].to_owned());
    let suffixes = cuts.iter().map(|at| WHOLE[*at..].to_owned());
    prefixes.chain(suffixes).chain(cuts.windows(2).map(without)).collect()
}
