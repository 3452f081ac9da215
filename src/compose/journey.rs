//! A recipient's journey through a canvas, step by step.
//!
//! [`Journey::next`] tells what is to be done and changes nothing; the transitions change the state
//! when it has been done. Whoever drives a journey stores the state after each transition, together
//! with what the move brought about; so a stop between any two moves loses nothing and repeats
//! nothing. A webhook step's sends are known by [`Journey::send_key`], which is the same when a
//! move is made again.
//!
//! A journey ends after a thousand steps: a circle with a delay in it would else never end.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::document::{Action, Branch, Canvas, Delay, Step, Wait};
use super::filter::{Answer, Facts, RecipientFacts, Root};
use crate::model::Timestamp;

/// Steps that one journey may visit. Daily for more than a year with two steps a day.
pub const VISITS_MAX: u32 = 1_000;
/// Bytes of an answer's body (as JSON) that branches can look at; a longer one counts as absent.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Where a recipient stands: stored per journey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Journey {
    /// Id of the canvas.
    pub canvas: String,
    /// The version of it that the recipient entered.
    pub version: u32,
    /// External id of the recipient.
    pub recipient: String,
    /// What the recipient brought along.
    pub entry_properties: Value,
    /// How many of our own webhooks led to the entry.
    pub hop: u8,
    /// The step that the recipient is at.
    step: String,
    /// Steps visited so far, this one included.
    visit: u32,
    /// When this step was entered.
    entered: Timestamp,
    /// Whether this step's webhooks were sent.
    sent: bool,
    /// Deliveries of the last webhook step, and what came of each.
    deliveries: Vec<Sent>,
}

/// One delivery of the last webhook step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sent {
    id: String,
    answer: Option<Answer>,
}

/// Who enters which canvas.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// Id of the canvas.
    pub canvas: String,
    /// Its version.
    pub version: u32,
    /// External id of the recipient.
    pub recipient: String,
    /// What the recipient brings along, an object.
    pub entry_properties: Value,
    /// How many of our own webhooks led here.
    pub hop: u8,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Send the webhooks of this step, then [`Journey::on_sent`].
    SendWebhooks {
        /// Which step.
        step: String,
    },
    /// Ask again at this time.
    SleepUntil(Timestamp),
    /// Give events of this name to [`Journey::on_event`]; ask again at `until`.
    WaitForEvent {
        /// The event's name.
        event: String,
        /// When the wait is over.
        until: Timestamp,
    },
    /// The branch looks at an answer that is not there yet: give it to [`Journey::on_answer`].
    AwaitAnswer,
    /// Go to this step with [`Journey::go`].
    Go {
        /// Which step.
        to: String,
    },
    /// The journey is over.
    Exit {
        /// Why.
        reason: ExitReason,
    },
}

/// Why a journey is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitReason {
    /// It came to an exit step or past the last one.
    Finished,
    /// It has visited as many steps as a journey may.
    TooManySteps,
    /// The canvas does not have its step: the state is of another version.
    StepGone,
}

/// What an event does to a journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventEffect {
    /// It was waited for: the journey went on.
    WentOn,
    /// It was waited for, and the journey is over.
    Over(ExitReason),
    /// Another event is waited for, or none, or it came too late, or its filter did not pass.
    Ignored,
}

impl Journey {
    /// Enters the first step. `None` when the canvas has no step, which a vetted one has.
    pub fn enter(entrance: Entrance, canvas: &Canvas, now: Timestamp) -> Option<Self> {
        Some(Self {
            canvas: entrance.canvas,
            version: entrance.version,
            recipient: entrance.recipient,
            entry_properties: entrance.entry_properties,
            hop: entrance.hop,
            step: canvas.steps.first()?.id.clone(),
            visit: 1,
            entered: now,
            sent: false,
            deliveries: Vec::new(),
        })
    }

    /// The step that the recipient is at.
    pub fn step(&self) -> &str {
        &self.step
    }

    /// Steps visited so far, this one included.
    pub fn visit(&self) -> u32 {
        self.visit
    }

    /// When this step was entered.
    pub fn entered(&self) -> Timestamp {
        self.entered
    }

    /// Names this visit of this step within the journey, for ids that a repeat is known by.
    pub fn send_key(&self) -> String {
        format!("{}/{}", self.visit, self.step)
    }

    /// What is to be done at `now`, `recipient` being what is known of the recipient then.
    pub fn next(
        &self,
        canvas: &Canvas,
        recipient: Option<RecipientFacts<'_>>,
        now: Timestamp,
    ) -> Move {
        let Some((place, step)) = canvas.step(&self.step) else {
            return Move::Exit { reason: ExitReason::StepGone };
        };
        match &step.action {
            Action::Exit => Move::Exit { reason: ExitReason::Finished },
            Action::Webhook { .. } if self.sent => self.toward(canvas.after(place)),
            Action::Webhook { .. } => Move::SendWebhooks { step: step.id.clone() },
            Action::Delay(delay) => match self.delay_end(delay) {
                end if end <= now => self.toward(canvas.after(place)),
                end => Move::SleepUntil(end),
            },
            Action::Branch { branches, otherwise } => {
                let otherwise = otherwise.as_deref().or_else(|| canvas.after(place));
                self.branch(branches, otherwise, recipient)
            }
            Action::WaitForEvent(wait) => match self.entered.plus(wait.timeout.get()) {
                until if until <= now => {
                    self.toward(wait.on_timeout.as_deref().or_else(|| canvas.after(place)))
                }
                until => Move::WaitForEvent { event: wait.event.event.clone(), until },
            },
        }
    }

    /// Enters the step `to`, as [`Move::Go`] says.
    pub fn go(&mut self, to: &str, now: Timestamp) {
        self.step = to.to_owned();
        self.visit = self.visit.saturating_add(1);
        // The clock that a journey is measured by must not run backwards.
        self.entered = self.entered.max(now);
        self.sent = false;
    }

    /// The webhooks of this step became these deliveries; none when rendering aborted them all.
    pub fn on_sent(&mut self, deliveries: impl IntoIterator<Item = String>) {
        self.sent = true;
        self.deliveries = deliveries.into_iter().map(|id| Sent { id, answer: None }).collect();
    }

    /// The deliveries of the last webhook step whose answers have not come.
    pub fn open_deliveries(&self) -> impl Iterator<Item = &str> {
        self.deliveries.iter().filter(|sent| sent.answer.is_none()).map(|sent| sent.id.as_str())
    }

    /// A delivery is over. Says whether it is one of the last webhook step, so that the journey's
    /// state changed.
    pub fn on_answer(&mut self, delivery: &str, answer: Answer) -> bool {
        let open = |sent: &Sent| sent.id == delivery && sent.answer.is_none();
        let Some(place) = self.deliveries.iter().position(open) else { return false };
        let last = place + 1 == self.deliveries.len();
        let size = serde_json::to_vec(&answer.body).map_or(usize::MAX, |json| json.len());
        // Only the last body can be looked at.
        let kept = last && size <= ANSWER_BYTES_MAX;
        let body = if kept { answer.body } else { Value::Null };
        self.deliveries[place].answer = Some(Answer { body, ..answer });
        true
    }

    /// An event of the recipient came. Where it was waited for, the journey goes on.
    pub fn on_event(
        &mut self,
        canvas: &Canvas,
        event: &str,
        facts: &Facts<'_>,
        now: Timestamp,
    ) -> EventEffect {
        let Some((place, wait)) = self.awaited(canvas) else { return EventEffect::Ignored };
        let in_time = now < self.entered.plus(wait.timeout.get());
        let seen = Facts { entry_properties: Some(&self.entry_properties), ..*facts };
        let passes = wait.event.filter.as_ref().is_none_or(|filter| filter.passes(&seen));
        if wait.event.event != event || !in_time || !passes {
            return EventEffect::Ignored;
        }
        match self.toward(wait.on_event.as_deref().or_else(|| canvas.after(place))) {
            Move::Go { to } => {
                self.go(&to, now);
                EventEffect::WentOn
            }
            Move::Exit { reason } => EventEffect::Over(reason),
            _ => EventEffect::Ignored,
        }
    }

    /// What is known of the last webhook step's answer: `None` while a delivery is under way. Of
    /// several webhooks, `delivered` says whether all were; status and body are the last one's.
    pub fn answer(&self) -> Option<Answer> {
        let answers: Option<Vec<&Answer>> =
            self.deliveries.iter().map(|sent| sent.answer.as_ref()).collect();
        let answers = answers?;
        let Some(last) = answers.last() else { return Some(Answer::default()) };
        let delivered = answers.iter().all(|answer| answer.delivered);
        Some(Answer { delivered, ..(*last).clone() })
    }

    fn branch(
        &self,
        branches: &[Branch],
        otherwise: Option<&str>,
        recipient: Option<RecipientFacts<'_>>,
    ) -> Move {
        let answer = self.answer();
        let facts = Facts {
            recipient,
            entry_properties: Some(&self.entry_properties),
            response: answer.as_ref(),
            ..Facts::default()
        };
        for branch in branches {
            if answer.is_none() && branch.when.reads(Root::Response) {
                return Move::AwaitAnswer;
            }
            if branch.when.passes(&facts) {
                return self.toward(Some(&branch.next));
            }
        }
        self.toward(otherwise)
    }

    fn awaited<'c>(&self, canvas: &'c Canvas) -> Option<(usize, &'c Wait)> {
        match canvas.step(&self.step)? {
            (place, Step { action: Action::WaitForEvent(wait), .. }) => Some((place, wait)),
            _ => None,
        }
    }

    fn delay_end(&self, delay: &Delay) -> Timestamp {
        match delay {
            Delay::For { span } => self.entered.plus(span.get()),
            Delay::Until { until } => until.get(),
        }
    }

    fn toward(&self, to: Option<&str>) -> Move {
        match to {
            None => Move::Exit { reason: ExitReason::Finished },
            Some(_) if self.visit >= VISITS_MAX => Move::Exit { reason: ExitReason::TooManySteps },
            Some(to) => Move::Go { to: to.to_owned() },
        }
    }
}

#[cfg(test)]
mod tests;
