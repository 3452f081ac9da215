//! Secrets through the API and the command line of the real binary: what is stored, what is shown,
//! and that nothing of it is left anywhere once it was used.

mod process;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use process::{Receiver, Server};
use serde_json::{Value, json};

/// Stands in every secret value, and must be found nowhere but at the receiver.
const PLANTED: &str = "pLaNtEd";

fn key() -> String {
    let output = hostline(&["secrets", "new-key"], "");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// Runs a command of the binary.
fn hostline(args: &[&str], input: &str) -> Output {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_hostline"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

fn put(server: &Server, document: &Value) -> Value {
    let answer = server.post("/v1/secrets", &document.to_string());
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

fn client_certificate() -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["client.example".to_owned()]).expect("a name");
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

/// Every file below a directory, as bytes.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("readable").path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => {
                let bytes = std::fs::read(&path).expect("readable");
                all.push((path.display().to_string(), bytes));
            }
        }
    }
    all
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn nothing_of_a_secret_is_left_behind() {
    let data = tempfile::tempdir().expect("a directory");
    // The first attempts fail, so that there is more to tell.
    let receiver = Receiver::start(|number| match number {
        0..3 => (500, "", Duration::ZERO),
        _ => (200, "", Duration::ZERO),
    });
    let set = ["log.level=trace", "retry.base=10ms"];
    let server = Server::start(data.path(), &set);
    let (certificate, private) = client_certificate();
    let documents = [
        json!({"name": "b", "kind": "bearer", "token": format!("b{PLANTED}")}),
        json!({"name": "u", "kind": "basic", "username": "me", "password": format!("u{PLANTED}")}),
        json!({"name": "h", "kind": "header", "header": "x-plain", "value": format!("h{PLANTED}")}),
        json!({"name": "o", "kind": "oauth2", "token_url": receiver.url("/token"),
               "client_id": "me", "client_secret": format!("o{PLANTED}"), "auth": "body"}),
        json!({"name": "c", "kind": "client_certificate", "certificate": certificate,
               "key": private}),
        json!({"name": "s", "kind": "signing", "applies_to": [receiver.host()]}),
        json!({"name": "p", "kind": "signing", "algorithm": "v1a"}),
    ];
    let mut values = vec![PLANTED.to_owned()];
    values.push(private.lines().nth(1).expect("a line of base64").to_owned());
    for document in &documents {
        let answer = put(&server, document);
        values.extend(answer["value"].as_str().map(|value| value["whsec_".len()..].to_owned()));
    }
    // What the values become on the wire.
    let basic = format!("me:u{PLANTED}");
    values.push(base64::Engine::encode(&base64::engine::general_purpose::STANDARD, basic));

    let mut ids = Vec::new();
    for names in [json!("b"), json!("u"), json!("h"), json!("o"), json!(["s", "p", "c"])] {
        let trigger = json!({"webhook": {"url": receiver.url("/hook"), "body": {"a": 1},
                                         "secret_ref": names}});
        let answer = server.post("/v1/triggers", &trigger.to_string());
        assert_eq!(answer.status, 202, "{}", answer.text());
        ids.push(answer.json()["deliveries"][0]["id"].as_str().expect("an id").to_owned());
    }
    let mut answers = Vec::new();
    for (at, id) in ids.iter().enumerate() {
        let ended = server.wait_for(id, &["delivered", "exhausted", "failed"]);
        let expected = if at == 3 { "exhausted" } else { "delivered" };
        assert_eq!(ended["state"], expected, "{ended}");
        answers.push(ended.to_string().into_bytes());
    }
    // The token endpoint gave none, and that is said without what it was asked with.
    assert!(holds(&answers[3], "no token for `o`"), "{}", String::from_utf8_lossy(&answers[3]));
    let got = receiver.arrivals();
    assert!(got.iter().any(|arrival| {
        arrival.headers.get("authorization").is_some_and(|value| value.contains(PLANTED))
    }));
    assert!(
        got.iter()
            .filter_map(|arrival| arrival.headers.get("webhook-signature"))
            .any(|signature| signature.contains("v1,") && signature.contains("v1a,"))
    );

    for path in [
        "/v1/secrets",
        "/v1/secrets/b",
        "/v1/secrets/s",
        "/v1/deliveries",
        "/v1/hosts",
        "/v1/stats",
        "/v1/activity",
        "/metrics",
        "/healthz",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}");
        answers.push(answer.body);
    }
    let twice = server.post("/v1/secrets", &documents[0].to_string());
    assert_eq!(twice.status, 409);
    answers.push(twice.body);
    let wrong = json!({"name": "x", "kind": "bearer", "token": format!("a {PLANTED}")});
    answers.push(server.post("/v1/secrets", &wrong.to_string()).body);
    assert_eq!(server.terminate(), Some(0));

    let mut places: Vec<_> =
        answers.into_iter().map(|bytes| ("an answer".to_owned(), bytes)).collect();
    places.extend(files(data.path()));
    assert!(places.iter().any(|(name, bytes)| name.ends_with("log") && !bytes.is_empty()));
    for (place, bytes) in &places {
        for value in &values {
            assert!(!holds(bytes, value), "{value} is in {place}");
        }
    }
}

#[test]
fn the_api_says_what_is_wrong_and_where() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &[]);
    put(
        &server,
        &json!({"name": "b", "kind": "bearer", "token": "t", "applies_to": ["a.example"]}),
    );
    put(&server, &json!({"name": "s", "kind": "signing"}));
    let hook = |refs: Value, headers: Value| {
        let webhook = json!({"url": "https://a.example/", "secret_ref": refs, "headers": headers});
        json!({"webhook": webhook})
    };
    let headers = [("content-type", "application/json")];
    let json = |value: Value| value.to_string();
    let cases = [
        ("GET", "/v1/secrets/no", String::new(), 404, "unknown-secret", ""),
        ("GET", "/v1/secrets?limit=0", String::new(), 400, "invalid-parameter", "limit"),
        ("DELETE", "/v1/secrets/no", String::new(), 404, "unknown-secret", ""),
        ("POST", "/v1/secrets", json(json!({"kind": "ca"})), 400, "invalid-field", "/name"),
        ("POST", "/v1/secrets", json(json!({"name": "x"})), 400, "invalid-field", ""),
        (
            "POST",
            "/v1/secrets",
            json(json!({"name": "x", "kind": "bearer", "bogus": 1})),
            400,
            "invalid-field",
            "/bogus",
        ),
        ("POST", "/v1/secrets/b/rotate", String::new(), 409, "secret-kind", ""),
        (
            "POST",
            "/v1/secrets/s/rotate",
            json(json!({"overlap": "1y"})),
            400,
            "invalid-field",
            "/overlap",
        ),
        ("POST", "/v1/secrets/s/revoke-old", String::new(), 409, "nothing-to-revoke", ""),
        (
            "PUT",
            "/v1/secrets/s",
            json(json!({"kind": "bearer", "token": "t"})),
            409,
            "secret-kind",
            "",
        ),
        (
            "PUT",
            "/v1/secrets/s",
            json(json!({"kind": "signing", "name": "x"})),
            400,
            "invalid-field",
            "/name",
        ),
        ("PATCH", "/v1/secrets/s", String::new(), 405, "method-not-allowed", ""),
        (
            "POST",
            "/v1/triggers",
            json(hook(json!("no"), json!({}))),
            400,
            "invalid-field",
            "/webhook/secret_ref",
        ),
        (
            "POST",
            "/v1/triggers",
            json(hook(json!(null), json!({"Authorization": "x"}))),
            400,
            "invalid-field",
            "/webhook/headers/authorization",
        ),
    ];
    for (method, path, body, status, slug, place) in cases {
        let answer = server.send(method, path, &headers, body.as_bytes());
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.text());
        let problem = answer.json();
        assert_eq!(problem["type"], format!("/problems/{slug}"), "{problem}");
        let fault = &problem["errors"][0];
        let found = fault["pointer"].as_str().or(fault["parameter"].as_str()).unwrap_or("");
        assert_eq!(found, place, "{problem}");
    }
    let replaced = server.send(
        "PUT",
        "/v1/secrets/b",
        &headers,
        br#"{"kind":"bearer","token":"u","applies_to":["b.example"]}"#,
    );
    assert_eq!(replaced.json()["applies_to"], json!(["b.example"]));
    assert_eq!(replaced.headers["cache-control"], "no-store");
    let page = server.get("/v1/secrets?limit=1").json();
    assert_eq!((&page["data"][0]["name"], &page["next"]), (&json!("b"), &json!("b")));
    let page = server.get("/v1/secrets?limit=1&after=b").json();
    assert_eq!((&page["data"][0]["name"], &page["next"]), (&json!("s"), &Value::Null));
    assert_eq!(server.send("DELETE", "/v1/secrets/b", &[], b"").json()["deleted"], true);
    let named = server.post("/v1/triggers", &hook(json!(["s"]), json!({})).to_string());
    assert_eq!(named.status, 202, "{}", named.text());
}

#[test]
fn the_command_line_stores_rotates_and_deletes() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &[]);
    let address = format!("http://{}", server.address);
    let secrets = |args: &[&str], input: &str| {
        let args: Vec<_> = [&["secrets", "--server", &address], args].concat();
        let output = hostline(&args, input);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("text"))
    };
    let (code, text) = secrets(&["create", "main", "--kind", "signing"], "");
    assert!(code == Some(0) && text.contains("whsec_"), "{text}");
    let bearer = ["create", "crm", "--kind", "bearer", "--from", "-", "--applies-to", "*.example"];
    let (code, text) = secrets(&bearer, &format!("{PLANTED}\n"));
    assert!(code == Some(0) && !text.contains(PLANTED), "{text}");
    let (code, text) = secrets(&bearer, PLANTED);
    assert!(code == Some(2) && text.contains("already") && !text.contains(PLANTED), "{text}");
    let (_, text) = secrets(&["list"], "");
    assert!(text.contains("crm") && text.contains("*.example") && text.contains("main"), "{text}");
    let (code, text) = secrets(&["rotate", "main"], "");
    assert!(code == Some(0) && text.contains("old_signs_until="), "{text}");
    let (code, text) = secrets(&["rotate", "main"], "");
    assert!(code == Some(2) && text.contains("force"), "{text}");
    assert_eq!(secrets(&["revoke-old", "main"], "").0, Some(0));
    assert_eq!(secrets(&["delete", "main"], "").0, Some(0));
    assert_eq!(secrets(&["delete", "main"], "").0, Some(2));
}

#[test]
fn a_start_without_the_key_says_which_one_is_needed() {
    let data = tempfile::tempdir().expect("a directory");
    let (old, new) = (key(), key());
    let server = Server::start(data.path(), &[&format!("vault.key={old}")]);
    put(&server, &json!({"name": "b", "kind": "bearer", "token": PLANTED}));
    assert_eq!(server.terminate(), Some(0));
    assert!(!data.path().join("vault.key").exists());

    let mut refused = Server::launch(data.path(), &[&format!("vault.key={new}")], |_| {});
    let code = loop {
        match refused.ended() {
            Some(status) => break status.code(),
            None => std::thread::park_timeout(Duration::from_millis(10)),
        }
    };
    assert_eq!(code, Some(2));
    let log = std::fs::read_to_string(data.path().join("log")).expect("a log");
    assert!(log.contains("is sealed with the key") || log.contains("are sealed with the key"));
    assert!(log.contains("vault.old_keys") && !log.contains(&old) && !log.contains(&new));

    let store = format!("store.path={}", toml(data.path()));
    let (new_set, old_set) = (format!("vault.key={new}"), format!("vault.old_keys=[\"{old}\"]"));
    let output =
        hostline(&["--set", &store, "--set", &new_set, "--set", &old_set, "secrets", "reseal"], "");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!((output.status.code(), told.as_str()), (Some(0), "1 secrets sealed anew\n"));
    let server = Server::start(data.path(), &[&new_set]);
    assert_eq!(server.get("/v1/secrets/b").status, 200);
}

fn toml(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}
