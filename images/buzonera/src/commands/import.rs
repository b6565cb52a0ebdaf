//! `buzonera import users.csv`: every row is checked, by us and by the directory, before the first
//! account is made.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use wire::rpc;

use crate::client::{Admin, ask, request_id};
use crate::commands::session::Session;
use crate::failure::Failure;
use crate::output::Show;
use crate::output::text::count;
use crate::users::{self, BadRow, User, Users};

/// Rows in one request. Passwords are hashed one after the other, about 25 ms each: a request
/// stays within a few seconds and its size below gRPC's 4 MiB.
const BATCH: usize = 100;

/// Which file, and what to do about bad rows.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// CSV with a header of address,password,quota,aliases; only address is required. Aliases are
    /// separated by semicolons.
    pub file: PathBuf,
    /// Import the good rows even though there are bad ones.
    #[arg(long)]
    pub skip_bad: bool,
}

/// Runs the command.
pub async fn run(args: ImportArgs, session: &mut Session) -> Result<(), Failure> {
    let Users { good, mut bad } = read(&args)?;
    let admin = session.admin()?;
    let good = check(&admin, good, &mut bad).await?;
    bad.sort_by_key(|row| row.line);
    if !bad.is_empty() && !args.skip_bad {
        return refuse(session, good.len(), bad);
    }
    let mut imported = Vec::new();
    for batch in good.chunks(BATCH) {
        let sent = send(&admin, batch, false, &mut bad).await;
        imported.extend(sent.map_err(|failure| halfway(failure, imported.len()))?);
        if imported.len() < good.len() {
            let all = count(good.len() as u64, "account");
            let line = format!("{} of {all} imported", imported.len());
            session.output.progress(&line)?;
        }
    }
    finish(session, &imported, bad, args.skip_bad)
}

/// A failure after some rows were written: how to go on.
fn halfway(failure: Failure, imported: usize) -> Failure {
    match imported {
        0 => failure,
        _ => failure.and(&format!(
            "{} imported before that: import the file again with --skip-bad.",
            count(imported as u64, "account")
        )),
    }
}

fn read(args: &ImportArgs) -> Result<Users, Failure> {
    let shown = args.file.display();
    let cannot = |error: std::io::Error| Failure::Usage(format!("{shown}: {error}."));
    let mut data = Vec::new();
    let file = File::open(&args.file).map_err(cannot)?;
    let cap = users::MAX_FILE as u64 + 1;
    file.take(cap).read_to_end(&mut data).map_err(cannot)?;
    users::parse(&data).map_err(|error| Failure::Usage(format!("{shown}: {error}.")))
}

/// Asks the directory about every row and changes nothing; rows that it refuses become bad.
async fn check(
    admin: &Admin,
    rows: Vec<User>,
    bad: &mut Vec<BadRow>,
) -> Result<Vec<User>, Failure> {
    let mut good = Vec::with_capacity(rows.len());
    for batch in rows.chunks(BATCH) {
        good.extend(send(admin, batch, true, bad).await?);
    }
    Ok(good)
}

/// Sends one batch; returns the rows that were taken.
async fn send(
    admin: &Admin,
    batch: &[User],
    check_only: bool,
    bad: &mut Vec<BadRow>,
) -> Result<Vec<User>, Failure> {
    let request = rpc::ImportAccountsRequest {
        request_id: request_id(),
        rows: batch.iter().map(row).collect(),
        check_only,
    };
    let reply = ask!(admin.import_accounts(request))?;
    if reply.results.len() != batch.len() {
        let text = "The directory did not answer for every row.";
        return Err(Failure::Refused(text.to_owned()));
    }
    let mut taken = Vec::new();
    for (user, result) in batch.iter().zip(reply.results) {
        match result.error {
            none if none.is_empty() => taken.push(user.clone()),
            reason => bad.push(BadRow {
                line: user.line,
                reason,
                again: result.again,
            }),
        }
    }
    Ok(taken)
}

fn row(user: &User) -> rpc::ImportRow {
    let password = user.password.as_ref().map(|secret| secret.to_octets());
    rpc::ImportRow {
        address: user.address.to_string(),
        password: password.unwrap_or_default().into(),
        quota: Some(rpc::Quota {
            bytes: user.quota.0,
            messages: 0,
        }),
        aliases: user.aliases.iter().map(ToString::to_string).collect(),
    }
}

fn refuse(session: &mut Session, good: usize, bad: Vec<BadRow>) -> Result<(), Failure> {
    let rows = count(bad.len() as u64, "bad row");
    let them = if bad.len() == 1 { "it" } else { "them" };
    session.output.show(&Report::new(&[], bad))?;
    let or = match good {
        0 => String::new(),
        good => format!(", or import the other {good} with --skip-bad"),
    };
    Err(Failure::Refused(format!(
        "{rows}: nothing was imported. Mend {them}{or}."
    )))
}

fn finish(
    session: &mut Session,
    imported: &[User],
    bad: Vec<BadRow>,
    skip_bad: bool,
) -> Result<(), Failure> {
    let failed = failed(&bad);
    session.output.show(&Report::new(imported, bad))?;
    match failed {
        Some(failure) if !skip_bad => Err(failure),
        Some(_) | None => Ok(()),
    }
}

/// What rows come to that the directory's check let pass.
fn failed(bad: &[BadRow]) -> Option<Failure> {
    let rows = count(bad.len() as u64, "row");
    let said = format!("{rows} passed the check and then failed; the rest is imported.");
    match bad.iter().all(|row| row.again) {
        true if bad.is_empty() => None,
        true => Some(Failure::Temporary(said).and("Import the file again with --skip-bad.")),
        false => Some(Failure::Refused(said)),
    }
}

#[derive(Serialize)]
struct Report {
    imported: usize,
    bad_rows: Vec<BadRowView>,
    #[serde(skip)]
    without_password: usize,
}

#[derive(Serialize)]
struct BadRowView {
    line: u64,
    reason: String,
    again: bool,
}

impl Report {
    fn new(imported: &[User], bad: Vec<BadRow>) -> Self {
        let without = |user: &&User| user.password.is_none();
        let view = |bad: BadRow| BadRowView {
            line: bad.line,
            reason: bad.reason,
            again: bad.again,
        };
        Self {
            imported: imported.len(),
            without_password: imported.iter().filter(without).count(),
            bad_rows: bad.into_iter().map(view).collect(),
        }
    }
}

impl Show for Report {
    fn text(&self) -> String {
        let line = |row: &BadRowView| format!("line {}: {}\n", row.line, row.reason);
        let bad: String = self.bad_rows.iter().map(line).collect();
        let imported = count(self.imported as u64, "account");
        let no_login = match self.without_password {
            0 => String::new(),
            without => format!(
                "{} without a password: no login until `buzonera account passwd` sets one.\n",
                count(without as u64, "account")
            ),
        };
        format!("{bad}{imported} imported.\n{no_login}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_that_may_pass_later_are_temporary() {
        let row = |line, again| BadRow {
            line,
            reason: "others changed the same; try again".to_owned(),
            again,
        };
        let code = |bad: &[BadRow]| failed(bad).map(|failure| failure.exit_code());
        assert_eq!(code(&[]), None);
        assert_eq!(code(&[row(2, true), row(3, true)]), Some(4));
        assert_eq!(code(&[row(2, true), row(3, false)]), Some(1));
    }
}
