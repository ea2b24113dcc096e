//! Commands on this machine, in a process group of their own.
