//! The command line: one file per subcommand, with its options and its `run`.

pub mod inventory;
