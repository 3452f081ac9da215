//! Templates, campaigns and canvases, which have the same routes; schedules; reports and activity.

use serde_json::{Value, json};

use super::operation::{Route, delete, get, post, put};
use super::sending::{recipient, rendered, sample, version};
use super::shape::{
    Shape, all_of, anything, closed, flag, line, list, list_of, members, object, of, page, text,
    whole, within, words,
};
use super::words::{entry_id, moment};
use super::written;
use crate::api::compose::{Group, ReportView, Shown};
use crate::compose::{DryRun, Head};

/// One of the three kinds.
struct Kind {
    /// Its word.
    one: &'static str,
    /// In names of operations.
    title: &'static str,
    /// How it is written.
    document: fn() -> Shape,
    example: Value,
    /// Its routes: those of the list, of one, and so on.
    paths: Paths,
}

/// The paths of a kind; what it does not have is empty.
struct Paths {
    list: &'static str,
    one: &'static str,
    duplicate: &'static str,
    version: &'static str,
    preview: &'static str,
    report: &'static str,
    actions: &'static [(&'static str, &'static str)],
}

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = Vec::new();
    for kind in [template(), campaign(), canvas()] {
        routes.extend(of_kind(&kind));
    }
    routes.push(dry_run());
    routes.extend([schedules(), schedule(), cancel(), reports(), activity(), groups()]);
    routes
}

fn template() -> Kind {
    let paths = Paths {
        list: "/v1/templates",
        one: "/v1/templates/{id}",
        duplicate: "/v1/templates/{id}/duplicate",
        version: "/v1/templates/{id}/versions/{version}",
        preview: "/v1/templates/{id}/preview",
        report: "",
        actions: &[("archive", "/v1/templates/{id}/archive")],
    };
    let example = json!({
        "name": "welcome",
        "webhook": {
            "url": "http://127.0.0.1:9/welcome",
            "body": {"hello": "{{ recipient.attributes.first_name | default: 'you' }}"},
        },
    });
    Kind { one: "template", title: "Template", document: written::template, example, paths }
}

fn campaign() -> Kind {
    let paths = Paths {
        list: "/v1/campaigns",
        one: "/v1/campaigns/{id}",
        duplicate: "/v1/campaigns/{id}/duplicate",
        version: "",
        preview: "/v1/campaigns/{id}/preview",
        report: "/v1/campaigns/{id}/report",
        actions: &[
            ("launch", "/v1/campaigns/{id}/launch"),
            ("pause", "/v1/campaigns/{id}/pause"),
            ("resume", "/v1/campaigns/{id}/resume"),
            ("archive", "/v1/campaigns/{id}/archive"),
        ],
    };
    let example = json!({
        "name": "spring",
        "trigger": {"type": "api"},
        "webhooks": [{"url": "http://127.0.0.1:9/spring", "body": {"sale": true}}],
        "messages_per_minute": 600,
        "quiet_hours": {"from": "22:00", "to": "07:00", "time_zone": "Europe/Berlin"},
    });
    Kind { one: "campaign", title: "Campaign", document: written::campaign, example, paths }
}

fn canvas() -> Kind {
    let paths = Paths {
        list: "/v1/canvases",
        one: "/v1/canvases/{id}",
        duplicate: "/v1/canvases/{id}/duplicate",
        version: "/v1/canvases/{id}/versions/{version}",
        preview: "",
        report: "/v1/canvases/{id}/report",
        actions: &[
            ("launch", "/v1/canvases/{id}/launch"),
            ("pause", "/v1/canvases/{id}/pause"),
            ("resume", "/v1/canvases/{id}/resume"),
            ("archive", "/v1/canvases/{id}/archive"),
        ],
    };
    let example = json!({
        "name": "onboarding",
        "trigger": {"type": "api"},
        "steps": [
            {"id": "hello", "type": "webhook", "webhooks": [{"url": "http://127.0.0.1:9/hello"}]},
            {"id": "wait", "type": "delay", "for": "2d"},
            {"id": "how-is-it", "type": "webhook", "webhooks": [{"url": "http://127.0.0.1:9/ask"}]},
        ],
    });
    Kind { one: "canvas", title: "Canvas", document: written::canvas, example, paths }
}

fn entry(kind: &Kind) -> Shape {
    let document = object([("document", (kind.document)().says("As it is stored."))]);
    all_of([of::<Head>(), document]).called(kind.title)
}

/// A path segment: an id, or a name.
fn named(route: Route, kind: &Kind) -> Route {
    route.segment("id", line(1, 255).such_as(kind.example["name"].clone()), "Its id or name.")
}

fn of_kind(kind: &Kind) -> Vec<Route> {
    let Kind { one, title, document, example, paths } = kind;
    let plural = paths.list.trim_start_matches("/v1/");
    let status = words(&["active", "draft", "live", "paused", "archived"]);
    let first = status.clone();
    let renamed = closed([("name?", line(1, 255))]);
    let mut routes = vec![
        get(paths.list, &format!("list{title}s"), &format!("List {plural}"))
            .says("Newest first; the archived only when asked for.")
            .query("status", first, "Only with this status.")
            .query("tag", text(), "Only with this tag.")
            .paged()
            .answers(200, "A page of them, without their documents.", page(of::<Head>())),
        post(paths.list, &format!("create{title}"), &format!("Make a {one}"))
            .takes(document(), example.clone())
            .answers_located(201, "Made.", entry(kind))
            .refuses(&[409]),
        named(get(paths.one, &format!("get{title}"), &format!("One {one}")), kind)
            .answers(200, "It, with its document.", entry(kind))
            .refuses(&[404]),
        named(put(paths.one, &format!("edit{title}"), &format!("Write a {one} anew")), kind)
            .says("With `version` only if that is still the present one.")
            .query("version", version(), "The version that is changed.")
            .takes(document(), example.clone())
            .answers(200, "Written.", entry(kind))
            .refuses(&[404, 409]),
        named(
            post(
                paths.duplicate,
                &format!("duplicate{title}"),
                &format!("Make another {one} like it"),
            ),
            kind,
        )
        .may_take(renamed, json!({"name": format!("{}-2", example["name"].as_str().unwrap_or(""))}))
        .answers(201, "Made.", entry(kind))
        .refuses(&[404, 409]),
    ];
    for (word, path) in paths.actions {
        let id = format!("{word}{title}");
        let summary = format!("{}{} a {one}", word[..1].to_uppercase(), &word[1..]);
        let route = named(post(path, &id, &summary), kind);
        routes.push(route.answers(200, "Done.", entry(kind)).refuses(&[404, 409]));
    }
    if !paths.version.is_empty() {
        let shape = object([("version", version()), ("document", document())]);
        let route =
            get(paths.version, &format!("get{title}Version"), &format!("One version of a {one}"));
        let route = named(route, kind).segment("version", version(), "From 1.");
        routes.push(route.answers(200, "The document.", shape).refuses(&[404]));
    }
    if !paths.preview.is_empty() {
        routes.push(preview(kind));
    }
    if !paths.report.is_empty() {
        routes.push(report(kind));
    }
    routes
}

fn preview(kind: &Kind) -> Route {
    let example = json!({
        "properties": {"code": "SPRING"},
        "recipient": {"external_id": "customer-7", "attributes": {"first_name": "Ada"}},
    });
    let answer = object([("webhooks", list(rendered()))]);
    let route = post(
        kind.paths.preview,
        &format!("preview{}", kind.title),
        &format!("Render a {}", kind.one),
    );
    named(route, kind)
        .says("With sample data; nothing is sent.")
        .may_take(sample(), example)
        .answers(200, "What it renders to.", answer)
        .refuses(&[404, 409])
}

fn report(kind: &Kind) -> Route {
    let route = get(
        kind.paths.report,
        &format!("report{}", kind.title),
        &format!("What became of a {}", kind.one),
    );
    of_time(named(route, kind))
}

/// A report: which time, in which form.
fn of_time(route: Route) -> Route {
    let steps = words(&["minute", "hour", "day"]);
    let forms = [("application/json", of::<ReportView>()), ("text/csv", text())];
    route
        .query("by", steps, "Length of a point; by the hour where that is not too long.")
        .query("from", moment(), "Within the first point.")
        .query("until", moment(), "Within the last point; now unless given.")
        .query("format", words(&["json", "csv"]), "Also chosen by `Accept: text/csv`.")
        .answers_as(200, "Figures in all, by part and over time.", &forms)
        .refuses(&[404])
}

fn reports() -> Route {
    let route = get("/v1/reports", "getReport", "What became of what was sent")
        .says("Of the whole workspace, or of one host, campaign, canvas or template.")
        .query("host", super::words::host(), "Of this host.")
        .query("campaign", text(), "Of this campaign, by id or name.")
        .query("canvas", text(), "Of this canvas, by id or name.")
        .query("template", text(), "Of this template, by id or name.");
    of_time(route)
}

fn dry_run() -> Route {
    let input =
        closed([("properties~", members()), ("recipients?", list_of(recipient(), 1, 10_000))]);
    let example = json!({"recipients": [{"external_id": "customer-7"}]});
    named(
        post("/v1/campaigns/{id}/dry_run", "dryRunCampaign", "What a campaign would come to"),
        &campaign(),
    )
    .says("Counts deliveries, who would get nothing, and how long each host would take.")
    .may_take(input, example)
    .answers(200, "What was found.", of::<DryRun>())
    .refuses(&[404, 409])
}

fn scheduled() -> Shape {
    let run = object([("begun", moment()), ("after", text().or_null()), ("reached", whole(0))]);
    object([
        ("id", entry_id().says("Of a scheduled campaign, the campaign's.")),
        ("what", anything().says("`campaign`, or an object `send` with what a caller asked for.")),
        ("at", moment().says("When it goes next.")),
        ("run?", run.says("How far it has come, while it is going.")),
    ])
    .called("Schedule")
}

fn schedules() -> Route {
    get("/v1/schedules", "listSchedules", "What is scheduled")
        .says("The next first; at most 1,000.")
        .answers(200, "All of them.", page(scheduled()))
}

fn schedule() -> Route {
    get("/v1/schedules/{id}", "getSchedule", "One of what is scheduled")
        .segment("id", entry_id(), "The schedule.")
        .answers(200, "It.", scheduled())
        .refuses(&[404])
}

fn cancel() -> Route {
    let answer = object([("id", text()), ("cancelled", flag())]);
    delete("/v1/schedules/{id}", "cancelSchedule", "Take a scheduled send back")
        .segment("id", entry_id(), "The schedule.")
        .answers(200, "It will not go.", answer)
        .refuses(&[404, 409])
}

fn activity() -> Route {
    narrowed(get("/v1/activity", "listActivity", "What went wrong or was left out"))
        .says("Newest first, with what it means and what may be done about it.")
        .paged()
        .answers(200, "A page of the log.", page(of::<Shown<'_>>()))
}

fn groups() -> Route {
    let answer = object([
        ("data", list(of::<Group>())),
        ("complete", flag().says("Whether all entries of the time were looked at.")),
        ("from", moment().or_null().says("From when on they were.")),
    ]);
    narrowed(get("/v1/activity/groups", "groupActivity", "The same by host, status and kind"))
        .says("The most frequent first; of the last day unless a time is given.")
        .answers(200, "At most 500 groups.", answer)
}

fn narrowed(route: Route) -> Route {
    route
        .query("host", super::words::host(), "Only of this host.")
        .query("status", within(100, 599), "Only with this status of the last attempt.")
        .query("subject", text(), "Only of this template, campaign or canvas, by id.")
        .query("kind", text(), "Only of this kind, such as `render_failed`.")
        .query("recipient", text(), "Only of this recipient.")
        .query("from", moment(), "At or after.")
        .query("until", moment(), "Before.")
}
