//! `hostline bench` as a person runs it: what it counts is right. How fast it was is not judged.

use std::process::{Command, Output};

use serde_json::Value;

fn bench(directory: &std::path::Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostline"));
    command.arg("bench").arg("--data").arg(directory).args(arguments);
    command.env_remove("RUST_LOG").output().expect("the binary runs")
}

/// The runs that it tells of, which must have gone well.
fn runs(arguments: &[&str]) -> Vec<Value> {
    let directory = tempfile::tempdir().expect("a directory");
    let output = bench(directory.path(), &[arguments, &["--json"]].concat());
    let (told, errors) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
    let left = std::fs::read_dir(directory.path()).expect("a directory").count();
    assert_eq!(left, 0, "the server's data is removed");
    let told: Value = serde_json::from_slice(told).expect("JSON");
    told["runs"].as_array().expect("runs").clone()
}

#[test]
fn every_trigger_is_accepted_and_arrives_once() {
    for arguments in [
        &["--triggers", "300", "--connections", "8"][..],
        &["--triggers", "300", "--hosts", "30", "--metadata", "--size", "64B"],
        &["--triggers", "300", "--batch", "50", "--connections", "2"],
        &["--triggers", "300", "--rate", "1000"],
    ] {
        // Nobody is turned away because this machine is busy with other tests.
        let runs = runs(&[arguments, &["--set", "server.target_wait=1m"]].concat());
        assert_eq!(runs.len(), 1);
        let run = &runs[0];
        for (count, expected) in
            [("accepted", 300), ("owed", 300), ("delivered", 300), ("missing", 0)]
        {
            assert_eq!(run[count], expected, "{arguments:?}: {run}");
        }
        assert_eq!(run["arrival_us"]["count"], 300);
        assert!(run["cpu_us_per_delivery"].as_f64().is_some_and(|micros| micros > 0.0), "{run}");
        assert!(run["rss_peak_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{run}");
    }
}

#[test]
fn a_host_in_trouble_is_measured_beside_the_same_without() {
    let hung = runs(&["--triggers", "200", "--hang", "10%", "--connections", "8"]);
    assert_eq!(hung.len(), 2);
    assert_eq!((&hung[0]["owed"], &hung[1]["owed"]), (&200.into(), &180.into()));
    assert_eq!(hung[1]["delivered"], 180);
    let backlog = runs(&["--triggers", "200", "--backlog", "2000", "--connections", "8"]);
    assert_eq!(backlog[1]["backlog"]["deliveries"], 2000);
    assert_eq!(backlog[1]["delivered"], 200, "those of the backlog are not counted");
    assert!(backlog[1]["restart_s"].as_f64().is_some_and(|seconds| seconds > 0.0));
}

#[test]
fn a_receiver_with_a_limit_says_how_often_it_refused() {
    let run = &runs(&["--triggers", "60", "--limit", "20", "--limit-headers", "none"])[0];
    assert_eq!(run["delivered"], 60);
    assert!(run["receiver_refused"].as_u64().is_some_and(|refused| refused > 0), "{run}");
    assert_eq!(run["duplicates"], 0);
}

#[test]
fn a_slip_is_told_before_anything_runs() {
    let directory = tempfile::tempdir().expect("a directory");
    for (arguments, word) in [
        (&["--hang", "90%"][..], "more than a half"),
        (&["--limit", "fast"], "--limit"),
        (&["--rate", "0"], "above 0"),
        (&["--overload", "--triggers", "5"], "cannot be used with"),
        (&["--only", "paced"], "--figures"),
    ] {
        let output = bench(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(word), "{arguments:?}: {errors}");
    }
}
