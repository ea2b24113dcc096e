//! A connection that is damaged at every place, from its first byte to its last, with a real server behind it. Whatever is
//! claimed of a host, the marker there must agree: "ok" is one line, "unreachable" none, "unknown" none or one.

use crate::harness::{Case, Ran};
use crate::support::proxy::{At, Fault, Rule, Way, to_client};
use crate::world::Bad;
use std::sync::Arc;
use std::time::Duration;

const COMMAND: &str = "echo line >> ~/marker";

/// A link that says nothing for three seconds is dead.
const ALIVE: &str = ", server_alive_interval = \"1s\", server_alive_count_max = 2";

/// How many hosts are damaged in one run.
const AT_ONCE: usize = 60;

/// Every so many bytes is damaged; `RUNNER_FAULTS_STEP=1` is each.
fn step() -> u64 {
    let step = std::env::var("RUNNER_FAULTS_STEP").ok();
    step.map_or(47, |step| step.parse().unwrap())
}

/// What is done over the connection.
type Session = fn(Case) -> Case;

/// A single command, which travels with its request.
const EXEC: Session = |case| case.exec(COMMAND);

/// Tasks that a shell is given one after another, and a lock that is held meanwhile.
const PLAY: Session = |case| case;

/// How many bytes go each way, and where the messages begin there, when nothing is damaged.
fn whole(session: Session) -> Option<[(u64, Vec<u64>); 2]> {
    let ran = session(Case::new([Bad::Host]).good(0)).run()?;
    let seen = ran.world.bad[0].proxy.as_ref().unwrap().seen();
    let [seen] = &seen[..] else {
        panic!("{seen:?}");
    };
    Some([
        (seen.from_client, seen.to_server.clone()),
        (seen.from_server, seen.to_client.clone()),
    ])
}

/// Damages a direction at each place, of the first connection only unless bits flip; what is claimed, in the order of the places.
fn sweep(session: Session, way: Way, bytes: u64, fault: &Fault) -> Option<Vec<(u64, String)>> {
    let flips = matches!(fault, Fault::Flip(_));
    let places: Vec<u64> = (0..bytes)
        .step_by(usize::try_from(step()).unwrap())
        .collect();
    let mut claims = Vec::new();
    for places in places.chunks(AT_ONCE) {
        let hosts = places.iter().map(|place| {
            let rule = Rule {
                way,
                at: At::Byte(*place),
                fault: fault.clone(),
            };
            Bad::Link(Arc::new(move |number| match flips || number == 0 {
                true => vec![rule.clone()],
                false => Vec::new(),
            }))
        });
        let ran = session(Case::new(hosts).good(1))
            .honest()
            // A damaged length may have us wait.
            .deadline(if flips { 5 } else { 60 })
            .connection(ALIVE)
            // What ends before the request is tried once more.
            .within(Duration::from_secs(if flips { 10 } else { 60 }))
            .run()?;
        for (event, _) in ran
            .out
            .events()
            .filter(|(event, _)| event["event"] == "host_lost")
        {
            println!("{} {}", event["host"], event["message"]);
        }
        claims.extend(places.iter().copied().zip(claimed(&ran, places.len())));
    }
    Some(claims)
}

fn claimed(ran: &Ran, count: usize) -> Vec<String> {
    let mut claims = ran.claims();
    let name = |number| match count {
        1 => "bad".to_string(),
        _ => format!("bad{number}"),
    };
    (1..=count)
        .map(|number| claims.remove(&name(number)).unwrap())
        .collect()
}

/// The claims without repetitions, each with the first place of which it is true.
fn stages(claims: &[(u64, String)]) -> Vec<(u64, &str)> {
    let mut stages: Vec<(u64, &str)> = Vec::new();
    for (place, claim) in claims {
        if stages.last().is_none_or(|(_, last)| last != claim) {
            stages.push((*place, claim));
        }
    }
    stages
}

/// Cuts a direction everywhere. What the client sends decides what may have started: before the request nothing has.
fn cut(way: Way, fault: &Fault) {
    let Some([there, back]) = whole(EXEC) else {
        return;
    };
    let (bytes, starts) = match way {
        Way::ToServer => there,
        Way::ToClient => back,
    };
    let claims = sweep(EXEC, way, bytes, fault).unwrap();
    let told = stages(&claims);
    println!(
        "{} places of {bytes} bytes, {starts:?}: {told:?}",
        claims.len()
    );
    // What was cut before the login began, or between the login and the request, is done over another connection.
    // From the request on nothing is done again. The end of the command is not at the same byte of every connection, since a
    // server puts together what it has to say as it comes.
    let request = claims.iter().position(|(_, claim)| claim == "unknown");
    let (before, behind) = claims.split_at(request.unwrap());
    let mut allowed = ["changed", "unreachable", "changed"].iter();
    let in_order = stages(before)
        .iter()
        .all(|(_, claim)| allowed.any(|word| word == claim));
    assert!(in_order, "{told:?}");
    let is_told = |(_, claim): &(u64, String)| claim == "unknown" || claim == "changed";
    assert!(behind.iter().all(is_told), "{told:?}");
    let unknown = behind[0].0;
    if way == Way::ToServer {
        // The request is by far the longest that is sent behind the key exchange.
        let lengths = starts
            .windows(2)
            .skip(3)
            .map(|pair| (pair[1] - pair[0], pair[0]));
        let (length, request) = lengths.max().unwrap();
        assert!(
            // What is cut at its first byte has been sent all the same.
            (request..request + length).contains(&unknown),
            "{unknown} {request}"
        );
    }
}

#[test]
fn what_is_sent_is_cut_everywhere() {
    cut(Way::ToServer, &Fault::Close);
}

/// Less than the beginning of an identification is no word of another protocol.
#[test]
fn a_cut_in_the_first_word_is_tried_again() {
    let cut = Bad::Link(Arc::new(|number| match number {
        0 => vec![to_client(At::Byte(3), Fault::Close)],
        _ => Vec::new(),
    }));
    Case::new([cut]).good(0).exec(COMMAND).marks(1..=1).run();
}

#[test]
fn what_is_heard_is_cut_everywhere() {
    cut(Way::ToClient, &Fault::Close);
}

#[test]
fn a_reset_is_no_better() {
    cut(Way::ToClient, &Fault::Reset);
}

/// Does something to both directions everywhere. What is claimed is true: that is for the harness to see.
fn damage(session: Session, fault: &Fault) {
    let Some([there, back]) = whole(session) else {
        return;
    };
    for (way, (bytes, starts)) in [(Way::ToServer, there), (Way::ToClient, back)] {
        let claims = sweep(session, way, bytes, fault).unwrap();
        println!(
            "{} places of {bytes} bytes, {starts:?}: {:?}",
            claims.len(),
            stages(&claims)
        );
    }
}

#[test]
fn every_bit_counts() {
    damage(EXEC, &Fault::Flip(0x10));
}

#[test]
fn a_play_is_cut_everywhere() {
    damage(PLAY, &Fault::Close);
}

#[test]
fn a_play_has_its_bits_flipped() {
    damage(PLAY, &Fault::Flip(0x10));
}

#[test]
fn a_link_that_dies_is_noticed() {
    let Some([there, back]) = whole(EXEC) else {
        return;
    };
    for (way, bytes) in [(Way::ToServer, there.0), (Way::ToClient, back.0)] {
        let hosts = (0..10).map(|part| {
            let at = At::Byte(bytes * part / 10);
            let fault = Fault::Stall;
            Bad::link(vec![Rule { way, at, fault }])
        });
        Case::new(hosts)
            .good(16)
            .exec(COMMAND)
            .honest()
            .at_deadline()
            .connection(ALIVE)
            // What ends before the request is tried once more.
            .within(Duration::from_secs(6))
            .run();
    }
}

#[test]
fn one_byte_at_a_time_is_enough() {
    for way in [Way::ToServer, Way::ToClient] {
        let slow = Rule {
            way,
            at: At::Byte(0),
            fault: Fault::Slice(1, Duration::ZERO),
        };
        Case::new([Bad::link(vec![slow])])
            .good(1)
            .deadline(60)
            .run();
    }
}
