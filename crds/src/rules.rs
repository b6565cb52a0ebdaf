//! Rules that several fields share. Each sentence says what to write instead.

use kube::core::{Message, Rule};

/// A full host name in lower case; a name of other scripts in its `xn--` form.
const HOST: &str = "^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z]([a-z0-9-]{0,61}[a-z0-9])$";

/// A rule by its expression in CEL and its sentence.
pub(crate) fn rule(expression: &str, sentence: &str) -> Rule {
    Rule::new(expression).message(Message::Message(sentence.to_owned()))
}

/// A text that the expression matches from end to end. Never the schema's `pattern`: the API server
/// shows people the bare expression then.
pub(crate) fn matches(expression: &str, sentence: &str) -> Rule {
    rule(&format!("self.matches('{expression}')"), sentence)
}

/// A host name.
pub(crate) fn host(sentence: &str) -> Rule {
    matches(HOST, sentence)
}

/// The size of a volume.
pub(crate) fn size() -> Rule {
    rule(
        "isQuantity(self) && quantity(self).compareTo(quantity('1Gi')) >= 0",
        "storage.size: write 1Gi or more, for example 100Gi",
    )
}

/// What is no quantity is refused by [`size`], and says nothing here.
pub(crate) fn never_shrinks() -> Rule {
    rule(
        "!isQuantity(self) || !isQuantity(oldSelf) \
         || quantity(self).compareTo(quantity(oldSelf)) >= 0",
        "storage.size: a volume never shrinks; add a smaller shard and drain this one",
    )
}

/// For what holds `storageClassName`: a rule of the field itself is not asked when it is dropped.
pub(crate) fn keeps_class() -> Rule {
    rule(
        "!has(oldSelf.storageClassName) || (has(self.storageClassName) \
         && self.storageClassName == oldSelf.storageClassName)",
        KEEPS_CLASS,
    )
}

/// For what holds `storage` that may be dropped as a whole.
pub(crate) fn keeps_class_of_storage() -> Rule {
    rule(
        "!has(oldSelf.storage) || !has(oldSelf.storage.storageClassName) \
         || (has(self.storage) && has(self.storage.storageClassName) \
         && self.storage.storageClassName == oldSelf.storage.storageClassName)",
        KEEPS_CLASS,
    )
}

const KEEPS_CLASS: &str = "storage.storageClassName: a volume keeps its class; \
                           add shards of the new class and drain the old ones";
