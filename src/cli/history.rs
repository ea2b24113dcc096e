//! `runner history`: the runs of this user. `runner show`: one of them again.

use super::{Answer, journal, print};
use crate::diagnostic::Problem;
use crate::event::{Event, Status};
use crate::exit;
use crate::journal::{Brief, Fate, Told};
use crate::report::Report;
use crate::ui::escape::escape_str;
use crate::ui::json::{Json, rfc3339};
use crate::ui::style::{cut, word};
use crate::ui::words::{Count, List, duration};
use crate::ui::{self, Renderer, Sink, Terminal};
use serde_json::{Value, json};
use std::io::BufWriter;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A line of a terminal that is not wider than this is not cut anywhere.
const COLUMNS: usize = 80;

/// The screen looks at its clock so often.
const TICK: Duration = Duration::from_millis(100);

/// So long a silence changes nothing more on the screen.
const SILENCE: u128 = 10;

/// List the runs of the past: playbooks, and commands on many hosts
///
/// Each run writes a journal in $XDG_STATE_HOME/runner/runs, or ~/.local/state/runner/runs. The last 200 are kept.
#[derive(Debug, clap::Args)]
pub(crate) struct HistoryOptions {
    /// How many of the last runs
    #[arg(short, value_name = "COUNT", default_value_t = 20)]
    number: usize,
    /// Two lines per run, or JSON
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    #[default]
    Plain,
    /// For programs: one array of objects, or one event per line
    Json,
}

/// Show a run of the past as it was shown when it ran
#[derive(Debug, clap::Args)]
pub(crate) struct ShowOptions {
    /// The run, as `runner history` names it
    #[arg(value_name = "RUN", default_value = "last")]
    run: String,
    /// Plain lines, or one JSON event per line
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// When to use color
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: ui::Color,
    /// Say more; twice for the output of commands
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Say at the end where the time went
    #[arg(long)]
    timing: bool,
}

pub(super) fn history(options: &HistoryOptions) -> Answer {
    let folder = journal::folder()?;
    let runs = folder.all_runs()?;
    let runs = runs.iter().take(options.number);
    let all: Vec<Result<Brief, Problem>> = runs
        .filter_map(|run| folder.brief(run).transpose())
        .collect();
    let mut damaged = crate::diagnostic::Problems::new();
    let good: Vec<Brief> = all
        .into_iter()
        .filter_map(|brief| damaged.note(brief))
        .collect();
    if options.output == Format::Json {
        print(&format!(
            "{:#}\n",
            good.iter().map(object).collect::<Value>()
        ))?;
    } else if good.is_empty() && damaged.is_empty() {
        print("there is no run yet\n")?;
    } else {
        let cuts = Terminal::detect().out;
        print(
            &good
                .iter()
                .map(|brief| lines(brief, cuts))
                .collect::<String>(),
        )?;
    }
    damaged.or(exit::OK).map_err(Into::into)
}

/// What a run was, and what it came to.
fn lines(brief: &Brief, cuts: bool) -> String {
    let header = &brief.header;
    let mut first = format!("{}  {} {}", header.id, header.kind.word(), brief.name);
    for choice in &header.choices.0 {
        first.push(' ');
        first.push_str(choice);
    }
    if header.check {
        first.push_str(" --check");
    }
    if header.resumes.is_some() {
        first.push_str(" --resume");
    }
    let first = escape_str(&first).into_owned();
    let first = if cuts { cut(&first, COLUMNS) } else { first };
    let second = format!("{}, {}, {}", when(brief), header.who, came_to(brief));
    format!("{first}\n    {}\n", escape_str(&second))
}

fn when(brief: &Brief) -> String {
    let text = rfc3339(UNIX_EPOCH + Duration::from_millis(brief.header.started));
    format!("{} {}", &text[..10], &text[11..16])
}

fn came_to(brief: &Brief) -> String {
    let hosts = Count(brief.hosts, "host");
    let end = match (&brief.end, brief.fate) {
        (Some(end), _) => end,
        (None, Fate::Running) => return format!("{hosts}: still going on"),
        (None, Fate::Partial) => return format!("{hosts}: its journal is not complete"),
        (None, _) => {
            let unknown = match brief.unknown {
                0 => String::new(),
                count => format!(", {} unknown", Count(count, "task")),
            };
            return format!("{hosts}: ended from outside{unknown}");
        }
    };
    let counts: Vec<String> = end
        .totals
        .iter()
        .filter(|(status, _)| *status != Status::Skipped)
        .map(|(status, count)| format!("{count} {}", word(*status, brief.header.check)))
        .collect();
    let counts = match counts.is_empty() {
        true => "nothing done".to_owned(),
        false => List(&counts).to_string(),
    };
    let took = duration(end.took);
    let code = match (&end.signal, end.exit_code) {
        (Some(signal), _) => format!("SIG{signal}, {took}"),
        (None, 0) => took,
        (None, code) => format!("exit {code}, {took}"),
    };
    format!("{hosts}: {counts} ({code})")
}

fn object(brief: &Brief) -> Value {
    let header = &brief.header;
    let started = UNIX_EPOCH + Duration::from_millis(header.started);
    let end = brief.end.as_ref();
    let totals = end.map(|end| -> serde_json::Map<String, Value> {
        let totals = end.totals.iter();
        let named = totals.map(|(status, count)| (word(*status, false).to_owned(), json!(count)));
        named.collect()
    });
    json!({
        "id": header.id,
        "time": rfc3339(started),
        "command": header.kind.word(),
        "name": brief.name,
        "options": header.choices.0,
        "check": header.check,
        "resumes": header.resumes,
        "who": header.who,
        "inventory": header.inventory,
        "hosts": brief.hosts,
        "state": match brief.fate {
            Fate::Ended => "ended",
            Fate::Running => "running",
            Fate::Killed => "killed",
            Fate::Partial => "partial",
        },
        "unknown": brief.unknown,
        "took": end.map(|end| end.took.as_secs_f64()),
        "totals": totals,
        "unfinished": end.map(|end| end.unfinished),
        "signal": end.and_then(|end| end.signal.clone()),
        "exit_code": end.map(|end| end.exit_code),
    })
}

pub(super) fn show(options: &ShowOptions) -> Answer {
    let folder = journal::folder()?;
    let told = journal::named(&folder, &options.run)?;
    let running = told.fate(folder.is_running(&told.header.id)) == Fate::Running;
    let mut report = match options.timing {
        true => Report::timed(),
        false => Report::new(),
    };
    let began = Instant::now();
    let time = Arc::new(Mutex::new(SystemTime::UNIX_EPOCH));
    let mut renderer = renderer(options, &told, &time);
    let started = UNIX_EPOCH + Duration::from_millis(told.header.started);
    let mut clock = Duration::ZERO;
    let mut tell = |at: Duration, event: Event| {
        // What the screen tells when nothing happens for a while comes where it came.
        let ticks = at.as_millis() / TICK.as_millis() - clock.as_millis() / TICK.as_millis();
        (0..ticks.min(SILENCE)).for_each(|_| renderer.tick());
        clock = at;
        *time.lock().unwrap_or_else(PoisonError::into_inner) = started + at;
        let moment = crate::event::Moment {
            at: began + at,
            event,
        };
        report.moment(&moment);
        renderer.event(&moment.event);
    };
    let ending = told.ending();
    let last = told.moments.last().map_or(Duration::ZERO, |(at, _)| *at);
    for (at, event) in told.moments {
        tell(at, event);
    }
    if told.end.is_none() && !running {
        for event in ending {
            tell(last, event);
        }
    }
    if running {
        drop(renderer);
        return print("still going on\n");
    }
    renderer.finish(&report);
    Ok(exit::OK)
}

fn renderer(
    options: &ShowOptions,
    told: &Told,
    time: &Arc<Mutex<SystemTime>>,
) -> Box<dyn Renderer> {
    let out = Sink::new(BufWriter::new(std::io::stdout()));
    let err = Sink::new(BufWriter::new(std::io::stderr()));
    if options.output == Format::Json {
        let time = Arc::clone(time);
        return Box::new(Json::new(out, move || {
            *time.lock().unwrap_or_else(PoisonError::into_inner)
        }));
    }
    let options = ui::Options {
        output: ui::Output::Plain,
        color: options.color,
        verbose: options.verbose,
        adhoc: told.header.adhoc,
    };
    ui::choose(options, Terminal::detect(), out, err)
}
