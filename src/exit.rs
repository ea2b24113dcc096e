//! The exit codes of the program, in one place.
//!
//! The odd codes mean one thing each. The outcome of a run is even, since its bits 2, 4, 8 and 16 are added up:
//! 6 says that one task failed and that another host was unreachable. A remote command's own exit code
//! is shown and never forwarded.

/// Every host is as wanted.
pub const OK: u8 = 0;
/// A defect of the runner itself.
pub const DEFECT: u8 = 1;
/// The pattern matched no host.
pub const NO_HOSTS: u8 = 3;
/// Bad input: a playbook, an inventory, an option or a key file. Nothing was connected to.
pub const BAD_INPUT: u8 = 5;
/// Another run holds the lock.
pub const LOCKED: u8 = 7;
/// A safety guard refused to do something that destroys what nobody named.
pub const GUARDED: u8 = 9;

/// A bit: a task failed.
pub const FAILED: u8 = 2;
/// A bit: a host could not be reached, and nothing was started there.
pub const UNREACHABLE: u8 = 4;
/// A bit: a host's identity was refused.
pub const REFUSED: u8 = 8;
/// A bit: an outcome is unknown, since the connection was lost while a command ran.
pub const UNKNOWN: u8 = 16;

/// The exit code of a run that a signal stopped: 128 + n. The signal is named without `SIG`.
///
/// A name that is none of the signals a run is stopped by counts as `TERM`.
pub fn signal(name: &str) -> u8 {
    128 + match name {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "PIPE" => 13,
        _ => 15,
    }
}
