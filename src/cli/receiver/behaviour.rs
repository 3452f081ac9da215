//! How a receiver treats requests, decided without clock or socket: time is an argument.

use std::time::Duration;

use bytes::Bytes;

use crate::config::VerifyKey;

/// How a receiver treats requests. The default answers 200 at once.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// What it answers when nothing below speaks against it.
    pub status: u16,
    /// The body of every answer.
    pub body: Bytes,
    /// How long it takes over every answer.
    pub delay: Duration,
    /// Answers 429 beyond this rate.
    pub limit: Option<Limit>,
    /// Which headers tell of the limit.
    pub limit_headers: LimitHeaders,
    /// Goes up and down.
    pub flap: Option<Flap>,
    /// Answers 503 for this long after its start.
    pub fail_for: Duration,
    /// Resets the connection where it should answer.
    pub reset: bool,
    /// Never answers.
    pub hang: bool,
    /// Answers 401 to what is not signed with it.
    pub secret: Option<VerifyKey>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            status: 200,
            body: Bytes::new(),
            delay: Duration::ZERO,
            limit: None,
            limit_headers: LimitHeaders::default(),
            flap: None,
            fail_for: Duration::ZERO,
            reset: false,
            hang: false,
            secret: None,
        }
    }
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Requests a second, in the long run; above 0.
    pub per_second: f64,
    /// Requests at once, after a pause; 1 or more.
    pub burst: u32,
}

impl Limit {
    /// `per_second` requests a second, and a second's worth of them at once.
    pub fn per_second(per_second: f64) -> Self {
        Self { per_second, burst: (per_second.ceil() as u32).max(1) }
    }

    /// The time in which the whole burst comes back.
    fn window(self) -> f64 {
        f64::from(self.burst) / self.per_second
    }
}

/// Which headers tell of the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LimitHeaders {
    /// X-RateLimit-Limit, -Remaining and -Reset on every answer; Retry-After on 429
    #[default]
    #[value(name = "x-ratelimit")]
    XRateLimit,
    /// Retry-After on 429
    RetryAfter,
    /// RateLimit and RateLimit-Policy on every answer; Retry-After on 429
    Draft,
    /// None: a bare 429
    None,
}

/// Up and down in turns, beginning with up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flap {
    /// How long it is up.
    pub up: Duration,
    /// How long it is down.
    pub down: Duration,
    /// Whether it refuses connections while down, where it else answers 503.
    pub refuse: bool,
}

impl Flap {
    /// Whether it is up `age` after its start, and when that changes.
    fn phase(&self, age: Duration) -> (bool, Duration) {
        let round_nanos = (self.up + self.down).as_nanos().max(1);
        let into_nanos = u64::try_from(age.as_nanos() % round_nanos).unwrap_or(u64::MAX);
        let into = Duration::from_nanos(into_nanos);
        if into < self.up {
            (true, self.up - into)
        } else {
            (false, (self.up + self.down).saturating_sub(into))
        }
    }
}

/// How one request is treated.
#[derive(Clone, Debug, PartialEq)]
pub enum Treatment {
    /// Answered.
    Answer {
        /// The status.
        status: u16,
        /// Headers about the limit, as lines.
        limit_lines: String,
    },
    /// The connection is reset.
    Reset,
    /// Left without an answer.
    Hang,
}

/// A behaviour under way.
pub struct Temper {
    behaviour: Behaviour,
    tokens: f64,
    filled_at: Duration,
}

impl Temper {
    /// Begins to behave so.
    pub fn new(behaviour: Behaviour) -> Self {
        let tokens = behaviour.limit.map_or(0.0, |limit| f64::from(limit.burst));
        Self { behaviour, tokens, filled_at: Duration::ZERO }
    }

    /// What was asked for.
    pub fn behaviour(&self) -> &Behaviour {
        &self.behaviour
    }

    /// How long connections are refused from `age` on; `None` while they are taken.
    pub fn refuses(&self, age: Duration) -> Option<Duration> {
        let flap = self.behaviour.flap.filter(|flap| flap.refuse)?;
        let (up, rest) = flap.phase(age);
        (!up).then_some(rest)
    }

    /// How long connections are taken from `age` on; `None` for always.
    pub fn accepts(&self, age: Duration) -> Option<Duration> {
        let flap = self.behaviour.flap.filter(|flap| flap.refuse)?;
        Some(flap.phase(age).1)
    }

    /// Treats a request that comes `age` after the start; `signed` is false for what should be
    /// signed and is not.
    pub fn treat(&mut self, age: Duration, signed: bool) -> Treatment {
        let behaviour = &self.behaviour;
        if behaviour.reset || self.refuses(age).is_some() {
            return Treatment::Reset;
        }
        if behaviour.hang {
            return Treatment::Hang;
        }
        let down = behaviour.flap.is_some_and(|flap| !flap.phase(age).0);
        if down || age < behaviour.fail_for {
            return Treatment::Answer { status: 503, limit_lines: String::new() };
        }
        let within = self.take_token(age);
        let status = match (within, signed) {
            (false, _) => 429,
            (true, false) => 401,
            (true, true) => self.behaviour.status,
        };
        Treatment::Answer { status, limit_lines: self.limit_lines(within) }
    }

    fn take_token(&mut self, age: Duration) -> bool {
        let Some(limit) = self.behaviour.limit else { return true };
        let passed = age.saturating_sub(self.filled_at).as_secs_f64();
        self.filled_at = self.filled_at.max(age);
        self.tokens = (self.tokens + passed * limit.per_second).min(f64::from(limit.burst));
        let within = self.tokens >= 1.0;
        if within {
            self.tokens -= 1.0;
        }
        within
    }

    /// Times are in whole seconds and rounded up, as real limiters write them.
    fn limit_lines(&self, within: bool) -> String {
        let Some(limit) = self.behaviour.limit else { return String::new() };
        let remaining = self.tokens as u64;
        let reset = ((f64::from(limit.burst) - self.tokens) / limit.per_second).ceil();
        let burst = limit.burst;
        let mut lines = match self.behaviour.limit_headers {
            LimitHeaders::XRateLimit => format!(
                "x-ratelimit-limit: {burst}\r\nx-ratelimit-remaining: {remaining}\r\n\
                 x-ratelimit-reset: {reset}\r\n"
            ),
            LimitHeaders::Draft => format!(
                "ratelimit-policy: \"listen\";q={burst};w={}\r\n\
                 ratelimit: \"listen\";r={remaining};t={reset}\r\n",
                limit.window().ceil()
            ),
            LimitHeaders::RetryAfter | LimitHeaders::None => String::new(),
        };
        if !within && self.behaviour.limit_headers != LimitHeaders::None {
            let wait = ((1.0 - self.tokens) / limit.per_second).ceil().max(1.0);
            lines += &format!("retry-after: {wait}\r\n");
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn status(temper: &mut Temper, age: Duration) -> u16 {
        match temper.treat(age, true) {
            Treatment::Answer { status, .. } => status,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_limit_lets_the_rate_through_in_the_long_run() {
        let limit = Some(Limit { per_second: 10.0, burst: 5 });
        let mut temper = Temper::new(Behaviour { limit, ..Behaviour::default() });
        let passed = (0..10_000).filter(|step| status(&mut temper, ms(step * 10)) == 200).count();
        assert!((1_000..=1_005).contains(&passed), "{passed}");
    }

    #[test]
    fn the_limit_is_told_in_the_chosen_headers() {
        let told = |limit_headers, requests| {
            let limit = Some(Limit { per_second: 1.0, burst: 2 });
            let mut temper =
                Temper::new(Behaviour { limit, limit_headers, ..Behaviour::default() });
            let treatments = (0..requests).map(|_| temper.treat(Duration::ZERO, true));
            match treatments.last() {
                Some(Treatment::Answer { limit_lines, .. }) => limit_lines.replace("\r\n", "|"),
                other => panic!("{other:?}"),
            }
        };
        let triple = "x-ratelimit-limit: 2|x-ratelimit-remaining: ";
        assert_eq!(told(LimitHeaders::XRateLimit, 1), format!("{triple}1|x-ratelimit-reset: 1|"));
        let refused = format!("{triple}0|x-ratelimit-reset: 2|retry-after: 1|");
        assert_eq!(told(LimitHeaders::XRateLimit, 3), refused);
        let draft = "ratelimit-policy: \"listen\";q=2;w=2|ratelimit: \"listen\";r=0;t=2|";
        assert_eq!(told(LimitHeaders::Draft, 2), draft);
        assert_eq!(told(LimitHeaders::RetryAfter, 2), "");
        assert_eq!(told(LimitHeaders::RetryAfter, 3), "retry-after: 1|");
        assert_eq!(told(LimitHeaders::None, 3), "");
    }

    #[test]
    fn it_flaps_from_up_to_down_and_back() {
        let flap = Some(Flap { up: ms(100), down: ms(50), refuse: false });
        let mut temper = Temper::new(Behaviour { flap, ..Behaviour::default() });
        let seen = [0, 99, 100, 149, 150, 249, 250].map(|age| status(&mut temper, ms(age)));
        assert_eq!(seen, [200, 200, 503, 503, 200, 200, 503]);
        assert_eq!(temper.refuses(ms(120)), None);
    }

    #[test]
    fn refusing_while_down_resets_what_is_connected() {
        let flap = Some(Flap { up: ms(100), down: ms(50), refuse: true });
        let mut temper = Temper::new(Behaviour { flap, ..Behaviour::default() });
        assert_eq!(temper.accepts(ms(30)), Some(ms(70)));
        assert_eq!(temper.refuses(ms(120)), Some(ms(30)));
        assert_eq!(temper.treat(ms(120), true), Treatment::Reset);
    }

    #[test]
    fn it_recovers_after_failing_for_a_while() {
        let mut temper =
            Temper::new(Behaviour { fail_for: ms(100), status: 204, ..Behaviour::default() });
        assert_eq!([0, 99, 100].map(|age| status(&mut temper, ms(age))), [503, 503, 204]);
    }

    #[test]
    fn a_flap_of_nothing_does_not_divide_by_zero() {
        let flap = Flap { up: Duration::ZERO, down: Duration::ZERO, refuse: true };
        assert_eq!(flap.phase(ms(5)), (false, Duration::ZERO));
    }
}
