//! The words around a value that make it a credential, or say that it is none.

use std::ops::Range;

/// How much a word before a value says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// A service's name: what is given for it may be its credential, if it looks like one.
    Service,
    /// `key`, `access`, `private`: many things that are no secret are called that too.
    Weak,
    /// `token`, `secret`, `api_key`.
    Strong,
    /// `password`: the value need not look like anything.
    Password,
}

/// Words, and whether they may be the end of a longer word in the same case (`ACCESSTOKEN`, `dbpassword`).
pub(super) const WORDS: [(&str, Class, bool); 62] = [
    ("password", Class::Password, true),
    ("passwd", Class::Password, true),
    ("passphrase", Class::Password, true),
    ("passcode", Class::Password, true),
    ("passwort", Class::Password, true),
    ("mot_de_passe", Class::Password, true),
    ("mot de passe", Class::Password, false),
    ("kennwort", Class::Password, false),
    ("contraseña", Class::Password, false),
    ("senha", Class::Password, false),
    ("wachtwoord", Class::Password, false),
    ("lösenord", Class::Password, false),
    ("hasło", Class::Password, false),
    ("heslo", Class::Password, false),
    ("jelszó", Class::Password, false),
    ("şifre", Class::Password, false),
    ("пароль", Class::Password, false),
    ("Пароль", Class::Password, false),
    ("密码", Class::Password, true),
    ("密碼", Class::Password, true),
    ("口令", Class::Password, true),
    ("パスワード", Class::Password, true),
    ("비밀번호", Class::Password, true),
    ("गुप्तशब्द", Class::Password, true),
    ("sshpass", Class::Password, false),
    ("psk", Class::Strong, false),
    ("pwd", Class::Password, true),
    ("pass", Class::Password, false),
    ("token", Class::Strong, true),
    ("secret", Class::Strong, true),
    ("apikey", Class::Strong, true),
    ("api_key", Class::Strong, true),
    ("api-key", Class::Strong, true),
    ("api key", Class::Strong, true),
    ("accesskey", Class::Strong, true),
    ("access_key", Class::Strong, true),
    ("access-key", Class::Strong, true),
    ("access key", Class::Strong, true),
    ("secretkey", Class::Strong, true),
    ("authkey", Class::Strong, true),
    ("auth_key", Class::Strong, true),
    ("auth-key", Class::Strong, true),
    ("private_key", Class::Strong, true),
    ("privatekey", Class::Strong, true),
    ("account_key", Class::Strong, true),
    ("accountkey", Class::Strong, true),
    ("credential", Class::Strong, true),
    ("bearer", Class::Strong, false),
    ("authorization", Class::Strong, false),
    ("sessionid", Class::Strong, true),
    ("session_id", Class::Strong, true),
    ("jsessionid", Class::Strong, false),
    ("phpsessid", Class::Strong, false),
    ("connect.sid", Class::Strong, false),
    ("pat", Class::Strong, false),
    ("consumer", Class::Weak, false),
    ("auth", Class::Weak, false),
    ("access", Class::Weak, false),
    ("private", Class::Weak, false),
    ("api", Class::Weak, false),
    ("key", Class::Weak, false),
    ("license", Class::Weak, false),
];

/// What stands between a word and its value without being the value: `token is …`, `String token = …`,
/// `Authorization: Bearer …`.
pub(super) fn is_link(word: &str) -> bool {
    const LINKS: [&str; 64] = [
        "is",
        "ist",
        "est",
        "are",
        "was",
        "be",
        "value",
        "val",
        "string",
        "str",
        "const",
        "char",
        "var",
        "let",
        "auto",
        "text",
        "key",
        "keys",
        "token",
        "tokens",
        "secret",
        "secrets",
        "private",
        "access",
        "api",
        "apikey",
        "default",
        "the",
        "for",
        "to",
        "of",
        "credential",
        "credentials",
        "cred",
        "creds",
        "bearer",
        "basic",
        "ssws",
        "id",
        "aqaaabaaa",
        "std",
        "bytes",
        "b",
        "r",
        "f",
        "u",
        "x",
        "code",
        "pass",
        "password",
        "auth",
        "authorization",
        "here",
        "my",
        "app",
        "client",
        "user",
        "admin",
        "live",
        "prod",
        "production",
        "authtoken",
        "as",
        "with",
    ];
    word.len() <= 13 && LINKS.iter().any(|link| link.eq_ignore_ascii_case(word))
}

/// Last words of a name that say that its value is about a secret and is none: `token_id`, `PRIVATE_KEY_PATH`.
pub(super) fn is_about(word: &str) -> bool {
    const ABOUT: [&str; 88] = [
        "id",
        "ids",
        "name",
        "names",
        "path",
        "paths",
        "file",
        "files",
        "filename",
        "dir",
        "directory",
        "url",
        "urls",
        "uri",
        "uris",
        "hash",
        "hashes",
        "digest",
        "count",
        "counts",
        "length",
        "len",
        "size",
        "type",
        "types",
        "ttl",
        "expiry",
        "expires",
        "expiration",
        "expired",
        "endpoint",
        "endpoints",
        "limit",
        "limits",
        "policy",
        "version",
        "index",
        "label",
        "title",
        "description",
        "hint",
        "prefix",
        "suffix",
        "regex",
        "pattern",
        "format",
        "field",
        "fields",
        "column",
        "header",
        "param",
        "params",
        "parameter",
        "ref",
        "arn",
        "manager",
        "provider",
        "store",
        "bucket",
        "config",
        "configuration",
        "options",
        "settings",
        "service",
        "class",
        "status",
        "state",
        "error",
        "message",
        "usage",
        "kind",
        "algorithm",
        "alg",
        "scope",
        "scopes",
        "issuer",
        "audience",
        "fingerprint",
        "checksum",
        "at",
        "date",
        "time",
        "timestamp",
        "in",
        "out",
        "input",
        "cost",
        "budget",
    ];
    ABOUT.iter().any(|about| about.eq_ignore_ascii_case(word))
}

/// Words in a name that say that its value is no secret: `nextPageToken`, `public_key`, `cache_key`, `fakeToken`.
pub(super) fn is_harmless(word: &str) -> bool {
    const HARMLESS: [&str; 61] = [
        "next",
        "page",
        "paging",
        "pagination",
        "continuation",
        "cursor",
        "cancel",
        "cancellation",
        "cancelation",
        "resume",
        "sync",
        "watch",
        "public",
        "pub",
        "cache",
        "caching",
        "primary",
        "foreign",
        "sort",
        "partition",
        "idempotency",
        "idempotent",
        "dedup",
        "row",
        "object",
        "hash",
        "index",
        "shard",
        "routing",
        "map",
        "translation",
        "i18n",
        "locale",
        "message",
        "lookup",
        "group",
        "unique",
        "max",
        "min",
        "num",
        "non",
        "nonmatching",
        "not",
        "invalid",
        "fake",
        "dummy",
        "mock",
        "sample",
        "placeholder",
        "bos",
        "eos",
        "pad",
        "unk",
        "mask",
        "csrf",
        "xsrf",
        "nonce",
        "design",
        "host",
        "known",
        "hot",
    ];
    HARMLESS.iter().any(|harmless| harmless.eq_ignore_ascii_case(word))
}

/// Words before `key` or `token` in prose that say that it is no secret.
pub(super) fn is_of_another_kind(word: &str) -> bool {
    const KINDS: [&str; 12] = [
        "public",
        "pub",
        "primary",
        "foreign",
        "sort",
        "partition",
        "cache",
        "file",
        "object",
        "answer",
        "row",
        "verifying",
    ];
    KINDS.iter().any(|kind| kind.eq_ignore_ascii_case(word))
}

/// Last words of a service's name that leave its value a credential: `sentry_token`, not `sentry_release`.
pub(super) fn is_credential(word: &str) -> bool {
    const CREDENTIALS: [&str; 24] = [
        "key",
        "keys",
        "apikey",
        "token",
        "tokens",
        "secret",
        "secrets",
        "access",
        "private",
        "pass",
        "password",
        "pwd",
        "api",
        "auth",
        "credential",
        "credentials",
        "creds",
        "pat",
        "bearer",
        "login",
        "license",
        "co",
        "io",
        "com",
    ];
    let lower = word.to_ascii_lowercase();
    CREDENTIALS.contains(&lower.as_str())
        || ["key", "token", "secret", "password", "pwd"].iter().any(|end| lower.ends_with(end))
}

/// The words of a name: split at everything that is no letter or digit, and where the case changes.
pub(super) fn split(name: &str) -> impl Iterator<Item = &str> {
    places(name).filter_map(|place| name.get(place))
}

/// Where they stand.
pub(super) fn places(name: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = name.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while bytes.get(at).is_some_and(|byte| !byte.is_ascii_alphanumeric()) {
            at += 1;
        }
        let start = at;
        while let Some(byte) = bytes.get(at)
            && byte.is_ascii_alphanumeric()
        {
            let (before, after) = (at.checked_sub(1).and_then(|at| bytes.get(at)), bytes.get(at + 1));
            let lower = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_lowercase);
            let new = byte.is_ascii_uppercase()
                && (lower(before) || lower(after) && before.is_some_and(u8::is_ascii_uppercase));
            if at > start && new {
                break;
            }
            at += 1;
        }
        (start < at).then_some(start..at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_where_people_see_words() {
        let words = |name| split(name).collect::<Vec<_>>();
        assert_eq!(words("nextPageToken"), ["next", "Page", "Token"]);
        assert_eq!(words("PRIVATE_KEY_PATH"), ["PRIVATE", "KEY", "PATH"]);
        assert_eq!(words("AWSSecretKey-2"), ["AWS", "Secret", "Key", "2"]);
        assert_eq!(words("--"), [] as [&str; 0]);
    }
}
