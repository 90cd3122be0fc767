//! The plain Rust proxy: tokio, tokio-tungstenite and serde_json.
//!
//! An index from topic to clients; one task reads the firehose and puts what a frame holds for a client into that
//! client's queue, and the client's own task writes all that its queue holds before it flushes. With `--broadcast`
//! there is no index: each frame goes to every client's task over a broadcast channel, and the task picks out what its
//! client's own set of topics holds, which is how such proxies are often written.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, RwLock};

use futures_util::{stream::SplitStream, SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};
use tokio::sync::mpsc::{unbounded_channel, UnboundedSender};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{accept_hdr_async, connect_async_with_config, WebSocketStream};

const BROADCAST_FRAMES: usize = 10_000;

type ClientId = u64;
type Topics = Arc<Mutex<HashSet<String>>>;

/// The clients of each topic, each with its queue.
type Index = RwLock<HashMap<String, HashMap<ClientId, UnboundedSender<Message>>>>;

/// What routes an event; all else in it stays as it came.
#[derive(Deserialize)]
struct Key<'a> {
    ev: &'a str,
    sym: Option<&'a str>,
    #[serde(rename = "T")]
    ticker: Option<&'a str>,
}

#[derive(Deserialize)]
struct ClientRequest<'a> {
    action: &'a str,
    params: &'a str,
}

/// An event on its way through the broadcast channel.
struct Event {
    topic: String,
    wildcard: String,
    text: String,
}

#[derive(Clone)]
enum Fanout {
    Index(Arc<Index>),
    Broadcast(broadcast::Sender<Arc<Vec<Event>>>),
}

fn status(status: &str, messages: &[String]) -> Message {
    let statuses: Vec<_> = messages
        .iter()
        .map(|message| serde_json::json!({"ev": "status", "status": status, "message": message}).to_string())
        .collect();
    Message::text(format!("[{}]", statuses.join(",")))
}

fn keys<'a>(frame: &'a str) -> impl Iterator<Item = (Key<'a>, &'a str)> {
    let events: Vec<&RawValue> = serde_json::from_str(frame).unwrap_or_default();
    events.into_iter().filter_map(|event| Some((serde_json::from_str(event.get()).ok()?, event.get())))
}

/// Puts each client's events of one upstream frame into its queue, as one message.
fn forward(index: &Index, frame: &str) {
    let index = index.read().unwrap();
    let mut messages: HashMap<ClientId, (String, u64, &UnboundedSender<Message>)> = HashMap::new();
    let mut topic = String::new();
    for (number, (key, text)) in keys(frame).enumerate() {
        let number = number as u64;
        let Some(symbol) = key.sym.or(key.ticker) else { continue };
        let mut add = |topic: &str| {
            for (id, queue) in index.get(topic).into_iter().flatten() {
                let (message, last, _) = messages.entry(*id).or_insert_with(|| (String::new(), u64::MAX, queue));
                if *last == number {
                    continue; // another of its topics brought it already
                }
                *last = number;
                message.push(if message.is_empty() { '[' } else { ',' });
                message.push_str(text);
            }
        };
        topic.clear();
        topic.extend([key.ev, ".", symbol]);
        add(&topic);
        topic.truncate(key.ev.len() + 1);
        topic.push('*');
        add(&topic);
        add("*");
    }
    for (mut message, _, queue) in messages.into_values() {
        message.push(']');
        let _ = queue.send(Message::text(message));
    }
}

async fn firehose(url: String, fanout: Fanout) -> Result<(), tungstenite::Error> {
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let (mut upstream, _) = connect_async_with_config(&url, Some(config), true).await?;
    for request in [
        r#"{"action":"auth","params":"benchmark"}"#,
        r#"{"action":"subscribe","params":"T.*,Q.*,LULD.*"}"#,
    ] {
        upstream.send(Message::text(request)).await?;
    }
    while let Some(message) = upstream.next().await {
        let Message::Text(frame) = message? else { continue };
        match &fanout {
            Fanout::Index(index) => forward(index, &frame),
            Fanout::Broadcast(channel) => {
                let events = keys(&frame).filter_map(|(key, text)| {
                    let symbol = key.sym.or(key.ticker)?;
                    Some(Event {
                        topic: format!("{}.{}", key.ev, symbol),
                        wildcard: format!("{}.*", key.ev),
                        text: text.to_owned(),
                    })
                });
                let _ = channel.send(Arc::new(events.collect()));
            }
        }
    }
    Ok(())
}

/// Answers a client's requests until it leaves.
async fn read_requests(
    mut requests: SplitStream<WebSocketStream<TcpStream>>,
    queue: UnboundedSender<Message>,
    mut changed: impl FnMut(&str, bool),
) {
    while let Some(Ok(message)) = requests.next().await {
        let Message::Text(text) = message else { continue };
        let Ok(request) = serde_json::from_str::<ClientRequest>(&text) else { continue };
        let topics = request.params.split(',');
        let _ = match request.action {
            "auth" => queue.send(status("auth_success", &["authenticated".to_owned()])),
            "subscribe" => {
                topics.clone().for_each(|topic| changed(topic, true));
                queue.send(status("success", &topics.map(|t| format!("subscribed to: {t}")).collect::<Vec<_>>()))
            }
            "unsubscribe" => {
                topics.clone().for_each(|topic| changed(topic, false));
                queue.send(status("success", &topics.map(|t| format!("unsubscribed to: {t}")).collect::<Vec<_>>()))
            }
            _ => Ok(()),
        };
    }
}

/// The events of a frame that a set of topics holds, as one message.
fn pick(topics: &Topics, frame: &[Event]) -> Option<Message> {
    let topics = topics.lock().unwrap();
    let mut message = String::new();
    for event in frame {
        if topics.contains(&event.topic) || topics.contains(&event.wildcard) || topics.contains("*") {
            message.push(if message.is_empty() { '[' } else { ',' });
            message.push_str(&event.text);
        }
    }
    if message.is_empty() {
        return None;
    }
    message.push(']');
    Some(Message::text(message))
}

async fn serve_client(stream: TcpStream, id: ClientId, fanout: Fanout) -> Result<(), tungstenite::Error> {
    stream.set_nodelay(true)?;
    let mut greets = false;
    #[allow(clippy::result_large_err)]
    let look = |request: &Request, response: Response| {
        greets = request.uri().path() != "/";
        Ok(response)
    };
    let (mut sink, requests) = accept_hdr_async(stream, look).await?.split();
    let (queue, mut queued) = unbounded_channel();
    if greets {
        let _ = queue.send(status("connected", &["Connected Successfully".to_owned()]));
    }
    match fanout {
        Fanout::Index(index) => {
            tokio::spawn(async move {
                let mut own = HashSet::new();
                read_requests(requests, queue.clone(), |topic, wanted| {
                    let mut index = index.write().unwrap();
                    let clients = index.entry(topic.to_owned()).or_default();
                    if wanted {
                        own.insert(topic.to_owned());
                        clients.insert(id, queue.clone());
                    } else {
                        own.remove(topic);
                        clients.remove(&id);
                    }
                })
                .await;
                let mut index = index.write().unwrap();
                for topic in own {
                    index.get_mut(&topic).map(|clients| clients.remove(&id));
                }
            });
            while let Some(message) = queued.recv().await {
                sink.feed(message).await?;
                while let Ok(message) = queued.try_recv() {
                    sink.feed(message).await?;
                }
                sink.flush().await?;
            }
        }
        Fanout::Broadcast(channel) => {
            let topics = Topics::default();
            let mut frames = channel.subscribe();
            let mine = topics.clone();
            let reader = tokio::spawn(async move {
                read_requests(requests, queue, |topic, wanted| {
                    let mut topics = mine.lock().unwrap();
                    if wanted {
                        topics.insert(topic.to_owned());
                    } else {
                        topics.remove(topic);
                    }
                })
                .await
            });
            while !reader.is_finished() {
                tokio::select! {
                    message = queued.recv() => match message {
                        Some(message) => sink.send(message).await?,
                        None => break,
                    },
                    frame = frames.recv() => {
                        let mut frame = match frame {
                            Ok(frame) => frame,
                            Err(RecvError::Lagged(_)) => continue,
                            Err(RecvError::Closed) => break,
                        };
                        loop {
                            if let Some(message) = pick(&topics, &frame) {
                                sink.feed(message).await?;
                            }
                            frame = match frames.try_recv() {
                                Ok(frame) => frame,
                                Err(TryRecvError::Lagged(_)) => continue,
                                Err(_) => break,
                            };
                        }
                        sink.flush().await?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn option(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

#[tokio::main]
async fn main() {
    let port: u16 = option("--port").and_then(|port| port.parse().ok()).expect("--port PORT");
    let upstream = option("--upstream").expect("--upstream URL");
    let fanout = if std::env::args().any(|argument| argument == "--broadcast") {
        Fanout::Broadcast(broadcast::channel(BROADCAST_FRAMES).0)
    } else {
        Fanout::Index(Arc::default())
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
    let clients = fanout.clone();
    tokio::spawn(async move {
        let mut id = 0;
        while let Ok((stream, _)) = listener.accept().await {
            id += 1;
            tokio::spawn(serve_client(stream, id, clients.clone()));
        }
    });
    if let Err(error) = firehose(upstream, fanout).await {
        eprintln!("firehose: {error}");
    }
}
