//! Plays `urls.txt` through the front door.

use serde_json::{Value, json};

use crate::names::{NameServer, Say};
use crate::process::Server;
use crate::trap::{ClosedProxy, Trap};

/// One line of the corpus.
struct Case {
    verdict: &'static str,
    words: &'static str,
    url: String,
}

fn cases(port: u16) -> Vec<Case> {
    let lines = include_str!("urls.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let case = |line: &'static str| {
        let mut columns = line.splitn(3, '|').map(str::trim);
        let mut next = || columns.next().unwrap_or_else(|| panic!("three columns: {line}"));
        let (verdict, words, url) = (next(), next(), next());
        let url: String = serde_json::from_str(url).unwrap_or_else(|_| panic!("JSON: {line}"));
        let url = url.replace("{port}", &port.to_string());
        let url = url.replace("{long}", &"a.".repeat(130)).replace("{long8k}", &"a".repeat(8192));
        Case { verdict, words, url: url.replace("{label64}", &"a".repeat(64)) }
    };
    lines.map(case).collect()
}

fn names() -> NameServer {
    NameServer::start(|name, _| match name {
        "localtest.me"
        | "a.localtest.me"
        | "lvh.me"
        | "127.0.0.1.nip.io"
        | "7f000001.nip.io"
        | "spoofed.burpcollaborator.net"
        | "fbi.com" => Say::addresses(&["127.0.0.1"]),
        "six.localtest.me" => Say::addresses(&["::1"]),
        "metadata" | "metadata.google.internal" | "169.254.169.254.nip.io" => {
            Say::addresses(&["169.254.169.254"])
        }
        "kubernetes.default.svc" => Say::addresses(&["10.96.0.1"]),
        "mixed-inside.example" => Say::addresses(&["10.0.0.1", "127.0.0.1", "fd00::1"]),
        "mixed.example" => Say::addresses(&["127.0.0.1", "93.184.215.14", "10.0.0.1", "::1"]),
        "shop.example" | "127.0.0.1.example" => Say::addresses(&["93.184.215.14"]),
        "xn--bcher-kva.example" => Say::addresses(&["93.184.215.15"]),
        // The first letter of this one is Cyrillic: another host, whoever reads it as the same.
        "xn--hop-ehd.example" => Say::addresses(&["93.184.215.66"]),
        _ => Say::Unknown,
    })
}

fn trigger(server: &Server, url: &str) -> (u16, Value) {
    let trigger = json!({"webhook": {"url": url, "body": "x"}});
    let answer = server.post("/v1/triggers", &trigger.to_string());
    (answer.status, answer.json())
}

/// What became of a URL: the verdict's word, and the words that go with it.
fn fate(server: &Server, url: &str) -> (&'static str, String) {
    let (status, answer) = trigger(server, url);
    if status == 400 {
        let pointer = answer["errors"][0]["pointer"].as_str().or(answer["pointer"].as_str());
        let at = pointer.map(str::to_owned).unwrap_or_else(|| answer.to_string());
        assert!(at.contains("/webhook/url"), "the field is not named: {answer}");
        return ("door", answer["detail"].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(status, 202, "{url:?}: {answer}");
    let id = answer["deliveries"][0]["id"].as_str().expect("an id");
    let shown = server.wait_for(id, &["failed", "exhausted", "delivered"]);
    let attempt = &shown["attempts"][0];
    let reason = attempt["reason"].as_str().unwrap_or_default().to_owned();
    match attempt["outcome"].as_str() {
        Some("blocked") => ("blocked", reason),
        Some("answered") => ("delivered", reason),
        _ if reason.contains("its own rules forbid it") => ("public", reason),
        _ => ("nowhere", reason),
    }
}

#[test]
fn no_spelling_of_a_url_gets_where_it_should_not() {
    let (trap, proxy, names) = (Trap::start(), ClosedProxy::start(), names());
    let data = tempfile::tempdir().expect("a directory");
    let set = [
        "sender.allow=[]".to_owned(),
        "retry.retries=0".to_owned(),
        format!("sender.proxy=http://{}", proxy.address),
        format!("sender.name_servers=[\"{}\"]", names.address),
    ];
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    let server = Server::start(data.path(), &set);
    let cases = cases(trap.port);
    assert!(cases.len() >= 150, "{} spellings", cases.len());
    let mut wrong = Vec::new();
    for Case { verdict, words, url } in &cases {
        let before = proxy.asked().len();
        let (came, mut said) = fate(&server, url);
        if came == "public" {
            said = proxy.asked().get(before).cloned().unwrap_or_default();
        }
        let wanted = if *verdict == "trap" { "blocked" } else { verdict };
        let asked = proxy.asked().len() - before;
        if came != wanted || !said.contains(words) || asked != usize::from(came == "public") {
            wrong.push(format!("{verdict} | {words} | {url:?}\n  came: {came} | {said} ({asked})"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(trap.connections(), 0, "something reached the trap");
}

#[test]
fn the_same_spellings_reach_the_trap_where_it_is_allowed() {
    let (trap, names) = (Trap::start(), names());
    let data = tempfile::tempdir().expect("a directory");
    let servers = format!("sender.name_servers=[\"{}\"]", names.address);
    let set = ["sender.allow=[\"127.0.0.0/8\", \"::1\"]", "retry.retries=0", &servers];
    let server = Server::start(data.path(), &set);
    let all = cases(trap.port);
    let aimed: Vec<&Case> = all.iter().filter(|case| case.verdict == "trap").collect();
    assert!(aimed.len() >= 50, "{} spellings", aimed.len());
    let mut wrong = Vec::new();
    for case in &aimed {
        let (came, said) = fate(&server, &case.url);
        if came != "delivered" {
            wrong.push(format!("{:?}: {came} | {said}", case.url));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(trap.connections(), aimed.len());
}
