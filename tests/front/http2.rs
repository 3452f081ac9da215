//! HTTP/2 over TLS, frame by frame: that it answers, and what bounds a client that abuses it.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use hostline::config::Settings;

use super::open::{Open, PATIENCE};
use super::tls::{Authority, Secure, secure};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types of frames, flags and codes of RFC 9113.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const REFUSED_STREAM: u8 = 7;
const CANCEL: u8 = 8;
const ENHANCE_YOUR_CALM: u8 = 11;
/// `:status: 200` in HPACK.
const STATUS_200: u8 = 0x88;

struct Frame {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A literal of HPACK, never put into its table; `name` is an index of the static table.
fn literal(name: u8, value: &[u8]) -> Vec<u8> {
    assert!(name < 15 && value.len() < 127);
    [&[name, value.len() as u8], value].concat()
}

fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, name.len() as u8];
    bytes.extend(name);
    bytes.push(value.len() as u8);
    bytes.extend(value);
    bytes
}

/// `method` is 0x82 for GET and 0x83 for POST.
fn head(method: u8, path: &str) -> Vec<u8> {
    [vec![method, 0x87], literal(4, path.as_bytes()), literal(1, b"localhost")].concat()
}

struct Client {
    stream: Secure,
    came: Vec<u8>,
}

impl Client {
    fn new(authority: &Authority, open: &Open) -> Self {
        let config = authority.client(None, &[b"h2"]);
        let mut client = Self { stream: secure(open.address, config), came: Vec::new() };
        client.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
        client
    }

    fn send(&mut self, bytes: &[u8]) {
        // The server may have said good-bye already.
        let _refused = self.try_send(bytes);
    }

    fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    fn get(&mut self, stream: u32, path: &str) {
        let headers = head(0x82, path);
        self.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &headers));
    }

    /// The next frame; `None` once the server has closed.
    fn next(&mut self) -> Option<Frame> {
        self.fill(9)?;
        let length = u32::from_be_bytes([0, self.came[0], self.came[1], self.came[2]]) as usize;
        self.fill(9 + length)?;
        let bytes: Vec<u8> = self.came.drain(..9 + length).collect();
        let stream = u32::from_be_bytes(bytes[5..9].try_into().unwrap());
        Some(Frame { kind: bytes[3], stream, payload: bytes[9..].to_vec() })
    }

    fn fill(&mut self, length: usize) -> Option<()> {
        while self.came.len() < length {
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(count) => self.came.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("nothing comes, and the connection stays open")
                }
                Err(_) => return None,
            }
        }
        Some(())
    }

    /// The next frame of a kind.
    fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// The code that the server says good-bye with, if it does.
    fn farewell(&mut self) -> Option<u8> {
        self.next_of(GOAWAY).map(|goaway| goaway.payload[7])
    }
}

fn with(change: impl FnOnce(&mut Settings) + Send + 'static) -> (Authority, Open) {
    let authority = Authority::new();
    let open = authority.open(change);
    (authority, open)
}

fn is_well(authority: &Authority, open: &Open) -> bool {
    let mut client = Client::new(authority, open);
    client.get(1, "/healthz");
    client.next_of(HEADERS).is_some_and(|answer| answer.payload[0] == STATUS_200)
}

#[test]
fn requests_are_answered_and_bounds_are_announced() {
    let (authority, open) = with(|settings| settings.server.max_head = 5000);
    let mut client = Client::new(&authority, &open);
    let settings = client.next_of(SETTINGS).expect("settings").payload;
    let mut announced = settings.chunks(6).map(|entry| {
        let value = u32::from_be_bytes(entry[2..].try_into().unwrap());
        (u16::from_be_bytes([entry[0], entry[1]]), value)
    });
    assert!(announced.any(|setting| setting == (3, 100)), "streams: {settings:?}");
    let mut announced = settings.chunks(6);
    assert!(announced.any(|entry| entry == [0, 6, 0, 0, 0x13, 0x88]), "heads: {settings:?}");

    client.get(1, "/healthz");
    client.get(3, "/v1/stats");
    let answers: Vec<Frame> = (0..2).map(|_| client.next_of(HEADERS).expect("a head")).collect();
    assert!(answers.iter().all(|answer| answer.payload[0] == STATUS_200));

    let json = field(b"content-type", b"application/json");
    let headers = [head(0x83, "/v1/triggers"), json].concat();
    client.send(&frame(HEADERS, END_HEADERS, 5, &headers));
    for half in ["{\"webhook\":{\"url\":", "\"https://shop.example/\"}}"] {
        let last = if half.ends_with('}') { END_STREAM } else { 0 };
        client.send(&frame(DATA, last, 5, half.as_bytes()));
    }
    let body = loop {
        let data = client.next_of(DATA).expect("an answer");
        if data.stream == 5 {
            break String::from_utf8(data.payload).expect("text");
        }
    };
    assert!(body.contains("\"deliveries\":["), "{body}");
}

#[test]
fn streams_past_the_limit_are_refused() {
    let (authority, open) = with(|_| {});
    let mut client = Client::new(&authority, &open);
    client.next_of(SETTINGS).expect("settings");
    client.send(&frame(SETTINGS, ACK, 0, &[]));
    let json = field(b"content-type", b"application/json");
    let headers = [head(0x83, "/v1/triggers"), json].concat();
    // Their bodies never come, so they stay open.
    for number in 0..101 {
        client.send(&frame(HEADERS, END_HEADERS, 2 * number + 1, &headers));
    }
    let refused = client.next_of(RST_STREAM).expect("a refusal");
    assert_eq!((refused.stream, refused.payload[3]), (201, REFUSED_STREAM));
    assert!(is_well(&authority, &open));
}

#[test]
fn a_body_that_trickles_is_answered_in_time() {
    let (authority, open) = with(|settings| {
        settings.server.request_timeout = Duration::from_millis(300);
    });
    let mut client = Client::new(&authority, &open);
    let json = field(b"content-type", b"application/json");
    let headers = [head(0x83, "/v1/triggers"), json].concat();
    client.send(&frame(HEADERS, END_HEADERS, 1, &headers));
    let data = client.next_of(DATA).expect("an answer");
    assert!(String::from_utf8_lossy(&data.payload).contains("/problems/request-timeout"));
}

#[test]
fn streams_that_are_reset_at_once_end_the_connection() {
    let (authority, open) = with(|_| {});
    let mut client = Client::new(&authority, &open);
    let headers = head(0x82, "/v1/stats");
    // Few enough to be read in one go: a reset for unread bytes would overtake the good-bye.
    let attack: Vec<u8> = (0..60)
        .flat_map(|number| {
            let stream = 2 * number + 1;
            let open = frame(HEADERS, END_HEADERS | END_STREAM, stream, &headers);
            [open, frame(RST_STREAM, 0, stream, &[0, 0, 0, CANCEL])].concat()
        })
        .collect();
    client.send(&attack);
    assert_eq!(client.farewell(), Some(ENHANCE_YOUR_CALM));
    assert!(is_well(&authority, &open));
}

#[test]
fn streams_that_are_reset_while_they_are_worked_on_end_the_connection() {
    let (authority, open) = with(|_| {});
    let mut client = Client::new(&authority, &open);
    let json = field(b"content-type", b"application/json");
    let headers = [head(0x83, "/v1/triggers"), json].concat();
    // Each is waited for by a PING, so that the server has taken it in when it is reset.
    for number in 0..2000 {
        let stream = 2 * number + 1;
        client.send(&frame(HEADERS, END_HEADERS, stream, &headers));
        client.send(&frame(PING, 0, 0, &[0; 8]));
        let Some(answer) = client.next_of_either(PING, GOAWAY) else {
            panic!("closed without a word")
        };
        if answer.kind == GOAWAY {
            assert_eq!(answer.payload[7], ENHANCE_YOUR_CALM);
            assert!((50..300).contains(&number), "after {number} resets");
            assert!(is_well(&authority, &open));
            return;
        }
        client.send(&frame(RST_STREAM, 0, stream, &[0, 0, 0, CANCEL]));
    }
    panic!("resets have no end");
}

impl Client {
    fn next_of_either(&mut self, one: u8, other: u8) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if frame.kind == one || frame.kind == other {
                return Some(frame);
            }
        }
    }
}

#[test]
fn heads_without_end_are_cut_off() {
    let (authority, open) = with(|_| {});
    let mut client = Client::new(&authority, &open);
    client.send(&frame(HEADERS, END_STREAM, 1, &head(0x82, "/healthz")));
    let more = field(b"x", b"y").repeat(20);
    client.send(&frame(CONTINUATION, 0, 1, &more).repeat(10));
    assert_eq!(client.farewell(), Some(ENHANCE_YOUR_CALM));
    assert!(is_well(&authority, &open));
}

#[test]
fn a_large_head_is_refused_and_its_connection_kept() {
    let (authority, open) = with(|settings| settings.server.max_head = 2000);
    let mut client = Client::new(&authority, &open);
    let mut headers = head(0x82, "/healthz");
    // Short enough for the frames, and 2,000 bytes with what RFC 9113 counts for each line.
    headers.extend(field(b"x", b"y").repeat(200));
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &headers));
    let refused = client.next_of(HEADERS).expect("an answer");
    assert_eq!(refused.stream, 1);
    assert_ne!(refused.payload[0], STATUS_200);
    client.get(3, "/healthz");
    let answer = client.next_of(HEADERS).expect("an answer");
    assert_eq!((answer.stream, answer.payload[0]), (3, STATUS_200));
}

#[test]
fn floods_whose_answers_are_not_taken_are_cut_off() {
    for flood in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[])] {
        let (authority, open) = with(|settings| {
            settings.server.request_timeout = Duration::from_millis(300);
            settings.server.max_connections = 1;
        });
        let mut client = Client::new(&authority, &open);
        client.stream.sock.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let many = flood.repeat(1000);
        let stuffed = (0..20_000).any(|_| client.try_send(&many).is_err());
        assert!(stuffed, "the server takes frames without end");
        // The one place is given back, although the client still holds its end.
        let began = Instant::now();
        while !is_well(&authority, &open) {
            assert!(began.elapsed() < PATIENCE, "the place is not given back");
        }
    }
}

#[test]
fn a_connection_without_a_request_is_closed_in_time() {
    let (authority, open) = with(|settings| settings.server.keep_alive = Duration::from_secs(1));
    let mut client = Client::new(&authority, &open);
    client.get(1, "/healthz");
    assert!(client.next_of(DATA).is_some());
    assert_eq!(client.farewell(), Some(0));
}

#[test]
fn a_stop_ends_a_stream_of_events() {
    let (authority, open) = with(|_| {});
    let mut client = Client::new(&authority, &open);
    client.get(1, "/v1/live?deliveries=true");
    assert_eq!(client.next_of(HEADERS).expect("an answer").payload[0], STATUS_200);
    assert_eq!(client.next_of(DATA).expect("its beginning").payload, b"retry: 3000\n\n");
    let begun = Instant::now();
    let stopping = std::thread::spawn(move || open.stop_well());
    let mut has_ended = false;
    while let Some(came) = client.next() {
        has_ended |= came.kind == DATA && came.payload.is_empty();
        if came.kind == PING {
            // It asks whether all that was sent before its good-bye has come.
            client.send(&frame(PING, ACK, 0, &came.payload));
        }
    }
    stopping.join().expect("it stops");
    assert!(has_ended && begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}
