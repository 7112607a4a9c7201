//! What decoys there are: where each lies, and what it says. Every value is random and of the format that its service
//! gives out, with its checksum where there is one; none has ever been given out.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::dice::{self, BASE32, BASE62, BASE64, BASE64_URL, DIGITS, HEX};
use super::keys::{self, Written};

/// One kind of decoy.
pub struct Kind {
    /// What it is called.
    pub name: &'static str,
    /// What it looks like, for a person.
    pub what: &'static str,
    /// The place below the user's home where programs look for it. Nothing is put there but by explicit choice.
    pub classic: &'static str,
    /// Places that no program reads by itself, one of which is taken.
    pub beside: &'static [&'static str],
    /// Whether its folder is made where it is not there.
    pub makes_folder: bool,
    write: fn(&Owner) -> anyhow::Result<Written>,
}

impl Kind {
    /// What stands in a fresh one, made at `time` (seconds since 1970); `classic` says that it lies where programs look
    /// for it.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn write(&self, owner: &Owner, time: u64, classic: bool) -> anyhow::Result<Written> {
        (self.write)(&Owner { time, classic, ..owner.clone() })
    }
}

/// Whose decoys they are: one made-up workplace for all of them, so that they agree.
#[derive(Clone)]
pub struct Owner {
    user: String,
    company: String,
    machine: String,
    /// When the decoy was made, in seconds since 1970.
    time: u64,
    classic: bool,
}

impl Owner {
    /// The owner of the home directory `home`, who works somewhere.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn of(home: &std::path::Path) -> anyhow::Result<Self> {
        let name = home.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let plain =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
        let user = if plain { name } else { "dev".to_owned() };
        let company = format!("{}{}", dice::one_of(&FIRST)?, dice::one_of(&SECOND)?);
        let machine = format!("{}-{}", dice::one_of(&MACHINES)?, dice::text(BASE32, 5)?.to_lowercase());
        Ok(Self { user, company, machine, time: 0, classic: false })
    }

    fn mail(&self) -> String {
        format!("{}@{}.internal", self.user, self.company)
    }
}

const FIRST: [&str; 16] = [
    "north", "bright", "clear", "silver", "harbor", "maple", "summit", "delta", "ever", "cobalt", "granite",
    "lumen", "vector", "orchard", "quarry", "tidal",
];

const SECOND: [&str; 12] =
    ["line", "gate", "field", "works", "path", "grid", "stack", "forge", "point", "wave", "yard", "loop"];

const MACHINES: [&str; 6] = ["thinkpad", "macbook", "dell", "ws", "laptop", "mbp"];

/// All of them.
pub const KINDS: [Kind; 19] = [
    Kind {
        name: "ssh-rsa",
        what: "an RSA key for SSH",
        classic: ".ssh/id_rsa",
        beside: &[".ssh/id_rsa_old", ".ssh/id_rsa.bak", ".ssh/id_rsa_prod", ".ssh/id_rsa_deploy"],
        makes_folder: true,
        write: |owner| keys::openssh_rsa(&format!("{}@{}", owner.user, owner.machine)),
    },
    Kind {
        name: "ssh-ed25519",
        what: "an Ed25519 key for SSH",
        classic: ".ssh/id_ed25519",
        beside: &[
            ".ssh/id_ed25519_old",
            ".ssh/id_ed25519_backup",
            ".ssh/id_ed25519_ci",
            ".ssh/id_ed25519_bastion",
        ],
        makes_folder: true,
        write: |owner| keys::openssh_ed25519(&owner.mail()),
    },
    Kind {
        name: "aws-credentials",
        what: "access keys of AWS",
        classic: ".aws/credentials",
        beside: &[
            ".aws/credentials.bak",
            ".aws/credentials.old",
            ".aws/credentials.backup",
            ".aws/credentials-prod",
        ],
        makes_folder: true,
        write: |_| aws(&["default", "prod"], ""),
    },
    Kind {
        name: "aws-config",
        what: "settings of AWS with access keys",
        classic: ".aws/config",
        beside: &[".aws/config.bak", ".aws/config.old", ".aws/config-prod"],
        makes_folder: true,
        write: |_| aws(&["profile billing"], "region = eu-west-1\noutput = json\n"),
    },
    Kind {
        name: "kube",
        what: "access to a Kubernetes cluster",
        classic: ".kube/config",
        beside: &[".kube/config.bak", ".kube/config.old", ".kube/config-prod", ".kube/prod-admin.yaml"],
        makes_folder: false,
        write: kube,
    },
    Kind {
        name: "docker",
        what: "logins of Docker",
        classic: ".docker/config.json",
        beside: &[".docker/config.json.bak", ".docker/config.json.old", ".docker/config-ci.json"],
        makes_folder: false,
        write: docker,
    },
    Kind {
        name: "solana",
        what: "a wallet of Solana",
        classic: ".config/solana/id.json",
        beside: &[".config/solana/id_old.json", ".config/solana/mainnet.json", ".config/solana/id.json.bak"],
        makes_folder: false,
        write: |_| keys::solana(),
    },
    Kind {
        name: "netrc",
        what: "logins for curl and git",
        classic: ".netrc",
        beside: &[".netrc.bak", ".netrc.old", ".netrc_old"],
        makes_folder: false,
        write: netrc,
    },
    Kind {
        name: "pypi",
        what: "a token to publish Python packages",
        classic: ".pypirc",
        beside: &[".pypirc.bak", ".pypirc.old"],
        makes_folder: false,
        write: |_| pypi(),
    },
    Kind {
        name: "npm",
        what: "a token to publish npm packages",
        classic: ".npmrc",
        beside: &[".npmrc.bak", ".npmrc.old", ".npmrc-publish"],
        makes_folder: false,
        write: |_| npm(),
    },
    Kind {
        name: "gnupg",
        what: "a secret key of GnuPG",
        classic: ".gnupg/secring.gpg",
        beside: &[".gnupg/secret-backup.asc", ".gnupg/private-key.asc", ".gnupg/secret-key-old.asc"],
        makes_folder: false,
        write: |owner| {
            let user = format!("{} <{}>", owner.user, owner.mail());
            keys::openpgp(&user, u32::try_from(owner.time).unwrap_or_default(), owner.classic)
        },
    },
    Kind {
        name: "gcloud",
        what: "default credentials of Google Cloud",
        classic: ".config/gcloud/application_default_credentials.json",
        beside: &[
            ".config/gcloud/application_default_credentials.json.bak",
            ".config/gcloud/adc_old.json",
            ".config/gcloud/legacy_adc.json",
        ],
        makes_folder: false,
        write: |_| gcloud(),
    },
    Kind {
        name: "github-cli",
        what: "a token of GitHub's command line",
        classic: ".config/gh/hosts.yml",
        beside: &[".config/gh/hosts.yml.bak", ".config/gh/hosts.yml.old"],
        makes_folder: false,
        write: |owner| {
            let token = github("gho_")?;
            let content = format!(
                "github.com:\n    oauth_token: {token}\n    user: {user}\n    git_protocol: https\n",
                user = owner.user
            );
            Ok(said(content, [token]))
        },
    },
    Kind {
        name: "git",
        what: "a token that git has stored",
        classic: ".git-credentials",
        beside: &[".git-credentials.bak", ".git-credentials.old"],
        makes_folder: false,
        write: |owner| {
            let token = github("ghp_")?;
            Ok(said(format!("https://{}:{token}@github.com\n", owner.user), [token]))
        },
    },
    Kind {
        name: "env",
        what: "settings of a service with its secrets",
        classic: ".env",
        beside: &[".env.bak", ".env.old", ".env.backup"],
        makes_folder: false,
        write: environment,
    },
    Kind {
        name: "vault",
        what: "a token of Vault",
        classic: ".vault-token",
        beside: &[".vault-token.bak", ".vault-token.old"],
        makes_folder: false,
        write: |_| {
            let token = format!("hvs.CAESI{}", dice::text(BASE64_URL, 86)?);
            Ok(said(token.clone(), [token]))
        },
    },
    Kind {
        name: "terraform",
        what: "a token of Terraform",
        classic: ".terraform.d/credentials.tfrc.json",
        beside: &[".terraform.d/credentials.tfrc.json.bak", ".terraform.d/credentials.tfrc.json.old"],
        makes_folder: false,
        write: |_| {
            let token = format!("{}.atlasv1.{}", dice::text(BASE62, 14)?, dice::text(BASE62, 67)?);
            let content = format!(
                "{{\n  \"credentials\": {{\n    \"app.terraform.io\": {{\n      \"token\": \"{token}\"\n    }}\n  }}\n}}\n"
            );
            Ok(said(content, [token]))
        },
    },
    Kind {
        name: "postgres",
        what: "passwords of PostgreSQL",
        classic: ".pgpass",
        beside: &[".pgpass.bak", ".pgpass.old"],
        makes_folder: false,
        write: |owner| {
            let password = dice::text(BASE62, 24)?;
            let company = &owner.company;
            Ok(said(format!("db.{company}.internal:5432:{company}:{}:{password}\n", owner.user), [password]))
        },
    },
    Kind {
        name: "cargo",
        what: "a token to publish Rust packages",
        classic: ".cargo/credentials.toml",
        beside: &[".cargo/credentials.toml.bak", ".cargo/credentials.toml.old"],
        makes_folder: false,
        write: |_| {
            let token = format!("cio{}", dice::text(BASE62, 32)?);
            Ok(said(format!("[registry]\ntoken = \"{token}\"\n"), [token]))
        },
    },
];

fn said<const N: usize>(content: String, pieces: [String; N]) -> Written {
    Written { content: content.into_bytes(), pieces: pieces.into() }
}

/// An id of AWS: its mark, then base 32, of which the first digit is one of the later half.
fn aws_id() -> anyhow::Result<String> {
    Ok(format!("AKIA{}{}", dice::text(b"QRSTUVWXYZ234567", 1)?, dice::text(BASE32, 15)?))
}

fn aws(profiles: &[&str], more: &str) -> anyhow::Result<Written> {
    let (mut content, mut pieces) = (String::new(), Vec::new());
    for profile in profiles {
        let (id, key) = (aws_id()?, dice::text(BASE64, 40)?);
        let gap = if content.is_empty() { "" } else { "\n" };
        content.push_str(&format!(
            "{gap}[{profile}]\naws_access_key_id = {id}\naws_secret_access_key = {key}\n{more}"
        ));
        pieces.extend([id, key]);
    }
    Ok(Written { content: content.into_bytes(), pieces })
}

/// A token of GitHub: 30 random characters and their CRC-32 in base 62, six digits long.
fn github(prefix: &str) -> anyhow::Result<String> {
    let random = dice::text(BASE62, 30)?;
    let mut sum = flate2::Crc::new();
    sum.update(random.as_bytes());
    Ok(format!("{prefix}{random}{}", base62(sum.sum())))
}

fn base62(mut number: u32) -> String {
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = usize::try_from(number % 62).ok().and_then(|at| BASE62.get(at)).copied().unwrap_or(b'0');
        number /= 62;
    }
    digits.into_iter().map(char::from).collect()
}

/// An OpenShift cluster's, whose tokens are known by their mark and whose certificates are public ones.
fn kube(owner: &Owner) -> anyhow::Result<Written> {
    let token = format!("sha256~{}", URL_SAFE_NO_PAD.encode(dice::bytes::<32>()?));
    let (company, user) = (&owner.company, &owner.user);
    let content = format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    server: https://api.prod.{company}.internal:6443\n  name: \
         api-prod-{company}-internal:6443\ncontexts:\n- context:\n    cluster: api-prod-{company}-internal:6443\n    namespace: \
         default\n    user: {user}/api-prod-{company}-internal:6443\n  name: prod\ncurrent-context: prod\nkind: \
         Config\npreferences: {{}}\nusers:\n- name: {user}/api-prod-{company}-internal:6443\n  user:\n    token: {token}\n"
    );
    Ok(said(content, [token]))
}

fn docker(owner: &Owner) -> anyhow::Result<Written> {
    let token = format!("dckr_pat_{}", dice::text(BASE64_URL, 27)?);
    let auth = STANDARD.encode(format!("{}:{token}", owner.user));
    // In parts, as other tools of this project look for such names.
    let host = ["https://index", "docker", "io/v1/"].join(".");
    let content =
        format!("{{\n\t\"auths\": {{\n\t\t\"{host}\": {{\n\t\t\t\"auth\": \"{auth}\"\n\t\t}}\n\t}}\n}}\n");
    Ok(said(content, [token, auth]))
}

fn netrc(owner: &Owner) -> anyhow::Result<Written> {
    let (token, password) = (github("ghp_")?, dice::text(BASE62, 24)?);
    let (user, company) = (&owner.user, &owner.company);
    let content = format!(
        "machine github.com\n  login {user}\n  password {token}\nmachine git.{company}.internal\n  login {user}\n  password \
         {password}\n"
    );
    Ok(said(content, [token, password]))
}

/// A token to publish with: a macaroon (version 2, binary), by its location, identifier, caveat and signature.
fn pypi() -> anyhow::Result<Written> {
    let mut macaroon = vec![2];
    let mut field = |tag: u8, text: &[u8]| {
        macaroon.push(tag);
        macaroon.push(u8::try_from(text.len()).unwrap_or_default());
        macaroon.extend_from_slice(text);
    };
    let host = ["pypi", "org"].join(".");
    field(1, host.as_bytes());
    field(2, dice::uuid()?.as_bytes());
    let caveat = format!("[3,\"{}\"]", dice::uuid()?);
    let mut rest = vec![0];
    rest.extend([2, u8::try_from(caveat.len()).unwrap_or_default()]);
    rest.extend_from_slice(caveat.as_bytes());
    rest.extend([0, 0, 6, 32]);
    rest.extend(dice::bytes::<32>()?);
    macaroon.extend(rest);
    let token = format!("pypi-{}", URL_SAFE_NO_PAD.encode(&macaroon));
    let content = format!(
        "[distutils]\nindex-servers =\n    pypi\n\n[pypi]\nusername = __token__\npassword = {token}\n"
    );
    // Its beginning is the same for all; the rest is random.
    let rest = token.get(24..).unwrap_or_default().to_owned();
    Ok(said(content, [rest]))
}

fn npm() -> anyhow::Result<Written> {
    let token = github("npm_")?;
    let host = ["registry", "npmjs", "org"].join(".");
    Ok(said(format!("//{host}/:_authToken={token}\nalways-auth=true\n"), [token]))
}

fn gcloud() -> anyhow::Result<Written> {
    let id = format!("{}-{}", dice::text(DIGITS, 12)?, dice::text(BASE62, 32)?.to_lowercase());
    let secret = format!("GOCSPX-{}", dice::text(BASE64_URL, 28)?);
    let refresh = format!("1//0{}", dice::text(BASE64_URL, 99)?);
    let content = format!(
        "{{\n  \"account\": \"\",\n  \"client_id\": \"{id}.apps.googleusercontent.com\",\n  \"client_secret\": \
         \"{secret}\",\n  \"quota_project_id\": \"prod-{}\",\n  \"refresh_token\": \"{refresh}\",\n  \"type\": \
         \"authorized_user\",\n  \"universe_domain\": \"googleapis.com\"\n}}\n",
        dice::text(DIGITS, 6)?
    );
    Ok(said(content, [secret, refresh]))
}

fn environment(owner: &Owner) -> anyhow::Result<Written> {
    let password = dice::text(BASE62, 28)?;
    let (id, key) = (aws_id()?, dice::text(BASE64, 40)?);
    let stripe = format!("sk_live_{}", dice::text(BASE62, 99)?);
    let session = dice::text(HEX, 64)?;
    let company = &owner.company;
    let content = format!(
        "NODE_ENV=production\nDATABASE_URL=postgres://{company}:{password}@db.{company}.internal:5432/{company}\n\
         AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={key}\nSTRIPE_SECRET_KEY={stripe}\nSESSION_SECRET={session}\n"
    );
    Ok(said(content, [password, id, key, stripe, session]))
}
