//! Attribution tokens: what an answer showed, packed, signed and made safe for a URL. They hold no id in clear.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message as _;

use crate::domain::attribution::MAX_TOKEN_BYTES;
use crate::domain::{Fingerprint, OfferDecision, Origin, Shown, Timestamp, Unattributed};
use crate::proto::journal as wire;
use crate::store::offer_decision;
use crate::store::signature::SigningKey;

/// Grows with every change that older programs cannot read.
const VERSION: u8 = 1;
/// Bytes of the signature.
const SIGNATURE: usize = 16;
/// What a keyed hash of a subject begins with; no version of a token does.
const SUBJECT: u8 = 0;
/// The products whose probability is not 1: one place of an answer explores.
const MAX_CHANCES: usize = 8;

/// What a token says.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// When it was answered.
    pub moment: Timestamp,
    /// Whom the answer was for, see [`SigningKey::subject`]; 0: nobody was named.
    pub subject: u64,
    /// Hash of the stage's name.
    pub stage: u32,
    /// Hash of the placement.
    pub placement: u32,
    /// The first 32 bits of the revision; 0: none.
    pub revision: u32,
    /// The products, best first.
    pub shown: Vec<Shown>,
    /// What was decided about offers; absent: nothing was.
    pub offers: Option<OfferDecision>,
}

impl SigningKey {
    /// A keyed hash of whom an answer is for: without the key it tells nothing of the id. Never 0.
    #[must_use]
    pub fn subject(&self, kind: &str, id: &str) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&[SUBJECT, kind.len() as u8]);
        hasher.update(kind.as_bytes()).update(id.as_bytes());
        u64::from_le_bytes(first(hasher.finalize().as_bytes())).max(1)
    }

    /// Signs a statement.
    #[must_use]
    pub fn sign(&self, statement: &Statement) -> String {
        let shown = &statement.shown;
        let mut products = Vec::with_capacity(4 * shown.len());
        let mut origins = Vec::with_capacity(shown.len());
        let mut bases = Vec::with_capacity(2 * shown.len());
        let mut chances = Vec::new();
        let is_ranked = shown.iter().any(|shown| shown.base.is_some());
        for (index, shown) in (0u32..).zip(shown) {
            products.extend_from_slice(&shown.product.to_le_bytes());
            origins.push(shown.origin.index() as u8);
            if is_ranked {
                // one that no model ranked among those it did: explored, or a filler
                bases.extend_from_slice(&shown.base.unwrap_or(i16::MIN).to_le_bytes());
            }
            if shown.probability.to_bits() != 1f32.to_bits() {
                chances.push(wire::Chance {
                    index,
                    probability: shown.probability,
                });
            }
        }
        let message = wire::Token {
            moment_ms: statement.moment.ms(),
            subject: statement.subject,
            stage: statement.stage,
            placement: statement.placement,
            revision: statement.revision,
            products,
            origins,
            bases,
            chances,
            offers: statement.offers.as_ref().map(offer_decision::to_wire),
        };
        let mut bytes = Vec::with_capacity(64 + 8 * shown.len());
        bytes.push(VERSION);
        message
            .encode(&mut bytes)
            .expect("a Vec grows as far as it is asked to");
        let signature = self.signature(&bytes);
        bytes.extend_from_slice(&signature);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a token says, and the identity of its decision: its signature.
    ///
    /// # Errors
    /// `Malformed`, `BadSignature`.
    pub fn verify(&self, token: &str) -> Result<(Fingerprint, Statement), Unattributed> {
        let malformed = Unattributed::Malformed;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| malformed)?;
        let (signed, signature) = bytes.split_last_chunk::<SIGNATURE>().ok_or(malformed)?;
        let Some((&VERSION, message)) = signed.split_first() else {
            return Err(malformed);
        };
        let expected = self.signature(signed);
        // the comparison must not tell by its time how much was right
        let differing = expected
            .iter()
            .zip(signature)
            .fold(0, |all, (a, b)| all | (a ^ b));
        if differing != 0 {
            return Err(Unattributed::BadSignature);
        }
        let message = wire::Token::decode(message).map_err(|_| malformed)?;
        let statement = statement(&message).ok_or(malformed)?;
        Ok((Fingerprint(expected), statement))
    }

    fn signature(&self, bytes: &[u8]) -> [u8; SIGNATURE] {
        first(blake3::keyed_hash(&self.0, bytes).as_bytes())
    }
}

fn first<const N: usize>(hash: &[u8; 32]) -> [u8; N] {
    std::array::from_fn(|i| hash[i])
}

fn statement(message: &wire::Token) -> Option<Statement> {
    let count = message.origins.len();
    let has_bases = !message.bases.is_empty();
    let fits = message.products.len() == 4 * count
        && (!has_bases || message.bases.len() == 2 * count)
        && count <= usize::from(u8::MAX)
        && message.chances.len() <= MAX_CHANCES;
    if !fits {
        return None;
    }
    let mut shown = Vec::with_capacity(count);
    for (index, &origin) in message.origins.iter().enumerate() {
        let product = message.products[4 * index..].first_chunk()?;
        let base = message.bases.get(2 * index..).and_then(<[u8]>::first_chunk);
        shown.push(Shown {
            product: u32::from_le_bytes(*product),
            origin: Origin::of_index(origin.into())?,
            rank: index as u8 + 1,
            base: base
                .map(|bytes| i16::from_le_bytes(*bytes))
                .filter(|&base| base != i16::MIN),
            probability: 1.0,
        });
    }
    let offers = match &message.offers {
        Some(offers) => Some(offer_decision::from_wire(offers)?),
        None => None,
    };
    for chance in &message.chances {
        shown.get_mut(chance.index as usize)?.probability = chance.probability;
    }
    Some(Statement {
        moment: Timestamp::from_ms(message.moment_ms),
        subject: message.subject,
        stage: message.stage,
        placement: message.placement,
        revision: message.revision,
        shown,
        offers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attribution::{MAX_DECIDED, short_hash};
    use crate::domain::{Offered, Source};

    fn answer(count: usize) -> Statement {
        let shown = (0..count).map(|i| Shown {
            product: short_hash(&format!("product-{i}")),
            origin: Origin::ALL[i % Origin::COUNT],
            rank: i as u8 + 1,
            base: (i % 9 != 7).then_some(-700 - 17 * i as i16),
            probability: if i + 1 == count { 0.95 } else { 1.0 },
        });
        Statement {
            moment: Timestamp::from_ms(1_763_829_396_123),
            subject: 0x0123_4567_89AB_CDEF,
            stage: short_hash("decision"),
            placement: short_hash("product_page"),
            revision: 0xDEAD_BEEF,
            shown: shown.collect(),
            offers: None,
        }
    }

    #[test]
    fn what_is_signed_is_read_again() {
        let key = SigningKey::random().unwrap();
        for count in [0, 1, 10, 100] {
            let statement = answer(count);
            let (decision, read) = key.verify(&key.sign(&statement)).unwrap();
            assert_eq!(read, statement);
            assert_eq!(key.verify(&key.sign(&statement)).unwrap().0, decision);
        }
        let unranked = Statement {
            shown: vec![Shown {
                product: 1,
                origin: Origin::Source(Source::Popular),
                rank: 1,
                base: None,
                probability: 1.0,
            }],
            ..answer(0)
        };
        assert_eq!(key.verify(&key.sign(&unranked)).unwrap().1, unranked);
    }

    #[test]
    fn tokens_are_short_and_safe_in_a_url() {
        let key = SigningKey::random().unwrap();
        let token = |count| key.sign(&answer(count));
        let is_safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(token(10).chars().all(is_safe));
        // ranked by a model, the last place explored
        assert_eq!(token(10).len(), 178);
        assert!(
            token(100).len() <= MAX_TOKEN_BYTES / 2,
            "{} characters",
            token(100).len()
        );
    }

    #[test]
    fn a_decision_about_offers_is_read_again_and_is_short() {
        let key = SigningKey::random().unwrap();
        let of = |offers: u32, others: u32| Statement {
            offers: Some(OfferDecision {
                offers: (0..offers)
                    .map(|offer| Offered {
                        offer: offer.wrapping_mul(0x9E37_79B9),
                        probability: 0.1 + offer as f32,
                    })
                    .collect(),
                none: if offers == 0 { 0.125 } else { 0.0 },
                others: (0..others).map(|other| !other).collect(),
                is_held_out: others == 3,
                base: (others == 2).then_some(i16::MIN),
            }),
            ..answer(10)
        };
        let most = MAX_DECIDED as u32;
        for (offers, others) in [(0, 0), (0, 3), (1, 2), (most, most)] {
            let statement = of(offers, others);
            assert_eq!(key.verify(&key.sign(&statement)).unwrap().1, statement);
        }
        for (offers, others) in [(most + 1, 0), (0, most + 1)] {
            let refused = key.verify(&key.sign(&of(offers, others)));
            assert_eq!(refused.unwrap_err(), Unattributed::Malformed);
        }
        // one offer of four, beside ten products
        assert_eq!(key.sign(&of(1, 3)).len(), 218);
    }

    #[test]
    fn whatever_is_changed_is_noticed() {
        let key = SigningKey::random().unwrap();
        let token = key.sign(&answer(10));
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(key.verify(&changed).is_err(), "{at}");
        }
        for short in 0..token.len() {
            assert!(key.verify(&token[..short]).is_err(), "{short}");
        }
        let foreign = SigningKey::random().unwrap().verify(&token);
        assert_eq!(foreign.unwrap_err(), Unattributed::BadSignature);
        for bad in [
            "",
            "x",
            "é",
            "a b",
            &"A".repeat(4_000),
            &format!("{token}="),
        ] {
            assert_eq!(
                key.verify(bad).unwrap_err(),
                Unattributed::Malformed,
                "{bad}"
            );
        }
    }

    #[test]
    fn a_signed_message_that_is_none_is_malformed() {
        let key = SigningKey::random().unwrap();
        let good = wire::Token {
            products: vec![0; 4],
            origins: vec![1],
            ..wire::Token::default()
        };
        let verify = |message: &wire::Token| {
            let mut bytes = vec![VERSION];
            message.encode(&mut bytes).unwrap();
            bytes.extend(key.signature(&bytes));
            key.verify(&URL_SAFE_NO_PAD.encode(bytes)).map(|_| ())
        };
        assert_eq!(verify(&good), Ok(()));
        let chance = wire::Chance {
            index: 1,
            probability: 0.5,
        };
        let bad = [
            wire::Token {
                products: vec![0; 5],
                ..good.clone()
            },
            wire::Token {
                origins: vec![200],
                ..good.clone()
            },
            wire::Token {
                bases: vec![0],
                ..good.clone()
            },
            wire::Token {
                chances: vec![chance],
                ..good.clone()
            },
            wire::Token {
                products: vec![0; 4 * 300],
                origins: vec![1; 300],
                ..good.clone()
            },
        ];
        for message in bad {
            assert_eq!(
                verify(&message),
                Err(Unattributed::Malformed),
                "{message:?}"
            );
        }
    }

    #[test]
    fn subjects_are_told_apart() {
        let key = SigningKey::random().unwrap();
        let other = SigningKey::random().unwrap();
        assert_eq!(
            key.subject("customer", "anna"),
            key.subject("customer", "anna")
        );
        assert_ne!(
            key.subject("customer", "anna"),
            key.subject("visitor", "anna")
        );
        assert_ne!(
            key.subject("customer", "anna"),
            key.subject("customer", "ann")
        );
        assert_ne!(
            key.subject("customer", "anna"),
            other.subject("customer", "anna")
        );
    }
}
