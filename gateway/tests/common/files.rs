//! The vectors that are one file.

use serde::Deserialize;

use crate::content::{Step, content, documents};

#[derive(Deserialize)]
struct Document {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: String,
    name: Option<String>,
    input: Option<String>,
    recipe: Option<Vec<Step>>,
}

/// Every vector that is one file of at most so many bytes: its id, its name and its bytes.
pub(crate) fn files(most: usize) -> Vec<(String, String, Vec<u8>)> {
    let vectors = documents::<Document>().into_iter().flat_map(|document| document.vectors);
    let files: Vec<_> = vectors
        .filter_map(|Vector { id, name, input, recipe }| {
            let bytes = content(input.as_deref(), recipe.as_deref())?;
            (bytes.len() <= most).then(|| (id, name.unwrap(), bytes))
        })
        .collect();
    assert!(files.len() > 1000, "{}", files.len());
    files
}
