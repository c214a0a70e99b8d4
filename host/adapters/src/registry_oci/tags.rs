//! The list of tags, which comes in pages: a header of each says where the next one is.

use reqwest::Url;
use ripcord_ports::{ErrorKind, PortError};

use super::names;

/// Entries that are asked for at once; a registry may give fewer.
pub(super) const PAGE: u32 = 1_000;
const PAGES_MAX: usize = 200;

/// The pages so far.
#[derive(Debug)]
pub(super) struct Pages {
    first: Url,
    repository: String,
    pub(super) all: Vec<String>,
    seen: Vec<Url>,
}

impl Pages {
    pub(super) fn of(first: Url, repository: &str) -> Self {
        Self { first, repository: repository.to_owned(), all: Vec::new(), seen: Vec::new() }
    }

    /// Where the page lies that comes next.
    pub(super) fn at(&self) -> &Url {
        self.seen.last().unwrap_or(&self.first)
    }

    /// Takes a page. A place that comes again would never end.
    pub(super) fn is_last(&mut self, tags: Vec<String>, link: Option<&str>) -> Result<bool, PortError> {
        if let Some(strange) = tags.iter().find(|tag| !names::is_tag(tag)) {
            let shown: String = strange.chars().take(200).collect();
            return Err(self.bad(&format!("lists `{}`, which is no tag", shown.escape_debug())));
        }
        self.all.extend(tags);
        if self.all.len() > names::TAGS_MAX || self.seen.len() >= PAGES_MAX {
            let text = format!(
                "the registry has more than {} tags of `{}`, or more than {PAGES_MAX} pages of them: delete what nobody goes back to",
                names::TAGS_MAX,
                self.repository
            );
            return Err(PortError::not_applied(ErrorKind::TooLarge, text));
        }
        let Some(next) = link.and_then(next) else {
            self.all.sort();
            self.all.dedup();
            return Ok(true);
        };
        let next = self
            .at()
            .join(next)
            .ok()
            .filter(|next| next.origin() == self.first.origin() && next.path() == self.first.path());
        let next = next.filter(|next| *next != self.first && !self.seen.contains(next));
        let next = next.ok_or_else(|| {
            self.bad("says that there are more tags, and gives no place to go on from, or one that was read already")
        })?;
        self.seen.push(next);
        Ok(false)
    }

    fn bad(&self, what: &str) -> PortError {
        let text = format!("the registry {what}, of `{}`: nothing of its list is used", self.repository);
        PortError::not_applied(ErrorKind::BadAnswer, text)
    }
}

/// The address of the next page in a `Link` header: `</v2/x/tags/list?last=a&n=100>; rel="next"`.
fn next(link: &str) -> Option<&str> {
    let links = link.split(',').filter_map(|one| one.trim().strip_prefix('<')?.split_once('>'));
    let is_next = |parameter: &str| matches!(parameter.trim(), "rel=\"next\"" | "rel=next");
    links.into_iter().find(|(_, parameters)| parameters.split(';').any(is_next)).map(|(target, _)| target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> Pages {
        Pages::of(Url::parse("https://r.example/v2/a/tags/list?n=2").unwrap(), "a")
    }

    fn tags(tags: &[&str]) -> Vec<String> {
        tags.iter().map(|tag| (*tag).to_owned()).collect()
    }

    #[test]
    fn a_link_leads_on() {
        let mut pages = pages();
        assert!(
            !pages.is_last(tags(&["b", "a"]), Some("</v2/a/tags/list?last=b&n=2>; rel=\"next\"")).unwrap()
        );
        assert_eq!(pages.at().as_str(), "https://r.example/v2/a/tags/list?last=b&n=2");
        assert!(pages.is_last(tags(&["c", "b"]), None).unwrap());
        assert_eq!(pages.all, ["a", "b", "c"]);
        assert_eq!(next("<x>; rel=prev, <y>; rel=next"), Some("y"));
        assert_eq!(next("<x>; rel=\"prev\""), None);
        assert_eq!(next("rel=next"), None);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_refused() {
        for link in [
            "</v2/a/tags/list?n=2>; rel=\"next\"",
            "<https://other.example/v2/a/tags/list?last=b>; rel=\"next\"",
            "</v2/b/tags/list?last=b>; rel=\"next\"",
            "<http://[>; rel=\"next\"",
        ] {
            let error = pages().is_last(tags(&["a"]), Some(link)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadAnswer, "{link}: {error}");
        }
        let link = Some("</v2/a/tags/list?last=b>; rel=\"next\"");
        let mut again = pages();
        assert!(!again.is_last(tags(&["a"]), link).unwrap());
        assert!(again.is_last(tags(&["b"]), link).is_err(), "the same again");
        assert!(pages().is_last(tags(&["a\u{1b}[0m"]), None).is_err());
    }

    #[test]
    fn a_list_without_an_end_is_too_large() {
        let mut pages = pages();
        let error = (0..1_000)
            .find_map(|page| {
                let link = format!("</v2/a/tags/list?last={page}>; rel=\"next\"");
                pages.is_last(tags(&[&format!("v{page}")]), Some(&link)).err()
            })
            .unwrap();
        assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
    }
}
