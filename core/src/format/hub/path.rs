//! Where a name of a file may lead.

/// Whether a path stays in the folder of the file that names it, on every system: it is
/// relative, goes up nowhere, and has neither a drive, a scheme, a backslash nor a NUL.
pub(super) fn stays_inside(path: &[u8]) -> bool {
    let drive = matches!(path, [letter, b':', ..] if letter.is_ascii_alphabetic());
    let odd = path.iter().any(|&byte| byte == b'\\' || byte < b' ');
    let scheme = path.windows(3).any(|part| part == b"://");
    let up = path.split(|&byte| byte == b'/').any(|part| part == b"..");
    !path.is_empty()
        && !matches!(path.first(), Some(b'/' | b'~'))
        && !drive
        && !odd
        && !scheme
        && !up
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_are_told() {
        for path in ["model-00001-of-00002.safetensors", "unet/a.bin", "..a", "a..", "a/.b", "./a"]
        {
            assert!(stays_inside(path.as_bytes()), "{path}");
        }
        for path in [
            "",
            "/a",
            "../a",
            "a/../../b",
            "a/..",
            "..",
            "C:/a",
            "c:a",
            "a\\b",
            "~/a",
            "a\0",
            "http://a/b",
            "file:///a",
        ] {
            assert!(!stays_inside(path.as_bytes()), "{path}");
        }
    }
}
