//! Parses the command line, calls the library, ends with its exit code.

fn main() {}
