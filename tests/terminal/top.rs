//! `hostline top`: one frame in a pipe, JSON, and the full screen on a terminal that is played here.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use super::process::PATIENCE;
use super::{House, command, eventually};

/// What a terminal is told when its screen is given back.
const GIVEN_BACK: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// A terminal with `top` on it.
struct Terminal {
    keys: File,
    screen: OwnedFd,
    seen: Arc<Mutex<String>>,
    child: Child,
    before: Termios,
}

impl Terminal {
    fn start(args: &[&str]) -> Self {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&keys).and_then(|()| unlockpt(&keys)).expect("our own terminal");
        let name = ptsname(&keys, Vec::new()).expect("its name");
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let screen = rustix::fs::open(&name, flags, Mode::empty()).expect("its other side");
        let size = Winsize { ws_row: 20, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&screen, size).expect("a size");
        let before = tcgetattr(&screen).expect("its modes");
        let side = || Stdio::from(screen.try_clone().expect("a descriptor"));
        let mut command = command(args);
        command.env("TERM", "xterm-256color").stdin(side()).stdout(side()).stderr(side());
        let child = command.spawn().expect("the program starts");
        let keys = File::from(keys);
        let seen: Arc<Mutex<String>> = Arc::default();
        let (mut reading, sink) = (keys.try_clone().expect("a descriptor"), seen.clone());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = reading.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                sink.lock().expect("not poisoned").push_str(&text);
            }
        });
        Self { keys, screen, seen, child, before }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("somebody reads");
    }

    /// Waits until this has been shown since `from`; answers where it ends.
    fn wait_for(&mut self, part: &str, from: usize) -> usize {
        let started = Instant::now();
        loop {
            let seen = self.seen.lock().expect("not poisoned").clone();
            if let Some(at) = seen.get(from..).and_then(|seen| seen.find(part)) {
                return from + at + part.len();
            }
            let last = seen.rfind("\x1b[H").map_or(&*seen, |at| &seen[at..]);
            assert!(started.elapsed() < PATIENCE, "{part:?} is not shown: {last:?}");
            thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Waits for its end; all modes are as they were, and the screen was given back last.
    fn ended(mut self) -> Option<i32> {
        let code = self.child.wait().expect("it ends").code();
        self.wait_for(GIVEN_BACK, 0);
        let after = tcgetattr(&self.screen).expect("its modes");
        assert_eq!(after.local_modes, self.before.local_modes);
        assert_eq!(after.input_modes, self.before.input_modes);
        assert_eq!(after.output_modes, self.before.output_modes);
        assert!(self.seen.lock().expect("not poisoned").ends_with(GIVEN_BACK));
        code
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn top_fills_the_screen_obeys_keys_and_gives_the_screen_back() {
    let house = House::new();
    house.held();
    house.failed();
    let host = house.good.host();
    let mut terminal = Terminal::start(&["top", "--server", &house.url]);
    terminal.wait_for("\x1b[?1049h", 0);
    let shown = terminal.wait_for(&host, 0);
    terminal.press("/paws");
    let shown = terminal.wait_for("no host actor is like that", shown);
    terminal.press("\x1b");
    let shown = terminal.wait_for(&host, shown);
    terminal.press("sp");
    let shown = terminal.wait_for("frozen", shown);
    terminal.press("p/");
    terminal.press(&host);
    terminal.press("\r\r");
    terminal.wait_for("in flight    0 of", shown);
    terminal.press("q");
    assert_eq!(terminal.ended(), Some(0));
}

#[test]
fn top_gives_the_screen_back_after_a_signal() {
    let house = House::new();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut terminal = Terminal::start(&["top", "--server", &house.url]);
        terminal.wait_for("hostline top", 0);
        kill_process(Pid::from_child(&terminal.child), signal).expect("it runs");
        assert_eq!(terminal.ended(), Some(0), "{signal:?}");
    }
}

#[test]
fn top_says_a_refusal_without_taking_the_screen() {
    let nobody = format!("http://127.0.0.1:{}", super::process::free_port());
    let mut terminal = Terminal::start(&["top", "--server", &nobody]);
    terminal.wait_for("cannot be reached", 0);
    assert_eq!(terminal.child.wait().expect("it ends").code(), Some(2));
    assert!(!terminal.seen.lock().expect("not poisoned").contains("?1049h"));
}

#[test]
fn top_prints_one_frame_where_there_is_no_terminal() {
    let house = House::new();
    house.held();
    eventually("the totals have the delivery", || house.says(&["top"]).contains("owed 1  "));
    let text = house.says(&["top"]);
    assert!(text.starts_with("hostline top  http://"), "{text}");
    assert!(text.contains(&house.good.host()) && text.contains("lunch"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours and no screen: {text}");
}

#[test]
fn top_prints_json_with_the_totals() {
    let house = House::new();
    house.held();
    let look = || house.json(&["top", "--once"]);
    eventually("the totals have the delivery", || look()["stats"]["pending"] == 1);
    let frame = look();
    assert_eq!(frame["hosts"][0]["host"], *house.good.host());
    assert!(frame["at"].is_string());
}
