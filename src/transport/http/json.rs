//! Messages of the API as canonical JSON of protobuf, and back, by the descriptors that reflection shows.

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions,
};

use crate::application::AppError;
use crate::proto::DESCRIPTORS;

/// The messages of the API.
static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(DESCRIPTORS).expect("the build wrote these descriptors itself")
});

/// A message of `nextbest.v1`, by its name there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    RecommendRequest,
    RecommendResponse,
    StreamRecommendationsResponse,
    WriteEventsRequest,
    WriteEventsResponse,
}

impl Kind {
    #[cfg(test)]
    const ALL: [Self; 5] = [
        Self::RecommendRequest,
        Self::RecommendResponse,
        Self::StreamRecommendationsResponse,
        Self::WriteEventsRequest,
        Self::WriteEventsResponse,
    ];

    fn descriptor(self) -> MessageDescriptor {
        let name = format!("nextbest.v1.{self:?}");
        let found = POOL.get_message_by_name(&name);
        found.expect("every kind is a message of the API: a test asks for all of them")
    }
}

/// A message as JSON. Fields with their default are written, too, so that a template may ask for any.
pub(super) fn write(kind: Kind, message: &impl Message) -> Result<Vec<u8>, AppError> {
    let failed = |what: &dyn std::fmt::Display| AppError::Internal(format!("{kind:?}: {what}"));
    let bytes = message.encode_to_vec();
    let dynamic = DynamicMessage::decode(kind.descriptor(), bytes.as_slice());
    let dynamic = dynamic.map_err(|error| failed(&error))?;
    let mut out = Vec::with_capacity(4 * bytes.len());
    let mut serializer = serde_json::Serializer::new(&mut out);
    let options = SerializeOptions::new().skip_default_fields(false);
    dynamic
        .serialize_with_options(&mut serializer, &options)
        .map_err(|error| failed(&error))?;
    Ok(out)
}

/// A message from JSON, with names as in the proto or in lowerCamelCase.
///
/// # Errors
/// What is wrong with it, and where.
pub(super) fn read<M: Message + Default>(kind: Kind, json: &[u8]) -> Result<M, String> {
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let read =
        DynamicMessage::deserialize_with_options(kind.descriptor(), &mut deserializer, &options);
    let dynamic = read.map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    dynamic.transcode_to().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1;

    #[test]
    fn every_kind_is_a_message_of_the_api() {
        for kind in Kind::ALL {
            assert!(kind.descriptor().fields().count() > 0);
        }
    }

    #[test]
    fn messages_come_back_as_they_were_written() {
        let request = v1::RecommendRequest {
            customer_id: "é \"quoted\"".to_owned(),
            max_offers: Some(0),
            context_events: vec![v1::Event {
                event_time: Some(prost_types::Timestamp {
                    seconds: 1_700_000_000,
                    nanos: 5_000_000,
                }),
                unit_price: Some(0.1 + 0.2),
                ..v1::Event::default()
            }],
            ..v1::RecommendRequest::default()
        };
        let json = write(Kind::RecommendRequest, &request).unwrap();
        let text = String::from_utf8(json.clone()).unwrap();
        assert!(
            text.contains("\"customerId\":\"é \\\"quoted\\\"\""),
            "{text}"
        );
        assert!(text.contains("\"2023-11-14T22:13:20.005Z\""), "{text}");
        assert!(text.contains("\"strict\":false"), "{text}");
        assert_eq!(
            read::<v1::RecommendRequest>(Kind::RecommendRequest, &json),
            Ok(request)
        );
    }

    #[test]
    fn what_is_no_such_message_is_told_with_its_place() {
        let read = |json: &str| {
            read::<v1::RecommendRequest>(Kind::RecommendRequest, json.as_bytes()).unwrap_err()
        };
        assert!(read("{\"custmer_id\": \"a\"}").contains("custmer_id"));
        for bad in [
            "",
            "[]",
            "{\"page_size\": \"many\"}",
            "{} {}",
            "{\"customer_id\": 7}",
            "\u{0}",
        ] {
            assert!(read(bad).contains("line"), "{bad}: {}", read(bad));
        }
        let deep = "[".repeat(100_000);
        assert!(read(&format!("{{\"context_events\": {deep}")).contains("line"));
    }
}
