//! What a crash may and may not do: nothing that was answered 202 is lost, whenever the process is
//! killed; what was in flight may come twice, with the same id.

mod chaos;
mod process;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chaos::{Book, Callers};
use process::{Receiver, Server, try_request};

/// Callers that trigger all the time.
const CALLERS: usize = 8;
/// Microseconds after its start in which a process is killed again: a start of this small store
/// takes some 10 ms, so two of three kills hit it before it is ready.
const RECOVERY_US: [u64; 3] = [3_000, 10_000, 150_000];

fn rounds() -> usize {
    if chaos::long() { 100 } else { 25 }
}

#[test]
fn kills_under_load_and_during_recovery_lose_nothing() {
    let data = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
    let book: Arc<Book> = Arc::default();
    let mut dice = fastrand::Rng::with_seed(7);
    let mut unready = 0;
    for round in 0..rounds() {
        let server = Server::start(data.path(), &[]);
        let callers = Callers::start(CALLERS, server.address, &receiver.url("/"), "1", &book);
        chaos::pause(Duration::from_millis(dice.u64(20..400)));
        server.kill();
        callers.stop();
        let recovering = Server::launch(data.path(), &[], |_| {});
        chaos::pause(Duration::from_micros(dice.u64(0..RECOVERY_US[round % 3])));
        unready += usize::from(!recovering.is_ready());
        recovering.kill();
    }
    let accepted = book.count();
    assert!(accepted > rounds(), "hardly anything was accepted: {accepted}");
    assert!(unready > rounds() / 4, "hardly a kill hit recovery: {unready}");
    let _server = Server::start(data.path(), &[]);
    let repeated = book.assert_delivered(&receiver);
    book.assert_orderly();
    println!(
        "{} kills under load, {unready} before ready: {accepted} accepted, 0 lost, {repeated} \
         delivered more than once under the same id",
        rounds()
    );
}

#[test]
fn a_stop_finishes_what_is_in_flight_and_a_start_delivers_the_rest() {
    let data = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| (200, "", Duration::from_millis(400)));
    let server = Server::start(data.path(), &["limits.in_flight=2"]);
    let ids: Vec<String> =
        (0..10).map(|number| server.trigger(&receiver.url("/"), &number.to_string())).collect();
    receiver.wait_for(2);
    assert_eq!(server.terminate(), Some(0));
    let sent: HashSet<String> = receiver.arrivals().into_iter().map(|one| one.id).collect();
    assert!(sent.len() < ids.len(), "a stop does not wait for the whole queue");
    let server = Server::start(data.path(), &[]);
    for id in &ids {
        server.wait_for(id, &["delivered"]);
    }
    assert_eq!(receiver.count(), ids.len(), "what had finished was recorded and not repeated");
}

#[test]
fn a_stopping_server_refuses_triggers_and_says_so() {
    let data = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| (200, "", Duration::from_secs(2)));
    let server = Server::start(data.path(), &[]);
    server.trigger(&receiver.url("/"), "1");
    receiver.wait_for(1);
    let address = server.address;
    let stopping = std::thread::spawn(move || server.terminate());
    let started = Instant::now();
    let mut refused = None;
    while refused.is_none() && started.elapsed() < Duration::from_secs(2) {
        let body = format!(r#"{{"webhook":{{"url":"{}"}}}}"#, receiver.url("/"));
        let headers = [("content-type", "application/json")];
        let answer = try_request(address, "POST", "/v1/triggers", &headers, body.as_bytes());
        refused = answer.ok().filter(|answer| answer.status == 503);
    }
    let refused = refused.expect("refused while it stops");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(stopping.join().expect("no panic"), Some(0));
}
