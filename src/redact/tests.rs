use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use proptest::prelude::*;

fn redactor(secrets: &[(&str, &str)]) -> Redactor {
    let redactor = Redactor::default();
    for (name, value) in secrets {
        redactor.add(name, value).unwrap();
    }
    redactor
}

fn pw(text: &str) -> String {
    redactor(&[("pw", "s3cr3t-w0rd")]).text(text).into_owned()
}

#[test]
fn a_text_without_secrets_is_not_copied() {
    let known = redactor(&[("pw", "s3cr3t-w0rd")]);
    assert!(matches!(known.text("s3cr3t-w0r"), Cow::Borrowed(_)));
    assert!(matches!(
        Redactor::default().text("s3cr3t-w0rd"),
        Cow::Borrowed("s3cr3t-w0rd")
    ));
}

#[test]
fn what_is_too_short_is_refused() {
    let known = Redactor::default();
    assert_eq!(known.add("pin", "123\n"), Err(TooShort));
    assert_eq!(known.add("pin", "1234\n"), Ok(()));
    assert_eq!(known.text("1234"), "[secret pin]");
    let value = serde_json::json!({ "a": "long enough", "b": ["x"] });
    assert_eq!(known.add_value("all", &value), Err(TooShort));
    assert_eq!(known.text("long enough, x"), "[secret all.a], x");
}

#[test]
fn plain_and_often() {
    assert_eq!(
        pw("s3cr3t-w0rds3cr3t-w0rd, s3cr3t-w0r d"),
        "[secret pw][secret pw], s3cr3t-w0r d"
    );
}

#[test]
fn all_that_overlaps_goes() {
    let known = redactor(&[("a", "hello-world"), ("b", "world-peace"), ("c", "aaaa")]);
    assert_eq!(known.text("hello-world-peace!"), "[secret a]!");
    assert_eq!(known.text("xaaaaaaaaax"), "x[secret c]x");
}

#[test]
fn a_name_that_says_a_secret_is_not_said() {
    let known = redactor(&[("password", "password")]);
    assert_eq!(known.text("the password"), "the *****");
}

#[test]
fn base64_goes_with_the_characters_that_hold_bits_of_it() {
    for (before, shown) in [("", ""), ("x", "e"), ("xy", "eHk")] {
        let text = STANDARD_NO_PAD.encode(format!("{before}s3cr3t-w0rd"));
        let shown = &shown[..before.len() * 8 / 6];
        assert_eq!(pw(&text), format!("{shown}[secret pw]"), "{text}");
    }
    let text = STANDARD.encode("user:s3cr3t-w0rd@host");
    assert_eq!(pw(&text), "dXNlcj[secret pw]Bob3N0");
}

#[test]
fn base64_goes_over_line_ends() {
    let text = STANDARD.encode("0123456789 s3cr3t-w0rd 0123456789");
    for width in 4..40 {
        for end in ["\n", "\r\n"] {
            let lines: Vec<String> = (text.as_bytes().chunks(width))
                .map(|line| String::from_utf8(line.to_vec()).unwrap())
                .collect();
            let clean = pw(&lines.join(end));
            assert!(clean.contains("[secret pw]"), "{clean}");
            let left = clean.replace("[secret pw]", "").replace(['\r', '\n'], "");
            // A character with bits of it stays if it stands in another line than the rest.
            assert!((28..=30).contains(&left.len()), "{clean}");
            assert!(
                left.starts_with("MDEyMzQ1Njc4OS") && left.ends_with("AwMTIzNDU2Nzg5"),
                "{clean}"
            );
        }
    }
}

#[test]
fn escaped_and_quoted() {
    let secret = "it's \"a\" \\ 100% p+ä😀\tx";
    let known = redactor(&[("pw", secret)]);
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let unicode: String = (secret.encode_utf16())
        .map(|unit| format!("\\u{unit:04x}"))
        .collect();
    let toml: String = secret
        .chars()
        .map(|c| format!("\\U{:08x}", u32::from(c)))
        .collect();
    for text in [
        secret.to_string(),
        crate::shell::quote(secret),
        crate::shell::quote(secret).replace(r"'\''", r#"'"'"'"#),
        serde_json::to_string(secret).unwrap(),
        format!("{secret:?}"),
        secret.escape_default().to_string(),
        secret.as_bytes().escape_ascii().to_string(),
        format!("{:?}", secret.as_bytes()),
        crate::shell::print_bytes(format!("{secret}\0").as_bytes()),
        percent.to_lowercase(),
        "it%27s+%22a%22+%5C+100%25+p%2B%C3%A4%F0%9F%98%80%09x".to_string(),
        "it's%20\"a\"%20%5C%20100%25%20p+%c3%a4%f0%9f%98%80%09x".to_string(),
        percent,
        unicode,
        toml,
        URL_SAFE.encode(secret),
    ] {
        let clean = known.text(&text);
        assert!(clean.contains("[secret pw]"), "{text} -> {clean}");
        assert!(clean.len() < "[secret pw]".len() + 24, "{text} -> {clean}");
    }
}

#[test]
fn each_longer_line_of_a_key_is_a_secret() {
    let key = "-----BEGIN KEY-----\nabcdefghij\nshort\n-----END KEY-----\n";
    let known = redactor(&[("key", key)]);
    assert_eq!(known.text(key), "[secret key]\n");
    assert_eq!(known.text("> abcdefghij <"), "> [secret key] <");
    assert_eq!(known.text("shortly"), "shortly");
    assert_eq!(known.text(&key.replace('\n', "\\n")), "[secret key]\\n");
}

#[test]
fn values_keep_their_shape() {
    let known = redactor(&[("pw", "s3cr3t-w0rd"), ("pin", "123456")]);
    let mut value = serde_json::json!({
        "a": ["s3cr3t-w0rd", 123456, 1, null], "s3cr3t-w0rd": { "b": "a s3cr3t-w0rd" }
    });
    assert!(known.holds_value(&value));
    known.value(&mut value);
    assert!(!known.holds_value(&value));
    assert_eq!(
        value,
        serde_json::json!({
            "a": ["[secret pw]", "[secret pin]", 1, null], "[secret pw]": { "b": "a [secret pw]" }
        })
    );
}

#[test]
fn a_line_that_cannot_begin_a_secret_is_not_held_back() {
    let mut stream = redactor(&[("pw", "s3cr3t-w0rd")]).stream();
    assert_eq!(stream.push(b"a line\n"), b"a line\n");
    assert_eq!(stream.push(b"it's 100% sure\\\n"), b"it's 100% sure\\\n");
    assert_eq!(stream.push(b"no s3cr"), b"no ");
    assert_eq!(stream.push(b"et\n"), b"s3cret\n");
    assert_eq!(stream.push(b"a s3cr3t-"), b"a ");
    assert_eq!(stream.push(b"w0rd\n"), b"[secret pw]\n");
    assert_eq!(stream.push(b"s3"), b"");
    assert_eq!(stream.finish(), b"s3");
}

#[test]
fn endless_repetition_is_not_kept() {
    let mut stream = redactor(&[("a", "aaaaaaaa")]).stream();
    let mut clean = Vec::new();
    for _ in 0..200 {
        clean.extend(stream.push(&[b'a'; 999]));
        assert!(stream.held() < 100, "{}", stream.held());
    }
    clean.extend(stream.finish());
    assert_eq!(clean, b"[secret a]");
}

#[test]
fn a_line_of_wrapped_base64_is_known_without_its_neighbors() {
    let known = redactor(&[("pw", "s3cr3t-w0rd that is long enough for more lines")]);
    let text =
        STANDARD.encode("0123456789 s3cr3t-w0rd that is long enough for more lines 0123456789");
    let lines = text.as_bytes().chunks(16);
    let clean: Vec<String> = lines
        .map(|line| String::from_utf8(known.line(line).into_owned()).unwrap())
        .collect();
    assert_eq!(
        clean,
        [
            "MDEyMzQ1Njc4OSBz",
            "[secret pw]",
            "[secret pw]",
            "[secret pw]",
            "[secret pw]IDAx",
            "MjM0NTY3ODk=",
        ]
    );
    assert_eq!(&*known.line(b"a common line"), b"a common line");
}

#[test]
fn what_a_secret_replaces_is_not_shown() {
    let known = redactor(&[("pw", "s3cr3t-w0rd")]);
    let before = "[a]\nuser = x\npassword = 0ld\n[b]\nx = 1\n";
    let after = "[a]\nuser = x\npassword = s3cr3t-w0rd\n[b]\nx = 2\n";
    assert_eq!(
        known.former(before, after).unwrap(),
        "[a]\nuser = x\n[in place of this line there is a secret]\n[b]\nx = 1\n"
    );
    assert_eq!(known.former(before, "[a]\n"), None);
}

/// Texts of few letters, so that parts of secrets come up by themselves.
fn near() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab'%\\\\ +\n]{4,9}",
        "[a-c]{4,12}",
        "[!-~ ]{4,24}",
        "\\PC{4,16}",
        "[a-z]{9}\n[a-z0-9+/]{9,70}\n",
    ]
    .prop_filter("long enough", |text| {
        text.trim_end_matches(['\r', '\n']).len() >= SHORTEST
    })
}

/// A secret in one of its forms.
fn form(secret: &str, which: u8) -> Vec<u8> {
    let wrapped = |text: String| {
        let lines: Vec<&[u8]> = text.as_bytes().chunks(7).collect();
        lines.join(&b"\n"[..])
    };
    let percent = |all: bool| -> String {
        let plain = |byte: &u8| !all && (byte.is_ascii_alphanumeric());
        let each = secret.bytes().map(|byte| match plain(&byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02x}"),
        });
        each.collect()
    };
    match which % 14 {
        0 => secret.into(),
        1 => STANDARD.encode(secret).into(),
        2 => STANDARD.encode(format!("u{secret}v")).into(),
        3 => URL_SAFE.encode(format!("uv{secret}")).into(),
        4 => wrapped(STANDARD.encode(format!("ab{secret}cd"))),
        5 => crate::shell::quote(secret).into(),
        6 => serde_json::to_string(secret).unwrap().into(),
        7 => format!("{secret:?}").into(),
        8 => percent(true).into(),
        9 => percent(false).into(),
        10 => percent(false).replace("%20", "+").into(),
        11 => format!("{:?}", secret.as_bytes()).into(),
        12 => secret
            .bytes()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
            .into(),
        _ => secret.bytes().take(secret.len() / 2).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_cut_lets_a_secret_through(
        secrets in prop::collection::vec(near(), 1..4),
        parts in prop::collection::vec((any::<u8>(), any::<prop::sample::Index>(), near()), 1..6),
        cuts in prop::collection::vec(1usize..40, 1..60),
    ) {
        let known = Redactor::default();
        for (index, secret) in secrets.iter().enumerate() {
            known.add(&index.to_string(), secret).unwrap();
        }
        let mut text = Vec::new();
        for (which, index, filler) in &parts {
            text.extend(filler.bytes());
            text.extend(form(index.get::<String>(&secrets), *which));
        }
        let whole = known.bytes(&text).into_owned();
        let mut stream = known.stream();
        let mut pieces = Vec::new();
        let mut rest = &text[..];
        for cut in cuts.iter().cycle() {
            let (piece, further) = rest.split_at((*cut).min(rest.len()));
            pieces.extend(stream.push(piece));
            rest = further;
            if rest.is_empty() {
                break;
            }
        }
        pieces.extend(stream.finish());
        prop_assert_eq!(
            String::from_utf8_lossy(&pieces), String::from_utf8_lossy(&whole)
        );
        // What stands between the markers holds nothing.
        let marked = String::from_utf8_lossy(&whole).into_owned();
        for part in marked.split("[secret ").map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)) {
            for secret in secrets.iter().map(|secret| secret.trim_end_matches('\n')) {
                prop_assert!(!part.contains(secret), "{:?} in {:?}", secret, part);
            }
        }
    }
}
