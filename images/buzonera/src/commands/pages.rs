//! Lists come in pages; a command shows them whole.

use std::future::Future;

use wire::rpc::ListRequest;

use crate::failure::Failure;

/// One page: the items, and whether there are more after the last.
pub struct Page<T> {
    /// In the directory's order.
    pub items: Vec<T>,
    /// Ask again, after the last one's name.
    pub more: bool,
}

/// Asks for pages until there are no more. `name` is what the next page starts after.
pub async fn all<T, F>(
    filter: &str,
    name: impl Fn(&T) -> String,
    ask: impl Fn(ListRequest) -> F,
) -> Result<Vec<T>, Failure>
where
    F: Future<Output = Result<Page<T>, Failure>>,
{
    let mut items: Vec<T> = Vec::new();
    loop {
        let request = ListRequest {
            after: items.last().map(&name).unwrap_or_default(),
            limit: 0,
            filter: filter.to_owned(),
        };
        let mut page = ask(request).await?;
        let empty = page.items.is_empty();
        items.append(&mut page.items);
        if !page.more || empty {
            return Ok(items);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pages_are_joined_by_the_last_name() {
        let items = all("", u32::to_string, |request| async move {
            let after: u32 = request.after.parse().unwrap_or(0);
            Ok(Page {
                items: vec![after + 1, after + 2],
                more: after < 4,
            })
        });
        assert_eq!(items.await.unwrap(), [1, 2, 3, 4, 5, 6]);
    }

    #[tokio::test]
    async fn an_empty_page_ends_the_list() {
        let ask = |_| async {
            Ok(Page {
                items: Vec::<u32>::new(),
                more: true,
            })
        };
        assert!(all("", u32::to_string, ask).await.unwrap().is_empty());
    }
}
