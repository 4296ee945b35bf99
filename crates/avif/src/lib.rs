//! Writes AVIF files: one AV1 key frame for the colours and one for the transparency, by rav1e.
//!
//! A crate of its own because rav1e is generic over its samples, and so is compiled where it is used: here, once, for samples
//! of eight bits. `ravif` has it compiled for ten bits as well, a megabyte of the release that nobody would run.

mod planes;

use avif_serialize::Aviffy;
use avif_serialize::constants::MatrixCoefficients as Matrix;
use planes::Planes;
use rav1e::prelude::{
    BlockSize, ChromaSampling, ColorDescription, ColorPrimaries, Config, Context, EncoderConfig,
    EncoderStatus, FrameType, MatrixCoefficients, PartitionRange, PixelRange, SceneDetectionSpeed,
    SpeedSettings, TransferCharacteristics,
};

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Error {
    fn from(reason: impl std::fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

/// How to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    /// 1 (bad) to 100.
    pub quality: u8,
    /// rav1e's, 0 (slow) to 10.
    pub speed: u8,
    /// Put into the file as it is.
    pub exif: Option<&'a [u8]>,
}

/// From this quality on colours have the resolution of the light, as libheif has it.
const FULL_COLOUR: u8 = 90;

/// Writes rows of RGBA without gaps, `width * height * 4` bytes.
pub fn encode(rgba: &[u8], width: usize, height: usize, options: Options<'_>) -> Result<Vec<u8>, Error> {
    if width == 0
        || height == 0
        || width.checked_mul(height).and_then(|size| size.checked_mul(4)) != Some(rgba.len())
    {
        return Err(Error::from("the pixels do not fit the size"));
    }
    let sampling = if options.quality >= FULL_COLOUR { ChromaSampling::Cs444 } else { ChromaSampling::Cs420 };
    let planes = Planes::new(rgba, width, height, sampling == ChromaSampling::Cs420);
    let (cb, cr) = (&planes.cb, &planes.cr);
    let colours = frame(&[&planes.light, cb, cr], width, height, sampling, options)?;
    let transparency = planes
        .alpha
        .as_ref()
        .map(|alpha| frame(&[alpha], width, height, ChromaSampling::Cs400, options))
        .transpose()?;
    let mut file = Aviffy::new();
    let halved = sampling == ChromaSampling::Cs420;
    file.set_matrix_coefficients(Matrix::Bt601).set_chroma_subsampling((halved, halved));
    // Profile 0 is for all pictures with halved colours, 1 for those with full ones.
    file.set_seq_profile(u8::from(!halved));
    if let Some(exif) = options.exif {
        file.set_exif(exif.to_vec());
    }
    let side = |side: usize| u32::try_from(side).map_err(Error::from);
    Ok(file.to_vec(&colours, transparency.as_deref(), side(width)?, side(height)?, 8))
}

/// rav1e's quantizer: finer steps for good pictures, where they are seen. The curve is that of `ravif`, so that a quality
/// means what it means to other Rust programs.
fn quantizer(quality: u8) -> usize {
    let quality = f32::from(quality.clamp(1, 100)) / 100.0;
    let part = if quality >= 0.82 {
        (1.0 - quality) * 2.6
    } else if quality > 0.25 {
        0.875 - quality * 0.5
    } else {
        1.0 - quality
    };
    (part * 255.0).round() as usize
}

/// What is of use for one picture that stands still.
fn speed(preset: u8) -> SpeedSettings {
    let mut speed = SpeedSettings::from_preset(preset.min(10));
    speed.multiref = false;
    speed.rdo_lookahead_frames = 1;
    speed.scene_detection_mode = SceneDetectionSpeed::None;
    speed.motion.include_near_mvs = false;
    speed.motion.use_satd_subpel = false;
    let (least, most) = match preset {
        0..=4 => (BlockSize::BLOCK_4X4, BlockSize::BLOCK_32X32),
        5..=8 => (BlockSize::BLOCK_8X8, BlockSize::BLOCK_16X16),
        _ => (BlockSize::BLOCK_16X16, BlockSize::BLOCK_32X32),
    };
    speed.partition.partition_range = PartitionRange::new(least, most);
    speed.transform.reduced_tx_set = preset >= 9;
    speed
}

fn config(width: usize, height: usize, sampling: ChromaSampling, options: Options<'_>) -> Config {
    let quantizer = quantizer(options.quality);
    let colours = ColorDescription {
        color_primaries: ColorPrimaries::BT709,
        transfer_characteristics: TransferCharacteristics::SRGB,
        matrix_coefficients: MatrixCoefficients::BT601,
    };
    let encoder = EncoderConfig {
        width,
        height,
        bit_depth: 8,
        chroma_sampling: sampling,
        pixel_range: PixelRange::Full,
        color_description: (sampling != ChromaSampling::Cs400).then_some(colours),
        still_picture: true,
        quantizer,
        min_quantizer: u8::try_from(quantizer).unwrap_or(u8::MAX),
        speed_settings: speed(options.speed),
        ..EncoderConfig::default()
    };
    Config::new().with_encoder_config(encoder)
}

/// One key frame, of as many planes as the sampling has.
fn frame(
    planes: &[&planes::Plane],
    width: usize,
    height: usize,
    sampling: ChromaSampling,
    options: Options<'_>,
) -> Result<Vec<u8>, Error> {
    let mut encoder: Context<u8> =
        config(width, height, sampling, options).new_context().map_err(Error::from)?;
    let mut frame = encoder.new_frame();
    for (target, plane) in frame.planes.iter_mut().zip(planes) {
        target.copy_from_raw_u8(&plane.samples, plane.width, 1);
    }
    encoder.send_frame(frame).map_err(Error::from)?;
    encoder.flush();
    let mut stream = Vec::new();
    loop {
        match encoder.receive_packet() {
            Ok(mut packet) if packet.frame_type == FrameType::KEY => stream.append(&mut packet.data),
            Ok(_) | Err(EncoderStatus::Encoded) => {}
            Err(EncoderStatus::LimitReached) => return Ok(stream),
            Err(error) => return Err(Error::from(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_quality_has_finer_steps() {
        let steps: Vec<usize> = (1..=100).map(quantizer).collect();
        assert!(steps.windows(2).all(|pair| pair[0] >= pair[1]), "{steps:?}");
        assert_eq!((quantizer(1), quantizer(50), quantizer(62), quantizer(100)), (252, 159, 144, 0));
    }

    #[test]
    fn pixels_must_fit_the_size() {
        let options = Options { quality: 50, speed: 10, exif: None };
        assert_eq!(encode(&[0; 12], 2, 2, options), Err(Error("the pixels do not fit the size".to_owned())));
    }
}
