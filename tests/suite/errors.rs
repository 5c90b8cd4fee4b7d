//! Error pages and problem documents, and the status for each mistake.

use crate::common::Server;

#[test]
fn browser_gets_a_page_and_a_program_a_problem_document() {
    let server = Server::start();
    let mut client = server.connect();
    let page = client.get_with("/nothing", &["Accept: text/html,application/xhtml+xml,*/*;q=0.8"]);
    assert_eq!(page.status, 404);
    assert!(page.field("content-type").unwrap().starts_with("text/html"));
    assert!(page.text().contains("404") && page.text().contains("Not Found"));

    let problem = client.get_with("/nothing", &["Accept: application/problem+json"]);
    assert_eq!(problem.status, 404);
    assert!(problem.field("content-type").unwrap().starts_with("application/problem+json"));
    let json: serde_json::Value = serde_json::from_slice(&problem.body).unwrap();
    assert_eq!(json["status"], 404);
    assert_eq!(json["title"], "Not Found");
    assert!(json["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
}

#[test]
fn what_the_client_sent_is_escaped() {
    let server = Server::start();
    let page = server.connect().get_with("/perlin?width=%3Cscript%3E", &["Accept: text/html"]);
    assert_eq!(page.status, 400);
    assert!(!page.text().contains("<script>"), "{}", page.text());
}

#[test]
fn unknown_method_is_501() {
    let server = Server::start();
    assert_eq!(server.connect().request("BREW", "/hello.txt", &[], b"").status, 501);
    // RFC 9110 section 9.1: names are case-sensitive.
    assert_eq!(server.connect().request("get", "/hello.txt", &[], b"").status, 501);
}

#[test]
fn method_that_does_not_fit_is_405_and_names_those_that_do() {
    let server = Server::start();
    for (method, target) in [("PUT", "/stats"), ("POST", "/perlin"), ("TRACE", "/hello.txt"), ("PUT", "/perlin")] {
        let reply = server.connect().request(method, target, &[], b"");
        assert_eq!(reply.status, 405, "{method} {target}");
        let allow = reply.field("allow").unwrap_or_else(|| panic!("{method} {target}: Allow"));
        assert!(allow.contains("GET") && !allow.split(", ").any(|name| name == method), "{allow}");
    }
}

#[test]
fn unknown_version_is_505_and_a_higher_minor_one_is_1_1() {
    let server = Server::start();
    for (version, status) in [("HTTP/2.0", 505), ("HTTP/0.9", 505), ("HTTP/1.2", 200), ("HTTP/1.9", 200)] {
        let mut client = server.connect();
        client.send(format!("GET /hello.txt {version}\r\nHost: test\r\n\r\n"));
        assert_eq!(client.reply("GET").status, status, "{version}");
    }
}

#[test]
fn nonsense_is_400_and_ends_the_connection_but_not_the_worker() {
    let server = Server::start();
    let workers = server.workers();
    for nonsense in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET /hello.txt\r\n\r\n",
        "GET  /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET hello.txt HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /hello.txt HTTP/1.1\r\n\r\n",
        "GET /hello.txt HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /hello.txt HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET /hello.txt HTTP/1.1\r\nHost: a\r\nNo colon\r\n\r\n",
        "GET /hello.txt HTTP/1.1\r\nHost: a\r\nName : value\r\n\r\n",
        "GET /hello.txt HTTP/1.1\r\nHost: a\r\n Folded: line\r\n\r\n",
        "GET /hello.txt HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
        "GET /hello.txt HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        "GET /hello.txt#part HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /h\u{e9}llo HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(nonsense);
        assert_eq!(client.reply("GET").status, 400, "{nonsense:?}");
    }
    server.assert_unharmed(&workers);
}

#[test]
fn framing_that_cannot_be_trusted_ends_the_connection() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("GET /hello.txt HTTP/1.1\r\nHost: a\r\nName : value\r\n\r\nGET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    let reply = client.reply("GET");
    assert_eq!(reply.status, 400);
    assert!(reply.closes());
    client.expect_end();
}

#[test]
fn mistake_in_a_path_does_not_end_the_connection() {
    let server = Server::start();
    let mut client = server.connect();
    for target in ["/nothing", "/hello.txt/below", "/.hidden", "/folder/nothing"] {
        assert_eq!(client.get(target).status, 404, "{target}");
    }
    assert_eq!(client.get("/hello.txt").status, 200);
}

#[test]
fn expectation_that_is_unknown_is_417() {
    let server = Server::start();
    assert_eq!(server.connect().get_with("/hello.txt", &["Expect: the-unexpected"]).status, 417);
}
