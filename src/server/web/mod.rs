//! What a browser or a shell gets without a log-in: the Linux client and the script that installs it.

mod install;
mod program;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use tokio_util::io::ReaderStream;

use super::middleware::Client;
use super::pieces::PIECE;
use program::{Program, ProgramError};

/// What is said where there is no client to give.
const NOTHING: &str =
    "this server has no sync-client to give; its program belongs beside that of the server\n";

/// The routes, without what is around them.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/install.sh", get(script))
        .route("/download/sync-client", get(download))
        .with_state(Arc::new(Program::beside_this()))
}

/// The script, made for whoever asks: it names the server as he does.
async fn script(State(program): State<Arc<Program>>, request: Request) -> Response {
    let https = request
        .extensions()
        .get::<Client>()
        .is_some_and(|client| client.https);
    let Some(host) = install::host(&request) else {
        return (StatusCode::BAD_REQUEST, "the request names no host\n").into_response();
    };
    let scheme = if https { "https" } else { "http" };
    let facts = match program.facts().await {
        Ok(facts) => facts,
        Err(error) => return refused(&error),
    };
    let text = install::script(&format!("{scheme}://{host}"), &facts);
    let headers = [
        (header::CONTENT_TYPE, "text/x-shellscript; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}

async fn download(State(program): State<Arc<Program>>) -> Response {
    let (file, length) = match program.open().await {
        Ok(opened) => opened,
        Err(error) => return refused(&error),
    };
    let body = Body::from_stream(ReaderStream::with_capacity(file, PIECE));
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    let mut response = (kind, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    let name = HeaderValue::from_static("attachment; filename=\"sync-client\"");
    headers.insert(header::CONTENT_DISPOSITION, name);
    response
}

fn refused(error: &ProgramError) -> Response {
    match error {
        ProgramError::Missing => (StatusCode::NOT_FOUND, NOTHING).into_response(),
        ProgramError::Foreign | ProgramError::Io(_) => {
            tracing::error!(%error, "the client beside the server cannot be given");
            (StatusCode::NOT_FOUND, NOTHING).into_response()
        }
    }
}
