//! Who is connected, and who has to go when another one comes and there is no place.
//!
//! Before a request is read nobody knows whether it is a person's. So a newcomer always gets a place as long as somebody has one who has proved
//! nothing: the oldest of those loses it. Who has proved to be a person keeps theirs, and a share of all places is for people alone.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// In all.
    pub connections: usize,
    /// Of these, only for people.
    pub for_people: usize,
    /// From one peer.
    pub a_peer: usize,
}

impl Bounds {
    /// The shares of so many connections.
    pub const fn of(connections: usize) -> Self {
        let for_people = connections.div_ceil(8);
        Self { connections, for_people, a_peer: connections.div_ceil(2) }
    }

    /// A peer with more connections than this that proved nothing loses them before others lose any.
    const fn fair_share(self) -> usize {
        self.a_peer.div_ceil(4)
    }
}

/// Who one address belongs to, as far as can be told: an IPv4 address, or the network of an IPv6 one, which its owner numbers at will.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Peer(IpAddr);

impl Peer {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self(IpAddr::from([a, b, c, d, 0, 0, 0, 0]))
            }
            v4 => Self(v4),
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V6(network) => write!(f, "{network}/64"),
            IpAddr::V4(address) => address.fmt(f),
        }
    }
}

/// What the latest request of a connection proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// That its sender does not know a secret.
    Refused,
    /// Nothing, or there was none.
    Stranger,
    /// That it is an alert source's.
    Source,
    /// That it is a person's.
    Person,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: Peer,
    standing: AtomicU8,
    asking: AtomicBool,
    cut: Notify,
}

/// Whom a newcomer may replace; the first kind goes first. A person's connection with a request in work is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Replaceable {
    Refused,
    Stranger,
    IdleSource,
    Source,
    IdlePerson,
}

impl Connection {
    fn new(peer: Peer) -> Self {
        let standing = AtomicU8::new(Standing::Stranger as u8);
        Self { peer, standing, asking: AtomicBool::new(false), cut: Notify::new() }
    }

    fn standing(&self) -> Standing {
        match self.standing.load(Ordering::Relaxed) {
            0 => Standing::Refused,
            2 => Standing::Source,
            3 => Standing::Person,
            _ => Standing::Stranger,
        }
    }

    /// A request came. Until it has proved something, what an earlier one proved counts.
    pub(crate) fn begin(&self) {
        self.asking.store(true, Ordering::Relaxed);
    }

    /// The request is answered.
    pub(crate) fn end(&self) {
        self.asking.store(false, Ordering::Relaxed);
    }

    /// Notes what the request proved.
    pub(crate) fn proved(&self, standing: Standing) {
        self.standing.store(standing as u8, Ordering::Relaxed);
    }

    /// Whether the latest request was that of somebody whom the host knows.
    pub(crate) fn is_known(&self) -> bool {
        self.standing() >= Standing::Source
    }

    /// Returns when the connection has to go.
    pub(crate) async fn cut(&self) {
        self.cut.notified().await;
    }

    fn replaceable(&self) -> Option<Replaceable> {
        let asking = self.asking.load(Ordering::Relaxed);
        match (self.standing(), asking) {
            (Standing::Refused, _) => Some(Replaceable::Refused),
            // Whether it asks makes no difference: else a body that never ends would keep its place before one that has just come.
            (Standing::Stranger, _) => Some(Replaceable::Stranger),
            (Standing::Source, false) => Some(Replaceable::IdleSource),
            (Standing::Source, true) => Some(Replaceable::Source),
            (Standing::Person, false) => Some(Replaceable::IdlePerson),
            (Standing::Person, true) => None,
        }
    }
}

/// All connections of a host.
#[derive(Debug)]
pub struct Connections {
    bounds: Bounds,
    open: Mutex<Open>,
    replaced: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// The oldest first.
    all: BTreeMap<u64, Arc<Connection>>,
    /// How many each peer has; none that has none.
    peers: HashMap<Peer, usize>,
}

/// A connection's place; free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    number: u64,
    pub(crate) connection: Arc<Connection>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open().remove(self.number);
    }
}

impl Connections {
    /// None yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, open: Mutex::default(), replaced: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// A place for a newcomer, if need be that of another, who is told to go. None if all are taken by people who are being answered.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let (peer, mut open) = (Peer::of(address), self.open());
        let crowded = |open: &Open| {
            let of_peer = open.peers.get(&peer).copied().unwrap_or(0);
            let everyone = open.all.len();
            if of_peer >= self.bounds.a_peer {
                return Some(Crowd::Peer);
            }
            if everyone >= self.bounds.connections {
                return Some(Crowd::Everyone);
            }
            let people = |open: &Open| {
                open.all.values().filter(|connection| connection.standing() == Standing::Person).count()
            };
            let for_others = self.bounds.connections.saturating_sub(self.bounds.for_people);
            (everyone >= for_others && everyone - people(open) >= for_others).then_some(Crowd::Others)
        };
        while let Some(crowd) = crowded(&open) {
            let Some(number) = open.replaceable(crowd, peer, self.bounds.fair_share()) else {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return None;
            };
            self.replace(&mut open, number);
        }
        let number = open.next;
        open.next += 1;
        let connection = Arc::new(Connection::new(peer));
        open.all.insert(number, connection.clone());
        *open.peers.entry(peer).or_default() += 1;
        drop(open);
        Some(Place { connections: self.clone(), number, connection })
    }

    /// Lets one go, as when there are no descriptors left.
    pub(crate) fn let_one_go(&self) {
        let mut open = self.open();
        let anyone = Peer::of(IpAddr::from([0, 0, 0, 0]));
        if let Some(number) = open.replaceable(Crowd::Everyone, anyone, self.bounds.fair_share()) {
            self.replace(&mut open, number);
        }
    }

    fn replace(&self, open: &mut Open, number: u64) {
        if let Some(connection) = open.remove(number) {
            connection.cut.notify_one();
            self.replaced.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many there are, and how many were closed and refused for want of places.
    pub(crate) fn counts(&self) -> (usize, u64, u64) {
        let open = self.open().all.len();
        (open, self.replaced.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who there are too many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crowd {
    /// Connections of the newcomer's peer.
    Peer,
    /// Connections that are no person's.
    Others,
    /// Connections.
    Everyone,
}

impl Open {
    fn remove(&mut self, number: u64) -> Option<Arc<Connection>> {
        let connection = self.all.remove(&number)?;
        if let Some(count) = self.peers.get_mut(&connection.peer) {
            *count -= 1;
            if *count == 0 {
                self.peers.remove(&connection.peer);
            }
        }
        Some(connection)
    }

    /// The one to go first of those that there are too many of.
    fn replaceable(&self, crowd: Crowd, newcomer: Peer, fair_share: usize) -> Option<u64> {
        let mut strangers: HashMap<Peer, usize> = HashMap::new();
        for connection in self.all.values().filter(|connection| !connection.is_known()) {
            *strangers.entry(connection.peer).or_default() += 1;
        }
        let candidates = self.all.iter().filter(|(_, connection)| match crowd {
            Crowd::Peer => connection.peer == newcomer,
            Crowd::Others => connection.standing() != Standing::Person,
            Crowd::Everyone => true,
        });
        let ranked = candidates.filter_map(|(number, connection)| {
            let modest = strangers.get(&connection.peer).is_none_or(|count| *count <= fair_share);
            Some((connection.replaceable()?, modest, *number))
        });
        ranked.min().map(|(_, _, number)| number)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    fn other(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 1, number])
    }

    fn connections(all: usize) -> Arc<Connections> {
        Arc::new(Connections::new(Bounds::of(all)))
    }

    fn is_cut(place: &Place) -> bool {
        let mut cut = Box::pin(place.connection.cut());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        cut.as_mut().poll(&mut context).is_ready()
    }

    fn proved(place: Option<Place>, standing: Standing) -> Place {
        let place = place.expect("a place");
        place.connection.proved(standing);
        place
    }

    #[test]
    fn strangers_are_replaced_oldest_first_and_there_are_never_more_than_their_share() {
        let all = connections(16);
        let places: Vec<_> = (0..40).map(|number| all.admit(other(number)).expect("a place")).collect();
        assert_eq!(all.counts(), (14, 26, 0), "two places of sixteen are for people");
        let cut: Vec<_> = places.iter().map(is_cut).collect();
        assert_eq!(cut.iter().position(|cut| !cut), Some(26));
        assert!(cut[26..].iter().all(|cut| !cut));
    }

    #[test]
    fn a_newcomer_beside_bodies_that_never_end_outlives_those() {
        let all = connections(16);
        let slow: Vec<_> = (0..14).map(|number| all.admit(other(number)).expect("a place")).collect();
        slow.iter().for_each(|place| place.connection.begin());
        let person = all.admit(HOME).expect("a place");
        let _more: Vec<_> = (20..33).map(|number| all.admit(other(number)).expect("a place")).collect();
        assert!(
            slow.iter().all(is_cut) && !is_cut(&person),
            "thirteen came after it, and all the slow ones went before"
        );
    }

    #[test]
    fn people_are_not_replaced_by_any_number_of_strangers() {
        let all = connections(16);
        let person = proved(all.admit(HOME), Standing::Person);
        let storm: Vec<_> = (0..100).map(|_| all.admit(HOME)).collect();
        assert!(!is_cut(&person) && storm.iter().all(Option::is_some));
    }

    #[test]
    fn who_was_refused_goes_before_strangers_and_sources_go_after() {
        let all = connections(16);
        let source = proved(all.admit(other(0)), Standing::Source);
        let stranger = all.admit(other(1)).expect("a place");
        let refused = proved(all.admit(other(2)), Standing::Refused);
        let mut rest: Vec<_> =
            (3..14).map(|number| proved(all.admit(other(number)), Standing::Source)).collect();
        rest.push(all.admit(other(14)).expect("a place"));
        assert!(is_cut(&refused) && !is_cut(&stranger));
        rest.push(all.admit(other(16)).expect("a place"));
        assert!(is_cut(&stranger) && !is_cut(&source));
    }

    #[test]
    fn one_peer_has_its_bound_and_loses_its_own_first() {
        let all = connections(16);
        let neighbour = all.admit(other(0)).expect("a place");
        let storm: Vec<_> = (0..50).map(|_| all.admit(HOME).expect("a place")).collect();
        assert!(!is_cut(&neighbour));
        assert_eq!(storm.iter().filter(|place| !is_cut(place)).count(), 8);
        // Below its bound, too, a greedy peer pays for the place of a newcomer.
        let quiet: Vec<_> = (1..6).map(|number| all.admit(other(number)).expect("a place")).collect();
        let newcomer = all.admit(other(9)).expect("a place");
        assert!(!is_cut(&neighbour) && !is_cut(&newcomer) && !quiet.iter().any(is_cut));
    }

    #[test]
    fn when_people_are_being_answered_at_all_places_a_newcomer_is_refused() {
        let all = connections(4);
        let people: Vec<_> =
            (0..4).map(|number| proved(all.admit(other(number)), Standing::Person)).collect();
        people.iter().for_each(|place| place.connection.begin());
        assert!(all.admit(HOME).is_none());
        people[0].connection.end();
        assert!(all.admit(HOME).is_some() && is_cut(&people[0]), "one that idles makes room");
        assert_eq!(all.counts(), (3, 1, 1), "the newcomer has gone again");
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let all = connections(4);
        drop((all.admit(HOME), all.admit(HOME)));
        let open = all.open();
        assert!(open.all.is_empty() && open.peers.is_empty(), "nobody is remembered");
    }

    #[test]
    fn an_ipv6_network_is_one_peer_and_a_mapped_address_is_its_ipv4_one() {
        let peer = |text: &str| Peer::of(text.parse().expect("an address"));
        assert_eq!(peer("2001:db8:1:2::1"), peer("2001:db8:1:2:ffff::9"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
        assert_eq!(peer("::ffff:10.0.0.1"), peer("10.0.0.1"));
        assert_eq!(peer("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
    }
}
