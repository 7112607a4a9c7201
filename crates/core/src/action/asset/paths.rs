//! The table of places on Linux, macOS and Windows.
//!
//! A pattern is lower case and normalised. `~/x/` and `/x/` hold for everything below and for the
//! directory itself; `name` alone for a file or directory of that name anywhere; `*.ext` for an ending;
//! `a/b` without a root for that run of names anywhere; `*` within a name for anything but `/`.

use std::collections::HashMap;
use std::sync::LazyLock;

use AssetClass::{
    AiClientConfig, BrowserData, Config, Credential, Doorward, Executable, Keychain, Log, Project,
    ProjectSecret, Startup, System, Temp, Unknown, Wallet,
};

use super::super::AssetClass;
use super::{glob_matches, is_relative, stronger};

/// Names that look like a credential and are not: looked at first.
const HARMLESS: &[&str] = &[
    "*.pub",
    "known_hosts",
    "known_hosts.old",
    ".env.example",
    ".env.sample",
    ".env.template",
    ".env.dist",
    ".env.test.example",
    "*.env.example",
    ".env.defaults",
    ".envrc.example",
    "*.example",
    "*.sample",
    "*.template",
    "*.tmpl",
    "authorized_keys.example",
];

/// Sensitive places, most sensitive first.
const TABLE: &[(AssetClass, &[&str])] = &[
    (Doorward, &["~/.doorward/"]),
    (
        Wallet,
        &[
            "~/.config/solana/",
            "~/.solana/",
            "~/.ethereum/",
            "~/library/ethereum/",
            "~/.bitcoin/",
            "~/.litecoin/",
            "~/.dogecoin/",
            "~/.dash/",
            "~/.monero/",
            "~/.bitmonero/",
            "~/monero/wallets/",
            "~/.electrum/",
            "~/.electrum-ltc/",
            "~/.electron-cash/",
            "~/.wasabi/",
            "~/.walletwasabi/",
            "~/.zcash/",
            "~/.exodus/",
            "~/.config/exodus/",
            "~/.config/atomic/",
            "~/.config/ledger live/",
            "~/.config/trezor*/",
            "~/.sparrow/",
            "~/.armory/",
            "~/.multibit/",
            "~/.foundry/keystores/",
            "~/.brownie/accounts/",
            "~/.cardano/",
            "~/.sui/",
            "~/.aptos/",
            "~/.near-credentials/",
            "~/.polkadot/",
            "~/appdata/roaming/exodus/",
            "~/appdata/roaming/electrum/",
            "~/appdata/roaming/bitcoin/",
            "~/appdata/roaming/ethereum/",
            "~/appdata/roaming/atomic/",
            "~/appdata/roaming/ledger live/",
            "~/appdata/local/coinomi/",
            "~/appdata/roaming/armory/",
            "~/library/application support/exodus/",
            "~/library/application support/electrum/",
            "~/library/application support/bitcoin/",
            "~/library/application support/atomic/",
            "~/library/application support/ledger live/",
            "wallet.dat",
            "wallet.dat.*",
            "nkbihfbeogaeaoehlefnkodbefgpgknn",
            "bfnaelmomeimhlpmgjnjophhpkkoljpa",
            "hnfanknocfeofbddgcijnmhnfnkdnaad",
            "ibnejdfjmmkpcnlpebklmnkoeoihofec",
            "*.wallet",
            "default_wallet",
            "keystore/utc--*",
        ],
    ),
    (
        Keychain,
        &[
            "~/library/keychains/",
            "/library/keychains/",
            "/system/library/keychains/",
            "~/.gnupg/",
            "~/.local/share/keyrings/",
            "~/.gnome2/keyrings/",
            "~/.kde/share/apps/kwallet/",
            "~/.local/share/kwalletd/",
            "~/.password-store/",
            "~/appdata/roaming/microsoft/credentials/",
            "~/appdata/local/microsoft/credentials/",
            "~/appdata/roaming/microsoft/protect/",
            "~/appdata/local/microsoft/vault/",
            "~/appdata/roaming/microsoft/crypto/",
            "c:/windows/system32/config/",
            "c:/windows/repair/",
            "c:/windows/ntds/",
            "ntds.dit",
            "c:/programdata/microsoft/vault/",
            "/etc/krb5.keytab",
            "/tmp/krb5cc_*",
            "/etc/networkmanager/system-connections/",
            "/etc/wpa_supplicant/",
            "*.kdbx",
            "*.kdb",
            "*.keychain",
            "*.keychain-db",
            "*.agilekeychain",
            "*.opvault",
            "~/.local/share/1password/",
            "~/.config/keepassxc/",
            "c:/programdata/microsoft/wlansvc/",
        ],
    ),
    (
        BrowserData,
        &[
            "~/.mozilla/",
            "~/.config/google-chrome*/",
            "~/.config/chromium/",
            "~/.config/bravesoftware/",
            "~/.config/microsoft-edge*/",
            "~/.config/opera/",
            "~/.config/vivaldi/",
            "~/snap/firefox/",
            "~/snap/chromium/",
            "~/.thunderbird/",
            "~/.var/app/org.mozilla.firefox/",
            "~/library/application support/google/chrome/",
            "~/library/application support/firefox/",
            "~/library/application support/bravesoftware/",
            "~/library/application support/microsoft edge/",
            "~/library/application support/arc/",
            "~/library/safari/",
            "~/library/cookies/",
            "~/library/messages/",
            "~/library/mail/",
            "~/library/containers/com.apple.safari/",
            "~/library/thunderbird/",
            "~/appdata/local/google/chrome/",
            "~/appdata/local/microsoft/edge/",
            "~/appdata/roaming/mozilla/",
            "~/appdata/local/bravesoftware/",
            "~/appdata/roaming/opera software/",
            "~/appdata/roaming/discord/",
            "~/appdata/roaming/slack/",
            "~/appdata/roaming/telegram desktop/",
            "~/appdata/roaming/thunderbird/",
            "~/appdata/local/packages/microsoft.microsoftedge*/",
            "~/.config/discord*/",
            "~/.config/slack/",
            "~/.config/signal/",
            "~/.local/share/telegramdesktop/",
            "~/.config/1password/",
            "~/.config/bitwarden/",
            "~/library/application support/discord/",
            "~/library/application support/slack/",
            "~/library/application support/signal/",
            "~/library/application support/telegram*/",
            "~/library/group containers/*telegram*/",
            "~/library/application support/1password/",
            "~/library/application support/bitwarden/",
            "logins.json",
            "key4.db",
            "key3.db",
            "cookies.sqlite",
            "login data",
            "login data for account",
            "cookies.binarycookies",
            "web data",
            "local storage/leveldb",
            "user data/default/cookies",
        ],
    ),
    (
        Startup,
        &[
            "~/.ssh/authorized_keys",
            "~/.ssh/authorized_keys2",
            "authorized_keys",
            "authorized_keys2",
            "~/.ssh/rc",
            "~/.ssh/environment",
            "~/.ssh/config",
        ],
    ),
    (
        Credential,
        &[
            "~/.ssh/",
            "~/.aws/",
            "~/.kube/",
            "~/.docker/config.json",
            "~/.config/gcloud/",
            "~/.azure/",
            "~/.terraform.d/",
            "~/.terraformrc",
            "~/.netrc",
            "~/_netrc",
            ".netrc",
            "~/.authinfo",
            "~/.authinfo.gpg",
            "~/.pypirc",
            ".pypirc",
            "~/.npmrc",
            "~/.yarnrc",
            "~/.git-credentials",
            ".git-credentials",
            "~/.config/git/credentials",
            "~/.config/gh/hosts.yml",
            "~/.config/gh/",
            "~/.config/hub",
            "~/.config/glab-cli/",
            "~/.cargo/credentials",
            "~/.cargo/credentials.toml",
            "~/.gem/credentials",
            "~/.pgpass",
            "~/.my.cnf",
            "~/.mylogin.cnf",
            "~/.s3cfg",
            "~/.boto",
            "~/.config/rclone/",
            "~/.config/doctl/",
            "~/.vault-token",
            "~/.config/op/",
            "~/.m2/settings.xml",
            "~/.m2/settings-security.xml",
            "~/.gradle/gradle.properties",
            "~/.nuget/nuget.config",
            "~/.composer/auth.json",
            "~/.config/composer/auth.json",
            "~/.databrickscfg",
            "~/.snowsql/config",
            "~/.dbt/profiles.yml",
            "~/.kaggle/",
            "~/.huggingface/",
            "~/.cache/huggingface/token",
            "~/.config/heroku/",
            "~/.oci/",
            "~/.aliyun/",
            "~/.bluemix/",
            "~/.ibmcloud/",
            "~/.fly/",
            "~/.railway/",
            "~/.config/netlify/",
            "~/.config/vercel/",
            "~/.local/share/com.vercel.cli/",
            "~/.wrangler/",
            "~/.config/.wrangler/",
            "~/.pulumi/credentials.json",
            "~/.circleci/cli.yml",
            "~/.ansible/vault*",
            "~/.vnc/passwd",
            "~/.rhosts",
            "~/.smbcredentials",
            "~/.claude/.credentials.json",
            "~/.claude.json",
            "~/.codex/auth.json",
            "~/.gemini/oauth_creds.json",
            "~/.config/github-copilot/",
            "~/.local/share/opencode/auth.json",
            "~/.config/anthropic/",
            "~/.openai/",
            "~/.config/openai/",
            "~/.config/containers/auth.json",
            "~/.config/sops/",
            "~/.config/age/",
            "~/.age/",
            "~/.step/",
            "~/.irssi/",
            "~/.purple/accounts.xml",
            "~/.config/filezilla/",
            "~/.filezilla/",
            "~/appdata/roaming/filezilla/",
            "~/.putty/",
            "~/.remmina/",
            "~/.local/share/remmina/",
            "~/.config/remmina/",
            "~/appdata/roaming/gcloud/",
            "~/appdata/roaming/npm/.npmrc",
            "~/.subversion/auth/",
            "~/.config/configstore/",
            "~/.config/stripe/",
            "~/.config/ngrok/",
            "~/.ngrok2/",
            "~/.twilio-cli/",
            "~/.sentryclirc",
            "~/.dockercfg",
            ".dockercfg",
            ".docker/config.json",
            "/etc/shadow",
            "/etc/shadow-",
            "/etc/gshadow",
            "/etc/gshadow-",
            "/etc/master.passwd",
            "/etc/security/opasswd",
            "/var/db/dslocal/",
            "/etc/ssh/ssh_host_*_key",
            "/etc/kubernetes/",
            "/etc/rancher/",
            "/var/lib/rancher/",
            "/var/lib/kubelet/",
            "/var/run/secrets/",
            "/run/secrets/",
            "/etc/docker/key.json",
            "/etc/ssl/private/",
            "/etc/pki/tls/private/",
            "/etc/letsencrypt/live/",
            "/etc/letsencrypt/archive/",
            "/etc/ipsec.secrets",
            "/etc/ppp/chap-secrets",
            "/etc/ppp/pap-secrets",
            "/etc/openvpn/",
            "/etc/wireguard/",
            "/etc/sssd/",
            "/etc/samba/smbpasswd",
            "/var/lib/samba/private/",
            "/etc/mysql/debian.cnf",
            "/var/lib/jenkins/secrets/",
            "/var/lib/jenkins/credentials.xml",
            "/proc/*/environ",
            "/proc/kcore",
            "/proc/*/mem",
            "/dev/mem",
            "/dev/kmem",
            "/var/lib/cloud/instance/user-data.txt",
            "id_rsa",
            "id_dsa",
            "id_ecdsa",
            "id_ecdsa_sk",
            "id_ed25519",
            "id_ed25519_sk",
            "id_rsa.*",
            "id_ed25519.*",
            "identity.pem",
            "*.ppk",
            "*.pem.key",
            "*.p12",
            "*.pfx",
            "*.jks",
            "*_rsa",
            "*_ed25519",
            "*_ecdsa",
            "privkey.pem",
            "private.pem",
            "private.key",
            "private_key.pem",
            "private-key.pem",
            "server.key",
            "kubeconfig",
            "*.kubeconfig",
            "credentials.json",
            "client_secret*.json",
            "service-account*.json",
            "service_account*.json",
            "application_default_credentials.json",
            "accesstokens.json",
            "msal_token_cache.json",
            "htpasswd",
            ".htpasswd",
            ".pgpass",
            ".my.cnf",
            ".vault-token",
            ".s3cfg",
            ".boto",
            "secrets.yml.key",
            "master.key",
            "unattend.xml",
            "sysprep.inf",
            "wp-config.php",
            "terraform.tfstate",
            "*.tfstate",
            "*.ovpn",
            ".aws/credentials",
            ".aws/config",
            ".kube/config",
            "lsass.dmp",
            "*.lsass.dmp",
        ],
    ),
    (
        ProjectSecret,
        &[
            ".env",
            ".env.*",
            "*.env",
            ".envrc",
            "secrets.yml",
            "secrets.yaml",
            "secrets.json",
            "secrets.toml",
            ".npmrc",
            ".yarnrc.yml",
            ".dev.vars",
            "local.settings.json",
            "appsettings.secrets.json",
            "*.tfvars",
            "*.pem",
            "*.key",
        ],
    ),
    (
        AiClientConfig,
        &[
            "~/.claude/",
            ".claude/",
            ".claude.json",
            "claude.md",
            "claude.local.md",
            ".mcp.json",
            "mcp.json",
            "mcp_config.json",
            "mcp_settings.json",
            "~/.cursor/",
            ".cursor/",
            ".cursorrules",
            ".cursorignore",
            "agents.md",
            "agent.md",
            "gemini.md",
            "~/.gemini/",
            ".gemini/",
            "~/.codex/",
            ".codex/",
            "~/.config/opencode/",
            ".opencode/",
            "opencode.json",
            "opencode.jsonc",
            "~/.aider*",
            ".aider.conf.yml",
            ".aider*",
            "~/.continue/",
            ".continue/",
            ".continuerc.json",
            ".clinerules",
            ".clinerules/",
            ".roo/",
            ".roorules",
            ".roomodes",
            "~/.codeium/",
            ".windsurf/",
            ".windsurfrules",
            ".github/copilot-instructions.md",
            ".github/instructions/",
            ".github/prompts/",
            ".vscode/mcp.json",
            "claude_desktop_config.json",
            "cline_mcp_settings.json",
            ".junie/",
            ".kiro/",
            ".amazonq/",
            "~/.aws/amazonq/",
            ".goosehints",
            "~/.config/goose/",
            "~/.openhands/",
            ".openhands/",
            "conventions.md",
            "~/library/application support/claude/",
            "~/appdata/roaming/claude/",
            "~/.config/claude/",
            "copilot-instructions.md",
            "~/.qwen/",
            ".qwen/",
            "~/.config/zed/",
        ],
    ),
    (
        Startup,
        &[
            "~/.bashrc",
            "~/.bash_profile",
            "~/.bash_login",
            "~/.bash_logout",
            "~/.bash_aliases",
            "~/.profile",
            "~/.zshrc",
            "~/.zshenv",
            "~/.zprofile",
            "~/.zlogin",
            "~/.zlogout",
            "~/.kshrc",
            "~/.cshrc",
            "~/.tcshrc",
            "~/.login",
            "~/.inputrc",
            "~/.config/fish/",
            "~/.config/autostart/",
            "~/.config/systemd/",
            "~/.local/share/systemd/",
            "~/.local/share/applications/",
            "~/.xinitrc",
            "~/.xprofile",
            "~/.xsession",
            "~/.xsessionrc",
            "~/.pam_environment",
            "~/.config/environment.d/",
            "~/.config/plasma-workspace/env/",
            "~/.config/upstart/",
            "~/.bashrc.d/",
            "~/.zshrc.d/",
            "~/.oh-my-zsh/",
            "~/.config/nushell/",
            "~/.config/powershell/",
            "~/documents/powershell/",
            "~/documents/windowspowershell/",
            "*profile.ps1",
            "~/.vimrc",
            "~/.config/nvim/init.*",
            "~/.gdbinit",
            "~/.pythonrc",
            "~/.pythonstartup",
            "sitecustomize.py",
            "usercustomize.py",
            "*.pth",
            "~/library/launchagents/",
            "/library/launchagents/",
            "/library/launchdaemons/",
            "/system/library/launchdaemons/",
            "/system/library/launchagents/",
            "/library/startupitems/",
            "~/library/preferences/com.apple.loginitems.plist",
            "/etc/periodic/",
            "/etc/emond.d/",
            "/private/var/at/tabs/",
            "/usr/lib/cron/tabs/",
            "/var/at/tabs/",
            "/etc/cron*/",
            "/etc/crontab",
            "/etc/anacrontab",
            "/var/spool/cron/",
            "/var/spool/at/",
            "/var/spool/anacron/",
            "/etc/systemd/",
            "/lib/systemd/",
            "/usr/lib/systemd/",
            "/usr/local/lib/systemd/",
            "/run/systemd/",
            "/etc/init.d/",
            "/etc/init/",
            "/etc/rc*.d/",
            "/etc/rc.local",
            "/etc/rc.common",
            "/etc/inittab",
            "/etc/profile",
            "/etc/profile.d/",
            "/etc/bash.bashrc",
            "/etc/bashrc",
            "/etc/zsh/",
            "/etc/zshrc",
            "/etc/zshenv",
            "/etc/zprofile",
            "/etc/environment",
            "/etc/xdg/autostart/",
            "/etc/update-motd.d/",
            "/etc/ld.so.preload",
            "/etc/ld.so.conf",
            "/etc/ld.so.conf.d/",
            "/etc/modules",
            "/etc/modules-load.d/",
            "/etc/udev/",
            "/lib/udev/",
            "/usr/lib/udev/",
            "/etc/apt/apt.conf.d/",
            "/etc/yum/pluginconf.d/",
            "/etc/dnf/plugins/",
            "/etc/pam.d/",
            "/etc/skel/",
            "/etc/networkmanager/dispatcher.d/",
            "/etc/network/if-up.d/",
            "/etc/dhcp/",
            "/etc/xinetd.d/",
            "/etc/inetd.conf",
            "/usr/lib/python*/sitecustomize.py",
            ".git/hooks/",
            ".git/config",
            ".githooks/",
            ".husky/",
            "~/.gitconfig",
            "~/.config/git/config",
            "~/.config/git/hooks/",
            "~/.git-templates/",
            ".envrc",
            "start menu/programs/startup",
            "~/appdata/roaming/microsoft/windows/start menu/programs/startup/",
            "c:/programdata/microsoft/windows/start menu/programs/startup/",
            "c:/windows/system32/tasks/",
            "c:/windows/tasks/",
            "c:/windows/system32/grouppolicy/",
            "c:/windows/system32/windowspowershell/",
            "autoexec.bat",
            "~/appdata/roaming/microsoft/word/startup/",
            "~/appdata/roaming/microsoft/excel/xlstart/",
        ],
    ),
    (
        Log,
        &[
            "~/.bash_history",
            "~/.zsh_history",
            "~/.history",
            "~/.sh_history",
            "~/.ash_history",
            "~/.local/share/fish/fish_history",
            "~/.python_history",
            "~/.node_repl_history",
            "~/.mysql_history",
            "~/.psql_history",
            "~/.sqlite_history",
            "~/.rediscli_history",
            "~/.irb_history",
            "~/.lesshst",
            "~/.viminfo",
            "~/.wget-hsts",
            "~/.zsh_sessions/",
            "~/.bash_sessions/",
            "~/appdata/roaming/microsoft/windows/powershell/psreadline/",
            "/var/log/",
            "/library/logs/",
            "~/library/logs/",
            "/var/run/utmp",
            "/var/account/",
            "c:/windows/system32/winevt/",
            "c:/windows/logs/",
            "*.evtx",
            ".bash_history",
            ".zsh_history",
            "consolehost_history.txt",
            "/var/audit/",
        ],
    ),
    (
        Temp,
        &[
            "/tmp/",
            "/var/tmp/",
            "/dev/shm/",
            "/var/folders/",
            "/run/shm/",
            "~/appdata/local/temp/",
            "c:/windows/temp/",
            "c:/temp/",
            "c:/tmp/",
            "c:/users/public/",
            "/data/local/tmp/",
            "/run/user/",
        ],
    ),
    (
        Executable,
        &[
            "/bin/",
            "/sbin/",
            "/usr/bin/",
            "/usr/sbin/",
            "/usr/local/bin/",
            "/usr/local/sbin/",
            "/opt/",
            "/usr/libexec/",
            "/applications/",
            "~/applications/",
            "~/.local/bin/",
            "~/bin/",
            "~/.cargo/bin/",
            "~/go/bin/",
            "~/.npm-global/",
            "~/.vscode/extensions/",
            "~/.cursor/extensions/",
            "/snap/bin/",
            "c:/program files/",
            "c:/program files (x86)/",
            "~/appdata/local/programs/",
            "/usr/games/",
            "/usr/lib/",
            "/lib/",
            "/lib64/",
            "/usr/local/lib/",
            "~/.local/lib/",
        ],
    ),
    (
        System,
        &[
            "/etc/",
            "/boot/",
            "/usr/",
            "/var/",
            "/sys/",
            "/proc/",
            "/dev/",
            "/lib32/",
            "/srv/",
            "/run/",
            "/system/",
            "/library/",
            "c:/windows/",
            "c:/boot/",
            "c:/programdata/",
            "/",
            "c:/",
            "c:",
            "~",
            "/mnt/",
            "/media/",
            "/home",
            "/users",
            "/cores/",
            "/efi/",
        ],
    ),
    (
        Config,
        &[
            "~/.config/",
            "~/.local/",
            "~/.vim/",
            "~/.emacs",
            "~/.emacs.d/",
            "~/.tmux.conf",
            "~/.screenrc",
            "~/.editorconfig",
            "~/.condarc",
            "~/.curlrc",
            "~/.wgetrc",
            "~/.inputrc",
            "~/.cache/",
            "~/library/",
            "~/appdata/",
            "~/.docker/",
            "~/.cargo/",
            "~/.npm/",
            "~/.rustup/",
            "~/.pip/",
            "~/.m2/",
            "~/.gradle/",
            "~/.*",
        ],
    ),
    (Project, &["~/"]),
];

/// The table by what a path can be looked up with, so that most patterns are never compared.
#[derive(Default)]
struct Index {
    /// Rooted patterns by their first two names.
    rooted: HashMap<&'static str, Vec<(usize, &'static str)>>,
    /// Rooted patterns with a wildcard or only one name there.
    loose: Vec<(usize, &'static str)>,
    /// Names of a file or directory at the end of a path.
    names: HashMap<&'static str, usize>,
    /// Names of a directory (or a long, telling name) anywhere in a path.
    inside: HashMap<&'static str, usize>,
    /// Names with a wildcard.
    globs: Vec<(usize, &'static str)>,
    /// Runs of several names anywhere in a path.
    runs: Vec<(usize, &'static str)>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index::default();
    for (row, (_, patterns)) in TABLE.iter().enumerate() {
        for pattern in *patterns {
            let inner = pattern.strip_suffix('/').unwrap_or(pattern);
            if is_rooted(pattern) {
                match key_of(inner).filter(|key| !key.contains('*')) {
                    Some(key) => index.rooted.entry(key).or_default().push((row, pattern)),
                    None => index.loose.push((row, pattern)),
                }
            } else if inner.contains('/') {
                index.runs.push((row, pattern));
            } else if inner.contains('*') {
                index.globs.push((row, inner));
            } else if pattern.ends_with('/') {
                index.inside.entry(inner).or_insert(row);
            } else {
                index.names.entry(inner).or_insert(row);
                if inner.len() > 16 {
                    index.inside.entry(inner).or_insert(row);
                }
            }
        }
    }
    index
});

fn is_rooted(pattern: &str) -> bool {
    pattern.starts_with(['~', '/']) || pattern.starts_with("c:")
}

/// The first two names of a rooted path: `~/.ssh`, `/etc`, `c:/windows`.
fn key_of(path: &str) -> Option<&str> {
    let (first, rest) = path.split_once('/')?;
    let second = rest.split('/').next().unwrap_or(rest);
    path.get(..first.len() + 1 + second.len()).filter(|_| !second.is_empty())
}

/// The class of a normalised, lower-case path.
pub(super) fn class_of(path: &str) -> AssetClass {
    // Windows drops dots and spaces at the end of a name.
    let trimmed = path.trim_end_matches(['.', ' ']);
    let path = if trimmed.is_empty() || trimmed.ends_with('/') { path } else { trimmed };
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut row = first_row(path, name);
    if HARMLESS.iter().any(|pattern| name_matches(pattern, name)) {
        let sensitive = |class| matches!(class, Credential | ProjectSecret | Wallet | Keychain);
        while let Some(at) = row
            && TABLE.get(at).is_some_and(|(class, _)| sensitive(*class))
        {
            row = next_row(path, name, at + 1);
        }
    }
    if let Some((class, _)) = row.and_then(|row| TABLE.get(row)) {
        return *class;
    }
    if path.is_empty() || path.contains("://") {
        return Unknown;
    }
    if is_relative(path) { Project } else { Unknown }
}

/// The first row of the table that has a pattern for `path`.
fn first_row(path: &str, name: &str) -> Option<usize> {
    let index = &*INDEX;
    let mut best = usize::MAX;
    let mut see = |row: usize| best = best.min(row);
    if is_rooted(path) {
        let keyed = key_of(path).and_then(|key| index.rooted.get(key));
        for (row, pattern) in keyed.into_iter().flatten().chain(&index.loose) {
            if below(pattern, path) {
                see(*row);
            }
        }
    }
    index.names.get(name).copied().into_iter().for_each(&mut see);
    for part in path.split('/') {
        index.inside.get(part).copied().into_iter().for_each(&mut see);
    }
    for (row, pattern) in &index.globs {
        if name_matches(pattern, name) {
            see(*row);
        }
    }
    for (row, pattern) in &index.runs {
        if contains_names(path, pattern.strip_suffix('/').unwrap_or(pattern), pattern.ends_with('/')) {
            see(*row);
        }
    }
    (best < usize::MAX).then_some(best)
}

/// The same from a row on, looking at every pattern: for the few names that are taken out of some rows.
fn next_row(path: &str, name: &str, from: usize) -> Option<usize> {
    let rows = TABLE.iter().enumerate().skip(from);
    let fits = |patterns: &[&str]| patterns.iter().any(|pattern| matches(pattern, path, name));
    rows.filter(|(_, (_, patterns))| fits(patterns)).map(|(row, _)| row).next()
}

fn matches(pattern: &str, path: &str, name: &str) -> bool {
    if is_rooted(pattern) {
        return below(pattern, path);
    }
    let inner = pattern.strip_suffix('/').unwrap_or(pattern);
    if inner.contains('/') {
        return contains_names(path, inner, pattern.ends_with('/'));
    }
    if pattern.ends_with('/') {
        return path.split('/').any(|part| part == inner);
    }
    name_matches(pattern, name)
        || (!pattern.contains('*') && pattern.len() > 16 && path.split('/').any(|part| part == pattern))
}

fn name_matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some(("", end)) if !end.contains('*') => name.len() > end.len() && name.ends_with(end),
        Some((start, "")) => name.starts_with(start),
        Some(_) => glob_matches(pattern, name),
    }
}

/// Whether `path` is the place `pattern` or, if that ends in `/`, below it.
fn below(pattern: &str, path: &str) -> bool {
    let Some(directory) = pattern.strip_suffix('/') else {
        return if pattern.contains('*') { by_names(pattern, path, false) } else { pattern == path };
    };
    if directory.is_empty() {
        return path == "/";
    }
    if directory.contains('*') {
        return by_names(directory, path, true);
    }
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn by_names(pattern: &str, path: &str, deeper: bool) -> bool {
    let mut names = path.split('/');
    for part in pattern.split('/') {
        let Some(name) = names.next() else { return false };
        if !name_matches(part, name) {
            return false;
        }
    }
    deeper || names.next().is_none()
}

fn contains_names(path: &str, run: &str, deeper: bool) -> bool {
    let mut from = 0;
    while let Some(at) = path.get(from..).and_then(|rest| rest.find(run)) {
        let (start, end) = (from + at, from + at + run.len());
        let whole = path.get(..start).is_none_or(|before| before.is_empty() || before.ends_with('/'));
        let after = path.get(end..).unwrap_or_default();
        if whole
            && (after.is_empty()
                || (deeper && after.starts_with('/'))
                || (!deeper && run.contains("leveldb") && after.starts_with('/')))
        {
            return true;
        }
        from = end;
    }
    false
}

/// The strongest class of what the glob `path` could name.
pub(super) fn class_of_glob(path: &str) -> AssetClass {
    let mut strongest = Project;
    let parts: Vec<&str> = path.split('/').collect();
    for (class, patterns) in TABLE {
        if matches!(class, Temp | Executable | System | Config | Project | Log) {
            break;
        }
        if patterns.iter().any(|pattern| could_name(pattern, &parts)) {
            strongest = stronger(strongest, *class);
        }
    }
    strongest
}

fn could_name(pattern: &str, parts: &[&str]) -> bool {
    let place = pattern.strip_suffix('/').unwrap_or(pattern);
    if place.contains('*') {
        return false;
    }
    let rooted = place.starts_with(['~', '/']) || place.starts_with("c:");
    let names: Vec<&str> = place.split('/').collect();
    if rooted {
        let deeper = pattern.ends_with('/');
        // The name that the pattern ends with must be hinted at: `/etc/*` names everything and nothing.
        let fits = parts.len() == names.len() || (deeper && parts.len() > names.len());
        let clear = parts.iter().zip(&names).skip(1).filter(|(part, _)| shows(part)).count();
        return fits
            && clear > 0
            && parts.iter().zip(&names).all(|(part, name)| part_could_be(part, name))
            && parts.get(names.len() - 1).is_none_or(|part| shows(part));
    }
    names.len() == 1 && parts.last().is_some_and(|part| shows(part) && part_could_be(part, place))
}

/// Whether a name with globs still says something: `*` could be anything and says nothing.
fn shows(part: &str) -> bool {
    // `*.json` names a kind of file; which kinds are sensitive stands in the table itself.
    if part.starts_with("*.") {
        return false;
    }
    part.chars().filter(|c| c.is_alphanumeric()).count() >= 2 || part.matches('?').count() >= 3
}

fn part_could_be(part: &str, name: &str) -> bool {
    if !part.contains(['*', '?', '[']) {
        return part == name;
    }
    let hidden = name.starts_with('.') && !part.starts_with('.');
    !hidden && glob_matches(part, name)
}
