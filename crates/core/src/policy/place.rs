//! Where an effect leads.

use crate::action::{ActionKind, Capability, Effect, Target};
use crate::url::{Host, Url, authority};

/// What is known of the host that an effect reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// It reaches none.
    Nothing,
    /// It could be any.
    Unknown,
    /// This one, and nobody knows what for.
    Host(Host<'a>),
    /// The one of this URL.
    Url(Url<'a>),
}

impl<'a> Place<'a> {
    /// Where `effect` of an action of `kind` leads. Of a URL only the host is read, unless `urls` are asked about.
    pub fn of(kind: ActionKind, effect: &'a Effect, urls: bool) -> Self {
        let (Target::Url(text) | Target::Host(text)) = &effect.target else {
            return match kind {
                // Where a provider's own search goes is the provider's affair: no host of ours is reached. It can
                // be denied by tool and by capability.
                ActionKind::ModelRequest => Self::Nothing,
                _ if reaches_hosts(effect.capability) => Self::Unknown,
                _ => Self::Nothing,
            };
        };
        if let (Target::Url(text), true) = (&effect.target, urls)
            && let Ok(url) = Url::parse(text)
        {
            return Self::Url(url);
        }
        authority(text).map_or(Self::Unknown, |at| Self::Host(at.host))
    }

    /// The host, if it is known.
    pub const fn host(&self) -> Option<&Host<'a>> {
        match self {
            Self::Nothing | Self::Unknown => None,
            Self::Host(host) | Self::Url(Url { host, .. }) => Some(host),
        }
    }
}

const fn reaches_hosts(capability: Capability) -> bool {
    use Capability::{BrowserDownload, BrowserNavigate, NetworkFetch, NetworkPost, Unknown};
    matches!(capability, NetworkFetch | NetworkPost | BrowserNavigate | BrowserDownload | Unknown)
}
