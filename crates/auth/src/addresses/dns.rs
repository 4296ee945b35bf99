//! The mail servers of a domain, asked of the system's name server: the one question that the standard library cannot ask.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

/// Longest wait for a name server.
const PATIENCE: Duration = Duration::from_secs(2);
const MAIL_SERVER: u16 = 15;
const INTERNET: u16 = 1;

/// What a name server said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Names of servers, in lower case.
    Found(Vec<String>),
    /// There is no such domain, or it names no mail server.
    Nothing,
    /// No answer that tells.
    Unknown,
}

/// The mail servers of a domain.
pub(super) async fn mail_servers(domain: &str) -> Answer {
    for server in name_servers().await {
        let asked = tokio::time::timeout(PATIENCE, ask(server, domain)).await;
        if let Ok(Ok(answer)) = asked
            && answer != Answer::Unknown
        {
            return answer;
        }
    }
    Answer::Unknown
}

async fn name_servers() -> Vec<SocketAddr> {
    let text = tokio::fs::read_to_string("/etc/resolv.conf").await.unwrap_or_default();
    let mut servers = configured(&text);
    if servers.is_empty() {
        servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
    }
    servers
}

/// At most three, as the system's own resolver has it.
fn configured(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| rest.trim().parse::<IpAddr>().ok())
        .map(|ip| SocketAddr::new(ip, 53))
        .take(3)
        .collect()
}

async fn ask(server: SocketAddr, domain: &str) -> std::io::Result<Answer> {
    let id: u16 = rand::random();
    let Some(question) = question(id, domain) else { return Ok(Answer::Nothing) };
    let ours = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(ours).await?;
    socket.connect(server).await?;
    socket.send(&question).await?;
    let mut buffer = [0; 1500];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // Somebody else's answer is none.
        if buffer[..length].starts_with(&id.to_be_bytes()) {
            return Ok(read(&buffer[..length]).unwrap_or(Answer::Unknown));
        }
    }
}

/// A question (RFC 1035). None if the domain cannot be one.
fn question(id: u16, domain: &str) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(domain.len() + 18);
    message.extend_from_slice(&id.to_be_bytes());
    // Recursion desired, one question.
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in domain.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&MAIL_SERVER.to_be_bytes());
    message.extend_from_slice(&INTERNET.to_be_bytes());
    Some(message)
}

/// Reads an answer. None if it is malformed.
fn read(message: &[u8]) -> Option<Answer> {
    let number = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let (is_response, is_truncated) = (message.get(2)? & 0x80 != 0, message.get(2)? & 0x02 != 0);
    let (questions, answers) = (number(4)?, number(6)?);
    match message.get(3)? & 0x0f {
        0 if is_response => {}
        // There is no such name.
        3 if is_response => return Some(Answer::Nothing),
        _ => return Some(Answer::Unknown),
    }
    let mut at = 12;
    for _ in 0..questions {
        at = skip_name(message, at)? + 4;
    }
    let mut servers = Vec::new();
    for _ in 0..answers {
        at = skip_name(message, at)?;
        let (kind, length) = (number(at)?, usize::from(number(at + 8)?));
        if kind == MAIL_SERVER {
            // Behind its preference.
            servers.push(name(message, at + 12)?);
        }
        at += 10 + length;
    }
    // Of a truncated answer what is there counts, but that nothing is there does not.
    Some(match servers.is_empty() {
        true if is_truncated => Answer::Unknown,
        true => Answer::Nothing,
        false => Answer::Found(servers),
    })
}

/// Where what follows a name begins.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length if length & 0xc0 == 0 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

fn name(message: &[u8], mut at: usize) -> Option<String> {
    let mut labels: Vec<String> = Vec::new();
    // Each step reads a label or follows a pointer: names have at most 127 labels, so more steps are a circle.
    for _ in 0..255 {
        let length = *message.get(at)?;
        match length & 0xc0 {
            0 if length == 0 => return Some(labels.join(".")),
            0 => {
                let label = message.get(at + 1..at + 1 + usize::from(length))?;
                labels.push(String::from_utf8_lossy(label).to_lowercase());
                at += 1 + usize::from(length);
            }
            0xc0 => at = usize::from(u16::from_be_bytes([length & 0x3f, *message.get(at + 1)?])),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// An answer to a question, with the second server's name shortened by a pointer.
    fn answer(domain: &str, code: u8, servers: &[&str]) -> Vec<u8> {
        let mut message = question(7, domain).unwrap();
        message[2] = 0x81;
        message[3] = 0x80 | code;
        message[7] = servers.len() as u8;
        for server in servers {
            // The name: a pointer to the question's.
            message.extend_from_slice(&[0xc0, 12, 0, 15, 0, 1, 0, 0, 0, 60]);
            let mut target = vec![0, 10];
            let own = server.strip_suffix(&format!(".{domain}"));
            for label in own.unwrap_or(server).split('.') {
                target.push(label.len() as u8);
                target.extend_from_slice(label.as_bytes());
            }
            match own {
                Some(_) => target.extend_from_slice(&[0xc0, 12]),
                None => target.push(0),
            }
            message.extend_from_slice(&(target.len() as u16).to_be_bytes());
            message.extend_from_slice(&target);
        }
        message
    }

    #[test]
    fn servers_are_read_shortened_names_included() {
        let message = answer("x.io", 0, &["MX.other.net", "mail.x.io"]);
        assert_eq!(read(&message), Some(Answer::Found(vec!["mx.other.net".into(), "mail.x.io".into()])));
        assert_eq!(read(&answer("x.io", 0, &[])), Some(Answer::Nothing));
        assert_eq!(read(&answer("x.io", 3, &[])), Some(Answer::Nothing));
        assert_eq!(read(&answer("x.io", 2, &[])), Some(Answer::Unknown));
    }

    #[test]
    fn a_name_that_points_at_itself_is_malformed() {
        let mut message = answer("x.io", 0, &["mail.x.io"]);
        let end = message.len();
        message[end - 1] = (end - 2) as u8;
        assert_eq!(read(&message), None);
    }

    #[test]
    fn what_cannot_be_a_domain_is_not_asked_for() {
        assert_eq!(question(1, "a..b"), None);
        assert_eq!(question(1, &"a".repeat(64)), None);
        assert_eq!(question(1, "a.b").unwrap().len(), 12 + 5 + 4);
    }

    #[test]
    fn name_servers_are_those_of_the_system() {
        let text = "# x\nsearch a\nnameserver 10.0.0.1\nnameserver ::1\nnameserver nonsense\n";
        let found: Vec<_> = configured(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1:53", "[::1]:53"]);
    }

    #[tokio::test]
    async fn a_name_server_is_asked() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            let (_, asker) = server.recv_from(&mut buffer).await.unwrap();
            // Another one's answer first.
            server.send_to(&[0; 12], asker).await.unwrap();
            let mut message = answer("x.io", 0, &["mail.x.io"]);
            message[..2].copy_from_slice(&buffer[..2]);
            server.send_to(&message, asker).await.unwrap();
        });
        assert_eq!(ask(address, "x.io").await.unwrap(), Answer::Found(vec!["mail.x.io".into()]));
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_reading_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            read(&bytes);
            let mut message = answer("x.io", 0, &["mail.x.io"]);
            let room = message.len().min(bytes.len());
            message[12..].iter_mut().zip(&bytes[..room]).for_each(|(byte, other)| *byte ^= other);
            read(&message);
        }
    }
}
