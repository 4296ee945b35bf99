//! What an authenticator says: its data and, at registration, the object around it.

use super::cbor::Cbor;

/// The user touched the authenticator.
const PRESENT: u8 = 0x01;
/// The authenticator knows that it was this user.
const VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
const HAS_CREDENTIAL: u8 = 0x40;
const HAS_EXTENSIONS: u8 = 0x80;

/// Authenticator data (WebAuthn, section 6.1).
#[derive(Debug)]
pub(super) struct AuthenticatorData {
    pub(super) rp_id_hash: [u8; 32],
    flags: u8,
    pub(super) sign_count: u32,
    pub(super) credential: Option<AttestedCredential>,
}

/// A credential that was just made.
#[derive(Debug)]
pub(super) struct AttestedCredential {
    pub(super) aaguid: [u8; 16],
    pub(super) id: Vec<u8>,
    /// In COSE's form, as it is stored.
    pub(super) public_key: Vec<u8>,
}

impl AuthenticatorData {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (rp_id_hash, rest) = bytes.split_first_chunk::<32>()?;
        let (flags, rest) = rest.split_first()?;
        let (count, mut rest) = rest.split_first_chunk::<4>()?;
        let mut credential = None;
        if flags & HAS_CREDENTIAL != 0 {
            let (aaguid, after) = rest.split_first_chunk::<16>()?;
            let (length, after) = after.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (id, after) = after.split_at_checked(length)?;
            let (_, taken) = Cbor::read(after)?;
            let (key, after) = after.split_at_checked(taken)?;
            credential =
                Some(AttestedCredential { aaguid: *aaguid, id: id.to_vec(), public_key: key.to_vec() });
            rest = after;
        }
        if flags & HAS_EXTENSIONS != 0 {
            let (_, taken) = Cbor::read(rest)?;
            rest = rest.get(taken..)?;
        }
        rest.is_empty().then(|| Self {
            rp_id_hash: *rp_id_hash,
            flags: *flags,
            sign_count: u32::from_be_bytes(*count),
            credential,
        })
    }

    pub(super) fn is_present(&self) -> bool {
        self.flags & PRESENT != 0
    }

    pub(super) fn is_verified(&self) -> bool {
        self.flags & VERIFIED != 0
    }

    pub(super) fn is_backup_eligible(&self) -> bool {
        self.flags & BACKUP_ELIGIBLE != 0
    }

    pub(super) fn is_backed_up(&self) -> bool {
        self.flags & BACKED_UP != 0
    }
}

/// An attestation object (WebAuthn, section 6.5).
pub(super) struct AttestationObject {
    pub(super) format: String,
    pub(super) statement: Cbor,
    pub(super) authenticator_data: Vec<u8>,
}

impl AttestationObject {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (object, taken) = Cbor::read(bytes)?;
        (taken == bytes.len()).then_some(())?;
        Some(Self {
            format: object.member("fmt")?.as_text()?.to_owned(),
            statement: object.member("attStmt")?.clone(),
            authenticator_data: object.member("authData")?.as_bytes()?.to_vec(),
        })
    }
}
