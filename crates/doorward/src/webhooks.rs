//! What a person does to webhooks: the same whether a process runs or not.

use bytes::Bytes;
use doorward_control::{Fault, FaultKind, Object, WebhooksStatus};
use doorward_core::session::Millis;
use doorward_core::syntax::{Node, json, json::quoted};
use doorward_gateway::Recorder;
use doorward_gateway::webhooks::{Attempt, Post, check_url, message, test_event};
use doorward_store::webhooks::{Delivery, EventKind, Hook, HookNotDone, HookState, Stage, Tally, Which};
use doorward_store::{Store, StoreError};

use crate::when;

/// The most messages in one answer.
const MOST_LISTED: usize = 200;

/// The variable of other firewalls that names a webhook for decoys.
pub const ALERT_VARIABLE: &str = "ALERT_WEBHOOK_URL";

/// What is at hand.
pub struct Around<'a> {
    pub recorder: &'a Recorder,
    pub store: &'a Store,
    /// Sends; nothing does while no process runs.
    pub post: Option<&'a Post>,
    /// Who acts.
    pub by: &'a str,
    pub now: Millis,
}

/// Does what `body` asks for and returns what came of it as JSON.
///
/// # Errors
/// What keeps it from being done.
pub async fn act(around: Around<'_>, body: &[u8]) -> Result<Bytes, Fault> {
    let node = json::parse(body).map_err(|fault| bad(format!("the body is not strict JSON: {fault}")))?;
    let act = node.text("act").ok_or_else(|| bad("the body says no act".into()))?;
    let known: &[&str] = match act {
        "add" => &["url", "events", "local"],
        "pause" | "resume" | "remove" | "test" => &["webhook"],
        "rotate" => &["webhook", "overlap"],
        "deliveries" => &["webhook", "failed"],
        "redeliver" => &["webhook", "delivery"],
        _ => {
            let acts = "add, pause, resume, remove, test, rotate, deliveries or redeliver";
            return Err(bad(format!("act must be {acts}")));
        }
    };
    if let Some(unknown) = node.members().iter().find(|it| &*it.key != "act" && !known.contains(&&*it.key)) {
        let key: String = unknown.key.chars().take(40).collect();
        return Err(bad(format!("the body has a member {key:?} that this act does not take")));
    }
    let wish = Wish { act, body: &node, around };
    let done = match act {
        "add" => wish.add().await,
        "remove" => wish.remove().await,
        "test" => wish.test().await,
        "deliveries" => wish.deliveries().await,
        "redeliver" => wish.redeliver().await,
        _ => wish.change().await,
    };
    done.map(Bytes::from)
}

struct Wish<'a> {
    act: &'a str,
    body: &'a Node,
    around: Around<'a>,
}

impl Wish<'_> {
    async fn add(&self) -> Result<Vec<u8>, Fault> {
        let url = self.text("url")?.ok_or_else(|| bad("the body names no url".into()))?;
        let local = self.truth("local")?;
        check_url(url, local).map_err(bad)?;
        let hook = Hook::new(url.to_owned(), self.events()?, local, self.around.now);
        let hook = hook.map_err(|error| not_done(error.into()))?;
        let hook = self.around.store.add_webhook(hook).await.map_err(not_done)?;
        let words: Vec<&str> = hook.events.iter().map(|kind| kind.as_str()).collect();
        self.record("webhook_add", &hook, &format!("{}: {}", hook.place(), words.join(", "))).await?;
        Ok(secrets(shown(&hook, Tally::default(), self.around.now), &hook).end())
    }

    async fn change(&self) -> Result<Vec<u8>, Fault> {
        let now = self.around.now;
        let until = match self.text("overlap")? {
            None => now,
            Some(text) => when::future(text, now).map_err(bad)?,
        };
        let change = |hook: Hook| match self.act {
            "pause" if hook.state == HookState::Gone => {
                Err(HookNotDone::Refused("the webhook wants no messages, so none go there already".into()))
            }
            "pause" => Ok(hook.in_state(HookState::Paused, now)),
            "resume" => Ok(hook.in_state(HookState::Active, now)),
            _ => Ok(hook.rotated(now, until)?),
        };
        let id = self.webhook()?;
        let hook = self.around.store.change_webhook(id, change).await.map_err(not_done)?;
        let (event, words) = match self.act {
            "pause" => ("webhook_pause", String::new()),
            "resume" => ("webhook_resume", String::new()),
            _ if until > now => ("webhook_rotate", format!("the secret before signs as well until {until}")),
            _ => ("webhook_rotate", "the secret before signs no more".to_owned()),
        };
        self.record(event, &hook, &words).await?;
        let object = shown(&hook, self.tally(&hook).await?, now);
        Ok(if self.act == "rotate" { secrets(object, &hook) } else { object }.end())
    }

    async fn remove(&self) -> Result<Vec<u8>, Fault> {
        let hook = self.around.store.remove_webhook(self.webhook()?).await.map_err(not_done)?;
        self.record("webhook_remove", &hook, hook.place()).await?;
        Ok(shown(&hook, Tally::default(), self.around.now).end())
    }

    /// Sends a message now, once, whatever waits.
    async fn test(&self) -> Result<Vec<u8>, Fault> {
        let id = self.webhook()?;
        let hook = self.around.store.webhooks().hook(id);
        let hook = hook.ok_or_else(|| not_done(HookNotDone::Unknown(id.to_owned())))?;
        let post = self.around.post.ok_or_else(|| Fault {
            kind: FaultKind::Conflict,
            code: "not_running",
            message: "no process runs, so nothing is sent".into(),
            advice: "start it with `doorward run`".into(),
        })?;
        let now = self.around.now;
        let one = message(&test_event(&hook, now), &hook, now).map_err(|error| not_done(error.into()))?;
        let attempt = post.send(&hook, &one.id, &one.payload, now).await;
        let (arrived, told) = match attempt {
            Attempt::Arrived(status) => (true, format!("it answered {status}")),
            Attempt::Gone => (false, "it answered 410".to_owned()),
            Attempt::Failed { why, .. } => (false, why),
        };
        let object = Object::new().text("webhook", &hook.id).text("id", &one.id);
        Ok(object.truth("arrived", arrived).text("told", &told).end())
    }

    async fn deliveries(&self) -> Result<Vec<u8>, Fault> {
        let of = self.text("webhook")?.map(str::to_owned);
        let which = if self.truth("failed")? { Which::Failed(of) } else { Which::All(of) };
        let all =
            self.around.store.deliveries(which, MOST_LISTED).await.map_err(|error| not_done(error.into()))?;
        Ok(Object::new().array("deliveries", all.iter().map(told)).end())
    }

    async fn redeliver(&self) -> Result<Vec<u8>, Fault> {
        let (which, target) = match (self.text("delivery")?, self.text("webhook")?) {
            (Some(one), None) => (Which::One(one.to_owned()), one.to_owned()),
            (None, of) => (Which::Failed(of.map(str::to_owned)), of.unwrap_or("all that failed").to_owned()),
            (Some(_), Some(_)) => {
                return Err(bad("it is about one delivery or about a webhook, not both".into()));
            }
        };
        let one = matches!(which, Which::One(_));
        let Around { store, recorder, by, now, .. } = self.around;
        let count = store.redeliver(which, now).await.map_err(|error| not_done(error.into()))?;
        if one && count == 0 {
            return Err(Fault {
                kind: FaultKind::NotFound,
                code: "no_such_delivery",
                message: format!("there is no delivery {target}"),
                advice: "`doorward webhook deliveries` lists what is kept".into(),
            });
        }
        recorded(recorder, "webhook_redeliver", by, &target, &format!("{count} messages")).await?;
        Ok(Object::new().number("redelivered", count as u64).end())
    }

    async fn record(&self, event: &str, hook: &Hook, words: &str) -> Result<(), Fault> {
        recorded(self.around.recorder, event, self.around.by, &hook.id, words).await
    }

    async fn tally(&self, hook: &Hook) -> Result<Tally, Fault> {
        let tallies = self.around.store.delivery_tallies(vec![hook.id.to_string()]).await;
        tallies.map(|all| all.first().copied().unwrap_or_default()).map_err(|error| not_done(error.into()))
    }

    fn webhook(&self) -> Result<&str, Fault> {
        self.text("webhook")?.ok_or_else(|| bad("the body names no webhook".into()))
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Fault> {
        let Some(member) = self.body.some(name) else { return Ok(None) };
        let text = member.as_str().filter(|text| text.len() <= 4096 && !text.chars().any(char::is_control));
        text.map(Some).ok_or_else(|| bad(format!("{name} must be text without control characters")))
    }

    fn truth(&self, name: &str) -> Result<bool, Fault> {
        let said = self.body.some(name).map_or(Some(false), Node::as_bool);
        said.ok_or_else(|| bad(format!("{name} must be true or false")))
    }

    /// Which events; without a word about them all but none.
    fn events(&self) -> Result<Vec<EventKind>, Fault> {
        let Some(named) = self.body.some("events") else { return Ok(EventKind::WISHED.to_vec()) };
        let known = EventKind::WISHED.map(EventKind::as_str).join(", ");
        let mut events = Vec::new();
        for word in named.elements() {
            let word = word.as_str().unwrap_or_default();
            let kind = EventKind::wished(word);
            events.push(kind.ok_or_else(|| bad(format!("there is no event {word:?}; there are {known}")))?);
        }
        events.sort_unstable();
        events.dedup();
        if events.is_empty() { Err(bad(format!("events must name some of {known}"))) } else { Ok(events) }
    }
}

/// All webhooks, as `{"webhooks": […]}`.
///
/// # Errors
/// If they cannot be read.
pub async fn all(store: &Store, now: Millis) -> Result<Bytes, Fault> {
    let (hooks, tallies) = tallies(store).await.map_err(|error| not_done(error.into()))?;
    let hooks = hooks.iter().zip(tallies).map(|(hook, tally)| shown(hook, tally, now).end());
    Ok(Object::new().array("webhooks", hooks).end().into())
}

type Tallied = (std::sync::Arc<Vec<std::sync::Arc<Hook>>>, Vec<Tally>);

async fn tallies(store: &Store) -> Result<Tallied, StoreError> {
    let hooks = store.webhooks().all();
    let tallies = store.delivery_tallies(hooks.iter().map(|hook| hook.id.to_string()).collect()).await?;
    Ok((hooks, tallies))
}

/// How they stand, for the status.
///
/// # Errors
/// If they cannot be read.
pub async fn status(store: &Store) -> Result<WebhooksStatus, StoreError> {
    let (hooks, tallies) = tallies(store).await?;
    let gone = hooks.iter().filter(|hook| hook.state == HookState::Gone).count() as u64;
    let status = WebhooksStatus { count: hooks.len() as u64, gone, ..WebhooksStatus::default() };
    Ok(tallies.iter().fold(status, |status, tally| WebhooksStatus {
        waiting: status.waiting + tally.waiting,
        failed: status.failed + tally.failed,
        lost: status.lost + tally.lost,
        ..status
    }))
}

/// A webhook as people are told of it: never its secret.
fn shown(hook: &Hook, tally: Tally, now: Millis) -> Object {
    let overlap = hook.overlap().filter(|until| *until > now);
    Object::new()
        .text("webhook", &hook.id)
        .text("url", &hook.url)
        .text("place", hook.place())
        .array("events", hook.events.iter().map(|kind| quoted(kind.as_str())))
        .truth("local", hook.local)
        .truth("of_environment", hook.of_environment)
        .text("state", hook.state.as_str())
        .number("since", hook.since)
        .number("created", hook.created)
        .raw("old_secret_until", &time(overlap))
        .number("waiting", tally.waiting)
        .number("failed", tally.failed)
        .number("lost", tally.lost)
}

/// Both spellings of its secret, for the one answer that shows them.
fn secrets(object: Object, hook: &Hook) -> Object {
    object.text("secret", hook.secret()).text("whsec", &hook.standard_secret())
}

fn told(one: &Delivery) -> Vec<u8> {
    let payload = if json::parse(&one.payload).is_ok() { &one.payload[..] } else { b"null" };
    let next = (one.stage == Stage::Waiting).then_some(one.due);
    Object::new()
        .text("id", &one.id)
        .text("webhook", &one.hook)
        .text("type", &one.word)
        .text("stage", one.stage.as_str())
        .number("tries", u64::from(one.tries))
        .raw("created", &time(Some(one.created)))
        .raw("next", &time(next))
        .text("told", &one.told)
        .raw("payload", payload)
        .end()
}

fn time(at: Option<Millis>) -> Vec<u8> {
    at.map_or_else(|| b"null".to_vec(), |at| quoted(&when::rfc3339(at)))
}

async fn recorded(
    recorder: &Recorder,
    event: &str,
    by: &str,
    target: &str,
    words: &str,
) -> Result<(), Fault> {
    let recorded = recorder.control(event, by, target, words).await;
    recorded.map(drop).map_err(|error| Fault {
        kind: FaultKind::Failed,
        code: "ledger_failed",
        message: format!("it is done and in force, but could not be recorded: {error}"),
        advice: "run `doorward receipts verify`, and look at the log".into(),
    })
}

fn not_done(why: HookNotDone) -> Fault {
    let (kind, code) = match &why {
        HookNotDone::Unknown(_) => (FaultKind::NotFound, "no_such_webhook"),
        HookNotDone::Refused(_) => (FaultKind::Conflict, "refused"),
        HookNotDone::Store(_) => (FaultKind::Failed, "store_failed"),
    };
    Fault { kind, code, message: why.to_string(), advice: String::new() }
}

fn bad(message: String) -> Fault {
    let advice = "docs/how-to/be-told-by-webhook.md says what can be asked for";
    Fault { kind: FaultKind::Request, code: "bad_body", message, advice: advice.into() }
}

/// Lets the webhook that the environment names be one of ours: made once, moved when the variable says another URL, removed when it
/// is not there any more.
///
/// # Errors
/// In words, if its URL cannot be used or it cannot be written.
pub async fn follow_environment(store: &Store, url: Option<&str>, now: Millis) -> Result<(), String> {
    let words = |error: HookNotDone| format!("{ALERT_VARIABLE}: {error}");
    let ours = store.webhooks().all().iter().find(|hook| hook.of_environment).cloned();
    let Some(url) = url else {
        if let Some(hook) = ours {
            store.remove_webhook(&hook.id).await.map_err(words)?;
            tracing::warn!("{ALERT_VARIABLE} is not set any more: its webhook {} is removed", hook.id);
        }
        return Ok(());
    };
    check_url(url, false).map_err(|why| {
        format!("{ALERT_VARIABLE}: {why}; for a place on your own network use `doorward webhook add --local`")
    })?;
    let hook = match ours {
        Some(hook) if hook.url == url => hook,
        Some(hook) => {
            let moved = |mut hook: Hook| {
                url.clone_into(&mut hook.url);
                Ok(hook.in_state(HookState::Active, now))
            };
            store.change_webhook(&hook.id, moved).await.map_err(words)?
        }
        None => {
            let hook = Hook::new(url.to_owned(), vec![EventKind::Honeytoken], false, now);
            let mut hook = hook.map_err(|error| words(error.into()))?;
            hook.of_environment = true;
            store.add_webhook(hook).await.map_err(words)?
        }
    };
    tracing::warn!(
        "{ALERT_VARIABLE}: read as the webhook {0} for honeytoken.touched; `doorward webhook rotate {0}` shows its secret, and \
         `doorward webhook add` is the way of Doorward",
        hook.id
    );
    Ok(())
}
