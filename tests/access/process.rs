//! The real binary: keys made before the first start, a server that asks for them, and the same
//! commands while it runs.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::process::{Answer, Server};

/// Runs `hostline` with these arguments; `key` goes into its environment.
fn hostline(data: &Path, args: &[&str], key: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostline"));
    command.args(args).current_dir(data).stdin(Stdio::null());
    for name in ["HOSTLINE_KEY", "HOSTLINE_SERVER", "RUST_LOG"] {
        command.env_remove(name);
    }
    if let Some(key) = key {
        command.env("HOSTLINE_KEY", key);
    }
    command.output().expect("the binary starts")
}

fn done(output: &Output) -> String {
    let (out, error) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{error}");
    String::from_utf8_lossy(out).trim().to_owned()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn get(server: &Server, path: &str, key: &str) -> Answer {
    let bearer = format!("Bearer {key}");
    server.send("GET", path, &[("authorization", &bearer)], b"")
}

#[test]
fn the_first_key_is_made_before_the_first_start_and_opens_the_server() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let data = ["--data", path.to_str().expect("a path")];
    let run = |args: &[&str], key: Option<&str>| hostline(path, args, key);
    let offline = |args: &[&str]| run(&[args, &data[..]].concat(), None);

    // Without a key nobody could come in, and it says what to do.
    let closed = run(
        &["serve", data[0], data[1], "--listen", "127.0.0.1:0", "--set", "auth.keys_required=true"],
        None,
    );
    assert!(refused(&closed).contains("hostline keys create"), "{closed:?}");

    let admin = done(&offline(&["keys", "create", "--name", "boss", "--scope", "admin"]));
    assert!(admin.starts_with("hl_") && !admin.contains('\n'), "the key alone: {admin}");
    let wrong = offline(&["keys", "create", "--name", "boss", "--scope", "moon"]);
    assert!(refused(&wrong).contains("scopes/0 is no scope; the scopes are triggers:write"));

    let set = ["auth.keys_required=true", "log.level=trace"];
    let server = Server::start(path, &set);
    assert_eq!(server.get("/v1/stats").status, 401);
    assert_eq!(get(&server, "/v1/stats", &admin).status, 200);
    assert_eq!(get(&server, "/v1/stats", &admin[..77]).status, 401);
    assert_eq!(server.get("/healthz").status, 200);

    // The same commands while it runs: through the server, with a key.
    let url = format!("http://{}", server.address);
    let told = refused(&offline(&[
        "keys",
        "list",
        "--set",
        &format!("server.listen={:?}", server.address.to_string()),
    ]));
    assert!(told.contains("HOSTLINE_KEY"), "{told}");
    let online = |args: &[&str]| run(&[args, &["--url", &url]].concat(), Some(&admin));
    let shop = online(&["workspaces", "create", "shop", "--weight", "3"]);
    assert!(done(&shop).starts_with("1 shop: weight 3"), "{shop:?}");
    let args = [
        "keys",
        "create",
        "--name",
        "ci",
        "--scope",
        "compose:read",
        "--workspace",
        "shop",
        "--expires",
        "90d",
        "--json",
    ];
    let made: serde_json::Value = serde_json::from_str(&done(&online(&args))).expect("JSON");
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert_eq!(get(&server, "/v1/templates", key).status, 200);
    assert_eq!(get(&server, "/v1/keys", key).status, 403);
    let rotated = done(&online(&["keys", "rotate", id, "--overlap", "0s"]));
    assert_eq!(get(&server, "/v1/templates", key).status, 401);
    assert_eq!(get(&server, "/v1/templates", &rotated).status, 200);
    let listed = done(&online(&["keys", "list"]));
    assert!(listed.contains(&format!("{id} live \"ci\" in shop: compose:read")), "{listed}");
    done(&online(&["keys", "revoke", id]));
    assert_eq!(get(&server, "/v1/templates", &rotated).status, 401);
    let sent = run(
        &["send", "http://127.0.0.1:9/", "-d", "x", "--no-wait", "--server", &url],
        Some(&admin),
    );
    assert!(done(&sent).contains("accepted"));
    assert_eq!(server.terminate(), Some(0));

    // No secret anywhere: not in the log, not in the store.
    let mut files = vec![path.to_owned()];
    while let Some(place) = files.pop() {
        if place.is_dir() {
            files.extend(
                std::fs::read_dir(&place).expect("readable").map(|file| file.unwrap().path()),
            );
            continue;
        }
        let text = std::fs::read(&place).expect("readable");
        for key in [&admin, &rotated, key] {
            let secret = &key.as_bytes()[20..72];
            let found = text.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "a secret is in {}", place.display());
        }
    }

    // And offline again: what was done is there, and the last admin key can be revoked.
    let log = done(&offline(&["keys", "audit"]));
    for part in [
        format!("key.revoked {id}"),
        "cli key.created".into(),
        "key.rotated".into(),
        "workspace.created shop".into(),
        "from 127.0.0.1".into(),
    ] {
        assert!(log.contains(&part), "{part}: {log}");
    }
    let boss = &admin[3..19];
    assert!(done(&offline(&["keys", "revoke", boss])).contains("revoked"));
    assert!(done(&offline(&["workspaces", "list"])).contains("0 default: weight 1"));
    // All keys have ended, but what is owed goes out: it starts all the same.
    let server = Server::start(path, &set);
    assert_eq!(get(&server, "/v1/templates", &admin).status, 401);
}

#[test]
fn a_server_on_loopback_needs_no_key_to_make_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let server = Server::start(path, &[]);
    let listen = format!("server.listen={:?}", server.address.to_string());
    let data = path.to_str().expect("a path");
    let args = ["keys", "create", "--name", "a", "--scope", "stats:read", "--data", data, "--set"];
    let key = done(&hostline(path, &[&args[..], &[&listen]].concat(), None));
    assert_eq!(get(&server, "/v1/stats", &key).status, 200);
    assert_eq!(get(&server, "/v1/deliveries", &key).status, 403);
    assert_eq!(server.get("/v1/deliveries").status, 200);
}

#[test]
fn a_slip_in_a_key_is_told_offline() {
    use std::io::Write;
    let directory = tempfile::tempdir().expect("a directory");
    let check = |text: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostline"));
        command.args(["keys", "check"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.current_dir(directory.path()).spawn().expect("it starts");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let args = ["keys", "create", "--name", "a", "--scope", "admin"];
    let key = done(&hostline(directory.path(), &args, None));
    let (code, told) = check(&format!("{key}\n"));
    assert!(code == Some(0) && told.contains(&key[3..19]), "{told}");
    let slip = if key.ends_with('0') { "1" } else { "0" };
    let (code, told) = check(&format!("{}{slip}", &key[..77]));
    assert!(code == Some(1) && told.contains("checksum"), "{told}");
    assert_eq!(check("").0, Some(1));
}
