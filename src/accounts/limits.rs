//! How many wrong guesses are allowed, by network and by account.
//!
//! Counts only; knows nothing of passwords. Windows begin with their first failure and are bounded
//! in number, the ones longest unused are forgotten first.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use tokio::sync::Semaphore;

use super::{Denied, name, random};
use crate::types::Millis;

/// Failures allowed in a window.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) max: u32,
    pub(super) window: Duration,
}

/// One user from one network: a person who tries old passwords stays below it.
const PAIR: Rule = Rule {
    max: 10,
    window: Duration::from_mins(5),
};
/// One network, whatever the users: a household or office behind one address.
const NETWORK: Rule = Rule {
    max: 50,
    window: Duration::from_mins(10),
};
/// One user from anywhere. It only slows down: a lock would let strangers lock people out.
const ACCOUNT: Rule = Rule {
    max: 100,
    window: Duration::from_hours(1),
};
/// Pairing codes tried from one network; a person mistypes a code once or twice.
const CODE: Rule = Rule {
    max: 5,
    window: Duration::from_mins(10),
};
/// Guesses in a pair's window, refused ones included, from which on even cached passwords are
/// refused: else the cache would tell right from wrong as often as asked. A client that repeats an
/// outdated password every second stays below it.
const PROBES_MAX: u32 = 300;
/// How long a password of an account under attack waits.
const DELAY: Duration = Duration::from_millis(1500);
/// Passwords that wait so at once, a few kilobytes each.
const DELAYED_MAX: usize = 64;
/// Windows kept of each rule, about 200 bytes each.
const WINDOWS_MAX: u64 = 16_384;

/// From where and as whom a login is tried.
pub(super) struct Attempt {
    /// The client's address; IPv4 also when it came mapped into IPv6.
    pub(super) peer: IpAddr,
    /// Its network: the address, of IPv6 the first 64 bits, which is what one household gets.
    pub(super) network: [u8; 9],
    pair: u128,
    account: u128,
}

/// The failures of late.
pub(super) struct Limits {
    /// Keys are keyed hashes of fixed size, so that nobody can make two of them meet.
    secret: [u8; 32],
    pairs: Windows<u128>,
    networks: Windows<[u8; 9]>,
    accounts: Windows<u128>,
    codes: Windows<[u8; 9]>,
    delayed: Semaphore,
}

impl Limits {
    pub(super) fn new() -> Self {
        Self {
            secret: random::bytes(),
            pairs: Windows::new(PAIR),
            networks: Windows::new(NETWORK),
            accounts: Windows::new(ACCOUNT),
            codes: Windows::new(CODE),
            delayed: Semaphore::new(DELAYED_MAX),
        }
    }

    /// Names the windows of an attempt.
    pub(super) fn attempt(&self, peer: IpAddr, user: &str) -> Attempt {
        let peer = peer.to_canonical();
        let network = network(peer);
        let user = name::key(user);
        Attempt {
            peer,
            network,
            pair: self.key(&network, user.as_bytes()),
            account: self.key(&[], user.as_bytes()),
        }
    }

    /// How long until this attempt may be checked; `None` for now.
    pub(super) async fn refusal(&self, attempt: &Attempt, now: Millis) -> Option<Duration> {
        let pair = self.pairs.exceeded(&attempt.pair, now).await;
        let network = self.networks.exceeded(&attempt.network, now).await;
        pair.max(network)
    }

    /// How long even a cached password is refused; `None` for not at all.
    pub(super) async fn probe_refusal(&self, attempt: &Attempt, now: Millis) -> Option<Duration> {
        let spent = |window: &Window| window.failures.saturating_add(window.refused) >= PROBES_MAX;
        self.pairs.remaining(&attempt.pair, now, spent).await
    }

    /// Counts a guess that was wrong.
    pub(super) async fn failed(&self, attempt: &Attempt, now: Millis) {
        let count = |window: &mut Window| window.failures = window.failures.saturating_add(1);
        self.pairs.add(attempt.pair, now, count).await;
        self.networks.add(attempt.network, now, count).await;
        self.accounts.add(attempt.account, now, count).await;
    }

    /// Counts a guess that was refused unchecked.
    pub(super) async fn refused(&self, attempt: &Attempt, now: Millis) {
        let count = |window: &mut Window| window.refused = window.refused.saturating_add(1);
        self.pairs.add(attempt.pair, now, count).await;
    }

    /// Forgets this user's failures from this network.
    pub(super) async fn succeeded(&self, attempt: &Attempt) {
        self.pairs.forget(&attempt.pair).await;
    }

    /// Counts a pairing code before it is checked, so that guesses at once do not slip past the
    /// limit; or tells how long until one may be tried.
    pub(super) async fn take_code(&self, attempt: &Attempt, now: Millis) -> Option<Duration> {
        self.codes.take(attempt.network, now).await
    }

    /// Undoes [`Self::take_code`] for a code that was not wrong.
    pub(super) async fn give_code_back(&self, attempt: &Attempt, now: Millis) {
        let undo = |window: &mut Window| window.failures = window.failures.saturating_sub(1);
        self.codes.add(attempt.network, now, undo).await;
    }

    /// Waits when the account had too many failures, from wherever.
    pub(super) async fn slow_down(&self, attempt: &Attempt, now: Millis) -> Result<(), Denied> {
        if self
            .accounts
            .exceeded(&attempt.account, now)
            .await
            .is_none()
        {
            return Ok(());
        }
        let _place = self.delayed.try_acquire().map_err(|_full| Denied::Busy)?;
        tokio::time::sleep(DELAY).await;
        Ok(())
    }

    fn key(&self, network: &[u8], user: &[u8]) -> u128 {
        let mut hash = blake3::Hasher::new_keyed(&self.secret);
        hash.update(&[u8::from(network.is_empty())])
            .update(network)
            .update(user);
        let mut key = [0; 16];
        hash.finalize_xof().fill(&mut key);
        u128::from_le_bytes(key)
    }
}

/// The network of an address: the address itself, of IPv6 the first 64 bits.
pub(crate) fn network(peer: IpAddr) -> [u8; 9] {
    let mut network = [0; 9];
    match peer.to_canonical() {
        IpAddr::V4(address) => network[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => {
            network[0..8].copy_from_slice(&address.octets()[..8]);
            network[8] = 6;
        }
    }
    network
}

struct Window {
    begun: Millis,
    failures: u32,
    /// Guesses not looked at. They must not make the window longer or fuller for the rules.
    refused: u32,
}

impl Window {
    fn begin(now: Millis) -> Self {
        Self {
            begun: now,
            failures: 0,
            refused: 0,
        }
    }
}

/// One window for each key that has failed of late.
pub(super) struct Windows<K> {
    rule: Rule,
    open: Cache<K, Arc<Mutex<Window>>>,
}

impl<K: std::hash::Hash + Eq + Send + Sync + 'static> Windows<K> {
    pub(super) fn new(rule: Rule) -> Self {
        let open = Cache::builder()
            .max_capacity(WINDOWS_MAX)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(rule.window)
            .build();
        Self { rule, open }
    }

    async fn add<T>(&self, key: K, now: Millis, count: impl FnOnce(&mut Window) -> T) -> T {
        let fresh = async { Arc::new(Mutex::new(Window::begin(now))) };
        let window = self.open.get_with(key, fresh).await;
        let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
        if self.left(&window, now).is_none() {
            *window = Window::begin(now);
        }
        count(&mut window)
    }

    /// Counts a failure, or tells how long the window lasts yet when it is full.
    async fn take(&self, key: K, now: Millis) -> Option<Duration> {
        let take = |window: &mut Window| {
            if window.failures >= self.rule.max {
                return self.left(window, now);
            }
            window.failures += 1;
            None
        };
        self.add(key, now, take).await
    }

    /// Takes one of the tries the rule allows; how long the window lasts yet when none is left.
    /// Tries at the same time cannot take more than there are.
    pub(super) async fn spend(&self, key: K, now: Millis) -> Option<Duration> {
        let mut refused = None;
        self.add(key, now, |window| {
            if window.failures < self.rule.max {
                window.failures += 1;
            } else {
                refused = self.left(window, now);
            }
        })
        .await;
        refused
    }

    /// How long the window lasts yet, if it holds as many failures as the rule allows.
    async fn exceeded(&self, key: &K, now: Millis) -> Option<Duration> {
        self.remaining(key, now, |window| window.failures >= self.rule.max)
            .await
    }

    /// How long the window lasts yet, if it is `full`.
    async fn remaining(
        &self,
        key: &K,
        now: Millis,
        full: impl FnOnce(&Window) -> bool,
    ) -> Option<Duration> {
        let window = self.open.get(key).await?;
        let window = window.lock().unwrap_or_else(PoisonError::into_inner);
        if full(&window) {
            self.left(&window, now)
        } else {
            None
        }
    }

    /// Forgets the failures of `key`.
    pub(super) async fn forget(&self, key: &K) {
        self.open.invalidate(key).await;
    }

    /// `None` once the window is over, or when the clock was set back to before it.
    fn left(&self, window: &Window, now: Millis) -> Option<Duration> {
        let passed = Duration::from_millis(u64::try_from(now.0 - window.begun.0).ok()?);
        self.rule
            .window
            .checked_sub(passed)
            .filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    const NOW: Millis = Millis(1_000_000);

    fn from(limits: &Limits, peer: &str, user: &str) -> Attempt {
        limits.attempt(peer.parse().unwrap(), user)
    }

    async fn fail(limits: &Limits, attempt: &Attempt, times: u32) {
        for _ in 0..times {
            limits.failed(attempt, NOW).await;
        }
    }

    #[tokio::test]
    async fn ten_failures_stop_a_user_in_one_network_for_five_minutes() {
        let limits = Limits::new();
        let alice = from(&limits, "192.0.2.1", "alice");
        fail(&limits, &alice, 9).await;
        assert_eq!(limits.refusal(&alice, NOW).await, None);

        fail(&limits, &alice, 1).await;

        assert_eq!(
            limits.refusal(&alice, NOW).await,
            Some(Duration::from_mins(5))
        );
        let spelled = from(&limits, "::ffff:192.0.2.1", "ALICE");
        assert!(limits.refusal(&spelled, NOW).await.is_some());
        for other in [("192.0.2.1", "bob"), ("192.0.2.2", "alice")] {
            let other = from(&limits, other.0, other.1);
            assert_eq!(limits.refusal(&other, NOW).await, None);
        }
        let almost = NOW.plus(Duration::from_millis(299_999));
        assert_eq!(
            limits.refusal(&alice, almost).await,
            Some(Duration::from_millis(1))
        );
        assert_eq!(limits.refusal(&alice, NOW.plus(PAIR.window)).await, None);
    }

    #[tokio::test]
    async fn a_window_that_is_over_begins_anew() {
        let limits = Limits::new();
        let alice = from(&limits, "192.0.2.1", "alice");
        fail(&limits, &alice, 10).await;

        let later = NOW.plus(PAIR.window);
        limits.failed(&alice, later).await;

        assert_eq!(limits.refusal(&alice, later).await, None);
    }

    #[tokio::test]
    async fn fifty_failures_stop_a_network_whoever_it_tries() {
        let limits = Limits::new();
        for user in 0..50 {
            fail(
                &limits,
                &from(&limits, "192.0.2.1", &format!("user{user}")),
                1,
            )
            .await;
        }
        let fresh = from(&limits, "192.0.2.1", "somebody");
        assert_eq!(limits.refusal(&fresh, NOW).await, Some(NETWORK.window));
        let elsewhere = from(&limits, "192.0.2.2", "somebody");
        assert_eq!(limits.refusal(&elsewhere, NOW).await, None);
        assert_eq!(limits.refusal(&fresh, NOW.plus(NETWORK.window)).await, None);
    }

    #[tokio::test]
    async fn ipv6_addresses_of_one_64_bit_network_are_one() {
        let limits = Limits::new();
        for host in 1..=10 {
            fail(
                &limits,
                &from(&limits, &format!("2001:db8:1:2::{host:x}"), "alice"),
                1,
            )
            .await;
        }
        let neighbour = from(&limits, "2001:db8:1:2:ffff::1", "alice");
        assert!(limits.refusal(&neighbour, NOW).await.is_some());
        let other = from(&limits, "2001:db8:1:3::1", "alice");
        assert_eq!(limits.refusal(&other, NOW).await, None);
    }

    #[tokio::test]
    async fn a_success_forgets_the_pair_but_not_the_network() {
        let limits = Limits::new();
        let alice = from(&limits, "192.0.2.1", "alice");
        fail(&limits, &alice, 49).await;

        limits.succeeded(&alice).await;
        assert_eq!(limits.refusal(&alice, NOW).await, None);

        fail(&limits, &alice, 1).await;
        assert_eq!(limits.refusal(&alice, NOW).await, Some(NETWORK.window));
    }

    #[tokio::test]
    async fn a_hundred_failures_slow_an_account_down_everywhere_but_never_lock_it() {
        let limits = Limits::new();
        for host in 0..100 {
            fail(
                &limits,
                &from(&limits, &format!("192.0.2.{host}"), "alice"),
                1,
            )
            .await;
        }
        let home = from(&limits, "198.51.100.1", "alice");
        assert_eq!(limits.refusal(&home, NOW).await, None);

        tokio::time::pause();
        let begun = tokio::time::Instant::now();
        limits.slow_down(&home, NOW).await.unwrap();
        assert!(begun.elapsed() >= DELAY);

        let begun = tokio::time::Instant::now();
        limits
            .slow_down(&home, NOW.plus(ACCOUNT.window))
            .await
            .unwrap();
        limits
            .slow_down(&from(&limits, "198.51.100.1", "bob"), NOW)
            .await
            .unwrap();
        assert!(begun.elapsed() < DELAY);
    }

    #[tokio::test]
    async fn only_so_many_are_slowed_down_at_once() {
        let limits = Limits::new();
        let alice = from(&limits, "192.0.2.1", "alice");
        fail(&limits, &alice, 100).await;
        let mut sleeping = Vec::new();
        for _ in 0..DELAYED_MAX {
            let mut one = Box::pin(limits.slow_down(&alice, NOW));
            assert!(poll!(&mut one).is_pending());
            sleeping.push(one);
        }
        assert!(matches!(
            limits.slow_down(&alice, NOW).await,
            Err(Denied::Busy)
        ));
    }

    #[tokio::test]
    async fn refused_guesses_count_until_the_cache_is_closed_too() {
        let limits = Limits::new();
        let alice = from(&limits, "192.0.2.1", "alice");
        fail(&limits, &alice, 10).await;
        for _ in 10..PROBES_MAX {
            assert_eq!(limits.probe_refusal(&alice, NOW).await, None);
            limits.refused(&alice, NOW).await;
        }
        assert_eq!(limits.probe_refusal(&alice, NOW).await, Some(PAIR.window));
    }

    #[tokio::test]
    async fn no_more_tries_can_be_taken_than_there_are() {
        let tries = Windows::new(Rule {
            max: 3,
            window: Duration::from_mins(10),
        });
        let taken = futures_util::future::join_all((0..9).map(|_| tries.spend(1, NOW))).await;
        assert_eq!(taken.iter().filter(|left| left.is_none()).count(), 3);
        assert_eq!(tries.spend(2, NOW).await, None);
        let late = NOW.plus(Duration::from_mins(9));
        assert_eq!(tries.spend(1, late).await, Some(Duration::from_mins(1)));
        assert_eq!(
            tries.spend(1, NOW.plus(Duration::from_mins(10))).await,
            None
        );
    }

    #[tokio::test]
    async fn refused_guesses_do_not_make_the_wait_longer() {
        let limits = Limits::new();
        for user in 0..50 {
            fail(
                &limits,
                &from(&limits, "192.0.2.1", &format!("user{user}")),
                1,
            )
            .await;
        }
        let alice = from(&limits, "192.0.2.1", "alice");
        let late = NOW.plus(Duration::from_mins(9));
        for _ in 0..20 {
            limits.refused(&alice, late).await;
        }
        assert_eq!(
            limits.refusal(&alice, late).await,
            Some(Duration::from_mins(1))
        );
        assert_eq!(limits.refusal(&alice, NOW.plus(NETWORK.window)).await, None);
    }
}
