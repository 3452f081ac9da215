//! What operators watch: the real binary's /metrics as a parser that nobody here wrote reads it,
//! beside the table of docs/operations.md, the dashboard and the alert rules, none of which may
//! name what is not there. `tests/metrics/install` installs the parser; without it its tests are
//! skipped and say so, and in CI (`CI=true`) that is a failure.

mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use process::{PATIENCE, Receiver, Server};
use serde_json::{Value, json};

const MANUAL: &str = include_str!("../docs/operations.md");
const DASHBOARD: &str = include_str!("../deploy/grafana/hostline.json");
const ALERTS: &str = include_str!("../deploy/prometheus/alerts.yml");

/// Labels that Prometheus adds to whatever it scrapes.
const OF_TARGET: [&str; 2] = ["instance", "job"];

/// A server that has done a bit of everything, and what it shows.
struct World {
    server: Server,
    _receivers: Vec<Receiver>,
    _data: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let server = Server::start(data.path(), &[]);
        let budget =
            "x-ratelimit-limit: 100\r\nx-ratelimit-remaining: 50\r\nx-ratelimit-reset: 60\r\n";
        let receivers: Vec<Receiver> = [(200, budget), (429, ""), (500, ""), (404, "")]
            .into_iter()
            .map(|(status, headers)| Receiver::start(move |_| (status, headers, Duration::ZERO)))
            .collect();
        for receiver in &receivers {
            server.trigger(&receiver.url("/hook"), "{}");
            receiver.wait_for(1);
        }
        Self { server, _receivers: receivers, _data: data }
    }

    /// The text, once it shows a host that has all that a host may have.
    fn scrape(&self) -> String {
        let started = Instant::now();
        let wanted = ["hostline_host_learned_rate", "hostline_host_budget_limit{"];
        loop {
            let text = self.server.get("/metrics").text();
            if wanted.iter().all(|name| text.contains(name)) {
                return text;
            }
            assert!(started.elapsed() < PATIENCE, "{text}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

/// What is there: the kind of each metric by the name that queries use, and its labels.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

/// Reads the text by its lines; whether it is right is the parser's to say.
fn metrics(text: &str) -> Metrics {
    let mut found = Metrics::new();
    let mut family = (String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            family = (format!("{name}{suffix}"), kind.to_owned());
        } else if !line.starts_with('#') {
            let labels = line.split_once('{').map_or(String::new(), |(_, rest)| rest.to_owned());
            let labels = label_names(labels.rsplit_once('}').map_or("", |(labels, _)| labels));
            let entry = found.entry(family.0.clone());
            let entry = entry.or_insert_with(|| (family.1.clone(), BTreeSet::new()));
            entry.1.extend(labels.into_iter().filter(|label| label != "le"));
        }
    }
    found
}

/// Names of labels in `a="1",b=~"2"`.
fn label_names(labels: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = labels;
    while let Some(at) = rest.find(['=', '!']) {
        names.push(rest[..at].trim_matches([' ', ',']).to_owned());
        let Some(open) = rest.find('"') else { break };
        let Some(close) = rest[open + 1..].find('"') else { break };
        rest = &rest[open + close + 2..];
    }
    names
}

/// The table of the manual.
fn documented() -> Metrics {
    let rows = MANUAL.lines().filter(|line| line.starts_with("| `"));
    let rows =
        rows.filter(|line| line.starts_with("| `hostline_") || line.starts_with("| `process_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert!(cells.len() == 6 && !cells[4].is_empty(), "name, type, labels, meaning: {row}");
        let labels = cells[3].split(',').map(|label| label.trim().trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        (cells[1].trim_matches('`').to_owned(), (cells[2].to_owned(), labels))
    })
    .collect()
}

/// Whether a character may be in the name of a metric.
fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// The metrics that a query names, each with the labels that it picks by.
fn named(query: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for prefix in ["hostline_", "process_"] {
        for (at, _) in query.match_indices(prefix) {
            if query[..at].ends_with(is_of_name) {
                continue;
            }
            let end = query[at..].find(|letter| !is_of_name(letter));
            let (name, rest) = query[at..].split_at(end.unwrap_or(query.len() - at));
            let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            found.push((name.to_owned(), label_names(labels.map_or("", |(labels, _)| labels))));
        }
    }
    found
}

/// The labels that a query groups or joins by.
fn grouped(query: &str) -> Vec<String> {
    let clauses = ["by (", "on (", "without ("];
    let parts = clauses.iter().flat_map(|clause| query.split(clause).skip(1));
    let lists = parts.filter_map(|part| part.split_once(')'));
    lists.flat_map(|(list, _)| list.split(',').map(|label| label.trim().to_owned())).collect()
}

/// The labels that a text shows: `{{host}}`, `{{ $labels.host }}`.
fn shown(text: &str) -> Vec<String> {
    let parts = text.split("{{").skip(1).filter_map(|part| part.split_once("}}"));
    let names = parts.map(|(inside, _)| inside.split('|').next().unwrap_or("").trim());
    let names = names.filter(|name| *name != "$value");
    names.map(|name| name.trim_start_matches("$labels.").to_owned()).collect()
}

/// Checks that a query uses nothing that is not there, nor what is shown of its result.
fn vet(there: &Metrics, query: &str, texts: &[&str]) {
    let mut labels: BTreeSet<String> = OF_TARGET.map(str::to_owned).into();
    for (name, picked) in named(query) {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
            let family = name.strip_suffix(suffix)?;
            there.get(family).filter(|(kind, _)| kind == "histogram")
        });
        let metric = of_histogram.or_else(|| there.get(&name).filter(|it| it.0 != "histogram"));
        let (kind, has) = metric.unwrap_or_else(|| panic!("there is no {name}: {query}"));
        labels.extend(has.iter().cloned());
        labels.extend((kind == "histogram").then(|| "le".to_owned()));
        for label in picked {
            let known = has.contains(&label) || OF_TARGET.contains(&label.as_str());
            assert!(known, "{name} has no label {label}: {query}");
        }
    }
    let used = grouped(query).into_iter().chain(texts.iter().flat_map(|text| shown(text)));
    for label in used {
        assert!(labels.contains(&label), "nothing has a label {label}: {query}");
    }
}

/// Reads a text with the parser of its format; `None` after a word about what is not installed.
fn parsed(format: &str, text: &str) -> Option<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let installed: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("metrics");
    if !installed.join("python.pins").exists() {
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!in_ci, "the parsers are not installed, and in CI nothing may be skipped");
        println!("skipped: no parser is installed; tests/metrics/install does it");
        return None;
    }
    let mut command = Command::new(installed.join("python/bin/python"));
    command.arg(root.join("tests/metrics/read.py")).arg(format);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("python starts");
    let mut input = child.stdin.take().expect("piped");
    let text = text.to_owned();
    let writing = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("python ends");
    writing.join().expect("no panic").expect("python reads it all");
    assert!(output.status.success(), "the parser refuses it");
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

#[test]
fn the_table_of_the_manual_is_what_is_shown() {
    let there = metrics(&World::new().scrape());
    let documented = documented();
    let names = |metrics: &Metrics| metrics.keys().cloned().collect::<BTreeSet<_>>();
    let (shown, told) = (names(&there), names(&documented));
    let untold: Vec<_> = shown.difference(&told).collect();
    let absent: Vec<_> = told.difference(&shown).collect();
    assert!(untold.is_empty() && absent.is_empty(), "untold {untold:?}, absent {absent:?}");
    for (name, metric) in &documented {
        assert_eq!(metric, &there[name], "{name}");
    }
}

#[test]
fn a_strict_parser_reads_all_of_it() {
    let text = World::new().scrape();
    let Some(families) = parsed("openmetrics", &text) else { return };
    let families = families.as_array().expect("a list");
    let of = |name: &str| {
        let family = families.iter().find(|family| family["name"] == name);
        family.unwrap_or_else(|| panic!("no {name}"))
    };
    for family in families {
        let help = family["help"].as_str().expect("a text");
        assert!(help.ends_with('.') && !help.ends_with(".."), "{family}");
    }
    let sum = |name: &str, sample: &str, labels: Value| {
        let samples = of(name)["samples"].as_array().expect("a list");
        let fits = |one: &&Value| one["name"] == sample && one["labels"] == labels;
        samples.iter().filter(fits).filter_map(|one| one["value"].as_f64()).sum::<f64>()
    };
    let (attempts, count) = ("hostline_attempt_seconds", "hostline_attempt_seconds_count");
    for (outcome, at_least) in [("2xx", 1.0), ("4xx", 1.0), ("5xx", 1.0), ("refused", 1.0)] {
        let counted = sum(attempts, count, json!({ "outcome": outcome }));
        assert!(counted >= at_least, "{outcome}: {counted}");
    }
    let arrivals = sum(
        "hostline_accept_to_arrival_seconds",
        "hostline_accept_to_arrival_seconds_count",
        json!({}),
    );
    assert_eq!(arrivals, 4.0);
    let delivered = json!({ "verdict": "delivered" });
    assert_eq!(sum("hostline_verdicts", "hostline_verdicts_total", delivered), 1.0);
    let accepted =
        sum("hostline_deliveries_accepted", "hostline_deliveries_accepted_total", json!({}));
    assert_eq!(accepted, 4.0);
}

#[test]
fn only_so_many_hosts_have_series_of_their_own() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &["metrics.hosts=1"]);
    let busy = Receiver::start(|_| (200, "", Duration::ZERO));
    let idle = Receiver::start(|_| (500, "", Duration::ZERO));
    for _ in 0..5 {
        server.trigger(&busy.url("/"), "{}");
    }
    server.trigger(&idle.url("/"), "{}");
    busy.wait_for(5);
    idle.wait_for(1);
    let own = format!(
        "hostline_host_attempts_last_minute{{host=\"{}\",outcome=\"delivered\"}} 5",
        busy.host()
    );
    let rest = "hostline_host_attempts_last_minute{host=\"other\",outcome=\"failed\"} 1";
    let started = Instant::now();
    loop {
        let text = server.get("/metrics").text();
        assert!(!text.contains(&format!("host=\"{}\"", idle.host())) || !text.contains(&own));
        if text.contains(&own) && text.contains(rest) {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{text}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    drop(server);
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &["metrics.hosts=0"]);
    server.trigger(&busy.url("/"), "{}");
    busy.wait_for(6);
    assert!(!server.get("/metrics").text().contains("hostline_host_"));
}

#[test]
fn the_dashboard_draws_what_is_there() {
    let there = metrics(&World::new().scrape());
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 39));
    let panels = dashboard["panels"].as_array().expect("a list");
    let rows = panels.iter().filter(|panel| panel["type"] == "row");
    let rows: Vec<&str> = rows.filter_map(|row| row["title"].as_str()).collect();
    assert_eq!(rows, ["Traffic", "Hosts that hurt", "Latency", "Store", "Process"]);
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "two panels have one id: {panel}");
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{target}");
            let query = target["expr"].as_str().expect("a query");
            vet(&there, query, &[target["legendFormat"].as_str().unwrap_or("")]);
        }
    }
    let restarts = &dashboard["annotations"]["list"][0];
    vet(&there, restarts["expr"].as_str().expect("a query"), &[]);
}

#[test]
fn alerts_ask_for_what_is_there_and_lead_to_what_to_do() {
    let Some(document) = parsed("yaml", ALERTS) else { return };
    let there = metrics(&World::new().scrape());
    let rules = document["groups"][0]["rules"].as_array().expect("a list");
    assert!(rules.len() >= 8, "{}", rules.len());
    let mut names = BTreeSet::new();
    for rule in rules {
        let name = rule["alert"].as_str().expect("a name");
        assert!(names.insert(name), "{name} is there twice");
        assert!(
            ["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap_or(""))
        );
        let note = |key: &str| rule["annotations"][key].as_str().expect("a text");
        vet(
            &there,
            rule["expr"].as_str().expect("a query"),
            &[note("summary"), note("description")],
        );
        let (file, anchor) = note("runbook_url").split_once('#').expect("an anchor");
        assert_eq!((file, anchor), ("docs/operations.md", name.to_lowercase().as_str()));
        assert!(MANUAL.lines().any(|line| line == format!("### {name}")), "{name} has no heading");
    }
    promtool();
}

/// Prometheus's own check of the rules, where it is installed.
fn promtool() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/alerts.yml");
    match Command::new("promtool").args(["check", "rules"]).arg(rules).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        Err(_) => println!("not checked by promtool, which is not installed"),
    }
}
