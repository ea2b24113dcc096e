//! How the parts of an event are stored: without loss, and readable where they are text.

/// Bytes: as text if they are UTF-8, else in base64.
pub mod bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::borrow::Cow;

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Stored<'a> {
        Text(Cow<'a, str>),
        Base64(String),
    }

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Stored::Text(text.into()),
            Err(_) => Stored::Base64(STANDARD.encode(bytes)),
        }
        .serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        match Stored::deserialize(from)? {
            Stored::Text(text) => Ok(text.into_owned().into_bytes()),
            Stored::Base64(text) => STANDARD.decode(text).map_err(serde::de::Error::custom),
        }
    }
}

/// A place: file, line and column. What stands there is not kept.
pub mod place {
    use crate::diagnostic::{Place, Source};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// More lines or columns than this are not believed.
    const MOST: usize = 1_000_000;

    pub fn serialize<S: Serializer>(place: &Option<Place>, to: S) -> Result<S::Ok, S::Error> {
        let stored = place.as_ref().map(|place| {
            let (line, column) = place.line_column();
            (place.source.name(), line, column)
        });
        stored.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Place>, D::Error> {
        let stored = Option::<(String, usize, usize)>::deserialize(from)?;
        Ok(stored.map(|(file, line, column)| {
            // A text in which this line and column are what they were.
            let lines = line.saturating_sub(1).min(MOST);
            let columns = column.saturating_sub(1).min(MOST);
            let text = "\n".repeat(lines) + &" ".repeat(columns);
            Source::new(file, text).place(lines + columns..lines + columns)
        }))
    }
}
