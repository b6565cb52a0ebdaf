//! What Buzonera promises, seen from outside: one promise a file.

mod accounts;
mod certificate;
mod clients;
mod command_line;
mod crash;
mod data_folder;
mod dead_peer;
mod dns;
mod documented;
mod duplicates;
mod fetchmail;
mod frozen;
mod full_disk;
mod hostile;
mod json;
mod metrics;
mod open_files;
mod pasted;
mod postfix;
mod postmaster;
mod prompts;
mod remote;
mod restart;
mod spool;
mod support;
