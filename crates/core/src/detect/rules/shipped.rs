//! The rules that come with Doorward. Generated from the folder `rules/`; a test fails when the list
//! and the folder differ, and `DOORWARD_REGENERATE=1 cargo test -p doorward-core --test it list_of`
//! writes it.

use crate::syntax::Source;

/// The rule files, by name.
#[must_use]
#[rustfmt::skip]
pub const fn shipped() -> &'static [Source<'static>] {
    &[
        Source { name: "rules/credentials.yaml", text: include_str!("../../../../../rules/credentials.yaml") },
        Source { name: "rules/destinations.yaml", text: include_str!("../../../../../rules/destinations.yaml") },
        Source { name: "rules/destruction.yaml", text: include_str!("../../../../../rules/destruction.yaml") },
        Source { name: "rules/execution.yaml", text: include_str!("../../../../../rules/execution.yaml") },
        Source { name: "rules/exfiltration.yaml", text: include_str!("../../../../../rules/exfiltration.yaml") },
        Source { name: "rules/injection.yaml", text: include_str!("../../../../../rules/injection.yaml") },
        Source { name: "rules/injection/lexicon.yaml", text: include_str!("../../../../../rules/injection/lexicon.yaml") },
        Source { name: "rules/injection/signals.yaml", text: include_str!("../../../../../rules/injection/signals.yaml") },
        Source { name: "rules/network.yaml", text: include_str!("../../../../../rules/network.yaml") },
        Source { name: "rules/persistence.yaml", text: include_str!("../../../../../rules/persistence.yaml") },
        Source { name: "rules/shared.yaml", text: include_str!("../../../../../rules/shared.yaml") },
        Source { name: "rules/tools.yaml", text: include_str!("../../../../../rules/tools.yaml") },
        Source { name: "rules/unix-access.yaml", text: include_str!("../../../../../rules/unix-access.yaml") },
        Source { name: "rules/unix-credentials.yaml", text: include_str!("../../../../../rules/unix-credentials.yaml") },
        Source { name: "rules/unix-evasion.yaml", text: include_str!("../../../../../rules/unix-evasion.yaml") },
        Source { name: "rules/unix-execution.yaml", text: include_str!("../../../../../rules/unix-execution.yaml") },
        Source { name: "rules/unix-impact.yaml", text: include_str!("../../../../../rules/unix-impact.yaml") },
        Source { name: "rules/unix-network.yaml", text: include_str!("../../../../../rules/unix-network.yaml") },
        Source { name: "rules/unix-persistence.yaml", text: include_str!("../../../../../rules/unix-persistence.yaml") },
        Source { name: "rules/unix-tampering.yaml", text: include_str!("../../../../../rules/unix-tampering.yaml") },
        Source { name: "rules/windows-credentials.yaml", text: include_str!("../../../../../rules/windows-credentials.yaml") },
        Source { name: "rules/windows-evasion.yaml", text: include_str!("../../../../../rules/windows-evasion.yaml") },
        Source { name: "rules/windows-execution.yaml", text: include_str!("../../../../../rules/windows-execution.yaml") },
        Source { name: "rules/windows-impact.yaml", text: include_str!("../../../../../rules/windows-impact.yaml") },
        Source { name: "rules/windows-network.yaml", text: include_str!("../../../../../rules/windows-network.yaml") },
        Source { name: "rules/windows-persistence.yaml", text: include_str!("../../../../../rules/windows-persistence.yaml") },
    ]
}
