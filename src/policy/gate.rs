//! The gate before a host: open, shut for a cooldown, or ajar for probes.

use std::time::Duration;

use crate::model::Moment;

/// Whether deliveries may go to a host at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// They may.
    Open,
    /// The host is unhealthy: every delivery is deferred.
    Cooling {
        /// Until then.
        until: Moment,
        /// Why, in words.
        reason: String,
    },
    /// A few go out to see whether the host is back.
    Probing {
        /// How many may still go.
        left: u32,
        /// Out and not answered.
        out: u32,
        /// Came back well.
        succeeded: u32,
        /// Came back ill.
        failed: u32,
    },
}

/// What the last probe's answer decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// More answers are needed.
    Undecided,
    /// Most succeeded.
    Healthy,
    /// Most did not.
    Unhealthy,
}

impl Gate {
    /// Shuts the gate.
    pub fn cool(reason: String, cooldown: Duration, now: Moment) -> Self {
        Gate::Cooling { until: now + cooldown, reason }
    }

    /// Opens it a crack when the cooldown is over: `probes` go, or as many as wait. Answers
    /// whether it did so just now.
    pub fn advance(&mut self, probes: u32, now: Moment) -> bool {
        let is_over = matches!(self, Gate::Cooling { until, .. } if *until <= now);
        if is_over {
            *self = Gate::Probing { left: probes.max(1), out: 0, succeeded: 0, failed: 0 };
        }
        is_over
    }

    /// Whether a send may start.
    pub fn lets_pass(&self) -> bool {
        match self {
            Gate::Open => true,
            Gate::Cooling { .. } => false,
            Gate::Probing { left, .. } => *left > 0,
        }
    }

    /// A send starts; answers whether it is a probe.
    pub fn passed(&mut self) -> bool {
        let Gate::Probing { left, out, .. } = self else { return false };
        *left = left.saturating_sub(1);
        *out += 1;
        true
    }

    /// A probe of one of several lanes came back. One that is well decides, whoever's it is: the
    /// host does not fail everybody then. All must be ill for the opposite.
    pub fn probed_by_any(&mut self, success: bool, waiting: usize) -> Probed {
        let Gate::Probing { left, out, succeeded, failed } = self else {
            return Probed::Undecided;
        };
        *out = out.saturating_sub(1);
        *succeeded += u32::from(success);
        *failed += u32::from(!success);
        let to_come = *out + if waiting == 0 { 0 } else { *left };
        match (success, to_come) {
            (true, _) => Probed::Healthy,
            (false, 0) => Probed::Unhealthy,
            (false, _) => Probed::Undecided,
        }
    }

    /// A probe came back. The majority decides, as soon as it is certain; with nothing left to
    /// send (`waiting` is 0) the answers that are there decide.
    pub fn probed(&mut self, success: bool, waiting: usize) -> Probed {
        let Gate::Probing { left, out, succeeded, failed } = self else {
            return Probed::Undecided;
        };
        *out = out.saturating_sub(1);
        if success {
            *succeeded += 1;
        } else {
            *failed += 1;
        }
        let to_come = *out + if waiting == 0 { 0 } else { *left };
        if *succeeded > *failed + to_come {
            Probed::Healthy
        } else if *failed >= *succeeded + to_come {
            Probed::Unhealthy
        } else {
            Probed::Undecided
        }
    }

    /// A probe came to an end that says nothing of the host's health: another may go.
    pub fn probe_lost(&mut self) {
        if let Gate::Probing { left, out, .. } = self {
            *out = out.saturating_sub(1);
            *left += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probing() -> Gate {
        let mut gate = Gate::cool("why".into(), Duration::from_secs(60), Moment::ORIGIN);
        assert!(!gate.lets_pass());
        assert!(!gate.advance(3, Moment::ORIGIN + Duration::from_secs(59)));
        assert!(!gate.lets_pass());
        assert!(gate.advance(3, Moment::ORIGIN + Duration::from_secs(60)));
        gate
    }

    #[test]
    fn three_probes_go_and_no_fourth() {
        let mut gate = probing();
        for _ in 0..3 {
            assert!(gate.lets_pass());
            assert!(gate.passed());
        }
        assert!(!gate.lets_pass());
    }

    #[test]
    fn the_majority_decides_as_soon_as_it_is_certain() {
        let mut gate = probing();
        (0..3).for_each(|_| assert!(gate.passed()));
        assert_eq!(gate.probed(true, 9), Probed::Undecided);
        assert_eq!(gate.probed(true, 9), Probed::Healthy);
        let mut gate = probing();
        (0..3).for_each(|_| assert!(gate.passed()));
        assert_eq!(gate.probed(false, 9), Probed::Undecided);
        assert_eq!(gate.probed(false, 9), Probed::Unhealthy);
    }

    #[test]
    fn a_single_delivery_decides_alone() {
        let mut gate = probing();
        gate.passed();
        assert_eq!(gate.probed(true, 0), Probed::Healthy);
    }
}
