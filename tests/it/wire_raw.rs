//! Bytes that no generated client sends: broken protobuf, unknown methods, unknown packing.

use prost::bytes::{Buf as _, BufMut as _};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};

use crate::harness::{Harness, code_and_reason};

/// Sends and receives bytes as they are.
#[derive(Clone, Copy)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, bytes: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&bytes);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}

async fn call(harness: &Harness, path: &str, request: Request<Vec<u8>>) -> (Code, String) {
    let mut client = Grpc::new(harness.channel().await);
    client.ready().await.unwrap();
    let path: PathAndQuery = path.parse().unwrap();
    code_and_reason(&client.unary(request, path, Bytes).await.unwrap_err())
}

#[tokio::test]
async fn what_no_client_sends_is_answered_with_a_reason() {
    let harness = Harness::start().await;
    let write = "/nextbest.v1.EventService/WriteEvents";
    // field 1 with a length that goes beyond the end; text that is not UTF-8; a wire type there is
    // not
    for broken in [
        vec![0x0a, 0xff, 0x01],
        vec![0x0a, 3, 0x0a, 1, 0xff],
        vec![0x0f],
    ] {
        let answer = call(&harness, write, Request::new(broken)).await;
        let expected = (Code::InvalidArgument, "MALFORMED_MESSAGE".to_owned());
        assert_eq!(answer, expected);
    }
    for path in [
        "/nextbest.v1.EventService/NoSuchMethod",
        "/nextbest.v9.EventService/WriteEvents",
        "/",
    ] {
        let answer = call(&harness, path, Request::new(Vec::new())).await;
        let expected = (Code::Unimplemented, "METHOD_NOT_FOUND".to_owned());
        assert_eq!(answer, expected, "{path}");
    }
    let mut packed = Request::new(Vec::new());
    let encoding = "snappy".parse().unwrap();
    packed.metadata_mut().insert("grpc-encoding", encoding);
    let expected = (Code::Unimplemented, "UNSUPPORTED_ENCODING".to_owned());
    assert_eq!(call(&harness, write, packed).await, expected);
    // no fields at all is a request, and an empty batch
    let expected = (Code::InvalidArgument, "BATCH_EMPTY".to_owned());
    let answer = call(&harness, write, Request::new(Vec::new())).await;
    assert_eq!(answer, expected);
    harness.stop().await.unwrap();
}
