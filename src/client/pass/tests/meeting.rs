//! What another device has done since the pass has heard.
