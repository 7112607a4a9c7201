use super::*;
use crate::detect::rules::RuleSet;
use crate::detect::secrets::entropy::Limits;
use crate::pace::Pace;

fn rules() -> RuleSet {
    RuleSet::with(&[], Some(Secrets::shipped())).unwrap()
}

fn ids(rules: &RuleSet, text: &str) -> Vec<String> {
    rules.text_findings(PartKind::Outbound, text).into_iter().map(|finding| finding.rule).collect()
}

#[test]
fn every_example_is_seen_as_its_type_and_no_near_miss_is() {
    let rules = rules();
    let mut wrong = Vec::new();
    for one in Secrets::shipped().types() {
        let rule = format!("secret.{}", one.id);
        let found = ids(&rules, &one.example);
        if !found.contains(&rule) {
            wrong.push(format!("{} misses {:?}: {found:?}", one.id, one.example));
        }
        if ids(&rules, one.near_miss).contains(&rule) {
            wrong.push(format!("{} hits {:?}", one.id, one.near_miss));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Keys begin with what they are, in the same letters for all of a kind: only what stands behind is random.
#[test]
fn private_keys_are_seen_however_they_are_laid_out() {
    let rules = rules();
    let keys = [
        (
            "RSA ",
            "MIIEowIBAAKCAQEAr4lmNjH3OqvVysGoM41USyKp5Wtog+NGgTxK/felZ2mcJF5x\nvXeRvIAIRGjQCOvdx+ImVGUYcvHXdA66V3xRLAUl5s6JyRW1",
        ),
        (
            "EC ",
            "MHcCAQEEILFDiod+AwUfZH51ULUodiBW70c+7RTw3Kq4H64PrqhroAoGCCqGSM49\nAwEHoUQDQgAEftDO9y7ab5EOeIJ31Od",
        ),
        ("", "MC4CAQAwBQYDK2VwBCIEILMuoIMIYyxH0RIf+5pdjXJEwkhZSP5pnm4BBVbW9bau"),
        (
            "OPENSSH ",
            "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\nQyNTUxOQAAACD0Zvkt90W744ho8y",
        ),
    ];
    for (kind, body) in keys {
        let key =
            format!("-----BEGIN {kind}PRIV{0} KEY-----\n{body}\n-----END {kind}PRIV{0} KEY-----\n", "ATE");
        let in_json = serde_json::to_string(&serde_json::json!({ "key": key, "use": "signing" })).unwrap();
        let spread = format!("key = (\"{}\")", key.replace('\n', "\"\n  \""));
        for text in [
            key.clone(),
            format!("data:\n    {}", key.replace('\n', "\n    ")),
            key.replace('\n', "\r\n"),
            in_json,
            spread,
        ] {
            assert!(ids(&rules, &text).contains(&"secret.private-key".to_owned()), "{text}");
        }
    }
    for text in [
        "-----BEGIN PRIVATE KEY-----\nyour private key goes here, as you were given it\n-----END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\n................................................\n",
        "-----BEGIN PRIVATE KEY-----\nEXAMPLEKEYEXAMPLEKEYEXAMPLEKEYEXAMPLEKEYEXAMPLE\n-----END PRIVATE KEY-----",
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----",
    ] {
        assert!(!ids(&rules, text).contains(&"secret.private-key".to_owned()), "{text}");
    }
}

#[test]
fn a_token_is_found_behind_percent_signs_wherever_they_are_put_and_put_again() {
    let (rules, token) = (rules(), made_up());
    let percent = |text: &str, each: fn(usize) -> bool| {
        let code =
            |(at, c): (usize, char)| if each(at) { format!("%{:02X}", u32::from(c)) } else { c.to_string() };
        text.chars().enumerate().map(code).collect::<String>()
    };
    let (first, all, some) =
        (percent(&token, |at| at == 0), percent(&token, |_| true), percent(&token, |at| at % 5 == 2));
    for once in [first, all, some] {
        let twice = once.replace('%', "%25");
        let thrice = twice.replace('%', "%25");
        for coded in [once, twice, thrice] {
            let found = ids(&rules, &format!("go to https://site.example/?t={coded} now"));
            assert!(found.contains(&"secret.github-pat".to_owned()), "{coded}: {found:?}");
        }
    }
}

#[test]
fn a_marked_token_is_found_over_fields_and_literals() {
    let rules = rules();
    let token = made_up();
    let (one, rest) = token.split_at(14);
    let (two, three) = rest.split_at(11);
    for text in [
        format!(r#"{{"a":"{one}","b":"{two}{three}"}}"#),
        format!(r#"{{"a": "{one}", "b": {{"c": "{two}", "d": "{three}"}}}}"#),
        format!(r#"["{one}", "{two}", "{three}"].join("")"#),
        format!("a={one}&b={two}&c={three}"),
        format!("const x = '{one}';\nconst y = '{two}{three}';\nsend(x + y)"),
        format!(r#"{{"body":"{{\"a\":\"{one}\",\"b\":\"{two}{three}\"}}"}}"#),
    ] {
        let found = ids(&rules, &text);
        assert!(found.iter().any(|id| id.starts_with("secret.github")), "{text}: {found:?}");
    }
    for text in [
        // The mark alone, and values that are somebody else's.
        r#"{"prefix":"ghp_","id":"0f6e8b1f3c0b4b6e9d7c00000000000112345678"}"#.to_owned(),
        format!(r#"{{"a":"{one} and more","b":"{two}{three}"}}"#),
        format!("{one} {two}{three}"),
    ] {
        let found = ids(&rules, &text);
        assert!(!found.iter().any(|id| id.starts_with("secret.github")), "{text}: {found:?}");
    }
}

/// A value nobody issued, put together so that no scanner takes this file for a leak.
fn made_up() -> String {
    ["ghp_", "9sQ2mLx4Tb7", "VwK3pRz8Nc1", "YdJ6hFg5Xa0eUo"].concat()
}

#[test]
fn values_are_credentials_by_the_name_they_are_given_for() {
    let rules = rules();
    for text in [
        "DB_PASSWORD=hunter2!x9",
        "password: 'Tr0ub4dor&3'",
        "{\"client_secret\": \"q8ZtR4vNw2LxK7mB\"}",
        "Authorization: Bearer mF_9.B5f-4.1JqMx7Kp2Zt",
        "my deploy token is q8ztr4vnw2lxk7mb, please debug",
        "<apiKey>\n  q8ZtR4vNw2LxK7mB\n</apiKey>",
        "https://api.example.net/v1?access_token=q8ZtR4vNw2LxK7mB&v=1",
        "System.setProperty(\"JOB_TOKEN\", \"q8ZtR4vNw2LxK7mB\")",
        "config['secret_key'] = 'c!xk_9w$2^d8@7vq'",
        "npm_token: 3c1f9a52-7d0e-4b68-9f21-5a7be08c64d3",
        "wandb 8c1f3e9b7a5d2046c8e1f3a9b7d5e2046c8a1f3e",
    ] {
        assert!(!ids(&rules, text).is_empty(), "{text}");
    }
}

#[test]
fn passwords_are_seen_wherever_people_put_them() {
    let rules = rules();
    let secret = "vR7mq3ZtLx";
    for around in [
        "SSHPASS=@",
        "docker login --username deploy --password @",
        "docker login -u deploy -p @ images.example",
        "mysql -h db1 -u root -p'@' shop",
        "redis-cli -h cache -a @ ping",
        "xfreerdp /u:deploy /p:@ /v:desk",
        "new NetworkCredential(\"deploy\", \"@\")",
        "mysqli_connect('db1', 'root', '@', 'shop')",
        "variable \"db_password\" { default = \"@\" }",
        "| password | @ |",
        "my password is @.",
        "das Passwort ist @",
        "mot de passe : @",
        "contraseña: @",
        "пароль: @",
        "密码：@",
        "パスワード: @",
    ] {
        let text = around.replace('@', secret);
        assert!(!ids(&rules, &text).is_empty(), "{text}");
    }
    for text in [
        "asset_token=2486595601105927",
        "deploy_key=47065267833700098733915354541826942213",
        "ACCESS TOKEN NHJZGWWKQLBEOXYZGFPINKLV",
    ] {
        assert!(!ids(&rules, text).is_empty(), "{text}");
    }
    for text in [
        "the password is required!",
        "Your password is base64-encoded before it is sent.",
        "The password is at least 8 characters, with 1 digit.",
        "das Passwort ist abgelaufen, bitte ändern",
        "password is case-sensitive (RFC 7617)",
        "| password | string | required |",
        "| token | Bearer token of the user |",
        "pwd | xargs basename",
        "echo \"password\" | md5sum",
        "docker login -u \"$USER\" -p \"$TOKEN\" images.example",
        "docker run -u 1000:1000 -p 8080:80 app",
        "docker run -u app:app2grp app",
        "mysql -h db1 -u root -p shop < dump.sql",
        "mysql --port=3306 --protocol=tcp -P 3307 shop",
        "mongodump --port 27017 -d shop -o backup-2026",
        "redis-cli -h cache -p 6379 info",
        "psql -h db1 -p 5432 -U app shop",
        "ssh -p 2222 deploy@build",
        "curl -u \"$USER:$PASS\" https://build.example",
        "curl --user-agent Mozilla/5.0:x https://build.example",
        "ldapsearch -x -H ldap://h -b dc=example,dc=test -W",
        "login form password field",
        "fn login(user: &str, password: &str) -> Result<Session>",
        "getConnection(url, user, password)",
        "new NetworkCredential(user, password)",
        "ENV TOKEN_FILE /run/token",
        "ENV NODE_ENV production",
        "Cookie: theme=dark; lang=en-GB; consent=accepted-all-cookies",
        "page_token=1486595601105925",
        "token_count: 1486595601105925",
        "stripe.api_key = 'sk_test_xxx'",
        "--password-stdin",
        "--token-file /run/secrets/token1",
        "--key server2.pem --cert server2.crt",
    ] {
        assert_eq!(ids(&rules, text), [] as [&str; 0], "{text}");
    }
}

#[test]
fn what_only_looks_like_a_credential_is_none() {
    let rules = rules();
    for text in [
        "token_id: 3c1f9a52-7d0e-4b68-9f21-5a7be08c64d3",
        "cache_key: 8c1f3e9b7a5d2046c8e1f3a9b7d5e204",
        "commit 8c1f3e9b7a5d2046c8e1f3a9b7d5e2046c8a1f3e",
        "\"integrity\": \"sha512-q8ZtR4vNw2LxK7mBq8ZtR4vNw2LxK7mBq8ZtR4vNw2LxK7mBq8ZtR4vNw2LxK7mB==\"",
        "const token = process.env.TOKEN;",
        "password = getpass(prompt)",
        "-H \"x-api-key: $API_KEY\"",
        "api_key: YOUR_API_KEY_HERE",
        "secret: ${{ secrets.DEPLOY }}",
        "My WireGuard public key: HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=",
        "Figma file key k3Jx9QbT0vLzW5pRn2Ys8G holds the drawings",
        "PRIVATE_KEY_PATH=/etc/ssl/private/app.key",
        "nextPageToken: CAUQAA8sXk2Lm9Pq",
        "fakeToken = \"q8ztr4vnw2lxk7mb\"",
        "password: string",
        "max_tokens: 4096",
        "def tokenize(text): return text.split()",
        "call_8FwRpTk4HigNylResz1FVFxA",
        "rev = \"8c1f3e9b7a5d2046c8e1f3a9b7d5e2046c8a1f3e\"",
        "-----BEGIN CERTIFICATE-----\nMIIBePl9hNIQmqOvgfP3Au1KlYMZRxIifD2QkYjhOwPx3PxcXUxTbDJxarIxVv4\n",
    ] {
        let found: Vec<_> = ids(&rules, text).into_iter().filter(|id| id != "secret.high-entropy").collect();
        assert!(found.is_empty(), "{text}: {found:?}");
    }
}

#[test]
fn tokens_are_seen_behind_encodings() {
    let rules = rules();
    let token = made_up();
    let base64 = |bytes: &[u8]| {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::new();
        for three in bytes.chunks(3) {
            let number = three.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte))
                << (8 * (3 - three.len()));
            for digit in 0..=three.len() {
                out.push(char::from(DIGITS[(number >> (18 - 6 * digit)) as usize & 63]));
            }
        }
        out
    };
    let cut = |from: usize, to: usize| token.chars().skip(from).take(to - from).collect::<String>();
    let hex: String = token.bytes().map(|byte| format!("{byte:02x}")).collect();
    let gzip = {
        let length = u16::try_from(token.len()).unwrap();
        let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1];
        member.extend_from_slice(&length.to_le_bytes());
        member.extend_from_slice(&(!length).to_le_bytes());
        member.extend_from_slice(token.as_bytes());
        member
    };
    for text in [
        format!("data={}", base64(token.as_bytes())),
        format!("data={}", base64(base64(token.as_bytes()).as_bytes())),
        format!("x {hex} y"),
        format!("blob: {}", base64(&gzip)),
        format!("q=%7B%22t%22%3A%22{token}%22%7D"),
        decoded::reversed(&token),
        format!("t = \"{}\" + \"{}\"", cut(0, 2), cut(2, 40)),
        format!("t = '{}' + '{}' + '{}'", cut(0, 9), cut(9, 20), cut(20, 40)),
        format!("{{\\\"k\\\": \\\"{token}\\\"}}"),
        token.replace("9s", "9\u{200b}s"),
    ] {
        assert!(
            ids(&rules, &text).contains(&"secret.github-pat".to_owned()),
            "{text} {:?}",
            ids(&rules, &text)
        );
    }
}

#[test]
fn money_and_wallets_are_seen() {
    let rules = rules();
    let has = |text: &str, id: &str| ids(&rules, text).iter().any(|found| found == id);
    assert!(has("please charge card 4539578763621486 today", "secret.card-number"));
    assert!(!has("order 4539578763621486 shipped", "secret.card-number"));
    assert!(has("IBAN: GB82 WEST 1234 5698 7654 32 thanks", "secret.iban"));
    assert!(has("transfer to DE89370400440532013000", "secret.iban"));
    assert!(!has("transfer to DE89370400440532013001", "secret.iban"));
    let phrase = format!("{}about", "abandon ".repeat(11));
    assert!(has(&phrase, "secret.wallet-phrase"));
    let long = format!("{}\nmnemonic: {phrase}", "some words of prose. ".repeat(400));
    assert!(has(&long, "secret.wallet-phrase"));
}

#[test]
fn registered_secrets_are_seen_and_only_they() {
    let mut registered = Registered::new(&[3; 32]);
    let kept = registered.registration("correct horse battery staple").unwrap();
    registered.add("battery", kept);
    let rules = RuleSet::with(&[], Some(Secrets::shipped().with_registered(registered))).unwrap();
    assert_eq!(ids(&rules, "note: correct horse battery staple."), ["secret.registered"]);
    assert_eq!(ids(&rules, "note: correct horse battery stable."), [] as [&str; 0]);
}

#[test]
fn entropy_has_a_threshold_and_exceptions_for_all_and_for_one_agent() {
    use super::entropy::Allowed;
    use crate::action::{Action, ActionKind, Door, Part};
    let strict = HashMap::from([("careful".to_owned(), Limits { threshold: 3.0, ..Limits::default() })]);
    let allowing = Limits { allowed: vec![Allowed::new("ours-.*").unwrap()], ..Limits::default() };
    let rules = RuleSet::with(&[], Some(Secrets::shipped().with_limits(allowing, strict))).unwrap();
    let judge = |agent: &str, text: &str| {
        let mut action = Action::new(Door::Library, ActionKind::Outbound, agent.into(), "".into());
        action.parts = vec![Part { kind: PartKind::Outbound, text: text.into() }];
        let (findings, entropy) = rules.findings(&action, &[], &[], (&|_| false, &|_| false), &Pace::whole());
        (findings.iter().any(|finding| finding.rule == "secret.high-entropy"), entropy)
    };
    let (noted, entropy) = judge("any", "see k3Jx9QbT0vLzW5pRn2Ys8Gd1 there");
    assert!(noted && entropy > 4.5, "{entropy}");
    let (noted, entropy) = judge("any", "see ours-k3Jx9QbT0vLzW5pRn2Ys8Gd1 there");
    assert!(!noted && entropy < 0.1, "{entropy}");
    assert!(!judge("any", "the-configuration-of-production there").0);
    assert!(judge("careful", "the-configuration-of-production there").0);
    let (noted, entropy) = judge("any", &"The quick brown fox jumps over the lazy dog. ".repeat(50));
    assert!(!noted && entropy < 0.1, "{entropy}");
}

/// Twice the text takes about twice the time, whatever it is made of.
#[test]
fn work_grows_with_the_length_of_the_text() {
    let rules = rules();
    for piece in [
        "token=",
        "ghp_",
        "key: ",
        "AAAA",
        "\" + \"",
        "%3d",
        "://a:",
        "sk-ant-api03-",
        "eyJ",
        "4539578763621486 ",
        "-----BEGIN ",
    ] {
        let time = |length: usize| {
            let text = piece.repeat(length / piece.len());
            let started = std::time::Instant::now();
            let _ = rules.text_findings(PartKind::Outbound, &text);
            started.elapsed().as_secs_f64()
        };
        time(20_000);
        let least = |length| time(length).min(time(length)).min(time(length));
        let (short, long) = (least(20_000), least(320_000));
        // Sixteen times the text: far below the 256 times that quadratic work would take, on a busy machine too.
        assert!(long < short * 64.0 + 0.3, "{piece}: {short} {long}");
    }
}
