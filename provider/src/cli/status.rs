//! `provider status`: asks the running process and prints what it says, for people or as JSON.

mod text;

use super::Error;
use crate::app;
use crate::identity;
use crate::status::Status;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

const ANSWER: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 4 << 20;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// The running provider's data folder.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where it listens, instead: http://127.0.0.1:8081.
    #[arg(long, conflicts_with = "data")]
    url: Option<Uri>,
    /// The provider's key, to ask it from elsewhere.
    #[arg(long, env = "QUORATE_PROVIDER_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// As the provider says it.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Error> {
    let url = match &args.url {
        Some(url) => url.to_string(),
        None => found(args.data.clone())?,
    };
    let body = ask(&url, args.api_key.as_deref()).await?;
    let mut out = io::stdout().lock();
    if args.json {
        out.write_all(&body)?;
        writeln!(out)?;
    } else {
        let status: Status = serde_json::from_slice(&body)?;
        write!(out, "{}", text::Text(&status))?;
    }
    Ok(())
}

fn found(data: Option<PathBuf>) -> Result<String, Error> {
    let folder = data.map_or_else(identity::default_folder, Ok)?;
    let addr = app::published_addr(&folder).map_err(|error| {
        Error::Status(format!("no provider has run with this data folder ({error})"))
    })?;
    let mut addr: SocketAddr = addr
        .trim()
        .parse()
        .map_err(|_| Error::Status(format!("{} tells no address; give --url", folder.display())))?;
    if addr.ip().is_unspecified() {
        addr.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    Ok(format!("http://{addr}"))
}

async fn ask(url: &str, key: Option<&str>) -> Result<Bytes, Error> {
    let failed = |what: String| Error::Status(format!("{url}: {what}"));
    let mut request = Request::get(format!("{}/status", url.trim_end_matches('/')));
    if let Some(key) = key {
        let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| failed("the key fits into no header".to_owned()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| failed(error.to_string()))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let asked = async {
        let response = client
            .request(request)
            .await
            .map_err(|error| failed(format!("no provider answers ({error}); is it running?")))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| failed(error.to_string()))?.to_bytes();
        match status {
            StatusCode::OK => Ok(body),
            StatusCode::UNAUTHORIZED => Err(failed("it wants its key: --api-key".to_owned())),
            other => Err(failed(format!("it answers {}", other.as_u16()))),
        }
    };
    let answer = tokio::time::timeout(ANSWER, asked).await;
    answer.map_err(|_| failed("no answer in time".to_owned()))?
}
