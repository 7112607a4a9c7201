//! The stream machine on arbitrary bytes.

use crate::machine::{CANARY, Setup, check};
use crate::mutate::hash;

/// The first three bytes choose dialect, framing, mode and cuts, the rest is the reply. Calls that hold the
/// canary are blocked, of the others every second one.
pub fn stream(data: &[u8]) {
    let Some((head, reply)) = data.split_first_chunk::<3>() else { return };
    let setup = Setup::of(*head);
    check(&setup, reply, &|action, arguments| {
        let name = action.tool.as_ref().map_or("", |tool| &tool.name);
        String::from_utf8_lossy(arguments).contains(CANARY)
            || hash(u64::from(setup.seed), &[name.as_bytes(), b"\0", arguments].concat()) & 1 == 0
    });
}
