//! The answer to offers of permessage-deflate, by another way: lists are cut at their commas, and so on.

use std::collections::HashMap;

const NO_CONTEXT: &str = "server_no_context_takeover; client_no_context_takeover";

/// The answer, if any; an error if a value is no list of extensions (RFC 6455 §9.1).
pub(crate) fn agreed(values: &[&str]) -> Result<Option<String>, ()> {
    let mut answers = Vec::new();
    for value in values {
        for extension in cut(value, ',') {
            // A list may have empty places (RFC 9110 §5.6.1).
            if !extension.is_empty() {
                answers.extend(answer(extension)?);
            }
        }
    }
    Ok(answers.into_iter().next())
}

/// To one extension.
fn answer(extension: &str) -> Result<Option<String>, ()> {
    let mut parts = cut(extension, ';').into_iter();
    let name = parts.next().filter(|name| is_token(name)).ok_or(())?;
    let mut parameters = HashMap::new();
    let mut is_repeated = false;
    for part in parts {
        let (name, value) = match &cut(part, '=')[..] {
            [name] => (*name, None),
            [name, value] => (*name, Some(unquoted(value)?)),
            _ => return Err(()),
        };
        if !is_token(name) || value.as_deref().is_some_and(|value| !is_token(value)) {
            return Err(());
        }
        is_repeated |= parameters.insert(name, value).is_some();
    }
    let answer = kept(&parameters).filter(|_| name == "permessage-deflate" && !is_repeated);
    Ok(answer)
}

/// RFC 7692 §7.1, but for windows of 8 bits, which a server may decline. Of the others there are two, and a server
/// may use a smaller one than it is asked for.
fn kept(parameters: &HashMap<&str, Option<String>>) -> Option<String> {
    let mut answer = format!("permessage-deflate; {NO_CONTEXT}");
    for (name, value) in parameters {
        match (*name, value.as_deref()) {
            ("server_no_context_takeover" | "client_no_context_takeover", None)
            | ("client_max_window_bits", None | Some("8")) => {}
            ("client_max_window_bits", Some(bits)) if is_window(bits) => {}
            ("server_max_window_bits", Some(bits)) if is_window(bits) => {
                let shared = if bits == "15" { "15" } else { "9" };
                answer.extend(["; server_max_window_bits=", shared]);
            }
            _ => return None,
        }
    }
    Some(answer)
}

fn is_window(bits: &str) -> bool {
    ["9", "10", "11", "12", "13", "14", "15"].contains(&bits)
}

/// The parts of a text between marks that are not quoted, without the spaces around them.
fn cut(text: &str, mark: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut begin, mut is_quoted, mut is_escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if is_quoted && c == '\\' {
            is_escaped = true;
        } else if c == '"' {
            is_quoted = !is_quoted;
        } else if c == mark && !is_quoted {
            parts.push(&text[begin..at]);
            begin = at + c.len_utf8();
        }
    }
    parts.push(&text[begin..]);
    parts.into_iter().map(|part| part.trim_matches([' ', '\t'])).collect()
}

/// What stands between quotes, if there are any.
fn unquoted(value: &str) -> Result<String, ()> {
    let Some(quoted) = value.strip_prefix('"') else {
        return Ok(value.to_owned());
    };
    let mut chars = quoted.strip_suffix('"').ok_or(())?.chars();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().ok_or(())? } else { c });
    }
    Ok(plain)
}

fn is_token(text: &str) -> bool {
    let is_mark = |c: char| "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || is_mark(c))
}
