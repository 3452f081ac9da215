//! What driver and sink agree on: where a host of a number is, and what a body says. Both read
//! HTTP only as far as they must, since they share the machine with what is measured.

use std::net::{Ipv4Addr, SocketAddrV4};

use httparse::{Request, Response, Status};

/// Header fields of one message; neither side sends nearly as many.
const FIELDS_MAX: usize = 32;
/// Hosts of one last byte but one: 127.1.0.1 to 127.1.0.250, then 127.1.1.1 and so on.
const HOSTS_A_BLOCK: u32 = 250;
/// Where a body's number stands.
const NUMBER_AT: usize = r#"{"n":""#.len();
/// Digits of a number.
const NUMBER_DIGITS: usize = 10;
/// Where its time stands.
const TIME_AT: usize = NUMBER_AT + NUMBER_DIGITS + r#"","t":""#.len();
/// Digits of a time: nanoseconds since boot, for 31 years.
const TIME_DIGITS: usize = 18;
/// Bytes of a body without padding.
pub(super) const BODY_MIN: usize = TIME_AT + TIME_DIGITS + r#"","p":""}"#.len();

/// Where host number `number` listens. All of 127.0.0.0/8 is this machine.
pub(super) fn host(number: u32, port: u16) -> SocketAddrV4 {
    let (block, last) = (number / HOSTS_A_BLOCK, number % HOSTS_A_BLOCK);
    let [.., high, low] = block.to_be_bytes();
    SocketAddrV4::new(Ipv4Addr::new(127, 1 + high, low, last as u8 + 1), port)
}

/// Appends the body of trigger `number`, sent at `nanos` since boot, `size` bytes long.
pub(super) fn put_body(out: &mut Vec<u8>, number: u32, nanos: u64, size: usize) {
    let start = out.len();
    out.push(b'{');
    put_mark(out, number, nanos);
    out.extend_from_slice(b",\"p\":\"");
    out.resize(start + size.max(BODY_MIN) - 2, b'x');
    out.extend_from_slice(b"\"}");
}

/// Appends the fields by which a delivery is known.
pub(super) fn put_mark(out: &mut Vec<u8>, number: u32, nanos: u64) {
    use std::io::Write as _;
    write!(out, "\"n\":\"{number:0NUMBER_DIGITS$}\",\"t\":\"{nanos:0TIME_DIGITS$}\"")
        .expect("memory takes every write");
}

/// Number and time of a body.
pub(super) fn read_body(body: &[u8]) -> Option<(u32, u64)> {
    let digits = |at: usize, count: usize| std::str::from_utf8(body.get(at..at + count)?).ok();
    let number = digits(NUMBER_AT, NUMBER_DIGITS)?.parse().ok()?;
    Some((number, digits(TIME_AT, TIME_DIGITS)?.parse().ok()?))
}

/// A whole request at the front of a buffer.
pub(super) struct Received {
    /// Where its body starts.
    pub(super) body: usize,
    /// Where it ends.
    pub(super) end: usize,
}

/// The first request of a buffer; `None` while it is not whole.
pub(super) fn request(bytes: &[u8]) -> Result<Option<Received>, httparse::Error> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = Request::new(&mut fields);
    let Status::Complete(body) = head.parse(bytes)? else { return Ok(None) };
    let end = body + length(head.headers);
    Ok((bytes.len() >= end).then_some(Received { body, end }))
}

/// What the driver wants of an answer.
pub(super) struct Answered {
    /// The status.
    pub(super) status: u16,
    /// `Retry-After` in seconds.
    pub(super) retry_after: Option<u64>,
}

/// The first answer of a buffer; `None` while it is not whole.
pub(super) fn answer(bytes: &[u8]) -> Result<Option<Answered>, httparse::Error> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = Response::new(&mut fields);
    let Status::Complete(body) = head.parse(bytes)? else { return Ok(None) };
    let end = body + length(head.headers);
    let status = head.code.unwrap_or_default();
    let retry_after = field(head.headers, "retry-after");
    Ok((bytes.len() >= end).then_some(Answered { status, retry_after }))
}

fn length(fields: &[httparse::Header<'_>]) -> usize {
    field(fields, "content-length").and_then(|length| usize::try_from(length).ok()).unwrap_or(0)
}

fn field(fields: &[httparse::Header<'_>], name: &str) -> Option<u64> {
    let found = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_read_back_and_have_their_size() {
        for size in [0, BODY_MIN, 1024] {
            let mut body = Vec::new();
            put_body(&mut body, 4_000_000_000, 123_456_789_012, size);
            assert_eq!(body.len(), size.max(BODY_MIN));
            assert_eq!(read_body(&body), Some((4_000_000_000, 123_456_789_012)));
            serde_json::from_slice::<serde_json::Value>(&body).expect("JSON");
        }
    }

    #[test]
    fn each_host_has_an_address_of_its_own() {
        let hosts: std::collections::HashSet<_> = (0..100_000).map(|one| host(one, 9)).collect();
        assert_eq!(hosts.len(), 100_000);
        assert!(hosts.iter().all(|host| host.ip().is_loopback()));
        assert_eq!(host(0, 9).to_string(), "127.1.0.1:9");
    }

    #[test]
    fn messages_are_whole_once_their_bodies_are() {
        let text = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
        for end in 0..text.len() {
            assert!(request(&text[..end]).expect("well formed").is_none());
        }
        let whole = request(text).expect("well formed").expect("whole");
        assert_eq!(&text[whole.body..whole.end], b"abc");
        let text = b"HTTP/1.1 503 X\r\nretry-after: 2\r\ncontent-length: 1\r\n\r\nx";
        let whole = answer(text).expect("well formed").expect("whole");
        assert_eq!((whole.status, whole.retry_after), (503, Some(2)));
    }
}
