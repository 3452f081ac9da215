//! Headers about rates and waits that nobody can mean.

use super::Behaviour;
use super::Ends::Status;
use super::says;

pub fn all() -> Vec<Behaviour> {
    let mut all = Vec::new();
    for value in VALUES {
        let shown = if value.len() > 30 { "very long" } else { value };
        let lines = format!(
            "retry-after: {value}\r\nx-ratelimit-limit: {value}\r\nx-ratelimit-remaining: {value}\r\n\
             x-ratelimit-reset: {value}\r\nratelimit: \"a\";r={value};t={value}\r\n\
             ratelimit-policy: \"a\";q={value};w={value}\r\ndate: {value}"
        );
        all.push(answer(&format!("200 and budgets of {shown}"), 200, &lines));
        all.push(answer(&format!("429 and budgets of {shown}"), 429, &lines));
    }
    let many: Vec<String> = (0..10_000).map(|n| format!("\"{n}\";r=0")).collect();
    let many = many.join(",");
    // More than 64 KiB would be refused as a whole.
    let many = &many[..60_000];
    all.push(answer("thousands of buckets", 200, &format!("ratelimit: {many}")));
    all
}

const VALUES: &[&str] = &[
    "99999999999999999999999999",
    "-1",
    "NaN",
    "inf",
    "1e308",
    "-0.0000001",
    "\u{0663}\u{1f4a5}",
    "Thu, 31 Dec 9999 23:59:60 GMT",
    "0000-00-00T00:00:00Z",
    "18446744073709551615",
    "9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999",
];

fn answer(name: &str, status: u16, lines: &str) -> Behaviour {
    let answer = format!("HTTP/1.1 {status} X\r\n{lines}\r\ncontent-length: 2\r\n\r\nok");
    says(name, answer, Status(status))
}
