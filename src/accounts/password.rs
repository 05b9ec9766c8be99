//! Passwords of people: argon2id, few at a time.
//!
//! Knows nothing of accounts; it turns a password into a PHC string and compares one with another.

use std::hint::black_box;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use super::random;

/// Shortest new password, in bytes (NIST SP 800-63B).
pub const MIN_PASSWORD_BYTES: usize = 8;
/// Longest password, in bytes; longer ones are refused before any work is done with them.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// 19 MiB, two passes, one thread: what OWASP asks for at least; about 70 ms.
pub(super) const PARAMS: Params = match Params::new(19_456, 2, 1, None) {
    Ok(params) => params,
    Err(_) => panic!("the parameters are within the bounds of argon2"),
};
/// Passwords hashed at once: 38 MiB, and no more than the two cores of a small machine.
const AT_ONCE: usize = 2;
/// Passwords that may wait for a turn: about a second; those beyond are told to come again.
const WAITING_MAX: usize = 32;
/// Blocks (1 KiB) above which glibc always maps and unmaps: its `DEFAULT_MMAP_THRESHOLD_MAX` is 32 MiB.
const RETURNED_BLOCKS: usize = 33 * 1024;
const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = Params::DEFAULT_OUTPUT_LEN;

/// Why a new password was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Less than [`MIN_PASSWORD_BYTES`].
    #[error("a password must have 8 bytes at least")]
    TooShort,
    /// More than [`MAX_PASSWORD_BYTES`].
    #[error("a password may have 1024 bytes at most")]
    TooLong,
}

/// Why a password could not be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HashError {
    /// Too many wait already.
    Busy,
    /// The stored hash cannot be read.
    Damaged,
}

/// Outcome of a comparison.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Another password.
    Wrong,
    /// The password.
    Right {
        /// A stronger hash of it, when the stored one was made with weaker parameters.
        renewed: Option<String>,
    },
}

/// Checks the length of a password to be.
pub(super) fn check_new(password: &str) -> Result<(), PasswordError> {
    match password.len() {
        ..MIN_PASSWORD_BYTES => Err(PasswordError::TooShort),
        MIN_PASSWORD_BYTES..=MAX_PASSWORD_BYTES => Ok(()),
        _ => Err(PasswordError::TooLong),
    }
}

/// The right to hash one password now; it ends with the last copy.
#[derive(Clone)]
pub(super) struct Turn {
    _permits: Arc<[OwnedSemaphorePermit; 2]>,
}

/// Hashes passwords on threads that may block, [`AT_ONCE`] of them.
pub(super) struct Hasher {
    params: Params,
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    hashes: AtomicU64,
}

impl Hasher {
    pub(super) fn new(params: Params) -> Arc<Self> {
        Arc::new(Self {
            params,
            places: Arc::new(Semaphore::new(AT_ONCE + WAITING_MAX)),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            hashes: AtomicU64::new(0),
        })
    }

    /// Waits for a turn, unless too many wait already.
    pub(super) async fn turn(&self) -> Result<Turn, HashError> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_full| HashError::Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.expect("the semaphore is never closed");
        Ok(Turn {
            _permits: Arc::new([place, turn]),
        })
    }

    /// The PHC string of a new password.
    pub(super) async fn hash(self: &Arc<Self>, password: &str) -> Result<String, HashError> {
        let turn = self.turn().await?;
        self.blocking(&turn, password, |hasher, password| Ok(hasher.phc(password)))
            .await
    }

    /// Compares a password with a PHC string. Without one it takes as long and is wrong, so that
    /// the time does not tell which users exist. Whoever counts failures keeps the turn until then.
    pub(super) async fn verify(
        self: &Arc<Self>,
        turn: &Turn,
        password: &str,
        stored: Option<String>,
    ) -> Result<Verdict, HashError> {
        self.blocking(turn, password, move |hasher, password| {
            let Some(stored) = stored else {
                black_box(hasher.phc(password));
                return Ok(Verdict::Wrong);
            };
            hasher.compare(password, &stored)
        })
        .await
    }

    /// Passwords hashed since the start.
    pub(super) fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        turn: &Turn,
        password: &str,
        work: impl FnOnce(&Self, &[u8]) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let (hasher, turn) = (Arc::clone(self), turn.clone());
        let password = Zeroizing::new(password.as_bytes().to_vec());
        let task = tokio::task::spawn_blocking(move || {
            // The turn lasts as long as the work, even when nobody waits for its result any more.
            let _turn = turn;
            work(&hasher, &password)
        });
        task.await
            .unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_stopping) => Err(HashError::Busy),
            })
    }

    fn phc(&self, password: &[u8]) -> String {
        let salt: [u8; SALT_BYTES] = random::bytes();
        let mut output = [0; OUTPUT_BYTES];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        self.derive(&argon2, password, &salt, &mut output)
            .expect("the parameters are our own");
        PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&self.params).expect("three numbers fit"),
            salt: Some(Salt::new(&salt).expect("16 bytes are a salt")),
            hash: Some(Output::new(&output).expect("32 bytes are an output")),
        }
        .to_string()
    }

    fn compare(&self, password: &[u8], stored: &str) -> Result<Verdict, HashError> {
        let (argon2, salt, expected) = read_phc(stored).ok_or(HashError::Damaged)?;
        let mut output = [0; Output::MAX_LENGTH];
        let output = &mut output[..expected.len()];
        self.derive(&argon2, password, &salt, output)
            .map_err(|_refused| HashError::Damaged)?;
        if !bool::from(output.ct_eq(expected.as_bytes())) {
            return Ok(Verdict::Wrong);
        }
        let renewed = self
            .is_weak(stored, argon2.params())
            .then(|| self.phc(password));
        Ok(Verdict::Right { renewed })
    }

    fn is_weak(&self, stored: &str, params: &Params) -> bool {
        !stored.starts_with("$argon2id$v=19$")
            || params.m_cost() < self.params.m_cost()
            || params.t_cost() < self.params.t_cost()
    }

    fn derive(
        &self,
        argon2: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
        output: &mut [u8],
    ) -> argon2::Result<()> {
        // Given back to the system after this hash. glibc does so for certain only above 32 MiB;
        // below, each thread that ever hashed keeps its blocks. What is not touched costs nothing.
        let needed = argon2.params().block_count();
        let mut blocks = Vec::with_capacity(needed.max(RETURNED_BLOCKS));
        blocks.resize(needed, Block::new());
        let result = argon2.hash_password_into_with_memory(password, salt, output, &mut blocks[..]);
        self.hashes.fetch_add(1, Ordering::Relaxed);
        result
    }
}

fn read_phc(stored: &str) -> Option<(Argon2<'static>, Salt, Output)> {
    let phc = PasswordHash::new(stored).ok()?;
    let algorithm = Algorithm::new(phc.algorithm.as_str()).ok()?;
    let version = Version::try_from(phc.version?).ok()?;
    let params = Params::try_from(&phc).ok()?;
    Some((
        Argon2::new(algorithm, version, params),
        phc.salt?,
        phc.hash?,
    ))
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    fn params(m: u32, t: u32) -> Params {
        Params::new(m, t, 1, None).unwrap()
    }

    async fn verify(
        hasher: &Arc<Hasher>,
        password: &str,
        stored: &str,
    ) -> Result<Verdict, HashError> {
        let turn = hasher.turn().await?;
        hasher
            .verify(&turn, password, Some(stored.to_owned()))
            .await
    }

    #[tokio::test]
    async fn only_the_password_itself_is_right() {
        let hasher = Hasher::new(PARAMS);
        let stored = hasher.hash("correct horse").await.unwrap();

        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        let right = verify(&hasher, "correct horse", &stored).await.unwrap();
        assert_eq!(right, Verdict::Right { renewed: None });
        assert_eq!(
            verify(&hasher, "correct horsf", &stored).await.unwrap(),
            Verdict::Wrong
        );
        assert_eq!(verify(&hasher, "", &stored).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_hash_of_another_program_is_understood() {
        // From the reference implementation: `echo -n password | argon2 somesalt -id -t 2 -m 16`.
        let stored = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ\
            $CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let hasher = Hasher::new(params(16, 1));
        let right = verify(&hasher, "password", stored).await.unwrap();
        assert_eq!(right, Verdict::Right { renewed: None });
    }

    #[tokio::test]
    async fn a_weaker_hash_is_renewed_and_the_new_one_is_not() {
        let weak = Hasher::new(params(16, 1))
            .hash("correct horse")
            .await
            .unwrap();
        for stronger in [params(32, 1), params(16, 2)] {
            let hasher = Hasher::new(stronger);
            let verdict = verify(&hasher, "correct horse", &weak).await.unwrap();
            let Verdict::Right {
                renewed: Some(renewed),
            } = verdict
            else {
                panic!("{verdict:?}")
            };
            let again = verify(&hasher, "correct horse", &renewed).await.unwrap();
            assert_eq!(again, Verdict::Right { renewed: None });
            assert_eq!(
                verify(&hasher, "wrong horse", &weak).await.unwrap(),
                Verdict::Wrong
            );
        }
    }

    #[tokio::test]
    async fn a_missing_hash_costs_a_hash_and_is_wrong() {
        let hasher = Hasher::new(params(16, 1));
        let turn = hasher.turn().await.unwrap();
        assert_eq!(
            hasher.verify(&turn, "anything", None).await.unwrap(),
            Verdict::Wrong
        );
        assert_eq!(hasher.hashes(), 1);
    }

    #[tokio::test]
    async fn a_damaged_hash_is_an_error_and_not_a_wrong_password() {
        let hasher = Hasher::new(params(16, 1));
        for stored in [
            "",
            "plain",
            "$argon2id$v=19$m=16,t=1,p=1$c29tZXNhbHQ",
            "$5$salt$hash",
        ] {
            assert_eq!(
                verify(&hasher, "x", stored).await,
                Err(HashError::Damaged),
                "{stored}"
            );
        }
    }

    #[tokio::test]
    async fn the_third_hash_waits_for_one_of_the_two_before_it() {
        let hasher = Hasher::new(params(16, 1));
        let first = hasher.turn().await.unwrap();
        let _second = hasher.turn().await.unwrap();

        let mut third = Box::pin(hasher.hash("correct horse"));
        assert!(poll!(&mut third).is_pending());
        assert_eq!(hasher.hashes(), 0);
        drop(first);

        third.await.unwrap();
        assert_eq!(hasher.hashes(), 1);
    }

    #[tokio::test]
    async fn those_beyond_the_queue_are_sent_away_and_let_in_later() {
        let hasher = Hasher::new(params(16, 1));
        let mut taken = Vec::new();
        for _ in 0..AT_ONCE {
            taken.push(hasher.turn().await.unwrap());
        }
        let mut waiting = Vec::new();
        for _ in 0..WAITING_MAX {
            let mut turn = Box::pin(hasher.turn());
            assert!(poll!(&mut turn).is_pending());
            waiting.push(turn);
        }

        assert_eq!(hasher.hash("correct horse").await, Err(HashError::Busy));
        drop((waiting, taken));
        assert!(hasher.hash("correct horse").await.is_ok());
    }

    #[test]
    fn new_passwords_have_bounds() {
        assert_eq!(check_new(""), Err(PasswordError::TooShort));
        assert_eq!(check_new("1234567"), Err(PasswordError::TooShort));
        assert_eq!(check_new("12345678"), Ok(()));
        assert_eq!(check_new(&"x".repeat(1024)), Ok(()));
        assert_eq!(check_new(&"x".repeat(1025)), Err(PasswordError::TooLong));
    }
}
