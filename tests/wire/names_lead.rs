//! Names that lead where they should not: rebinding, mixed answers, aliases. A name server of the
//! test's own answers the real resolver.

use std::net::TcpListener;

use hostline::config::Settings;
use hostline::model::Method;

use crate::names::{NameServer, Say};
use crate::receiver::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// One connection an attempt.
const LAST: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";

/// Two receivers at the same port: the good one stands for a public address and is the only one
/// that may be reached.
struct Pair {
    good: Receiver,
    trap: TcpListener,
}

impl Pair {
    fn start() -> Self {
        loop {
            let good = Receiver::answering_at("127.0.0.2:0", LAST);
            // Somebody else may have the port of that address.
            if let Ok(trap) = TcpListener::bind(("127.0.0.1", good.address.port())) {
                trap.set_nonblocking(true).expect("a socket");
                return Self { good, trap };
            }
        }
    }

    fn url(&self, name: &str) -> String {
        format!("http://{name}:{}/hook", self.good.address.port())
    }

    #[track_caller]
    fn assert_trap_is_untouched(&self) {
        let touched = self.trap.accept();
        assert!(touched.is_err(), "connected to by {touched:?}");
    }
}

/// Nothing but 127.0.0.2 may be reached, by names of this server.
fn settings_of(names: &NameServer) -> Settings {
    let mut settings = settings();
    settings.sender.allow_nets = vec!["127.0.0.2/32".parse().expect("a network")];
    settings.sender.name_servers = vec![names.address];
    settings
}

#[actix_rt::test]
async fn the_trap_can_be_reached_where_it_is_allowed() {
    let pair = Pair::start();
    let names = NameServer::start(|_, _| Say::addresses(&["127.0.0.1"]));
    let mut settings = settings_of(&names);
    settings.sender.allow_nets.push("127.0.0.1/32".parse().expect("a network"));
    settings.sender.timeout = std::time::Duration::from_millis(300);
    let report = post(&settings, &pair.url("trap.test")).await;
    let (reason, timed_out) = unanswered(&report);
    assert!(timed_out, "{reason}");
    assert!(pair.trap.accept().is_ok());
}

#[actix_rt::test]
async fn a_name_is_looked_up_once_and_what_was_checked_is_connected_to() {
    let pair = Pair::start();
    let names = NameServer::start(|_, nth| match nth {
        0 => Say::addresses(&["127.0.0.2"]),
        _ => Say::addresses(&["127.0.0.1"]),
    });
    let url = pair.url("rebind.test");
    let sender = sender(&settings_of(&names), &url);
    let first = send(&sender, webhook(Method::Post, &url, "{}")).await;
    assert_eq!(answered(&first).status, 200);
    assert_eq!(names.asked("rebind.test"), 1);
    // The next attempt connects anew, and the answer has changed.
    let second = send(&sender, webhook(Method::Post, &url, "{}")).await;
    assert!(blocked(&second).contains("127.0.0.1 is blocked (loopback)"), "{}", blocked(&second));
    assert_eq!((names.asked("rebind.test"), pair.good.connections()), (2, 1));
    pair.assert_trap_is_untouched();
}

#[actix_rt::test]
async fn a_name_that_turns_good_again_is_sent_to() {
    let pair = Pair::start();
    let names = NameServer::start(|_, nth| match nth {
        0 => Say::addresses(&["10.0.0.1", "::1"]),
        _ => Say::addresses(&["127.0.0.2"]),
    });
    let url = pair.url("turns.test");
    let sender = sender(&settings_of(&names), &url);
    let first = send(&sender, webhook(Method::Post, &url, "{}")).await;
    assert!(blocked(&first).contains("sender.allow"));
    let second = send(&sender, webhook(Method::Post, &url, "{}")).await;
    assert_eq!(answered(&second).status, 200);
    pair.assert_trap_is_untouched();
}

#[actix_rt::test]
async fn of_mixed_answers_only_the_open_addresses_are_tried() {
    let pair = Pair::start();
    let names = NameServer::start(|name, _| match name {
        "mixed.test" => Say::addresses(&[
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "127.0.0.2",
        ]),
        _ => Say::Unknown,
    });
    let report = post(&settings_of(&names), &pair.url("mixed.test")).await;
    assert_eq!(answered(&report).status, 200);
    assert_eq!(pair.good.connections(), 1);
    pair.assert_trap_is_untouched();
}

#[actix_rt::test]
async fn the_blocked_ones_are_not_tried_even_when_the_open_one_fails() {
    let names = NameServer::start(|_, _| Say::addresses(&["127.0.0.1", "127.0.0.2", "::1"]));
    let trap = TcpListener::bind("127.0.0.1:0").expect("a free port");
    trap.set_nonblocking(true).expect("a socket");
    let port = trap.local_addr().expect("bound").port();
    let report = post(&settings_of(&names), &format!("http://half.test:{port}/")).await;
    assert_eq!(unanswered(&report), ("connection refused", false));
    assert!(trap.accept().is_err());
}

#[actix_rt::test]
async fn with_no_open_address_left_the_attempt_is_blocked() {
    let names = NameServer::start(|name, _| match name {
        "four.test" => Say::addresses(&["127.0.0.1"]),
        "six.test" => Say::addresses(&["::1"]),
        "all.test" => Say::addresses(&["0.0.0.0", "::", "fd00:ec2::254", "192.168.0.1"]),
        "alias.test" => Say::alias("inside.test", &["127.0.0.1", "::1"]),
        "to-localhost.test" => Say::alias("localhost", &["127.0.0.1"]),
        "metadata.google.internal" => Say::addresses(&["169.254.169.254"]),
        _ => Say::Unknown,
    });
    let pair = Pair::start();
    let settings = settings_of(&names);
    for name in [
        "four.test",
        "six.test",
        "all.test",
        "alias.test",
        "to-localhost.test",
        "metadata.google.internal",
        "localhost",
        "a.b.localhost",
        "FOUR.test.",
    ] {
        let report = post(&settings, &pair.url(name)).await;
        assert!(blocked(&report).contains("sender.allow"), "{name}: {report:?}");
    }
    let report = post(&settings, &pair.url("nowhere.test")).await;
    assert_eq!(unanswered(&report), ("name lookup failed: there is no such host", false));
    assert_eq!(pair.good.connections(), 0);
    pair.assert_trap_is_untouched();
}

#[actix_rt::test]
async fn what_is_denied_is_refused_whatever_allows_it() {
    let pair = Pair::start();
    let names = NameServer::start(|_, _| Say::addresses(&["127.0.0.2"]));
    let mut settings = settings_of(&names);
    settings.sender.deny.nets = vec!["127.0.0.0/30".parse().expect("a network")];
    let by_address = post(&settings, &pair.url("open.test")).await;
    assert!(blocked(&by_address).contains("`sender.deny`"), "{}", blocked(&by_address));
    settings.sender.deny.nets.clear();
    settings.sender.deny.hosts = vec!["*.shut.test".into()];
    let by_name = post(&settings, &pair.url("a.shut.test")).await;
    assert!(blocked(&by_name).contains("sender.deny"), "{}", blocked(&by_name));
    assert_eq!(names.asked("a.shut.test"), 0, "a denied name need not be looked up");
    assert_eq!(answered(&post(&settings, &pair.url("open.test")).await).status, 200);
    assert_eq!(pair.good.connections(), 1);
}

#[actix_rt::test]
async fn an_open_connection_does_not_outlive_its_permission() {
    let receiver = Receiver::answering(OK);
    let sender = sender(&settings(), &receiver.url());
    let kept = send(&sender, webhook(Method::Post, &receiver.url(), "{}")).await;
    assert_eq!(answered(&kept).status, 200);
    let policy = hostline::model::WorkspacePolicy {
        deny_hosts: vec!["127.0.0.1".into()],
        ..Default::default()
    };
    let denied = send_under(&sender, webhook(Method::Post, &receiver.url(), "{}"), policy).await;
    assert!(blocked(&denied).contains("deny_hosts"), "{}", blocked(&denied));
    let policy = hostline::model::WorkspacePolicy {
        allow_hosts: vec!["*.example".into()],
        ..Default::default()
    };
    let denied = send_under(&sender, webhook(Method::Post, &receiver.url(), "{}"), policy).await;
    assert!(blocked(&denied).contains("allow_hosts"), "{}", blocked(&denied));
    assert_eq!((receiver.connections(), receiver.requests().len()), (1, 1));
}
