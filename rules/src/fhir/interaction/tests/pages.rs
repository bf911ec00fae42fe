//! Pages of whatever has them.

use super::*;

#[test]
fn a_page_goes_on_where_its_handle_was_given() {
    for (first, next) in [
        ("/Patient?name=a&_count=3", "/Patient?_page=h"),
        (
            "/Patient/1/Observation?code=x",
            "/Patient/1/Observation?_page=h",
        ),
        ("?_type=Patient,Group&_tag=x", "?_page=h"),
        (
            "/Patient/_history?_since=2020-01-01T00:00:00Z",
            "/Patient/_history?_page=h",
        ),
        ("/Patient/1/_history", "/Patient/1/_history?_page=h"),
        ("/_history?_count=2", "/_history?_page=h&_format=json"),
    ] {
        let mut first = ask("GET", first).understood().unwrap();
        assert_eq!(first.handle(), None);
        let mut page = ask("GET", next).understood().unwrap();
        assert_eq!(page.handle().as_deref(), Some("h"));
        assert_eq!(page.handle(), None);
        assert_eq!(page.place(), first.place());
        page.resumed(&first.query(), "/up?x=1".into(), "TREAT".into())
            .unwrap();
        assert_eq!((page.place(), page.query()), (first.place(), first.query()));
        assert_eq!(page.word(), first.word());
        let (position, purpose) = match &page {
            Interaction::Search(search) => (&search.position, &search.purpose),
            Interaction::SystemSearch(SystemSearch { page, .. })
            | Interaction::History(History { page, .. }) => (&page.position, &page.purpose),
            other => panic!("{other:?}"),
        };
        assert_eq!(position.as_deref(), Some("/up?x=1"));
        assert_eq!(purpose.as_deref(), Some("TREAT"));
    }
}

#[test]
fn a_handle_holds_no_handle_and_no_strange_query() {
    for target in ["/Patient?_page=h", "?_page=h", "/_history?_page=h"] {
        for query in ["_page=h", "bogus=1", "_include=x"] {
            let mut page = ask("GET", target).understood().unwrap();
            assert!(page.resumed(query, String::new(), String::new()).is_err());
        }
    }
    let mut read = ask("GET", "/Patient/1").understood().unwrap();
    assert_eq!(read.handle(), None);
    assert!(read.resumed("", String::new(), String::new()).is_err());
}
