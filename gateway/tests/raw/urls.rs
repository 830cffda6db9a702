//! Paths: doubled, encoded, hostile; and the methods beside GET and POST.

use crate::case::{Case, case, head};

pub(crate) fn cases() -> Vec<Case> {
    let get = |path: &str| head(&format!("GET {path} HTTP/1.1"), "");
    let found = |path: &str| case(path).send(get(path)).status(200).says("acme/test:1");
    let missing = |path: &str, code: &str| case(path).send(get(path)).status(404).code(code);
    vec![
        found("/v1/models"),
        found("/v1/models/"),
        found("/v1/v1/models"),
        found("//v1//models"),
        found("/v1/models?limit=1&x=%00"),
        found("/v1/models/acme/test:1"),
        found("/v1/models/acme%2Ftest%3A1"),
        found("/v1/models/acme%2ftest:1/"),
        missing("/v1/models/acme%252Ftest:1", "model_not_found"),
        missing("/v1/models/nope%00", "model_not_found"),
        missing("/v1/models/x%0d%0aset-cookie:%20a=b", "model_not_found").without("set-cookie"),
        missing("/v1/models/../../etc/passwd", "model_not_found"),
        missing("/v1/models/%2e%2e/x", "model_not_found"),
        missing("/", "unknown_url"),
        missing("/v1", "unknown_url"),
        missing("/v1/files", "unknown_url"),
        missing("/v1/realtime", "unknown_url"),
        missing("/metrics", "unknown_url"),
        missing("/admin/v1/keys", "unknown_url"),
        case("a model's name that is not UTF-8")
            .send(get("/v1/models/%ff%fe"))
            .status(400)
            .param("id"),
        case("broken percent-encoding").send(get("/v1/models/%zz%2")).status(404),
        case("letters beyond ASCII").send(get("/v1/models/\u{e4}")).status(404),
        case("HEAD").send(head("HEAD /v1/models HTTP/1.1", "")).status(200).head_only(),
        case("HEAD of what is not there")
            .send(head("HEAD /v1/x HTTP/1.1", ""))
            .status(404)
            .head_only(),
        case("HEAD where only POST is")
            .send(head("HEAD /v1/chat/completions HTTP/1.1", ""))
            .status(405)
            .head_only(),
        case("PUT")
            .send(head("PUT /v1/models HTTP/1.1", ""))
            .status(405)
            .header("allow", "GET,HEAD"),
        case("GET where only POST is")
            .send(get("/v1/chat/completions"))
            .status(405)
            .header("allow", "POST")
            .code("method_not_supported"),
        case("OPTIONS *").send("OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n").status(404),
    ]
}
