//! Connections that are kept: which serve again, which don't, and what is made once more.

use super::*;

#[tokio::test]
async fn a_safe_request_is_made_again_where_a_kept_connection_was_closed() {
    // the upstream closes when the second request comes in
    let script = Script::new(&[Act::Say(OK), Act::Last(""), Act::Say(OK)]).await;
    let pool = script.pool();
    get(&pool).await.unwrap();
    assert_eq!(get(&pool).await.unwrap(), b"{}");
    assert_eq!((script.connections(), script.requests().len()), (2, 3));

    // an unsafe one may have had its effect
    let script = Script::new(&[Act::Say(OK), Act::Last("")]).await;
    let pool = script.pool();
    get(&pool).await.unwrap();
    let fault = pool.send(&ask(Method::POST)).await.err().unwrap();
    assert!(matches!(fault, Fault::Closed(_)), "{fault}");
    assert_eq!(script.requests().len(), 2);

    // once, whether the connection was kept or not
    for acts in [
        &[Act::Last(""); 3][..],
        &[Act::Say(OK), Act::Last(""), Act::Last("")],
    ] {
        let script = Script::new(acts).await;
        let pool = script.pool();
        if matches!(acts[0], Act::Say(_)) {
            get(&pool).await.unwrap();
        }
        let fault = get(&pool).await.unwrap_err();
        assert!(matches!(fault, Fault::Closed(_)), "{fault}");
        let made = script.requests().len();
        assert_eq!(
            made,
            acts.len() - usize::from(matches!(acts[0], Act::Last(_)))
        );
    }
}

#[tokio::test]
async fn a_connection_that_the_upstream_closed_is_not_used() {
    let script = Script::new(&[Act::Last(OK), Act::Say(OK)]).await;
    let pool = script.pool();
    get(&pool).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    // not even for a request that can't be made twice
    whole(pool.send(&ask(Method::POST)).await.unwrap())
        .await
        .unwrap();
    assert_eq!((script.connections(), script.requests().len()), (2, 2));
}

#[tokio::test]
async fn a_connection_rests_no_longer_than_the_idle_time() {
    let script = Script::new(&[Act::Say(OK), Act::Say(OK)]).await;
    let url = format!("http://{}", script.address);
    let pool = pool(&url, "", |target| {
        target.times.idle = Duration::from_millis(200)
    });
    get(&pool).await.unwrap();
    assert_eq!(pool.idle(), 1);
    let gone = async {
        while pool.idle() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, gone).await.unwrap();
    get(&pool).await.unwrap();
    assert_eq!(script.connections(), 2);
}

#[tokio::test]
async fn no_more_rest_than_are_wanted() {
    let script = Script::new(&[Act::Say(OK); 3]).await;
    let url = format!("http://{}", script.address);
    let pool = pool(&url, "", |target| target.times.most_idle = 1);
    let three = tokio::join!(get(&pool), get(&pool), get(&pool));
    assert!(three.0.is_ok() && three.1.is_ok() && three.2.is_ok());
    assert_eq!((script.connections(), pool.idle()), (3, 1));
}

#[tokio::test]
async fn an_answer_that_is_dropped_or_too_long_poisons_nothing() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    let doubled = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad";
    let script = Script::new(&[Act::Hang(half), Act::Say(doubled), Act::Say(OK)]).await;
    let pool = script.pool();
    let mut answer = pool.send(&ask(Method::GET)).await.unwrap();
    assert_eq!(answer.body.announced(), Some(9));
    assert_eq!(answer.body.next().await.unwrap().unwrap(), "half");
    drop(answer);
    assert_eq!(pool.idle(), 0);
    assert_eq!(get(&pool).await.unwrap(), b"{}");
    assert_eq!(get(&pool).await.unwrap(), b"{}");
    assert_eq!(script.connections(), 3);
}

#[tokio::test]
async fn what_follows_an_answer_is_not_taken_for_the_next_one() {
    // it comes after the connection was given back, and while the next request is written
    for late in ["garbage\r\n\r\n", "\0\0\0\x04"] {
        let script = Script::new(&[Act::Say(OK), Act::Say(late), Act::Say(OK)]).await;
        let pool = script.pool();
        get(&pool).await.unwrap();
        assert_eq!(get(&pool).await.unwrap(), b"{}");
        assert_eq!(script.connections(), 2);
    }
}

#[tokio::test]
async fn a_connection_whose_answer_is_distrusted_is_not_used_again() {
    let script = Script::new(&[Act::Say(OK), Act::Say(OK)]).await;
    let pool = script.pool();
    let mut answer = pool.send(&ask(Method::GET)).await.unwrap();
    while answer.body.next().await.unwrap().is_some() {}
    answer.body.distrust();
    drop(answer);
    assert_eq!(pool.idle(), 0);
    get(&pool).await.unwrap();
    assert_eq!((script.connections(), pool.idle()), (2, 1));
}

#[tokio::test]
async fn a_short_answer_that_nobody_wants_costs_no_connection() {
    let missing = "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ngone";
    let chunked =
        "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n4\r\ngone\r\n0\r\n\r\n";
    let script = Script::new(&[Act::Say(missing), Act::Say(chunked), Act::Say(OK)]).await;
    let pool = script.pool();
    for _ in 0..2 {
        pool.send(&ask(Method::GET)).await.unwrap().discard();
        let read = async {
            while pool.idle() == 0 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LONG, read).await.unwrap();
    }
    get(&pool).await.unwrap();
    assert_eq!(script.connections(), 1);

    // a long one isn't worth it, nor one that doesn't end
    let long = "HTTP/1.1 404 Not Found\r\ncontent-length: 65537\r\n\r\n";
    for act in [Act::Hang(long), Act::Hang(chunked.trim_end())] {
        let script = Script::new(&[act, Act::Say(OK)]).await;
        let pool = script.pool();
        pool.send(&ask(Method::GET)).await.unwrap().discard();
        sleep(Duration::from_millis(20)).await;
        assert_eq!(pool.idle(), 0);
        get(&pool).await.unwrap();
        assert_eq!(script.connections(), 2);
    }
}
