//! A client of the JSON API under `/api/v1`: a device with its tokens, requests with JSON bodies, and
//! checks of what every answer must be like. Routes are given without the prefix: `files/list?path=/`.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::http::{Body, Dav, Headers, Response};
use crate::server::{ADMIN_PASSWORD, TestServer};

/// Where the API is.
pub const PREFIX: &str = "/api/v1/";
/// What every `type` of a problem begins with.
const PROBLEM: &str = "urn:sync-server:problem:";

/// A device of an account, or nobody; keeps its connection open between requests.
pub struct Api {
    http: Dav,
    tokens: Value,
}

/// Who may come in, and how.
impl Api {
    /// Without a token.
    pub fn anonymous(server: &TestServer) -> Self {
        Self {
            http: server.anonymous(),
            tokens: Value::Null,
        }
    }

    /// Registers a Linux device called `device` with the account's name and password.
    #[track_caller]
    pub fn register(server: &TestServer, account: &str, password: &str, device: &str) -> Self {
        let asked =
            json!({"account": account, "password": password, "name": device, "type": "linux"});
        Self::begin(server, "auth/register", &asked, 201)
    }

    /// A device called `laptop` of `admin`.
    #[track_caller]
    pub fn admin(server: &TestServer) -> Self {
        Self::register(server, "admin", ADMIN_PASSWORD, "laptop")
    }

    /// Logs in without a device.
    #[track_caller]
    pub fn login(server: &TestServer, account: &str, password: &str) -> Self {
        let asked = json!({"account": account, "password": password});
        Self::begin(server, "auth/login", &asked, 200)
    }

    #[track_caller]
    fn begin(server: &TestServer, route: &str, asked: &Value, status: u16) -> Self {
        let nobody = Self::anonymous(server);
        let tokens = nobody.post(route, asked).json(status);
        nobody.with(tokens)
    }

    /// The same server with other tokens, on a connection of its own.
    #[track_caller]
    pub fn with(&self, tokens: Value) -> Self {
        let access = tokens["access_token"].as_str().expect("access_token");
        Self {
            http: self.http.bearer(access),
            tokens,
        }
    }

    /// The same tokens on a connection of its own.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            http: self.http.again(),
            tokens: self.tokens.clone(),
        }
    }

    /// The same tokens after the server was started again, on another port.
    #[must_use]
    #[track_caller]
    pub fn on(&self, server: &TestServer) -> Self {
        Self::anonymous(server).with(self.tokens.clone())
    }

    /// What the log-in answered; `null` for nobody.
    pub fn tokens(&self) -> &Value {
        &self.tokens
    }

    /// The access token.
    #[track_caller]
    pub fn access(&self) -> &str {
        self.tokens["access_token"].as_str().expect("logged in")
    }

    /// The refresh token.
    #[track_caller]
    pub fn refresh_token(&self) -> &str {
        self.tokens["refresh_token"].as_str().expect("logged in")
    }

    /// The id of the device.
    #[track_caller]
    pub fn device(&self) -> i64 {
        self.tokens["device"]["id"].as_i64().expect("a device")
    }

    /// The client below, for what is not under the prefix.
    pub fn http(&self) -> &Dav {
        &self.http
    }
}

/// Requests by hand.
impl Api {
    /// The head of a request without the empty line at its end, for [`crate::raw::Raw`].
    #[track_caller]
    pub fn head(&self, method: &str, route: &str, headers: Headers<'_>) -> String {
        let token = self.access();
        let mut head = format!(
            "{method} {PREFIX}{route} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        );
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").expect("memory");
        }
        head
    }
}

/// Requests; each is one.
impl Api {
    /// Any method, headers and body.
    #[track_caller]
    pub fn send(
        &self,
        method: &str,
        route: &str,
        headers: Headers<'_>,
        body: Body<'_>,
    ) -> Response {
        let path = format!("{PREFIX}{route}");
        self.http.send(method, &path, headers, body)
    }

    /// GET.
    #[track_caller]
    pub fn get(&self, route: &str) -> Response {
        self.send("GET", route, &[], Body::None)
    }

    /// GET with headers.
    #[track_caller]
    pub fn get_with(&self, route: &str, headers: Headers<'_>) -> Response {
        self.send("GET", route, headers, Body::None)
    }

    /// POST of a JSON body.
    #[track_caller]
    pub fn post(&self, route: &str, body: &Value) -> Response {
        self.json("POST", route, body)
    }

    /// POST without a body.
    #[track_caller]
    pub fn post_nothing(&self, route: &str) -> Response {
        self.send("POST", route, &[], Body::Bytes(b""))
    }

    /// POST of bytes of a media type.
    #[track_caller]
    pub fn post_bytes(&self, route: &str, media: &str, body: &[u8]) -> Response {
        let headers = [("Content-Type", media)];
        self.send("POST", route, &headers, Body::Bytes(body))
    }

    /// PATCH of a JSON body.
    #[track_caller]
    pub fn patch(&self, route: &str, body: &Value) -> Response {
        self.json("PATCH", route, body)
    }

    /// DELETE.
    #[track_caller]
    pub fn delete(&self, route: &str) -> Response {
        self.send("DELETE", route, &[], Body::None)
    }

    #[track_caller]
    fn json(&self, method: &str, route: &str, body: &Value) -> Response {
        let text = body.to_string();
        let headers = [("Content-Type", "application/json")];
        self.send(method, route, &headers, Body::Bytes(text.as_bytes()))
    }
}

/// What most tests do; each must succeed.
impl Api {
    /// Uploads to `path` without conditions; returns the node.
    #[track_caller]
    pub fn upload(&self, path: &str, bytes: &[u8]) -> Value {
        let written = self.upload_with(&[("path", path)], bytes);
        let written = written.expect(&[200, 201]);
        let mut written = written.json(written.status);
        written["node"].take()
    }

    /// Uploads with any parameters (`path`, `base`, `mtime`, `created`, `checksum`), whatever comes.
    #[track_caller]
    pub fn upload_with(&self, parameters: &[(&str, &str)], bytes: &[u8]) -> Response {
        let route = route("files/upload", parameters);
        self.post_bytes(&route, "application/octet-stream", bytes)
    }

    /// The current bytes at `path`.
    #[track_caller]
    pub fn download(&self, path: &str) -> Vec<u8> {
        self.get(&route("files/download", &[("path", path)]))
            .expect(&[200])
            .body
    }

    /// Makes a collection; returns the node.
    #[track_caller]
    pub fn mkdir(&self, path: &str) -> Value {
        self.post("files/mkdir", &json!({"path": path})).json(201)
    }

    /// Moves a node to a free path; returns it.
    #[track_caller]
    pub fn rename(&self, from: &str, to: &str) -> Value {
        let asked = json!({"from": from, "to": to});
        self.post("files/move", &asked).json(200)["node"].take()
    }

    /// Sends the node at `path` to trash.
    #[track_caller]
    pub fn remove(&self, path: &str) {
        let id = id(&self.info(path));
        self.delete(&format!("files/{id}")).expect(&[204]);
    }

    /// The node at `path`, which must be there.
    #[track_caller]
    pub fn info(&self, path: &str) -> Value {
        self.look(path).json(200)
    }

    /// Asks for the node at `path`, whatever comes.
    #[track_caller]
    pub fn look(&self, path: &str) -> Response {
        self.get(&route("files/info", &[("path", path)]))
    }

    /// The names directly below a collection, in the order of the answer.
    #[track_caller]
    pub fn names(&self, path: &str) -> Vec<String> {
        let parameters = [("path", path), ("limit", "1000")];
        let listing = self.get(&route("files/list", &parameters)).json(200);
        let items = listing["items"].as_array().expect("items");
        let names = items.iter().map(|node| text(node, "name"));
        names.map(ToOwned::to_owned).collect()
    }

    /// `sync/status`.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.get("sync/status").json(200)
    }

    /// A cursor of this moment.
    #[track_caller]
    pub fn cursor(&self) -> String {
        text(&self.status(), "cursor").to_owned()
    }

    /// All changes since a cursor (everything without), page by page, and the cursor behind them.
    #[track_caller]
    pub fn pull(&self, since: Option<&str>) -> (Vec<Value>, String) {
        let mut changes = Vec::new();
        let mut cursor = since.map(ToOwned::to_owned);
        loop {
            let parameters: Vec<_> = cursor.iter().map(|cursor| ("cursor", &**cursor)).collect();
            let page = self.get(&route("sync/pull", &parameters)).json(200);
            changes.extend(page["changes"].as_array().expect("changes").iter().cloned());
            let next = text(&page, "cursor").to_owned();
            if page["more"] == false {
                return (changes, next);
            }
            cursor = Some(next);
        }
    }

    /// All items of a list whose pages are asked for with `cursor`; `route` may have a query.
    #[track_caller]
    pub fn all(&self, list: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut asked = list.to_owned();
        loop {
            let page = self.get(&asked).json(200);
            items.extend(page["items"].as_array().expect("items").iter().cloned());
            let Some(next) = page["next"].as_str() else {
                return items;
            };
            let sign = if list.contains('?') { '&' } else { '?' };
            asked = format!("{list}{sign}cursor={}", encode(next));
        }
    }
}

/// What an answer of the API must be like.
impl Response {
    /// The JSON body of an answer with `status`.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self}");
        let media = self.header("content-type");
        assert_eq!(media, Some("application/json"), "{self}");
        self.parsed()
    }

    /// The problem of a refusal: RFC 9457, of the type `name`, and alike in head and body.
    #[track_caller]
    pub fn problem(&self, name: &str, status: u16) -> Value {
        let problem = self.any_problem();
        assert_eq!(self.status, status, "{self}");
        assert_eq!(problem["type"], format!("{PROBLEM}{name}"), "{self}");
        problem
    }

    /// The same, and it must name the field, parameter or header that is wrong.
    #[track_caller]
    pub fn problem_at(&self, name: &str, status: u16, field: &str) -> Value {
        let problem = self.problem(name, status);
        assert_eq!(problem["field"], field, "{self}");
        problem
    }

    /// A problem of whatever type and status.
    #[track_caller]
    pub fn any_problem(&self) -> Value {
        let media = self.header("content-type");
        assert_eq!(media, Some("application/problem+json"), "{self}");
        let problem = self.parsed();
        assert_eq!(problem["status"], self.status, "{self}");
        assert!(self.status >= 400, "{self}");
        for field in ["type", "title", "detail"] {
            assert!(problem[field].is_string(), "{field} in {self}");
        }
        let kind = text(&problem, "type");
        assert!(kind.strip_prefix(PROBLEM).is_some(), "{self}");
        problem
    }

    #[track_caller]
    fn parsed(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("no JSON: {error}\n{self}"),
        }
    }
}

/// A route with query parameters, percent-encoded.
pub fn route(route: &str, parameters: &[(&str, &str)]) -> String {
    let mut out = route.to_owned();
    for (nth, (name, value)) in parameters.iter().enumerate() {
        let sign = if nth == 0 { '?' } else { '&' };
        write!(out, "{sign}{name}={}", encode(value)).expect("memory");
    }
    out
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
pub fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("memory");
        }
    }
    out
}

/// The `id` of a value.
#[track_caller]
pub fn id(value: &Value) -> i64 {
    number(value, "id")
}

/// A whole number in a value.
#[track_caller]
pub fn number(value: &Value, field: &str) -> i64 {
    match value[field].as_i64() {
        Some(number) => number,
        None => panic!("no number {field} in {value}"),
    }
}

/// A text in a value.
#[track_caller]
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    match value[field].as_str() {
        Some(text) => text,
        None => panic!("no text {field} in {value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded_byte_by_byte() {
        let parameters = [("path", "/ä b+c&d=%"), ("limit", "1")];
        assert_eq!(
            route("files/list", &parameters),
            "files/list?path=%2F%C3%A4%20b%2Bc%26d%3D%25&limit=1"
        );
        assert_eq!(route("usage", &[]), "usage");
    }
}
