//! `%h` and `${NAME}` in values.

use std::collections::HashMap;

/// What the tokens stand for, by letter.
pub type Tokens<'a> = [(char, &'a str)];

/// Replaces `%` tokens, and `${NAME}` if there are variables to take.
///
/// # Errors
///
/// What is wrong with the text, in words.
pub fn expand(
    text: &str,
    tokens: &Tokens<'_>,
    variables: Option<&HashMap<String, String>>,
) -> Result<String, String> {
    let mut expanded = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, variables) {
            ('%', _) => match chars.next() {
                Some('%') => expanded.push('%'),
                Some(letter) => match tokens.iter().find(|(name, _)| *name == letter) {
                    Some((_, value)) => expanded.push_str(value),
                    None => return Err(unknown_token(letter, tokens)),
                },
                None => return Err("`%` with nothing behind it, write `%%` for one".to_string()),
            },
            ('$', Some(variables)) if chars.peek() == Some(&'{') => {
                chars.next();
                let name: String = chars.by_ref().take_while(|c| *c != '}').collect();
                match variables.get(&name) {
                    Some(value) => expanded.push_str(value),
                    None => return Err(format!("the environment has no variable `{name}`")),
                }
            }
            (c, _) => expanded.push(c),
        }
    }
    Ok(expanded)
}

fn unknown_token(letter: char, tokens: &Tokens<'_>) -> String {
    let mut known: Vec<String> = tokens
        .iter()
        .map(|(name, _)| format!("`%{name}`"))
        .collect();
    known.push("`%%`".to_string());
    format!(
        "unknown token `%{letter}`, known here are {}",
        known.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_variables() {
        let tokens = [('h', "web1"), ('p', "22")];
        let variables = HashMap::from([("KEYS".to_string(), "/keys".to_string())]);
        let expand = |text| super::expand(text, &tokens, Some(&variables));
        assert_eq!(expand("${KEYS}/%h-%p.%%").unwrap(), "/keys/web1-22.%");
        assert_eq!(expand("$KEYS $").unwrap(), "$KEYS $");
        assert_eq!(
            expand("%x").unwrap_err(),
            "unknown token `%x`, known here are `%h`, `%p`, `%%`"
        );
        assert_eq!(
            expand("a%").unwrap_err(),
            "`%` with nothing behind it, write `%%` for one"
        );
        assert_eq!(
            expand("${NONE}").unwrap_err(),
            "the environment has no variable `NONE`"
        );
        assert_eq!(super::expand("${KEYS}", &tokens, None).unwrap(), "${KEYS}");
    }
}
