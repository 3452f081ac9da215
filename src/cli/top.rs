//! `hostline top`: host actors and totals, live. Full screen on a terminal; elsewhere one frame, or
//! a line of JSON a second. This file runs it; what is asked, drawn and pressed is in the files below.

mod frame;
mod keys;
mod screen;
mod source;
mod view;

use std::io::{IsTerminal, Read};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use self::frame::{Frame, room};
use self::keys::{Key, decode};
use self::screen::Screen;
use self::source::{Look, Query, Source};
use self::view::{Reaction, Shown, View};
use super::output::{refuse, say, tell};
use super::server::{ServerArgs, Unanswered};
use super::table::terminal_width;
use crate::clock::Clock;

/// How often the server is looked at: its figures are that old at most.
const EVERY: Duration = Duration::from_secs(1);
/// Keys, ticks and answers that may wait to be shown.
const WAITING_MAX: usize = 64;

const EXAMPLES: &str = "\
Examples:
  hostline top
  hostline top --sort -p99 --state limited,backing_off,cooling_down
  hostline top --once > hosts.txt
  hostline top --json | jq -c '[.at, .stats.deferred]'

Keys: q quit, s next order, S turn it, / search, p freeze, arrows, PageUp and PageDown, enter one
host, esc back.

Exit codes: 0 ended by a key or a signal, 2 refused by the server, or the server cannot be reached
at the beginning. Where standard output is no terminal one frame is printed.";

/// Flags of `top`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TopArgs {
    /// Order, the largest first with - before it: queued, waiting, in_flight, attempts, dead, p99, …
    #[arg(long, value_name = "KEY", default_value = "-queued", allow_hyphen_values = true)]
    sort: String,
    /// Only those whose name has this in it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    search: String,
    /// Only those in one of these states
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
    /// Hosts to print where it is no full screen
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Print one frame
    #[arg(long)]
    once: bool,
    /// Print a line of JSON each second (with --once: one)
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs the command.
pub fn run(args: TopArgs) -> ExitCode {
    let source = match args.server.open() {
        Ok(server) => Source::new(server),
        Err(wrong) => return refuse(&wrong),
    };
    let view = View::new(&args.sort, &args.search, &args.state.join(","));
    let full_screen = !args.json && !args.once && std::io::stdout().is_terminal();
    let done = actix_rt::System::new().block_on(async {
        match full_screen {
            true => watch(source, view).await,
            false => print(source, &view, &args).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => refuse(&wrong),
    }
}

async fn print(mut source: Source, view: &View, args: &TopArgs) -> Result<(), String> {
    let query = query_of(view, usize::from(args.limit));
    loop {
        let began = actix_rt::time::Instant::now();
        let look = source.look(&query).await?;
        if !args.json {
            let frame = Frame {
                url: source.url(),
                view,
                look: Some(&look),
                trouble: None,
                now: Clock::system().wall(),
            };
            say(&frame.printed(terminal_width()));
            return Ok(());
        }
        if tell(&look.json()).is_err() || args.once {
            return Ok(());
        }
        actix_rt::time::sleep(EVERY.saturating_sub(began.elapsed())).await;
    }
}

fn query_of(view: &View, limit: usize) -> Query {
    Query {
        sort: view.sort.clone(),
        search: view.search.clone(),
        states: view.states.clone(),
        offset: view.offset,
        limit,
        host: view.host.clone(),
    }
}

/// What makes the screen change.
enum Happening {
    Pressed(Vec<Key>),
    Looked(Query, Result<Box<Look>, Unanswered>),
    /// It is time to look again.
    Tick,
    Resized,
    Over,
}

async fn watch(mut source: Source, view: View) -> Result<(), String> {
    let url = source.url().to_owned();
    // The first look comes before the screen is taken: a refusal is told like any other.
    let query = query_of(&view, room(screen::size().1));
    let look = source.look(&query).await?;
    let screen =
        Screen::enter().map_err(|error| format!("the terminal cannot be used: {error}"))?;
    let (sender, mut happenings) = mpsc::channel(WAITING_MAX);
    let (queries, wanted) = mpsc::channel(1);
    actix_rt::spawn(look_on(source, wanted, sender.clone()));
    actix_rt::spawn(tick(sender.clone()));
    listen(&sender).map_err(|error| format!("signals cannot be heard: {error}"))?;
    if screen.has_keys() {
        read_keys(sender.clone());
    }
    let mut top = Top { url, view, look: Some(Box::new(look)), trouble: None, screen, queries };
    top.draw().map_err(|error| format!("the terminal cannot be used: {error}"))?;
    while let Some(happening) = happenings.recv().await {
        if !top.take(happening) || top.draw().is_err() {
            break;
        }
    }
    Ok(())
}

/// Looks when asked to, one look at a time.
async fn look_on(
    mut source: Source,
    mut wanted: mpsc::Receiver<Query>,
    sender: mpsc::Sender<Happening>,
) {
    while let Some(query) = wanted.recv().await {
        let look = source.look(&query).await.map(Box::new);
        if sender.send(Happening::Looked(query, look)).await.is_err() {
            return;
        }
    }
}

async fn tick(sender: mpsc::Sender<Happening>) {
    while sender.send(Happening::Tick).await.is_ok() {
        actix_rt::time::sleep(EVERY).await;
    }
}

/// Hears what ends it, and that the terminal has another size.
fn listen(sender: &mpsc::Sender<Happening>) -> std::io::Result<()> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let (mut heard, sender) = (signal(kind)?, sender.clone());
        actix_rt::spawn(async move {
            heard.recv().await;
            let _ = sender.send(Happening::Over).await;
        });
    }
    let (mut resized, sender) = (signal(SignalKind::window_change())?, sender.clone());
    actix_rt::spawn(async move {
        while resized.recv().await.is_some() && sender.send(Happening::Resized).await.is_ok() {}
    });
    Ok(())
}

/// A thread of its own, since a terminal is read by waiting; it goes with the process.
fn read_keys(sender: mpsc::Sender<Happening>) {
    std::thread::spawn(move || {
        let mut bytes = [0; 256];
        loop {
            let happening = match std::io::stdin().read(&mut bytes) {
                Ok(0) | Err(_) => Happening::Over,
                Ok(length) => Happening::Pressed(decode(&bytes[..length])),
            };
            let ends = matches!(happening, Happening::Over);
            if sender.blocking_send(happening).is_err() || ends {
                return;
            }
        }
    });
}

struct Top {
    url: String,
    view: View,
    look: Option<Box<Look>>,
    trouble: Option<String>,
    screen: Screen,
    queries: mpsc::Sender<Query>,
}

impl Top {
    /// Takes in what happened; false when that was the end.
    fn take(&mut self, happening: Happening) -> bool {
        match happening {
            Happening::Over => return false,
            Happening::Resized => self.ask(),
            Happening::Tick if self.view.frozen => {}
            Happening::Tick => self.ask(),
            Happening::Looked(query, Ok(look)) => {
                self.trouble = None;
                // An answer to what is no longer looked at would make the screen jump.
                if query == self.query() {
                    self.look = Some(look);
                } else {
                    self.ask();
                }
            }
            Happening::Looked(_, Err(wrong)) => self.trouble = Some(wrong.to_string()),
            Happening::Pressed(keys) => {
                return keys.into_iter().all(|key| self.press(key));
            }
        }
        true
    }

    fn press(&mut self, key: Key) -> bool {
        let hosts: Vec<&str> = match &self.look {
            Some(look) => look.hosts.iter().map(|host| host.host.as_str()).collect(),
            None => Vec::new(),
        };
        let total = self.look.as_ref().and_then(|look| look.total);
        let shown = Shown { room: room(screen::size().1), hosts: &hosts, total };
        match self.view.press(key, shown) {
            Reaction::Quit => return false,
            Reaction::Look => self.ask(),
            Reaction::Draw => {}
        }
        true
    }

    fn query(&self) -> Query {
        query_of(&self.view, room(screen::size().1))
    }

    /// Asks for what is looked at; when a question waits already, its answer leads to this one.
    fn ask(&self) {
        let _ = self.queries.try_send(self.query());
    }

    fn draw(&self) -> std::io::Result<()> {
        let frame = Frame {
            url: &self.url,
            view: &self.view,
            look: self.look.as_deref(),
            trouble: self.trouble.as_deref(),
            now: Clock::system().wall(),
        };
        self.screen.draw(&frame.screen(screen::size()))
    }
}
