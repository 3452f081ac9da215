//! What a crash may not do to reports: whenever the process is killed, they say what the deliveries
//! themselves say, no count lost and none made twice.

mod chaos;
mod process;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chaos::{Book, Callers};
use process::{Receiver, Server};
use serde_json::Value;

const CALLERS: usize = 4;
const KILLS: usize = 6;

/// Every delivery of the server.
fn deliveries(server: &Server) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut after = String::new();
    loop {
        let page = server.get(&format!("/v1/deliveries?limit=1000{after}")).json();
        rows.extend(page["data"].as_array().expect("rows").clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return rows,
        }
    }
}

/// What the deliveries themselves say.
fn counted(rows: &[Value]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::from([("sent".to_owned(), rows.len() as u64)]);
    for row in rows {
        let state = row["state"].as_str().expect("a state");
        *counts.entry(state.to_owned()).or_default() += 1;
        let attempts = row["attempt_count"].as_u64().expect("a number");
        *counts.entry("retried".to_owned()).or_default() += attempts - 1;
    }
    counts
}

fn reported(report: &Value) -> BTreeMap<String, u64> {
    let words = ["sent", "delivered", "failed", "exhausted", "expired", "cancelled", "retried"];
    let counts = words.map(|word| (word.to_owned(), report[word].as_u64().expect("a number")));
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn reports_say_what_the_deliveries_say_after_any_number_of_kills() {
    let data = tempfile::tempdir().expect("a directory");
    // Few are to be tried again: retries are rationed, and the last ones are waited for.
    let receiver = Receiver::start(|number| match number % 40 {
        1 | 11 | 21 | 31 => (410, "", Duration::ZERO),
        2 => (500, "", Duration::ZERO),
        _ => (200, "", Duration::ZERO),
    });
    let settings = ["retry.base=20ms", "retry.max=50ms"];
    let book: Arc<Book> = Arc::default();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    for _ in 0..KILLS {
        let server = Server::start(data.path(), &settings);
        let callers = Callers::start(CALLERS, server.address, &receiver.url("/"), "1", &book);
        chaos::pause(Duration::from_millis(dice.u64(50..300)));
        server.kill();
        callers.stop();
    }
    let server = Server::start(data.path(), &settings);
    chaos::wait_until("nothing is owed", || {
        let counts = server.get("/v1/stats").json()["deliveries"].clone();
        counts["pending"] == 0 && counts["parked"] == 0
    });
    let rows = deliveries(&server);
    assert!(rows.len() >= book.count(), "accepted ones are there");
    let wanted = counted(&rows);
    assert!(wanted.contains_key("failed") && wanted["retried"] > 0, "{wanted:?}");
    let gone = wanted["failed"];
    for query in ["by=minute", "by=hour", "by=day"] {
        for about in [String::new(), format!("&host={}", receiver.host())] {
            let report = server.get(&format!("/v1/reports?{query}{about}")).json();
            assert_eq!(reported(&report["total"]), wanted, "{query}{about}; seed {seed}");
            assert_eq!(report["total"]["by_status"]["410"], gone, "{query}{about}; seed {seed}");
            let points = report["points"].as_array().expect("points");
            let sent: u64 = points.iter().filter_map(|point| point["sent"].as_u64()).sum();
            assert_eq!(sent, wanted["sent"], "points add up; {query}{about}");
        }
    }
    println!("{KILLS} kills: {wanted:?} in the reports and in the deliveries");
}
