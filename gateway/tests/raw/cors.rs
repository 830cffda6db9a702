//! Pages of other sites.

use crate::case::{Case, case, head};

const ASK: &str = "access-control-request-method: POST\r\n\
     access-control-request-headers: authorization,content-type,x-stainless-os,x-stainless-lang\r\n";

pub(crate) fn cases() -> Vec<Case> {
    let options = |headers: &str| {
        format!("OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: h\r\n{headers}\r\n")
    };
    let get = |headers: &str| head("GET /v1/models HTTP/1.1", headers);
    let site = "origin: https://app.example\r\n";
    let mut cases = vec![
        case("a preflight of a listed site")
            .send(options(&format!("{site}{ASK}")))
            .status(204)
            .header("access-control-allow-origin", "https://app.example")
            .header("access-control-allow-methods", "GET, HEAD, POST, OPTIONS")
            .header(
                "access-control-allow-headers",
                "authorization,content-type,x-stainless-os,x-stainless-lang",
            )
            .header("access-control-max-age", "600")
            .header("vary", "origin")
            .without("access-control-allow-credentials"),
        case("a preflight that asks for what is no header name")
            .send(options(&format!(
                "{site}access-control-request-method: POST\r\naccess-control-request-headers: a b\r\n"
            )))
            .status(204)
            .without("access-control-allow-headers"),
        case("a listed site reads an answer")
            .send(get(site))
            .status(200)
            .header("access-control-allow-origin", "https://app.example")
            .header("vary", "origin")
            .without("access-control-allow-credentials"),
        case("a listed site reads a refusal")
            .send(format!("GET /v1/models HTTP/1.1\r\nhost: h\r\n{site}\r\n"))
            .status(401)
            .header("access-control-allow-origin", "https://app.example"),
        case("no site").send(get("")).status(200).header("vary", "origin").without("access-control-allow-origin"),
        case("OPTIONS without a site").send(options("")).status(204).header("allow", "POST"),
    ];
    for other in [
        "https://evil.example",
        "http://app.example",
        "https://app.example:8443",
        "null",
        "https://app.example.evil.example",
    ] {
        let origin = format!("origin: {other}\r\n");
        cases.push(
            case(format!("a preflight of {other}"))
                .send(options(&format!("{origin}{ASK}")))
                .status(204)
                .without("access-control-allow-origin")
                .without("access-control-allow-headers"),
        );
        cases.push(
            case(format!("an answer to {other}"))
                .send(get(&origin))
                .status(200)
                .without("access-control-allow-origin"),
        );
    }
    cases
}
