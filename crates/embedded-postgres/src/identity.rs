//! As whom PostgreSQL runs: as ourselves, but never as root.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use nix::unistd::{Uid, User, getegid, geteuid};

use crate::Error;

/// The overflow user, `nobody` nearly everywhere; it exists for the kernel even where no user list does.
const NOBODY: u32 = 65534;

/// A user that is not root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    uid: u32,
    gid: u32,
    switched: bool,
    /// Whether the system has an entry for it; `initdb` asks, `postgres` does not.
    named: bool,
}

impl Identity {
    /// Chooses the user: the one that was asked for; else whoever owns the data already; else `postgres`, or `nobody`.
    /// Without root's rights there is no choice.
    pub(crate) fn choose(wanted: Option<&str>, data: &Path) -> Result<Self, Error> {
        let (ours, group) = (geteuid(), getegid());
        let wanted = wanted.map(look_up).transpose()?;
        if !ours.is_root() {
            return match wanted {
                Some(other) if other.uid != ours.as_raw() => Err(Error::User {
                    user: other.uid.to_string(),
                    reason: "only root can start it as another user".into(),
                }),
                _ => {
                    let named = matches!(User::from_uid(ours), Ok(Some(_)));
                    Ok(Self { uid: ours.as_raw(), gid: group.as_raw(), switched: false, named })
                }
            };
        }
        if let Some(wanted) = wanted {
            return Ok(wanted);
        }
        if let Ok(found) = fs::symlink_metadata(data)
            && found.uid() != 0
        {
            return Ok(of(found.uid(), Some(found.gid())));
        }
        match User::from_name("postgres") {
            Ok(Some(user)) if !user.uid.is_root() => Ok(of(user.uid.as_raw(), Some(user.gid.as_raw()))),
            _ => Ok(of(NOBODY, None)),
        }
    }

    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    pub(crate) fn gid(&self) -> u32 {
        self.gid
    }

    /// Whether it is another user than we are.
    pub(crate) fn switched(&self) -> bool {
        self.switched
    }

    /// Whether the system knows it by name.
    pub(crate) fn named(&self) -> bool {
        self.named
    }
}

fn look_up(text: &str) -> Result<Identity, Error> {
    let refuse = |reason: &str| Error::User { user: text.to_owned(), reason: reason.to_owned() };
    let identity = match text.split_once(':') {
        Some((uid, gid)) => {
            let uid = uid.parse().map_err(|_| refuse("a user id is a number"))?;
            of(uid, Some(gid.parse().map_err(|_| refuse("a group id is a number"))?))
        }
        None => match text.parse() {
            Ok(uid) => of(uid, None),
            Err(_) => match User::from_name(text) {
                Ok(Some(user)) => of(user.uid.as_raw(), Some(user.gid.as_raw())),
                _ => return Err(refuse("there is no such user")),
            },
        },
    };
    if identity.uid == 0 {
        return Err(refuse("PostgreSQL refuses to run as root"));
    }
    Ok(identity)
}

/// A user by id, with its own group unless another is given.
fn of(uid: u32, gid: Option<u32>) -> Identity {
    let entry = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let group = entry.as_ref().map_or(uid, |user| user.gid.as_raw());
    Identity { uid, gid: gid.unwrap_or(group), switched: uid != geteuid().as_raw(), named: entry.is_some() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn root_is_never_chosen() {
        for name in ["0", "root", "0:0"] {
            assert!(look_up(name).is_err(), "{name}");
        }
        let missing = look_up("no-such-user-here").unwrap_err();
        assert_eq!(missing.to_string(), "PostgreSQL cannot run as no-such-user-here: there is no such user");
    }

    #[test]
    fn numbers_need_no_entry_in_the_list_of_users() {
        let identity = look_up("54021:54022").unwrap();
        assert_eq!((identity.uid(), identity.gid(), identity.named()), (54021, 54022, false));
        assert_eq!(look_up("54021").unwrap().gid(), 54021);
    }
}
