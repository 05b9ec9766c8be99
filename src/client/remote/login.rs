//! Staying logged in: access tokens that end after minutes, and refresh tokens that are good for one exchange.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep, timeout};

use super::answer::Answer;
use super::connection::Server;
use super::request::Request;
use super::tokens::{Kept, Place};
use super::{Error, Result};
use crate::protocol::auth::{Refresh, Tokens};
use crate::types::Millis;

/// Time before its end when an access token is not used any more, in milliseconds.
const MARGIN: i64 = 60_000;
/// How long an exchange whose answer was lost is tried again: the server gives another pair within 60 s.
const GRACE: Duration = Duration::from_secs(45);
/// Longest wait for the answer of one.
const ANSWER_MAX: Duration = Duration::from_secs(40);
/// Longest wait for an exchange before the process ends.
const SETTLE_MAX: Duration = Duration::from_secs(5);
/// Pause before the first of these trials; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest answer with tokens, in bytes.
const TOKENS_MAX: usize = 64 * 1024;

/// Somebody logged in. Copies share the tokens.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    server: Server,
    place: Place,
    held: Mutex<Held>,
}

struct Held {
    tokens: Kept,
    /// Whether the place has these tokens.
    stored: bool,
    /// Why the log-in is over.
    over: Option<String>,
}

impl Held {
    fn new(tokens: Kept) -> Self {
        Self {
            tokens,
            stored: true,
            over: None,
        }
    }

    /// The access token, when it may still be used.
    fn access(&self) -> Option<&str> {
        let holds = self.stored && self.over.is_none() && self.tokens.ends - MARGIN > now();
        holds.then_some(self.tokens.access.as_str())
    }

    fn other_than(&self, refused: Option<&str>) -> Option<String> {
        let access = self.access().filter(|access| Some(*access) != refused)?;
        Some(access.to_owned())
    }
}

impl Session {
    /// Goes on with tokens that were stored.
    pub async fn open(server: Server, place: Place) -> Result<Self> {
        let tokens = load(&place).await?;
        let tokens = tokens.ok_or_else(|| Error::LoggedOut("nobody is logged in".to_owned()))?;
        Ok(Self::with(server, place, Held::new(tokens)))
    }

    /// Begins with the tokens of a log-in, and stores them.
    pub async fn begin(server: Server, place: Place, tokens: &Tokens) -> Result<Self> {
        let kept = Kept::of(tokens, now());
        let alone = place.alone().await.map_err(Error::Store)?;
        place.save(&kept).await.map_err(Error::Store)?;
        drop(alone);
        Ok(Self::with(server, place, Held::new(kept)))
    }

    fn with(server: Server, place: Place, held: Held) -> Self {
        Self {
            inner: Arc::new(Inner {
                server,
                place,
                held: Mutex::new(held),
            }),
        }
    }

    /// The way to the server.
    pub fn server(&self) -> &Server {
        &self.inner.server
    }

    /// Ends the log-in, here in any case.
    pub async fn logout(&self) -> Result<()> {
        let told = match self.ask(Request::post("auth/logout")).await {
            Ok(answer) => answer.nothing().await,
            Err(Error::LoggedOut(_)) => Ok(()),
            Err(error) => Err(error),
        };
        let mut held = self.inner.held.lock().await;
        held.over = Some("logged out".to_owned());
        let _alone = self.inner.place.alone().await.map_err(Error::Store)?;
        self.inner.place.forget().await.map_err(Error::Store)?;
        told
    }

    /// Waits, some seconds at most, for an exchange of tokens that is under way. A process that ends in its middle
    /// and does not begin again within a minute has lost the log-in.
    pub async fn settle(&self) {
        drop(timeout(SETTLE_MAX, self.inner.held.lock()).await);
    }

    /// Sends a request with the access token, which is renewed when that is due.
    pub(super) async fn ask(&self, request: Request) -> Result<Answer> {
        let access = self.access().await?;
        let copy = request.copy();
        let refusal = match self.server().send(request, Some(&access)).await {
            Err(Error::Refused(refusal)) if refusal.problem.status == 401 => refusal,
            done => return done,
        };
        tracing::debug!("the access token is refused: {refusal}");
        let access = self.renew(access).await?;
        let request = copy.ok_or(Error::Renewed)?;
        match self.server().send(request, Some(&access)).await {
            Err(Error::Refused(refusal)) if refusal.problem.status == 401 => {
                Err(Error::LoggedOut(refusal.problem.detail))
            }
            done => done,
        }
    }

    /// An access token that holds for a while.
    pub(super) async fn access(&self) -> Result<String> {
        if let Some(access) = self.inner.held.lock().await.access() {
            return Ok(access.to_owned());
        }
        self.fresh(None).await
    }

    /// Another access token than `refused`.
    pub(super) async fn renew(&self, refused: String) -> Result<String> {
        self.fresh(Some(refused)).await
    }

    /// Runs by itself: when nobody waits for it any more, the tokens that come must be stored all the same.
    async fn fresh(&self, refused: Option<String>) -> Result<String> {
        let inner = Arc::clone(&self.inner);
        let task = tokio::spawn(async move { inner.fresh(refused.as_deref()).await });
        task.await
            .unwrap_or_else(|end| Err(Error::Broken(format!("the log-in was not renewed: {end}"))))
    }
}

impl Inner {
    async fn fresh(&self, refused: Option<&str>) -> Result<String> {
        // Others wait here and then find what the first one got.
        let mut held = self.held.lock().await;
        if let Some(access) = held.other_than(refused) {
            return Ok(access);
        }
        // Of two processes with one refresh token the second would end the log-in of both.
        let _alone = self.place.alone().await.map_err(Error::Store)?;
        if held.stored {
            self.reload(&mut held).await?;
        } else {
            self.store(&mut held).await?;
        }
        if let Some(why) = &held.over {
            return Err(Error::LoggedOut(why.clone()));
        }
        match held.other_than(refused) {
            Some(access) => Ok(access),
            None => self.exchange(&mut held).await,
        }
    }

    /// Gives the refresh token for the next pair.
    async fn exchange(&self, held: &mut MutexGuard<'_, Held>) -> Result<String> {
        // It is used up by that. So it is tried first whether another can be kept: a disk may be full.
        self.store(held).await?;
        let at = now();
        match self.pair(&held.tokens.refresh).await {
            Ok(tokens) => {
                held.tokens = Kept::of(&tokens, at);
                held.stored = false;
                self.store(held).await?;
                Ok(held.tokens.access.clone())
            }
            Err(Error::Refused(refusal)) if refusal.problem.status == 401 => {
                held.over = Some(refusal.problem.detail.clone());
                Err(Error::LoggedOut(refusal.problem.detail))
            }
            Err(error) => Err(error),
        }
    }

    /// Asks for the next pair. When an answer was lost, for as long as the server gives another.
    async fn pair(&self, refresh: &str) -> Result<Tokens> {
        let (begun, mut pause, mut lost) = (Instant::now(), PAUSE, false);
        loop {
            let late = |_elapsed| Err(Error::Broken("no tokens came".to_owned()));
            let answer = timeout(ANSWER_MAX, self.refresh(refresh)).await;
            let error = match answer.unwrap_or_else(late) {
                Ok(tokens) => return Ok(tokens),
                Err(error) => error,
            };
            lost |= matches!(error, Error::Broken(_));
            if !lost || !error.passes() || begun.elapsed() + pause > GRACE {
                return Err(error);
            }
            tracing::debug!("asking for tokens again: {error}");
            sleep(pause).await;
            pause *= 2;
        }
    }

    async fn refresh(&self, token: &str) -> Result<Tokens> {
        let refresh = Refresh {
            refresh_token: token.to_owned(),
        };
        let request = Request::post("auth/refresh").json(&refresh)?;
        self.server
            .send(request, None)
            .await?
            .json(TOKENS_MAX)
            .await
    }

    async fn store(&self, held: &mut MutexGuard<'_, Held>) -> Result<()> {
        self.place.save(&held.tokens).await.map_err(Error::Store)?;
        held.stored = true;
        Ok(())
    }

    /// Takes tokens that another process has stored meanwhile, by a refresh or a new log-in.
    async fn reload(&self, held: &mut MutexGuard<'_, Held>) -> Result<()> {
        match load(&self.place).await? {
            Some(tokens) if tokens.refresh != held.tokens.refresh => **held = Held::new(tokens),
            // Whoever took it away has ended the log-in.
            None if held.over.is_none() => held.over = Some("it was removed".to_owned()),
            Some(_) | None => {}
        }
        Ok(())
    }
}

/// Reads what is stored. What cannot be understood is as good as nothing, and is told so.
async fn load(place: &Place) -> Result<Option<Kept>> {
    place.load().await.map_err(|error| {
        if error.kind() == io::ErrorKind::InvalidData {
            Error::LoggedOut(format!("what is stored of it: {error}"))
        } else {
            Error::Store(error)
        }
    })
}

/// Milliseconds since 1970. The clock of the wall: a token ends while the machine sleeps.
fn now() -> i64 {
    Millis::now().0
}
