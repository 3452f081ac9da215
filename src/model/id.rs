//! Identity. A delivery's id carries its route: from the sixteen bytes alone anyone knows when it
//! was accepted, which host it goes to and which shard owns that host.
//!
//! Layout (UUIDv8, RFC 9562): 48 bits of Unix milliseconds, the version, the upper 12 bits of the
//! host number, the variant, the lower 20 bits of the host number, 42 random bits.
//! A trigger's id is its first delivery's id with version 7 in place of 8.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::time::Timestamp;

/// Number of shards in the whole system, fixed for ever: it is part of every id.
pub const SHARDS: u32 = 1024;
/// Bits of a host number that count hosts within their shard.
pub const SERIAL_BITS: u32 = 22;

/// A host's number: its shard (10 high bits) and a serial inside the shard (22 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostNumber(pub u32);

impl HostNumber {
    /// The number of the `serial`-th host of `shard`; `None` when either is out of range.
    pub fn new(shard: u32, serial: u32) -> Option<Self> {
        (shard < SHARDS && serial < (1 << SERIAL_BITS))
            .then_some(Self(shard << SERIAL_BITS | serial))
    }

    /// The shard that owns the host: 0 to 1,023.
    pub fn shard(self) -> u32 {
        self.0 >> SERIAL_BITS
    }
}

/// Identifies one delivery; sent to the receiver as `webhook-id`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId([u8; 16]);

/// Identifies one trigger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TriggerId([u8; 16]);

const VERSION_MASK: u8 = 0x0f;

impl DeliveryId {
    /// Composes an id. Only the lower 42 bits of `random` are used.
    pub fn new(at: Timestamp, host: HostNumber, random: u64) -> Self {
        let millis = at.as_millis().max(0) as u128 & ((1 << 48) - 1);
        let high = u128::from(host.0 >> 20);
        let low = u128::from(host.0 & 0xf_ffff);
        let bits = millis << 80
            | 0x8 << 76
            | high << 64
            | 0b10 << 62
            | low << 42
            | u128::from(random & ((1 << 42) - 1));
        Self(bits.to_be_bytes())
    }

    /// The host that the delivery goes to.
    pub fn host(self) -> HostNumber {
        let bits = u128::from_be_bytes(self.0);
        let high = (bits >> 64) as u32 & 0xfff;
        let low = (bits >> 42) as u32 & 0xf_ffff;
        HostNumber(high << 20 | low)
    }

    /// When the id was made, in milliseconds.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_millis((u128::from_be_bytes(self.0) >> 80) as i64)
    }

    /// The trigger whose first delivery this is.
    pub fn trigger(self) -> TriggerId {
        TriggerId(with_version(self.0, 7))
    }
}

impl TriggerId {
    /// The first delivery of the trigger.
    pub fn first_delivery(self) -> DeliveryId {
        DeliveryId(with_version(self.0, 8))
    }
}

fn with_version(mut bytes: [u8; 16], version: u8) -> [u8; 16] {
    bytes[6] = bytes[6] & VERSION_MASK | version << 4;
    bytes
}

/// The text form, the bytes and serde of an id: the same for each kind but for its version.
macro_rules! id_text {
    ($name:ident, $version:literal) => {
        impl $name {
            /// The bytes as they are stored.
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Reads stored bytes; `None` when they are not an id of this kind.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                let bytes: [u8; 16] = bytes.try_into().ok()?;
                (bytes[6] >> 4 == $version && bytes[8] >> 6 == 0b10).then_some(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                uuid::Uuid::from_bytes(self.0).hyphenated().fmt(formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl FromStr for $name {
            type Err = ();

            fn from_str(text: &str) -> Result<Self, ()> {
                let parsed = uuid::Uuid::try_parse(text).map_err(|_| ())?;
                Self::from_slice(parsed.as_bytes()).ok_or(())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|()| serde::de::Error::custom("not an id"))
            }
        }
    };
}

id_text!(DeliveryId, 8);
id_text!(TriggerId, 7);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_gives_back_what_it_was_made_of(
            millis in 0_i64..1 << 47, number in any::<u32>(), random in any::<u64>()
        ) {
            let at = Timestamp::from_millis(millis);
            let id = DeliveryId::new(at, HostNumber(number), random);
            prop_assert_eq!(id.host(), HostNumber(number));
            prop_assert_eq!(id.timestamp(), at);
            prop_assert_eq!(id.to_string().parse::<DeliveryId>(), Ok(id));
            prop_assert_eq!(id.trigger().first_delivery(), id);
            prop_assert!(id.trigger().to_string().parse::<DeliveryId>().is_err());
        }
    }

    #[test]
    fn a_host_number_keeps_shard_and_serial_apart() {
        assert_eq!(HostNumber::new(1023, 0).map(HostNumber::shard), Some(1023));
        assert_eq!(HostNumber::new(0, (1 << 22) - 1).map(HostNumber::shard), Some(0));
        assert_eq!(HostNumber::new(1024, 0), None);
        assert_eq!(HostNumber::new(0, 1 << 22), None);
    }
}
