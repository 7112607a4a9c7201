//! Whether a value looks like a credential: made by a generator or typed by a person, and no placeholder, no
//! reference to something else, no hash and no name.

use super::link::Link;
use super::noise::noise;
use super::words::{self, Class};

/// Bits per character above which a text was made by a generator rather than written ([`noise`]).
const LOUD: f32 = 4.3;

/// The same for words of a password and for digits with words.
const UNQUIET: f32 = 3.7;

/// Whether the value of `link`, given for a word of `class` at the end of its name, is a credential.
pub(super) fn is_credential(link: &Link<'_>, class: Class) -> bool {
    let value = link.value;
    // `--password x` is an assignment, too.
    let given = link.direct || link.name.starts_with("--");
    let looks = match class {
        Class::Password if given => is_password(value, link.quoted),
        Class::Password => is_told(link) || is_loose(link, class),
        _ if !given => is_loose(link, class),
        _ => is_given(link, class),
    };
    // A person may choose words for a password; a generator does not for a key.
    let of_code =
        if class == Class::Password { !link.quoted && is_called(value) } else { is_identifier(value) };
    looks && !of_code && !is_reference(value) && !is_placeholder(value) && !names_something_else(link, class)
}

/// The value of an assignment.
fn is_given(link: &Link<'_>, class: Class) -> bool {
    let value = link.value;
    let several = words::split(link.name).nth(1).is_some();
    match Form::of(value) {
        Form::Uuid | Form::Hash => class >= Class::Strong || class == Class::Service || several,
        Form::Digits if class >= Class::Strong => value.len() >= 15,
        Form::Digits => value.len() >= if class == Class::Service { 15 } else { 24 } && !is_time(value),
        Form::Hex => class != Class::Weak && value.len() >= 10 || value.len() >= 20,
        Form::Token => {
            let least = match class {
                Class::Strong | Class::Password => 8,
                Class::Weak if several => 12,
                Class::Weak | Class::Service => 16,
            };
            value.len() >= least && is_random(value, if value.len() < 16 { LOUD + 0.2 } else { LOUD })
        }
        Form::Phrase => class >= Class::Strong && link.quoted && value.len() >= 20 && is_random(value, 5.0),
    }
}

/// `my password is …`: what follows may be any word, so it must be noisy, or in quotes.
fn is_told(link: &Link<'_>) -> bool {
    let value = link.value.trim_end_matches(['.', ',', '!', '?', ';', ':', ')']);
    link.said
        && value.len() >= 6
        && is_password(value, link.quoted)
        && (link.quoted || has_digit(value) && noise(value) >= LOUD)
}

/// The value behind a word with nothing but spaces between: it must speak for itself.
fn is_loose(link: &Link<'_>, class: Class) -> bool {
    let value = link.value;
    match Form::of(value) {
        Form::Uuid => class >= Class::Strong || class == Class::Service,
        Form::Hash | Form::Hex => value.len() >= if class == Class::Weak { 28 } else { 16 },
        Form::Digits => class != Class::Weak && value.len() >= 20,
        Form::Token => {
            let letters = class >= Class::Strong && value.len() >= 20 && noise(value) >= LOUD + 0.7;
            value.len() >= if link.quoted { 12 } else { 14 }
                && (has_digit(value) && is_random(value, LOUD) || letters && is_random(value, LOUD))
        }
        Form::Phrase => false,
    }
}

/// What a value is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Uuid,
    /// Hexadecimal digits, as many as a hash has: 32, 40, 56, 64, 96, 128.
    Hash,
    /// Other hexadecimal digits, letters among them.
    Hex,
    Digits,
    /// No spaces.
    Token,
    Phrase,
}

impl Form {
    fn of(value: &str) -> Self {
        let all = |test: fn(&u8) -> bool| value.as_bytes().iter().all(test);
        if is_uuid(value) {
            Self::Uuid
        } else if all(u8::is_ascii_digit) {
            Self::Digits
        } else if value.len() >= 8 && all(u8::is_ascii_hexdigit) && has_digit(value) {
            if matches!(value.len(), 32 | 40 | 56 | 64 | 96 | 128) { Self::Hash } else { Self::Hex }
        } else if value.contains([' ', '\t']) {
            Self::Phrase
        } else {
            Self::Token
        }
    }
}

/// 8-4-4-4-12 letters and digits: mangled ones count too.
pub(super) fn is_uuid(value: &str) -> bool {
    let lengths = [8usize, 4, 4, 4, 12];
    let mut parts = value.split('-');
    let fits = lengths.iter().all(|length| {
        parts
            .next()
            .is_some_and(|part| part.len() == *length && part.bytes().all(|b| b.is_ascii_alphanumeric()))
    });
    fits && parts.next().is_none() && has_digit(value)
}

fn has_digit(value: &str) -> bool {
    value.bytes().any(|byte| byte.is_ascii_digit())
}

/// Bits per character below which a run of letters may be a word or the abbreviation of one.
const OF_WORDS: f32 = 5.6;

/// Whether a value is a name in somebody's code, or a call of one: `EVP_PKEY_get0_EC_KEY(pkey`, `azureApiKey`,
/// `Uint8Array`. Such are loud by their capitals, digits and abbreviations; but most of their letters stand in runs that
/// could be words, which are short in what a generator made.
fn is_identifier(value: &str) -> bool {
    let bare = value.trim_start_matches(['*', '&', '_', '$', '#', '.']);
    let bare = bare.trim_end_matches('*');
    let head = bare.split(['(', '[', '{', '<', '?']).next().unwrap_or(bare);
    // A generator that uses brackets uses these as well.
    if bare.get(head.len()..).unwrap_or_default().contains(['!', '@', '#', '%', '^', '~', '$', ';']) {
        return false;
    }
    let head = head.trim_end_matches([':', '.', '=', '_']);
    let plain = head.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:$-".contains(&b));
    if !plain || head.len() < 3 || !head.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return false;
    }
    if is_constant(head) {
        return true;
    }
    let (mut letters, mut digits, mut of_words) = (0, 0, 0);
    for run in runs(head) {
        if run.starts_with(|c: char| c.is_ascii_digit()) {
            digits += run.len();
            continue;
        }
        letters += run.len();
        let could_be = run.len() >= 3 && noise(&run.to_ascii_lowercase()) < OF_WORDS;
        of_words += if could_be { run.len() } else { 0 };
    }
    // A call may abbreviate as it likes: what a generator makes has no brackets.
    let called =
        head.len() < bare.len() && bare.get(head.len()..).is_some_and(|rest| rest.starts_with(['(', '[']));
    digits * 2 <= letters && if called { of_words * 3 >= letters } else { of_words * 3 >= letters * 2 }
}

/// Whether a name is one of a constant: `XSLT_PAT_NO_PRIORITY`, short runs of capitals with underscores between.
fn is_constant(name: &str) -> bool {
    let capitals = |part: &str| part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let short = |part: &str| {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        !part.is_empty() && part.len() <= 12 && capitals(part) && (digits <= 3 || digits == part.len())
    };
    name.contains('_') && name.split('_').all(short)
}

/// Whether a value is a call: `xstrdup(v`.
fn is_called(value: &str) -> bool {
    value.split_once('(').is_some_and(|(name, _)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:$".contains(&b))
            && (name.contains(['_', '.']) || !has_digit(name))
    })
}

/// The runs of letters and digits of a name: `getKey2x` is `get`, `Key`, `2` and `x`, `HTTPKey` is `HTTP` and `Key`.
fn runs(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = name;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let bytes = rest.as_bytes();
        let first = bytes.first()?;
        let at_least = |test: fn(&u8) -> bool| bytes.iter().take_while(|byte| test(byte)).count();
        let upper = at_least(u8::is_ascii_uppercase);
        let lower =
            |from: usize| from + bytes.iter().skip(from).take_while(|byte| byte.is_ascii_lowercase()).count();
        let length = match first {
            b'0'..=b'9' => at_least(u8::is_ascii_digit),
            b'a'..=b'z' => lower(0),
            // `Keys`, but `HTTP` of `HTTPKey`.
            _ if upper == 1 || lower(upper) == upper => lower(upper).max(upper),
            _ => upper - 1,
        };
        let (run, behind) = rest.split_at_checked(length.max(1))?;
        rest = behind;
        Some(run)
    })
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, of this century.
pub(super) fn is_time(digits: &str) -> bool {
    matches!(digits.len(), 10 | 13 | 16 | 19) && digits.starts_with(['1', '2'])
}

/// Whether a value was made by a generator: noisy, or of many kinds of characters in turns.
pub(super) fn is_random(value: &str, threshold: f32) -> bool {
    let loud = noise(value);
    // A long text of words with a few digits in it stays quiet; one long run of noise in it does not.
    let longest =
        value.split(['_', '-', '.', '/', ':', ' ']).max_by_key(|part| part.len()).unwrap_or_default();
    let part = if longest.len() >= 12 { noise(longest) } else { 0.0 };
    loud.max(part) >= threshold && distinct(value) >= 6.min(value.len() / 2)
}

fn distinct(value: &str) -> usize {
    let mut seen = [false; 256];
    for byte in value.bytes() {
        if let Some(slot) = seen.get_mut(usize::from(byte)) {
            *slot = true;
        }
    }
    seen.iter().filter(|seen| **seen).count()
}

/// What a person would type as a password: anything but plain words, types and code.
fn is_password(value: &str, quoted: bool) -> bool {
    let length = value.chars().count();
    if !(5..=128).contains(&length) || Form::of(value) == Form::Phrase && !(quoted && has_digit(value)) {
        return false;
    }
    // `password: string`, `getpass()`, `user.password`, `password=PASSWORD`.
    let code =
        value.contains("()") || value.ends_with(['(', ';']) || value.contains("::") || value.contains("->");
    let dotted = !has_digit(value) && value.split('.').count() > 1 && value.split('.').all(is_word);
    if code || dotted {
        return false;
    }
    let symbol = value.bytes().any(|b| b.is_ascii_punctuation() && !matches!(b, b'_' | b'-' | b'.' | b'/'));
    let digit = has_digit(value);
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        return quoted && length >= 6;
    }
    // `1.2.1`, `^4.0.0`
    if value.bytes().all(|byte| byte.is_ascii_digit() || b".^~".contains(&byte)) {
        return false;
    }
    digit && noise(value) >= 2.5 && !(value.ends_with("()"))
        || symbol && noise(value) >= UNQUIET
        || noise(value) >= LOUD
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
}

/// `$TOKEN`, `${{ secrets.X }}`, `<token>`, `process.env.X`, a path, a call, an address: the value is elsewhere.
fn is_reference(value: &str) -> bool {
    const BEGINNINGS: [&str; 34] = [
        "${",
        "$(",
        "{{",
        "%{",
        "#{",
        "<",
        "[",
        "...",
        "***",
        "•",
        "process.env",
        "os.environ",
        "os.getenv",
        "env.",
        "ENV[",
        "secrets.",
        "vault:",
        "op://",
        "arn:",
        "/",
        "./",
        "../",
        "~/",
        "C:\\",
        "http://",
        "https://",
        "file:",
        "ssm:",
        "keyring:",
        "sha256-",
        "sha384-",
        "sha512-",
        "sha1-",
        "data:",
    ];
    if BEGINNINGS.iter().any(|beginning| value.starts_with(beginning)) {
        return true;
    }
    // `$TOKEN` and `%TOKEN%`, but not `$2y$…` or a password that begins with a dollar.
    let name = |rest: &str| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.[]'".contains(&b))
    };
    let variable = value
        .strip_prefix('$')
        .is_some_and(|rest| name(rest) && !rest.starts_with(|c: char| c.is_ascii_digit()))
        || value.strip_prefix('%').and_then(|rest| rest.strip_suffix(['%', 's'])).is_some_and(name);
    if variable && noise(value) < LOUD + 0.5 {
        return true;
    }
    // A call or an index: `get_token(x`, `tokens[0]`, `sha256:…`, `h1:…=`.
    let called = value.find(['(', '[']).is_some_and(|at| {
        value.get(..at).is_some_and(|head| {
            !head.is_empty()
                && noise(head) < LOUD
                && head.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:".contains(&b))
        })
    });
    // The text of a link in Markdown, and what comes behind it.
    let link = value.find("](").is_some_and(|at| noise(value.get(..at).unwrap_or_default()) < LOUD + 0.7);
    // `Bearer ${token}`
    let filled_in = value.split_once("${").is_some_and(|(before, rest)| {
        rest.split_once('}').is_some_and(|(_, after)| before.len() + after.len() < 8)
    });
    called
        || link
        || filled_in
        || value.starts_with("h1:")
        || value.starts_with("sha256:")
        || value.starts_with("md5:")
        || value.starts_with("sha1:")
}

/// How much of a value is searched for words that say it is none, in bytes.
const HEAD: usize = 192;

/// Words that stand where a secret should be put.
const STAND_INS: [&str; 46] = [
    "example",
    "your",
    "change",
    "replace",
    "placeholder",
    "redacted",
    "insert",
    "dummy",
    "sample",
    "todo",
    "fixme",
    "xxxx",
    "....",
    "****",
    "----",
    "____",
    "<",
    "foobar",
    "lorem",
    "secret_here",
    "token_here",
    "key_here",
    "goes_here",
    "goes-here",
    "put_",
    "enter_",
    "fill_",
    "my-secret",
    "my_secret",
    "mysecret",
    "mypassword",
    "mytoken",
    "secretkey",
    "password",
    "passw0rd",
    "undefined",
    "null",
    "none",
    "string",
    "abcdef123",
    "1234567890",
    "0123456789",
    "notreal",
    "not-real",
    "deadbeef",
    "test_test",
];

/// Whether it stands in for a secret: it says so, it repeats itself, or it counts.
pub(super) fn is_placeholder(value: &str) -> bool {
    let head = value.get(..HEAD).unwrap_or(value);
    let lower = head.to_ascii_lowercase();
    let stand_in = STAND_INS.iter().filter(|word| lower.contains(*word)).map(|word| word.len()).max();
    // A short word by chance in a long random text is no placeholder: it must be a good part of it.
    let says_so = ["example", "placeholder", "redacted"].iter().any(|word| lower.contains(word));
    // `sk_test_xxx`
    let crossed_out = lower.ends_with("xxx") && noise(lower.trim_end_matches('x')) < LOUD;
    if says_so
        || crossed_out
        || stand_in.is_some_and(|length| length * 4 >= value.len() || noise(value) < LOUD)
    {
        return true;
    }
    let bytes = lower.as_bytes();
    if bytes.len() < 6 {
        return false;
    }
    let steps = |by: usize, test: fn(u8, u8) -> bool| {
        bytes.iter().zip(bytes.iter().skip(by)).filter(|(a, b)| test(**a, **b)).count()
    };
    let same = steps(1, |a, b| a == b);
    let next = steps(1, |a, b| b == a.wrapping_add(1));
    let woven = steps(2, |a, b| b == a.wrapping_add(1));
    let most = bytes.len() - 1;
    same * 5 >= most * 3 || next * 5 >= most * 3 || woven * 5 >= most * 4 || distinct(&lower) <= 3
}

/// Whether a run of characters is worth a look for a service's name before it.
pub(super) fn may_be_of_service(token: &str) -> bool {
    token.len() <= 512 && has_digit(token)
}

/// Whether the name says that the value is about a secret, or of another kind.
fn names_something_else(link: &Link<'_>, class: Class) -> bool {
    // A long name without words is the middle of something encoded.
    if link.name.len() > 24 && noise(link.name) >= LOUD + 0.4 || link.name.len() > 100 {
        return true;
    }
    if words::split(link.tail).last().is_some_and(words::is_about) {
        return true;
    }
    if words::split(link.tail)
        .last()
        .is_some_and(|last| class == Class::Service && !words::is_credential(last))
    {
        return true;
    }
    class != Class::Password && words::split(link.name).any(words::is_harmless)
}

/// Whether what stands where a password stands is one.
pub(super) fn is_typed(password: &str) -> bool {
    !is_reference(password) && !is_placeholder(password) && is_password(password, false)
}

/// Whether the part of a token behind its mark could be real.
pub(super) fn is_body(body: &str) -> bool {
    if is_placeholder(body) {
        return false;
    }
    body.len() < 10
        || distinct(body) >= 5 && (noise(body) >= UNQUIET || has_digit(body) && noise(body) >= 3.2)
}

/// Whether what stands behind the line that announces a key could be one. It is not asked whether it looks random: keys begin
/// with what they are, alike for all of a kind.
pub(super) fn is_armoured(body: &str) -> bool {
    let lower = body.to_ascii_lowercase();
    distinct(body) >= 8 && !["example", "placeholder", "redacted"].iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_known_and_keys_are_not_taken_for_them() {
        for stand_in in [
            "xxxxxxxxxxxxxxxx",
            "your-api-key-here",
            "changeme123",
            "<token>",
            "EXAMPLE_TOKEN_123",
            "0000000000000000",
            "abcdefghijklmnop",
            "sk_test_xxx",
            "a1b2c3d4e5f6g7h8",
            "123456789012",
            "REDACTED",
        ] {
            assert!(is_placeholder(stand_in), "{stand_in}");
        }
        for real in ["t0pS3cretPw", "9f8Q2mZx7LpW4sKd1VbN", "wfenmo-vqjyrdju", "hunter2!"] {
            assert!(!is_placeholder(real), "{real}");
        }
    }

    #[test]
    fn references_are_not_values() {
        for reference in [
            "$TOKEN",
            "${TOKEN}",
            "{{ token }}",
            "%TOKEN%",
            "process.env.TOKEN",
            "/run/secrets/token",
            "get_token(x",
            "os.environ['T']",
            "https://x.test",
            "sha512-abc",
            "tokens[0]",
        ] {
            assert!(is_reference(reference), "{reference}");
        }
        for value in ["$2y$10$abc", "p$ssw0rd", "a/b+c==", "$k3Jx9QbT0vLz"] {
            assert!(!is_reference(value), "{value}");
        }
    }

    #[test]
    fn names_of_code_are_no_keys_and_keys_are_no_names() {
        for name in [
            "azure_cred",
            "DefaultAzureCredential(",
            "EVP_AES_HMAC_SHA256",
            "Uint8Array",
            "*pmbtoken_exp1_blind(CBB",
            "xsltInitCtxtKeys",
            "X509_get0_pubkey_bitstr(data",
            "PKCS5_PBKDF2_HMAC(",
            "super::Security::Cryptography::NCRYPT_KEY_HANDLE",
            "z2.number().nullish(",
            "options?.maxQueueSize",
            "randomUUID(",
        ] {
            assert!(is_identifier(name), "{name}");
        }
        for key in [
            "k3Jx9QbT0vLz",
            "9f8Q2mZx7LpW4sKd1VbN",
            "wfenmo-vqjyrdju",
            "kjfch2345sdf",
            "sesn_011CZkZAtmR3yMPDzynEDxu7",
            "Z92NHFQ70G",
            "qzxvkjwpgh",
            "pK7mQ2vX9sL4tR8wZ1nB5cY3hJ6dF0gA2eU7",
            "key_9f8Q2mZx7LpW4sKd1VbN",
            "AbCdXyZwQrTsUvKkPm",
        ] {
            assert!(!is_identifier(key), "{key}");
        }
        assert_eq!(runs("getHTTPKey2x_yZ").collect::<Vec<_>>(), ["get", "HTTP", "Key", "2", "x", "y", "Z"]);
        assert!(is_called("xstrdup(v") && is_called("utils.get(x") && !is_called("Tr0ub4(dor"));
    }

    #[test]
    fn passwords_are_not_words_types_or_code() {
        for password in ["hunter2!", "t0pS3cretPw", "lkkjczazx", "Winter2024", "c!xK_9"] {
            assert!(is_password(password, true), "{password}");
        }
        for other in ["string", "required", "bcrypt.hashpw", "getpass()", "user.password", "enabled", "str"] {
            assert!(!is_password(other, false), "{other}");
        }
    }
}
