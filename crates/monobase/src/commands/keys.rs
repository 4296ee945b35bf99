//! `monobase keys`: making real secrets, and printing the current ones.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use config::{Config, Flags};
use tokens::{ApiKeyRole, generate};

use crate::cli::{Format, Global, KeyName, KeysArguments, KeysCommand};
use crate::failure::Failure;
use crate::{output, settings, terminal};

pub(crate) fn run(global: &Global, arguments: &KeysArguments) -> Result<(), Failure> {
    match arguments.command {
        KeysCommand::Generate { force } => generate_keys(global, force),
        KeysCommand::Show { key } => show(global, key),
    }
}

/// The names that are written to `.env`.
const NAMES: [&str; 9] = [
    "JWT_SECRET",
    "ANON_KEY",
    "SERVICE_ROLE_KEY",
    "SUPABASE_PUBLISHABLE_KEY",
    "SUPABASE_SECRET_KEY",
    "POSTGRES_PASSWORD",
    "S3_PROTOCOL_ACCESS_KEY_ID",
    "S3_PROTOCOL_ACCESS_KEY_SECRET",
    "SUPABASE_AUTH_SIGNING_KEYS_PATH",
];

fn generate_keys(global: &Global, force: bool) -> Result<(), Failure> {
    let root = project_folder(global)?;
    let env_path = root.join(".env");
    let keys_path = root.join("supabase/signing_keys.json");
    let before = read_if_there(&env_path)?;
    let taken: Vec<&str> = NAMES.into_iter().filter(|name| sets(&before, name)).collect();
    if !force {
        let keep = "everything signed with them would stop working; --force replaces them";
        if !taken.is_empty() {
            return Err(
                Failure::new(format!("{} already sets {}", env_path.display(), taken.join(", "))).hint(keep)
            );
        }
        if keys_path.exists() {
            return Err(Failure::new(format!("{} is there already", keys_path.display())).hint(keep));
        }
    }
    let failed = |error: generate::GenerateError| Failure::from(anyhow::Error::from(error));
    let secret = generate::secret().map_err(failed)?;
    let api = generate::api_keys(&secret).map_err(failed)?;
    let jwk = generate::signing_jwk().map_err(failed)?;
    let signing_keys = serde_json::to_string_pretty(&[jwk]).map_err(anyhow::Error::from)?;

    let mut text = without(&before, &NAMES);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let s3_id = generate::random_hex(16).map_err(failed)?;
    let s3_secret = generate::random_hex(32).map_err(failed)?;
    let password = generate::password().map_err(failed)?;
    text.push_str(&format!(
        "{HEADER}\
         JWT_SECRET={secret}\n\
         ANON_KEY={}\n\
         SERVICE_ROLE_KEY={}\n\
         SUPABASE_PUBLISHABLE_KEY={}\n\
         SUPABASE_SECRET_KEY={}\n\
         POSTGRES_PASSWORD={password}\n\
         S3_PROTOCOL_ACCESS_KEY_ID={s3_id}\n\
         S3_PROTOCOL_ACCESS_KEY_SECRET={s3_secret}\n\
         {SIGNING_COMMENT}\
         SUPABASE_AUTH_SIGNING_KEYS_PATH=signing_keys.json\n",
        api.anon_jwt, api.service_role_jwt, api.publishable, api.secret
    ));
    fs::create_dir_all(root.join("supabase")).map_err(anyhow::Error::from)?;
    // The key file first: without the line in .env nothing refers to it.
    write_private(&keys_path, &format!("{signing_keys}\n"))?;
    write_private(&env_path, &text)?;
    if !global.quiet {
        for path in [&env_path, &keys_path] {
            terminal::tell(terminal::Style::Hint, "wrote", &path.display().to_string());
        }
        terminal::tell(
            terminal::Style::Hint,
            "hint",
            "keep both files out of version control; a running stack uses them after a restart",
        );
    }
    Ok(())
}

const HEADER: &str =
    "# Secrets of this installation, made by `monobase keys generate`. Keep them out of version control.\n";

const SIGNING_COMMENT: &str = "# Sessions are signed with this key (ES256). Without the next line they are signed with JWT_SECRET\n\
                               # (HS256); API keys always are. Relative to supabase/.\n";

/// The project's folder. The current keys may be unusable, and are not looked at.
fn project_folder(global: &Global) -> Result<std::path::PathBuf, Failure> {
    let flags = Flags { workdir: global.workdir.clone(), ..Flags::default() };
    let cwd = std::env::current_dir()?;
    let environment = config::Environment::from_process(std::env::vars_os());
    Ok(Config::find_root(&flags, &environment, &cwd)?)
}

fn read_if_there(path: &Path) -> Result<String, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Failure::new(format!("cannot read {}: {error}", path.display()))),
    }
}

/// The name that a line assigns to.
fn assigned(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, _) = line.split_once(['=', ':'])?;
    Some(name.trim())
}

fn sets(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let value = line.split_once(['=', ':']).map_or("", |(_, value)| value.trim());
        assigned(line) == Some(name) && !value.is_empty()
    })
}

/// The text without the lines that assign to `names`, nor the comments that we wrote above them.
fn without(text: &str, names: &[&str]) -> String {
    let ours: Vec<&str> = HEADER.lines().chain(SIGNING_COMMENT.lines()).collect();
    let kept: Vec<&str> = text
        .lines()
        .filter(|line| !ours.contains(line) && assigned(line).is_none_or(|name| !names.contains(&name)))
        .collect();
    kept.join("\n").trim_end().to_owned()
}

/// Replaces a file as a whole, readable by its owner alone.
fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("cannot write {}: {error}", path.display()));
    // A link to a shared file is written through, not replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().unwrap_or(Path::new("."));
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let temporary = folder.join(format!("{name}.{}.new", std::process::id()));
    let write = |file: &mut File| {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(failed)?;
    let written = write(&mut file).and_then(|()| fs::rename(&temporary, &target));
    written.map_err(|error| {
        // The old file is untouched; what is left of the new one is of no use.
        let _ = fs::remove_file(&temporary);
        failed(error)
    })
}

fn show(global: &Global, key: Option<KeyName>) -> Result<(), Failure> {
    let config = settings::load(settings::of_global(global))?;
    let value = |key| -> Result<String, Failure> {
        let keys = &config.keys;
        Ok(match key {
            KeyName::Anon => keys.api.jwt(ApiKeyRole::Anon).to_owned(),
            KeyName::ServiceRole => keys.api.jwt(ApiKeyRole::ServiceRole).to_owned(),
            KeyName::JwtSecret => keys.jwt_secret.expose().to_owned(),
            KeyName::Publishable => keys.api.publishable.to_string(),
            KeyName::Secret => keys.api.secret.to_string(),
            KeyName::DatabasePassword => config.database_password.expose().to_owned(),
            KeyName::Jwks => keys.key_set()?.jwks().to_string(),
        })
    };
    if let Some(key) = key {
        let value = value(key)?;
        return match global.output {
            Format::Json => output::print_json(&value),
            _ => output::print(&format!("{value}\n")),
        };
    }
    let mut all = BTreeMap::new();
    for (name, key) in [
        ("ANON_KEY", KeyName::Anon),
        ("JWT_SECRET", KeyName::JwtSecret),
        ("PUBLISHABLE_KEY", KeyName::Publishable),
        ("SECRET_KEY", KeyName::Secret),
        ("SERVICE_ROLE_KEY", KeyName::ServiceRole),
    ] {
        let value = value(key)?;
        if !value.is_empty() {
            all.insert(name.to_owned(), value);
        }
    }
    match output::variables(&all, global.output)? {
        Some(text) => output::print(&text),
        None => output::print(&output::block(&all)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_lines_are_replaced() {
        let text = "# mine\nA=1\nexport JWT_SECRET=old\nB=\"x\"\nANON_KEY=\n";
        assert!(sets(text, "JWT_SECRET"));
        assert!(!sets(text, "ANON_KEY"));
        assert_eq!(without(text, &NAMES), "# mine\nA=1\nB=\"x\"");
    }
}
