//! SSH, over `russh`.
