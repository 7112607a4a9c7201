//! What clients of the egress door read: `~/.sphyr/config.json`, `SPHYR_CREDENTIAL`, `SPHYR_MCP_URL`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use doorward_core::syntax::{Node, json};
use doorward_store::accounts::parse_credential;
use doorward_store::{Home, StoreError, write_atomic};
use zeroize::Zeroizing;

use crate::config::user_home_text;
use crate::serve::data_address_file;
use crate::terminal::{config_error, say};

/// Where a client finds its credential.
pub const CREDENTIAL: &str = "SPHYR_CREDENTIAL";

/// Where a client finds its gateway.
pub const MCP_URL: &str = "SPHYR_MCP_URL";

/// The most bytes of a client's file.
const LARGEST: u64 = 64 * 1024;

/// The file of the clients of this user.
///
/// # Errors
/// If there is no home directory.
pub fn file() -> anyhow::Result<PathBuf> {
    let home = user_home_text();
    anyhow::ensure!(!home.is_empty(), "there is no home directory to write ~/.sphyr/config.json in");
    Ok(Path::new(&home).join(".sphyr").join("config.json"))
}

/// What stands in the file.
fn kept(file: &Path) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
    use std::io::Read as _;
    let opened = match std::fs::File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
    let read = opened.take(LARGEST + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Some(bytes))
}

/// The file, if a credential may be written to it.
///
/// # Errors
/// If something stands there that is not to be replaced.
pub fn free(replace: bool) -> anyhow::Result<PathBuf> {
    let file = file()?;
    let Some(bytes) = kept(&file)?.filter(|_| !replace) else { return Ok(file) };
    let whose = match json::parse(&bytes) {
        Ok(node) => match node.text("credential") {
            None => return Ok(file),
            Some(credential) => match parse_credential(credential) {
                Some((id, _)) => format!("the credential of {id}"),
                None => "another credential".to_owned(),
            },
        },
        Err(_) => "something that is not JSON".to_owned(),
    };
    Err(config_error(format!(
        "{} holds {whose}; it is replaced only with --replace, and nothing was done",
        file.display()
    )))
}

/// Writes the file, readable for its owner alone from the first byte.
///
/// # Errors
/// If it cannot be written.
pub fn write(file: &Path, credential: &str, url: &str) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let text = doorward_control::Object::new().text("credential", credential).text("mcp_url", url).end();
    let mut text = Zeroizing::new(text);
    text.push(b'\n');
    Ok(write_atomic(file, &text)?)
}

/// Where clients of this home find the door: what the environment says, where the running process listens, or what is `set`.
pub fn url(home: &Home, set: std::net::SocketAddr) -> String {
    if let Ok(url) = std::env::var(MCP_URL)
        && !url.is_empty()
    {
        say(&format!("{MCP_URL} is set: clients are told that address"));
        return url;
    }
    // What an earlier process has left there says nothing.
    let runs = matches!(home.lock(), Err(StoreError::Locked { .. }));
    let told = runs.then(|| std::fs::read_to_string(data_address_file(home)).ok()).flatten();
    let running = told.and_then(|text| text.trim().parse().ok());
    format!("http://{}/mcp", running.unwrap_or(set))
}

/// The key whose credential a client of this user would show: of the environment, then of the file.
///
/// # Errors
/// If there is none, or it is no credential.
pub fn key() -> anyhow::Result<String> {
    let of = |text: &str, place: &str| {
        let id = parse_credential(text).map(|(id, _)| id.to_owned());
        let id = id.ok_or_else(|| config_error(format!("{place} holds no credential of a key")))?;
        say(&format!("the key of {place}: {id}"));
        Ok(id)
    };
    if let Some(credential) = std::env::var(CREDENTIAL).ok().filter(|text| !text.is_empty()) {
        return of(&Zeroizing::new(credential), CREDENTIAL);
    }
    let file = file()?;
    let nothing = || {
        let message =
            format!("which key? Name it; neither {CREDENTIAL} is set nor is there {}", file.display());
        config_error(message)
    };
    let bytes = kept(&file)?.ok_or_else(nothing)?;
    let node = json::parse(&bytes).ok();
    let credential = node.as_ref().and_then(|node: &Node| node.text("credential")).ok_or_else(nothing)?;
    of(credential, &file.display().to_string())
}
