//! Objects: downloads beside nginx, uploads beside `dd`, listings of a bucket of a million, memory; all of it beside the
//! original where it is there (`STORAGE_API_DIR`: a built checkout of supabase/storage, run by `node`).

mod alone;
mod listing;
mod nginx;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::alone::{Alone, Program};
use self::nginx::Nginx;
use crate::Arguments;
use crate::backend::Backend;
use crate::load::{self, Http};
use crate::process::peak_rss_kib;
use crate::table::{head, line, median, note};

/// A size of objects and how it is loaded.
struct Kind {
    name: &'static str,
    bytes: usize,
    /// Connections that download at a time.
    connections: usize,
    /// Uploads of one run, one after the other; none where another kind has them.
    uploads: usize,
    download: &'static str,
}

const KINDS: [Kind; 4] = [
    Kind { name: "1 KiB", bytes: 1 << 10, connections: 8, uploads: 40, download: ">= 0.25" },
    Kind { name: "1 KiB", bytes: 1 << 10, connections: 64, uploads: 0, download: ">= 0.25" },
    Kind { name: "1 MiB", bytes: 1 << 20, connections: 4, uploads: 20, download: ">= 0.7" },
    Kind { name: "100 MiB", bytes: 100 << 20, connections: 2, uploads: 1, download: ">= 0.6" },
];

/// Clients that upload small objects at the same time, beside the original.
const UPLOADERS: usize = 8;
/// Uploads at a time, and the size of each, while memory is watched.
const PARALLEL: usize = 100;
const BUCKET: &str = "bench";

/// The figures of one size of objects.
#[derive(Default)]
struct Figures {
    ours: Vec<f64>,
    door: Vec<f64>,
    nginx: Vec<f64>,
    original: Vec<f64>,
    upload: Vec<f64>,
    dd: Vec<f64>,
    original_upload: Vec<f64>,
}

/// All of it, or only what objects of `size` bytes show.
pub(crate) async fn measure(arguments: &Arguments, size: Option<usize>) -> Result<()> {
    let kinds: Vec<&Kind> = KINDS.iter().filter(|kind| size.is_none_or(|size| size == kind.bytes)).collect();
    ensure!(!kinds.is_empty(), "objects of that size are not measured");
    let folder = tempfile::tempdir()?;
    // The development limit is 50 MiB.
    let settings = folder.path().join("supabase");
    std::fs::create_dir(&settings)?;
    std::fs::write(settings.join("config.toml"), "[storage]\nfile_size_limit = \"1GiB\"\n")?;
    let backend = Backend::start(&arguments.binary, folder.path()).await?;
    let ours = Alone::start(Program::Ours(&arguments.binary), &backend, folder.path()).await?;
    let original = match std::env::var_os("STORAGE_API_DIR") {
        Some(built) => {
            Some(Alone::start(Program::Original(Path::new(&built)), &backend, folder.path()).await?)
        }
        None => None,
    };
    ours.create_bucket(BUCKET).await?;
    if let Some(original) = &original {
        original.create_bucket(BUCKET).await?;
    }
    let files = folder.path().join("files");
    std::fs::create_dir(&files)?;
    let nginx = Nginx::start(folder.path(), &files).await?;
    let duration = Duration::from_secs(arguments.seconds);
    let door = ours.behind(&backend);
    let mut figures: Vec<Figures> = kinds.iter().map(|_| Figures::default()).collect();
    let small = kinds.iter().any(|kind| kind.bytes == 1 << 10);
    let (mut parallel, mut original_parallel) = (Vec::new(), Vec::new());
    for kind in &kinds {
        let content = noise(kind.bytes);
        std::fs::write(files.join(kind.bytes.to_string()), &content)?;
        let mut servers = vec![&ours, &door];
        servers.extend(&original);
        for server in servers {
            let key = server.key(kind.bytes);
            server.upload(&mut Http::connect(server.address).await?, &key, &content).await?;
        }
    }
    for _ in 0..arguments.runs {
        for (kind, figures) in kinds.iter().zip(&mut figures) {
            let rate = async |server: &Alone| -> Result<f64> {
                let request = server.download(&server.key(kind.bytes));
                load::drained(server.address, kind.connections, duration, request).await
            };
            figures.ours.push(rate(&ours).await?);
            figures.nginx.push(
                load::drained(nginx.address, kind.connections, duration, nginx.download(kind.bytes)).await?,
            );
            figures.door.push(rate(&door).await?);
            if let Some(original) = &original {
                figures.original.push(rate(original).await?);
            }
            if kind.uploads == 0 {
                continue;
            }
            let content = files.join(kind.bytes.to_string());
            figures.upload.push(uploads(&ours, kind, &content).await?);
            figures.dd.push(written_plainly(&backend, kind, &content, folder.path()).await?);
            if let Some(original) = &original {
                figures.original_upload.push(uploads(original, kind, &content).await?);
            }
        }
        if !small {
            continue;
        }
        parallel.push(many_uploads(&ours, duration).await?);
        if let Some(original) = &original {
            original_parallel.push(many_uploads(original, duration).await?);
        }
    }
    report(&kinds, &figures, original.is_some());
    if small && original.is_some() {
        let name = format!("upload 1 KiB, {UPLOADERS} at a time (limit: the original)");
        line(&name, median(&parallel), median(&original_parallel), "1/s", ">= 5");
    } else if small {
        note(&format!("upload 1 KiB, {UPLOADERS} at a time"), median(&parallel), "1/s");
    }
    if size.is_some() {
        drop((nginx, ours, original));
        return backend.stop();
    }
    flat_memory(&ours, folder.path()).await?;
    listing::measure(arguments, &backend, &ours, original.as_ref()).await?;
    drop((nginx, ours, original));
    backend.stop()
}

fn report(kinds: &[&Kind], figures: &[Figures], beside: bool) {
    head("Objects, the service alone; limit: nginx serving the same files from disk");
    for (kind, figures) in kinds.iter().zip(figures) {
        let ours = median(&figures.ours);
        let name = format!("download {}, {} connections", kind.name, kind.connections);
        line(&name, ours, median(&figures.nginx), "1/s", kind.download);
        note("  through the front door", median(&figures.door), "1/s");
        if beside {
            line("  limit: the original", ours, median(&figures.original), "1/s", asked(kind));
        }
        if kind.uploads == 0 {
            continue;
        }
        let name = format!("upload {} (limit: dd conv=fsync + transaction)", kind.name);
        let took = median(&figures.upload);
        line(&name, 1.0 / took, 1.0 / median(&figures.dd), "1/s", ">= 0.5");
        if beside {
            line(
                "  limit: the original",
                1.0 / took,
                1.0 / median(&figures.original_upload),
                "1/s",
                asked(kind),
            );
        }
    }
}

fn asked(kind: &Kind) -> &'static str {
    if kind.bytes == 1 << 10 { ">= 5" } else { "-" }
}

/// Bytes that no file system can make smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Seconds for one upload, one after the other.
async fn uploads(server: &Alone, kind: &Kind, content: &Path) -> Result<f64> {
    let content = std::fs::read(content)?;
    let mut http = Http::connect(server.address).await?;
    let began = Instant::now();
    for _ in 0..kind.uploads {
        server.upload(&mut http, &format!("up-{}", kind.bytes), &content).await?;
    }
    Ok(began.elapsed().as_secs_f64() / kind.uploads as f64)
}

/// Seconds for what an upload cannot do without: a file on the disk, and a committed row.
async fn written_plainly(backend: &Backend, kind: &Kind, content: &Path, folder: &Path) -> Result<f64> {
    let mut connection = backend.connect("supabase_storage_admin").await?;
    let target = folder.join("dd");
    let block = kind.bytes.min(1 << 20);
    let sql = format!(
        "insert into storage.objects (bucket_id, name, version, metadata)
         values ('{BUCKET}', 'dd', gen_random_uuid()::text, '{{\"size\":1,\"mimetype\":\"text/plain\"}}')
         on conflict (bucket_id, name) do update set version = excluded.version, metadata = excluded.metadata"
    );
    let began = Instant::now();
    for _ in 0..kind.uploads {
        let status = Command::new("dd")
            .arg(format!("if={}", content.display()))
            .arg(format!("of={}", target.display()))
            .arg(format!("bs={block}"))
            .arg("conv=fsync")
            .stderr(Stdio::null())
            .status()
            .context("dd")?;
        ensure!(status.success(), "dd failed");
        connection.simple_query(&sql).await?;
    }
    let took = began.elapsed().as_secs_f64() / kind.uploads as f64;
    std::fs::remove_file(target)?;
    Ok(took)
}

/// Small uploads a second by several clients, each under keys of its own.
async fn many_uploads(server: &Alone, duration: Duration) -> Result<f64> {
    let content = noise(1 << 10);
    let salt = server.salt();
    let requests = server.upload_requests(content);
    let request = move |turn: usize| requests(&format!("many/{salt}/{turn}"));
    Ok(load::run(server.address, UPLOADERS, duration, request).await?.per_second)
}

/// The memory of the service while a hundred large bodies arrive at once.
async fn flat_memory(server: &Alone, folder: &Path) -> Result<()> {
    let disk = nix::sys::statvfs::statvfs(folder)?;
    let free = disk.blocks_available() * disk.fragment_size();
    let wanted = PARALLEL as u64 * (100 << 20) + (2 << 30);
    if free < wanted {
        println!(
            "memory under {PARALLEL} uploads of 100 MiB was not measured: the disk has only {} MB left",
            free / 1_000_000
        );
        return Ok(());
    }
    let chunk = noise(1 << 20);
    let local = tokio::task::LocalSet::new();
    let began = Instant::now();
    local
        .run_until(async {
            let chunk = std::rc::Rc::new(chunk);
            let tasks: Vec<_> = (0..PARALLEL)
                .map(|number| {
                    let chunk = chunk.clone();
                    let head = server.upload_head(&format!("parallel/{number}"), 100 << 20);
                    let address = server.address;
                    tokio::task::spawn_local(async move {
                        let mut http = Http::connect(address).await?;
                        http.send_in_pieces(head.as_bytes(), &chunk, 100).await
                    })
                })
                .collect();
            for task in tasks {
                let answer = task.await??;
                ensure!(answer.status == 200, "{}", String::from_utf8_lossy(&answer.body));
            }
            Ok(())
        })
        .await?;
    let peak = peak_rss_kib(server.pid())? as f64 / 1000.0 * 1.024;
    head("Memory of the service alone");
    line(&format!("{PARALLEL} parallel uploads of 100 MiB: peak RSS"), peak, 150.0, "MB", "< 1");
    note("  which took", began.elapsed().as_secs_f64(), "s");
    server.delete((0..PARALLEL).map(|number| format!("parallel/{number}"))).await
}
