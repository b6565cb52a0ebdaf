//! The template of a StatefulSet's pods by itself: whether it is as it is wanted, and a StatefulSet
//! that is applied without changing it.
//!
//! A server-side apply without a template would take away what we once wrote of it. So what is ours
//! of it, by the API server's notes, is written again as it is.

use kube::api::DynamicObject;
use serde_json::{Map, Value};

use super::owned::{beyond, kept, notes};
use super::{Path, compare};
use crate::names::{OPERATOR, annotations};
use crate::objects::Object;

/// The first place where the pods' template is not as it is wanted.
pub fn differs(wanted: &Object, live: &DynamicObject) -> Option<Path> {
    let wanted = &wanted.value()["spec"]["template"];
    let differs = compare(wanted, live.data.pointer("/spec/template")?);
    differs.or_else(|| beyond(notes_of(live)?, wanted, &Path::default()))
}

/// The same object, but for the template: of that it is as `live` is, and it holds for no other
/// version.
pub fn keep(mut wanted: Object, live: &DynamicObject) -> Object {
    let there = live.data.pointer("/spec/template");
    let kept = notes_of(live).zip(there).map(|(notes, it)| kept(notes, it));
    wanted.set_template(kept);
    let restarted = live.metadata.annotations.as_ref();
    if let Some(restarted) = restarted.and_then(|all| all.get(annotations::RESTARTED)) {
        wanted.annotate(annotations::RESTARTED, restarted);
    }
    wanted.decided_by(live);
    wanted
}

fn notes_of(live: &DynamicObject) -> Option<&Map<String, Value>> {
    let spec = notes(live, OPERATOR)?.get("f:spec")?.as_object()?;
    spec.get("f:template")?.as_object()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::names::Tier;
    use crate::names::labels::Instance;
    use crate::objects::{Kind, Place};

    fn wanted(image: &str) -> Object {
        let place = Place {
            tier: Tier::Mx,
            instance: Instance::Ordinal(0),
        };
        let value = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "a-mx-0", "namespace": "mail"},
            "spec": {"replicas": 1, "template": {"metadata": {"labels": {"a": "1"}},
                "spec": {"containers": [{"name": "mx", "image": image, "args": ["--a"]}]}}}});
        Object::new(Kind::StatefulSet, place, value)
    }

    /// What the API server has after ours was applied: with defaults, and with another's container.
    fn live() -> DynamicObject {
        serde_json::from_value(json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "a-mx-0", "namespace": "mail", "resourceVersion": "7",
                "annotations": {"buzonera.dev/restarted": "r1/7", "other": "x"},
                "managedFields": [{"manager": "buzonera-operator", "operation": "Apply",
                    "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1":
                    {"f:spec": {"f:replicas": {}, "f:template": {
                        "f:metadata": {"f:labels": {"f:a": {}}},
                        "f:spec": {"f:containers": {"k:{\"name\":\"mx\"}":
                            {".": {}, "f:name": {}, "f:image": {}, "f:args": {}}}}}}}}]},
            "spec": {"replicas": 1, "template": {"metadata": {"labels": {"a": "1"}},
                "spec": {"dnsPolicy": "ClusterFirst", "containers": [
                    {"name": "mx", "image": "old", "args": ["--a"], "tty": false},
                    {"name": "injected", "image": "other"}]}}}}))
        .unwrap()
    }

    #[test]
    fn a_template_differs_where_pods_would_restart() {
        let place = |wanted: &Object| differs(wanted, &live()).map(|path| path.to_string());
        assert_eq!(place(&wanted("old")), None);
        let image = place(&wanted("new"));
        assert_eq!(image.as_deref(), Some("spec.containers[mx].image"));
        // What we wrote once and do not want any more.
        let mut less = wanted("old").into_value();
        let container = &mut less["spec"]["template"]["spec"]["containers"][0];
        container.as_object_mut().unwrap().remove("args").unwrap();
        let less = Object::new(Kind::StatefulSet, wanted("old").place(), less);
        let args = place(&less);
        assert_eq!(
            args.as_deref(),
            Some("spec.containers[{\"name\":\"mx\"}].args")
        );
        // More replicas restart nobody.
        let mut more = wanted("old").into_value();
        more["spec"]["replicas"] = 3.into();
        let more = Object::new(Kind::StatefulSet, wanted("old").place(), more);
        assert_eq!(place(&more), None);
    }

    #[test]
    fn what_is_kept_is_ours_and_as_it_is() {
        let kept = keep(wanted("new"), &live());
        let template = json!({"metadata": {"labels": {"a": "1"}},
            "spec": {"containers": [{"name": "mx", "image": "old", "args": ["--a"]}]}});
        assert_eq!(kept.value()["spec"]["template"], template);
        let annotations = json!({"buzonera.dev/restarted": "r1/7"});
        assert_eq!(kept.value()["metadata"]["annotations"], annotations);
        assert_eq!(kept.version(), Some("7"));
        assert_eq!(differs(&kept, &live()), None);
    }

    #[test]
    fn of_what_is_not_ours_nothing_is_said() {
        let mut strange = live();
        strange.metadata.managed_fields = None;
        let kept = keep(wanted("new"), &strange);
        assert_eq!(kept.value()["spec"], json!({"replicas": 1}));
    }
}
