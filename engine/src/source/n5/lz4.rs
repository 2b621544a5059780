//! The two forms of lz4 in N5: the block stream of lz4-java, which the Java library writes, and one
//! plain block, which z5 writes.
//!
//! A block of the stream is `LZ4Block`, a byte of method and level, three little-endian numbers
//! (encoded bytes, decoded bytes, checksum) and the encoded bytes. One without bytes ends it.

use twox_hash::XxHash32;

const MAGIC: &[u8; 8] = b"LZ4Block";
const HEADER: usize = 21;
const METHOD: u8 = 0xf0;
const STORED: u8 = 0x10;
const LZ4: u8 = 0x20;
const SEED: u32 = 0x9747_b28c;
/// lz4-java drops the upper four bits of the checksum.
const CHECKSUM: u32 = 0x0fff_ffff;

/// Decodes into `target` and gives the number of decoded bytes.
pub fn decode(encoded: &[u8], target: &mut [u8]) -> Result<usize, String> {
    if !encoded.starts_with(MAGIC) {
        return lz4_flex::block::decompress_into(encoded, target)
            .map_err(|error| error.to_string());
    }
    let (mut rest, mut filled) = (encoded, 0);
    while let Some((header, following)) = rest.split_first_chunk::<HEADER>() {
        if !header.starts_with(MAGIC) {
            return Err("a block of the lz4 stream does not start with its mark".into());
        }
        let number = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_le_bytes(bytes)
        };
        let (stored, decoded, checksum) = (number(9) as usize, number(13) as usize, number(17));
        if decoded == 0 {
            return Ok(filled);
        }
        let (block, following) =
            following.split_at_checked(stored).ok_or("the lz4 stream ends within a block")?;
        let out = target
            .get_mut(filled..)
            .and_then(|rest| rest.get_mut(..decoded))
            .ok_or("the lz4 stream decodes to more bytes than the block has")?;
        match header[8] & METHOD {
            STORED if stored == decoded => out.copy_from_slice(block),
            LZ4 => {
                let len = lz4_flex::block::decompress_into(block, out)
                    .map_err(|error| error.to_string())?;
                if len != decoded {
                    return Err(format!(
                        "a block of the lz4 stream has {len} bytes, not {decoded}"
                    ));
                }
            }
            method => return Err(format!("the lz4 stream has a block of method {method:#x}")),
        }
        if XxHash32::oneshot(SEED, out) & CHECKSUM != checksum {
            return Err("the checksum of an lz4 block is wrong".into());
        }
        filled += decoded;
        rest = following;
    }
    // The end mark may be missing where the stream is complete.
    if rest.is_empty() { Ok(filled) } else { Err("the lz4 stream ends within a header".into()) }
}
