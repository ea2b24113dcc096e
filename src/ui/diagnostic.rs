//! Problems in color. The text is that of their `Display`, line for line.

use super::escape::escape_str;
use super::style::{Style, Tone};
use crate::diagnostic::{Problem, Problems};

/// One problem, made safe for a terminal and colored if wanted.
pub fn problem(problem: &Problem, style: Style) -> String {
    let mut text = String::new();
    for (index, line) in problem.to_string().lines().enumerate() {
        let line = escape_str(line);
        text.push_str(&match index {
            0 => first(&line, style),
            _ => further(&line, style),
        });
        text.push('\n');
    }
    text
}

/// All problems of one look at the input, with an empty line between them.
pub fn problems(problems: &Problems, style: Style) -> String {
    let texts: Vec<String> = problems.iter().map(|one| problem(one, style)).collect();
    texts.join("\n")
}

fn first(line: &str, style: Style) -> String {
    match line.strip_prefix("error: ") {
        Some(message) => format!(
            "{}: {}",
            style.paint(Tone::Bad, "error"),
            style.paint(Tone::Strong, message)
        ),
        None => line.to_owned(),
    }
}

fn further(line: &str, style: Style) -> String {
    let place = |text: &str| style.paint(Tone::Place, text);
    if let Some((blank, text)) = line.split_once("--> ")
        && blank.trim().is_empty()
    {
        return format!("{blank}{} {text}", place("-->"));
    }
    if let Some((blank, help)) = line.split_once("= help: ")
        && blank.trim().is_empty()
    {
        return format!("{blank}{} {help}", place("= help:"));
    }
    let Some((number, text)) = line.split_once('|') else {
        return line.to_owned();
    };
    let gutter = place(&format!("{number}|"));
    // Under a source line stand carets and a label, and no number.
    match number.trim().is_empty() {
        true if !text.is_empty() => format!("{gutter}{}", style.paint(Tone::Bad, text)),
        _ => format!("{gutter}{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;

    fn example() -> Problem {
        let source = Source::new("play.toml", "hots = \"a\x1b|b --> c\"\n");
        Problem::new("unknown key `hots` in a play")
            .at(source.place(0..4))
            .label("not a key")
            .help("did you mean `hosts`?")
    }

    #[test]
    fn without_color_it_is_the_plain_text() {
        let plain = problem(&example(), Style { color: false });
        assert_eq!(plain, example().to_string().replace('\x1b', "\\x1b"));
    }

    #[test]
    fn with_color_only_color_is_added() {
        let colored = problem(&example(), Style { color: true });
        assert!(
            colored.starts_with("\x1b[1;31merror\x1b[0m: \x1b[1munknown"),
            "{colored:?}"
        );
        assert!(
            colored.contains("\x1b[1;31m ^^^^ not a key\x1b[0m"),
            "{colored:?}"
        );
        let plain = console::strip_ansi_codes(&colored).into_owned();
        assert_eq!(plain, problem(&example(), Style { color: false }));
    }
}
