//! Fake providers and playbooks for tests. Never shipped.
