//! Which secrets a run may come to use: those whose names come up in what it will look at.

use super::World;
use crate::document::{Data, Entry, Node, Secret, Table};
use std::collections::HashSet;
use std::sync::PoisonError;

/// The words of texts, as far as they may be names of variables.
#[derive(Debug, Default, Clone)]
pub struct Words(HashSet<String>);

impl Words {
    /// Takes the words of every text below a node.
    pub fn node(&mut self, node: &Node) {
        match &node.data {
            Data::String(text) => self.text(text),
            Data::Array(items) => items.iter().for_each(|item| self.node(item)),
            Data::Table(table) => self.table(table),
            _ => {}
        }
    }

    /// Takes the words of every text in a table.
    pub fn table(&mut self, table: &Table) {
        table.iter().for_each(|entry| self.node(&entry.value));
    }

    /// Takes the words of a text.
    pub fn text(&mut self, text: &str) {
        let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let new = words.filter(|word| !word.is_empty() && !self.0.contains(*word));
        let new: Vec<String> = new.map(str::to_string).collect();
        self.0.extend(new);
    }

    /// The secrets among these variables that are named, or that variables mention which are named.
    pub fn secrets(mut self, tables: &[&Table]) -> Vec<Secret> {
        let mut rest: Vec<&Entry> = tables.iter().flat_map(|table| table.iter()).collect();
        let mut secrets = Vec::new();
        loop {
            let (named, others): (Vec<&Entry>, Vec<&Entry>) = rest
                .into_iter()
                .partition(|entry| self.0.contains(&entry.key));
            if named.is_empty() {
                return secrets;
            }
            for entry in named {
                match &entry.value.data {
                    Data::Secret(secret) => secrets.push(secret.clone()),
                    _ => self.node(&entry.value),
                }
            }
            rest = others;
        }
    }
}

impl World {
    /// Notes a template file that is rendered.
    pub(super) fn read(&self, text: &str) {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.text(text);
    }

    /// The words of the template files that were rendered so far.
    pub fn words(&self) -> Words {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.clone()
    }
}
