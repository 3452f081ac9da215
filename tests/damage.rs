//! Store files that were cut, flipped, emptied or exchanged: the store opens, or says clearly why
//! not. What it opens with is served or reported, and never served wrong.

mod chaos;
mod process;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::executor::block_on;
use hostline::clock::Clock;
use hostline::model::*;
use hostline::store::embedded::{DATABASE_FILE, EmbeddedStore, OpenError};
use hostline::store::{Acceptance, DeliveryStore, HostStore, QueryStore, StoreLimits};
use process::{Receiver, Server};

/// Cases, each with a damage of its own.
const CASES: u64 = 200;
/// A start over a few hundred kilobytes takes milliseconds, in a debug build.
const OPENING_MAX: Duration = Duration::from_secs(10);
const HOSTS: [&str; 4] = ["a.example", "b.example", "c.example", "d.example"];
/// Deliveries of the store that is damaged: half in the file, half in the log.
const DELIVERIES: u64 = 200;

/// What was logged at level error, and how often anything panicked.
struct Ear {
    errors: Mutex<Vec<String>>,
    panics: AtomicUsize,
}

static EAR: Ear = Ear { errors: Mutex::new(Vec::new()), panics: AtomicUsize::new(0) };

impl log::Log for Ear {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.level() == log::Level::Error {
            self.errors.lock().expect("not poisoned").push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn open(path: &Path) -> Result<Arc<EmbeddedStore>, OpenError> {
    let limits = StoreLimits { max_pending: 100_000 };
    EmbeddedStore::open(path, limits, 4 << 20, Clock::system())
}

/// Opens once the threads of an earlier store on the directory are gone.
fn open_again(path: &Path) -> Result<Arc<EmbeddedStore>, OpenError> {
    let started = Instant::now();
    loop {
        match open(path) {
            Err(OpenError::Locked { .. }) if started.elapsed() < OPENING_MAX => {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            answer => return answer,
        }
    }
}

fn delivery(store: &EmbeddedStore, name: &str, number: u64, dice: &mut fastrand::Rng) -> Delivery {
    let host = HostName::from_normalised(name);
    let accepted = Clock::system().wall();
    let id =
        DeliveryId::new(accepted, block_on(store.number(host.clone())).expect("a number"), number);
    let body: Vec<u8> = (0..1024).map(|_| dice.u8(..)).collect();
    let webhook = Webhook {
        method: Method::Post,
        target: Target::from_vetted(&format!("http://{name}/hook")).expect("a url"),
        headers: Vec::new(),
        body: body.into(),
        secret_refs: Vec::new(),
    };
    Delivery {
        id,
        trigger: id.trigger(),
        host,
        workspace: 0,
        hop: 0,
        provenance: None,
        accepted,
        due: accepted,
        expires: accepted.plus(Duration::from_secs(3600)),
        ttl: Duration::from_secs(3600),
        ttl_custom: number.is_multiple_of(7),
        priority: Priority::Normal,
        ordering_key: number.is_multiple_of(5).then(|| format!("key {}", number % 3)),
        on_failure: OnFailure::Continue,
        metadata: vec![("n".into(), number.to_string())],
        webhook: Arc::new(webhook),
    }
}

/// A directory as a kill leaves it, and what was accepted there and not settled.
struct Template {
    directory: tempfile::TempDir,
    owed: HashMap<DeliveryId, Bytes>,
}

impl Template {
    fn make(hosts: &[&str]) -> Self {
        let living = tempfile::tempdir().expect("a directory");
        let directory = tempfile::tempdir().expect("a directory");
        let mut dice = fastrand::Rng::with_seed(5);
        let mut owed = HashMap::new();
        let mut store = open(living.path()).expect("opened");
        for number in 1..=DELIVERIES {
            if number == DELIVERIES / 2 {
                block_on(store.close()).expect("closed");
                drop(store);
                store = open_again(living.path()).expect("opened");
            }
            let host = hosts[number as usize % hosts.len()];
            let delivery = delivery(&store, host, number, &mut dice);
            owed.insert(delivery.id, delivery.webhook.body.clone());
            let id = delivery.id;
            let acceptance = Acceptance::of(vec![Arc::new(delivery)]);
            block_on(store.accept(acceptance)).expect("accepted");
            if number % 4 == 0 {
                block_on(store.settle(
                    hostline::store::Tenure::SOLE,
                    vec![delivered(id)],
                    Vec::new(),
                ))
                .expect("settled");
                owed.remove(&id);
            }
        }
        // Copied while it lives: that is what a kill leaves.
        copy(living.path(), directory.path());
        Self { directory, owed }
    }
}

fn delivered(id: DeliveryId) -> Settlement {
    let at = Timestamp::from_millis(1_795_503_700_000);
    Settlement { id, verdict: Verdict::End(End::Delivered), at, attempt: None }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        // It holds room and nothing else.
        if entry.file_name() == "hostline.ballast" {
            continue;
        }
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

/// Damages the files of a directory; says how.
fn damage(directory: &Path, case: u64) -> String {
    let mut dice = fastrand::Rng::with_seed(case);
    let file = |suffix: &str| directory.join(format!("{DATABASE_FILE}{suffix}"));
    let any = ["", "-wal", "-shm"][dice.usize(..3)];
    match case % 14 {
        0 => cut(&file(""), &mut dice),
        1 => cut(&file("-wal"), &mut dice),
        2 | 3 => flip(&file(""), 0..u64::MAX, &mut dice),
        4 => flip(&file("-wal"), 0..u64::MAX, &mut dice),
        5 => flip(&file("-shm"), 0..u64::MAX, &mut dice),
        6 => flip(&file(""), 0..100, &mut dice),
        7 => flip(&file("-wal"), 0..32, &mut dice),
        8 => zero_pages(&file(""), &mut dice),
        9 => {
            let suffix = ["-wal", "-shm"][dice.usize(..2)];
            fs::remove_file(file(suffix)).expect("removed");
            format!("{suffix} deleted")
        }
        10 => {
            fs::write(file(any), "").expect("written");
            format!("{any} emptied")
        }
        11 => {
            fs::remove_file(file(any)).expect("removed");
            fs::create_dir(file(any)).expect("made");
            format!("{any} a directory")
        }
        12 => cut(&file("-shm"), &mut dice),
        _ => flip(&directory.join("hostline.commits"), 0..u64::MAX, &mut dice),
    }
}

fn cut(file: &Path, dice: &mut fastrand::Rng) -> String {
    let length = fs::metadata(file).expect("there").len();
    let to = dice.u64(..length);
    let open = fs::OpenOptions::new().write(true).open(file).expect("opened");
    open.set_len(to).expect("cut");
    format!("{} cut from {length} to {to}", file.display())
}

fn flip(file: &Path, range: std::ops::Range<u64>, dice: &mut fastrand::Rng) -> String {
    let open = fs::OpenOptions::new().read(true).write(true).open(file).expect("opened");
    let end = open.metadata().expect("there").len().min(range.end);
    let bytes = dice.u64(1..=64);
    for _ in 0..bytes {
        let at = dice.u64(range.start..end);
        let mut byte = [0];
        open.read_exact_at(&mut byte, at).expect("read");
        open.write_all_at(&[byte[0] ^ dice.u8(1..)], at).expect("written");
    }
    format!("{} with {bytes} bytes of its first {end} flipped", file.display())
}

fn zero_pages(file: &Path, dice: &mut fastrand::Rng) -> String {
    let open = fs::OpenOptions::new().write(true).open(file).expect("opened");
    let pages = open.metadata().expect("there").len() / 4096;
    let zeroed: Vec<u64> = (0..dice.u64(1..=4)).map(|_| dice.u64(..pages)).collect();
    for page in &zeroed {
        open.write_all_at(&[0; 4096], page * 4096).expect("written");
    }
    format!("{} with pages {zeroed:?} of {pages} zeroed", file.display())
}

/// What a walk over a store found.
#[derive(Default)]
struct Walk {
    served: HashMap<DeliveryId, Bytes>,
    /// Whether an operation failed, which the engine logs.
    failed: bool,
}

/// Everything that the engine would send, and what it would wait for.
fn walk(store: &EmbeddedStore) -> Walk {
    let mut walk = Walk::default();
    let Ok(wakeups) = block_on(store.wakeups(hostline::model::ShardSet::ALL, None, 100)) else {
        return Walk { failed: true, ..walk };
    };
    for wakeup in wakeups {
        let page = block_on(store.page(wakeup.number, None, 1_000));
        walk.failed |= page.is_err();
        let ids = page
            .unwrap_or_default()
            .into_iter()
            .flat_map(|page| page.rows)
            .map(|row| row.id)
            .collect();
        let webhooks = block_on(store.fetch(ids));
        walk.failed |= webhooks.is_err();
        let webhooks = webhooks.unwrap_or_default();
        walk.served.extend(webhooks.into_iter().map(|(id, webhook)| (id, webhook.body.clone())));
    }
    walk
}

/// Parked deliveries wait for their heads: they are there, and counted.
fn parked(store: &EmbeddedStore, owed: &HashMap<DeliveryId, Bytes>) -> HashSet<DeliveryId> {
    let is_parked = |id: &&DeliveryId| {
        let found = block_on(store.find(**id)).ok().flatten();
        found.is_some_and(|found| found.state == StoredState::Parked)
    };
    owed.keys().filter(is_parked).copied().collect()
}

#[derive(Debug, Default)]
struct Tally {
    refused: usize,
    whole: usize,
    reported: usize,
}

fn run(template: &Template, case: u64, tally: &mut Tally) {
    let directory = tempfile::tempdir().expect("a directory");
    copy(template.directory.path(), directory.path());
    let damage = damage(directory.path(), case);
    EAR.errors.lock().expect("not poisoned").clear();
    let started = Instant::now();
    let opened = open(directory.path());
    assert!(started.elapsed() < OPENING_MAX, "case {case}: {damage}: {:?}", started.elapsed());
    let store = match opened {
        Ok(store) => store,
        Err(error) => {
            let said = error.to_string();
            let path = directory.path().display().to_string();
            let is_clear = said.contains(&path) || matches!(error, OpenError::Newer { .. });
            assert!(is_clear, "case {case}: {damage}: {said}");
            tally.refused += 1;
            return;
        }
    };
    let parked = parked(&store, &template.owed);
    let walk = walk(&store);
    for (id, body) in &walk.served {
        if let Some(sent) = template.owed.get(id) {
            assert!(sent == body, "case {case}: {damage}: {id} is served with another body");
        }
    }
    let is_missing = |id: &&DeliveryId| !walk.served.contains_key(id) && !parked.contains(id);
    let missing = template.owed.keys().filter(is_missing).count();
    let mut dice = fastrand::Rng::with_seed(case);
    if block_on(store.number(HostName::from_normalised(HOSTS[0]))).is_ok() {
        let delivery = delivery(&store, HOSTS[0], DELIVERIES + 1, &mut dice);
        let acceptance = Acceptance::of(vec![Arc::new(delivery)]);
        let _refused = block_on(store.accept(acceptance));
    }
    let settlements = walk.served.keys().map(|id| delivered(*id)).collect();
    let _refused = block_on(store.settle(hostline::store::Tenure::SOLE, settlements, Vec::new()));
    let errors = EAR.errors.lock().expect("not poisoned").clone();
    let is_loud = walk.failed || !errors.is_empty();
    assert!(missing == 0 || is_loud, "case {case}: {damage}: {missing} lost in silence");
    match missing {
        0 => tally.whole += 1,
        _ => tally.reported += 1,
    }
    let _closed = block_on(store.close());
}

#[test]
fn damaged_files_are_refused_or_reported_and_never_served_wrong() {
    log::set_logger(&EAR).expect("the only logger");
    log::set_max_level(log::LevelFilter::Error);
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        EAR.panics.fetch_add(1, Ordering::Relaxed);
        print(panic);
    }));
    let template = Template::make(&HOSTS);
    let mut tally = Tally::default();
    let cases = if chaos::long() { 0..20 * CASES } else { 0..CASES };
    for case in cases {
        run(&template, case, &mut tally);
        assert_eq!(EAR.panics.load(Ordering::Relaxed), 0, "case {case} panicked");
    }
    println!("{tally:?} (refused to open; opened with all; opened with less, and said so)");
}

/// More than is looked through before a start serves.
const LARGE_BYTES: u64 = 80 << 20;

#[test]
fn a_large_store_is_looked_through_while_it_serves() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path()).expect("opened");
    let mut dice = fastrand::Rng::with_seed(3);
    let model = delivery(&store, HOSTS[0], 1, &mut dice);
    let webhook = Webhook { body: vec![7; 32 << 10].into(), ..(*model.webhook).clone() };
    let webhook = Arc::new(webhook);
    for batch in 0..LARGE_BYTES / (32 << 10) / 100 {
        let of_batch = |number| {
            let id = DeliveryId::new(model.accepted, model.id.host(), 1 + batch * 100 + number);
            let trigger = id.trigger();
            Arc::new(Delivery { id, trigger, webhook: webhook.clone(), ..model.clone() })
        };
        let deliveries = (0..100).map(of_batch).collect();
        block_on(store.accept(Acceptance::of(deliveries))).expect("accepted");
    }
    block_on(store.close()).expect("closed");
    drop(store);
    drop(open_again(directory.path()).expect("a sound one is opened"));
    // A copy is damaged: the look through the sound one may not have heard yet that it is over.
    let (sound, directory) = (directory, tempfile::tempdir().expect("a directory"));
    for entry in fs::read_dir(sound.path()).expect("readable") {
        let entry = entry.expect("readable");
        fs::copy(entry.path(), directory.path().join(entry.file_name())).expect("copied");
    }
    let path = directory.path().join(DATABASE_FILE);
    let root = {
        let sound = rusqlite::Connection::open(&path).expect("opened");
        // No query of a start reads it, so that only the look through the file meets it.
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'delivery_trigger'";
        let root: i64 = sound.query_row(sql, [], |row| row.get(0)).expect("an index");
        root.unsigned_abs()
    };
    let file = fs::OpenOptions::new().write(true).open(&path).expect("opened");
    file.write_all_at(&[0; 4096], (root - 1) * 4096).expect("written");
    let started = Instant::now();
    let store = open_again(directory.path()).expect("opened at once");
    let opened = started.elapsed();
    chaos::wait_until("the damage was found", || store.health().lost.is_some());
    println!("{LARGE_BYTES} bytes opened in {opened:?}, damage found {:?}", started.elapsed());
    let _closed = block_on(store.close());
    drop(store);
    for _ in 0..2 {
        let refused = open_again(directory.path()).err().expect("refused");
        assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
        assert!(refused.to_string().contains(".recover"), "{refused}");
    }
}

/// How a process over a damaged store ended, or that it serves.
enum Fate {
    Ready(Server),
    Refused,
}

/// Starts over a directory and waits until it is ready, or was refused in clear words.
fn start(directory: &Path, what: &str) -> Fate {
    let mut server = Server::launch(directory, &[], |_| {});
    let mut ended = None;
    chaos::wait_until(&format!("ready or ended: {what}"), || {
        ended = server.ended();
        ended.is_some() || server.is_ready()
    });
    let Some(status) = ended else { return Fate::Ready(server) };
    let log = chaos::log_of(directory);
    assert_eq!(status.code(), Some(2), "{what}: {log}");
    let last = log.lines().last().unwrap_or_default();
    let is_clear = last.starts_with("error: store:") && last.contains("hostline.");
    assert!(is_clear || last.contains("newer release"), "{what}: {log}");
    Fate::Refused
}

#[test]
fn the_server_over_damaged_files_serves_what_is_there_or_ends_with_2() {
    let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
    let template = Template::make(&[&receiver.host()]);
    let (mut refused, mut whole, mut reported) = (0, 0, 0);
    for case in 0..14 {
        let directory = tempfile::tempdir().expect("a directory");
        copy(template.directory.path(), directory.path());
        let damage = damage(directory.path(), case);
        let before = receiver.count();
        let Fate::Ready(mut server) = start(directory.path(), &damage) else {
            refused += 1;
            continue;
        };
        let missing = || {
            receiver.with_arrivals(|arrivals| {
                let sent: HashSet<&str> =
                    arrivals[before..].iter().map(|arrival| arrival.id.as_str()).collect();
                template.owed.keys().filter(|id| !sent.contains(id.to_string().as_str())).count()
            })
        };
        let is_loud = || chaos::log_of(directory.path()).contains("ERROR");
        chaos::wait_until(&format!("{damage}: all sent, or a report"), || {
            missing() == 0 || is_loud()
        });
        if missing() == 0 {
            whole += 1
        } else {
            reported += 1
        }
        if let Some(status) = server.ended() {
            assert_eq!(status.code(), Some(70), "{damage}");
            let again = start(directory.path(), &damage);
            assert!(matches!(again, Fate::Refused), "{damage}: a crash loop");
        }
    }
    receiver.with_arrivals(|arrivals| {
        for arrival in arrivals {
            let id = arrival.id.parse().expect("an id");
            let body = template.owed.get(&id).is_none_or(|body| *body == arrival.body);
            assert!(body, "{id} was sent with another body");
        }
    });
    println!("{refused} refused, {whole} served whole, {reported} served in part and said so");
}

#[test]
fn damage_met_while_running_ends_the_process_once_and_not_in_circles() {
    let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
    let data = tempfile::tempdir().expect("a directory");
    let mut server = Server::start(data.path(), &["store.cache=1MiB"]);
    let pause = format!("/v1/hosts/{}/pause", receiver.host());
    assert_eq!(server.post(&pause, "").status / 100, 2);
    for number in 0..50 {
        server.trigger(&receiver.url("/"), &number.to_string());
    }
    assert_eq!(server.terminate(), Some(0));
    server = Server::start(data.path(), &["store.cache=1MiB"]);
    let file = fs::OpenOptions::new().write(true).open(data.path().join(DATABASE_FILE));
    let file = file.expect("opened");
    let length = file.metadata().expect("there").len();
    assert!(length > 8192, "all is in the file: {length}");
    file.write_all_at(&vec![0x5a; length as usize - 4096], 4096).expect("written");
    let resume = format!("/v1/hosts/{}/resume", receiver.host());
    let _answered = process::try_request(server.address, "POST", &resume, &[], b"");
    let mut ended = None;
    chaos::wait_until("the damage was met", || {
        let _answered = chaos::trigger(server.address, &receiver.url("/"), "1");
        ended = server.ended();
        ended.is_some()
    });
    let log = chaos::log_of(data.path());
    assert_eq!(ended.expect("ended").code(), Some(70), "{log}");
    let lines = log.lines().filter(|line| line.contains("damaged and given up")).count();
    assert_eq!(lines, 1, "{log}");
    for _ in 0..2 {
        assert!(matches!(start(data.path(), "met while running"), Fate::Refused));
    }
    assert_eq!(receiver.count(), 0, "nothing was sent from a damaged store");
}

#[test]
fn a_damaged_row_is_named_and_stops_no_other() {
    let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &[]);
    let control = |server: &Server, verb: &str| {
        let answer = server.post(&format!("/v1/hosts/{}/{verb}", receiver.host()), "");
        assert_eq!(answer.status / 100, 2, "{}", answer.text());
    };
    control(&server, "pause");
    let ids: Vec<String> =
        (0..20).map(|number| server.trigger(&receiver.url("/"), &number.to_string())).collect();
    assert_eq!(server.terminate(), Some(0));
    let file = rusqlite::Connection::open(data.path().join(DATABASE_FILE)).expect("opened");
    for damage in [
        "UPDATE body SET bytes = x'39' WHERE seq = 1",
        "UPDATE delivery SET head = '{' WHERE seq = 5",
        "UPDATE delivery SET id = x'00' WHERE seq = 9",
    ] {
        assert_eq!(file.execute(damage, []).expect("damaged"), 1);
    }
    drop(file);

    let mut server = Server::start(data.path(), &[]);
    control(&server, "resume");
    receiver.wait_for(17);
    let busy = chaos::cpu_time(server.id());
    chaos::pause(Duration::from_secs(1));
    let spent = chaos::cpu_time(server.id()) - busy;
    assert!(spent < Duration::from_millis(500), "spins on what it cannot read: {spent:?} in 1 s");
    assert_eq!(receiver.count(), 17, "what is damaged is not sent");
    assert_eq!(server.ended(), None);
    let log = chaos::log_of(data.path());
    for name in [&format!("delivery {}", ids[0]), &format!("delivery {}", ids[4]), "seq 9"] {
        let lines = log.lines().filter(|line| line.contains(name) && line.contains("damaged"));
        assert_eq!(lines.count(), 1, "{name} is named once: {log}");
    }
    assert_eq!(server.get("/v1/stats").json()["store"]["damaged_rows"], 3);
}

#[test]
fn a_store_without_permission_is_refused() {
    let data = tempfile::tempdir().expect("a directory");
    drop(Server::start(data.path(), &[]));
    let permit = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
    };
    permit(data.path(), 0o755);
    permit(&data.path().join(DATABASE_FILE), 0o000);
    // Root may read everything, so the server runs as nobody there.
    let mut server = Server::launch(data.path(), &[], |command| {
        if chaos::is_root() {
            command.uid(65_534);
        }
    });
    let mut ended = None;
    chaos::wait_until("refused", || {
        ended = server.ended();
        ended.is_some()
    });
    let log = chaos::log_of(data.path());
    assert_eq!(ended.expect("ended").code(), Some(2), "{log}");
    assert!(log.lines().last().is_some_and(|line| line.contains("store.path")), "{log}");
}

#[test]
fn a_second_process_on_the_directory_is_refused_and_the_first_goes_on() {
    let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
    let data = tempfile::tempdir().expect("a directory");
    let first = Server::start(data.path(), &[]);
    let mut second = Server::launch(data.path(), &[], |_| {});
    let mut ended = None;
    chaos::wait_until("refused", || {
        ended = second.ended();
        ended.is_some()
    });
    assert_eq!(ended.expect("ended").code(), Some(2));
    let log = chaos::log_of(data.path());
    assert!(log.contains("in use: another process has locked it"), "{log}");
    let id = first.trigger(&receiver.url("/"), "1");
    first.wait_for(&id, &["delivered"]);
    assert_eq!(first.terminate(), Some(0));
}
