//! The key that signs the ledger, and how it is exchanged for another one.
//!
//! ```text
//! ledger.key       the seed of the key that signs
//! ledger.key.next  the seed of the one that is to follow, while a rotation is under way
//! ledger.keys      once there was a rotation: all keys that ever signed, public, the first one first, and at which receipt
//! ```
//!
//! A log has the name of its first key for ever. The rotation is what the log says: if its newest checkpoint is signed by
//! the next key, there was one, and the next start finishes what is left to do; if not, there was none.

use anyhow::Context as _;
use doorward_core::syntax::hex;
use doorward_gateway::Recorder;
use doorward_ledger::{Kind, Receipt, SignedCheckpoint, SigningKey, VerifyingKey, View};
use doorward_store::{Home, Secret32, write_atomic};

/// The public keys of a log, in their order, and the receipts by which they came.
#[derive(Debug, Default)]
pub struct Known {
    keys: Vec<(VerifyingKey, Option<u64>)>,
}

impl Known {
    fn file(home: &Home) -> std::path::PathBuf {
        home.root().join("ledger.keys")
    }

    /// Those of `home`; none if its key was never exchanged.
    ///
    /// # Errors
    /// If the file is there and cannot be read or understood: without the first key's name nothing verifies.
    pub fn of(home: &Home) -> anyhow::Result<Self> {
        let path = Self::file(home);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let line = |line: &str| {
            let (key, index) = line.split_once(' ').unwrap_or((line, ""));
            let index = if index.is_empty() { None } else { Some(index.parse::<u64>().ok()?) };
            Some((VerifyingKey::parse(key).ok()?, index))
        };
        let keys = text.lines().map(line).collect::<Option<Vec<_>>>().filter(|keys| !keys.is_empty());
        let keys = keys.with_context(|| {
            format!("{} is not a list of keys as Doorward writes it; put it back from a copy", path.display())
        })?;
        Ok(Self { keys })
    }

    fn write(&self, home: &Home) -> anyhow::Result<()> {
        let line = |(key, index): &(VerifyingKey, Option<u64>)| match index {
            Some(index) => format!("{} {index}\n", key.vkey()),
            None => format!("{}\n", key.vkey()),
        };
        let text: String = self.keys.iter().map(line).collect();
        Ok(write_atomic(&Self::file(home), text.as_bytes())?)
    }

    /// The first key: by it the whole log is verified.
    pub fn first(&self) -> Option<&VerifyingKey> {
        self.keys.first().map(|(key, _)| key)
    }

    /// At which receipts the key was exchanged.
    pub fn rotations(&self) -> Vec<u64> {
        self.keys.iter().filter_map(|(_, index)| *index).collect()
    }

    fn add(&mut self, key: VerifyingKey, index: u64) {
        if !self.keys.iter().any(|(known, _)| *known == key) {
            self.keys.push((key, Some(index)));
        }
    }
}

/// The key that signs receipts of `home`.
///
/// # Errors
/// If it cannot be read or created.
pub fn signing_key(home: &Home) -> anyhow::Result<SigningKey> {
    let seed = home.ledger_seed()?;
    if let Some(first) = Known::of(home)?.first() {
        return Ok(SigningKey::from_seed(first.name(), seed.expose())?);
    }
    // The name carries the key's own id, so that two nodes' receipts are told apart at a glance.
    let unnamed = SigningKey::from_seed("doorward", seed.expose())?;
    let id = hex(&unnamed.public().id());
    Ok(SigningKey::from_seed(&format!("doorward/{id}"), seed.expose())?)
}

/// The checkpoint that was remembered outside of the log, by whichever of its keys.
///
/// # Errors
/// If there is one, and none of them signed it.
pub fn remembered(home: &Home) -> anyhow::Result<Option<SignedCheckpoint>> {
    let Some(text) = home.checkpoint_seen()? else { return Ok(None) };
    let key = signing_key(home)?;
    let earlier = Known::of(home)?;
    let by_earlier = earlier.keys.iter().find_map(|(key, _)| SignedCheckpoint::verify(&text, key).ok());
    if let Some(checkpoint) = by_earlier {
        return Ok(Some(checkpoint));
    }
    let checkpoint = SignedCheckpoint::verify(&text, key.public()).with_context(|| {
        let file = home.checkpoint_file();
        format!("{} is not a checkpoint of this key; move it away if you know why", file.display())
    })?;
    Ok(Some(checkpoint))
}

/// Exchanges the key for a fresh one. Returns the new key.
///
/// # Errors
/// If it could not be done; then the old key signs on, or, if the log says otherwise already, the next start finishes it.
pub async fn rotate(home: &Home, recorder: &Recorder) -> anyhow::Result<VerifyingKey> {
    let old = signing_key(home)?;
    let mut known = Known::of(home)?;
    if known.keys.is_empty() {
        known.keys.push((old.public().clone(), None));
        // Before anything else: the name of the log is to be found under any key.
        known.write(home)?;
    }
    let seed = Secret32::random()?;
    let next = SigningKey::from_seed(old.public().name(), seed.expose())?;
    let public = next.public().clone();
    write_atomic(&next_file(home), seed.expose())?;
    match recorder.rotate_key(next).await {
        Ok(checkpoint) => {
            let size = SignedCheckpoint::verify(&checkpoint, &public)?.size();
            finish(home, &public, size.saturating_sub(1), &checkpoint)?;
        }
        // Whether it stands in the log the log says, at the next start.
        Err(error) => anyhow::bail!("the key could not be exchanged: {error}"),
    }
    Ok(public)
}

/// Finishes a rotation that was cut off, or removes what is left of one that never was. Whoever calls has the home.
///
/// # Errors
/// If the log cannot be read, or files not be written.
pub fn settle(home: &Home) -> anyhow::Result<()> {
    let file = next_file(home);
    let seed = match std::fs::read(&file) {
        Ok(seed) => zeroize::Zeroizing::new(seed),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    let old = signing_key(home)?;
    let remove = || std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()));
    let Some(seed) = Secret32::from_slice(&seed) else { return remove() };
    let next = SigningKey::from_seed(old.public().name(), seed.expose())?;
    match View::open(&home.log_dir(), next.public()) {
        Ok(view) => match view.checkpoint().map(|checkpoint| checkpoint.text().to_owned()) {
            Some(newest) => {
                tracing::info!("the ledger's key was being exchanged; that is finished now");
                let index = rotation_to(&view, next.public())?;
                finish(home, next.public(), index, &newest)
            }
            None => remove(),
        },
        Err(_) => {
            // Only if it is the old key's log is the new key of no use.
            View::open(&home.log_dir(), old.public())?;
            remove()
        }
    }
}

/// The index of the receipt by which `key` came.
fn rotation_to(view: &View, key: &VerifyingKey) -> anyhow::Result<u64> {
    let (needle, mut end) = (key.vkey(), view.size());
    while end > 0 {
        let start = end.saturating_sub(4096);
        let mut found = None;
        for entry in view.entries(start..end) {
            let (index, bytes) = entry?;
            let is_it = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
            let receipt = is_it.then(|| Receipt::parse(&bytes).ok()).flatten();
            if receipt.is_some_and(|receipt| *receipt.kind() == Kind::KeyRotation) {
                found = Some(index);
            }
        }
        if let Some(index) = found {
            return Ok(index);
        }
        end = start;
    }
    anyhow::bail!("the log is signed by the next key, and no receipt says so: run `doorward receipts verify`")
}

fn next_file(home: &Home) -> std::path::PathBuf {
    home.root().join("ledger.key.next")
}

/// What is left to do once the log has it. The old seed is gone with the last step.
fn finish(home: &Home, next: &VerifyingKey, index: u64, checkpoint: &str) -> anyhow::Result<()> {
    let mut known = Known::of(home)?;
    known.add(next.clone(), index);
    known.write(home)?;
    home.remember_checkpoint(checkpoint)?;
    let (from, to) = (next_file(home), home.ledger_key_file());
    std::fs::rename(&from, &to).with_context(|| format!("cannot move {} to its place", from.display()))?;
    if let Ok(folder) = std::fs::File::open(home.root()) {
        let _ = folder.sync_all();
    }
    Ok(())
}
