//! What a person does to keys and credits: the same whether a process runs or not.

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use doorward_control::{Fault, FaultKind, Object};
use doorward_core::account::credits::MONTHS;
use doorward_core::session::Millis;
use doorward_core::syntax::{Node, json, json::quoted};
use doorward_gateway::Recorder;
use doorward_gateway::accounts::grant;
use doorward_ledger::{Durability, Log};
use doorward_store::accounts::{Key, KeyState, LotRecord, MOST_ISSUED, NotDone, Settings, is_agent_id};
use doorward_store::{AgentName, Home, HomeLock, Options, Store};

use crate::ledger_key::{self, signing_key};
use crate::when;

/// The most bytes of a setting's value.
const LONGEST: usize = 16 * 1024;

/// What is wanted.
struct Wish<'n> {
    act: &'n str,
    body: &'n Node,
}

/// Does what `body` asks for and returns what came of it as JSON.
///
/// # Errors
/// What keeps it from being done.
pub async fn act(
    recorder: &Recorder,
    store: &Store,
    body: &[u8],
    by: &str,
    now: Millis,
) -> Result<Bytes, Fault> {
    let node = json::parse(body).map_err(|fault| bad(format!("the body is not strict JSON: {fault}")))?;
    let act = node.text("act").ok_or_else(|| bad("the body says no act".into()))?;
    let wish = Wish { act, body: &node };
    let known: &[&str] = match act {
        "create" => &["agent", "credits", "months", "settings"],
        "pause" | "resume" | "revoke" | "lots" => &["key"],
        "rotate" => &["key", "until"],
        "set" => &["key", "settings"],
        "issue" | "unissue" => &["key", "agent_id"],
        "grant" => &["key", "credits", "months"],
        _ => {
            return Err(bad(
                "act must be create, pause, resume, revoke, rotate, set, issue, unissue, grant or lots"
                    .into(),
            ));
        }
    };
    if let Some(unknown) = node.members().iter().find(|it| &*it.key != "act" && !known.contains(&&*it.key)) {
        let key: String = unknown.key.chars().take(40).collect();
        return Err(bad(format!("the body has a member {key:?} that this act does not take")));
    }
    let done = match act {
        "create" => wish.create(recorder, store, by, now).await,
        "grant" => wish.grant(recorder, store, by, now).await,
        "lots" => wish.lots(store, now).await,
        _ => wish.change(recorder, store, by, now).await,
    };
    done.map(Bytes::from)
}

impl Wish<'_> {
    async fn create(
        &self,
        recorder: &Recorder,
        store: &Store,
        by: &str,
        now: Millis,
    ) -> Result<Vec<u8>, Fault> {
        let agent = self.text("agent")?.ok_or_else(|| bad("the body names no agent".into()))?;
        let agent = AgentName::new(agent).map_err(|error| bad(error.to_string()))?;
        let (credits, months) = self.credits()?;
        let mut settings = Settings::default();
        self.settings(&mut settings).map_err(bad)?;
        let key = Key::new(agent, settings, now).map_err(|error| not_done(error.into()))?;
        let key = store.add_key(key).await.map_err(not_done)?;
        let words = format!("agent {}", key.agent);
        record(recorder, "key_create", by, &key.id, &words).await?;
        if credits > 0 {
            grant(recorder, store, &key.id, (credits, months), by, now).await.map_err(not_done)?;
        }
        Ok(shown(&key, store, now).text("credential", &key.credential()).end())
    }

    async fn grant(
        &self,
        recorder: &Recorder,
        store: &Store,
        by: &str,
        now: Millis,
    ) -> Result<Vec<u8>, Fault> {
        let key = self.key()?;
        let granted = grant(recorder, store, key, self.credits()?, by, now).await.map_err(not_done)?;
        let left = store.accounts().remaining(key, now);
        let object = Object::new().text("key_id", key).number("credits_remaining", left.credits);
        Ok(object.raw("lot", &lot(&granted, now)).end())
    }

    async fn lots(&self, store: &Store, now: Millis) -> Result<Vec<u8>, Fault> {
        let key = self.key()?;
        if store.accounts().key(key).is_none() {
            return Err(not_done(NotDone::Unknown(key.to_owned())));
        }
        let lots = store.lots(key).await.map_err(|error| not_done(error.into()))?;
        let left = store.accounts().remaining(key, now);
        let object = Object::new().text("key_id", key).number("credits_remaining", left.credits);
        let object = object.raw("oldest_expiry", &time(left.oldest_expiry));
        Ok(object.array("lots", lots.iter().map(|one| lot(one, now))).end())
    }

    async fn change(
        &self,
        recorder: &Recorder,
        store: &Store,
        by: &str,
        now: Millis,
    ) -> Result<Vec<u8>, Fault> {
        let id = self.key()?;
        let agent_id = self.text("agent_id")?;
        let until = match self.body.some("until") {
            None => now,
            Some(until) => until.as_u64().filter(|until| *until > now).ok_or_else(|| {
                bad("until must be a time to come, in milliseconds since the Unix epoch, or null".into())
            })?,
        };
        let named: Vec<&str> = self.pairs().map(|(name, _)| name).collect();
        let (event, words) = match self.act {
            "pause" => ("key_pause", String::new()),
            "resume" => ("key_resume", String::new()),
            "revoke" => ("key_revoke", String::new()),
            "rotate" if until > now => ("key_rotate", format!("the secret before holds until {until}")),
            "rotate" => ("key_rotate", "the secret before does not hold any more".into()),
            // Their names: what is on an allow-list may be content.
            "set" => ("key_set", named.join(", ")),
            "issue" => ("agent_issue", agent_id.unwrap_or_default().to_owned()),
            _ => ("agent_revoke", agent_id.unwrap_or_default().to_owned()),
        };
        let refused = |why: &str| Err(NotDone::Refused(why.into()));
        let change = |mut key: Key| {
            if key.state == KeyState::Revoked {
                return refused("the key is revoked, and never comes back: create another one");
            }
            match self.act {
                "pause" if key.state == KeyState::Suspended => refused("the key is suspended already"),
                "pause" => Ok(key.in_state(KeyState::Paused, now)),
                "resume" => Ok(key.in_state(KeyState::Active, now)),
                "revoke" => Ok(key.in_state(KeyState::Revoked, now)),
                "rotate" => Ok(key.rotated(now, until)?),
                "set" => {
                    self.settings(&mut key.settings).map_err(NotDone::Refused)?;
                    Ok(key)
                }
                "issue" => match agent_id.filter(|id| is_agent_id(id)) {
                    None => refused("an agent's id is 1 to 64 letters, digits, `_` and `-`"),
                    Some(id) if key.agents.contains_key(id) => refused("this agent is issued already"),
                    Some(_) if key.agents.len() >= MOST_ISSUED => refused("a key has at most 1024 agents"),
                    Some(id) => {
                        key.agents.insert(id.to_owned(), now);
                        Ok(key)
                    }
                },
                _ => match agent_id.and_then(|id| key.agents.remove(id)) {
                    None => refused("no such agent was issued under this key"),
                    Some(_) => Ok(key),
                },
            }
        };
        let key = store.change_key(id, change).await.map_err(not_done)?;
        record(recorder, event, by, &key.id, &words).await?;
        let object = shown(&key, store, now);
        let object = if self.act == "rotate" { object.text("credential", &key.credential()) } else { object };
        Ok(object.end())
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Fault> {
        let Some(member) = self.body.some(name) else { return Ok(None) };
        let text = member.as_str().filter(|text| text.len() <= 200 && !text.chars().any(char::is_control));
        text.map(Some).ok_or_else(|| bad(format!("{name} must be text without control characters")))
    }

    fn key(&self) -> Result<&str, Fault> {
        self.text("key")?.ok_or_else(|| bad("the body names no key".into()))
    }

    fn credits(&self) -> Result<(u64, u32), Fault> {
        let whole = |name: &str, default: u64| {
            let number = self.body.some(name).map_or(Some(default), Node::as_u64);
            number.ok_or_else(|| bad(format!("{name} must be a whole number")))
        };
        let months = u32::try_from(whole("months", MONTHS.into())?).ok().filter(|months| *months <= 1200);
        Ok((whole("credits", 0)?, months.ok_or_else(|| bad("months must be 0 to 1200".into()))?))
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let members = self.body.get("settings").map(Node::members).unwrap_or_default().iter();
        members.map(|member| (&*member.key, member.value.as_str().filter(|text| text.len() <= LONGEST)))
    }

    fn settings(&self, settings: &mut Settings) -> Result<(), String> {
        for (name, value) in self.pairs() {
            settings.set(name, value.ok_or_else(|| format!("the value of {name} must be text"))?)?;
        }
        Ok(())
    }
}

/// All keys, as `{"keys": […]}`.
pub fn all(store: &Store, now: Millis) -> Bytes {
    let keys = store.accounts().keys();
    Object::new().array("keys", keys.iter().map(|key| shown(key, store, now).end())).end().into()
}

/// A key as people are told of it: never its secret.
fn shown(key: &Arc<Key>, store: &Store, now: Millis) -> Object {
    let left = store.accounts().remaining(&key.id, now);
    let settings = key.settings.all().into_iter();
    let settings = settings.fold(Object::new(), |object, (name, value)| object.text(name, &value)).end();
    let agents =
        key.agents.iter().map(|(id, since)| Object::new().text("id", id).number("issued", *since).end());
    let unissued = store.accounts().unissued(&key.id);
    let compromises = key.compromises.iter().map(|it| {
        let object = Object::new().number("at", it.at).text("receipt", &it.receipt).text("what", &it.what);
        object.text("session", &it.session).text("from", &it.from).end()
    });
    let overlap = key.overlap().filter(|until| *until > now);
    Object::new()
        .text("key_id", &key.id)
        .text("agent", key.agent.as_str())
        .text("state", key.state.as_str())
        .number("since", key.since)
        .number("created", key.created)
        .number("credits_remaining", left.credits)
        .raw("oldest_expiry", &time(left.oldest_expiry))
        .raw("old_secret_until", &time(overlap))
        .raw("settings", &settings)
        .array("agents", agents)
        .array("unissued", unissued.iter().map(|id| quoted(id)))
        .array("compromised", compromises)
}

fn lot(record: &LotRecord, now: Millis) -> Vec<u8> {
    let LotRecord { lot, receipt, by, .. } = record;
    Object::new()
        .number("lot", lot.number.into())
        .number("amount", lot.amount)
        .number("used", lot.used)
        .raw("granted", &time(Some(lot.granted)))
        .raw("expires", &time(Some(lot.expires)))
        .truth("expired", lot.expires <= now)
        .text("by", by)
        .text("receipt", receipt)
        .end()
}

fn time(at: Option<Millis>) -> Vec<u8> {
    at.map_or_else(|| b"null".to_vec(), |at| quoted(&when::rfc3339(at)))
}

async fn record(recorder: &Recorder, event: &str, by: &str, key: &str, words: &str) -> Result<(), Fault> {
    let recorded = recorder.control(event, by, key, words).await;
    recorded.map(drop).map_err(|error| Fault {
        kind: FaultKind::Failed,
        code: "ledger_failed",
        message: format!("it is done and in force, but could not be recorded: {error}"),
        advice: "run `doorward receipts verify`, and look at the log".into(),
    })
}

fn not_done(why: NotDone) -> Fault {
    let (kind, code) = match &why {
        NotDone::Unknown(_) => (FaultKind::NotFound, "no_such_key"),
        NotDone::Refused(_) => (FaultKind::Conflict, "refused"),
        NotDone::Store(_) => (FaultKind::Failed, "store_failed"),
    };
    Fault { kind, code, message: why.to_string(), advice: String::new() }
}

fn bad(message: String) -> Fault {
    let advice = "docs/how-to/give-agents-keys.md says what can be asked for";
    Fault { kind: FaultKind::Request, code: "bad_body", message, advice: advice.into() }
}

/// Runs `ask` on the store and the ledger of a home that no process has. What an earlier process was killed over is
/// counted first.
///
/// # Errors
/// If it could not be done.
pub fn on_the_files<T>(
    lock: &HomeLock,
    home: &Home,
    ask: impl AsyncFnOnce(&Recorder, &Store) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    ledger_key::settle(home)?;
    let key = signing_key(home)?;
    let node = key.public().name().to_owned();
    let log = Log::open(&home.log_dir(), key, Durability::Disk)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let store = Store::open(lock, Options::default())?;
        let recorder = Recorder::start(log, store.clone(), &node)?;
        let done = ask(&recorder, &store).await;
        let newest = recorder.checkpoints().borrow().clone();
        if let Some(checkpoint) = newest {
            home.remember_checkpoint(checkpoint.text())
                .context("the ledger's end could not be remembered")?;
        }
        store.close().await?;
        done
    })
}
