//! The processes of a bench: starting them, asking them, and what the system counts of them.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// How long a server may take until it is ready: a store of millions recovers first.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Ticks a second of the times in /proc (USER_HZ is 100 on every Linux).
const TICKS: u64 = 100;

/// A process of this program that answers each line on its standard input with a line of JSON.
pub(super) struct Talker {
    child: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Talker {
    /// Starts it.
    pub(super) fn start(arguments: &[String]) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (asks, answers) = (child.stdin.take(), child.stdout.take());
        let answers = answers.map(BufReader::new).ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, asks, answers })
    }

    /// The next line that it says by itself.
    pub(super) fn hear<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(io::Error::other("a process of the bench ended too early"));
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Asks for a report.
    pub(super) fn ask<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let asks = self.asks.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        asks.write_all(b"\n")?;
        self.hear()
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        // It ends with its standard input; the signal is for one that hangs.
        self.asks.take();
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The other side of a `Talker`: answers each line on standard input with a report, to its end.
pub(super) fn report_on_demand<T: Serialize>(mut report: impl FnMut() -> T) -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        line?;
        tell(&report())?;
    }
    Ok(())
}

/// Says a line of JSON on standard output.
pub(super) fn tell<T: Serialize>(value: &T) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", serde_json::to_string(value)?)
}

/// A server of the bench's own, over a directory of its own.
pub(super) struct Server {
    child: Child,
    pub(super) address: SocketAddr,
    /// The key that it requires, if it does.
    pub(super) key: Option<String>,
}

impl Server {
    /// Starts `hostline serve` over `data` and waits until it is ready.
    pub(super) fn start(data: &Path, settings: &[String], keyed: bool) -> io::Result<Self> {
        let key = if keyed { Some(make_key(data)?) } else { None };
        Self::start_with(data, settings, key)
    }

    fn start_with(data: &Path, settings: &[String], key: Option<String>) -> io::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg("--listen").arg(address.to_string()).arg("--data").arg(data);
        let demands: &[&str] = match &key {
            Some(_) => &["auth.keys_required=true", "auth.requests_per_second=1000000"],
            None => &[],
        };
        for setting in settings.iter().map(String::as_str).chain(demands.iter().copied()) {
            command.arg("--set").arg(setting);
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(data.join("log"))?;
        command.current_dir(data).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut server = Self { child: command.spawn()?, address, key };
        server.wait_until_ready(data)?;
        Ok(server)
    }

    fn wait_until_ready(&mut self, data: &Path) -> io::Result<()> {
        let began = Instant::now();
        while get(self.address, "/readyz", None).is_err() {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(data.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("the server ended with {status}: {log}")));
            }
            if began.elapsed() > READY_WITHIN {
                return Err(io::Error::other("the server is not ready"));
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
        Ok(())
    }

    /// What the system counts of it.
    pub(super) fn usage(&self) -> Usage {
        Usage::of(self.child.id()).unwrap_or_default()
    }

    /// kill -9, and the same server again; answers how long it took until it was ready.
    pub(super) fn crash(self, data: &Path, settings: &[String]) -> io::Result<(Self, Duration)> {
        let key = self.key.clone();
        drop(self);
        let began = Instant::now();
        let server = Self::start_with(data, settings, key)?;
        Ok((server, began.elapsed()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What the system counts of a process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Time on a core, user and system.
    pub(super) cpu: Duration,
    /// Resident memory, bytes.
    pub(super) rss: u64,
    /// The most that it ever was.
    pub(super) rss_peak: u64,
    /// Open descriptors.
    pub(super) descriptors: u64,
}

impl Usage {
    fn of(process: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The name in brackets may hold anything; the fields after it are numbers.
        let fields: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
        let cpu_ticks = ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0);
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        Ok(Self {
            cpu: Duration::from_millis(cpu_ticks * 1000 / TICKS),
            rss: kib("VmRSS:") << 10,
            rss_peak: kib("VmHWM:") << 10,
            descriptors: fs::read_dir(format!("/proc/{process}/fd"))?.count() as u64,
        })
    }
}

/// Makes an API key in a store that no server has open.
fn make_key(data: &Path) -> io::Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["keys", "create", "--name", "bench", "--scope", "admin", "--json", "--data"]);
    let made = command.arg(data).current_dir(data).stdin(Stdio::null()).output()?;
    let made: serde_json::Value = serde_json::from_slice(&made.stdout)?;
    let key = made["key"].as_str().map(str::to_owned);
    key.ok_or_else(|| io::Error::other("no API key could be made"))
}

/// A GET of the server's; its body where the answer is 2xx.
pub(super) fn get(address: SocketAddr, path: &str, key: Option<&str>) -> io::Result<String> {
    call(address, &format!("GET {path}"), "", key)
}

/// A POST of JSON; the answer's body where it is 2xx.
pub(super) fn post(address: SocketAddr, path: &str, json: &str) -> io::Result<String> {
    call(address, &format!("POST {path}"), json, None)
}

fn call(address: SocketAddr, what: &str, json: &str, key: Option<&str>) -> io::Result<String> {
    let key = key.map_or(String::new(), |key| format!("authorization: Bearer {key}\r\n"));
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "{what} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: \
         application/json\r\n{key}content-length: {}\r\n\r\n{json}",
        json.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 2") => Ok(body.to_owned()),
        _ => Err(io::Error::other(answer)),
    }
}

/// The median time of a synced write of 4 KiB in a directory: what a commit costs at least.
pub(super) fn sync_time(directory: &Path) -> io::Result<Duration> {
    let path = directory.join("sync-probe");
    let mut file = fs::File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..101 {
        let began = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    fs::remove_file(&path)?;
    times.sort();
    Ok(times[times.len() / 2])
}
