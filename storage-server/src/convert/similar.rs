//! What is nearly the same, for the wire.

use storage_core::report::Similar;
use storage_core::report::SimilarOptions;

use crate::proto;

/// What is told where the request does not say how many.
const LIMIT_DEFAULT: u32 = 10;

/// What a request looks for. The engine checks the bounds.
pub fn options(request: &proto::FindSimilarRequest) -> SimilarOptions {
    let limit = if request.limit == 0 { LIMIT_DEFAULT } else { request.limit };
    SimilarOptions { limit, score_min: request.score_min }
}

/// One similar object.
pub fn wire_similar(found: &Similar) -> proto::Similar {
    proto::Similar {
        sha256: found.sha256.0.to_vec().into(),
        bytes: found.bytes,
        score: found.score,
        ids: found.items.iter().map(ToString::to_string).collect(),
        shared: found.shared,
        bytes_more: found.bytes_more,
        delta_bytes: found.delta_bytes,
        part: found.part,
    }
}
