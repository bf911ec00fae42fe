//! The authority: its own certificate, those it issues, its revocation lists.

use std::path::Path;

use aws_lc_rs::rand;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevocationReason, RevokedCertParams, SanType, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use crate::issued::write_pair;
use crate::{Error, Issued, Validity};

/// A self-signed certificate authority with its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// What a client certificate says of its holder.
///
/// With a `spiffe://` URI and no DNS name the certificate is a SPIFFE X509-SVID. What is given is
/// not judged, so that tests can have certificates that break the rules.
#[derive(Debug, Clone, Default)]
pub struct ClientSpec {
    /// Subject common name.
    pub common_name: String,
    /// URI among the alternative names, such as a SPIFFE id.
    pub uri: Option<String>,
    /// DNS name among the alternative names.
    pub dns: Option<String>,
    /// When it holds; thirty days unless said.
    pub validity: Option<Validity>,
}

impl ClientSpec {
    /// A client that only a common name tells.
    pub fn named(common_name: impl Into<String>) -> Self {
        Self {
            common_name: common_name.into(),
            ..Self::default()
        }
    }

    /// A workload with a SPIFFE id.
    pub fn spiffe(common_name: impl Into<String>, uri: impl Into<String>) -> Self {
        Self {
            uri: Some(uri.into()),
            ..Self::named(common_name)
        }
    }
}

impl Authority {
    /// A new authority, good for ten years.
    pub fn new(name: &str) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut params = blank(name, Validity::days(3650))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = false;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
        })
    }

    /// The authority that `write` left: its certificate and key, both in PEM.
    pub fn load(cert_pem: &str, key_pem: &str) -> Result<Self, Error> {
        let issuer = Issuer::from_ca_cert_pem(cert_pem, KeyPair::from_pem(key_pem)?)?;
        Ok(Self {
            issuer,
            pem: cert_pem.to_owned(),
        })
    }

    /// The authority's certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The authority's private key (PKCS #8).
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Writes `stem.pem` and `stem.key` into `dir`; the key is readable by its owner only.
    pub fn write(&self, dir: impl AsRef<Path>, stem: &str) -> Result<(), Error> {
        write_pair(dir.as_ref(), stem, &self.pem, &self.key_pem())
    }

    /// A server certificate for these DNS names and IP addresses.
    pub fn server(&self, names: &[&str]) -> Result<Issued, Error> {
        self.server_valid(names, Validity::default())
    }

    /// A server certificate that holds at the given time only.
    pub fn server_valid(&self, names: &[&str], validity: Validity) -> Result<Issued, Error> {
        let mut params = blank(names.first().copied().unwrap_or("server"), validity)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in names {
            params.subject_alt_names.push(match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName((*name).try_into()?),
            });
        }
        self.issue(params)
    }

    /// A client certificate.
    pub fn client(&self, spec: &ClientSpec) -> Result<Issued, Error> {
        let mut params = blank(&spec.common_name, spec.validity.unwrap_or_default())?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if let Some(uri) = &spec.uri {
            params
                .subject_alt_names
                .push(SanType::URI(uri.as_str().try_into()?));
        }
        if let Some(dns) = &spec.dns {
            params
                .subject_alt_names
                .push(SanType::DnsName(dns.as_str().try_into()?));
        }
        self.issue(params)
    }

    /// A revocation list (PEM) of these certificates, good for thirty days.
    pub fn crl(&self, revoked: &[&Issued]) -> Result<String, Error> {
        let serials: Vec<&[u8]> = revoked
            .iter()
            .map(|issued| issued.serial.as_slice())
            .collect();
        self.crl_of(&serials, Validity::default())
    }

    /// A revocation list (PEM) of these serial numbers (big-endian): `thisUpdate` and `nextUpdate` as given.
    pub fn crl_of(&self, serials: &[&[u8]], validity: Validity) -> Result<String, Error> {
        let now = OffsetDateTime::now_utc();
        let revoked_certs = serials
            .iter()
            .map(|serial| RevokedCertParams {
                serial_number: SerialNumber::from_slice(serial),
                revocation_time: validity.not_before - Duration::hours(1),
                reason_code: Some(RevocationReason::KeyCompromise),
                invalidity_date: None,
            })
            .collect();
        let params = CertificateRevocationListParams {
            this_update: validity.not_before,
            next_update: validity.not_after,
            // Later lists need a larger number, also after a restart.
            crl_number: SerialNumber::from_slice(&now.unix_timestamp_nanos().to_be_bytes()),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.pem()?)
    }

    fn issue(&self, params: CertificateParams) -> Result<Issued, Error> {
        let key = KeyPair::generate()?;
        let serial = params
            .serial_number
            .as_ref()
            .map(SerialNumber::to_bytes)
            .unwrap_or_default();
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            cert_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            cert_der: certificate.der().clone(),
            serial,
        })
    }
}

/// What every certificate here has in common: cA=false, digitalSignature, a random serial number.
fn blank(common_name: &str, validity: Validity) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.not_before = validity.not_before;
    params.not_after = validity.not_after;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(SerialNumber::from_slice(&random_serial()?));
    Ok(params)
}

/// 16 random bytes, positive and without a leading zero (RFC 5280 §4.1.2.2).
fn random_serial() -> Result<[u8; 16], Error> {
    let mut serial = [0; 16];
    rand::fill(&mut serial).map_err(|_| Error::Random)?;
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(serial)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use x509_parser::prelude::{
        CertificateRevocationList, FromDer, GeneralName, X509Certificate, parse_x509_pem,
    };

    use super::{Authority, ClientSpec, OffsetDateTime};
    use crate::Validity;

    fn pem_der(pem: &str) -> Vec<u8> {
        parse_x509_pem(pem.as_bytes()).unwrap().1.contents
    }

    #[test]
    fn a_server_certificate_names_hosts_and_addresses_and_verifies() {
        let ca = Authority::new("test ca").unwrap();
        let server = ca.server(&["localhost", "127.0.0.1"]).unwrap();
        let root_der = pem_der(ca.pem());
        let (_, root) = X509Certificate::from_der(&root_der).unwrap();
        let (_, leaf) = X509Certificate::from_der(&server.cert_der).unwrap();
        leaf.verify_signature(Some(root.public_key())).unwrap();
        assert_eq!(leaf.issuer(), root.subject());
        assert!(leaf.validity().is_valid());
        let names = &leaf
            .subject_alternative_name()
            .unwrap()
            .unwrap()
            .value
            .general_names;
        assert_eq!(names[0], GeneralName::DNSName("localhost"));
        assert_eq!(names[1], GeneralName::IPAddress(&[127, 0, 0, 1]));
        let usage = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.client_auth);
        assert!(root.is_ca() && root.key_usage().unwrap().unwrap().value.crl_sign());
        assert_eq!(pem_der(&server.cert_pem), server.cert_der.as_ref());
    }

    #[test]
    fn a_spiffe_client_is_a_conformant_svid() {
        let ca = Authority::new("test ca").unwrap();
        let client = ca
            .client(&ClientSpec::spiffe("lab", "spiffe://hospital.example/lab"))
            .unwrap();
        let (_, leaf) = X509Certificate::from_der(&client.cert_der).unwrap();
        let names = &leaf
            .subject_alternative_name()
            .unwrap()
            .unwrap()
            .value
            .general_names;
        assert_eq!(
            names.as_slice(),
            [GeneralName::URI("spiffe://hospital.example/lab")]
        );
        let basic = leaf.basic_constraints().unwrap().unwrap().value;
        assert!(!basic.ca);
        let usage = leaf.key_usage().unwrap().unwrap();
        assert!(usage.critical && usage.value.digital_signature());
        assert!(!usage.value.key_cert_sign() && !usage.value.crl_sign());
        let extended = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(extended.client_auth && !extended.server_auth);
    }

    #[test]
    fn overrides_make_expired_and_future_certificates() {
        let ca = Authority::new("test ca").unwrap();
        let old = ca
            .server_valid(&["localhost"], Validity::expired())
            .unwrap();
        let (_, leaf) = X509Certificate::from_der(&old.cert_der).unwrap();
        assert!(leaf.validity().not_after.timestamp() < OffsetDateTime::now_utc().unix_timestamp());
        let spec = ClientSpec {
            validity: Some(Validity::future()),
            ..ClientSpec::named("early")
        };
        let early = ca.client(&spec).unwrap();
        let (_, leaf) = X509Certificate::from_der(&early.cert_der).unwrap();
        assert!(
            leaf.validity().not_before.timestamp() > OffsetDateTime::now_utc().unix_timestamp()
        );
    }

    #[test]
    fn a_crl_lists_the_revoked_and_is_signed_by_the_authority() {
        let ca = Authority::new("test ca").unwrap();
        let kept = ca.client(&ClientSpec::named("kept")).unwrap();
        let gone = ca.client(&ClientSpec::named("gone")).unwrap();
        let der = pem_der(&ca.crl(&[&gone]).unwrap());
        let (_, crl) = CertificateRevocationList::from_der(&der).unwrap();
        let root_der = pem_der(ca.pem());
        let (_, root) = X509Certificate::from_der(&root_der).unwrap();
        crl.verify_signature(root.public_key()).unwrap();
        let (_, gone_leaf) = X509Certificate::from_der(&gone.cert_der).unwrap();
        let serials: Vec<_> = crl
            .iter_revoked_certificates()
            .map(|revoked| revoked.raw_serial().to_vec())
            .collect();
        assert_eq!(serials, [gone_leaf.raw_serial().to_vec()]);
        assert!(!serials.contains(&kept.serial));

        let stale = pem_der(&ca.crl_of(&[], Validity::expired()).unwrap());
        let (_, stale) = CertificateRevocationList::from_der(&stale).unwrap();
        assert!(
            stale.next_update().unwrap().timestamp() < OffsetDateTime::now_utc().unix_timestamp()
        );
    }

    #[test]
    fn a_loaded_authority_goes_on_signing() {
        let first = Authority::new("test ca").unwrap();
        let again = Authority::load(first.pem(), &first.key_pem()).unwrap();
        let client = again.client(&ClientSpec::named("later")).unwrap();
        let root_der = pem_der(first.pem());
        let (_, root) = X509Certificate::from_der(&root_der).unwrap();
        let (_, leaf) = X509Certificate::from_der(&client.cert_der).unwrap();
        leaf.verify_signature(Some(root.public_key())).unwrap();
        again.crl(&[&client]).unwrap();
    }

    #[test]
    fn keys_are_written_for_their_owner_only_even_over_an_old_file() {
        let ca = Authority::new("test ca").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("made");
        std::fs::create_dir(&inner).unwrap();
        let key = inner.join("server.key");
        std::fs::write(&key, "old").unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        let server = ca.server(&["localhost"]).unwrap();
        server.write(&inner, "server").unwrap();
        assert_eq!(
            std::fs::metadata(&key).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(std::fs::read_to_string(&key).unwrap(), server.key_pem);
        assert_eq!(
            std::fs::read_to_string(inner.join("server.pem")).unwrap(),
            server.cert_pem
        );
    }

    #[test]
    fn thumbprints_agree() {
        let ca = Authority::new("test ca").unwrap();
        let one = ca.client(&ClientSpec::named("one")).unwrap();
        let two = ca.client(&ClientSpec::named("one")).unwrap();
        assert_ne!(one.sha256(), two.sha256());
        assert_eq!(one.sha256_hex().len(), 64);
        assert_eq!(one.x5t_s256().len(), 43);
        assert!(!format!("{one:?}").contains("PRIVATE"));
    }
}
