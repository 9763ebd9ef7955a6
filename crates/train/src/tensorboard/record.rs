//! How events follow each other in a file: the framing of TFRecord.
//!
//! A record is the length of its data, a checksum of the length, the data and a checksum of the data. Numbers are little
//! endian. Checksums are CRC-32C and masked, because the CRC of data that contains its own CRC says little.

use crc::{CRC_32_ISCSI, Crc};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Bytes before the data: its length and the checksum of that.
pub(super) const HEAD: u64 = 12;
/// Bytes after the data: its checksum.
pub(super) const TAIL: u64 = 4;

pub(super) fn masked_crc(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Appends a record with this data.
pub(super) fn append(data: &[u8], to: &mut Vec<u8>) {
    let length = (data.len() as u64).to_le_bytes();
    to.extend(length);
    to.extend(masked_crc(&length).to_le_bytes());
    to.extend(data);
    to.extend(masked_crc(data).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, B.4: the CRC of 32 bytes.
    #[test]
    fn checksums_are_those_of_the_standard() {
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(CRC.checksum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(CRC.checksum(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(CRC.checksum(&ascending), 0x46dd_794e);
        // 0x8a9136aa rotated right by 15 bits is 0x6d551522.
        assert_eq!(masked_crc(&[0; 32]), 0x0fd7_fffa);
    }
}
