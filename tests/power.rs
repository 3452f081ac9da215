//! Loss of power: what was not synced is gone. The store lies on a file system of its own that is
//! shut down without writing its log, under a server that takes triggers all the time; what was
//! answered 202 is there after the next mount.
//!
//! Needs root, ext4 and loop devices, and says so where they are missing.

mod chaos;
mod process;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chaos::{Book, Callers, Disk, Faults, run};
use process::{Receiver, Server};

/// Callers that trigger all the time.
const CALLERS: usize = 8;
/// Whether a file that was written and not synced is gone or empty, or nobody knows: the proof that
/// the power really goes.
fn is_gone(file: &Path) -> bool {
    fs::read(file).map_or(true, |bytes| bytes.iter().all(|byte| *byte == 0))
}

#[test]
fn loss_of_power_under_load_loses_nothing_that_was_accepted() {
    let disk = match Disk::make(256) {
        Ok(disk) => disk,
        Err(why) => return chaos::skip(&why),
    };
    let data = disk.path().join("data");
    fs::create_dir(&data).expect("made");
    run("sync", &[]).expect("synced");
    let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
    let book: Arc<Book> = Arc::default();
    let mut dice = fastrand::Rng::with_seed(13);
    let rounds = if chaos::long() { 50 } else { 6 };
    let mut unsynced = 0;
    // Large enough for the log to be moved into the file in most rounds.
    let body = format!("\"{}\"", "x".repeat(4_000));
    for round in 0..rounds {
        let server = Server::start(&data, &[]);
        let url = receiver.url("/");
        let callers = Callers::start(CALLERS, server.address, &url, &body, &book);
        chaos::pause(Duration::from_millis(dice.u64(50..500)));
        let control = data.join(format!("unsynced-{round}"));
        fs::write(&control, "this is not synced").expect("written");
        if let Err(why) = disk.cut() {
            server.kill();
            callers.stop();
            return chaos::skip(&format!("the file system cannot be shut down: {why}"));
        }
        // The dead disk refuses everything: nothing may be acknowledged on it.
        let at_the_cut = book.count();
        chaos::pause(Duration::from_millis(20));
        let settled = book.count();
        chaos::pause(Duration::from_millis(100));
        assert_eq!(book.count(), settled, "acknowledged on a dead disk; {at_the_cut} at the cut");
        server.kill();
        callers.stop();
        disk.unmount().expect("unmounted");
        disk.mount().expect("mounted again, its journal replayed");
        unsynced += usize::from(is_gone(&control));
    }
    assert!(unsynced > rounds / 2, "the harness bites: unsynced files are gone, {unsynced}");
    let accepted = book.count();
    assert!(accepted > 10 * rounds, "hardly anything was accepted: {accepted}");
    let server = Server::start(&data, &[]);
    let repeated = book.assert_delivered(&receiver);
    let log = chaos::log_of(&data);
    assert!(!log.contains("commits are missing"), "a false alarm: {log}");
    server.kill();
    println!(
        "{rounds} losses of power: {accepted} accepted, 0 lost, {repeated} delivered more than \
         once; {unsynced} of {rounds} unsynced files were gone"
    );
}

/// The other proof that the power really goes: on a disk that only says that it synced, accepted
/// deliveries are lost. No software can help that; here it shows what the test above would see.
#[test]
fn a_disk_that_lies_about_syncing_is_found_out_by_this_harness() {
    let disk = match Disk::make(256) {
        Ok(disk) => disk,
        Err(why) => return chaos::skip(&why),
    };
    let tools = tempfile::tempdir().expect("a directory");
    let Some(faults) = Faults::build(tools.path()) else {
        return chaos::skip("there is no C compiler to build the lie with");
    };
    let data = disk.path().join("data");
    fs::create_dir(&data).expect("made");
    // Nothing is delivered before the cut, so that what arrives comes from the disk.
    let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
    let server = Server::start(&data, &[]);
    let pause = format!("/v1/hosts/{}/pause", receiver.host());
    assert_eq!(server.post(&pause, "").status / 100, 2);
    let honest = server.trigger(&receiver.url("/"), "1");
    assert_eq!(server.terminate(), Some(0));
    run("sync", &[]).expect("synced");
    let mut server = Server::launch(&data, &[], |command| faults.under(command));
    server.wait_until_ready();
    faults.set("lie always EIO");
    for number in 0..20 {
        server.trigger(&receiver.url("/"), &number.to_string());
    }
    assert!(faults.fired() > 0, "the disk lied");
    if let Err(why) = disk.cut() {
        server.kill();
        return chaos::skip(&format!("the file system cannot be shut down: {why}"));
    }
    server.kill();
    disk.unmount().expect("unmounted");
    disk.mount().expect("mounted again");
    let server = Server::start(&data, &[]);
    let resume = format!("/v1/hosts/{}/resume", receiver.host());
    assert_eq!(server.post(&resume, "").status / 100, 2);
    server.wait_for(&honest, &["delivered"]);
    let kept = server.get("/v1/deliveries?limit=1000").json()["data"].as_array().map(Vec::len);
    let kept = kept.expect("a list");
    assert!(kept < 21, "all of 21 were there although nothing was synced");
    server.kill();
    println!("{kept} of 21 were left by a disk that lied about 20 of them");
}
