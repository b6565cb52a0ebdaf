//! `buzonera account add|list|show|passwd|quota|remove|restore`.

use clap::{Args, Subcommand};
use wire::rpc;

use crate::client::{Admin, ask, request_id};
use crate::commands::account_view::{AccountView, Accounts, Removed, Said};
use crate::commands::pages::{self, Page};
use crate::commands::session::Session;
use crate::failure::Failure;
use crate::quantity::Size;
use crate::secret::PasswordSource;
use crate::terminal;

/// The users' stores.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Make an account; asks for its password.
    Add(AddArgs),
    /// Every account in service, or every removed one.
    List {
        /// Only this domain's.
        #[arg(long, value_name = "NAME", default_value = "")]
        domain: String,
        /// Those that were removed and can be restored.
        #[arg(long, conflicts_with = "domain")]
        removed: bool,
    },
    /// One account: where it is, why there, how large.
    Show {
        /// The account's address.
        address: String,
    },
    /// Set a new password; asks for it.
    Passwd {
        /// The account's address.
        address: String,
        /// Where the password comes from.
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Set the soft limits; `none` lifts them.
    Quota {
        /// The account's address.
        address: String,
        /// Both limits: what is not given is unlimited.
        #[command(flatten)]
        quota: QuotaArgs,
    },
    /// Stop mail and login at once; the mail is kept for 7 days.
    Remove(RemoveArgs),
    /// Take back a removal within its 7 days.
    Restore {
        /// The removed account's address.
        address: String,
        /// Restore under this address: the old one was made again.
        #[arg(long = "as", value_name = "ADDRESS", default_value = "")]
        as_address: String,
    },
}

/// A new account.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// The account's address.
    pub address: String,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordSource,
    /// No password: no login until one is set.
    #[arg(long, conflicts_with = "password_stdin")]
    pub no_password: bool,
    /// Soft limits.
    #[command(flatten)]
    pub quota: QuotaArgs,
    /// The shard to put it on; default: the least loaded.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub shard: String,
}

/// Soft limits: over them RCPT is deferred, nothing is lost.
#[derive(Debug, Args)]
pub struct QuotaArgs {
    /// Bytes, as 500M or 1Gi.
    #[arg(long, value_name = "SIZE", default_value = "none")]
    pub quota: Size,
    /// Messages.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub quota_messages: u64,
}

impl From<QuotaArgs> for rpc::Quota {
    fn from(args: QuotaArgs) -> Self {
        Self {
            bytes: args.quota.0,
            messages: args.quota_messages,
        }
    }
}

/// A removal.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The account's address.
    pub address: String,
    /// Do not ask for the address again.
    #[arg(long)]
    pub yes: bool,
    /// Drop the mail now instead of keeping it for 7 days.
    #[arg(long)]
    pub purge: bool,
}

/// Runs the command.
pub async fn run(command: AccountCommand, session: &mut Session) -> Result<(), Failure> {
    match command {
        AccountCommand::Add(args) => add(args, session).await,
        AccountCommand::List { domain, removed } => list(&domain, removed, session).await,
        AccountCommand::Show { address } => show(address, session).await,
        AccountCommand::Passwd { address, password } => passwd(address, password, session).await,
        AccountCommand::Quota { address, quota } => set_quota(address, quota, session).await,
        AccountCommand::Remove(args) => remove(args, session).await,
        AccountCommand::Restore {
            address,
            as_address,
        } => restore(address, as_address, session).await,
    }
}

async fn add(args: AddArgs, session: &mut Session) -> Result<(), Failure> {
    let admin = session.admin()?;
    let password = match args.no_password {
        true => Vec::new(),
        false => args.password.read(&args.address)?.to_octets(),
    };
    let request = rpc::AddAccountRequest {
        request_id: request_id(),
        address: args.address,
        password: password.into(),
        quota: Some(args.quota.into()),
        shard: args.shard,
    };
    let account = AccountView::from(ask!(admin.add_account(request))?);
    let said = match account.pending {
        true => format!(
            "{} is ordered; its shard does not answer yet.",
            account.address
        ),
        false => format!("{} is ready, on {}.", account.address, account.shard),
    };
    session.output.show(&Said(said, account))
}

async fn list(domain: &str, removed: bool, session: &mut Session) -> Result<(), Failure> {
    let admin = session.admin()?;
    let filter = if removed { "removed" } else { domain };
    let name = |account: &rpc::Account| account.address.clone();
    let accounts = pages::all(filter, name, |request| async {
        let reply = ask!(admin.list_accounts(request))?;
        Ok(Page {
            items: reply.accounts,
            more: reply.more,
        })
    });
    let accounts = accounts.await?.into_iter().map(AccountView::from).collect();
    match removed {
        true => session.output.show(&Removed(accounts)),
        false => session.output.show(&Accounts(accounts)),
    }
}

async fn show(address: String, session: &mut Session) -> Result<(), Failure> {
    let admin = session.admin()?;
    let account = ask!(admin.show_account(rpc::AddressName { address }))?;
    session.output.show(&AccountView::from(account))
}

async fn passwd(
    address: String,
    password: PasswordSource,
    session: &mut Session,
) -> Result<(), Failure> {
    let admin = session.admin()?;
    if !password.password_stdin {
        check(&admin, &address).await?;
    }
    let password = password.read(&address)?.to_octets().into();
    let request = rpc::SetPasswordRequest {
        request_id: request_id(),
        address,
        password,
    };
    let account = AccountView::from(ask!(admin.set_password(request))?);
    let said = format!("The password of {} is set.", account.address);
    session.output.show(&Said(said, account))
}

async fn set_quota(
    address: String,
    quota: QuotaArgs,
    session: &mut Session,
) -> Result<(), Failure> {
    let request = rpc::SetQuotaRequest {
        request_id: request_id(),
        address,
        quota: Some(quota.into()),
    };
    let admin = session.admin()?;
    let account = AccountView::from(ask!(admin.set_quota(request))?);
    let said = format!("The quota of {} is {}.", account.address, account.quota());
    session.output.show(&Said(said, account))
}

async fn remove(args: RemoveArgs, session: &mut Session) -> Result<(), Failure> {
    let admin = session.admin()?;
    if !args.yes {
        check(&admin, &args.address).await?;
        confirm(&args)?;
    }
    let request = rpc::RemoveAccountRequest {
        request_id: request_id(),
        address: args.address,
        purge: args.purge,
    };
    let account = AccountView::from(ask!(admin.remove_account(request))?);
    let address = &account.address;
    let said = match args.purge {
        true => format!("{address} is removed, and its mail is dropped."),
        false => format!(
            "{address} is removed: no mail and no login any more. Its mail is kept for 7 days;\n\
             `buzonera account restore {address}` takes the removal back."
        ),
    };
    session.output.show(&Said(said, account))
}

/// Nobody is to type anything for an account that is not there.
async fn check(admin: &Admin, address: &str) -> Result<(), Failure> {
    let address = address.to_owned();
    ask!(admin.show_account(rpc::AddressName { address })).map(|_| ())
}

/// Asks for the address once more; anything else removes nothing.
fn confirm(args: &RemoveArgs) -> Result<(), Failure> {
    if !terminal::is_there() {
        let text = "There is no terminal to ask on: use --yes to remove the account.";
        return Err(Failure::Usage(text.to_owned()));
    }
    let fate = match args.purge {
        true => "drops its mail now",
        false => "keeps its mail for 7 days",
    };
    let question = format!("This stops mail and login, and {fate}. The address again: ");
    let typed = terminal::ask(&question)?;
    if typed.trim().eq_ignore_ascii_case(&args.address) {
        return Ok(());
    }
    let text = "That is not the same address; nothing was removed.";
    Err(Failure::Refused(text.to_owned()))
}

async fn restore(
    address: String,
    as_address: String,
    session: &mut Session,
) -> Result<(), Failure> {
    let request = rpc::RestoreAccountRequest {
        request_id: request_id(),
        address,
        as_address,
    };
    let admin = session.admin()?;
    let account = AccountView::from(ask!(admin.restore_account(request))?);
    let said = format!("{} is back, on {}.", account.address, account.shard);
    session.output.show(&Said(said, account))
}
