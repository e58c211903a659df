//! The reports in the document that `secure-torch scan --format json` prints, as they stand there.

use anyhow::{Context, Result, ensure};

/// The texts of the objects in the list `reports`, in their order.
///
/// The document is on one line and in ASCII. Parsing it and writing it again would compare values; the
/// bytes are what is wanted.
pub(crate) fn reports(document: &str) -> Result<Vec<&str>> {
    let start = "\"reports\":[";
    let at = document.find(start).context("the document has no reports")?;
    let rest = document.get(at.saturating_add(start.len())..).unwrap_or_default();
    let (mut found, mut depth, mut begins) = (Vec::new(), 0_usize, 0);
    let (mut text, mut escaped) = (false, false);
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if text => escaped = true,
            b'"' => text = !text,
            _ if text => {}
            b'{' | b'[' => {
                if depth == 0 {
                    begins = at;
                }
                depth += 1;
            }
            b']' if depth == 0 => return Ok(found),
            b'}' | b']' => {
                depth = depth.checked_sub(1).context("more is closed than was opened")?;
                if depth == 0 {
                    found.push(rest.get(begins..=at).context("not ASCII")?);
                }
            }
            _ => ensure!(depth > 0 || byte == b',', "something between two reports"),
        }
    }
    anyhow::bail!("the list of reports has no end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_taken_as_they_stand() {
        let document =
            r#"{"rules":{"a":[1]},"reports":[{"a":"]}\"\\","b":[{}]},{"c":1}],"errors":[]}"#;
        assert_eq!(reports(document).unwrap(), [r#"{"a":"]}\"\\","b":[{}]}"#, r#"{"c":1}"#]);
        assert_eq!(reports(r#"{"reports":[]}"#).unwrap(), [""; 0]);
        for bad in ["{}", r#"{"reports":[{}"#, r#"{"reports":[1]}"#, r#"{"reports":[}]}"#] {
            assert!(reports(bad).is_err(), "{bad}");
        }
    }
}
