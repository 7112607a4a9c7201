//! Decoys that the operator has planted: where they lie, and what they say. And honeytokens: values and domains that the operator
//! has put somewhere as bait.
//!
//! No program of the user's loads them, so whoever touches one was looking for credentials. What they say is random and known
//! by keyed hashes, as registered secrets are ([`Registered`]): it is found in every spelling that those are found in.
//!
//! A domain may be read by anybody, or nobody would take the bait. It must not be gone to, and its name must not leave.

use std::sync::Arc;

use super::secrets::registered::{Hit, Registered, Registration};
use crate::url::{Host, host_of};

/// The reason when planted content crosses.
pub const CONTENT: &str = "floor.canary-content";

/// The reason when something leads to a honeytoken's domain, or its name is on its way out.
pub const DOMAIN: &str = "floor.canary-domain";

/// The reason when a honeytoken is touched for which no more is to be done than to freeze the session.
pub const FREEZES: &str = "floor.canary-freezes";

/// The reason when a planted path is touched.
pub const PATH: &str = "floor.canary-path";

/// The most decoys there can be.
pub const MOST: usize = 256;

/// The most pieces of content that are known of one of them.
pub const MOST_PIECES: usize = 64;

/// The shortest piece of content by which a decoy is known, in bytes: a chance hit must be out of the question.
pub const SHORTEST_PIECE: usize = 16;

/// The most domains.
pub const MOST_DOMAINS: usize = 64;

/// Whether a reason of this rule says that what a decoy says has crossed, or that a honeytoken was touched.
#[must_use]
pub fn is_content(rule: &str) -> bool {
    matches!(rule, CONTENT | DOMAIN | FREEZES)
}

/// What is to be done when a honeytoken is touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Response {
    /// The session is frozen, and the key suspended that it came with.
    #[default]
    Suspend,
    /// The session is frozen.
    Freeze,
}

/// A domain that nobody has a reason to go to, with all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// What it is called in receipts.
    pub name: Arc<str>,
    /// The domain: in ASCII and small letters, at least two labels.
    pub domain: String,
    /// What is to be done.
    pub response: Response,
}

/// A domain as it is compared.
///
/// # Errors
/// In words, if it is none that can be bait.
pub fn domain(text: &str) -> Result<String, &'static str> {
    let text = text.strip_prefix("*.").unwrap_or(text);
    match host_of(text) {
        Some(Host::Name(name)) if name.contains('.') && name.len() >= 4 && name.len() <= 253 => {
            Ok(name.into_owned())
        }
        Some(Host::Name(_)) => Err("it is no domain of at least two labels, such as trap.example.com"),
        Some(Host::Ip(_)) => Err("it is an address and no domain"),
        None => Err("it is no name of a host"),
    }
}

/// How a domain is told.
pub(crate) fn domain_told(domain: &Domain) -> String {
    format!("the honeytoken domain `{}`", domain.name)
}

/// Where a decoy lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// An absolute path.
    pub path: String,
    /// What the decoy is called in receipts.
    pub name: Arc<str>,
}

/// The decoys that are planted.
#[derive(Clone, Debug, Default)]
pub struct Canaries {
    places: Vec<Place>,
    contents: Registered,
    suspending: Registered,
    freezing: Registered,
    domains: Vec<Domain>,
    /// The domains as encodings write them.
    encoded: Registered,
}

impl Canaries {
    /// None yet. `key` is what their content was hashed with.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self {
            places: Vec::new(),
            contents: Registered::new(key),
            suspending: Registered::new(key),
            freezing: Registered::new(key),
            domains: Vec::new(),
            encoded: Registered::new(key),
        }
    }

    /// Adds a honeytoken by what was kept of its value.
    pub fn add_value(&mut self, name: &str, value: Registration, response: Response) {
        match response {
            Response::Suspend => self.suspending.add(name, value),
            Response::Freeze => self.freezing.add(name, value),
        }
    }

    /// Adds a domain, which is as [`domain`] gives it.
    pub fn add_domain(&mut self, domain: Domain) {
        if let Some(encoded) = self.encoded.encoded(&domain.domain) {
            self.encoded.add(&domain.name, encoded);
        }
        self.domains.push(domain);
    }

    /// The honeytokens' values for which this is to be done.
    pub(crate) const fn values(&self, response: Response) -> &Registered {
        match response {
            Response::Suspend => &self.suspending,
            Response::Freeze => &self.freezing,
        }
    }

    /// The domains.
    #[must_use]
    pub fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// The domain that a host is, or lies below.
    #[must_use]
    pub fn domain_of(&self, host: &Host<'_>) -> Option<&Domain> {
        let Host::Name(name) = host else { return None };
        self.domains.iter().find(|own| {
            let rest = name.strip_suffix(own.domain.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }

    /// The first domain that stands encoded in `text`, and where.
    pub(crate) fn encoded_domain(&self, text: &str) -> Option<(&Domain, Hit)> {
        let hit = self.encoded.find(text)?;
        Some((self.domains.iter().find(|own| own.name == hit.name)?, hit))
    }

    /// Adds the decoy `name`, which lies at `paths` (one file, in several spellings) and says `pieces`.
    pub fn add(
        &mut self,
        name: &str,
        paths: impl IntoIterator<Item = String>,
        pieces: impl IntoIterator<Item = Registration>,
    ) {
        let name: Arc<str> = name.into();
        for path in paths {
            self.places.push(Place { path, name: Arc::clone(&name) });
        }
        for piece in pieces {
            self.contents.add(&name, piece);
        }
    }

    /// Where they lie.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// What they say.
    pub(crate) const fn contents(&self) -> &Registered {
        &self.contents
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty() && self.domains.is_empty() && self.hashed().all(Registered::is_empty)
    }

    fn hashed(&self) -> impl Iterator<Item = &Registered> {
        [&self.contents, &self.suspending, &self.freezing].into_iter()
    }

    /// What tells this set from others.
    pub(crate) fn fingerprint(&self) -> String {
        let mut text: String =
            self.places.iter().map(|place| format!("{} {}\n", place.name, place.path)).collect();
        for own in &self.domains {
            text.push_str(&format!("{} {} {:?}\n", own.name, own.domain, own.response));
        }
        for hashed in self.hashed() {
            text.push_str(&hashed.fingerprint());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::request::{Body, Header, Request};
    use crate::action::{Action, Door, PartKind, alone};
    use crate::detect::rules::RuleSet;
    use crate::detect::secrets::Secrets;

    fn bait(response: Response) -> RuleSet {
        let mut canaries = Canaries::new(&[7; 32]);
        let name = "wiki".into();
        canaries.add_domain(Domain { name, domain: domain("Trap.Example").unwrap(), response });
        let kept = Registered::new(&[7; 32]).registration("bait-value-0123456789").unwrap();
        canaries.add_value("key", kept, response);
        RuleSet::with(&[], Some(Secrets::shipped().with_canaries(canaries))).unwrap()
    }

    fn request(url: &str, header: &str, body: &str) -> Action {
        let headers = vec![Header { name: "x-note".into(), value: header.as_bytes().into() }];
        let body = Body::Whole(body.to_owned().into());
        Action { door: Door::Egress, ..alone::request(Request::new("POST", url, headers, body)) }
    }

    fn rules(set: &RuleSet, action: &Action) -> Vec<String> {
        let (found, _) =
            set.findings(action, &[], &[], (&|_| false, &|_| false), &crate::pace::Pace::whole());
        let all = found.into_iter().chain(set.request_findings(action).0);
        all.map(|finding| finding.rule).filter(|rule| is_content(rule)).collect()
    }

    const PLAIN: &str = "https://site.example/x";

    #[test]
    fn the_name_of_a_domain_is_found_wherever_it_leaves() {
        let set = bait(Response::Suspend);
        let base64 = "see dXNlcjpwYXNzQHRyYXAuZXhhbXBsZS9hYg== there";
        for (url, header, body) in [
            ("https://trap.example/", "", ""),
            ("https://a.b.TRAP.example:8443/", "", ""),
            ("https://site.example/trap.example/x", "", ""),
            ("https://site.example/x?u=https%3A%2F%2F%74rap.example%2F", "", ""),
            (PLAIN, "to a.trap.example.", ""),
            (PLAIN, "", "see trap.example, there"),
            (PLAIN, "", "{\"a\":\"tr\\u0061p.example\"}"),
            (PLAIN, "", base64),
            (PLAIN, "", "747261702e6578616d706c65"),
        ] {
            let found = rules(&set, &request(url, header, body));
            assert!(found.iter().any(|rule| rule == DOMAIN), "{url} {header} {body}: {found:?}");
        }
        for (url, header, body) in [
            ("https://nottrap.example/", "", ""),
            ("https://trap.example.org/", "the trap, example", "a trap-example"),
            (PLAIN, "trap-example", "my-trap.example-site and x_trap.example"),
        ] {
            assert_eq!(rules(&set, &request(url, header, body)), [""; 0], "{url}");
        }
    }

    /// It was put there to be read.
    #[test]
    fn where_a_domain_only_stands_it_is_bait() {
        let set = bait(Response::Suspend);
        for kind in [PartKind::ToolResult, PartKind::UserText, PartKind::Arguments, PartKind::Command] {
            assert!(set.text_findings(kind, "go to https://trap.example/login").is_empty(), "{kind:?}");
        }
        assert_eq!(set.text_findings(PartKind::Outbound, "trap.example").len(), 1);
        assert_eq!(set.text_findings(PartKind::ToolResult, "is bait-value-0123456789")[0].rule, CONTENT);
    }

    #[test]
    fn what_is_to_be_done_is_told_by_the_rule() {
        let set = bait(Response::Freeze);
        assert_eq!(rules(&set, &request("https://trap.example/", "", "")), [FREEZES]);
        assert_eq!(rules(&set, &request(PLAIN, "bait-value-0123456789", "")), [FREEZES]);
        let set = bait(Response::Suspend);
        assert_eq!(rules(&set, &request(PLAIN, "", "987654321 9876543210-eulav-tiab")), [CONTENT]);
    }

    #[test]
    fn what_can_be_bait() {
        assert_eq!(domain("*.Trap.Example.").as_deref(), Ok("trap.example"));
        assert_eq!(domain("bücher.example").as_deref(), Ok("xn--bcher-kva.example"));
        for bad in ["", "com", "10.0.0.1", "[::1]", "a b.example", "https://trap.example"] {
            assert!(domain(bad).is_err(), "{bad}");
        }
    }
}
