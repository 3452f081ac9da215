//! Where the steps of a canvas lead: to steps that exist, to every one of them, and never in a
//! circle that does not wait.

use super::canvas::Canvas;
use super::step::{Action, Delay, Step};
use super::vetting::Vetting;

/// One way out of a step.
struct Way<'a> {
    /// Place of the field that names it, from the step on; empty for the following step.
    tokens: Vec<String>,
    /// Where it leads; `None` for out of the canvas.
    to: Option<&'a str>,
}

/// Vets where the steps lead; the present place is their list.
pub(super) fn vet(canvas: &Canvas, vetting: &mut Vetting) {
    let mut edges: Vec<Vec<usize>> = Vec::with_capacity(canvas.steps.len());
    let mut lost = false;
    for (place, step) in canvas.steps.iter().enumerate() {
        let mut targets = Vec::new();
        for way in ways(canvas, place, step) {
            match way.to.map(|id| (id, canvas.step(id))) {
                None => {}
                Some((_, Some((target, _)))) => targets.push(target),
                Some((id, None)) => {
                    lost = true;
                    fault_within(vetting, place, &way.tokens, &format!("there is no step {id:?}"));
                }
            }
        }
        edges.push(targets);
    }
    // With a way to nowhere, what cannot be reached would only repeat that fault.
    if !lost {
        vet_reachable(&edges, vetting);
        vet_circles(canvas, &edges, vetting);
    }
}

fn fault_within(vetting: &mut Vetting, place: usize, tokens: &[String], detail: &str) {
    fn descend(vetting: &mut Vetting, tokens: &[String], detail: &str) {
        match tokens.split_first() {
            Some((token, rest)) => {
                vetting.under(token, |vetting| descend(vetting, rest, detail));
            }
            None => vetting.fault(detail),
        }
    }
    vetting.under(place, |vetting| descend(vetting, tokens, detail));
}

fn ways<'a>(canvas: &'a Canvas, place: usize, step: &'a Step) -> Vec<Way<'a>> {
    let way = |token: &str, to| Way { tokens: vec![token.to_owned()], to: Some(to) };
    let default = || Way { tokens: vec!["next".to_owned()], to: canvas.after(place) };
    let or_default = |token: &str, to: &'a Option<String>| match to {
        Some(to) => way(token, to),
        None => default(),
    };
    match &step.action {
        Action::Exit => Vec::new(),
        Action::Webhook { .. } | Action::Delay(_) => vec![default()],
        Action::Branch { branches, otherwise } => {
            let mut ways: Vec<Way<'a>> = branches
                .iter()
                .enumerate()
                .map(|(index, branch)| Way {
                    tokens: vec!["branches".into(), index.to_string(), "next".into()],
                    to: Some(&branch.next),
                })
                .collect();
            ways.push(or_default("else", otherwise));
            ways
        }
        Action::WaitForEvent(wait) => {
            // `next` that both ways pass over would never be taken, but must exist all the same.
            let mut ways = vec![
                or_default("on_event", &wait.on_event),
                or_default("on_timeout", &wait.on_timeout),
            ];
            if let (Some(_), Some(_), Some(next)) = (&wait.on_event, &wait.on_timeout, &step.next) {
                ways.push(way("next", next));
            }
            ways
        }
    }
}

fn vet_reachable(edges: &[Vec<usize>], vetting: &mut Vetting) {
    let mut reached = vec![false; edges.len()];
    let mut open = vec![0];
    while let Some(place) = open.pop() {
        if !std::mem::replace(&mut reached[place], true) {
            open.extend(&edges[place]);
        }
    }
    for (place, reached) in reached.iter().enumerate() {
        if !reached {
            vetting.fault_at(place, "can never be reached; lead a step to it or take it out");
        }
    }
}

/// Takes away, again and again, the steps that do not wait and that no other such step leads to;
/// what is left stands in a circle or behind one.
fn vet_circles(canvas: &Canvas, edges: &[Vec<usize>], vetting: &mut Vetting) {
    let waits: Vec<bool> = canvas.steps.iter().map(|step| does_wait(&step.action)).collect();
    let mut leading_in = vec![0_usize; edges.len()];
    for (place, targets) in edges.iter().enumerate() {
        for target in targets {
            leading_in[*target] += usize::from(!waits[place]);
        }
    }
    let mut left: Vec<bool> = waits.iter().map(|waits| !waits).collect();
    let is_free = |place: &usize| !waits[*place] && leading_in[*place] == 0;
    let mut free: Vec<usize> = (0..edges.len()).filter(is_free).collect();
    while let Some(place) = free.pop() {
        left[place] = false;
        for target in &edges[place] {
            leading_in[*target] -= 1;
            if left[*target] && leading_in[*target] == 0 {
                free.push(*target);
            }
        }
    }
    if let Some(place) = left.iter().position(|left| *left) {
        let detail = "goes in a circle, or stands behind one, that never waits; put a delay with \
                      `for` or a wait_for_event into it";
        vetting.fault_at(place, detail);
    }
}

/// Whether each visit takes time. A delay until a fixed time takes none once that has passed.
fn does_wait(action: &Action) -> bool {
    match action {
        Action::Delay(Delay::For { .. }) | Action::WaitForEvent(_) => true,
        Action::Delay(Delay::Until { .. })
        | Action::Webhook { .. }
        | Action::Branch { .. }
        | Action::Exit => false,
    }
}
