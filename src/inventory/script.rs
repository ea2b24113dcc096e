//! Dynamic inventories.
use super::draft::Draft;
use crate::diagnostic::Problems;
use std::path::Path;
/// todo
pub fn read(_path: &Path, _draft: &mut Draft, _problems: &mut Problems) {}
