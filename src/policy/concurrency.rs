//! How many requests may be in flight to one host: slow start at first contact and after trouble,
//! up to the setting.

/// Requests in flight at first contact. A host that allows a hundred a second and says nothing
/// answers all of them with 429 at the moment it is overrun, so the start is small.
const START: f64 = 4.0;
/// After this many successes in a row the host has taken more than a small limit would have let
/// pass, and the ramp goes from linear (one more a round trip) to doubling.
const PROVEN: u32 = 200;

/// The in-flight limit of one host.
#[derive(Clone, Debug)]
pub struct Concurrency {
    limit: f64,
    ceiling: f64,
    in_a_row: u32,
}

impl Concurrency {
    /// Starts small; `ceiling` is the setting, at least 1.
    pub fn new(ceiling: u32) -> Self {
        let ceiling = f64::from(ceiling.max(1));
        Self { limit: START.min(ceiling), ceiling, in_a_row: 0 }
    }

    /// Requests that may be in flight now: at least 1.
    pub fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// The setting.
    pub fn ceiling(&self) -> u32 {
        self.ceiling as u32
    }

    /// Takes a changed setting.
    pub fn set_ceiling(&mut self, ceiling: u32) {
        self.ceiling = f64::from(ceiling.max(1));
        self.limit = self.limit.min(self.ceiling);
    }

    /// A request succeeded while `in_flight` others were out. Only a limit that is used grows.
    pub fn succeeded(&mut self, in_flight: u32) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        if f64::from(in_flight) + 1.0 < self.limit / 2.0 {
            return;
        }
        let step = if self.in_a_row > PROVEN { 1.0 } else { 1.0 / self.limit };
        self.limit = (self.limit + step).min(self.ceiling);
    }

    /// The host refused or failed a request: half of it, down to 1.
    pub fn backed_off(&mut self) {
        self.in_a_row = 0;
        self.limit = (self.limit / 2.0).max(1.0);
    }

    /// Back to the start, as after a cooldown.
    pub fn restart(&mut self) {
        self.in_a_row = 0;
        self.limit = START.min(self.ceiling);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_sends_to_a_new_host_keep_the_limit_under_sixteen() {
        let mut concurrency = Concurrency::new(64);
        for _ in 0..100 {
            concurrency.succeeded(concurrency.limit() - 1);
        }
        assert!(concurrency.limit() < 16, "{}", concurrency.limit());
        for _ in 0..200 {
            concurrency.succeeded(concurrency.limit() - 1);
        }
        assert_eq!(concurrency.limit(), 64);
    }

    #[test]
    fn it_stays_between_one_and_the_setting() {
        let mut concurrency = Concurrency::new(2);
        assert_eq!(concurrency.limit(), 2);
        for _ in 0..9 {
            concurrency.backed_off();
        }
        assert_eq!(concurrency.limit(), 1);
    }

    #[test]
    fn an_unused_limit_does_not_grow() {
        let mut concurrency = Concurrency::new(64);
        for _ in 0..1000 {
            concurrency.succeeded(0);
        }
        assert_eq!(concurrency.limit(), 4);
    }
}
