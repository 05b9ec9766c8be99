//! What clients send over HTTP, and what the owner writes into the settings.

pub(crate) use super::api::fuzzing::{body as api_body, query as api_query};
pub(crate) use super::compress::fuzzing::compressed;
pub(crate) use super::config::fuzzing::config;
pub(crate) use super::garmin::fuzzing::garmin;
pub(crate) use super::session::fuzzing::basic;
pub(crate) use super::webdav::fuzzing::{
    dates as dav_dates, request as dav_request, xml as dav_xml,
};
