//! A thumbnail of a photograph-sized JPEG: our library beside `vipsthumbnail` (Debian's libvips-tools) on the same cores, with
//! the size of the results and how near they are to a careful reduction of the original.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use imaging::{Format, Header, Limits, Patience, Picture, Settings, Transform, Workshop};

use crate::{Arguments, table};

/// Twelve megapixels.
const WIDTH: u32 = 4000;
const HEIGHT: u32 = 3000;
const THUMBNAIL: u32 = 400;
/// Files of one run.
const FILES: usize = 12;

const LIMITS: Limits = Limits { pixels: 50_000_000, bytes: 0, frames: 1, svg_check_bytes: 0 };

pub(crate) async fn measure(arguments: &Arguments) -> Result<()> {
    if Command::new("vipsthumbnail").arg("--version").stdout(Stdio::null()).status().is_err() {
        bail!("vipsthumbnail was not found: install libvips-tools");
    }
    let folder = tempfile::tempdir()?;
    let source = made(&bitmap(), &to(Format::Jpeg, 0, 92), &Settings::default())?;
    for number in 0..FILES {
        std::fs::write(folder.path().join(format!("{number}.jpg")), &source)?;
    }
    let cores = std::thread::available_parallelism()?.get();
    table::head(&format!(
        "thumbnails of {WIDTH}×{HEIGHT}, {} KB, to {THUMBNAIL} px, on {cores} cores",
        source.len() / 1000
    ));
    for (format, ending) in [(Format::Jpeg, "jpg"), (Format::Webp, "webp")] {
        let workshop = Workshop::open(cores, FILES)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..arguments.runs {
            ours.push(our_rate(&workshop, &source, format).await?);
            theirs.push(their_rate(folder.path(), ending)?);
        }
        table::line(
            &format!("{format} out, pictures a second"),
            table::median(&ours),
            table::median(&theirs),
            "1/s",
            "≥ 1.00",
        );
        quality(folder.path(), &source, format, ending)?;
    }
    Ok(())
}

fn to(format: Format, width: u32, quality: u8) -> Transform {
    let mut transform = Transform { width, format: Some(format), ..Transform::default() };
    transform.quality.explicit = Some(quality);
    transform
}

fn made(source: &[u8], transform: &Transform, settings: &Settings) -> Result<Vec<u8>> {
    let header = Header::read(source, &LIMITS)?;
    Ok(imaging::render(source, &header, transform, settings, &LIMITS, &Patience::default())?.bytes.to_vec())
}

/// Pictures a second, all cores at work.
async fn our_rate(workshop: &Workshop, source: &[u8], format: Format) -> Result<f64> {
    let source: Arc<[u8]> = source.into();
    let began = Instant::now();
    let work = (0..FILES).map(|_| {
        let source = source.clone();
        workshop.run(Patience::default(), move |patience| {
            let header = Header::read(&source, &LIMITS)?;
            imaging::render(
                &source,
                &header,
                &to(format, THUMBNAIL, 80),
                &Settings::default(),
                &LIMITS,
                patience,
            )
        })
    });
    // The line is long enough for all of them.
    let mut waiting: Vec<_> = work.map(Box::pin).collect();
    let mut done = 0;
    std::future::poll_fn(|context| {
        waiting.retain_mut(|work| match std::future::Future::poll(work.as_mut(), context) {
            std::task::Poll::Ready(outcome) => {
                done += usize::from(outcome.is_ok());
                false
            }
            std::task::Poll::Pending => true,
        });
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    ensure!(done == FILES, "{} pictures failed", FILES - done);
    Ok(FILES as f64 / began.elapsed().as_secs_f64())
}

fn their_output(ending: &str) -> String {
    format!("%s-vips.{ending}[Q=80]")
}

/// One process for all files; as many at a time as there are cores, and none waits for its start.
fn their_rate(folder: &Path, ending: &str) -> Result<f64> {
    let cores = std::thread::available_parallelism()?.get();
    let run = |files: usize| -> Result<f64> {
        let began = Instant::now();
        let mut children = Vec::new();
        for core in 0..cores {
            let mut command = Command::new("vipsthumbnail");
            // Several pictures at a time do better with one thread each, like ours.
            command.current_dir(folder).env("VIPS_CONCURRENCY", "1");
            command.args(["--size", &format!("{THUMBNAIL}x"), "-o", &their_output(ending)]);
            command.args((0..files).filter(|file| file % cores == core).map(|file| format!("{file}.jpg")));
            children.push(command.spawn()?);
        }
        for mut child in children {
            ensure!(child.wait()?.success(), "vipsthumbnail failed");
        }
        Ok(began.elapsed().as_secs_f64())
    };
    // The start of the process is not the library's work.
    let (start, whole) = (run(cores)?, run(FILES)?);
    Ok((FILES - cores) as f64 / (whole - start).max(1e-6))
}

fn quality(folder: &Path, source: &[u8], format: Format, ending: &str) -> Result<()> {
    // All pixels count, and nothing is lost when it is written.
    let careful = Settings { shrink_on_load: false, ..Settings::default() };
    let wanted = imaging::load(&made(source, &to(Format::Png, THUMBNAIL, 100), &careful)?, &LIMITS)?;
    let ours = made(source, &to(format, THUMBNAIL, 80), &Settings::default())?;
    let theirs = std::fs::read(folder.join(format!("0-vips.{ending}"))).context("vipsthumbnail's result")?;
    for (name, file) in [("ours", &ours), ("libvips", &theirs)] {
        table::note(&format!("{format} out, {name}: size"), file.len() as f64 / 1000.0, "KB");
        let picture = imaging::load(file, &LIMITS)?;
        table::note(
            &format!("{format} out, {name}: SSIM × 1000"),
            ssim(&picture, &wanted)? * 1000.0,
            "of 1000",
        );
    }
    Ok(())
}

/// Structural similarity of the brightness, by windows of 8×8 that move by 4 (Wang et al. 2004).
fn ssim(one: &Picture, other: &Picture) -> Result<f64> {
    let size = (one.width(), one.height());
    ensure!(size == (other.width(), other.height()), "sizes differ: {size:?}");
    let light = |picture: &Picture| -> Vec<f64> {
        let weigh = |pixel: &[u8]| {
            0.299 * f64::from(pixel[0]) + 0.587 * f64::from(pixel[1]) + 0.114 * f64::from(pixel[2])
        };
        picture.pixels().chunks_exact(4).map(weigh).collect()
    };
    let (one, other) = (light(one), light(other));
    let (width, height) = (size.0 as usize, size.1 as usize);
    let (mut sum, mut count) = (0.0, 0.0);
    for top in (0..height - 7).step_by(4) {
        for left in (0..width - 7).step_by(4) {
            let (mut a, mut b, mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0, 0.0, 0.0);
            for at in (top..top + 8).flat_map(|y| (left..left + 8).map(move |x| y * width + x)) {
                let (x, y) = (one[at], other[at]);
                (a, b, aa, bb, ab) = (a + x, b + y, aa + x * x, bb + y * y, ab + x * y);
            }
            let (a, b) = (a / 64.0, b / 64.0);
            let (va, vb, cov) = (aa / 64.0 - a * a, bb / 64.0 - b * b, ab / 64.0 - a * b);
            let (c1, c2) = (6.5025, 58.5225);
            sum += (2.0 * a * b + c1) * (2.0 * cov + c2) / ((a * a + b * b + c1) * (va + vb + c2));
            count += 1.0;
        }
    }
    Ok(sum / count)
}

/// Something like a photograph: light that falls off, edges, and detail of every size.
fn bitmap() -> Vec<u8> {
    let mut file = b"BM".to_vec();
    file.extend_from_slice(&(54 + WIDTH * HEIGHT * 3).to_le_bytes());
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(&54u32.to_le_bytes());
    file.extend_from_slice(&40u32.to_le_bytes());
    file.extend_from_slice(&WIDTH.to_le_bytes());
    file.extend_from_slice(&HEIGHT.to_le_bytes());
    file.extend_from_slice(&[1, 0, 24, 0]);
    file.extend_from_slice(&[0; 24]);
    // Values between fixed random points, at several scales.
    let random = |x: u32, y: u32, salt: u32| {
        let mut seed =
            x.wrapping_mul(374_761_393) ^ y.wrapping_mul(668_265_263) ^ salt.wrapping_mul(2_246_822_519);
        seed = (seed ^ (seed >> 13)).wrapping_mul(1_274_126_177);
        f64::from((seed ^ (seed >> 16)) & 0xffff) / 65535.0 - 0.5
    };
    let noise = |x: u32, y: u32, step: u32, salt: u32| {
        let (left, top) = (x / step, y / step);
        let (right, down) = (f64::from(x % step) / f64::from(step), f64::from(y % step) / f64::from(step));
        let mix = |a: f64, b: f64, part: f64| a + (b - a) * part;
        let upper = mix(random(left, top, salt), random(left + 1, top, salt), right);
        mix(upper, mix(random(left, top + 1, salt), random(left + 1, top + 1, salt), right), down)
    };
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let shade = [(512, 140.0), (128, 70.0), (32, 35.0), (8, 18.0), (2, 9.0)]
                .iter()
                .map(|&(step, strength)| noise(x, y, step, step) * strength)
                .sum::<f64>();
            let edge = if (x / 7 + y / 5) % 400 < 200 { 25.0 } else { -25.0 };
            for tint in [0.9, 1.0, 1.15] {
                file.push((118.0 + (shade + edge) * tint).clamp(0.0, 255.0) as u8);
            }
        }
    }
    file
}
