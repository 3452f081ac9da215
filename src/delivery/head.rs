//! Reads the head of an answer just far enough to know where it ends, whether it is an interim
//! one, and how its body is delimited. Pure.
//!
//! awc parses answers too, but returns a `103 Early Hints` as the answer, takes a body that ends
//! with the connection for an empty one, and takes a cut body for a whole one. So the stream under
//! it (see `stream`) has to know these three things by itself, and refuses here what would hide
//! them. What is malformed beyond that is left to awc to refuse.

use crate::model::Header;

/// Bytes of an answer's head, past which it is refused. Twice what common servers may send.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// Header lines of an answer, past which it is refused: awc reads no more.
const LINES_MAX: usize = 96;
/// Header fields of an answer that are kept.
const HEADERS_MAX: usize = 64;
/// Bytes of names and values that are kept: a generous answer is recorded whole, and a hostile one
/// does not fill the store.
const HEADERS_BYTES_MAX: usize = 8 << 10;

/// How the end of an answer's body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none, or so many bytes.
    Length(u64),
    /// By its last chunk.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

/// What the first bytes of an answer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// The head goes on.
    Partial,
    /// These are not the first bytes of an answer that is understood; why, in words.
    Malformed(&'static str),
    /// An interim answer (1xx), this many bytes long.
    Interim(usize),
    /// The head of the answer, and how its body is delimited.
    Final {
        /// Where the head starts, past empty lines before it.
        start: usize,
        /// Where the head ends and the body starts.
        end: usize,
        /// 200 to 599.
        status: u16,
        /// HTTP/1.1, and so not closed after the answer unless it says so.
        persistent: bool,
        /// There is an `Upgrade` (see `hide_upgrades`).
        upgrades: bool,
        /// How the body is delimited.
        framing: Framing,
    },
}

/// The version up to its minor digit.
const PREFIX: &[u8] = b"HTTP/1.";
/// Where the status ends in `HTTP/1.1 200`; without the byte behind it nothing is said.
pub const STATUS_END: usize = PREFIX.len() + 5;
/// Where the minor version's digit is.
pub const MINOR_VERSION_AT: usize = PREFIX.len();

const NO_STATUS_LINE: &str = "it does not begin with an HTTP/1 status line";

/// Bytes that end a head at most: the line feed of its last line, and an empty line.
pub const END_BYTES_MAX: usize = 3;

/// Whether a head may end within these bytes; quicker than `scan`, which says where.
pub fn may_end(bytes: &[u8]) -> bool {
    let blank_line = |at: usize| matches!(&bytes[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]);
    (0..bytes.len()).any(|at| bytes[at] == b'\n' && blank_line(at))
}

/// Looks at the bytes that came so far.
pub fn scan(bytes: &[u8]) -> Scan {
    let start = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let head = &bytes[start..];
    let known = head.len().min(PREFIX.len());
    if head[..known] != PREFIX[..known] {
        return Scan::Malformed(NO_STATUS_LINE);
    }
    let Some(status_line) = head.get(..=STATUS_END) else { return Scan::Partial };
    let status = match status_of(status_line) {
        None => return Scan::Malformed(NO_STATUS_LINE),
        Some(101) => return Scan::Malformed("it switches protocols, which was not asked for"),
        Some(status @ 100..600) => status,
        Some(_) => return Scan::Malformed("its status is out of range"),
    };

    let mut fields = Fields::default();
    let mut at = 0;
    while let Some(length) = head[at..].iter().position(|byte| *byte == b'\n') {
        let line = trim_end(&head[at..at + length]);
        let first = at == 0;
        at += length + 1;
        if !first && line.is_empty() {
            return fields.conclude(status, start, start + at, status_line[MINOR_VERSION_AT]);
        }
        if !first {
            fields.note(line);
        }
    }
    Scan::Partial
}

fn status_of(line: &[u8]) -> Option<u16> {
    let digits = &line[PREFIX.len() + 2..STATUS_END];
    // awc knows these two minor versions, and no other was ever made.
    let well_formed = matches!(line[MINOR_VERSION_AT], b'0' | b'1')
        && line[MINOR_VERSION_AT + 1] == b' '
        && digits.iter().all(u8::is_ascii_digit)
        && matches!(line[STATUS_END], b' ' | b'\r' | b'\n');
    well_formed
        .then(|| digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0')))
}

#[derive(Default)]
struct Fields {
    lines: usize,
    length: Option<u64>,
    coding: Coding,
    upgrades: bool,
}

/// What `Transfer-Encoding` says.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    None,
    Chunked,
    /// We ask for no other, so that none may be used.
    Unknown,
}

impl Fields {
    fn note(&mut self, line: &[u8]) {
        self.lines += 1;
        // Three names matter; their first letters spare splitting the other lines.
        if !matches!(line[0] | 0x20, b'c' | b't' | b'u') {
            return;
        }
        let Some((name, value)) = split(line) else { return };
        if name.eq_ignore_ascii_case(b"content-length") {
            self.length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.coding = match self.coding {
                Coding::None if value.eq_ignore_ascii_case(b"chunked") => Coding::Chunked,
                Coding::None if value.eq_ignore_ascii_case(b"identity") => Coding::None,
                _ => Coding::Unknown,
            };
        } else if name.eq_ignore_ascii_case(UPGRADE) {
            self.upgrades = true;
        }
    }

    fn conclude(&self, status: u16, start: usize, end: usize, minor: u8) -> Scan {
        if status < 200 {
            return Scan::Interim(end);
        }
        if self.lines > LINES_MAX {
            return Scan::Malformed("it has more than 96 header lines");
        }
        let persistent = minor != b'0';
        // HTTP/1.0 has no codings.
        let coding = if persistent { self.coding } else { Coding::None };
        let framing = match (coding, self.length) {
            _ if matches!(status, 204 | 304) => Framing::Length(0),
            (Coding::Unknown, _) => return Scan::Malformed("its transfer coding is not known"),
            (Coding::Chunked, _) => Framing::Chunked,
            (Coding::None, Some(length)) => Framing::Length(length),
            (Coding::None, None) => Framing::UntilClose,
        };
        Scan::Final { start, end, status, persistent, upgrades: self.upgrades, framing }
    }
}

const UPGRADE: &[u8] = b"upgrade";

/// Renames every `Upgrade` of a head: awc takes an answer that has one for one without a body.
pub fn hide_upgrades(head: &mut [u8]) {
    for line in head.split_mut(|byte| *byte == b'\n').skip(1) {
        let is_upgrade = split(line).is_some_and(|(name, _)| name.eq_ignore_ascii_case(UPGRADE));
        // With a space before it, it is malformed, and shall stay so.
        if is_upgrade && let Some(first @ (b'u' | b'U')) = line.first_mut() {
            *first = b'x';
        }
    }
}

/// The header fields of a head, in their order, names in lower case. What goes past the bounds is
/// left out, but smaller fields after it still find room: `retry-after` often comes last.
pub fn fields(head: &[u8]) -> Vec<Header> {
    let mut kept = Vec::with_capacity(8);
    let mut bytes = 0;
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Some((name, value)) = split(trim_end(line)) else { continue };
        let size = name.len() + value.len();
        if kept.len() == HEADERS_MAX || bytes + size > HEADERS_BYTES_MAX {
            continue;
        }
        bytes += size;
        kept.push(Header {
            name: String::from_utf8_lossy(name).to_ascii_lowercase(),
            value: String::from_utf8_lossy(value).into_owned(),
        });
    }
    kept
}

fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
}

fn trim_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(head: &str) -> Framing {
        match scan(head.as_bytes()) {
            Scan::Final { start: 0, end, framing, .. } if end == head.len() => framing,
            other => panic!("{head:?}: {other:?}"),
        }
    }

    #[test]
    fn the_body_is_delimited_as_rfc_9112_says() {
        assert_eq!(framing("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"), Framing::Length(12));
        assert_eq!(framing("HTTP/1.1 200\r\ncontent-length:0\r\n\r\n"), Framing::Length(0));
        assert_eq!(
            framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 3\r\n\r\n"),
            Framing::Chunked
        );
        assert_eq!(framing("HTTP/1.1 200 OK\r\nServer: a\r\n\r\n"), Framing::UntilClose);
        assert_eq!(framing("HTTP/1.0 200 OK\r\n\r\n"), Framing::UntilClose);
        assert_eq!(framing("HTTP/1.1 204 No Content\r\n\r\n"), Framing::Length(0));
        assert_eq!(framing("HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n"), Framing::Length(0));
        assert_eq!(framing("HTTP/1.1 200 OK\nContent-Length: 1\n\n"), Framing::Length(1));
    }

    #[test]
    fn every_prefix_of_a_head_is_partial() {
        let head = b"\r\nHTTP/1.1 429 Too Many\r\nRetry-After: 3\r\n\r\n";
        for end in 0..head.len() {
            assert_eq!(scan(&head[..end]), Scan::Partial, "{end}");
        }
        assert!(matches!(scan(head), Scan::Final { start: 2, persistent: true, .. }));
        assert!(may_end(head) && !may_end(&head[..head.len() - 1]));
        assert!(may_end(b"\n\n") && may_end(b"a\n\r\n") && !may_end(b"a\r\nb\n"));
    }

    #[test]
    fn an_interim_answer_is_told_apart() {
        let head = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n";
        assert_eq!(scan(head), Scan::Interim(40));
    }

    #[test]
    fn what_is_no_http_is_malformed_at_once() {
        for bytes in [
            "SSH-2.0-OpenSSH",
            "HTTP/2 200 OK\r\n",
            "HTTP/1.1 2x0 OK",
            "HTTP/1.2 200 OK",
            "HTTP/1.1 2000 OK",
            "<html>",
        ] {
            assert_eq!(scan(bytes.as_bytes()), Scan::Malformed(NO_STATUS_LINE), "{bytes}");
        }
        for status in ["000", "099", "101", "600", "999"] {
            let line = format!("HTTP/1.1 {status} Odd");
            assert!(matches!(scan(line.as_bytes()), Scan::Malformed(_)), "{status}");
        }
    }

    #[test]
    fn codings_that_were_not_asked_for_are_refused() {
        for lines in ["gzip", "gzip, chunked", "chunked\r\nTransfer-Encoding: chunked", "\u{fe}"] {
            let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {lines}\r\n\r\n");
            assert!(matches!(scan(head.as_bytes()), Scan::Malformed(_)), "{lines}");
        }
        let plain = "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n";
        assert_eq!(framing(plain), Framing::UntilClose);
    }

    #[test]
    fn upgrades_are_hidden_where_they_stand() {
        let mut head = *b"HTTP/1.1 200 OK\r\nUPGRADE: a\r\nb: upgrade: c\r\nupgrade : d\r\n\r\n";
        assert!(matches!(scan(&head), Scan::Final { upgrades: true, .. }));
        hide_upgrades(&mut head);
        assert_eq!(&head, b"HTTP/1.1 200 OK\r\nxPGRADE: a\r\nb: upgrade: c\r\nxpgrade : d\r\n\r\n");
        assert!(matches!(scan(&head), Scan::Final { upgrades: false, .. }));
    }

    #[test]
    fn fields_keep_their_order_and_stay_bounded() {
        let head = format!(
            "HTTP/1.1 200 OK\r\nB: 1\r\na:2\r\nBig: {}\r\nRetry-After: 7\r\n\r\n",
            "x".repeat(HEADERS_BYTES_MAX)
        );
        let kept: Vec<_> = fields(head.as_bytes())
            .into_iter()
            .map(|header| format!("{}={}", header.name, header.value))
            .collect();
        assert_eq!(kept, ["b=1", "a=2", "retry-after=7"]);
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: 1\r\n".repeat(1000));
        assert_eq!(fields(many.as_bytes()).len(), HEADERS_MAX);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_confuse_the_scan(pieces in proptest::collection::vec(0..PIECES.len(), 0..12)) {
            let bytes: Vec<u8> = pieces.iter().flat_map(|piece| PIECES[*piece]).copied().collect();
            let _ = fields(&bytes);
            let end = match scan(&bytes) {
                Scan::Interim(end) | Scan::Final { end, .. } => end,
                Scan::Partial | Scan::Malformed(_) => return Ok(()),
            };
            assert!(may_end(&bytes[..end]));
            assert_eq!(scan(&bytes[..end]), scan(&bytes));
            assert_eq!(scan(&bytes[..end - 1]), Scan::Partial);
        }
    }

    const PIECES: [&[u8]; 12] = [
        b"\r\n",
        b"\n",
        b"\r",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 103",
        b"HTTP/1.",
        b"content-length: ",
        b"transfer-encoding: chunked",
        b"7",
        b": ",
        b"\xff",
        b"t",
    ];
}
