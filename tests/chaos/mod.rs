//! What the tests under fire share: callers that trigger all the time and remember what was
//! answered 202, and the proof that all of it arrives.

#![allow(dead_code)] // each test file uses its part

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::process::{Answer, PATIENCE, Receiver, try_request};

/// Pause of a caller between two triggers: the load shall be steady, not a test of speed.
const PACE: Duration = Duration::from_millis(2);

/// Whether the long variants run (`scripts/chaos`).
pub fn long() -> bool {
    std::env::var_os("HOSTLINE_LONG").is_some()
}

/// Waits until something holds; says what did not.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "still not: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Lets time pass.
pub fn pause(length: Duration) {
    let started = Instant::now();
    while let Some(rest) = length.checked_sub(started.elapsed()).filter(|rest| !rest.is_zero()) {
        std::thread::park_timeout(rest);
    }
}

/// Prints why a test does nothing here.
pub fn skip(why: &str) {
    println!("skipped: {why}");
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The server's log, whole.
pub fn log_of(data: &Path) -> String {
    std::fs::read_to_string(data.join("log")).unwrap_or_default()
}

/// Sends one trigger of a POST with `body` to `url`.
pub fn trigger(address: SocketAddr, url: &str, body: &str) -> std::io::Result<Answer> {
    let trigger = format!(r#"{{"webhook":{{"url":"{url}","body":{body}}}}}"#);
    let headers = [("content-type", "application/json")];
    try_request(address, "POST", "/v1/triggers", &headers, trigger.as_bytes())
}

/// The id of the one delivery of a trigger that was answered 202.
pub fn id_of(answer: &Answer) -> String {
    let id = answer.json()["deliveries"][0]["id"].clone();
    id.as_str().expect("an id").to_owned()
}

/// What callers were answered, over all servers that they called.
#[derive(Default)]
pub struct Book {
    accepted: Mutex<HashSet<String>>,
    /// Refused with 503 and `Retry-After`.
    pub refused: AtomicU64,
    /// Answers that are neither: each is a fault.
    pub strange: Mutex<Vec<String>>,
}

impl Book {
    pub fn accepted(&self) -> HashSet<String> {
        self.accepted.lock().expect("not poisoned").clone()
    }

    pub fn count(&self) -> usize {
        self.accepted.lock().expect("not poisoned").len()
    }

    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Notes an answer.
    pub fn note(&self, answer: &Answer) {
        match answer.status {
            202 => {
                self.accepted.lock().expect("not poisoned").insert(id_of(answer));
            }
            503 if answer.headers.contains_key("retry-after") => {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            status => {
                let strange = format!("{status} {}", answer.text());
                self.strange.lock().expect("not poisoned").push(strange);
            }
        }
    }

    /// Nothing but 202 and 503 with `Retry-After` was answered.
    pub fn assert_orderly(&self) {
        let strange = self.strange.lock().expect("not poisoned");
        assert!(strange.is_empty(), "{strange:?}");
    }

    /// Waits until everything accepted has arrived; answers how many ids arrived more than once.
    pub fn assert_delivered(&self, receiver: &Receiver) -> usize {
        let accepted = self.accepted();
        let started = Instant::now();
        let mut missing = accepted.clone();
        while !missing.is_empty() {
            receiver.with_arrivals(|arrivals| {
                for arrival in arrivals {
                    missing.remove(&arrival.id);
                }
            });
            let patience = started.elapsed() < PATIENCE;
            assert!(patience, "{} of {} lost: {missing:?}", missing.len(), accepted.len());
            std::thread::park_timeout(Duration::from_millis(50));
        }
        let mut times: HashMap<String, usize> = HashMap::new();
        receiver.with_arrivals(|arrivals| {
            for arrival in arrivals {
                *times.entry(arrival.id.clone()).or_default() += 1;
            }
        });
        times.values().filter(|count| **count > 1).count()
    }
}

/// Callers that trigger until they are stopped, or until nobody answers them any more.
pub struct Callers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Callers {
    pub fn start(
        count: usize,
        address: SocketAddr,
        url: &str,
        body: &str,
        book: &Arc<Book>,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let call = |_| {
            let (stop, book) = (stop.clone(), book.clone());
            let (url, body) = (url.to_owned(), body.to_owned());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let Ok(answer) = trigger(address, &url, &body) else { return };
                    book.note(&answer);
                    std::thread::park_timeout(PACE);
                }
            })
        };
        Self { threads: (0..count).map(call).collect(), stop }
    }

    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("callers do not panic");
        }
    }
}

/// The library that breaks the disk, and its control file.
pub struct Faults {
    library: PathBuf,
    path: PathBuf,
    control: File,
}

impl Faults {
    /// `None` where there is no C compiler.
    pub fn build(directory: &Path) -> Option<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/preload.c");
        let library = directory.join("preload.so");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
        let built = compiler.arg(&library).arg(source).arg("-ldl").status().ok()?;
        assert!(built.success(), "the library of faults is not valid C");
        let path = directory.join("control");
        let control = OpenOptions::new().create_new(true).read(true).write(true).open(&path);
        let control = control.expect("a control file");
        control.write_all_at(&[0; 128], 0).expect("written");
        Some(Self { library, path, control })
    }

    pub fn under(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("HOSTLINE_FAULTS", &self.path);
    }

    pub fn set(&self, fault: &str) {
        let mut text = [0; 128];
        text[..fault.len()].copy_from_slice(fault.as_bytes());
        self.control.write_all_at(&text, 0).expect("written");
    }

    pub fn clear(&self) {
        self.set("");
    }

    pub fn fired(&self) -> u32 {
        let mut bytes = [0; 4];
        self.control.read_exact_at(&mut bytes, 64).expect("read");
        u32::from_ne_bytes(bytes)
    }
}

/// EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH, given to the directory that is its argument.
const SHUTDOWN: &str = "import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";

/// A file system in a file, mounted; unmounted when dropped.
pub struct Disk {
    directory: tempfile::TempDir,
}

impl Disk {
    /// One of so many MiB; says why where it cannot be had.
    pub fn make(mib: u32) -> Result<Self, String> {
        if !is_root() {
            return Err("mounting a file system needs root".into());
        }
        let disk = Self { directory: tempfile::tempdir().expect("a directory") };
        fs::create_dir(disk.path()).expect("made");
        run("truncate", &["-s", &format!("{mib}M"), &disk.image()])?;
        run("mkfs.ext4", &["-q", "-F", &disk.image()])?;
        disk.mount()?;
        Ok(disk)
    }

    fn image(&self) -> String {
        self.directory.path().join("image").display().to_string()
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("mounted")
    }

    pub fn mount(&self) -> Result<(), String> {
        run("mount", &["-o", "loop", &self.image(), &self.path().display().to_string()])
    }

    pub fn unmount(&self) -> Result<(), String> {
        run("umount", &[&self.path().display().to_string()])
    }

    /// The power goes.
    pub fn cut(&self) -> Result<(), String> {
        run("python3", &["-c", SHUTDOWN, &self.path().display().to_string()])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A server that still runs is killed before; where it is not mounted there is nothing to do.
        let _unmounted = self.unmount();
    }
}

/// Runs a program to its end.
pub fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Processor time of a process, from `/proc`.
pub fn cpu_time(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
    let after_name = stat.rsplit(')').next().expect("a name in brackets");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = [11, 12].map(|field| fields[field].parse::<u64>().expect("a number"));
    // Linux counts in hundredths of a second.
    Duration::from_millis(10 * ticks.iter().sum::<u64>())
}
