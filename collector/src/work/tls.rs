//! TLS: handshakes, and the certificates they use.
//!
//! Handshakes run beside each other, so a client that does not finish its own keeps nobody waiting. A
//! certificate that changed on disk is taken at the next reload, for new connections.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use crate::config::TlsConfig;

/// The certificates that new connections get, renewed while connections last.
#[derive(Debug)]
pub struct Certificates(RwLock<Arc<ServerConfig>>);

impl Certificates {
    /// Reads the files of a configuration.
    ///
    /// # Errors
    /// Names the file that is missing, empty or does not fit.
    pub fn load(config: &TlsConfig) -> anyhow::Result<Self> {
        Ok(Self(RwLock::new(Arc::new(server_config(config)?))))
    }

    /// Takes those of another instead.
    pub fn replace(&self, other: Self) {
        let config = other.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// What makes new connections.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// A connection whose handshake is done in time.
pub(crate) async fn handshake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<TlsStream<TcpStream>> {
    match tokio::time::timeout(HANDSHAKE_WAITS, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => debug!(%error, %peer, "A TLS handshake failed"),
        Err(_) => debug!(%peer, "A TLS handshake took too long"),
    }
    None
}

fn server_config(config: &TlsConfig) -> anyhow::Result<ServerConfig> {
    let chain = certificates(&config.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&config.key)
        .with_context(|| format!("`{}` holds no private key in PEM", config.key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match &config.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).with_context(|| format!("`{}` is no authority", path.display()))?;
            }
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?,
            )
        }
    };
    let mut server = builder
        .with_single_cert(chain, key)
        .with_context(|| format!("`{}` does not go with its key", config.certificate.display()))?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(server)
}

/// The certificates of a PEM file, at least one.
pub(crate) fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.with_context(|| format!("`{}` cannot be read as PEM", path.display()))?;
    ensure!(!certificates.is_empty(), "`{}` holds no certificate", path.display());
    Ok(certificates)
}

/// How long a handshake may take.
const HANDSHAKE_WAITS: Duration = Duration::from_secs(10);
