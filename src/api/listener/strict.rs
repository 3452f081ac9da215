//! Follows the framing of HTTP/1.1 as it comes in and is strict where the parser above is lenient:
//! it reads a bare LF as the end of a line, and takes whatever stands after the last chunk for a
//! trailer. RFC 9112 allows the first, but a proxy that does not agree sees other requests than we
//! do, and hands one client's answer to another.
//!
//! What is wrong is made so wrong that the parser refuses it with 400 and closes: everything from
//! there on becomes CR. Where this is in doubt about the framing, the parser has refused the head
//! already (two lengths, length beside chunks, any coding but `chunked`).

/// Bytes of a line with a chunk's size, and of all trailers. Neither is of use here, and the parser
/// above would read them without end.
const LINE_MAX: usize = 4096;

/// Where in a connection's bytes the next one stands.
#[derive(Debug)]
enum Place {
    /// In a head; what its lines have said of the body so far.
    Head(Said),
    /// In a body of a known length, or in a chunk and the line end after it.
    Body { left: u64, chunked: bool },
    /// In the line with a chunk's size.
    Size,
    /// After the last chunk, so many bytes of trailers on.
    Trailer(usize),
    /// The body has no end.
    Endless,
    /// Something is wrong; nothing more is let through.
    Broken,
}

/// What a head says of its body.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    /// Whether the request line has been read.
    begun: bool,
    length: u64,
    chunked: bool,
    /// CONNECT or a WebSocket.
    endless: bool,
}

/// The framing of one connection.
pub(super) struct Strict {
    place: Place,
    /// The line under way, as far as it came in earlier.
    line: Vec<u8>,
}

impl Strict {
    pub(super) fn new() -> Self {
        Self { place: Place::Head(Said::default()), line: Vec::new() }
    }

    /// Goes through what came in; from where it is wrong on it is spoilt.
    pub(super) fn vet(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match &mut self.place {
                Place::Endless => return,
                Place::Broken => return bytes[at..].fill(b'\r'),
                Place::Body { left, chunked } => {
                    let skipped = (*left).min(rest.len() as u64);
                    *left -= skipped;
                    at += skipped as usize;
                    if *left == 0 {
                        self.place = after_body(*chunked);
                    }
                }
                Place::Head(_) | Place::Size | Place::Trailer(_) => {
                    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                        self.line.extend_from_slice(rest);
                        return self.vet_unfinished(&mut bytes[at..]);
                    };
                    self.place = match self.line.is_empty() {
                        true => self.after_line(&rest[..end]),
                        false => {
                            let mut line = std::mem::take(&mut self.line);
                            line.extend_from_slice(&rest[..end]);
                            let place = self.after_line(&line);
                            line.clear();
                            self.line = line;
                            place
                        }
                    };
                    // A line that is wrong loses its end, so that it is never taken for one.
                    at += if matches!(self.place, Place::Broken) { end } else { end + 1 };
                }
            }
        }
    }

    /// Heads are limited above; the other lines here.
    fn vet_unfinished(&mut self, came: &mut [u8]) {
        if !matches!(self.place, Place::Head(_)) && self.line.len() > LINE_MAX {
            self.place = Place::Broken;
            came.fill(b'\r');
        }
    }

    /// Where a line, without its LF, leads to.
    fn after_line(&self, line: &[u8]) -> Place {
        let Some((b'\r', line)) = line.split_last() else { return Place::Broken };
        match &self.place {
            Place::Head(said) if line.is_empty() => said.after_head(),
            Place::Head(said) => Place::Head(said.with(line)),
            Place::Size => after_size(line),
            Place::Trailer(_) if line.is_empty() => Place::Head(Said::default()),
            Place::Trailer(so_far) => {
                let so_far = so_far + line.len();
                let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
                let is_field = name.len() < line.len()
                    && !name.is_empty()
                    && name.iter().all(u8::is_ascii_graphic);
                if is_field && so_far <= LINE_MAX { Place::Trailer(so_far) } else { Place::Broken }
            }
            Place::Body { .. } | Place::Endless | Place::Broken => Place::Broken,
        }
    }
}

impl Said {
    /// What it is with one more line of the head.
    fn with(mut self, line: &[u8]) -> Self {
        if !self.begun {
            self.begun = true;
            self.endless = line.starts_with(b"CONNECT ");
            return self;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return self };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            self.length = digits.unwrap_or(0);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.endless |= value.eq_ignore_ascii_case(b"websocket");
        }
        self
    }

    fn after_head(self) -> Place {
        match self {
            // Empty lines before a request are passed over.
            Said { begun: false, .. } => Place::Head(self),
            Said { chunked: true, .. } => Place::Size,
            Said { endless: true, .. } => Place::Endless,
            Said { length: 0, .. } => Place::Head(Self::default()),
            Said { length, .. } => Place::Body { left: length, chunked: false },
        }
    }
}

fn after_body(chunked: bool) -> Place {
    if chunked { Place::Size } else { Place::Head(Said::default()) }
}

fn after_size(line: &[u8]) -> Place {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let size = std::str::from_utf8(&line[..digits]).ok();
    let size = size.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    if line.len() > LINE_MAX {
        return Place::Broken;
    }
    match size {
        Some(0) => Place::Trailer(0),
        // With the line end after the data, which the parser above insists on.
        Some(size) => {
            size.checked_add(2).map_or(Place::Broken, |left| Place::Body { left, chunked: true })
        }
        None => Place::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is let through, in pieces of every size alike.
    fn vetted(bytes: &[u8]) -> String {
        let whole = in_pieces(bytes, bytes.len().max(1));
        for size in 1..bytes.len() {
            assert_eq!(in_pieces(bytes, size), whole, "in pieces of {size}");
        }
        whole
    }

    fn in_pieces(bytes: &[u8], size: usize) -> String {
        let mut strict = Strict::new();
        let mut passed = Vec::new();
        for piece in bytes.chunks(size) {
            let mut piece = piece.to_vec();
            strict.vet(&mut piece);
            passed.extend(piece);
        }
        String::from_utf8(passed).expect("text")
    }

    #[test]
    fn what_is_well_framed_passes_as_it_is() {
        for text in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 6\r\n\r\n\n\na\nb\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\n\n\n\n\r\n0\r\n\r\nGET",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-a: b\r\n\r\nGET /\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\n\r\n\n\n\n",
        ] {
            assert_eq!(vetted(text.as_bytes()), text);
        }
    }

    #[test]
    fn what_could_be_read_otherwise_is_spoilt_from_there_on() {
        for (sound, wrong) in [
            ("GET / HTTP/1.1", "\nHost: a\r\n\r\n"),
            ("GET / HTTP/1.1\r\nX: a", "\nTransfer-Encoding: chunked\r\n\r\n"),
            ("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET /", "\nX: y\r\n\r\n"),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "\nGET /x\r\n\r\n"),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nGET /x\r", "\n\r\n"),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: a", "\n\r\n"),
        ] {
            let expected = format!("{sound}{}", "\r".repeat(wrong.len()));
            assert_eq!(vetted(format!("{sound}{wrong}").as_bytes()), expected);
        }
    }

    #[test]
    fn extensions_and_trailers_end() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let extension = format!("{head}1;{}", "x".repeat(2 * LINE_MAX));
        assert!(in_pieces(extension.as_bytes(), 1000).ends_with('\r'));
        let trailers = format!("{head}0\r\n{}", "x: y\r\n".repeat(LINE_MAX));
        assert!(in_pieces(trailers.as_bytes(), 1000).ends_with("\r\r"));
    }
}
