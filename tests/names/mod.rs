//! A name server on loopback that answers as a test wants, so that the real resolver is asked for
//! names that lead wherever they should not. Its records are valid for no time at all.

#![allow(dead_code)] // each test file uses its part

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

/// What is said of a name.
#[derive(Clone, Debug)]
pub enum Say {
    /// It has these addresses.
    Addresses(Vec<IpAddr>),
    /// It is another name for this one, which has these addresses.
    Alias(&'static str, Vec<IpAddr>),
    /// There is no such name.
    Unknown,
}

impl Say {
    pub fn addresses(list: &[&str]) -> Self {
        Say::Addresses(list.iter().map(|ip| ip.parse().expect("an address")).collect())
    }

    pub fn alias(target: &'static str, list: &[&str]) -> Self {
        match Self::addresses(list) {
            Say::Addresses(addresses) => Say::Alias(target, addresses),
            other => other,
        }
    }
}

/// Answers each question, by the name and how often its A records were asked for before.
type Script = dyn Fn(&str, usize) -> Say + Send + Sync;

/// A running name server.
pub struct NameServer {
    pub address: SocketAddr,
    asked: Arc<Mutex<HashMap<(String, u16), usize>>>,
}

impl NameServer {
    pub fn start(script: impl Fn(&str, usize) -> Say + Send + Sync + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("bound");
        let asked: Arc<Mutex<HashMap<(String, u16), usize>>> = Arc::default();
        let counting = asked.clone();
        std::thread::spawn(move || {
            let mut packet = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut packet) {
                let Some(question) = Question::read(&packet[..length]) else { continue };
                let before = {
                    let mut asked = counting.lock().expect("not poisoned");
                    let count = asked.entry((question.name.clone(), question.kind)).or_default();
                    *count += 1;
                    *count - 1
                };
                let _gone = socket.send_to(&question.answer(before, &script), from);
            }
        });
        Self { address, asked }
    }

    /// How often the A records of a name were asked for.
    pub fn asked(&self, name: &str) -> usize {
        let asked = self.asked.lock().expect("not poisoned");
        asked.get(&(name.to_owned(), A)).copied().unwrap_or(0)
    }
}

struct Question {
    /// As it came: id, then everything of the question.
    id: [u8; 2],
    section: Vec<u8>,
    name: String,
    kind: u16,
}

impl Question {
    fn read(packet: &[u8]) -> Option<Self> {
        let mut at = 12;
        let mut labels = Vec::new();
        loop {
            let length = usize::from(*packet.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(packet.get(at..at + length)?).to_lowercase());
            at += length;
        }
        let kind = u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]);
        let section = packet.get(12..at + 4)?.to_vec();
        Some(Self { id: [packet[0], packet[1]], section, name: labels.join("."), kind })
    }

    fn answer(&self, before: usize, script: &Script) -> Vec<u8> {
        let (alias, addresses, code) = match script(&self.name, before) {
            Say::Addresses(addresses) => (None, addresses, 0),
            Say::Alias(target, addresses) => (Some(target), addresses, 0),
            Say::Unknown => (None, Vec::new(), 3),
        };
        let owner = alias.map_or(vec![0xc0, 12], encoded);
        let mut records = Vec::new();
        let mut count: u16 = 0;
        if let Some(target) = alias {
            record(&mut records, &[0xc0, 12], CNAME, &encoded(target));
            count += 1;
        }
        for ip in addresses {
            match (ip, self.kind) {
                (IpAddr::V4(v4), A) => record(&mut records, &owner, A, &v4.octets()),
                (IpAddr::V6(v6), AAAA) => record(&mut records, &owner, AAAA, &v6.octets()),
                _ => continue,
            }
            count += 1;
        }
        let mut packet = self.id.to_vec();
        packet.extend([0x81, 0x80 | code, 0, 1]);
        packet.extend(count.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(&self.section);
        packet.extend(records);
        packet
    }
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).expect("a short label"));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn record(records: &mut Vec<u8>, owner: &[u8], kind: u16, data: &[u8]) {
    records.extend(owner);
    records.extend(kind.to_be_bytes());
    // class IN, valid for 0 s
    records.extend([0, 1, 0, 0, 0, 0]);
    records.extend(u16::try_from(data.len()).expect("short data").to_be_bytes());
    records.extend(data);
}
