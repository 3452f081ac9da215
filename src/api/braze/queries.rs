//! What the query of an exporting route says.

use super::error::{BAD_REQUEST, BrazeError};
use super::when;
use crate::api::request::Params;
use crate::model::Timestamp;

/// Rows of a page, as documented.
pub(super) const PAGE: usize = 100;
/// Days of a series, as documented.
const DAYS_MAX: u32 = 100;

/// The query of `/campaigns/list` and `/canvas/list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListQuery {
    /// From 0.
    pub(super) page: usize,
    pub(super) include_archived: bool,
    /// Else the oldest come first.
    pub(super) newest_first: bool,
    pub(super) edited_after: Option<Timestamp>,
}

/// The query of `/campaigns/data_series`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeriesQuery {
    pub(super) campaign: String,
    /// 1 to 100.
    pub(super) days: u32,
    /// The last day of the series holds this time.
    pub(super) ending_at: Timestamp,
}

/// Reads the query of a list.
pub(super) fn list(mut params: Params) -> Result<ListQuery, BrazeError> {
    let page = number(&mut params, "page")?.unwrap_or(0);
    let include_archived = flag(&mut params, "include_archived")?;
    let newest_first = match params.take("sort_direction")?.as_deref() {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(other) => {
            let detail = format!("is {other:?}, not asc or desc");
            return Err(parameter("sort_direction", detail));
        }
    };
    let edited_after = time(&mut params, "last_edit.time[gt]")?;
    params.finish("page, include_archived, sort_direction, last_edit.time[gt]")?;
    let page = usize::try_from(page).unwrap_or(usize::MAX);
    Ok(ListQuery { page, include_archived, newest_first, edited_after })
}

/// Reads the query of a route that shows one thing; `name` is the parameter with its id.
pub(super) fn details(mut params: Params, name: &str) -> Result<String, BrazeError> {
    let id = required(&mut params, name)?;
    // There are no drafts of what is live: it is changed, or duplicated.
    flag(&mut params, "post_launch_draft_version")?;
    params.finish(&format!("{name}, post_launch_draft_version"))?;
    Ok(id)
}

/// Reads the query of a series; it ends at `now` unless the query says otherwise.
pub(super) fn series(mut params: Params, now: Timestamp) -> Result<SeriesQuery, BrazeError> {
    let campaign = required(&mut params, "campaign_id")?;
    let wrong = || {
        let detail = format!("is not a number of days from 1 to {DAYS_MAX}");
        parameter("length", detail)
    };
    let length = number(&mut params, "length")?.ok_or_else(wrong)?;
    let days = u32::try_from(length).ok().filter(|days| (1..=DAYS_MAX).contains(days));
    let days = days.ok_or_else(wrong)?;
    let ending_at = time(&mut params, "ending_at")?.unwrap_or(now);
    params.finish("campaign_id, length, ending_at")?;
    Ok(SeriesQuery { campaign, days, ending_at })
}

/// Reads the query of `/messages/scheduled_broadcasts`: until when to look.
pub(super) fn broadcasts(mut params: Params) -> Result<Timestamp, BrazeError> {
    let end = time(&mut params, "end_time")?;
    params.finish("end_time")?;
    end.ok_or_else(|| parameter("end_time", "is missing".to_owned()))
}

fn required(params: &mut Params, name: &str) -> Result<String, BrazeError> {
    let found = params.take(name)?.filter(|text| !text.is_empty());
    found.ok_or_else(|| parameter(name, "is missing".to_owned()))
}

fn number(params: &mut Params, name: &str) -> Result<Option<u64>, BrazeError> {
    let Some(text) = params.take(name)? else { return Ok(None) };
    let number = text.parse().map(Some);
    number.map_err(|_| parameter(name, format!("is {text:?}, not a whole number")))
}

fn flag(params: &mut Params, name: &str) -> Result<bool, BrazeError> {
    // Some clients write booleans as their language shows them.
    match params.take(name)?.map(|text| text.to_ascii_lowercase()).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(parameter(name, format!("is {other:?}, not true or false"))),
    }
}

fn time(params: &mut Params, name: &str) -> Result<Option<Timestamp>, BrazeError> {
    let Some(text) = params.take(name)? else { return Ok(None) };
    let read = when::parse(&text).map(Some);
    read.ok_or_else(|| parameter(name, format!("{} (encode a + as %2B)", when::EXPECTED)))
}

fn parameter(name: &str, detail: String) -> BrazeError {
    BrazeError::field(BAD_REQUEST, name, detail)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn params(query: &str) -> Params {
        Params::of(&TestRequest::with_uri(&format!("/x?{query}")).to_http_request())
    }

    #[test]
    fn list_is_the_first_page_oldest_first_unless_asked() {
        let query = list(params("")).expect("all is optional");
        let first =
            ListQuery { page: 0, include_archived: false, newest_first: false, edited_after: None };
        assert_eq!(query, first);
        let query = "page=2&include_archived=True&sort_direction=desc\
                     &last_edit.time%5Bgt%5D=2026-11-24T09%3A00%3A00";
        let query = list(params(query)).expect("a query");
        assert_eq!((query.page, query.include_archived, query.newest_first), (2, true, true));
        assert_eq!(query.edited_after, when::parse("2026-11-24T09:00:00Z"));
    }

    #[test]
    fn series_is_bounded_and_ends_now_unless_asked() {
        let now = Timestamp::from_millis(7);
        let query = series(params("campaign_id=c&length=100"), now).expect("a query");
        assert_eq!((query.days, query.ending_at), (100, now));
        for (query, expected) in [
            ("length=7", "Bad Request: campaign_id is missing"),
            ("campaign_id=c", "Bad Request: length is not a number of days from 1 to 100"),
            ("campaign_id=c&length=0", "Bad Request: length is not a number of days"),
            ("campaign_id=c&length=101", "Bad Request: length is not a number of days"),
            ("campaign_id=c&length=x", "Bad Request: length is \"x\", not a whole number"),
            ("campaign_id=c&length=1&ending_at=x", "Bad Request: ending_at is not a time"),
            ("campaign_id=c&length=1&unit=hour", "Bad Request: unit is unknown; this route takes"),
        ] {
            let error = series(params(query), now).expect_err("refused");
            assert!(error.message().starts_with(expected), "{error}");
        }
    }

    #[test]
    fn broadcasts_need_an_end() {
        let end = broadcasts(params("end_time=2026-12-01T00:00:00Z")).expect("a query");
        assert_eq!(Some(end), when::parse("2026-12-01"));
        let error = broadcasts(params("")).expect_err("refused");
        assert_eq!(error.message(), "Bad Request: end_time is missing");
    }
}
