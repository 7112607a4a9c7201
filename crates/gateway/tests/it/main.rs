//! The gateway on real sockets: a real store and ledger, an upstream that says what the test wants.

#[cfg(test)]
mod approvals;

#[cfg(test)]
mod benign;

#[cfg(test)]
mod chains;

#[cfg(test)]
mod conversations;

#[cfg(test)]
mod costs;
#[cfg(test)]
mod destinations;

#[cfg(test)]
mod egress;

#[cfg(test)]
mod egress_keys;

#[cfg(test)]
mod encodings;

#[cfg(test)]
mod evasions;

#[cfg(test)]
mod fail_closed;

#[cfg(test)]
mod hostile;

#[cfg(test)]
mod http;

#[cfg(test)]
mod http1;

#[cfg(test)]
mod http2;

#[cfg(test)]
mod limits;

#[cfg(test)]
mod opinion;

#[cfg(test)]
mod quarantine;

#[cfg(test)]
mod races;

#[cfg(test)]
mod redaction;

#[cfg(test)]
mod replace;

#[cfg(test)]
mod request_rules;

#[cfg(test)]
mod restart;

#[cfg(test)]
mod routes;
#[cfg(test)]
mod sessions;

#[cfg(test)]
mod soak;

#[cfg(test)]
mod support;

#[cfg(test)]
mod toolsets;

#[cfg(test)]
mod transcripts;

#[cfg(test)]
mod webhooks;

/// A permit cannot be made, copied or opened by anyone but `record.rs` and `forward.rs`: what tries does
/// not compile, for exactly the reason named beside it.
#[test]
fn permits_cannot_be_forged() {
    trybuild::TestCases::new().compile_fail("tests/unforgeable/*.rs");
}
