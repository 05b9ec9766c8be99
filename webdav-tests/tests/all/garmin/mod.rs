//! A watch and its phone: what they send, byte for byte, and what every answer must be like to reach
//! the watch. They know `docs/GARMIN.md` and nothing else.

mod limits;
mod pairing;
mod reading;
mod uploading;

use std::thread;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;
use webdav_tests::raw::Raw;
use webdav_tests::{Response, TestServer};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_mins(1);
/// Largest number a watch can hold.
const NUMBER_MAX: i64 = (1 << 31) - 1;
/// Bytes of an answer that a phone is known to pass on.
const ANSWER_MAX: usize = 8192;
/// Bytes of an error.
const ERROR_MAX: usize = 100;
/// Bytes of a slice.
const SLICE: usize = 4096;

/// A phone with one connection to the server; its watch may have a token.
struct Phone {
    address: String,
    raw: Raw,
    token: Option<String>,
}

impl Phone {
    /// The phone of a watch that is not paired.
    fn new(server: &TestServer) -> Self {
        let address = server.address();
        Self {
            raw: Raw::connect(&address),
            address,
            token: None,
        }
    }

    /// The phone of a watch paired with `account`.
    fn paired(server: &TestServer, account: &str) -> Self {
        let mut phone = Self::new(server);
        let begun = phone.post("pair", "").object(200);
        let confirm = [
            "device",
            "confirm",
            account,
            begun["c"].as_str().expect("c"),
        ];
        server.cli_ok(&confirm, "");
        let body = format!(r#"{{"k":{}}}"#, begun["k"]);
        let paired = phone.post("pair", &body).object(200);
        phone.token = Some(paired["t"].as_str().expect("t").to_owned());
        phone
    }

    /// The same watch after the server was started again on another port.
    fn again(&self, server: &TestServer) -> Self {
        Self {
            token: self.token.clone(),
            ..Self::new(server)
        }
    }

    /// The head of a request as a phone writes it, without the empty line at its end. Phones offer
    /// gzip, whether or not they could still tell the watch a length then.
    fn head(&self, method: &str, target: &str) -> String {
        let token = self.token.as_ref();
        let token = token.map_or(String::new(), |token| {
            format!("Authorization: Bearer {token}\r\n")
        });
        format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\n{token}Accept-Encoding: gzip\r\n\
             Connection: Keep-Alive\r\nUser-Agent: okhttp/4.12.0\r\n",
            self.address
        )
    }

    /// Sends `text` and reads the answer; a watch that is told to be slower waits and asks again.
    #[track_caller]
    fn exchange(&mut self, text: &str) -> Response {
        loop {
            let answer = self.once(text);
            if answer.status != 429 {
                return answer;
            }
            let slow = answer.object(429);
            if slow["e"] != "slow" {
                return answer;
            }
            let seconds = slow["s"].as_u64().expect("seconds");
            thread::sleep(Duration::from_secs(seconds));
        }
    }

    /// Sends `text` and reads the answer, whatever it is.
    #[track_caller]
    fn once(&mut self, text: &str) -> Response {
        assert!(self.raw.send(text), "the connection is open");
        self.raw.answer(PATIENCE).expect("an answer")
    }

    #[track_caller]
    fn get(&mut self, route: &str) -> Response {
        let head = self.head("GET", &format!("/api/v1/garmin/{route}"));
        self.exchange(&format!("{head}\r\n"))
    }

    #[track_caller]
    fn post(&mut self, route: &str, json: &str) -> Response {
        self.post_as(route, "application/json", json)
    }

    #[track_caller]
    fn post_as(&mut self, route: &str, media: &str, body: &str) -> Response {
        let head = self.head("POST", &format!("/api/v1/garmin/{route}"));
        let length = body.len();
        self.exchange(&format!(
            "{head}Content-Type: {media}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// Sends one slice of a file as JSON, with the checksum of the slice.
    #[track_caller]
    fn slice(&mut self, name: &str, content: &[u8], offset: usize) -> Response {
        let slice = &content[offset..content.len().min(offset + SLICE)];
        let body = serde_json::json!({
            "n": name,
            "o": offset,
            "t": content.len(),
            "b64": BASE64_STANDARD.encode(slice),
            "crc": signed(crc32fast::hash(slice)),
        });
        self.post("upload", &body.to_string())
    }

    /// Sends a whole file as an app should: from where the server says, until it is stored.
    #[track_caller]
    fn upload(&mut self, name: &str, content: &[u8]) -> Value {
        let mut offset = 0;
        loop {
            let answer = self.slice(name, content, offset).object(200);
            if answer.get("i").is_some() {
                return answer;
            }
            offset = usize::try_from(answer["h"].as_u64().expect("h")).expect("small");
        }
    }

    /// All entries of a listing, page by page. Each page must keep to `bytes`.
    #[track_caller]
    fn list(&mut self, query: &str, bytes: usize) -> Vec<Value> {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("files?{query}{cursor}"));
            assert!(page.body.len() <= bytes, "{} bytes", page.body.len());
            let page = page.object(200);
            found.extend(page["f"].as_array().expect("f").iter().cloned());
            match page.get("c") {
                None => return found,
                Some(next) => cursor = format!("&c={}", next.as_str().expect("c")),
            }
        }
    }
}

/// A CRC-32 as a watch has it.
fn signed(crc: u32) -> i32 {
    crc.cast_signed()
}

/// What an answer to a watch must be like.
trait Answer {
    /// Checks the answer with all that a watch needs of it and returns its JSON object.
    fn object(&self, status: u16) -> Value;
    /// Checks an error and its word.
    fn refused(&self, status: u16, word: &str) -> Value;
    /// Checks an answer that is no JSON, and returns its bytes.
    fn native(&self, media: &str) -> &[u8];
}

impl Answer for Response {
    #[track_caller]
    fn object(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self}");
        check_frame(self, "application/json");
        let value: Value = match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("no JSON: {error}\n{self}"),
        };
        assert!(value.is_object(), "{self}");
        check_values(&value, self);
        if status != 200 {
            assert!(self.body.len() <= ERROR_MAX, "{self}");
            assert!(value["e"].is_string(), "{self}");
        }
        value
    }

    #[track_caller]
    fn refused(&self, status: u16, word: &str) -> Value {
        let value = self.object(status);
        assert_eq!(value["e"], word, "{self}");
        value
    }

    #[track_caller]
    fn native(&self, media: &str) -> &[u8] {
        assert_eq!(self.status, 200, "{self}");
        check_frame(self, media);
        &self.body
    }
}

#[track_caller]
fn check_frame(answer: &Response, media: &str) {
    assert!(
        answer.status == 200 || (400..500).contains(&answer.status),
        "{answer}"
    );
    assert_eq!(answer.header("content-type"), Some(media), "{answer}");
    let length = answer.body.len().to_string();
    assert_eq!(answer.header("content-length"), Some(&*length), "{answer}");
    for absent in ["transfer-encoding", "content-encoding", "location"] {
        assert_eq!(answer.header(absent), None, "{answer}");
    }
    assert_ne!(answer.header("connection"), Some("close"), "{answer}");
    assert!(!answer.body.is_empty());
    if media == "application/json" || media == "text/plain" {
        assert!(
            answer.body.len() <= ANSWER_MAX,
            "{} bytes",
            answer.body.len()
        );
    }
}

/// Keys are short, numbers fit into a watch, ids are short.
#[track_caller]
fn check_values(value: &Value, answer: &Response) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                assert!(key.len() <= 3, "{key} in {answer}");
                if key == "i" {
                    let id = value.as_str().expect("ids are texts");
                    assert!((1..=12).contains(&id.len()), "{answer}");
                }
                check_values(value, answer);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| check_values(item, answer)),
        Value::Number(number) => {
            let number = number.as_i64().expect("whole numbers");
            assert!((-NUMBER_MAX - 1..=NUMBER_MAX).contains(&number), "{answer}");
        }
        Value::Null => panic!("null in {answer}"),
        Value::Bool(_) | Value::String(_) => {}
    }
}
