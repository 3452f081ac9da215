//! A disk that fails, once or for good: what could not be made durable is never answered 202, what
//! was answered 202 is delivered, and the process neither spins nor restarts itself.
//!
//! The faults are put under the real binary by a small library (tests/faults/preload.c).

mod chaos;
mod process;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chaos::{Book, Callers, Disk, Faults};
use process::{Receiver, Server};

/// Callers that trigger all the time.
const CALLERS: usize = 4;
/// Triggers sent while the disk is broken, one after another.
const TRIES: usize = 20;
/// Exit code of a process that gave its store up.
const GAVE_UP: i32 = 70;

/// A server on a disk that can be broken, with callers, and a receiver that gets it all.
struct Scene {
    data: tempfile::TempDir,
    _tools: tempfile::TempDir,
    faults: Faults,
    receiver: Receiver,
    book: Arc<Book>,
}

impl Scene {
    fn new() -> Option<Self> {
        let tools = tempfile::tempdir().expect("a directory");
        let Some(faults) = Faults::build(tools.path()) else {
            chaos::skip("there is no C compiler to build the faults with");
            return None;
        };
        Some(Self {
            data: tempfile::tempdir().expect("a directory"),
            _tools: tools,
            faults,
            receiver: Receiver::start(|_| (200, "", Duration::ZERO)),
            book: Arc::default(),
        })
    }

    fn launch(&self) -> Server {
        Server::launch(self.data.path(), &[], |command| self.faults.under(command))
    }

    fn start(&self) -> Server {
        let mut server = self.launch();
        server.wait_until_ready();
        server
    }

    fn callers(&self, server: &Server) -> Callers {
        Callers::start(CALLERS, server.address, &self.receiver.url("/"), "1", &self.book)
    }

    fn wait_for_more(&self, what: &str, more: usize) {
        let before = self.book.count();
        chaos::wait_until(what, || self.book.count() >= before + more);
    }

    /// Starts on the healthy disk and sees everything that was answered 202 arrive.
    fn assert_nothing_lost(&self, fault: &str) {
        let _server = Server::start(self.data.path(), &[]);
        let repeated = self.book.assert_delivered(&self.receiver);
        self.book.assert_orderly();
        println!(
            "{fault}: {} accepted, 0 lost, {} refused, {repeated} delivered more than once",
            self.book.count(),
            self.book.refused()
        );
    }
}

#[test]
fn one_failure_of_the_disk_is_survived_without_a_restart() {
    for fault in [
        "fsync once EIO",
        "fsync once ENOSPC",
        "write once EIO",
        "write once ENOSPC",
        "torn once EIO",
        "short once EIO",
        "read once EIO",
    ] {
        let Some(scene) = Scene::new() else { return };
        let mut server = scene.start();
        let callers = scene.callers(&server);
        scene.wait_for_more("accepting before the fault", 20);
        scene.faults.set(fault);
        chaos::wait_until("the fault took place", || {
            assert_eq!(server.ended(), None, "{fault}");
            // Reads come from the cache of the engine, so one is provoked.
            let _answered = server.get("/v1/deliveries?limit=1000");
            scene.faults.fired() > 0
        });
        scene.wait_for_more("accepting again after the fault", 20);
        assert_eq!(server.ended(), None, "{fault}");
        callers.stop();
        // A commit in doubt is counted once, whatever became of it.
        chaos::wait_until("nothing is owed any more", || {
            let deliveries = server.get("/v1/stats").json()["deliveries"].clone();
            deliveries["pending"] == 0 && deliveries["accepted"] == deliveries["delivered"]
        });
        server.kill();
        scene.assert_nothing_lost(fault);
    }
}

#[test]
fn nothing_is_acknowledged_on_a_disk_that_fails_for_good() {
    for fault in [
        "fsync always EIO",
        "write always EIO",
        "write always ENOSPC",
        "torn always EIO",
        "short always EIO",
    ] {
        let Some(scene) = Scene::new() else { return };
        let mut server = scene.start();
        let callers = scene.callers(&server);
        scene.wait_for_more("accepting before the fault", 20);
        callers.stop();
        scene.faults.set(fault);
        let before = scene.book.count();
        for _ in 0..TRIES {
            match chaos::trigger(server.address, &scene.receiver.url("/"), "2") {
                Ok(answer) => scene.book.note(&answer),
                Err(_) => break,
            }
        }
        assert_eq!(scene.book.count(), before, "{fault}: acknowledged on a broken disk");
        assert!(scene.faults.fired() > 0, "{fault}");
        let ended = server.ended();
        match ended {
            // Up, it takes triggers again by itself once the disk is well.
            None => {
                let busy = chaos::cpu_time(server.id());
                chaos::pause(Duration::from_secs(1));
                let spent = chaos::cpu_time(server.id()) - busy;
                assert!(spent < Duration::from_millis(500), "{fault}: spins, {spent:?} in 1 s");
                scene.faults.clear();
                let callers = scene.callers(&server);
                scene.wait_for_more("accepting on the mended disk", 20);
                server.kill();
                callers.stop();
            }
            Some(status) => assert_eq!(status.code(), Some(GAVE_UP), "{fault}"),
        }
        scene.assert_nothing_lost(&format!("{fault} (ended: {ended:?})"));
    }
}

#[test]
fn faults_that_come_and_go_under_load_lose_nothing() {
    const FAULTS: [&str; 8] = [
        "fsync always EIO",
        "write always EIO",
        "write always ENOSPC",
        "torn always EIO",
        "short always EIO",
        "read always EIO",
        "fsync once EIO",
        "torn once ENOSPC",
    ];
    let rounds = if chaos::long() { 200 } else { 10 };
    let mut dice = fastrand::Rng::with_seed(11);
    let Some(scene) = Scene::new() else { return };
    for _ in 0..rounds {
        let mut server = scene.start();
        let callers = scene.callers(&server);
        for _ in 0..3 {
            chaos::pause(Duration::from_millis(dice.u64(5..100)));
            scene.faults.set(FAULTS[dice.usize(..FAULTS.len())]);
            chaos::pause(Duration::from_millis(dice.u64(5..100)));
            scene.faults.clear();
        }
        if let Some(status) = server.ended() {
            assert_eq!(status.code(), Some(GAVE_UP));
        } else {
            server.kill();
        }
        callers.stop();
    }
    scene.assert_nothing_lost(&format!("{rounds} rounds of three faults and a kill"));
}

#[test]
fn a_start_on_a_broken_disk_serves_or_says_why_not() {
    for fault in ["fsync always EIO", "write always EIO", "write always ENOSPC", "read always EIO"]
    {
        let Some(scene) = Scene::new() else { return };
        let server = scene.start();
        let callers = scene.callers(&server);
        scene.wait_for_more("accepting before the fault", 20);
        server.kill();
        callers.stop();
        scene.faults.set(fault);
        let mut server = scene.launch();
        let mut ended = None;
        chaos::wait_until("ready or ended", || {
            ended = server.ended();
            ended.is_some() || server.is_ready()
        });
        if let Some(status) = ended {
            assert_eq!(status.code(), Some(2), "{fault}");
            let log = chaos::log_of(scene.data.path());
            let last = log.lines().last().unwrap_or_default();
            assert!(last.contains("hostline.db"), "{fault}: {log}");
        } else {
            let answer = chaos::trigger(server.address, &scene.receiver.url("/"), "2");
            let refused = answer.map_or(true, |answer| answer.status == 503);
            assert!(refused || fault.starts_with("read"), "{fault}");
        }
        drop(server);
        scene.faults.clear();
        scene.assert_nothing_lost(&format!("start with {fault} (ended: {ended:?})"));
    }
}

/// Holds room on the small disk that is freed later, as a person would.
const FILLER_BYTES: usize = 16 << 20;
/// Refusals for so long show the disk full: room in the log is found again within a second.
const FULL_AFTER: Duration = Duration::from_secs(3);

#[test]
fn a_full_disk_refuses_settles_what_it_took_and_goes_on_when_there_is_room() {
    let disk = match Disk::make(40) {
        Ok(disk) => disk,
        Err(why) => return chaos::skip(&why),
    };
    let data = disk.path().join("data");
    std::fs::create_dir(&data).expect("made");
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![0; FILLER_BYTES]).expect("room for it");
    let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
    let book: Arc<Book> = Arc::default();
    let mut server = Server::start(&data, &[]);
    let host = |verb: &str| format!("/v1/hosts/{}/{verb}", receiver.host());
    assert_eq!(server.post(&host("pause"), "").status / 100, 2);

    let body = format!("\"{}\"", "x".repeat(8_000));
    let mut last_accepted = Instant::now();
    while last_accepted.elapsed() < FULL_AFTER {
        let before = book.count();
        let answer = chaos::trigger(server.address, &receiver.url("/"), &body);
        book.note(&answer.expect("an answer"));
        if book.count() > before {
            last_accepted = Instant::now();
        } else {
            chaos::pause(Duration::from_millis(20));
        }
    }
    book.assert_orderly();
    let accepted = book.count();
    assert!(!server.is_ready(), "a full disk is told by /readyz");

    assert_eq!(server.post(&host("resume"), "").status / 100, 2, "room for what operators ask");
    let repeated = book.assert_delivered(&receiver);
    chaos::wait_until("all outcomes are written on the full disk", || {
        server.get("/v1/stats").json()["deliveries"]["delivered"] == accepted
    });
    let answer = chaos::trigger(server.address, &receiver.url("/"), &body).expect("an answer");
    assert_eq!(answer.status, 503, "room for outcomes is not given to triggers");

    std::fs::remove_file(filler).expect("removed");
    chaos::wait_until("ready again by itself", || server.is_ready());
    server.trigger(&receiver.url("/"), &body);
    assert_eq!(server.ended(), None);
    server.kill();
    let server = Server::start(&data, &[]);
    let after = server.get("/v1/stats").json();
    assert_eq!(after["deliveries"]["accepted"], accepted + 1);
    server.kill();
    println!("full after {accepted}, all settled on the full disk, {repeated} sent twice");
}
