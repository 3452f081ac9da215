//! A front end that listens, on threads of its own, and raw bytes to and from it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use hostline::api;
use hostline::config::Settings;

use super::house::House;

/// How long anything is waited for before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A front end that listens until it is dropped.
pub struct Open {
    pub address: SocketAddr,
    /// Where metrics and health are shown alone, if they are.
    pub admin: Option<SocketAddr>,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Open {
    pub fn new(change: impl FnOnce(&mut Settings) + Send + 'static) -> Self {
        Self::try_new(change).expect("it listens")
    }

    /// The error is what a start would say.
    pub fn try_new(change: impl FnOnce(&mut Settings) + Send + 'static) -> Result<Self, String> {
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let house = House::with(|settings| {
                    settings.auth.open = true; // callers use what names they like
                    settings.server.listen = "127.0.0.1:0".parse().unwrap();
                    change(settings);
                });
                match api::server(&house.settings, house.api.clone()) {
                    Ok((server, addresses)) => {
                        tell.send(Ok((server.handle(), addresses))).unwrap();
                        server.await.unwrap();
                    }
                    Err(error) => tell.send(Err(error.to_string())).unwrap(),
                }
            });
        });
        let (handle, addresses) = told.recv_timeout(PATIENCE).expect("an answer")?;
        let (address, admin) = (addresses[0], addresses.get(1).copied());
        Ok(Self { address, admin, handle, thread: Some(thread) })
    }

    /// Stops as it stops on a signal: what is under way is waited for.
    pub fn stop_well(self) {
        futures::executor::block_on(self.handle.stop(true));
    }

    pub fn connect(&self) -> Wire<TcpStream> {
        Wire::new(connect(self.address))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        futures::executor::block_on(self.handle.stop(false));
        self.thread.take().expect("joined once").join().expect("it ended well");
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// One request on a connection of its own.
pub fn ask(address: SocketAddr, request: &str) -> Reply {
    let mut wire = Wire::new(connect(address));
    wire.send(request.as_bytes());
    wire.reply().expect("an answer")
}

/// A connection, raw.
pub struct Wire<S> {
    pub stream: S,
    came: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Wire<TcpStream> {
    /// Says that nothing more is sent.
    pub fn finish(&self) {
        let _gone_already = self.stream.shutdown(Shutdown::Write);
    }
}

impl<S: Read + Write> Wire<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, came: Vec::new() }
    }

    /// The server may have closed before it has read everything.
    pub fn send(&mut self, bytes: &[u8]) {
        let _refused = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
    }

    /// The next answer; `None` once the server has closed.
    pub fn reply(&mut self) -> Option<Reply> {
        let end = loop {
            let end = self.came.windows(4).position(|window| window == b"\r\n\r\n");
            match end {
                Some(end) => break end + 4,
                None if !self.read_more() => return None,
                None => {}
            }
        };
        let head = String::from_utf8(self.came.drain(..end).collect()).expect("text");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut reply = Reply { status: status.expect("HTTP"), head, body: String::new() };
        if reply.status == 100 {
            return Some(reply);
        }
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.came.len() < length {
            assert!(self.read_more(), "an answer broke off: {reply:?}");
        }
        reply.body = String::from_utf8(self.came.drain(..length).collect()).expect("text");
        Some(reply)
    }

    /// Whether the server closes, without another byte.
    pub fn is_closed(&mut self) -> bool {
        self.came.is_empty() && !self.read_more()
    }

    fn read_more(&mut self) -> bool {
        let mut piece = [0; 4096];
        match self.stream.read(&mut piece) {
            Ok(count) => {
                self.came.extend_from_slice(&piece[..count]);
                count > 0
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("nothing comes, and the connection stays open")
            }
            // A reset is a close that nobody waited for.
            Err(_) => false,
        }
    }
}
