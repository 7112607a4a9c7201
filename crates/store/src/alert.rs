//! Alerts: what a person has to know of, and finds in the status for a day. The ledger says the same for ever.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use doorward_core::session::Millis;
use doorward_core::syntax::json::{self, quoted};
use rusqlite::{Connection, params};

use crate::StoreError;
use crate::seal::{Column, Sealer};

/// How many are kept: the newest.
const MOST: usize = 100;

/// How long one stands in the status, in milliseconds.
pub const ALERT_STANDS: Millis = 24 * 60 * 60 * 1000;

/// One alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// When, in milliseconds since the Unix epoch.
    pub time: Millis,
    /// What happened, as in the control receipt: `canary_content`.
    pub event: String,
    /// Whose agent it was.
    pub agent: String,
    /// In which session.
    pub session: String,
    /// What happened, for a person. Holds no secret.
    pub message: String,
    /// The receipt of the decision.
    pub receipt: String,
}

/// The newest alerts.
#[derive(Debug, Default)]
pub(crate) struct Alerts(Mutex<VecDeque<Alert>>);

impl Alerts {
    pub(crate) fn new(kept: Vec<Alert>) -> Self {
        Self(Mutex::new(kept.into()))
    }

    pub(crate) fn add(&self, alert: Alert) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back(alert);
        while all.len() > MOST {
            all.pop_front();
        }
    }

    /// Forgets those that `goes` says.
    pub(crate) fn forget(&self, goes: impl Fn(&Alert) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|alert| !goes(alert));
    }

    pub(crate) fn since(&self, time: Millis) -> Vec<Alert> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|alert| alert.time >= time).cloned().collect()
    }
}

pub(crate) fn write(connection: &Connection, sealer: &Sealer, alert: &Alert) -> Result<(), StoreError> {
    let Alert { event, agent, session, message, receipt, .. } = alert;
    let texts = [event, agent, session, message, receipt].map(|text| quoted(text));
    let body = [b"[".as_slice(), &texts.join(&b','), b"]"].concat();
    let time = i64::try_from(alert.time).unwrap_or(i64::MAX);
    let sealed = sealer.seal(Column::Alert, receipt, &body)?;
    let written = connection
        .execute("INSERT OR REPLACE INTO alerts (receipt, time, body) VALUES (?1, ?2, ?3)", params![receipt, time, sealed])
        .and_then(|_| {
            let old = "DELETE FROM alerts WHERE receipt NOT IN (SELECT receipt FROM alerts ORDER BY time DESC LIMIT ?1)";
            connection.execute(old, [i64::try_from(MOST).unwrap_or(i64::MAX)])
        });
    written.map(drop).map_err(|error| StoreError::Unavailable(format!("an alert cannot be kept: {error}")))
}

/// What earlier processes left, oldest first. One that is damaged is passed over: the ledger has it.
pub(crate) fn read(connection: &Connection, sealer: &Sealer) -> Result<Vec<Alert>, rusqlite::Error> {
    let mut statement = connection.prepare("SELECT receipt, time, body FROM alerts ORDER BY time")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let rows: Vec<(String, i64, Vec<u8>)> = rows.collect::<Result<_, _>>()?;
    let alert = |(receipt, time, sealed): (String, i64, Vec<u8>)| {
        let body = sealer.open(Column::Alert, &receipt, &sealed).ok()?;
        let node = json::parse(&body).ok()?;
        let texts: Option<Vec<String>> =
            node.elements().iter().map(|text| text.as_str().map(str::to_owned)).collect();
        let [event, agent, session, message, receipt] = texts?.try_into().ok()?;
        Some(Alert { time: u64::try_from(time).unwrap_or_default(), event, agent, session, message, receipt })
    };
    Ok(rows.into_iter().filter_map(alert).collect())
}
