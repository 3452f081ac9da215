//! The server itself, over real sockets.

use std::time::Duration;

use awc::Client;
use futures::stream;
use hostline::api;

use super::house::House;

async fn listening() -> (House, String, actix_web::dev::ServerHandle) {
    let house = House::with(|settings| settings.server.listen = "127.0.0.1:0".parse().unwrap());
    let (server, addresses) = api::server(&house.settings, house.api.clone()).expect("binds");
    let handle = server.handle();
    actix_web::rt::spawn(server);
    (house, format!("http://{}", addresses[0]), handle)
}

#[actix_web::test]
async fn an_early_refusal_with_unread_body_leaves_the_server_well() {
    let (_house, base, handle) = listening().await;
    let client = Client::default();
    for _ in 0..20 {
        let chunks =
            (0..50).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b'x'; 50_000])));
        let sent = client
            .post(format!("{base}/v1/triggers"))
            .content_type("application/json")
            .send_stream(stream::iter(chunks));
        // The peer may close before all is written, which the client may see before the answer.
        if let Ok(answer) = sent.await {
            assert_eq!(answer.status(), 413);
        }
    }
    let body = r#"{"webhook":{"url":"https://shop.example/"}}"#;
    let request = client.post(format!("{base}/v1/triggers")).content_type("application/json");
    assert_eq!(request.send_body(body).await.expect("answers").status(), 202);
    let mut metrics = client.get(format!("{base}/metrics")).send().await.expect("answers");
    let text = String::from_utf8(metrics.body().await.unwrap().to_vec()).unwrap();
    let counted =
        "hostline_http_requests_total{route=\"/v1/triggers\",method=\"POST\",status=\"202\"}";
    assert!(text.contains(&format!("{counted} 1")), "{text}");
    handle.stop(false).await;
}

#[actix_web::test]
async fn a_taken_address_is_told() {
    let (house, base, handle) = listening().await;
    let mut settings = house.settings.clone();
    settings.server.listen = base.trim_start_matches("http://").parse().unwrap();
    let error = api::server(&settings, house.api.clone()).err().expect("taken");
    assert!(error.to_string().contains("cannot listen on 127.0.0.1:"), "{error}");
    handle.stop(false).await;
}

#[actix_web::test]
async fn ndjson_that_breaks_off_keeps_only_whole_lines() {
    let (house, base, handle) = listening().await;
    let line = "{\"webhook\":{\"url\":\"https://shop.example/\"}}\n";
    let half = &line[..line.len() - 1];
    let chunks = vec![
        Ok(bytes::Bytes::from(line.repeat(300))),
        Ok(bytes::Bytes::from(half)),
        Err(std::io::Error::other("gone")),
    ];
    let sent = Client::default()
        .post(format!("{base}/v1/triggers/batch"))
        .content_type("application/x-ndjson")
        .send_stream(stream::iter(chunks));
    let _ = sent.await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    use hostline::store::DeliveryStore;
    assert!(house.store.counts().accepted <= 300);
    handle.stop(false).await;
}
