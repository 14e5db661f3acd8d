//! Requests by method and code, and how long they took. A method that the services do not have counts as `other`, so that
//! callers cannot make labels up.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::histogram::exponential_buckets;
use prometheus_client::registry::Registry;
use prost::Message;
use prost_types::FileDescriptorSet;
use tokio::time::Instant;
use tonic::Code;

use crate::proto;

/// From 0.25 ms to 65 s, by factors of four.
const EDGES: (f64, f64, u16) = (0.000_25, 4.0, 10);

const OTHER: &str = "other";

/// Codes are numbered from 0 to 16.
const CODES: usize = 17;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodAndCode {
    method: String,
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodOnly {
    method: String,
}

/// The counters of one method, made when they are first needed.
struct Method {
    name: String,
    codes: [OnceLock<Counter>; CODES],
    seconds: OnceLock<Histogram>,
}

impl Method {
    fn new(name: &str) -> Arc<Self> {
        let codes = std::array::from_fn(|_| OnceLock::new());
        Arc::new(Self { name: name.to_owned(), codes, seconds: OnceLock::new() })
    }
}

/// The counters of all requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Calls {
    inner: Arc<Inner>,
}

struct Inner {
    requests: Family<MethodAndCode, Counter>,
    seconds: Family<MethodOnly, Histogram, fn() -> Histogram>,
    methods: HashMap<String, Arc<Method>>,
    other: Arc<Method>,
    streaming: HashSet<String>,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calls({} methods)", self.inner.methods.len())
    }
}

/// A request that is under way. Counted when it is dropped; as cancelled, unless somebody said how it ended.
pub(crate) struct Call {
    calls: Calls,
    method: Arc<Method>,
    begun: Instant,
    code: Code,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({}, {:?})", self.method.name, self.code)
    }
}

fn histogram() -> Histogram {
    let (first, factor, count) = EDGES;
    Histogram::new(exponential_buckets(first, factor, count))
}

impl Calls {
    /// Counters that `registry` writes.
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let requests = Family::default();
        let seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        registry.register("storage_requests", "Requests that have ended", requests.clone());
        registry.register(
            "storage_request_seconds",
            "Time from a request's headers to the end of its answer",
            seconds.clone(),
        );
        let (mut methods, mut streaming) = (HashMap::new(), HashSet::new());
        for (path, takes_a_stream) in methods_of_services() {
            if takes_a_stream {
                let _new = streaming.insert(path.clone());
            }
            let name = path.trim_start_matches('/').to_owned();
            let _none = methods.insert(path, Method::new(&name));
        }
        let other = Method::new(OTHER);
        Self { inner: Arc::new(Inner { requests, seconds, methods, other, streaming }) }
    }

    /// Whether a caller of this method may send many messages.
    pub(crate) fn takes_a_stream(&self, path: &str) -> bool {
        self.inner.streaming.contains(path)
    }

    /// A request to `path` has begun.
    pub(crate) fn begin(&self, path: &str) -> Call {
        let method = self.inner.methods.get(path).unwrap_or(&self.inner.other);
        Call { calls: self.clone(), method: Arc::clone(method), begun: Instant::now(), code: Code::Cancelled }
    }

    fn count(&self, method: &Method, code: Code, seconds: f64) {
        let slot = usize::try_from(i32::from(code)).ok().and_then(|code| method.codes.get(code));
        if let Some(slot) = slot {
            let labels = || MethodAndCode { method: method.name.clone(), code: format!("{code:?}") };
            let counter = slot.get_or_init(|| self.inner.requests.get_or_create_owned(&labels()));
            let _before = counter.inc();
        }
        let labels = || MethodOnly { method: method.name.clone() };
        let histogram = method.seconds.get_or_init(|| self.inner.seconds.get_or_create_owned(&labels()));
        histogram.observe(seconds);
    }
}

impl Call {
    /// Says how it ended.
    pub(crate) fn ended(&mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.calls.count(&self.method, self.code, self.begun.elapsed().as_secs_f64());
    }
}

/// The paths of all methods that the server has, and whether they take a stream.
fn methods_of_services() -> Vec<(String, bool)> {
    let own = FileDescriptorSet::decode(proto::DESCRIPTORS);
    let health = FileDescriptorSet::decode(tonic_health::pb::FILE_DESCRIPTOR_SET);
    let reflection = FileDescriptorSet::decode(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET);
    let mut methods = Vec::new();
    for file in [own, health, reflection].into_iter().flatten().flat_map(|set| set.file) {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                methods.push((path, method.client_streaming()));
            }
        }
    }
    methods
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn methods_are_known_and_invented_ones_are_one() {
        let mut registry = Registry::default();
        let calls = Calls::registered(&mut registry);
        let streams =
            ["/storage.v1.MessageService/IngestMessages", "/storage.v1.ContentService/PutContentStream"];
        assert!(streams.into_iter().all(|path| calls.takes_a_stream(path)));
        assert!(!calls.takes_a_stream("/storage.v1.MessageService/PutMessage"));
        for number in 0..50 {
            drop(calls.begin(&format!("/storage.v1.MessageService/Invented{number}")));
        }
        let mut call = calls.begin("/grpc.health.v1.Health/Check");
        call.ended(Code::Ok);
        drop(call);
        let text = text(&registry);
        assert!(text.contains(r#"storage_requests_total{method="other",code="Cancelled"} 50"#), "{text}");
        assert!(text.contains(r#"{method="grpc.health.v1.Health/Check",code="Ok"} 1"#), "{text}");
        assert!(!text.contains("Invented"));
    }
}
