//! Files on their way, in words and as a bar.

use super::style::{Style, Tone, cut};
use super::words::{bytes, elapsed};
use crate::event::Transfer;
use std::time::Duration;

/// The columns of a bar.
const BAR: usize = 16;

/// `142 MiB of 1.2 GiB, 85 MiB/s, 12 s left`.
pub(super) fn words(transfer: &Transfer) -> String {
    let Transfer {
        done,
        total,
        rate,
        compressed,
    } = *transfer;
    let mut text = bytes(done);
    if let Some(total) = total {
        text.push_str(&format!(" of {}", bytes(total)));
    }
    text.push_str(&format!(", {}/s", bytes(rate)));
    if compressed {
        text.push_str(" compressed");
    }
    let left = total.unwrap_or(done).saturating_sub(done);
    if left > 0 && rate > 0 {
        text.push_str(&format!(", {} left", elapsed(left_time(left, rate))));
    }
    text
}

/// `━━━━━───────────  142 MiB of 1.2 GiB, 85 MiB/s, 12 s left`, in so many columns at most: what does not fit gives way.
pub(super) fn line(transfer: &Transfer, columns: usize, style: Style) -> String {
    let words = words(transfer);
    let Some(total) = transfer.total.filter(|total| *total > 0) else {
        return style.paint(Tone::Faint, cut(&words, columns));
    };
    let part = |of: usize| {
        let part = u128::from(transfer.done.min(total)) * of as u128 / u128::from(total);
        usize::try_from(part).unwrap_or(of)
    };
    let size = bytes(transfer.done).len() + " of ".len() + bytes(total).len();
    let short = format!("{}%{}", part(100), &words[size..]);
    let shortest = short.rfind(", ").map_or("", |end| &short[..end]);
    let (bar, words) = if columns >= BAR + 2 + words.len() {
        (true, words.as_str())
    } else if columns >= BAR + 2 + short.len() {
        (true, short.as_str())
    } else {
        let all = [words.as_str(), short.as_str(), shortest];
        let fitting = all.into_iter().find(|words| words.len() <= columns);
        (false, fitting.unwrap_or(shortest))
    };
    let words = style.paint(Tone::Faint, cut(words, columns));
    if !bar {
        return words;
    }
    format!(
        "{}{}  {words}",
        style.paint(Tone::Good, "━".repeat(part(BAR))),
        style.paint(Tone::Faint, "─".repeat(BAR - part(BAR)))
    )
}

/// Several transfers as one: their bytes together, and the time that the slowest of them still takes.
pub(super) fn together(transfers: &[Transfer]) -> String {
    let sum = |of: fn(&Transfer) -> u64| transfers.iter().map(of).sum::<u64>();
    let mut text = bytes(sum(|transfer| transfer.done));
    let total: Option<u64> = transfers.iter().map(|transfer| transfer.total).sum();
    if let Some(total) = total {
        text.push_str(&format!(" of {}", bytes(total)));
    }
    text.push_str(&format!(", {}/s", bytes(sum(|transfer| transfer.rate))));
    let left = transfers.iter().map(|transfer| {
        let left = transfer.total?.saturating_sub(transfer.done);
        (transfer.rate > 0).then(|| left_time(left, transfer.rate))
    });
    if let Some(left) = left
        .collect::<Option<Vec<_>>>()
        .and_then(|all| all.into_iter().max())
    {
        text.push_str(&format!(", {} left", elapsed(left)));
    }
    text
}

/// The time for so many bytes, in whole seconds.
fn left_time(left: u64, rate: u64) -> Duration {
    Duration::from_secs(left.div_ceil(rate.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn transfer(done: u64, total: Option<u64>, rate: u64) -> Transfer {
        Transfer {
            done: done * MIB,
            total: total.map(|total| total * MIB),
            rate: rate * MIB,
            compressed: false,
        }
    }

    #[test]
    fn what_is_known_is_said() {
        let text = words(&transfer(142, Some(1229), 85));
        assert_eq!(text, "142 MiB of 1.2 GiB, 85 MiB/s, 13 s left");
        assert_eq!(words(&transfer(142, None, 85)), "142 MiB, 85 MiB/s");
        assert_eq!(words(&transfer(7, Some(9), 0)), "7.0 MiB of 9.0 MiB, 0 B/s");
        let compressed = Transfer {
            compressed: true,
            ..transfer(1, Some(61), 1)
        };
        assert_eq!(
            words(&compressed),
            "1.0 MiB of 61 MiB, 1.0 MiB/s compressed, 1m 00s left"
        );
    }

    #[test]
    fn the_bar_gives_way_to_the_words() {
        let quarter = transfer(300, Some(1200), 100);
        let shown = |columns| line(&quarter, columns, Style::default());
        assert_eq!(
            shown(80),
            "━━━━────────────  300 MiB of 1.2 GiB, 100 MiB/s, 9 s left"
        );
        assert_eq!(shown(50), "━━━━────────────  25%, 100 MiB/s, 9 s left");
        assert_eq!(shown(40), "300 MiB of 1.2 GiB, 100 MiB/s, 9 s left");
        assert_eq!(shown(30), "25%, 100 MiB/s, 9 s left");
        assert_eq!(shown(20), "25%, 100 MiB/s");
        assert_eq!(shown(8), "25%, 10…");
        let fetched = transfer(300, None, 100);
        assert_eq!(line(&fetched, 80, Style::default()), "300 MiB, 100 MiB/s");
    }

    #[test]
    fn several_are_as_late_as_the_slowest() {
        let all = [
            transfer(500, Some(1000), 100),
            transfer(100, Some(1000), 10),
        ];
        assert_eq!(together(&all), "600 MiB of 2.0 GiB, 110 MiB/s, 1m 30s left");
        assert_eq!(together(&[transfer(5, None, 1)]), "5.0 MiB, 1.0 MiB/s");
    }
}
