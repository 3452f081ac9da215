//! What composition costs for each recipient: parsing once, rendering often, and a hostile template.
//! `cargo bench --bench compose`

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hostline::compose::liquid::{Budget, Context, Scope, Template};
use hostline::compose::webhook::WebhookTemplate;
use hostline::model::Timestamp;
use serde_json::{Value as Json, json};

const NOW: Timestamp = Timestamp::from_millis(1_795_503_600_000);

/// A body of a few hundred bytes with five variables, as JSON text.
const BODY: &str = r#"{
  "event": "order.shipped",
  "customer": {"id": "{{${user_id}}}", "name": "{{${first_name} | default: 'friend'}}", "plan": "{{custom_attribute.${plan}}}"},
  "order": {"number": {{event_properties.${order}}}, "total": {{event_properties.${total}}}, "currency": "EUR"},
  "links": {"track": "https://shop.example/track", "help": "https://shop.example/help"},
  "source": "hostline", "version": 3, "channel": "webhook"
}"#;
const BRANCHES: &str = "{% for item in event_properties.items %}{% if item.price > 10 %}\
    {{ item.name | upcase }}: {{ item.price | times: 1.19 | round: 2 }}{% unless forloop.last %}, \
    {% endunless %}{% endif %}{% endfor %}";
/// Bodies of endless loops.
const HOSTILE: &[(&str, &str)] = &[
    ("nothing", ""),
    ("texts", "{% assign x = i | plus: 1 | append: 'x' %}"),
    ("decimals", "{% assign x = i | times: 1.19 | round: 2 %}"),
    ("digests", "{% assign x = 'a' | hmac_sha256_hex: 'b' %}"),
    ("times", "{% assign x = 'Nov 24, 2026 7:00 am' | time_zone: 'Asia/Tokyo' | date: '%c' %}"),
    ("look-ups", "{% if now.a.b.c == now.a %}{% endif %}"),
];

fn world() -> (Json, Json) {
    let items: Vec<Json> = (0..10)
        .map(|n| json!({"name": format!("item {n}"), "price": f64::from(n) * 3.5}))
        .collect();
    let event = json!({"order": 71_834, "total": 129.95, "items": items});
    let attributes = json!({"first_name": "Ada \"Countess\"", "plan": "gold", "last": "Lovelace"});
    (event, attributes)
}

fn scope<'a>(event: &'a Json, attributes: &'a Json) -> Scope<'a> {
    Scope {
        event_properties: Some(event),
        external_id: Some("user-4711"),
        attributes: Some(attributes),
        ..Scope::at(NOW)
    }
}

fn webhook() -> String {
    json!({
        "url": "https://api.shop.example/v1/orders/{{event_properties.${order}}}/notify",
        "headers": {
            "Authorization": "Bearer 0123456789abcdef",
            "X-Customer": "{{${user_id}}}",
            "X-Plan": "{{custom_attribute.${plan} | default: 'none'}}"
        },
        "body": {
            "event": "order.shipped",
            "customer": {"id": "{{${user_id}}}", "name": "{{${first_name}}}", "plan": "{{recipient.plan}}"},
            "order": {"number": "{{event_properties.${order} | json}}", "total": "{{event_properties.total | json}}"},
            "links": {"track": "https://shop.example/track", "help": "https://shop.example/help"},
            "source": "hostline", "version": 3, "channel": "webhook"
        }
    })
    .to_string()
}

fn parsing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Bytes(BODY.len() as u64));
    group.bench_function("body", |bencher| bencher.iter(|| Template::parse(BODY)));
    let webhook = webhook();
    group.throughput(Throughput::Bytes(webhook.len() as u64));
    group.bench_function("webhook", |bencher| bencher.iter(|| WebhookTemplate::compile(&webhook)));
    group.finish();
}

fn rendering(criterion: &mut Criterion) {
    let (event, attributes) = world();
    let scope = scope(&event, &attributes);
    let mut group = criterion.benchmark_group("render");
    for (name, source, context) in [
        ("body as text", BODY, Context::Text),
        ("body as JSON", BODY, Context::Json),
        ("loop over ten items", BRANCHES, Context::Text),
    ] {
        let template = Template::parse(source).expect("a template");
        let length = template.render(&scope, context, &mut Budget::default()).expect("text").len();
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| template.render(&scope, context, &mut Budget::default()));
        });
    }
    let template = WebhookTemplate::compile(&webhook()).expect("a webhook");
    group.throughput(Throughput::Elements(1));
    group.bench_function("webhook", |bencher| bencher.iter(|| template.render(&scope)));
    group.finish();
}

/// How long the worst templates hold a thread before their fuel is spent.
fn hostile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("endless loop");
    group.sample_size(10);
    for (name, body) in HOSTILE {
        let source = format!("{{% for i in (1..1000000000) %}}{body}{{% endfor %}}");
        let template = Template::parse(&source).expect("a template");
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                let mut budget = Budget::default();
                template.render(&Scope::at(NOW), Context::Text, &mut budget).expect_err("endless")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, parsing, rendering, hostile);
criterion_main!(benches);
