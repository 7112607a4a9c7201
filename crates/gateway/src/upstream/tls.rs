//! TLS to upstreams, with the system's own certificates.

use std::sync::{Arc, OnceLock};

use rustls_platform_verifier::BuilderVerifierExt;
use tokio_rustls::TlsConnector;

/// A connector that trusts what the system trusts. Made once: reading the system's certificates takes
/// milliseconds.
///
/// # Errors
/// In words, if the system has no certificates to trust.
pub fn connector() -> Result<TlsConnector, String> {
    shared().map(TlsConnector::from)
}

fn shared() -> Result<Arc<rustls::ClientConfig>, String> {
    static CONFIG: OnceLock<Result<Arc<rustls::ClientConfig>, String>> = OnceLock::new();
    CONFIG.get_or_init(config).clone()
}

/// The same for whom only HTTP/1.1 is spoken with.
///
/// # Errors
/// As [`connector`].
pub fn connector_for_http1() -> Result<TlsConnector, String> {
    static CONFIG: OnceLock<Result<Arc<rustls::ClientConfig>, String>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let mut config = (*shared()?).clone();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    });
    config.clone().map(TlsConnector::from)
}

fn config() -> Result<Arc<rustls::ClientConfig>, String> {
    let failed = |error: rustls::Error| {
        format!("TLS cannot be set up: {error}; are the system's CA certificates installed?")
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(failed)?
        .with_no_client_auth();
    config.alpn_protocols = protocols();
    Ok(Arc::new(config))
}

/// What is offered, the preferred one first (ALPN, RFC 7301).
pub fn protocols() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}
