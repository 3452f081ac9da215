//! What an outcome means (the table 'What an answer means' of the delivery contract).

use crate::model::Outcome;

/// The kinds of outcome that the rules tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// 2xx.
    Delivered,
    /// 3xx and permanent 4xx: never tried again. The host is alive.
    Permanent,
    /// The address guard refused; says nothing of the host.
    Blocked,
    /// The request could not be made ready; says nothing of the host, and is tried again.
    Unprepared,
    /// 429, or 503 with `Retry-After`: alive, and asks us to wait. Uses up no retry.
    Refused,
    /// 503 without `Retry-After`: overload, or a limiter that gives no hint.
    Overloaded,
    /// Tried again; counts as a failure of the host where `counts` says so.
    Failed {
        /// 408, 502, 504, 529 and no answer count, other 5xx do not.
        counts: bool,
        /// The attempt's time ran out.
        timed_out: bool,
    },
}

/// Reads an outcome. `says_when` is whether the answer had a usable `Retry-After`.
pub fn meaning(outcome: &Outcome, says_when: bool) -> Meaning {
    let status = match outcome {
        Outcome::Blocked { .. } => return Meaning::Blocked,
        Outcome::Unprepared { .. } => return Meaning::Unprepared,
        Outcome::NoAnswer { timed_out, .. } => {
            return Meaning::Failed { counts: true, timed_out: *timed_out };
        }
        Outcome::Answered(answer) => answer.status,
    };
    match status {
        200..=299 => Meaning::Delivered,
        429 => Meaning::Refused,
        503 if says_when => Meaning::Refused,
        503 => Meaning::Overloaded,
        408 | 502 | 504 | 529 => Meaning::Failed { counts: true, timed_out: false },
        300..=499 => Meaning::Permanent,
        _ => Meaning::Failed { counts: false, timed_out: false },
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::Answer;

    fn answered(status: u16, says_when: bool) -> Meaning {
        let answer =
            Answer { status, headers: Vec::new(), body: Bytes::new(), body_truncated: false };
        meaning(&Outcome::Answered(answer), says_when)
    }

    #[test]
    fn the_table_of_the_contract_holds() {
        let counted = Meaning::Failed { counts: true, timed_out: false };
        let uncounted = Meaning::Failed { counts: false, timed_out: false };
        let table = [
            (200, Meaning::Delivered),
            (204, Meaning::Delivered),
            (299, Meaning::Delivered),
            (301, Meaning::Permanent),
            (307, Meaning::Permanent),
            (400, Meaning::Permanent),
            (401, Meaning::Permanent),
            (404, Meaning::Permanent),
            (408, counted),
            (410, Meaning::Permanent),
            (429, Meaning::Refused),
            (500, uncounted),
            (501, uncounted),
            (502, counted),
            (503, Meaning::Overloaded),
            (504, counted),
            (529, counted),
            (599, uncounted),
        ];
        for (status, expected) in table {
            assert_eq!(answered(status, false), expected, "{status}");
        }
        assert_eq!(answered(503, true), Meaning::Refused);
        assert_eq!(answered(500, true), uncounted);
        assert_eq!(meaning(&Outcome::Blocked { reason: String::new() }, false), Meaning::Blocked);
        let unprepared = Outcome::Unprepared { reason: String::new() };
        assert_eq!(meaning(&unprepared, false), Meaning::Unprepared);
    }
}
