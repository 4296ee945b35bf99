//! The TCP port: found free before PostgreSQL is started, so that a taken one is told with its owner.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
};

use crate::Error;

/// Outgoing connections take their ports from 32768 upwards: a port below is only taken by who wants exactly it.
const FREE_PORTS: std::ops::Range<u16> = 20_000..32_768;

/// Checks that `address` can be listened on; port 0 is replaced by a free one.
pub(crate) fn claim(address: SocketAddr) -> Result<SocketAddr, Error> {
    if address.port() != 0 {
        return match try_listen(address) {
            Ok(()) => Ok(address),
            Err(source) if source.kind() == io::ErrorKind::AddrInUse => {
                Err(Error::PortTaken { address, owner: owner(address) })
            }
            Err(source) => Err(Error::Address { address, source }),
        };
    }
    let count = u32::from(FREE_PORTS.end - FREE_PORTS.start);
    // Different processes begin at different places; which ones does not matter.
    let start = std::process::id().wrapping_mul(7919);
    for step in 0..count {
        let offset = u16::try_from(start.wrapping_add(step) % count).unwrap_or_default();
        let candidate = SocketAddr::new(address.ip(), FREE_PORTS.start + offset);
        match try_listen(candidate) {
            Ok(()) => return Ok(candidate),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(source) => return Err(Error::Address { address, source }),
        }
    }
    Err(Error::PortTaken { address, owner: None })
}

fn try_listen(address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address).map(drop)
}

/// The program that listens there, as `name (process id)`. Only root sees the programs of other users.
fn owner(address: SocketAddr) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let table = fs::read_to_string(table).ok()?;
        table.lines().skip(1).find_map(|line| listener(line, address.port()).map(str::to_owned))
    })?;
    let wanted = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        // Beside the numbers there are links to ourselves.
        if process.file_name().to_str().is_none_or(|name| name.parse::<u32>().is_err()) {
            continue;
        }
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds =
            |entry: fs::DirEntry| fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == &*wanted);
        if descriptors.flatten().any(holds) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {})", name.trim(), process.file_name().to_string_lossy()));
        }
    }
    None
}

/// The inode of a line of `/proc/net/tcp` that is a listener (state 0A) on `port`.
fn listener(line: &str, port: u16) -> Option<&str> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
    let listens = fields.get(3) == Some(&"0A");
    (listens && u16::from_str_radix(local_port, 16) == Ok(port)).then(|| fields.get(9).copied()).flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_its_owner() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let Err(Error::PortTaken { owner: Some(owner), .. }) = claim(address) else {
            panic!("the port is taken")
        };
        assert!(owner.ends_with(&format!("(process {})", std::process::id())), "{owner}");
    }

    #[test]
    fn port_zero_becomes_a_free_one_below_the_ephemeral_range() {
        let address = claim("127.0.0.1:0".parse().unwrap()).unwrap();
        assert!(FREE_PORTS.contains(&address.port()));
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let error = claim("192.0.2.1:20000".parse().unwrap()).unwrap_err();
        assert!(matches!(error, Error::Address { .. }), "{error}");
    }
}
