//! Reads an HTTP/1.1 answer off a connection.

use std::io::{self, BufRead, Read as _, Write};

use crate::http::Response;

/// Reads one answer; `method` decides whether a body follows.
pub(crate) fn read_response(
    from: &mut dyn BufRead,
    method: &str,
    sink: Option<&mut dyn Write>,
) -> io::Result<Response> {
    let (status, headers) = loop {
        let (status, headers) = read_head(from)?;
        if status >= 200 {
            break (status, headers);
        }
    };
    let mut response = Response {
        status,
        headers,
        body: Vec::new(),
    };
    if method == "HEAD" || status == 204 || status == 304 {
        return Ok(response);
    }
    let mut kept = Vec::new();
    read_body(from, &response, sink.unwrap_or(&mut kept))?;
    response.body = kept;
    Ok(response)
}

fn read_head(from: &mut dyn BufRead) -> io::Result<(u16, Vec<(String, String)>)> {
    let first = read_line(from)?;
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
    let Some(status) = status else {
        return Err(bad(&format!("not a status line: {first:?}")));
    };
    let mut headers = Vec::new();
    loop {
        let line = read_line(from)?;
        if line.is_empty() {
            return Ok((status, headers));
        }
        let Some((name, value)) = line.split_once(':') else {
            return Err(bad(&format!("not a header: {line:?}")));
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_body(from: &mut dyn BufRead, head: &Response, sink: &mut dyn Write) -> io::Result<()> {
    if head
        .header("transfer-encoding")
        .is_some_and(|v| v.eq_ignore_ascii_case("chunked"))
    {
        return read_chunks(from, sink);
    }
    let Some(length) = head.header("content-length") else {
        return io::copy(from, &mut IntoSink(sink)).map(drop);
    };
    let length = length
        .parse()
        .map_err(|_| bad("Content-Length is not a number"))?;
    copy_exactly(from, length, sink)
}

fn read_chunks(from: &mut dyn BufRead, sink: &mut dyn Write) -> io::Result<()> {
    loop {
        let line = read_line(from)?;
        let size = u64::from_str_radix(line.trim(), 16).map_err(|_| bad("bad chunk size"))?;
        copy_exactly(from, size, sink)?;
        read_line(from)?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn copy_exactly(from: &mut dyn BufRead, length: u64, sink: &mut dyn Write) -> io::Result<()> {
    let got = io::copy(&mut from.take(length), &mut IntoSink(sink))?;
    if got < length {
        return Err(bad(&format!(
            "the body ended after {got} of {length} bytes"
        )));
    }
    Ok(())
}

struct IntoSink<'a>(&'a mut dyn Write);

impl Write for IntoSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn read_line(from: &mut dyn BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the connection was closed",
        ));
    }
    Ok(String::from_utf8_lossy(&line)
        .trim_end_matches(['\r', '\n'])
        .to_owned())
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
