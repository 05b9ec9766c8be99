//! `POST pair`: the only route without a token, because this is how a watch gets one.

use std::sync::Arc;

use axum::extract::{Request, State};
use serde::Serialize;

use super::answer::{self, Answer};
use super::enter;
use super::error::Error;
use super::fields::Fields;
use super::{Face, POLL_PACE};
use crate::accounts::{WatchAnswer, WatchError, network};

/// Longest secret that is looked at, in bytes; ours have 43.
const SECRET_MAX: usize = 64;
/// Seconds after which a watch may begin again when too many are being paired.
const FULL_SECONDS: u32 = 60;

/// A pairing that has begun: digits to show, the secret to ask with, seconds until it is over,
/// seconds between two questions.
#[derive(Serialize)]
struct Begun {
    c: String,
    k: String,
    x: i32,
    s: i32,
}

/// Not confirmed yet: seconds until it is over, seconds until the next question.
#[derive(Serialize)]
struct Waiting {
    x: i32,
    s: i32,
}

/// Paired: the token and whose watch it is now.
#[derive(Serialize)]
struct Paired {
    t: String,
    u: String,
}

/// Begins a pairing, or asks how one with the secret `k` goes.
pub(super) async fn pair(State(face): State<Arc<Face>>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let peer = enter::client(&parts.extensions).ip;
    face.networks.admit(network(peer), face.clock.now()).await?;
    let mut fields = Fields::of_body(&parts.headers, body).await?;
    let (secret, model) = (fields.text("k")?, fields.text("n")?);
    fields.end()?;
    if let Some(secret) = secret {
        return poll(&face, secret).await;
    }
    let begun = face.accounts.watch_pair(peer, model.as_deref()).await;
    let begun = begun.map_err(refusal)?;
    Ok(answer::json(&Begun {
        c: begun.code,
        k: begun.secret,
        x: answer::number(begun.expires_in.as_secs()),
        s: pause(),
    }))
}

async fn poll(face: &Face, secret: String) -> Answer {
    if secret.len() > SECRET_MAX {
        return Err(Error::PairingOver);
    }
    face.polls.admit(secret.clone(), face.clock.now()).await?;
    match face.accounts.watch_poll(&secret).await? {
        WatchAnswer::Waiting { left } => Ok(answer::json(&Waiting {
            x: answer::number(left.as_secs()),
            s: pause(),
        })),
        WatchAnswer::Paired { token, account } => Ok(answer::json(&Paired {
            t: token,
            u: account,
        })),
        WatchAnswer::Over => Err(Error::PairingOver),
    }
}

fn pause() -> i32 {
    answer::number(POLL_PACE.0.as_secs())
}

fn refusal(error: WatchError) -> Error {
    match error {
        WatchError::TooMany => Error::Busy {
            seconds: FULL_SECONDS,
        },
        WatchError::Store(error) => error.into(),
        // What confirming can meet; beginning cannot.
        WatchError::Code
        | WatchError::Limited { .. }
        | WatchError::Name
        | WatchError::NoAccount
        | WatchError::LoggedOut => {
            tracing::error!(%error, "a pairing failed in a way it cannot");
            Error::Failed
        }
    }
}
