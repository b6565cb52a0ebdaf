//! What Buzonera promises on Kubernetes, seen through a real API server: one promise a file.

mod columns;
mod defaults;
mod explain;
mod installed;
mod namespaces;
mod rules;
mod support;
