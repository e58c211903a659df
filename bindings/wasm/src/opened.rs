//! A file of which JavaScript reads slices: its judgement, its members and its pickles.

use std::io;

use secure_torch::trace::Pages;
use secure_torch::{Ranged, ReadAt};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use crate::errors::thrown;
use crate::judged::Judged;
use crate::policy::Policy;

/// How much is asked for at once, so that whoever reads can say how far it is.
const SLICE: usize = 8 << 20;

#[wasm_bindgen]
extern "C" {
    /// An object whose method `read(offset, length)` gives the bytes there.
    pub type Slices;

    #[wasm_bindgen(method, catch)]
    fn read(this: &Slices, offset: f64, length: u32) -> Result<Vec<u8>, JsValue>;
}

/// A file that is read in slices.
#[wasm_bindgen]
pub struct Opened {
    file: Ranged,
    policy: secure_torch::Policy,
    pages: Option<Pages>,
}

#[wasm_bindgen]
impl Opened {
    /// A file of `length` bytes, reported under `name`.
    #[wasm_bindgen(constructor)]
    pub fn new(name: &str, length: u64, slices: Slices, policy: &Policy) -> Self {
        let file = Ranged::new(name, length, Reader(slices));
        Self { file, policy: policy.inner.clone(), pages: None }
    }

    /// Judges the file.
    pub fn scan(&self) -> Result<Judged, JsValue> {
        let report = secure_torch::scan_ranged(&self.file, &self.policy);
        report.map(|report| Judged::new(report, &self.policy)).map_err(|error| thrown(&error))
    }

    /// What lies where in the file, as JSON; nothing where it is no archive.
    pub fn archive(&self) -> Result<Option<String>, JsValue> {
        let map = secure_torch::archive::map_ranged(&self.file, &self.policy);
        Ok(map.map_err(|error| thrown(&error))?.map(|map| map.json()))
    }

    /// The pickles of the file, as JSON.
    pub fn pickles(&mut self) -> Result<String, JsValue> {
        let listed: Vec<_> = self.pages()?.pickles().collect();
        Ok(serde_json::to_string(&listed).unwrap_or_default())
    }

    /// Rows of a pickle's listing, as JSON.
    pub fn rows(&mut self, pickle: u32, first: u32, count: u32) -> Result<String, JsValue> {
        let rows = self.pages()?.rows(pickle as usize, first.into(), count.into());
        Ok(serde_json::to_string(&rows).unwrap_or_default())
    }

    /// The first row from `first` on that shows a text.
    pub fn find(&mut self, pickle: u32, text: &str, first: u32) -> Result<Option<f64>, JsValue> {
        Ok(self.pages()?.find(pickle as usize, text, first.into()).map(number))
    }

    /// The row of the instruction at an offset of the pickle's part.
    #[wasm_bindgen(js_name = rowAt)]
    pub fn row_at(&mut self, pickle: u32, offset: f64) -> Result<Option<f64>, JsValue> {
        // The conversion of a float ends at the bounds of the integer.
        Ok(self.pages()?.row_at(pickle as usize, offset as u64).map(number))
    }
}

impl Opened {
    /// The pickles, which are collected when they are first asked for.
    fn pages(&mut self) -> Result<&Pages, JsValue> {
        if self.pages.is_none() {
            let pages = Pages::of_ranged(&self.file, &self.policy);
            self.pages = Some(pages.map_err(|error| thrown(&error))?);
        }
        Ok(self.pages.get_or_insert_with(Pages::default))
    }
}

/// A row's number, which is far below where JavaScript's numbers have gaps.
const fn number(row: u64) -> f64 {
    row as f64
}

/// JavaScript's slices as the gateway reads them.
struct Reader(Slices);

impl ReadAt for Reader {
    fn read_at(&self, mut offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        for piece in buffer.chunks_mut(SLICE) {
            let length = piece.len() as u32;
            // Exact: JavaScript's own sizes of files are numbers of this kind.
            let read = self.0.read(offset as f64, length).map_err(|error| {
                io::Error::other(error.as_string().unwrap_or_else(|| format!("{error:?}")))
            })?;
            if read.len() != piece.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            piece.copy_from_slice(&read);
            offset += u64::from(length);
        }
        Ok(())
    }
}
