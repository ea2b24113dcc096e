//! Mistakes in playbooks and options: the words for each, all at once, and nothing is connected to.

mod files;
mod keys;
mod options;
mod texts;
mod values;
