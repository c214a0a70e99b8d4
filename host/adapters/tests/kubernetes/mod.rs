//! The deployers for Kubernetes, against a real `kube-apiserver` with `etcd`. There is no kubelet and no controller of KServe, Seldon or Kubernetes itself: the tests write pods,
//! their endpoints and `status` as those would, and what answers for a pod is a server of the test's own on this machine. The interface refuses endpoints on
//! loopback, so pods are at `10.77.0.x` there, and the relay before the server, which also ends its TLS, says `127.77.0.x` instead. `.ci/kubernetes` installs what is needed.
//! Not run unless asked for:
//!
//!     RIPCORD_TEST_KUBERNETES=$(.ci/kubernetes) cargo test --workspace --test suite -- --ignored kubernetes::
#![allow(clippy::unwrap_used, clippy::panic)]

mod deployment;
mod kserve;
mod pods;
mod seldon;
mod server;
mod stand_in;
