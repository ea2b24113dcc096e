//! A TCP proxy that does harm at a chosen place of a connection.
//!
//! A place is a byte or a message of one direction, both counted from 0. Messages are those of SSH: 0 is the
//! identification with all that is said before it; then each binary packet is one, up to and with NEWKEYS. What follows is
//! encrypted, and there a message is what one read from the socket brings: a burst of at most [`READ`] bytes.

mod messages;

use super::background::background;
use messages::Messages;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, sink};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// How much is read at a time, in bytes.
pub const READ: usize = 16 * 1024;

/// How long the ends may take to close what was closed in an orderly way.
const LINGER: Duration = Duration::from_secs(5);

/// How many messages of a direction have their places noted.
const NOTED: usize = 1000;

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
}

/// Where in a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Byte(u64),
    Message(u64),
}

/// What happens there. The bytes before the place have been passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Both connections are closed in an orderly way.
    Close,
    /// Both connections are reset.
    Reset,
    /// Nothing more is passed on in either direction, and nothing is closed.
    Stall,
    /// The same, and neither end hears of it when the other has closed: the packets vanish.
    Vanish,
    /// From here on so many bytes are passed on at a time, with a pause after each.
    Slice(usize, Duration),
    /// A pause.
    Delay(Duration),
    /// These bits of the byte are flipped.
    Flip(u8),
    /// These bytes come first.
    Insert(Vec<u8>),
}

/// One fault at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub way: Way,
    pub at: At,
    pub fault: Fault,
}

/// The rule that does something to what the client sends.
pub fn to_server(at: At, fault: Fault) -> Rule {
    let way = Way::ToServer;
    Rule { way, at, fault }
}

/// The rule that does something to what the server sends.
pub fn to_client(at: At, fault: Fault) -> Rule {
    let way = Way::ToClient;
    Rule { way, at, fault }
}

/// Chance with a seed.
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }

    /// Any fault but an insertion, in the first `reach` bytes of a direction.
    pub fn rule(&mut self, reach: u64) -> Rule {
        let way = [Way::ToServer, Way::ToClient][usize::from(self.below(2) == 1)];
        let at = At::Byte(self.below(reach));
        let pause = Duration::from_millis(self.below(20));
        let fault = match self.below(6) {
            0 => Fault::Close,
            1 => Fault::Reset,
            2 => Fault::Stall,
            3 => Fault::Slice(1 + self.below(64) as usize, Duration::ZERO),
            4 => Fault::Delay(pause * 10),
            _ => Fault::Flip(1 << self.below(8)),
        };
        Rule { way, at, fault }
    }
}

/// What became of a connection.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Where the messages of each direction began.
    pub to_server: Vec<u64>,
    pub to_client: Vec<u64>,
    /// How many bytes came from each side.
    pub from_client: u64,
    pub from_server: u64,
    /// When the first fault struck.
    pub struck: Option<Instant>,
    /// How many of its directions have something in hand that is not passed on yet.
    pub in_hand: u8,
    /// The client has closed it, or the proxy has.
    pub over: bool,
}

type Plan = Box<dyn FnMut(usize) -> Vec<Rule> + Send>;

struct Shared {
    plan: Mutex<Plan>,
    source: Mutex<Option<IpAddr>>,
    seen: Mutex<Vec<Seen>>,
}

/// A proxy on a loopback port, until it is dropped.
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy in front of a server. `plan` says what is done to each connection; they are counted from 0.
    pub fn start(
        server: SocketAddr,
        plan: impl FnMut(usize) -> Vec<Rule> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            plan: Mutex::new(Box::new(plan)),
            source: Mutex::default(),
            seen: Mutex::default(),
        });
        let accepting = background().spawn(accept(listener, server, shared.clone()));
        Self {
            port,
            shared,
            accepting,
        }
    }

    /// A proxy that does no harm.
    pub fn honest(server: SocketAddr) -> Self {
        Self::start(server, |_| Vec::new())
    }

    /// From now on the server sees the connections come from this address, which must be one of loopback.
    pub fn comes_from(&self, address: IpAddr) {
        *self.shared.source.lock().unwrap() = Some(address);
    }

    /// Another plan for the connections to come; their number goes on.
    pub fn plan(&self, plan: impl FnMut(usize) -> Vec<Rule> + Send + 'static) {
        *self.shared.plan.lock().unwrap() = Box::new(plan);
    }

    /// The connections so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many connections are still open.
    pub fn open(&self) -> usize {
        let seen = self.shared.seen.lock().unwrap();
        seen.iter().filter(|seen| !seen.over).count()
    }

    /// Whether something has come that is still to be passed on.
    pub fn busy(&self) -> bool {
        let seen = self.shared.seen.lock().unwrap();
        seen.iter().any(|seen| !seen.over && seen.in_hand > 0)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, shared: Arc<Shared>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    // Dropped with this task, and its connections with it.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let number = {
            let mut seen = shared.seen.lock().unwrap();
            seen.push(Seen::default());
            seen.len() - 1
        };
        let rules = (shared.plan.lock().unwrap())(number);
        let source = *shared.source.lock().unwrap();
        let shared = shared.clone();
        connections.spawn(async move {
            let mut kept = None;
            if let Ok(server) = connect(source, server).await {
                kept = connection(client, server, rules, &shared, number).await;
            }
            shared.seen.lock().unwrap()[number].over = true;
            if let Some(mut server) = kept {
                let _ = tokio::io::copy(&mut server, &mut sink()).await;
                std::future::pending().await
            }
        });
    }
}

async fn connect(source: Option<IpAddr>, server: SocketAddr) -> io::Result<TcpStream> {
    let Some(source) = source else {
        return TcpStream::connect(server).await;
    };
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(server).await
}

/// Why a direction carries no more.
enum End {
    Closed,
    Reset,
    Stalled,
    Vanished,
    Broken,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        End::Broken
    }
}

/// Answers the server's end where that must not hear that the client's is gone.
async fn connection(
    mut client: TcpStream,
    mut server: TcpStream,
    rules: Vec<Rule>,
    shared: &Shared,
    number: usize,
) -> Option<TcpStream> {
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let lane = |way| {
            let rules = rules.iter().filter(|rule| rule.way == way);
            Lane {
                way,
                rules: rules.cloned().collect(),
                messages: Messages::default(),
                slice: None,
                shared,
                number,
            }
        };
        let there = lane(Way::ToServer).carry(from_client, to_server);
        let back = lane(Way::ToClient).carry(from_server, to_client);
        tokio::try_join!(there, back).err()
    };
    shared.seen.lock().unwrap()[number].in_hand = 0;
    match end {
        None | Some(End::Broken) => {}
        Some(End::Reset) => {
            for stream in [&client, &server] {
                let now = Some(Duration::ZERO);
                let _ = socket2::SockRef::from(stream).set_linger(now);
            }
        }
        Some(End::Closed) => {
            let _ = client.shutdown().await;
            let _ = server.shutdown().await;
            // What is closed with something unread is reset, and takes along what the other side has not read yet.
            let _ = tokio::time::timeout(LINGER, swallow(&mut client, &mut server)).await;
        }
        Some(End::Stalled) => swallow(&mut client, &mut server).await,
        Some(End::Vanished) => {
            swallow(&mut client, &mut server).await;
            return Some(server);
        }
    }
    None
}

/// Reads until the client has closed.
async fn swallow(client: &mut TcpStream, server: &mut TcpStream) {
    let (mut nothing, mut nowhere) = (sink(), sink());
    let client = tokio::io::copy(client, &mut nothing);
    let server = async {
        let _ = tokio::io::copy(server, &mut nowhere).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = client => {}
        () = server => {}
    }
}

/// One direction of one connection.
struct Lane<'a> {
    way: Way,
    /// Those that have not struck yet.
    rules: Vec<Rule>,
    messages: Messages,
    slice: Option<(usize, Duration)>,
    shared: &'a Shared,
    number: usize,
}

impl Lane<'_> {
    /// Passes everything on, with what the rules do to it.
    async fn carry(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), End> {
        let mut buffer = vec![0; READ];
        let mut place = 0;
        loop {
            let count = from.read(&mut buffer).await?;
            if count == 0 {
                to.shutdown().await?;
                return Ok(());
            }
            let starts = self.messages.split(&buffer[..count]);
            self.note(place, count as u64, &starts);
            let strikes = self.strikes(place, count, &starts);
            let mut sent = 0;
            for (at, fault) in strikes {
                self.write(&mut to, &buffer[sent..at]).await?;
                sent = at;
                let now = Instant::now();
                self.see(|seen| seen.struck = seen.struck.or(Some(now)));
                match fault {
                    Fault::Close => return Err(End::Closed),
                    Fault::Reset => return Err(End::Reset),
                    Fault::Stall => return Err(End::Stalled),
                    Fault::Vanish => return Err(End::Vanished),
                    Fault::Slice(size, pause) => self.slice = Some((size, pause)),
                    Fault::Delay(pause) => tokio::time::sleep(pause).await,
                    Fault::Flip(bits) => buffer[at] ^= bits,
                    Fault::Insert(bytes) => to.write_all(&bytes).await?,
                }
            }
            self.write(&mut to, &buffer[sent..count]).await?;
            self.see(|seen| seen.in_hand -= 1);
            place += count as u64;
        }
    }

    /// The rules that strike in a read, each with its place in the buffer.
    fn strikes(
        &mut self,
        place: u64,
        count: usize,
        starts: &[(u64, usize)],
    ) -> Vec<(usize, Fault)> {
        let mut strikes = Vec::new();
        self.rules.retain(|rule| {
            let at = match rule.at {
                At::Byte(byte) => usize::try_from(byte.wrapping_sub(place)).ok(),
                At::Message(wanted) => {
                    let start = starts.iter().find(|(message, _)| *message == wanted);
                    start.map(|(_, at)| *at)
                }
            };
            let Some(at) = at.filter(|at| *at < count) else {
                return true;
            };
            strikes.push((at, rule.fault.clone()));
            false
        });
        strikes.sort_by_key(|(at, _)| *at);
        strikes
    }

    async fn write(&self, to: &mut WriteHalf<'_>, bytes: &[u8]) -> io::Result<()> {
        let Some((size, pause)) = self.slice else {
            return to.write_all(bytes).await;
        };
        for slice in bytes.chunks(size.max(1)) {
            to.write_all(slice).await?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    fn note(&self, place: u64, count: u64, starts: &[(u64, usize)]) {
        self.see(|seen| {
            let (noted, bytes) = match self.way {
                Way::ToServer => (&mut seen.to_server, &mut seen.from_client),
                Way::ToClient => (&mut seen.to_client, &mut seen.from_server),
            };
            *bytes += count;
            seen.in_hand += 1;
            let room = NOTED.saturating_sub(noted.len());
            noted.extend(starts.iter().take(room).map(|(_, at)| place + *at as u64));
        });
    }

    fn see(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.shared.seen.lock().unwrap()[self.number]);
    }
}
