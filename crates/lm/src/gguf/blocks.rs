//! Quantised blocks of GGUF tensors. The order of operations is that of llama.cpp, so that values have its bits.

/// How a tensor's values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BlockType {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Iq4Nl,
    Iq4Xs,
    Mxfp4,
}

use BlockType::*;

/// Code in the file, name, values of a block and its bytes.
const TYPES: [(BlockType, u32, &str, usize, usize); 16] = [
    (F32, 0, "F32", 1, 4),
    (F16, 1, "F16", 1, 2),
    (Bf16, 30, "BF16", 1, 2),
    (Q4_0, 2, "Q4_0", 32, 18),
    (Q4_1, 3, "Q4_1", 32, 20),
    (Q5_0, 6, "Q5_0", 32, 22),
    (Q5_1, 7, "Q5_1", 32, 24),
    (Q8_0, 8, "Q8_0", 32, 34),
    (Q2K, 10, "Q2_K", 256, 84),
    (Q3K, 11, "Q3_K", 256, 110),
    (Q4K, 12, "Q4_K", 256, 144),
    (Q5K, 13, "Q5_K", 256, 176),
    (Q6K, 14, "Q6_K", 256, 210),
    (Iq4Nl, 20, "IQ4_NL", 32, 18),
    (Iq4Xs, 23, "IQ4_XS", 256, 136),
    (Mxfp4, 39, "MXFP4", 32, 17),
];

/// Names of types that exist and are not read, by their codes.
const OTHERS: [(u32, &str); 13] = [
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (40, "NVFP4"),
];

/// What the four bits of IQ4_NL and IQ4_XS stand for: closer together where weights are frequent.
const UNEVEN: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Twice the values of a four-bit float (sign, two bits of exponent, one of mantissa); the scale of a block is halved.
const TWICE_E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

impl BlockType {
    /// The type that a file means by a code.
    pub(super) fn from_code(code: u32) -> Result<BlockType, String> {
        if let Some(found) = TYPES.iter().find(|t| t.1 == code) {
            return Ok(found.0);
        }
        let name = OTHERS.iter().find(|t| t.0 == code).map_or(format!("number {code}"), |t| t.1.to_string());
        let known: Vec<&str> = TYPES.iter().map(|t| t.2).collect();
        Err(format!("is of type {name}, which is not supported (supported: {})", known.join(", ")))
    }

    pub(super) fn name(self) -> &'static str {
        TYPES[self as usize].2
    }

    /// Values of a block.
    pub(super) fn values(self) -> usize {
        TYPES[self as usize].3
    }

    /// Bytes of a block.
    pub(super) fn bytes(self) -> usize {
        TYPES[self as usize].4
    }

    /// The values of whole blocks.
    pub(super) fn dequantize(self, bytes: &[u8]) -> Vec<f32> {
        let mut values = Vec::with_capacity(bytes.len() / self.bytes() * self.values());
        for block in bytes.chunks_exact(self.bytes()) {
            match self {
                F32 => values.push(f32::from_le_bytes([block[0], block[1], block[2], block[3]])),
                F16 => values.push(half_at(block, 0)),
                Bf16 => values.push(half::bf16::from_le_bytes([block[0], block[1]]).to_f32()),
                Q8_0 => {
                    let scale = half_at(block, 0);
                    values.extend(block[2..].iter().map(|q| f32::from(*q as i8) * scale));
                }
                Q4_0 => centered(block, 8, nibbles(&block[2..]), &mut values),
                Q5_0 => centered(block, 16, five_bits(&block[2..]), &mut values),
                Q4_1 => offset(block, nibbles(&block[4..]), &mut values),
                Q5_1 => offset(block, five_bits(&block[4..]), &mut values),
                Q2K => q2_k(block, &mut values),
                Q3K => q3_k(block, &mut values),
                Q4K => k_block(block, None, &block[16..], &mut values),
                Q5K => k_block(block, Some(&block[16..48]), &block[48..], &mut values),
                Q6K => q6_k(block, &mut values),
                Iq4Nl => from_table(half_at(block, 0), &UNEVEN, &block[2..], &mut values),
                Iq4Xs => iq4_xs(block, &mut values),
                Mxfp4 => from_table(half_power(block[0]), &TWICE_E2M1, &block[1..], &mut values),
            }
        }
        values
    }
}

fn half_at(block: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// 32 numbers of four bits: all low halves, then all high halves.
fn nibbles(bytes: &[u8]) -> [u8; 32] {
    std::array::from_fn(|i| if i < 16 { bytes[i] & 15 } else { bytes[i - 16] >> 4 })
}

/// 32 numbers of five bits: the fifth bits are in four bytes before the nibbles.
fn five_bits(bytes: &[u8]) -> [u8; 32] {
    let low = nibbles(&bytes[4..]);
    std::array::from_fn(|i| low[i] | (bytes[i / 8] >> (i % 8) & 1) << 4)
}

/// `scale * (q - center)`.
fn centered(block: &[u8], center: i8, quants: [u8; 32], values: &mut Vec<f32>) {
    let scale = half_at(block, 0);
    values.extend(quants.iter().map(|q| scale * f32::from(*q as i8 - center)));
}

/// `scale * q + min`.
fn offset(block: &[u8], quants: [u8; 32], values: &mut Vec<f32>) {
    let (scale, min) = (half_at(block, 0), half_at(block, 2));
    values.extend(quants.iter().map(|q| scale * f32::from(*q) + min));
}

/// `scale * table[q]`.
fn from_table(scale: f32, table: &[i8; 16], packed: &[u8], values: &mut Vec<f32>) {
    values.extend(nibbles(packed).iter().map(|q| scale * f32::from(table[usize::from(*q)])));
}

/// `2^(exponent - 128)`: half of the power of two that an exponent of eight bits means.
fn half_power(exponent: u8) -> f32 {
    match exponent {
        0 | 1 => f32::from_bits(0x0020_0000 << exponent),
        _ => f32::from_bits(u32::from(exponent - 1) << 23),
    }
}

/// The two bits of a value of Q2_K and Q3_K: 32 values of each quarter of a half block share 32 bytes.
fn two_bits(packed: &[u8], at: usize) -> u8 {
    let (part, quarter, i) = (at / 128, at % 128 / 32, at % 32);
    packed[part * 32 + i] >> (quarter * 2) & 3
}

/// Q2_K: sixteen sub-blocks of 16 with four-bit scales and minima, `d * scale * q - dmin * min`.
fn q2_k(block: &[u8], values: &mut Vec<f32>) {
    let (scales, low, d, dmin) = (&block[..16], &block[16..80], half_at(block, 80), half_at(block, 82));
    for at in 0..256 {
        let packed = scales[at / 16];
        let (scale, min) = (d * f32::from(packed & 15), dmin * f32::from(packed >> 4));
        values.push(scale * f32::from(two_bits(low, at)) - min);
    }
}

/// Q3_K: sixteen sub-blocks of 16 with six-bit scales, `d * (scale - 32) * (q - 4)`.
/// Bit i of byte j of `high` is the third bit of value j of the i-th 32.
fn q3_k(block: &[u8], values: &mut Vec<f32>) {
    let (high, low, packed, d) = (&block[..32], &block[32..96], &block[96..108], half_at(block, 108));
    for at in 0..256 {
        let sub = at / 16;
        let scale = packed[sub % 8] >> (sub / 8 * 4) & 15 | (packed[8 + sub % 4] >> (sub / 4 * 2) & 3) << 4;
        let third = high[at % 32] >> (at / 32) & 1;
        let scale = d * f32::from(scale as i8 - 32);
        values.push(scale * f32::from((two_bits(low, at) | third << 2) as i8 - 4));
    }
}

/// IQ4_XS: eight sub-blocks of 32 with six-bit scales, `d * (scale - 32) * table[q]`.
fn iq4_xs(block: &[u8], values: &mut Vec<f32>) {
    let (d, high, low) = (half_at(block, 0), u16::from_le_bytes([block[2], block[3]]), &block[4..8]);
    for (sub, packed) in block[8..].chunks_exact(16).enumerate() {
        let scale = low[sub / 2] >> (sub % 2 * 4) & 15 | ((high >> (sub * 2) & 3) as u8) << 4;
        from_table(d * f32::from(scale as i8 - 32), &UNEVEN, packed, values);
    }
}

/// Q4_K and Q5_K: eight sub-blocks of 32 with six-bit scales and minima, `d * scale * q - dmin * min`.
/// `high`: bit i of byte j is the fifth bit of value j of sub-block i.
fn k_block(block: &[u8], high: Option<&[u8]>, low: &[u8], values: &mut Vec<f32>) {
    let (d, dmin) = (half_at(block, 0), half_at(block, 2));
    let packed = &block[4..16];
    for sub in 0..8 {
        let (scale, min) = match sub {
            0..4 => (packed[sub] & 63, packed[sub + 4] & 63),
            _ => (packed[sub + 4] & 15 | packed[sub - 4] >> 2 & 48, packed[sub + 4] >> 4 | packed[sub] >> 2 & 48),
        };
        let (scale, min) = (d * f32::from(scale), dmin * f32::from(min));
        for i in 0..32 {
            let nibble = low[sub / 2 * 32 + i] >> (sub % 2 * 4) & 15;
            let fifth = high.map_or(0, |high| high[i] >> sub & 1);
            values.push(scale * f32::from(nibble | fifth << 4) - min);
        }
    }
}

/// Q6_K: sixteen sub-blocks of 16 with eight-bit scales, `d * scale * (q - 32)`.
fn q6_k(block: &[u8], values: &mut Vec<f32>) {
    let (low, high, scales, d) = (&block[..128], &block[128..192], &block[192..208], half_at(block, 208));
    for at in 0..256 {
        // 32 values of each quarter of a half block share 32 bytes of high bits and, by twos, bytes of nibbles.
        let (part, quarter, i) = (at / 128, at % 128 / 32, at % 32);
        let nibble = low[part * 64 + quarter % 2 * 32 + i] >> (quarter / 2 * 4) & 15;
        let top = high[part * 32 + i] >> (quarter * 2) & 3;
        let scale = d * f32::from(scales[at / 16] as i8);
        values.push(scale * f32::from((nibble | top << 4) as i8 - 32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::SafeTensors;

    /// Blocks and their values as the Python package `gguf` computes them (`tools/fixtures/gguf_files.py`).
    #[test]
    fn values_have_the_bits_of_the_reference() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gguf/blocks.safetensors");
        let bytes = std::fs::read(path).unwrap();
        let fixture = SafeTensors::deserialize(&bytes).unwrap();
        for (kind, _, name, values, size) in TYPES {
            let blocks = fixture.tensor(&format!("{name}.blocks")).unwrap();
            let want = fixture.tensor(&format!("{name}.values")).unwrap();
            let got: Vec<u8> = kind.dequantize(blocks.data()).iter().flat_map(|x| x.to_le_bytes()).collect();
            assert_eq!(got.len() / 4 / values, blocks.data().len() / size, "{name}");
            assert!(got.len() >= 4 * 256 && got == want.data(), "{name}");
        }
    }

    #[test]
    fn the_table_is_in_the_order_of_the_types() {
        for (index, entry) in TYPES.iter().enumerate() {
            assert_eq!(entry.0 as usize, index);
        }
        let error = BlockType::from_code(16).unwrap_err();
        assert!(
            error.starts_with("is of type IQ2_XXS, which is not supported (supported: F32, F16, BF16, Q4_0"),
            "{error}"
        );
    }
}
