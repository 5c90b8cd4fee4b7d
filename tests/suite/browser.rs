//! A browser shows the pages.

use crate::common::{Server, tools};

/// The page as the browser understood it.
fn dom(server: &Server, path: &str) -> String {
    let profile = server.site.beside("profile");
    let user_data = format!("--user-data-dir={}", profile.display());
    let url = server.url(path);
    tools::run(
        "chromium",
        &[
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            &user_data,
            "--dump-dom",
            &url,
        ],
    )
}

#[test]
fn browser_shows_listing_error_noise_and_digest() {
    let server = Server::start();
    std::fs::create_dir(server.site.beside("profile")).unwrap();

    let listing = dom(&server, "/folder/");
    assert!(listing.contains("inner.txt") && listing.contains("deeper/"), "{listing}");

    let error = dom(&server, "/nothing");
    assert!(error.contains("404") && error.contains("Not Found"), "{error}");

    let noise = dom(&server, "/perlin?width=40&height=10&seed=1");
    assert!(noise.contains("<pre"), "{noise}");

    let digest = dom(&server, "/sha256");
    assert!(digest.contains("<form") && digest.contains("sha_input"), "{digest}");
}
