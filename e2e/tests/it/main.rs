//! What Palomar promises, seen from outside: one promise a file.

mod accounts;
mod clients;
mod command_line;
mod crash;
mod data_folder;
mod duplicates;
mod fetchmail;
mod frozen;
mod hostile;
mod metrics;
mod pasted;
mod postfix;
mod restart;
mod support;
