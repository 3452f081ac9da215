//! What `top` looks at, and what a key changes of it. Pure: it neither asks nor draws.

use super::keys::Key;

/// Orders that `s` goes through; each is first shown with the largest on top, but for names.
pub(super) const SORTS: [&str; 8] =
    ["queued", "waiting", "in_flight", "attempts", "dead", "p99", "age", "name"];

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// The order of the hosts, with - before it where the largest come first.
    pub(super) sort: String,
    /// Part of the name of those shown; empty for all.
    pub(super) search: String,
    /// States of those shown, by commas; empty for all.
    pub(super) states: String,
    /// Whether the search is being typed.
    pub(super) typing: bool,
    /// Whether what is shown stays as it is.
    pub(super) frozen: bool,
    /// Rows before the first that is shown.
    pub(super) offset: usize,
    /// The row that is chosen, counted from the first that is shown.
    pub(super) chosen: usize,
    /// The one host that is shown in full.
    pub(super) host: Option<String>,
    /// Lines of it that are above the screen.
    pub(super) scrolled: usize,
}

/// What is on the screen, as far as keys must know.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shown<'a> {
    /// Rows that there is room for.
    pub(super) room: usize,
    /// Hosts on the screen.
    pub(super) hosts: &'a [&'a str],
    /// Hosts there are, where that is known.
    pub(super) total: Option<usize>,
}

/// What is to be done after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// The end.
    Quit,
    /// Something else is looked at: ask for it.
    Look,
    /// Only the screen changes.
    Draw,
}

impl View {
    /// A view of the hosts in this order.
    pub(super) fn new(sort: &str, search: &str, states: &str) -> Self {
        Self {
            sort: sort.into(),
            search: search.into(),
            states: states.into(),
            typing: false,
            frozen: false,
            offset: 0,
            chosen: 0,
            host: None,
            scrolled: 0,
        }
    }

    /// What a key does.
    pub(super) fn press(&mut self, key: Key, shown: Shown<'_>) -> Reaction {
        match key {
            Key::Interrupt => Reaction::Quit,
            _ if self.typing => self.type_search(key),
            Key::Letter('q') => Reaction::Quit,
            Key::Letter('p' | ' ') => {
                self.frozen = !self.frozen;
                if self.frozen { Reaction::Draw } else { Reaction::Look }
            }
            _ if self.host.is_some() => self.press_in_host(key, shown),
            _ => self.press_in_list(key, shown),
        }
    }

    fn type_search(&mut self, key: Key) -> Reaction {
        match key {
            // No host's name is longer.
            Key::Letter(letter) if self.search.len() < 255 => self.search.push(letter),
            Key::Backspace => drop(self.search.pop()),
            Key::Enter => self.typing = false,
            Key::Escape => {
                self.typing = false;
                self.search.clear();
            }
            _ => return Reaction::Draw,
        }
        self.go_to_top();
        Reaction::Look
    }

    fn press_in_host(&mut self, key: Key, shown: Shown<'_>) -> Reaction {
        match key {
            Key::Escape | Key::Enter | Key::Backspace | Key::Left => {
                self.host = None;
                self.scrolled = 0;
                return Reaction::Look;
            }
            Key::Up => self.scrolled = self.scrolled.saturating_sub(1),
            Key::Down => self.scrolled += 1,
            Key::PageUp => self.scrolled = self.scrolled.saturating_sub(shown.room),
            Key::PageDown => self.scrolled += shown.room,
            Key::Home => self.scrolled = 0,
            _ => {}
        }
        Reaction::Draw
    }

    fn press_in_list(&mut self, key: Key, shown: Shown<'_>) -> Reaction {
        let before = self.offset;
        let last = shown.hosts.len().saturating_sub(1);
        match key {
            Key::Letter('s') => return self.next_sort(),
            Key::Letter('S') => return self.turn_sort(),
            Key::Letter('/') => self.typing = true,
            Key::Enter | Key::Right => {
                let Some(host) = shown.hosts.get(self.chosen) else { return Reaction::Draw };
                self.host = Some((*host).to_owned());
                return Reaction::Look;
            }
            Key::Escape if !self.search.is_empty() => {
                self.search.clear();
                self.go_to_top();
                return Reaction::Look;
            }
            Key::Up if self.chosen > 0 => self.chosen -= 1,
            Key::Up => self.offset = self.offset.saturating_sub(1),
            Key::Down if self.chosen < last => self.chosen += 1,
            Key::Down => self.go_down(1, shown),
            Key::PageUp if self.offset == 0 => self.chosen = 0,
            Key::PageUp => self.offset = self.offset.saturating_sub(shown.room),
            Key::PageDown if !self.has_more(shown) => self.chosen = last,
            Key::PageDown => self.go_down(shown.room, shown),
            Key::Home => self.go_to_top(),
            Key::End => self.go_down(usize::MAX, shown),
            _ => {}
        }
        if self.offset == before { Reaction::Draw } else { Reaction::Look }
    }

    fn has_more(&self, shown: Shown<'_>) -> bool {
        let below = self.offset + shown.hosts.len();
        shown.total.map_or(shown.hosts.len() >= shown.room, |total| below < total)
    }

    /// Never so far that the screen is not full, where that is known.
    fn go_down(&mut self, rows: usize, shown: Shown<'_>) {
        let last = match shown.total {
            Some(total) => total.saturating_sub(shown.room),
            None if rows == usize::MAX => return,
            None if self.has_more(shown) => usize::MAX,
            None => self.offset,
        };
        self.offset = self.offset.saturating_add(rows).min(last.max(self.offset));
    }

    fn next_sort(&mut self) -> Reaction {
        let now = self.sort.trim_start_matches('-');
        let index = SORTS.iter().position(|sort| *sort == now).map_or(0, |index| index + 1);
        let next = SORTS[index % SORTS.len()];
        self.sort = if next == "name" { next.into() } else { format!("-{next}") };
        self.go_to_top();
        Reaction::Look
    }

    fn turn_sort(&mut self) -> Reaction {
        self.sort = match self.sort.strip_prefix('-') {
            Some(sort) => sort.into(),
            None => format!("-{}", self.sort),
        };
        self.go_to_top();
        Reaction::Look
    }

    fn go_to_top(&mut self) {
        self.offset = 0;
        self.chosen = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: [&str; 3] = ["a", "b", "c"];

    fn shown(total: usize) -> Shown<'static> {
        Shown { room: 3, hosts: &HOSTS, total: Some(total) }
    }

    fn press(view: &mut View, keys: &[Key], total: usize) -> Reaction {
        let pressed = keys.iter().map(|key| view.press(*key, shown(total)));
        pressed.last().expect("a key")
    }

    #[test]
    fn arrows_move_the_choice_and_then_the_page() {
        let mut view = View::new("-queued", "", "");
        assert_eq!(press(&mut view, &[Key::Down, Key::Down], 10), Reaction::Draw);
        assert_eq!((view.offset, view.chosen), (0, 2));
        assert_eq!(press(&mut view, &[Key::Down], 10), Reaction::Look);
        assert_eq!((view.offset, view.chosen), (1, 2));
        press(&mut view, &[Key::PageDown, Key::PageDown, Key::PageDown], 10);
        assert_eq!(view.offset, 7, "the last page is full");
        assert_eq!(press(&mut view, &[Key::PageDown], 10), Reaction::Draw);
        press(&mut view, &[Key::Home], 10);
        assert_eq!((view.offset, view.chosen), (0, 0));
        press(&mut view, &[Key::End], 10);
        assert_eq!(view.offset, 7);
        assert_eq!(press(&mut view, &[Key::Enter], 10), Reaction::Look);
        assert_eq!(view.host.as_deref(), Some("a"));
        assert_eq!(press(&mut view, &[Key::Down, Key::Escape], 10), Reaction::Look);
        assert_eq!((view.host, view.scrolled), (None, 0));
    }

    #[test]
    fn s_goes_round_all_orders_and_turns_them() {
        let mut view = View::new("-queued", "", "");
        let mut seen = Vec::new();
        for _ in SORTS {
            press(&mut view, &[Key::Letter('s')], 3);
            seen.push(view.sort.clone());
        }
        assert_eq!(seen.first().map(String::as_str), Some("-waiting"));
        assert_eq!(seen[6..], ["name", "-queued"]);
        press(&mut view, &[Key::Letter('S')], 3);
        assert_eq!(view.sort, "queued");
    }

    #[test]
    fn a_search_is_typed_and_its_letters_do_nothing_else() {
        let mut view = View::new("-queued", "", "");
        let typed = [Key::Letter('/'), Key::Letter('q'), Key::Letter('x'), Key::Backspace];
        assert_eq!(press(&mut view, &typed, 3), Reaction::Look);
        assert!(view.typing);
        press(&mut view, &[Key::Enter], 3);
        assert_eq!((view.search.as_str(), view.typing), ("q", false));
        press(&mut view, &[Key::Escape], 3);
        assert_eq!(view.search, "");
        assert_eq!(press(&mut view, &[Key::Letter('p')], 3), Reaction::Draw);
        assert!(view.frozen);
        assert_eq!(press(&mut view, &[Key::Letter('q')], 3), Reaction::Quit);
        let typing = &mut View { typing: true, ..View::new("name", "", "") };
        assert_eq!(press(typing, &[Key::Interrupt], 3), Reaction::Quit);
    }
}
