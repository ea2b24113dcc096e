//! A transport that answers from a script, for tests of the engine.
