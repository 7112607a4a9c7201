//! Key pairs in the formats that their programs write: OpenSSH (PROTOCOL.key of OpenSSH), OpenPGP (RFC 9580, version 4
//! keys), and what Solana's command line writes. The keys are real, made here and used nowhere else.

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_core::syntax::hex;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

use super::dice;

/// A file and what of it is random.
pub struct Written {
    /// What stands in the file.
    pub content: Vec<u8>,
    /// Pieces of it, or of the same in other words, by which it is known again.
    pub pieces: Vec<String>,
}

/// A fresh Ed25519 key.
///
/// # Errors
/// If the system has no randomness to give.
pub fn ed25519() -> anyhow::Result<SigningKey> {
    Ok(SigningKey::from_bytes(&dice::bytes()?))
}

/// An Ed25519 key as `ssh-keygen` writes it.
///
/// # Errors
/// If the system has no randomness to give.
pub fn openssh_ed25519(comment: &str) -> anyhow::Result<Written> {
    let key = ed25519()?;
    let public = key.verifying_key().to_bytes();
    let mut shown = Vec::new();
    string(&mut shown, b"ssh-ed25519");
    string(&mut shown, &public);
    let mut kept = shown.clone();
    string(&mut kept, &[key.to_bytes(), public].concat());
    let mut written = openssh(&shown, &kept, comment)?;
    written.pieces.push(hex(&key.to_bytes()));
    Ok(written)
}

/// An RSA key of 3,072 bits, likewise.
///
/// # Errors
/// If no key can be made.
pub fn openssh_rsa(comment: &str) -> anyhow::Result<Written> {
    let key = KeyPair::generate(KeySize::Rsa3072).map_err(|_| anyhow::anyhow!("no RSA key can be made"))?;
    let document = key.as_der().map_err(|_| anyhow::anyhow!("no RSA key can be made"))?;
    let [n, e, d, p, q, inverse] =
        rsa_numbers(document.as_ref()).ok_or_else(|| anyhow::anyhow!("no RSA key can be made"))?;
    let mut shown = Vec::new();
    let mut kept = Vec::new();
    [b"ssh-rsa".as_slice(), e, n].into_iter().for_each(|one| string(&mut shown, one));
    [b"ssh-rsa".as_slice(), n, e, d, inverse, p, q].into_iter().for_each(|one| string(&mut kept, one));
    openssh(&shown, &kept, comment)
}

/// `openssh-key-v1`, without a passphrase.
fn openssh(shown: &[u8], kept: &[u8], comment: &str) -> anyhow::Result<Written> {
    let check: [u8; 4] = dice::bytes()?;
    let mut secret = [check, check].concat();
    secret.extend_from_slice(kept);
    string(&mut secret, comment.as_bytes());
    let padding = (1u8..8).take((8 - secret.len() % 8) % 8);
    secret.extend(padding);
    let mut all = b"openssh-key-v1\0".to_vec();
    [b"none".as_slice(), b"none", b""].into_iter().for_each(|one| string(&mut all, one));
    all.extend_from_slice(&1u32.to_be_bytes());
    string(&mut all, shown);
    string(&mut all, &secret);
    Ok(armoured("OPENSSH PRIVATE KEY", "", &all, 70, ""))
}

/// An OpenPGP secret key of somebody, with a signature over their name, not protected.
///
/// # Errors
/// If the system has no randomness to give.
pub fn openpgp(user: &str, created: u32, binary: bool) -> anyhow::Result<Written> {
    let key = ed25519()?;
    // Version 4, EdDSA (22), the curve Ed25519 (RFC 9580, 9.2), the point with its prefix.
    let mut public = vec![4];
    public.extend_from_slice(&created.to_be_bytes());
    public.extend_from_slice(&[22, 9, 0x2b, 6, 1, 4, 1, 0xda, 0x47, 0x0f, 1]);
    mpi(&mut public, &[[0x40].as_slice(), key.verifying_key().as_bytes()].concat());
    let mut secret = Vec::new();
    mpi(&mut secret, key.as_bytes());
    let sum = secret.iter().fold(0u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
    let body = [public.as_slice(), &[0], &secret, &sum.to_be_bytes()].concat();
    let mut all = Vec::new();
    packet(&mut all, 5, &body);
    packet(&mut all, 13, user.as_bytes());
    packet(&mut all, 2, &certification(&key, &public, user, created));
    let mut written = armoured("PGP PRIVATE KEY BLOCK", "\n", &all, 64, &crc24(&all));
    if binary {
        // Such a file is carried as text only in some encoding: in that of the programs for it, it is found.
        let plain = STANDARD.encode(&all);
        let wide = plain.as_bytes().chunks_exact(76).skip(1);
        written.pieces.extend(wide.map(|line| String::from_utf8_lossy(line).into_owned()));
        written.pieces.push(hex(key.as_bytes()));
        written.content = all;
    }
    Ok(written)
}

/// The signature by which a key says whose it is (RFC 9580, 5.2.1, type 0x13).
fn certification(key: &SigningKey, public: &[u8], user: &str, created: u32) -> Vec<u8> {
    let length = u16::try_from(public.len()).unwrap_or_default().to_be_bytes();
    // A version 4 fingerprint is SHA-1 (RFC 9580, 5.5.4.2).
    let named = [&[0x99], length.as_slice(), public].concat();
    let fingerprint = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &named);
    let fingerprint = fingerprint.as_ref();
    let mut hashed = vec![4, 0x13, 22, 8];
    let mut subpackets = vec![22, 33, 4];
    subpackets.extend_from_slice(fingerprint);
    subpackets.extend_from_slice(&[5, 2]);
    subpackets.extend_from_slice(&created.to_be_bytes());
    subpackets.extend_from_slice(&[2, 27, 3, 5, 11, 9, 8, 7, 3, 4, 21, 8, 10, 9]);
    hashed.extend_from_slice(&u16::try_from(subpackets.len()).unwrap_or_default().to_be_bytes());
    hashed.extend_from_slice(&subpackets);
    let mut digest = Sha256::new();
    digest.update(&named);
    digest.update([0xb4]);
    digest.update(u32::try_from(user.len()).unwrap_or_default().to_be_bytes());
    digest.update(user);
    digest.update(&hashed);
    digest.update([4, 0xff]);
    digest.update(u32::try_from(hashed.len()).unwrap_or_default().to_be_bytes());
    let digest = digest.finalize();
    let signature = key.sign(&digest);
    let mut body = hashed;
    body.extend_from_slice(&[0, 10, 9, 16]);
    body.extend_from_slice(fingerprint.get(12..).unwrap_or_default());
    body.extend(digest.iter().take(2));
    mpi(&mut body, signature.r_bytes());
    mpi(&mut body, signature.s_bytes());
    body
}

/// A packet with a header of the old format, as GnuPG writes it (RFC 9580, 4.2.2).
fn packet(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    match u8::try_from(body.len()) {
        Ok(length) => out.extend_from_slice(&[0x80 | tag << 2, length]),
        Err(_) => {
            out.push(0x81 | tag << 2);
            out.extend_from_slice(&u16::try_from(body.len()).unwrap_or_default().to_be_bytes());
        }
    }
    out.extend_from_slice(body);
}

/// A number with its length in bits before it (RFC 9580, 3.2).
fn mpi(out: &mut Vec<u8>, number: &[u8]) {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = number.get(zeros..).unwrap_or_default();
    let spare = number.first().map_or(0, |byte| byte.leading_zeros());
    let bits = u32::try_from(number.len() * 8).unwrap_or_default() - spare;
    out.extend_from_slice(&u16::try_from(bits).unwrap_or_default().to_be_bytes());
    out.extend_from_slice(number);
}

/// The checksum of an armour (RFC 9580, 6.1.1), with what stands before it.
fn crc24(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0x00b7_04ce_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 16, |sum, _| {
            let shifted = sum << 1;
            if shifted & 0x0100_0000 == 0 { shifted } else { shifted ^ 0x0186_4cfb }
        })
    });
    format!("={}\n", STANDARD.encode(sum.to_be_bytes().get(1..).unwrap_or_default()))
}

/// Base64 in lines of `width` between the lines of `label`. What of it is random are the lines but for the first and
/// the last: there stand names of formats, comments and padding.
fn armoured(label: &str, head: &str, bytes: &[u8], width: usize, foot: &str) -> Written {
    let text = STANDARD.encode(bytes);
    let lines: Vec<String> =
        text.as_bytes().chunks(width).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let content =
        format!("-----BEGIN {label}-----\n{head}{}\n{foot}-----END {label}-----\n", lines.join("\n"));
    let count = lines.len().saturating_sub(2);
    Written { content: content.into_bytes(), pieces: lines.into_iter().skip(1).take(count).collect() }
}

/// The array of 64 numbers that Solana's command line keeps: seed and public key.
///
/// # Errors
/// If the system has no randomness to give.
pub fn solana() -> anyhow::Result<Written> {
    let key = ed25519()?;
    let pair = key.to_keypair_bytes();
    let listed = |bytes: &[u8]| bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
    let halves = pair.chunks(16).map(listed);
    let mut pieces: Vec<String> = halves.collect();
    pieces.extend([hex(key.as_bytes()), base58(&pair)]);
    Ok(Written { content: format!("[{}]", listed(&pair)).into_bytes(), pieces })
}

/// As wallets show keys: base 58, the digits in Bitcoin's order.
fn base58(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut digits: Vec<u32> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += *digit << 8;
            *digit = carry % 58;
            carry /= 58;
        }
        while carry > 0 {
            digits.push(carry % 58);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let letter =
        |digit: u32| DIGITS.get(usize::try_from(digit).unwrap_or_default()).copied().map_or('1', char::from);
    std::iter::repeat_n('1', zeros).chain(digits.into_iter().rev().map(letter)).collect()
}

/// Length and bytes (RFC 4251, 5).
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or_default().to_be_bytes());
    out.extend_from_slice(bytes);
}

/// n, e, d, p, q and q⁻¹ mod p of a PKCS #8 document (RFC 5958) that holds an RSA key (RFC 8017, A.1.2). Numbers of DER
/// and of SSH are written alike: two's complement, no more bytes than needed.
fn rsa_numbers(document: &[u8]) -> Option<[&[u8]; 6]> {
    let (outer, _) = element(document, 0x30)?;
    let (_, rest) = element(outer, 2)?;
    let (_, rest) = element(rest, 0x30)?;
    let (inner, _) = element(rest, 4)?;
    let (key, _) = element(inner, 0x30)?;
    let mut rest = key;
    let mut numbers = [&[][..]; 9];
    for number in &mut numbers {
        (*number, rest) = element(rest, 2)?;
    }
    let [_, n, e, d, p, q, _, _, inverse] = numbers;
    Some([n, e, d, p, q, inverse])
}

/// The content of the element at the start of `bytes`, which has this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0usize, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length).filter(|_| *found == tag)
}
