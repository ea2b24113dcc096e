//! The template language: Jinja, strict, with the filters that operations people expect.

use super::filters;
use crate::diagnostic::{Place, Problem};
use crate::document::{Data, Node};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use std::path::PathBuf;

/// Makes the environment that renders everything of a run. `{% include %}` looks into the folders.
pub(crate) fn environment(folders: Vec<PathBuf>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_debug(true);
    environment.set_syntax(syntax_config());
    environment.set_loader(move |name| {
        // A name with `..` in it would leave the folders.
        if std::path::Path::new(name)
            .components()
            .any(|part| !matches!(part, std::path::Component::Normal(_)))
        {
            return Ok(None);
        }
        for folder in &folders {
            match std::fs::read_to_string(folder.join(name)) {
                Ok(text) => return moderate(&text).map(|()| Some(text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    let detail = format!("cannot read {}: {error}", folder.join(name).display());
                    return Err(minijinja::Error::new(ErrorKind::InvalidOperation, detail));
                }
            }
        }
        Ok(None)
    });
    // A boolean in a text is what it is alone, and in TOML: `true`.
    environment.set_formatter(|out, state, value| match bool::try_from(value.clone()) {
        Ok(holds) if value.kind() == ValueKind::Bool => {
            Ok(out.write_str(if holds { "true" } else { "false" })?)
        }
        _ => minijinja::escape_formatter(out, state, value),
    });
    filters::add(&mut environment);
    environment
}

/// As Ansible has it: a block's line leaves no empty line behind, and a file ends as it was written.
fn syntax_config() -> SyntaxConfig {
    SyntaxConfig::builder()
        .trim_blocks(true)
        .keep_trailing_newline(true)
        .build()
        .unwrap_or_default()
}

/// Whether a text has anything to render.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// The words and operators of one expression are so many at most: each may take some of the stack.
const LONGEST: usize = 2000;

/// Refuses a template with an expression that nobody wrote by hand.
pub(crate) fn moderate(text: &str) -> Result<(), minijinja::Error> {
    let mut rest = text;
    while let Some(start) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let end = match rest[start..].starts_with("{{") {
            true => "}}",
            false => "%}",
        };
        rest = &rest[start + 2..];
        let length = rest.find(end).unwrap_or(rest.len());
        moderate_expression(&rest[..length])?;
        rest = &rest[length..];
    }
    Ok(())
}

/// Refuses an expression that nobody wrote by hand.
pub(crate) fn moderate_expression(text: &str) -> Result<(), minijinja::Error> {
    let mut words = 0;
    let mut quote = None;
    let mut before = ' ';
    for c in text.chars() {
        let inside = |c: char| c.is_alphanumeric() || c == '_';
        match quote {
            Some(open) if c == open && before != '\\' => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() || inside(c) && inside(before) => {}
            None => words += 1,
        }
        before = c;
    }
    if words > LONGEST {
        return Err(minijinja::Error::new(
            ErrorKind::SyntaxError,
            format!("an expression of more than {LONGEST} words"),
        ));
    }
    Ok(())
}

/// The expression of a text that is one `{{ expression }}` and nothing else, and where it starts in the text.
/// Such a text yields the value itself and not its text.
pub(crate) fn sole_expression<'t>(
    environment: &Environment<'_>,
    text: &'t str,
) -> Option<(&'t str, usize)> {
    let inner = text.strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    let inner = inner.strip_suffix('-').unwrap_or(inner);
    // `{{ a }} {{ b }}` would be cut in the middle: then it is no expression.
    environment.compile_expression(inner).ok()?;
    let start = inner.as_ptr() as usize - text.as_ptr() as usize;
    Some((inner, start))
}

/// Checks the syntax of every template below a node, without rendering.
pub fn syntax(node: &Node, report: &mut impl FnMut(Problem)) {
    match &node.data {
        Data::String(text) if is_template(text) => {
            let mut environment = Environment::new();
            environment.set_debug(true);
            environment.set_syntax(syntax_config());
            let parsed =
                moderate(text).and_then(|()| environment.template_from_str(text).map(drop));
            if let Err(error) = parsed {
                report(problem(&error, text, &node.place));
            }
        }
        Data::Array(items) => items.iter().for_each(|item| syntax(item, report)),
        Data::Table(table) => table.iter().for_each(|entry| syntax(&entry.value, report)),
        _ => {}
    }
}

/// Checks the syntax of an expression.
///
/// # Errors
///
/// The problem with its place.
pub fn expression_syntax(node: &Node) -> Result<(), Problem> {
    let text = node.string()?;
    let mut environment = Environment::new();
    environment.set_debug(true);
    moderate_expression(text)
        .and_then(|()| environment.compile_expression(text).map(drop))
        .map_err(|error| problem(&error, text, &node.place))
}

/// An error of the template engine as a problem at its place.
pub(crate) fn problem(error: &minijinja::Error, text: &str, place: &Place) -> Problem {
    let message = match error.kind() {
        ErrorKind::UndefinedError => "undefined value".to_string(),
        ErrorKind::SyntaxError => format!("template syntax: {}", detail(error)),
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction => {
            detail(error)
        }
        ErrorKind::TemplateNotFound => detail(error),
        _ => format!("cannot evaluate the template: {}", detail(error)),
    };
    Problem::new(message).at(inner_place(text, place, error.range()))
}

fn detail(error: &minijinja::Error) -> String {
    let text = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_string);
    text.replace('\n', " ")
}

/// The place of a range of a decoded text. Exact where the text stands in the source as it is; a text with TOML
/// escapes is pointed at as a whole.
pub(crate) fn inner_place(
    text: &str,
    place: &Place,
    range: Option<std::ops::Range<usize>>,
) -> Place {
    match (range, place.text().find(text)) {
        (Some(range), Some(start)) if !text.is_empty() => {
            place.within(start + range.start..start + range.end)
        }
        _ => place.clone(),
    }
}
