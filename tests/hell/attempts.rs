//! The table against the real sender: every attempt ends in time, as it must, and in words.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hostline::delivery::{HttpSender, Report, SenderShared};
use hostline::model::Outcome;

use crate::behaviours::{Authority, Behaviour, Ends, all, bomb};
use crate::receiver::{Receiver, pause};
use crate::sending::{TIMEOUT, alone, post, sender, settings, shared};

/// How much longer than its timeout an attempt may take on a machine that is busy.
const SLACK: Duration = Duration::from_secs(2);
/// Time between two attempts on an unhurried behaviour, in which all its bytes arrive.
const GAP: Duration = Duration::from_millis(100);
/// Attempts in turn over one sender: what one leaves behind must not harm the next.
const ROUNDS: u32 = 3;

/// What is wrong with how an attempt ended; empty when nothing is.
fn complaint(behaviour: &Behaviour, report: &Report, took: Duration) -> Option<String> {
    let outcome = &report.outcome;
    let (is_right, may_take) = match (behaviour.ends, outcome) {
        (Ends::Status(wanted), Outcome::Answered(answer)) => (answer.status == wanted, TIMEOUT),
        (Ends::NoAnswer(words), Outcome::NoAnswer { reason, timed_out: false }) => {
            (reason.contains(words), TIMEOUT)
        }
        (Ends::TimedOut(stage), Outcome::NoAnswer { reason, timed_out: true }) => {
            (*reason == format!("timed out after 2s {stage}"), TIMEOUT + SLACK)
        }
        _ => (false, TIMEOUT + SLACK),
    };
    let wanted = behaviour.ends;
    match is_right {
        false => Some(format!("{}: {outcome:?} is not {wanted:?}", behaviour.name)),
        true if took > may_take => Some(format!("{}: took {took:?}", behaviour.name)),
        true => None,
    }
}

/// A reason is for a person: whole words, one line, nothing of how we are built.
fn is_plain(reason: &str) -> bool {
    let inner = ["::", "Error", "Custom", "Os {", "panicked", "internal", "awc", "hyper", ".rs"];
    !reason.is_empty()
        && reason.len() < 200
        && !reason.contains(['\n', '\r', '\0'])
        && !inner.iter().any(|word| reason.contains(word))
}

async fn suffer(shared: &SenderShared, behaviour: &Behaviour) -> Vec<String> {
    let door = behaviour.door.clone();
    let receiver = actix_rt::task::spawn_blocking(move || Receiver::start(&door));
    let receiver = receiver.await.expect("no panic");
    let scheme = if behaviour.secure { "https" } else { "http" };
    let url = format!("{scheme}://{}/hook", receiver.address);
    let sender: HttpSender = sender(shared, &url);
    let body = match behaviour.body {
        2 => Bytes::from_static(b"{}"),
        length => vec![b'x'; length].into(),
    };
    let mut complaints = Vec::new();
    for round in 0..ROUNDS {
        if behaviour.unhurried {
            actix_rt::task::spawn_blocking(|| pause(GAP)).await.expect("no panic");
        }
        let began = Instant::now();
        let report = post(&sender, &url, body.clone(), round).await;
        complaints.extend(complaint(behaviour, &report, began.elapsed()));
        if behaviour.name == "a gzip bomb"
            && let Outcome::Answered(answer) = &report.outcome
            && answer.body != bomb()[..4096]
        {
            complaints.push("the bomb was not kept as it came".into());
        }
        if let Outcome::NoAnswer { reason, .. } = &report.outcome
            && !is_plain(reason)
        {
            complaints.push(format!("{}: {reason:?} is not plain", behaviour.name));
        }
    }
    drop(sender);
    let left = actix_rt::task::spawn_blocking(move || {
        let open = receiver.wait_until_left(Duration::from_secs(10));
        (open, receiver.requests())
    });
    let (open, requests) = left.await.expect("no panic");
    if open > 0 {
        complaints.push(format!("{}: {open} connections were not given back", behaviour.name));
    }
    // One more could only be a redirect that was followed, or a repetition that nobody asked for.
    if requests > ROUNDS as usize {
        complaints.push(format!("{}: {requests} requests for {ROUNDS} attempts", behaviour.name));
    }
    complaints
}

#[test]
fn every_attempt_ends_in_time_as_it_must_and_in_words() {
    alone(suffer_all());
}

async fn suffer_all() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new();
    let roots = directory.path().join("roots.pem");
    authority.write(&roots);
    let mut settings = settings(TIMEOUT);
    settings.sender.roots = hostline::config::Roots::File(roots);
    let shared = shared(&settings);

    let table = all(&authority);
    assert!(table.len() >= 60, "{}", table.len());
    let mut names: Vec<&str> = table.iter().map(|behaviour| &*behaviour.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), table.len(), "two behaviours have one name");

    let began = Instant::now();
    let complaints =
        futures::future::join_all(table.iter().map(|behaviour| suffer(&shared, behaviour))).await;
    let complaints = complaints.concat();
    println!("{} behaviours, {ROUNDS} attempts each, in {:?}", table.len(), began.elapsed());
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
