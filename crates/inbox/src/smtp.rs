//! The SMTP server: takes every mail from everybody, into the box.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Inbox;

/// Longest line of a command; longer lines of a mail are taken.
const MAX_LINE: usize = 4096;
/// Most receivers of one mail.
const MAX_RECEIVERS: usize = 1000;
/// Longest wait for a client.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most commands that are not understood before the server hangs up.
const MAX_ERRORS: usize = 20;

/// Serves until `stop` resolves, then ends what is under way.
pub async fn serve(
    listener: TcpListener,
    inbox: Inbox,
    stop: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let places = Arc::new(Semaphore::new(inbox.limits().connections));
    let mut sessions = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            // Finished sessions are forgotten as they end.
            Some(_) = sessions.join_next() => {}
            accepted = listener.accept() => {
                let (stream, peer) = match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "the mail catcher could not accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                };
                let Ok(place) = places.clone().try_acquire_owned() else {
                    let mut stream = stream;
                    // Whoever is not served is told, if they listen.
                    let _ = stream.try_write(b"421 too many connections\r\n");
                    let _ = stream.shutdown().await;
                    continue;
                };
                let inbox = inbox.clone();
                sessions.spawn(async move {
                    let _place = place;
                    if let Err(error) = Session::new(stream, inbox).run().await {
                        tracing::debug!(%error, %peer, "a connection to the mail catcher ended");
                    }
                });
            }
        }
    }
    sessions.shutdown().await;
    Ok(())
}

struct Session<S> {
    stream: BufReader<S>,
    inbox: Inbox,
    sender: Option<String>,
    receivers: Vec<String>,
    errors: usize,
}

/// What a command was answered with, and whether the session goes on.
enum Next {
    On,
    End,
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Session<S> {
    fn new(stream: S, inbox: Inbox) -> Self {
        Self { stream: BufReader::new(stream), inbox, sender: None, receivers: Vec::new(), errors: 0 }
    }

    async fn run(mut self) -> std::io::Result<()> {
        self.say("220 monobase mail catcher ESMTP").await?;
        while let Some(line) = self.line().await? {
            if let Next::End = self.command(&line).await? {
                return Ok(());
            }
            if self.errors > MAX_ERRORS {
                return self.say("421 too many errors").await;
            }
        }
        Ok(())
    }

    async fn say(&mut self, text: &str) -> std::io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(text.as_bytes()).await?;
        stream.write_all(b"\r\n").await?;
        stream.flush().await
    }

    /// A line without its end; none at the end of the connection.
    async fn line(&mut self) -> std::io::Result<Option<String>> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(MAX_LINE as u64);
        let read = tokio::time::timeout(PATIENCE, limited.read_until(b'\n', &mut line));
        let read = read.await.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        if read == 0 {
            return Ok(None);
        }
        if !line.ends_with(b"\n") && read >= MAX_LINE {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "a line is too long"));
        }
        Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()))
    }

    async fn command(&mut self, line: &str) -> std::io::Result<Next> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let answer = match verb.to_ascii_uppercase().as_str() {
            "HELO" => {
                self.forget();
                "250 monobase"
            }
            "EHLO" => {
                self.forget();
                let size = self.inbox.limits().message_bytes;
                let features = format!(
                    "250-monobase\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE {size}"
                );
                self.say(&features).await?;
                return Ok(Next::On);
            }
            "AUTH" => return self.sign_in(rest).await,
            "MAIL" => self.from(rest),
            "RCPT" => self.to(rest),
            "DATA" => return self.data().await,
            "RSET" => {
                self.forget();
                "250 ok"
            }
            "NOOP" => "250 ok",
            "VRFY" => "252 everybody receives mail here",
            "QUIT" => {
                self.say("221 bye").await?;
                return Ok(Next::End);
            }
            _ => {
                self.errors += 1;
                "500 what is that?"
            }
        };
        self.say(answer).await?;
        Ok(Next::On)
    }

    /// Everybody may sign in as anybody: nothing leaves this box.
    async fn sign_in(&mut self, rest: &str) -> std::io::Result<Next> {
        let mut words = rest.split_whitespace();
        let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
        let initial = words.next().is_some();
        let questions: &[&str] = match mechanism.as_str() {
            "PLAIN" if initial => &[],
            "PLAIN" => &["334 "],
            // "Username:" and "Password:" in base64.
            "LOGIN" if initial => &["334 UGFzc3dvcmQ6"],
            "LOGIN" => &["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"],
            _ => {
                self.errors += 1;
                self.say("504 there is PLAIN and LOGIN").await?;
                return Ok(Next::On);
            }
        };
        for question in questions {
            self.say(question).await?;
            match self.line().await? {
                None => return Ok(Next::End),
                Some(answer) if answer == "*" => {
                    self.say("501 cancelled").await?;
                    return Ok(Next::On);
                }
                Some(_) => {}
            }
        }
        self.say("235 welcome").await?;
        Ok(Next::On)
    }

    fn forget(&mut self) {
        self.sender = None;
        self.receivers.clear();
    }

    fn from(&mut self, rest: &str) -> &'static str {
        let Some((address, parameters)) = path(rest, "FROM:") else { return "501 MAIL FROM:<address>" };
        let size = parameters.split_whitespace().find_map(|word| {
            let (name, size) = word.split_once('=')?;
            name.eq_ignore_ascii_case("SIZE").then(|| size.parse::<usize>().ok())?
        });
        if size.is_some_and(|size| size > self.inbox.limits().message_bytes) {
            return "552 the mail is too large";
        }
        self.forget();
        self.sender = Some(address);
        "250 ok"
    }

    fn to(&mut self, rest: &str) -> &'static str {
        if self.sender.is_none() {
            return "503 MAIL first";
        }
        match path(rest, "TO:") {
            Some((address, _)) if !address.is_empty() => {
                if self.receivers.len() >= MAX_RECEIVERS {
                    return "452 too many receivers";
                }
                self.receivers.push(address);
                "250 ok"
            }
            _ => "501 RCPT TO:<address>",
        }
    }

    async fn data(&mut self) -> std::io::Result<Next> {
        if self.receivers.is_empty() {
            self.say("503 RCPT first").await?;
            return Ok(Next::On);
        }
        self.say("354 end with a dot on a line of its own").await?;
        let most = self.inbox.limits().message_bytes;
        let mut mail = Vec::new();
        let mut too_large = false;
        loop {
            let mut line = Vec::new();
            let mut limited = (&mut self.stream).take((most + MAX_LINE) as u64);
            let read = tokio::time::timeout(PATIENCE, limited.read_until(b'\n', &mut line));
            let read = read.await.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
            if read == 0 {
                return Ok(Next::End);
            }
            if !line.ends_with(b"\n") {
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "a line is too long"));
            }
            if matches!(line.as_slice(), b".\r\n" | b".\n") {
                break;
            }
            // A dot at the beginning was doubled on its way.
            let text = line.strip_prefix(b".").unwrap_or(&line);
            too_large |= mail.len() + text.len() > most;
            if !too_large {
                mail.extend_from_slice(text);
            }
        }
        let sender = self.sender.take().unwrap_or_default();
        let receivers = std::mem::take(&mut self.receivers);
        if too_large || self.inbox.accept(&sender, &receivers, mail).is_err() {
            self.say("552 the mail is too large").await?;
        } else {
            self.say("250 caught").await?;
        }
        Ok(Next::On)
    }
}

/// `FROM:<a@b> PARAMETERS` into address and parameters.
fn path(text: &str, keyword: &str) -> Option<(String, String)> {
    let rest = text.get(..keyword.len()).filter(|word| word.eq_ignore_ascii_case(keyword))?;
    let rest = text[rest.len()..].trim_start();
    let (address, parameters) = match rest.strip_prefix('<') {
        Some(rest) => rest.split_once('>')?,
        None => rest.split_once(' ').unwrap_or((rest, "")),
    };
    Some((address.trim().to_owned(), parameters.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Limits;
    use crate::search::Query;

    async fn talk(limits: Limits, said: &str) -> (String, Inbox) {
        let inbox = Inbox::new(limits);
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let session = tokio::spawn(Session::new(server, inbox.clone()).run());
        client.write_all(said.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answers = String::new();
        client.read_to_string(&mut answers).await.unwrap();
        let _ = session.await.unwrap();
        (answers, inbox)
    }

    fn codes(answers: &str) -> Vec<&str> {
        answers.lines().filter(|line| line.as_bytes().get(3) == Some(&b' ')).map(|line| &line[..3]).collect()
    }

    #[tokio::test]
    async fn a_mail_is_caught_as_it_was_sent() {
        let said = "EHLO me\r\nAUTH PLAIN AGEAYg==\r\nMAIL FROM:<a@x.test> SIZE=10\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\n\
                    DATA\r\nSubject: hi\r\nTo: b@y.test\r\n\r\n..dot\r\nend\r\n.\r\nQUIT\r\n";
        let (answers, inbox) = talk(Limits::default(), said).await;
        assert_eq!(codes(&answers), ["220", "250", "235", "250", "250", "250", "354", "250", "221"]);
        let message = inbox.find("latest").unwrap();
        assert_eq!(message.raw, b"Subject: hi\r\nTo: b@y.test\r\n\r\n.dot\r\nend\r\n");
        assert_eq!(message.receivers, ["b@y.test", "c@y.test"]);
        assert_eq!(message.return_path, "a@x.test");
    }

    #[tokio::test]
    async fn order_and_size_matter() {
        let limits = Limits { message_bytes: 20, ..Limits::default() };
        let said = "RCPT TO:<b@y>\r\nDATA\r\nMAIL FROM:<a@x> SIZE=21\r\nMAIL FROM:<>\r\nRCPT TO:<b@y>\r\nDATA\r\n\
                    this line alone is too long\r\n.\r\nHELP\r\nRSET\r\nAUTH NTLM\r\n";
        let (answers, inbox) = talk(limits, said).await;
        assert_eq!(
            codes(&answers),
            ["220", "503", "503", "552", "250", "250", "354", "552", "500", "250", "504"]
        );
        assert_eq!(inbox.list(&Query::default(), 0, 9).total, 0);
    }

    #[tokio::test]
    async fn whoever_speaks_nonsense_is_hung_up_on() {
        let (answers, _) = talk(Limits::default(), &"x\r\n".repeat(30)).await;
        assert!(answers.ends_with("421 too many errors\r\n"), "{answers}");
        let (answers, _) = talk(Limits::default(), &"x".repeat(5000)).await;
        assert_eq!(codes(&answers), ["220"]);
    }

    proptest::proptest! {
        #[test]
        fn no_words_make_it_panic(said in "(EHLO|MAIL FROM:|RCPT TO:|DATA|AUTH LOGIN|[<>.@ a-z\\r\\n]|\\r\\n){0,30}") {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(talk(Limits::default(), &said));
        }
    }
}
