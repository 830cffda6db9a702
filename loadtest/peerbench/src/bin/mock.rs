//! A mock OpenAI upstream: answers /v1/chat/completions at once or after a delay, whole or streamed.

use bytes::Bytes;
use clap::Parser;
use futures_util::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    header::CONTENT_TYPE,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io::Write as _, sync::Arc, time::Duration};
use tokio::{net::TcpListener, time::sleep};

#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Milliseconds before the first byte.
    #[arg(long, default_value_t = 0)]
    ttft_ms: u64,
    /// Milliseconds between streamed tokens.
    #[arg(long, default_value_t = 0)]
    itl_ms: u64,
    #[arg(long, default_value_t = 64)]
    tokens: usize,
    #[arg(long, default_value = "mock-model")]
    model: String,
}

type Body = BoxBody<Bytes, Infallible>;

fn json(text: String) -> Response<Body> {
    let body = Full::new(Bytes::from(text)).boxed();
    Response::builder().header(CONTENT_TYPE, "application/json").body(body).expect("well-formed")
}

async fn answer(request: Request<Incoming>, args: Arc<Args>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    if path.ends_with("/models") {
        return Ok(json(format!(
            r#"{{"object":"list","data":[{{"id":"{}","object":"model","created":1700000000,"owned_by":"mock"}}]}}"#,
            args.model
        )));
    }
    if !path.ends_with("/chat/completions") {
        return Ok(json(r#"{"status":"ok"}"#.to_owned()));
    }
    if args.ttft_ms > 0 {
        sleep(Duration::from_millis(args.ttft_ms)).await;
    }
    let streamed = contains(&body, br#""stream":true"#) || contains(&body, br#""stream": true"#);
    if streamed {
        return Ok(stream_of(args, contains(&body, b"include_usage")));
    }
    if args.itl_ms > 0 {
        sleep(Duration::from_millis(args.itl_ms * args.tokens as u64)).await;
    }
    let text: String = (0..args.tokens).map(|i| format!(" tok{i}")).collect();
    let (tokens, total) = (args.tokens, args.tokens + 12);
    Ok(json(format!(
        r#"{{"id":"chatcmpl-mock","object":"chat.completion","created":1700000000,"model":"{}","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":12,"completion_tokens":{tokens},"total_tokens":{total}}},"system_fingerprint":"fp_mock"}}"#,
        args.model
    )))
}

/// Role, `tokens - 1` pieces of text, finish, usage or a comment, `[DONE]`: one frame each.
fn stream_of(args: Arc<Args>, usage: bool) -> Response<Body> {
    let frames = stream::unfold(0_usize, move |i| {
        let args = Arc::clone(&args);
        async move {
            if i > args.tokens + 2 {
                return None;
            }
            if i > 0 && i < args.tokens && args.itl_ms > 0 {
                sleep(Duration::from_millis(args.itl_ms)).await;
            }
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from(event(&args, i, usage)))), i + 1))
        }
    });
    Response::builder()
        .header(CONTENT_TYPE, "text/event-stream")
        .header("cache-control", "no-cache")
        .body(StreamBody::new(Box::pin(frames)).boxed())
        .expect("well-formed")
}

fn event(args: &Args, i: usize, usage: bool) -> String {
    let n = args.tokens;
    let choice = |delta: &str, finish: &str| {
        format!(r#""choices":[{{"index":0,"delta":{{{delta}}},"finish_reason":{finish}}}]"#)
    };
    let rest = match i {
        0 => choice(r#""role":"assistant","content":"""#, "null"),
        _ if i < n => choice(&format!(r#""content":" tok{i}""#), "null"),
        _ if i == n => choice("", r#""stop""#),
        _ if i == n + 1 && usage => format!(
            r#""choices":[],"usage":{{"prompt_tokens":12,"completion_tokens":{n},"total_tokens":{}}}"#,
            n + 12
        ),
        _ if i == n + 1 => return ": keepalive\n\n".to_owned(),
        _ => return "data: [DONE]\n\n".to_owned(),
    };
    let model = &args.model;
    format!(
        "data: {{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"{model}\",\"system_fingerprint\":\"fp_mock\",{rest}}}\n\n"
    )
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> std::io::Result<()> {
    let args = Arc::new(Args::parse());
    let listener = TcpListener::bind(("127.0.0.1", args.port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true).ok();
        let args = Arc::clone(&args);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&args)));
            let mut server = http1::Builder::new();
            // A client that goes away ends its connection with an error: nothing to report.
            let _ = server
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
