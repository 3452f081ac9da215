//! What must not be reached: a receiver on loopback. And a proxy that lets nobody through, where
//! whatever is let out shows.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Receivers on the same port of 127.0.0.1 and ::1, which take whatever comes.
pub struct Trap {
    pub port: u16,
    connections: Arc<AtomicUsize>,
}

impl Trap {
    pub fn start() -> Self {
        let (four, six) = loop {
            let four = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = four.local_addr().expect("bound").port();
            // Somebody else may have the port of that address.
            if let Ok(six) = TcpListener::bind(("::1", port)) {
                break (four, six);
            }
        };
        let port = four.local_addr().expect("bound").port();
        let connections = Arc::new(AtomicUsize::new(0));
        for listener in [four, six] {
            let counting = connections.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    counting.fetch_add(1, Ordering::SeqCst);
                    let Ok(mut stream) = stream else { continue };
                    let answer =
                        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                    std::thread::spawn(move || {
                        let _read = stream.read(&mut [0; 64 << 10]);
                        let _gone = stream.write_all(answer);
                    });
                }
            });
        }
        Self { port, connections }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Notes what it is asked for and answers 403.
pub struct ClosedProxy {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ClosedProxy {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noting = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), noting) = (stream, noting.clone()) else { continue };
                std::thread::spawn(move || refuse(stream, &noting));
            }
        });
        Self { address, asked }
    }

    /// The destinations that it was asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

fn refuse(mut stream: TcpStream, noting: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let to = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    noting.lock().expect("not poisoned").push(to.unwrap_or(&head).to_owned());
    let _gone = stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n");
}
