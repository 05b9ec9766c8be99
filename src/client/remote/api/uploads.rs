//! Large files in several requests.

use http::{HeaderName, HeaderValue, Method};

use super::ANSWER_MAX;
use crate::client::remote::Result;
use crate::client::remote::login::Session;
use crate::client::remote::request::{Request, Source};
use crate::protocol::files::{OpenUpload, UploadState, Written};

/// Where a part goes.
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");

impl Session {
    /// Opens an upload.
    pub async fn open_upload(&self, upload: &OpenUpload) -> Result<UploadState> {
        self.ask(Request::post("uploads").json(upload)?)
            .await?
            .json(ANSWER_MAX)
            .await
    }

    /// Where an upload goes on.
    pub async fn upload(&self, id: i64) -> Result<UploadState> {
        self.ask(Request::get(format!("uploads/{id}")))
            .await?
            .json(ANSWER_MAX)
            .await
    }

    /// Sends bytes to their place in an upload. After the problem `upload-offset`, ask where it goes on; what arrived
    /// before a connection broke counts.
    pub async fn append(&self, id: i64, offset: u64, bytes: Source) -> Result<UploadState> {
        let request = Request::new(Method::PATCH, format!("uploads/{id}"));
        let request = request
            .with(OFFSET, HeaderValue::from(offset))
            .source(bytes, None);
        self.ask(request).await?.json(ANSWER_MAX).await
    }

    /// Makes the file of a content with this root (32 hex digits). Again, it gives the same answer.
    pub async fn finish_upload(&self, id: i64, root: &str) -> Result<Written> {
        let request = Request::post(format!("uploads/{id}/finish?root={root}")).again();
        self.ask(request).await?.json(ANSWER_MAX).await
    }

    /// Gives an upload up. `not-found` after a broken connection: it was done.
    pub async fn abort_upload(&self, id: i64) -> Result<()> {
        self.ask(Request::new(Method::DELETE, format!("uploads/{id}")))
            .await?
            .nothing()
            .await
    }
}
