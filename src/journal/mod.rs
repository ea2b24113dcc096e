//! The journal: what every run has planned, begun and finished, in one file per run.
//!
//! It is one more consumer of [`Event`](crate::event::Event)s: a [`Writer`] takes them on their way to the screen. Lines of
//! JSON, each with a number and a checksum ([`line`](mod@line)): a last line that is torn is ignored, damage before it is an error
//! that names file and line. What may change a host ([`Event::Acting`](crate::event::Event::Acting)) is written and
//! synced before it is sent, and all that wait for that share one sync; everything else is written at once and synced with the
//! next. So a runner that is killed loses nothing that it has heard of, and a machine that loses power may lose
//! what was finished last, which then counts as unknown.
//!
//! [`Told`] reads a journal back: what `runner show` replays, and how far every host has come. [`Plan`] is what a
//! later run is compared with before it goes on from there.

mod folder;
pub mod line;
mod plan;
mod record;
mod told;
mod writer;

pub use folder::Folder;
pub use plan::{Ground, Plan};
pub use record::{Choices, End, Header, Kind, Progress, Record, VERSION};
pub use told::{At, Brief, Fate, Told};
pub use writer::Writer;
