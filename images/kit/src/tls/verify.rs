//! Who may be at the other end: certificate verification on top of webpki's.
//!
//! webpki checks chain, dates, key usage and the constant DNS name, but knows no URI names; the
//! verifiers here add the identity. Each handshake takes the set that is current then.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use wire::identity::Identity;

use super::credentials::Current;
use super::error::PeerError;
use super::peer::peer_identity;

/// On the calling side: the peer must be exactly the one that was called.
#[derive(Debug)]
pub(super) struct ExactPeer {
    pub(super) current: Current,
    pub(super) expect: Identity,
}

impl ServerCertVerifier for ExactPeer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.current.get().servers.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        let found = peer_identity(std::slice::from_ref(end_entity)).map_err(refuse)?;
        if found == self.expect {
            return Ok(verified);
        }
        Err(refuse(PeerError::OtherPeer {
            expected: self.expect.clone(),
            found,
        }))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let set = self.current.get();
        set.servers.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let set = self.current.get();
        set.servers.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current.get().servers.supported_verify_schemes()
    }
}

/// On the answering side: anyone of our cluster; what each may call is decided per method.
#[derive(Debug)]
pub(super) struct SameCluster {
    pub(super) current: Current,
}

impl ClientCertVerifier for SameCluster {
    /// No hints: a caller has one certificate and sends it anyway.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let set = self.current.get();
        let clients = &set.clients;
        let verified = clients.verify_client_cert(end_entity, intermediates, now)?;
        let found = peer_identity(std::slice::from_ref(end_entity)).map_err(refuse)?;
        let expected = set.identity.cluster();
        if found.cluster() == expected {
            return Ok(verified);
        }
        Err(refuse(PeerError::OtherCluster { expected, found }))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let set = self.current.get();
        set.clients.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let set = self.current.get();
        set.clients.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current.get().clients.supported_verify_schemes()
    }
}

fn refuse(error: PeerError) -> Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}
