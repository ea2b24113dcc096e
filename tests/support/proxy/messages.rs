//! Where the messages of a direction begin, as its bytes go by.

/// The number of the message that ends what is readable.
const NEWKEYS: u8 = 21;

/// Finds where messages begin.
#[derive(Default)]
pub(super) struct Messages {
    /// How many have begun.
    count: u64,
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Begin,
    /// In a line before the packets, with its first bytes.
    Line(Vec<u8>),
    /// Before a packet, or in its head: length, padding length, number.
    Head(Vec<u8>),
    /// In a packet: so many bytes are left, and whether it is the last one in the clear.
    Packet(usize, bool),
    Sealed,
}

impl Messages {
    /// The messages that begin in these bytes: number and place.
    pub(super) fn split(&mut self, bytes: &[u8]) -> Vec<(u64, usize)> {
        let mut starts = Vec::new();
        if matches!(self.state, State::Sealed) {
            self.begin(0, &mut starts);
            return starts;
        }
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            let next = match std::mem::take(&mut self.state) {
                State::Begin => {
                    self.begin(at, &mut starts);
                    self.state = State::Line(Vec::new());
                    continue;
                }
                State::Line(line) if byte == b'\n' => match line.starts_with(b"SSH-") {
                    true => State::Head(Vec::new()),
                    false => State::Line(Vec::new()),
                },
                State::Line(mut line) => {
                    // Four bytes tell what it is.
                    line.extend((line.len() < 4).then_some(byte));
                    State::Line(line)
                }
                State::Head(mut head) => {
                    if head.is_empty() {
                        self.begin(at, &mut starts);
                    }
                    head.push(byte);
                    match head.len() {
                        6 => {
                            let length = [head[0], head[1], head[2], head[3]];
                            let length = u32::from_be_bytes(length) as usize;
                            State::Packet(length.saturating_sub(2), head[5] == NEWKEYS)
                        }
                        _ => State::Head(head),
                    }
                }
                State::Packet(left, last) => match (left.saturating_sub(1), last) {
                    (0, true) => State::Sealed,
                    (0, false) => State::Head(Vec::new()),
                    (left, last) => State::Packet(left, last),
                },
                State::Sealed => {
                    self.begin(at, &mut starts);
                    self.state = State::Sealed;
                    return starts;
                }
            };
            self.state = next;
            at += 1;
        }
        starts
    }

    fn begin(&mut self, at: usize, starts: &mut Vec<(u64, usize)>) {
        starts.push((self.count, at));
        self.count += 1;
    }
}
