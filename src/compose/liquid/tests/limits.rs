//! Hostile templates end in an error, soon and in bounded memory.

use serde_json::json;

use super::{Budget, Context, NOW, Scope, Template, failure, refusal, text};

#[test]
fn a_large_source_is_refused_unread() {
    assert!(refusal(&"{{".repeat(2_500_000)).contains("at most 524288 are taken"));
}

#[test]
fn deep_nesting_is_refused() {
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{}{}", open.repeat(depth), close.repeat(depth))
    };
    for (open, close) in [
        ("{% if a %}", "{% endif %}"),
        ("{% for a in b %}", "{% endfor %}"),
        ("{% case a %}{% when 1 %}", "{% endcase %}"),
        ("{% capture a %}", "{% endcapture %}"),
        ("{% unless a %}", "{% endunless %}"),
    ] {
        assert!(refusal(&nested(open, close, 10_000)).contains("more than 64"), "{open}");
        assert_eq!(Template::parse(&nested(open, close, 64)).err(), None, "{open}");
    }
    let inner = |open: &str, close: &str| format!("{{{{ {} }}}}", nested(open, close, 20_000));
    for source in [inner("a[", "]"), inner("(1..", ")"), inner("{{", "}}"), inner("[", "]")] {
        assert!(refusal(&source).contains("more than 64") || refusal(&source).contains("expected"));
    }
    let open = (0..64).map(|n| format!("{{% for i in (1..1) %}}{n}")).collect::<String>();
    assert!(text(&format!("{open}{}", "{% endfor %}".repeat(64))).ends_with("6263"));
    let output = format!("{}'x'{}", "{{ ".repeat(64), " | upcase }} ".repeat(64));
    let both = format!("{open}{output}{}", "{% endfor %}".repeat(64));
    assert!(text(&both).ends_with("63X "));
    let chain = format!("{{% if a{} %}}{{% endif %}}x", " or a".repeat(50_000));
    assert_eq!(text(&chain), "x");
    let elsifs = format!("{{% if a %}}{}{{% endif %}}x", "{% elsif a %}".repeat(10_000));
    assert_eq!(text(&elsifs), "x");
}

#[test]
fn endless_work_runs_out_of_fuel() {
    for source in [
        "{% for i in (1..1000000000) %}{% endfor %}",
        "{% for i in (1..1000000000) %}{% for j in (1..1000000000) %}x{% endfor %}{% endfor %}",
        "{% for i in (1..1000000000) %}{% assign x = i | plus: 1 %}{% endfor %}",
        "{% for i in (1..100000) %}{% cycle i: 'a' %}{% endfor %}",
        "{% assign x = 'a' %}{% for i in (1..1000000000) %}{% assign x = x | append: 'a' | md5 %}{% endfor %}",
    ] {
        let failure = failure(source);
        assert!(failure.contains("too much work") || failure.contains("on the way"), "{failure}");
    }
}

#[test]
fn long_texts_are_not_built() {
    let doublings = "{% assign x = x | append: x %}".repeat(40);
    let squares = "{% assign x = x | replace: 'a', x %}".repeat(40);
    let joined = "{% assign y = x | split: '' %}{% assign x = y | join: x %}".repeat(40);
    let captures = "{% capture x %}{{ x }}{{ x }}{% endcapture %}".repeat(40);
    let lists = "{% assign l = l | concat: l %}".repeat(40);
    for source in [doublings, squares, joined, captures, lists] {
        let start = "{% assign x = 'aaaa' %}{% assign l = (1..4) %}{% assign l = l | reverse %}";
        let failure = failure(&format!("{start}{source}"));
        assert!(
            failure.contains("on the way")
                || failure.contains("too much work")
                || failure.contains("over its limit"),
            "{failure}"
        );
    }
    for source in [
        "{{ (1..1000000000) | join }}",
        "{{ (1..1000000000) | json }}",
        "{% assign x = (1..1000000000) | reverse %}",
        "{{ 0 | date: '%1024d%1024d' }}{% for i in (1..5000) %}{{ 0 | date: '%1024d' }}{% endfor %}",
        "{% for i in (1..1000000) %}{{ '0123456789012345678901234567890123456789' }}{% endfor %}",
    ] {
        let failure = failure(source);
        let words = ["on the way", "too much work", "over its limit"];
        assert!(words.iter().any(|word| failure.contains(word)), "{source}: {failure}");
    }
}

#[test]
fn long_values_cost_what_they_are_read_for() {
    let long = "a".repeat(1 << 20);
    let empties = vec![json!([]); 100_000];
    let properties = json!({"long": long, "other": long, "empties": empties});
    let scope = Scope { properties: Some(&properties), ..Scope::at(NOW) };
    for body in [
        "{% if properties.long == properties.other %}{% endif %}",
        "{% if properties.long contains 'b' %}{% endif %}",
        "{% if properties.long < properties.other %}{% endif %}",
        "{{ properties.long.size }}",
        "{{ properties.long | plus: 1 }}",
        "{{ properties.empties }}",
        "{% if properties.empties == properties.empties %}{% endif %}",
        "{% assign x = properties.long | sha2 %}",
        "{% assign x = properties.long | slice: 1, 2 %}",
        "{% case properties.long %}{% when properties.other %}{% endcase %}",
    ] {
        let source = format!("{{% for i in (1..100000) %}}{body}{{% endfor %}}");
        let template = Template::parse(&source).expect("valid");
        let outcome = template.render(&scope, Context::Text, &mut Budget::default());
        let failure = outcome.expect_err(body).to_string();
        assert!(failure.contains("too much work") || failure.contains("on the way"), "{failure}");
    }
}

#[test]
fn one_budget_is_for_all_parts() {
    let template = Template::parse("{% for i in (1..1000) %}x{% endfor %}").expect("valid");
    let mut budget = Budget { output: 2500, ..Budget::default() };
    let mut render = || template.render(&Scope::at(NOW), Context::Text, &mut budget);
    assert!(render().is_ok());
    assert!(render().is_ok());
    assert!(render().expect_err("spent").to_string().contains("over its limit"));
}

#[test]
fn unclosed_parts_take_linear_time() {
    for part in ["{% raw %}", "{% comment %}{% raw %}", "{{ '", "{{ ${", "{% liquid\n", "${", "<"] {
        let source = part.repeat(500_000 / part.len());
        let _ = Template::parse(&source);
    }
    let tags = "<".repeat(100_000);
    let properties = json!({"x": tags, "y": "&".repeat(100_000)});
    let scope = Scope { properties: Some(&properties), ..Scope::at(NOW) };
    let source = "{{ properties.x | strip_html | size }}{{ properties.y | escape_once | size }}";
    let template = Template::parse(source).expect("valid");
    let text = template.render(&scope, Context::Text, &mut Budget::default());
    assert_eq!(text.as_deref(), Ok("100000500000"));
}
