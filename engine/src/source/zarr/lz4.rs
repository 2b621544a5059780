//! The `lz4` codec of numcodecs, which zarrs does not have: a block of LZ4 after the number of
//! decoded bytes (32 bits, little endian).

use std::borrow::Cow;
use std::sync::{Arc, Once};
use zarrs::array::codec::api::{
    BytesToBytesCodecTraits, Codec, CodecError, CodecMetadataOptions, CodecOptions,
    CodecRuntimePluginV2, CodecRuntimePluginV3, CodecTraits, PartialDecoderCapability,
    PartialEncoderCapability, RecommendedConcurrency, register_codec_v2, register_codec_v3,
};
use zarrs::array::{ArrayBytesRaw, BytesRepresentation};
use zarrs::metadata::Configuration;
use zarrs::plugin::{ExtensionName, ZarrVersion};

/// Its name in Zarr v2.
const NAME_V2: &str = "lz4";
/// Its name in Zarr v3, as zarr-python writes it.
const NAME_V3: &str = "numcodecs.lz4";
const HEADER: usize = 4;

/// Makes the codec known to zarrs.
pub fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        register_codec_v2(CodecRuntimePluginV2::new(
            |name| name == NAME_V2,
            |_| Ok(Codec::BytesToBytes(Arc::new(Lz4Codec))),
        ));
        register_codec_v3(CodecRuntimePluginV3::new(
            |name| name == NAME_V3,
            |_| Ok(Codec::BytesToBytes(Arc::new(Lz4Codec))),
        ));
    });
}

#[derive(Debug)]
struct Lz4Codec;

impl ExtensionName for Lz4Codec {
    fn name(&self, version: ZarrVersion) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(match version {
            ZarrVersion::V2 => NAME_V2,
            ZarrVersion::V3 => NAME_V3,
        }))
    }
}

impl CodecTraits for Lz4Codec {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    fn configuration(
        &self,
        _version: ZarrVersion,
        _options: &CodecMetadataOptions,
    ) -> Option<Configuration> {
        Some(Configuration::default())
    }

    fn partial_decoder_capability(&self) -> PartialDecoderCapability {
        PartialDecoderCapability { partial_read: false, partial_decode: false }
    }

    fn partial_encoder_capability(&self) -> PartialEncoderCapability {
        PartialEncoderCapability { partial_encode: false }
    }
}

impl BytesToBytesCodecTraits for Lz4Codec {
    fn into_dyn(self: Arc<Self>) -> Arc<dyn BytesToBytesCodecTraits> {
        self
    }

    fn recommended_concurrency(
        &self,
        _decoded: &BytesRepresentation,
    ) -> Result<RecommendedConcurrency, CodecError> {
        Ok(RecommendedConcurrency::new_maximum(1))
    }

    fn encoded_representation(&self, decoded: &BytesRepresentation) -> BytesRepresentation {
        match decoded.size() {
            Some(size) => {
                let bound = lz4_flex::block::get_maximum_output_size(size as usize) + HEADER;
                BytesRepresentation::BoundedSize(bound as u64)
            }
            None => BytesRepresentation::UnboundedSize,
        }
    }

    fn encode<'a>(
        &self,
        decoded: ArrayBytesRaw<'a>,
        _options: &CodecOptions,
    ) -> Result<ArrayBytesRaw<'a>, CodecError> {
        if u32::try_from(decoded.len()).is_err() {
            return Err("lz4 encodes at most 4 GiB at once".into());
        }
        Ok(Cow::Owned(lz4_flex::block::compress_prepend_size(&decoded)))
    }

    fn decode<'a>(
        &self,
        encoded: ArrayBytesRaw<'a>,
        decoded: &BytesRepresentation,
        _options: &CodecOptions,
    ) -> Result<ArrayBytesRaw<'a>, CodecError> {
        let (size, block) = lz4_flex::block::uncompressed_size(&encoded)
            .map_err(|error| CodecError::from(error.to_string()))?;
        // A damaged header must not ask for gigabytes.
        if decoded.size().is_some_and(|most| size as u64 > most) {
            return Err(format!("its lz4 header claims {size} bytes").into());
        }
        lz4_flex::block::decompress(block, size)
            .map(Cow::Owned)
            .map_err(|error| error.to_string().into())
    }
}
