//! What goes over the wire of `/api/v1`: JSON bodies and the binary stream. Types and codecs only, no
//! I/O; server and client share them. `docs/API.md` and `docs/PROTOCOL.md` describe them for others.

pub mod stream;
