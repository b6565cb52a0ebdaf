//! Keys and certificates of a Kubernetes: its CA, its API server, its nodes, an administrator.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::Result;
use kit::authority::write_private;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// A folder of keys and certificates in PEM form.
pub(super) struct Pki {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    /// Makes a CA there, and a key for the tokens of service accounts.
    pub(super) fn create(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut ca = named("kubernetes-ca", None);
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = ca.self_signed(&key)?;
        fs::write(folder.join("ca.crt"), certificate.pem())?;
        let tokens = KeyPair::generate()?;
        fs::write(folder.join("tokens.pub"), tokens.public_key_pem())?;
        write_private(
            &folder.join("tokens.key"),
            tokens.serialize_pem().as_bytes(),
        )?;
        Ok(Self {
            folder,
            issuer: Issuer::new(ca, key),
        })
    }

    /// `NAME.crt` and `NAME.key` for an API server that is reached at these addresses.
    pub(super) fn server(&self, name: &str, addresses: &[Ipv4Addr]) -> Result<()> {
        let mut params = named(name, None);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names = vec![
            SanType::DnsName("localhost".try_into()?),
            SanType::DnsName("kubernetes.default.svc".try_into()?),
        ];
        params.subject_alt_names.extend(addresses.iter().map(at));
        self.issue(name, &params)
    }

    /// `NAME.crt` and `NAME.key` for a client: a user of that name in a group.
    pub(super) fn client(&self, name: &str, group: &str) -> Result<()> {
        let mut params = named(name, Some(group));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(name, &params)
    }

    /// `NAME.crt` and `NAME.key` for the kubelet of a node of that name: it calls the API server and
    /// is called by it.
    pub(super) fn node(&self, name: &str, address: Ipv4Addr) -> Result<()> {
        let user = format!("system:node:{name}");
        let mut params = named(&user, Some("system:nodes"));
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.subject_alt_names = vec![at(&address)];
        self.issue(name, &params)
    }

    /// Where they all are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn issue(&self, name: &str, params: &CertificateParams) -> Result<()> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let file = |ending: &str| self.folder.join(format!("{name}.{ending}"));
        write_private(&file("key"), key.serialize_pem().as_bytes())?;
        fs::write(file("crt"), certificate.pem())?;
        Ok(())
    }
}

fn at(address: &Ipv4Addr) -> SanType {
    SanType::IpAddress(IpAddr::V4(*address))
}

fn named(name: &str, group: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        let organisation = DnType::OrganizationName;
        params.distinguished_name.push(organisation, group);
    }
    params
}

/// How `kubectl` and kube's client reach a server as one of the clients; JSON is YAML too.
pub(super) fn kubeconfig(pki: &Pki, client: &str, server: &str) -> String {
    let file = |name: &str| pki.folder.join(name).display().to_string();
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {
            "server": server,
            "certificate-authority": file("ca.crt"),
        }}],
        "users": [{"name": client, "user": {
            "client-certificate": file(&format!("{client}.crt")),
            "client-key": file(&format!("{client}.key")),
        }}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": client}}],
    })
    .to_string()
}
