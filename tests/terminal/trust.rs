//! Keys from files, and servers that speak TLS.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::process::{self, Server};
use super::{command, errors, out};

fn run(args: &[&str], directory: &Path) -> std::process::Output {
    command(args).current_dir(directory).output().expect("the program starts")
}

fn path(directory: &Path, name: &str) -> String {
    directory.join(name).to_str().expect("a path").to_owned()
}

#[test]
fn a_key_comes_from_a_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    let args = ["keys", "create", "--name", "a", "--scope", "hosts:read", "--data"];
    let made = run(&[&args[..], &[at.to_str().expect("a path")]].concat(), at);
    assert!(made.status.success(), "{}", errors(&made));
    std::fs::write(at.join("key"), &made.stdout).expect("written");
    let server = Server::start(at, &["auth.keys_required=true"]);
    let url = format!("http://{}", server.address);

    let closed = run(&["hosts", "--server", &url], at);
    assert_eq!(closed.status.code(), Some(2));
    assert!(errors(&closed).contains("wants a valid API key"), "{}", errors(&closed));
    let open = run(&["hosts", "--server", &url, "--key-file", &path(at, "key")], at);
    assert_eq!(open.status.code(), Some(0), "{}", errors(&open));
    let empty = run(&["hosts", "--server", &url, "--key-file", "/dev/null"], at);
    assert!(errors(&empty).contains("there is no key in it"), "{}", errors(&empty));
    // It may see hosts and no totals: `top` shows what it may.
    let top = run(&["top", "--server", &url, "--key-file", &path(at, "key")], at);
    assert_eq!(top.status.code(), Some(0), "{}", errors(&top));
    assert!(out(&top).contains("totals are shown to operators"), "{}", out(&top));
}

/// A root, and a certificate of it for this machine.
fn certificates(directory: &Path) {
    let mut root = CertificateParams::new(Vec::new()).expect("no names");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().expect("a key"));
    let root = root.expect("a root");
    let key = KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let leaf = CertificateParams::new(names).expect("names").signed_by(&key, &root);
    let written = std::fs::write(directory.join("root.pem"), root.pem())
        .and_then(|()| std::fs::write(directory.join("leaf.pem"), leaf.expect("signed").pem()))
        .and_then(|()| std::fs::write(directory.join("leaf.key"), key.serialize_pem()));
    written.expect("written");
}

#[test]
fn a_server_with_a_private_root_is_asked_over_tls() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    certificates(at);
    let certificate = format!("server.tls.certificate={:?}", path(at, "leaf.pem"));
    let key = format!("server.tls.key={:?}", path(at, "leaf.key"));
    let server = Server::launch(at, &[&certificate, &key], |_| ());
    let url = format!("https://localhost:{}", server.address.port());
    let ca = path(at, "root.pem");
    let asked = |args: &[&str]| run(&[args, &["--server", &url, "--ca", &ca]].concat(), at);

    let started = std::time::Instant::now();
    while !asked(&["hosts"]).status.success() {
        assert!(started.elapsed() < process::PATIENCE, "{}", errors(&asked(&["hosts"])));
    }
    let top = asked(&["top", "--once"]);
    assert!(out(&top).contains(&url), "{}", errors(&top));
    let distrusted = run(&["hosts", "--server", &url], at);
    assert_eq!(distrusted.status.code(), Some(2));
    let told = errors(&distrusted);
    assert!(told.contains("issuer is not trusted") && told.contains("--ca"), "{told}");
    let wrong = run(&["hosts", "--server", &url, "--ca", "/dev/null"], at);
    assert!(errors(&wrong).contains("there is no certificate in it"), "{}", errors(&wrong));
}
