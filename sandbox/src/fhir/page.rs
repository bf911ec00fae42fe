//! A searchset Bundle, page by page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::Value;

use super::query::{Query, pairs};
use super::store::{Row, Store};

/// The page of a search that `text`, a query string or a form, asks for. The error is for a 400's diagnostics.
pub(crate) fn search(store: &Store, base: &str, name: &str, text: &str) -> Result<Bytes, String> {
    let asked = pairs(text).ok_or("the query isn't well formed")?;
    let token = asked
        .iter()
        .find(|(key, _)| key == "_page")
        .map(|(_, token)| token);
    let (query_text, skip, asked) = match token {
        None => (text.to_owned(), 0, asked),
        Some(token) if asked.len() == 1 => {
            let (query, skip) = open(token).ok_or_else(|| format!("unknown page `{token}`"))?;
            let asked = pairs(&query).ok_or("the query isn't well formed")?;
            (query, skip, asked)
        }
        Some(_) => return Err("`_page` stands alone".to_owned()),
    };
    let query = Query::parse(name, &asked, base)?;
    let found: Vec<&Row> = store
        .rows(name)
        .iter()
        .filter(|row| query.matches(row))
        .collect();
    let page = found.get(skip..).unwrap_or_default();
    let page = page.get(..query.count).unwrap_or(page);

    let mut links = vec![(
        "self",
        format!(
            "{base}/{name}{}{text}",
            if text.is_empty() { "" } else { "?" }
        ),
    )];
    let reached = skip + page.len();
    if !page.is_empty() && reached < found.len() {
        links.push((
            "next",
            format!("{base}/{name}?_page={}", seal(&query_text, reached)),
        ));
    }
    Ok(bundle(
        base,
        name,
        query.total.then_some(found.len()),
        &links,
        page,
    ))
}

/// Written by hand: the entries are the stored bytes.
fn bundle(
    base: &str,
    name: &str,
    total: Option<usize>,
    links: &[(&str, String)],
    page: &[&Row],
) -> Bytes {
    let size: usize = page
        .iter()
        .map(|row| row.body.len() + base.len() + 128)
        .sum();
    let mut out = Vec::with_capacity(size + 1024);
    out.extend_from_slice(br#"{"resourceType":"Bundle","type":"searchset""#);
    if let Some(total) = total {
        out.extend_from_slice(format!(r#","total":{total}"#).as_bytes());
    }
    for (place, (relation, url)) in links.iter().enumerate() {
        let start = if place == 0 { r#","link":["# } else { "," };
        let url = Value::from(url.as_str());
        out.extend_from_slice(
            format!(r#"{start}{{"relation":"{relation}","url":{url}}}"#).as_bytes(),
        );
    }
    out.push(b']');
    for (place, row) in page.iter().enumerate() {
        let start = if place == 0 { r#","entry":["# } else { "," };
        out.extend_from_slice(
            format!(
                r#"{start}{{"fullUrl":"{base}/{name}/{}","resource":"#,
                row.id
            )
            .as_bytes(),
        );
        out.extend_from_slice(&row.body);
        out.extend_from_slice(br#","search":{"mode":"match"}}"#);
    }
    if !page.is_empty() {
        out.push(b']');
    }
    out.push(b'}');
    out.into()
}

/// A page token: opaque to callers, all this server needs to go on.
fn seal(query: &str, skip: usize) -> String {
    URL_SAFE_NO_PAD.encode(format!("{skip}\n{query}"))
}

fn open(token: &str) -> Option<(String, usize)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (skip, query) = text.split_once('\n')?;
    Some((query.to_owned(), skip.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BASE: &str = "http://127.0.0.1:1/fhir";

    fn page(store: &Store, text: &str) -> Value {
        serde_json::from_slice(&search(store, BASE, "Slot", text).unwrap()).unwrap()
    }

    fn store(rows: usize) -> Store {
        let mut store = Store::new();
        for at in 0..rows {
            let status = if at % 2 == 0 { "free" } else { "busy" };
            store
                .insert(json!({"resourceType": "Slot", "id": format!("s{at}"), "status": status}))
                .unwrap();
        }
        store
    }

    #[test]
    fn pages_follow_one_another_and_end() {
        let store = store(9);
        let mut text = "status=free&_count=2".to_owned();
        let mut ids = Vec::new();
        for _ in 0..10 {
            let bundle = page(&store, &text);
            assert_eq!(bundle["total"], 5);
            for entry in bundle["entry"].as_array().unwrap() {
                assert_eq!(entry["search"]["mode"], "match");
                let id = entry["resource"]["id"].as_str().unwrap();
                assert_eq!(entry["fullUrl"], format!("{BASE}/Slot/{id}"));
                ids.push(id.to_owned());
            }
            match bundle["link"]
                .as_array()
                .unwrap()
                .iter()
                .find(|link| link["relation"] == "next")
            {
                Some(next) => {
                    text = next["url"]
                        .as_str()
                        .unwrap()
                        .split_once('?')
                        .unwrap()
                        .1
                        .to_owned()
                }
                None => break,
            }
        }
        assert_eq!(ids, ["s0", "s2", "s4", "s6", "s8"]);
    }

    #[test]
    fn an_empty_result_has_no_entry_and_no_next() {
        let bundle = page(&store(3), "status=none");
        assert_eq!(bundle["total"], 0);
        assert_eq!(bundle.get("entry"), None);
        assert_eq!(bundle["link"].as_array().unwrap().len(), 1);
        let bundle = page(&store(3), "_count=0&_total=accurate");
        assert_eq!((&bundle["total"], bundle.get("entry")), (&json!(3), None));
        assert_eq!(bundle["link"].as_array().unwrap().len(), 1);
        assert_eq!(page(&store(3), "_total=none").get("total"), None);
    }

    #[test]
    fn a_made_up_page_is_an_error() {
        for text in ["_page=x", "_page=", "_page=MA", "_page=MAo&status=free"] {
            assert!(search(&store(1), BASE, "Slot", text).is_err(), "{text}");
        }
    }
}
