//! What is fuzzed, and what must hold for any input.
//!
//! A target is a plain function that takes bytes and panics if a property does not hold. libFuzzer drives it
//! (`fuzz/libfuzzer`, by `cargo xtask fuzz`), and so does an ordinary test, which needs neither clang nor a
//! nightly toolchain: it replays the corpus and mutates it a little, the same way each time.
//!
//! A target asserts more than the absence of panics: what another parser says of the same bytes, what any
//! split of them must leave unchanged, what must never come out.

pub mod conditions;
pub mod json;
pub mod ledger;
pub mod machine;
pub mod mutate;
pub mod pack;
pub mod policy;
pub mod requests;
pub mod shell;
pub mod sse;
pub mod stream;
pub mod transcript;
pub mod yaml;

/// One thing that is fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of the libFuzzer binary, the corpus and the folder of regressions.
    pub name: &'static str,
    /// Panics if a property does not hold for these bytes.
    pub run: fn(&[u8]),
    /// The longest input worth making, in bytes.
    pub longest: usize,
}

/// Every target.
pub const TARGETS: [Target; 13] = [
    Target { name: "sse", run: sse::sse, longest: 2048 },
    Target { name: "stream", run: stream::stream, longest: 4096 },
    Target { name: "transcript", run: transcript::transcript, longest: 256 },
    Target { name: "requests", run: requests::requests, longest: 4096 },
    Target { name: "shell", run: shell::shell, longest: 2048 },
    Target { name: "json", run: json::json, longest: 2048 },
    Target { name: "yaml", run: yaml::yaml, longest: 2048 },
    Target { name: "policy", run: policy::policy, longest: 192 },
    Target { name: "receipt", run: ledger::receipt, longest: 4096 },
    Target { name: "bundle", run: ledger::bundle, longest: 8192 },
    Target { name: "proof", run: ledger::proof, longest: 4096 },
    Target { name: "jsonpath", run: conditions::jsonpath, longest: 1024 },
    Target { name: "body", run: conditions::body, longest: 1024 },
];

/// The target of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
