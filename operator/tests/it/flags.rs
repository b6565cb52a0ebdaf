//! The flags of each container are read by the program that gets them, and mean files that are there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use directory::{Directory, StoreAt};
use kit::frame::Tier;
use kit::process;
use kit::tls::IdentityFiles;
use mx::Mx;
use operator::objects::{Kind, Object};
use proxy::Proxy;
use serde_json::Value;
use storage::Storage;

use crate::world::{BOTH, World};

/// A pod as a kubelet starts it.
struct Pod<'a> {
    world: &'a World,
    set: Object,
    ip: &'static str,
}

impl Pod<'_> {
    fn container(&self) -> &Value {
        &self.set.value()["spec"]["template"]["spec"]["containers"][0]
    }

    fn name(&self) -> String {
        operator::names::pod(self.set.name(), 0)
    }

    /// The environment; each variable may mean earlier ones.
    fn env(&self) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for variable in self.container()["env"].as_array().into_iter().flatten() {
            let name = variable["name"].as_str().unwrap().to_owned();
            let from = &variable["valueFrom"];
            let map = &from["configMapKeyRef"];
            let text = match from["fieldRef"]["fieldPath"].as_str() {
                Some("metadata.name") => self.name(),
                Some("status.podIP") => self.ip.to_owned(),
                Some("spec.nodeName") => "node-1".to_owned(),
                Some(other) => panic!("{other}"),
                None if map.is_object() => self.of_map(map),
                None => expand(variable["value"].as_str().unwrap(), &env),
            };
            env.insert(name, text);
        }
        env
    }

    fn of_map(&self, reference: &Value) -> String {
        let maps = self.world.kind(Kind::ConfigMap);
        let map = maps
            .iter()
            .find(|map| map.name() == reference["name"])
            .unwrap();
        let text = &map.value()["data"][reference["key"].as_str().unwrap()];
        text.as_str().unwrap().to_owned()
    }

    fn args(&self) -> Vec<String> {
        let env = self.env();
        let args = self.container()["args"].as_array().unwrap();
        args.iter()
            .map(|arg| expand(arg.as_str().unwrap(), &env))
            .collect()
    }

    /// The tier's own settings, by its own program's rules.
    fn settings<T: Tier>(&self) -> T::Config {
        let program = [OsString::from(T::PROGRAM.name)];
        let args = self.args().into_iter().map(OsString::from);
        process::read(&T::PROGRAM, program.into_iter().chain(args))
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.set))
    }

    /// Whether there is such a file in the container.
    fn has(&self, path: &Path) -> bool {
        let folder = path.parent().unwrap().to_str().unwrap();
        let file = path.file_name().unwrap().to_str().unwrap();
        let mounts = self.container()["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["mountPath"] == folder);
        let Some(mount) = mount else { return false };
        let volumes = self.set.value()["spec"]["template"]["spec"]["volumes"]
            .as_array()
            .unwrap();
        let volume = volumes
            .iter()
            .find(|volume| volume["name"] == mount["name"])
            .unwrap();
        let (kind, name) = match &volume["secret"]["secretName"] {
            Value::Null => (Kind::ConfigMap, &volume["configMap"]["name"]),
            name => (Kind::Secret, name),
        };
        let objects = self.world.kind(kind);
        let object = objects.iter().find(|object| object.name() == *name);
        object.is_some_and(|object| object.value()["data"][file].is_string())
    }

    fn has_identity(&self, files: &IdentityFiles) {
        for file in [&files.ca, &files.cert, &files.key] {
            assert!(self.has(file), "{:?}: {}", self.set, file.display());
        }
    }
}

fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (name, value) in env {
        text = text.replace(&format!("$({name})"), value);
    }
    assert!(!text.contains("$("), "{text}: no such variable");
    text
}

/// Every pod of a tier, of both clusters, with addresses of both families.
fn each(tier: operator::names::Tier, check: impl Fn(&Pod<'_>)) {
    let mut count = 0;
    for world in BOTH.map(World::golden) {
        for set in world.kind(Kind::StatefulSet) {
            if set.place().tier != tier {
                continue;
            }
            for ip in ["192.0.2.7", "2001:db8::7"] {
                let set = set.clone();
                check(&Pod {
                    world: &world,
                    set,
                    ip,
                });
                count += 1;
            }
        }
    }
    assert!(count >= 4, "{count} pods of {tier}");
}

#[test]
fn the_directory_reads_its_flags() {
    each(operator::names::Tier::Directory, |pod| {
        let config = pod.settings::<Directory>();
        pod.has_identity(&config.identity_files());
        let store = config.store_identity.unwrap();
        pod.has_identity(&IdentityFiles::from(&store));
        let StoreAt::Etcd(urls) = config.store else {
            panic!("{}", config.store);
        };
        let members = pod.world.cluster.etcd.members as usize;
        assert_eq!(urls.len(), members);
        assert!(config.listen.is_unspecified());
        // What `buzonera` reads of the environment.
        let env = pod.env();
        pod.has_identity(&IdentityFiles::from(&env["BUZONERA_IDENTITY"]));
        assert_eq!(env["BUZONERA_INSTANCE"], pod.name());
        assert_eq!(env["BUZONERA_SERVER"], "localhost:7400");
    });
}

#[test]
fn a_shard_reads_its_flags() {
    each(operator::names::Tier::Storage, |pod| {
        let config = pod.settings::<Storage>();
        pod.has_identity(&config.identity_files());
        assert_eq!(config.instance.as_deref(), Some(pod.set.name()));
        assert!(pod.has(&config.directory_file.unwrap()));
        assert_eq!(config.advertise.unwrap().to_string(), pod.ip);
        assert_eq!(config.node.as_deref(), Some("node-1"));
        assert_eq!(config.stopped, pod.set.name() == "full-7");
    });
}

#[test]
fn a_proxy_reads_its_flags() {
    each(operator::names::Tier::Proxy, |pod| {
        let config = pod.settings::<Proxy>();
        pod.has_identity(&config.identity_files());
        assert!(pod.has(&config.directory_file.unwrap()));
        assert!(pod.has(&config.tls.join("cert.pem")));
        let full = pod.set.name() == "full-proxy";
        // Nobody comes in by a port that no Service names.
        assert!(config.pop3_listen.is_loopback());
        assert!(config.pop3s_listen.is_unspecified());
        assert_eq!(config.pop3s_proxied_listen.is_some(), full);
        assert_eq!(config.proxy_trusted.len(), usize::from(full));
    });
}

#[test]
fn an_mx_reads_its_flags() {
    each(operator::names::Tier::Mx, |pod| {
        let config = pod.settings::<Mx>();
        pod.has_identity(&config.identity_files());
        assert!(pod.has(&config.directory_file.unwrap()));
        assert!(pod.has(&config.tls.unwrap().join("cert.pem")));
        assert_eq!(config.instance.as_deref(), Some(pod.set.name()));
        let full = pod.set.name().starts_with("full");
        assert_eq!(config.lmtp_listen.is_some(), full);
        let client_ca = full.then(|| "/client-ca/ca.crt".into());
        assert_eq!(config.lmtp_client_ca, client_ca);
        assert_eq!(config.smtp_proxied_listen.is_some(), full);
        assert_eq!(config.proxy_trusted.len(), 2 * usize::from(full));
    });
}

/// etcd is not ours: it says itself which flags it knows.
#[test]
fn etcd_knows_its_flags() {
    let help = Command::new(etcd()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    each(operator::names::Tier::Etcd, |pod| {
        for arg in pod.args() {
            let (flag, value) = arg.split_once('=').unwrap();
            let known = help
                .lines()
                .any(|line| line.split_whitespace().next() == Some(flag));
            assert!(known, "{flag}");
            if let Some(file) = value.strip_prefix("/tls/") {
                assert!(pod.has(&Path::new("/tls").join(file)), "{arg}");
            }
        }
        let env = pod.env();
        let members = env["ETCD_INITIAL_CLUSTER"].split(',');
        let own = members.filter(|member| {
            let (name, url) = member.split_once('=').unwrap();
            let has = |arg: String| pod.args().contains(&arg);
            has(format!("--name={name}")) && has(format!("--initial-advertise-peer-urls={url}"))
        });
        assert_eq!(own.count(), 1);
        assert_eq!(env["ETCD_INITIAL_CLUSTER_STATE"], "existing");
    });
}

/// As the directory's tests find it.
fn etcd() -> std::path::PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.e2e/bin/etcd");
    let named = std::env::var_os("BUZONERA_ETCD").map(Into::into);
    let mut candidates = named.into_iter().chain([built, "etcd".into()]);
    let runs = |path: &std::path::PathBuf| {
        let output = Command::new(path).arg("--version").output();
        output.is_ok_and(|output| {
            String::from_utf8_lossy(&output.stdout).contains("etcd Version: 3.6.")
        })
    };
    candidates.find(runs).expect(
        "this test needs an etcd 3.6: `cargo e2e test` builds one into .e2e/bin; or name one in the \
         environment variable BUZONERA_ETCD, or put it on PATH",
    )
}
