//! The JSON of model repositories: configurations, and indexes of shards.
//!
//! A configuration may tell its loader to import Python from the repository: `auto_map`
//! (transformers, `dynamic_module_utils.py`), `custom_pipelines`, the modules of `modules.json`
//! (sentence-transformers) and of `model_index.json` (diffusers,
//! `pipelines/pipeline_loading_utils.py`, which imports any library that is named there). So may
//! the activation of a layer (sentence-transformers, `models/Dense.py`, which imports and calls
//! it) and the library of an adapter (peft, `auto.py`, `tuners/lora/tp_layer.py`). It may
//! carry chat templates, which transformers renders in Jinja's sandbox and others without. An index
//! names the files that hold the weights: `weight_map` of transformers (`modeling_utils.py`) and
//! diffusers, `weightsManifest` of TensorFlow.js (`tfjs-core/src/io/types.ts`).
//!
//! JSON is read as Python reads it, and each of two equal keys is judged, since loaders take
//! different ones. Text that is no JSON for Python either is text, whatever its name is.
//!
//! It refuses to follow any name: what is in the files that are named is judged where they are.
//! Other keys are not judged. A file of its own, as `chat_template.jinja`, is a template by its
//! name alone (transformers, `utils/hub.py`, `CHAT_TEMPLATE_FILE`), which is why the name decides.

mod index;
mod path;

use super::code_text::template_escape;
use super::event::{Event, Sink};
use super::json_text::template_escape_string;
use crate::json::{JsonError, JsonErrorKind, Reader, Str, Token};
use crate::limits::{self, Limits};
use crate::rules;
use crate::rules::names::{Named, System, named};

anomaly_kinds! {
    /// What a configuration or an index asks of its loader.
    pub enum Kind;
    Depth, FormatStructure, "hub.depth", "the JSON nests deeper than any configuration does";
    RemoteCode, RepositoryRemoteCode, "hub.remote-code", "the configuration names Python code of a repository, which its loader imports";
    Trust, RepositoryRemoteCode, "hub.trust-remote-code", "the configuration asks its loader to trust the code of the repository";
    Module, RepositoryRemoteCode, "hub.module", "the configuration names a module that is no part of its library, and the loader imports it";
    Dangerous, ReferenceDangerous, "hub.dangerous", "the configuration names a class or function for its loader that gives it files, processes, code or the network";
    Template, MetadataTemplate, "hub.template", "a template reaches for what leads out of Jinja's sandbox";
    Shard, RepositoryShard, "hub.shard", "the index names a shard that lies outside its folder";
    ShardName, RepositoryShard, "hub.shard.name", "the index names something as a shard that is no file name";
}

/// Keys by which a JSON object is known as a configuration of a model repository.
const CONFIGURATION: [&str; 20] = [
    "auto_map",
    "model_type",
    "architectures",
    "tokenizer_class",
    "chat_template",
    "custom_pipelines",
    "custom_pipeline",
    "trust_remote_code",
    "processor_class",
    "image_processor_type",
    "feature_extractor_type",
    "transformers_version",
    "_class_name",
    "_diffusers_version",
    "_name_or_path",
    "_from_model_config",
    "additional_special_tokens",
    "peft_type",
    "activation_function",
    "auto_mapping",
];

/// Keys by which a JSON object is known as an index.
const INDEX: [&str; 2] = ["weight_map", "weightsManifest"];

/// Keys of what sentence-transformers imports and calls (`models/Dense.py`, `CrossEncoder.py`).
const ACTIVATIONS: [&str; 3] =
    ["activation_function", "activation_fn", "sbert_ce_default_activation_function"];

/// The longest name that is compared or handed on.
const LONGEST: usize = 1024;

/// What a JSON text is to loaders of repositories.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Configuration,
    Index,
    /// Nothing that they look for.
    Other,
}

/// Whether the bytes are a configuration, and no index.
#[must_use]
pub fn accepts_config(bytes: &[u8]) -> bool {
    shape(bytes) == Shape::Configuration
}

/// Whether the bytes are an index.
#[must_use]
pub fn accepts_index(bytes: &[u8]) -> bool {
    shape(bytes) == Shape::Index
}

/// Walks a configuration or an index; whatever it is, it is judged as both.
pub fn read(bytes: &[u8], _limits: &Limits, sink: Sink<'_>) {
    if shape(bytes) == Shape::Other {
        return;
    }
    let mut walk = Walk { bytes, reader: Reader::lenient(bytes), sink };
    let end = match walk.reader.clone().token() {
        Ok(Some(Token::ArrayStart)) => walk.modules(),
        _ => walk.object(),
    };
    // Anything but the depth has made the bytes mere text already.
    if let Err(error) = end {
        walk.at(Kind::Depth, error.offset, b"");
    }
}

/// Whether a file of this name is rendered as a template, whatever is in it.
#[must_use]
pub fn is_template_name(name: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 3] = [b"jinja", b"jinja2", b"j2"];
    let ending = name.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    ending.len() < name.len() && ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// Judges a file that is a template.
pub fn read_template(bytes: &[u8], _limits: &Limits, sink: Sink<'_>) {
    if let Some(at) = template_escape(bytes) {
        sink(Kind::Template.at(u64::try_from(at).unwrap_or(u64::MAX), b""));
    }
}

fn shape(bytes: &[u8]) -> Shape {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let opening = text.iter().find(|byte| !byte.is_ascii_whitespace());
    if length > limits::FILE_TEXT_BYTES || !matches!(opening, Some(b'{' | b'[')) {
        return Shape::Other;
    }
    let mut reader = Reader::lenient(bytes);
    let mut found = Shape::Other;
    match shape_of(&mut reader, &mut found) {
        Ok(()) => found,
        // Python reads on, and what follows is a configuration for all that is known.
        Err(JsonError { kind: JsonErrorKind::Depth, .. }) if found == Shape::Other => {
            Shape::Configuration
        }
        Err(JsonError { kind: JsonErrorKind::Depth, .. }) => found,
        Err(_) => Shape::Other,
    }
}

fn shape_of(reader: &mut Reader<'_>, found: &mut Shape) -> Result<(), JsonError> {
    if reader.token()? == Some(Token::ArrayStart) {
        if is_module_list(reader.clone())? {
            *found = Shape::Configuration;
        }
        return reader.finish();
    }
    let (mut types, mut structure) = (false, false);
    while let Some(key) = reader.key()? {
        types |= key == "types";
        structure |= key == "structure";
        if INDEX.iter().any(|known| key == *known) {
            *found = Shape::Index;
        } else if *found == Shape::Other && CONFIGURATION.iter().any(|known| key == *known) {
            *found = Shape::Configuration;
        }
        reader.skip_value()?;
    }
    if *found == Shape::Other && types && structure {
        *found = Shape::Configuration;
    }
    reader.finish()
}

/// Whether the first item of an array has what an item of `modules.json` has.
fn is_module_list(mut reader: Reader<'_>) -> Result<bool, JsonError> {
    let (mut kind, mut path) = (false, false);
    if reader.token()? == Some(Token::ObjectStart) {
        while let Some(key) = reader.key()? {
            kind |= key == "type";
            path |= key == "path";
            reader.skip_value()?;
        }
    }
    Ok(kind && path)
}

/// The walk under way.
struct Walk<'a, 's> {
    bytes: &'a [u8],
    reader: Reader<'a>,
    sink: Sink<'s>,
}

impl<'a> Walk<'a, '_> {
    fn at(&mut self, kind: Kind, offset: u64, subject: &[u8]) {
        (self.sink)(kind.at(offset, subject));
    }

    /// The top level.
    fn object(&mut self) -> Result<(), JsonError> {
        self.reader.token()?;
        // Only an index of a pipeline holds pairs of a library and a class.
        let pipeline = is_pipeline(self.reader.clone())?;
        let router = has(self.reader.clone(), "structure")?;
        while let Some(key) = self.reader.key()? {
            if key == "weight_map" {
                self.weight_map()?;
            } else if key == "weightsManifest" {
                self.manifest()?;
            } else if key == "modelTopology" {
                self.topology(key)?;
            } else if key == "_class_name" {
                self.class_name()?;
            } else if key == "types" && router {
                self.types()?;
            } else if self.is_pair()? {
                self.component(pipeline)?;
            } else {
                self.member(key)?;
            }
        }
        self.reader.finish()
    }

    /// The architecture in a manifest of TensorFlow.js: a Keras model, which Keras can load too
    /// (`tensorflowjs/converters/keras_tfjs_loader.py`).
    fn topology(&mut self, key: Str<'a>) -> Result<(), JsonError> {
        let place = self.reader.clone().skip_value()?;
        let range = usize::try_from(place.start).ok().zip(usize::try_from(place.end).ok());
        if let Some(bytes) = range.and_then(|(start, end)| self.bytes.get(start..end)) {
            (self.sink)(Event::Member { name: b"modelTopology", offset: place.start, bytes });
        }
        self.member(key)
    }

    /// The value of a key, at any depth.
    fn member(&mut self, key: Str<'a>) -> Result<(), JsonError> {
        const CODE: [&str; 3] = ["auto_map", "custom_pipelines", "custom_pipeline"];
        if CODE.iter().any(|code| key == *code) {
            self.named_code()
        } else if key == "trust_remote_code" {
            self.trust()
        } else if key == "attn_implementation" || key == "_attn_implementation" {
            self.kernel()
        } else if ACTIVATIONS.iter().any(|activation| key == *activation) {
            self.activation()
        } else if key == "auto_mapping" {
            self.adapted()
        } else if key == "megatron_core" {
            self.library()
        } else {
            self.value(key == "chat_template")
        }
    }

    /// A value of no known key: what is inside it may have one.
    fn value(&mut self, template: bool) -> Result<(), JsonError> {
        let depth = self.reader.depth();
        loop {
            match self.reader.token()? {
                Some(Token::Key(key)) if is_judged(&key) => self.member(key)?,
                Some(Token::String(string)) => self.text(&string, template),
                Some(_) => {}
                None => return Ok(()),
            }
            if self.reader.depth() <= depth {
                return Ok(());
            }
        }
    }

    /// A string: a template where one is due, or where it opens Jinja's braces.
    fn text(&mut self, string: &Str<'a>, template: bool) {
        let raw = string.raw().as_bytes();
        let braces = || raw.windows(2).any(|pair| matches!(pair, b"{{" | b"{%"));
        if (template || !string.is_plain() || braces())
            && let Some(offset) = template_escape_string(string)
        {
            self.at(Kind::Template, offset, if template { b"chat_template" } else { b"" });
        }
    }

    /// Every string of a value is code that the loader imports, or says where that is.
    fn named_code(&mut self) -> Result<(), JsonError> {
        let depth = self.reader.depth();
        loop {
            match self.reader.token()? {
                Some(Token::String(string)) => {
                    self.at(Kind::RemoteCode, string.offset(), string.raw().as_bytes());
                }
                Some(_) => {}
                None => return Ok(()),
            }
            if self.reader.depth() <= depth {
                return Ok(());
            }
        }
    }

    /// Anything that Python takes for true.
    fn trust(&mut self) -> Result<(), JsonError> {
        let token = self.reader.token()?;
        let start = self.reader.start();
        let harmless = match token {
            Some(Token::Bool(trusts)) => !trusts,
            Some(Token::Number(number)) => number.as_u64() == Some(0),
            Some(Token::String(string)) => string.raw().is_empty(),
            Some(Token::ObjectStart | Token::ArrayStart) => {
                self.reader.leave()?;
                false
            }
            _ => true,
        };
        if !harmless {
            self.at(Kind::Trust, start, b"trust_remote_code");
        }
        Ok(())
    }

    /// A name of an attention kernel, or one for each part of the model; with a slash it is a
    /// repository that code is loaded from.
    fn kernel(&mut self) -> Result<(), JsonError> {
        let depth = self.reader.depth();
        loop {
            match self.reader.token()? {
                Some(Token::String(string)) if string.chars().any(|c| c == '/') => {
                    self.at(Kind::RemoteCode, string.offset(), string.raw().as_bytes());
                }
                Some(_) => {}
                None => return Ok(()),
            }
            if self.reader.depth() <= depth {
                return Ok(());
            }
        }
    }

    /// What sentence-transformers imports and calls: a class by its whole path. Without a dot it
    /// is a name that transformers looks up in a table of its own.
    fn activation(&mut self) -> Result<(), JsonError> {
        match self.reader.clone().token()? {
            Some(Token::String(string)) if string.chars().any(|c| c == '.') => {
                self.reader.token()?;
                self.class(&string);
                Ok(())
            }
            _ => self.value(false),
        }
    }

    /// The module that peft takes the adapted model's class from (`peft/auto.py`).
    fn adapted(&mut self) -> Result<(), JsonError> {
        if self.reader.clone().token()? != Some(Token::ObjectStart) {
            return self.value(false);
        }
        self.reader.token()?;
        while let Some(key) = self.reader.key()? {
            if key == "parent_library" { self.library()? } else { self.value(false)? }
        }
        Ok(())
    }

    /// A module that is imported by its name.
    fn library(&mut self) -> Result<(), JsonError> {
        let Some(Token::String(string)) = self.reader.clone().token()? else {
            return self.value(false);
        };
        self.reader.token()?;
        let mut buffer = [0; LONGEST];
        match string.text(&mut buffer) {
            Some(module) => self.module(string.offset(), module, b""),
            None => self.at(Kind::Module, string.offset(), string.raw().as_bytes()),
        }
        Ok(())
    }

    /// The modules of a router of sentence-transformers (`models/Router.py`): each is a class by
    /// its whole path.
    fn types(&mut self) -> Result<(), JsonError> {
        if self.reader.clone().token()? != Some(Token::ObjectStart) {
            return self.value(false);
        }
        self.reader.token()?;
        while self.reader.key()?.is_some() {
            match self.reader.clone().token()? {
                Some(Token::String(string)) => {
                    self.reader.token()?;
                    self.class(&string);
                }
                _ => self.value(false)?,
            }
        }
        Ok(())
    }

    /// A pipeline's class: a name, or a file of the repository and a name.
    fn class_name(&mut self) -> Result<(), JsonError> {
        match self.reader.clone().token()? {
            Some(Token::ArrayStart) => self.named_code(),
            _ => self.value(false),
        }
    }

    /// Whether the next value is an array that starts with two strings. A modular pipeline says
    /// behind them where the component is loaded from.
    fn is_pair(&self) -> Result<bool, JsonError> {
        let mut ahead = self.reader.clone();
        let strings = ahead.token()? == Some(Token::ArrayStart)
            && matches!(ahead.token()?, Some(Token::String(_)))
            && matches!(ahead.token()?, Some(Token::String(_)));
        let Some(Token::ArrayEnd | Token::ObjectStart) = ahead.token()? else { return Ok(false) };
        Ok(strings)
    }

    /// A library, and a class of it. Outside of a pipeline's index it may be two names of
    /// anything, but whoever loads one pipeline does not ask what the index calls itself.
    fn component(&mut self, pipeline: bool) -> Result<(), JsonError> {
        let mut ahead = self.reader.clone();
        ahead.token()?;
        if let (Some(Token::String(library)), Some(Token::String(class))) =
            (ahead.token()?, ahead.token()?)
        {
            let (mut first, mut second) = ([0; LONGEST], [0; LONGEST]);
            match (library.text(&mut first), class.text(&mut second)) {
                (Some(module), Some(name)) if pipeline || is_dangerous(module, name) => {
                    self.module(library.offset(), module, name);
                }
                (Some(_), Some(_)) => {}
                _ if pipeline => {
                    self.at(Kind::Module, library.offset(), library.raw().as_bytes());
                }
                _ => {}
            }
        }
        self.value(false)
    }

    /// `modules.json`: each item has a `type`, which is a class by its whole path.
    fn modules(&mut self) -> Result<(), JsonError> {
        self.reader.token()?;
        while self.reader.token()? == Some(Token::ObjectStart) {
            while let Some(key) = self.reader.key()? {
                let token = self.reader.token()?;
                match token {
                    Some(Token::String(string)) if key == "type" => self.class(&string),
                    Some(Token::String(string)) if key == "path" => self.folder(&string),
                    Some(Token::ObjectStart | Token::ArrayStart) => self.reader.leave()?,
                    _ => {}
                }
            }
        }
        self.reader.finish()
    }

    fn class(&mut self, string: &Str<'a>) {
        let mut buffer = [0; LONGEST];
        let Some(text) = string.text(&mut buffer) else {
            self.at(Kind::Module, string.offset(), string.raw().as_bytes());
            return;
        };
        if !matches!(named(System::HubModule, text), Some(Named::Known(_))) {
            let dot = text.iter().rposition(|&byte| byte == b'.').unwrap_or(text.len());
            let (module, name) = text.split_at_checked(dot).unwrap_or_default();
            self.module(string.offset(), module, name.get(1..).unwrap_or_default());
        }
    }

    /// A module that the loader imports to find a class.
    fn module(&mut self, offset: u64, module: &[u8], name: &[u8]) {
        if matches!(named(System::HubModule, module), Some(Named::Known(_))) {
            return;
        }
        let dangerous = is_dangerous(module, name);
        self.at(if dangerous { Kind::Dangerous } else { Kind::Module }, offset, module);
    }
}

fn is_dangerous(module: &[u8], name: &[u8]) -> bool {
    let texts = core::str::from_utf8(module).ok().zip(core::str::from_utf8(name).ok());
    texts.is_some_and(|(module, name)| rules::dangerous(module, name).is_some())
}

/// Keys that count at any depth.
fn is_judged(key: &Str<'_>) -> bool {
    const JUDGED: [&str; 9] = [
        "auto_map",
        "custom_pipelines",
        "custom_pipeline",
        "trust_remote_code",
        "attn_implementation",
        "_attn_implementation",
        "chat_template",
        "auto_mapping",
        "megatron_core",
    ];
    JUDGED.iter().chain(&ACTIVATIONS).any(|judged| *key == **judged)
}

/// Whether the object that was just opened is a pipeline of diffusers, which loads what its pairs
/// of library and class name. Models and schedulers have a `_class_name` too, and pairs of names.
fn is_pipeline(mut reader: Reader<'_>) -> Result<bool, JsonError> {
    while let Some(key) = reader.key()? {
        let mut value = reader.clone();
        reader.skip_value()?;
        if key == "_class_name" {
            match value.token()? {
                Some(Token::ArrayStart) => return Ok(true),
                Some(Token::String(name)) if contains(&name, "Pipeline") => return Ok(true),
                _ => {}
            }
        }
    }
    Ok(false)
}

/// Whether the object that was just opened has a key.
fn has(mut reader: Reader<'_>, wanted: &str) -> Result<bool, JsonError> {
    while let Some(key) = reader.key()? {
        if key == *wanted {
            return Ok(true);
        }
        reader.skip_value()?;
    }
    Ok(false)
}

fn contains(string: &Str<'_>, word: &str) -> bool {
    let mut rest = string.chars();
    loop {
        if rest.clone().zip(word.chars()).filter(|(a, b)| a == b).count() == word.chars().count() {
            return true;
        }
        if rest.next().is_none() {
            return false;
        }
    }
}

#[cfg(test)]
mod tests;
