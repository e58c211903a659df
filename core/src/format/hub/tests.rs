//! Configurations and indexes, honest and not.

extern crate std;

use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::format::event::Event;

/// What is said of a text: ids with their subjects, and shards with their lengths.
fn seen(text: &str) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    read(text.as_bytes(), &Limits::default(), &mut |event| match event {
        Event::Anomaly(anomaly) => {
            assert!(anomaly.offset <= text.len() as u64);
            seen.push((anomaly.id.into(), String::from_utf8_lossy(anomaly.subject).to_string()));
        }
        Event::External(external) => {
            let length = external.length.map_or("?".into(), |length| length.to_string());
            seen.push((length, String::from_utf8_lossy(external.location).to_string()));
        }
        other => panic!("{other:?}"),
    });
    seen
}

#[track_caller]
fn says(text: &str, expected: &[(&str, &str)]) {
    let seen = seen(text);
    let seen: Vec<_> = seen.iter().map(|(id, subject)| (id.as_str(), subject.as_str())).collect();
    assert_eq!(seen, expected, "{text}");
}

#[test]
fn shapes_are_told_by_their_keys() {
    for text in [
        r#"{"model_type": "bert"}"#,
        r#" {"x": 1, "\u0061uto_map": {}}"#,
        r#"{"x": NaN, "architectures": []}"#,
        "\u{feff}{\"model_type\": \"bert\"}",
        r#"[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]"#,
    ] {
        assert!(accepts_config(text.as_bytes()), "{text}");
        assert!(!accepts_index(text.as_bytes()), "{text}");
    }
    for text in
        [r#"{"metadata": {}, "weight_map": {}}"#, r#"{"model_type": "x", "weightsManifest": []}"#]
    {
        assert!(accepts_index(text.as_bytes()) && !accepts_config(text.as_bytes()), "{text}");
    }
    for text in [
        "",
        "model_type",
        r#"{"class_name": "Sequential", "config": {}}"#,
        r#"{"model_type": "bert""#,
        r#"{"model_type": "bert"} x"#,
        r#"{"x": {"model_type": "bert"}}"#,
        r#"["model_type"]"#,
    ] {
        assert!(!accepts_config(text.as_bytes()) && !accepts_index(text.as_bytes()), "{text}");
        says(text, &[]);
    }
}

#[test]
fn honest_configurations_are_silent() {
    for text in [
        r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "auto_map": {}, "trust_remote_code": false}"#,
        r#"{"tokenizer_class": "X", "chat_template": "{% for m in messages %}{{ m['role'] }}{% endfor %}", "auto_map": null}"#,
        r#"{"_class_name": "UNet2DConditionModel", "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"], "_attn_implementation": "sdpa"}"#,
        r#"{"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"], "safety_checker": ["stable_diffusion", "X"], "image": [null, null]}"#,
        r#"[{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}, {"path": "", "type": "sentence_transformers.models.Normalize"}]"#,
    ] {
        assert!(accepts_config(text.as_bytes()), "{text}");
        says(text, &[]);
    }
}

#[test]
fn code_of_the_repository_is_named() {
    let remote = Kind::RemoteCode.id();
    says(
        r#"{"model_type": "x", "auto_map": {"AutoConfig": "configuration_x.XConfig"}}"#,
        &[(remote, "configuration_x.XConfig")],
    );
    says(
        r#"{"\u0061uto_map": ["a.B", null, "who/repo--a.C"]}"#,
        &[(remote, "a.B"), (remote, "who/repo--a.C")],
    );
    says(r#"{"auto_map": {}, "auto_map": "a.B"}"#, &[(remote, "a.B")]);
    says(r#"{"model_type": "x", "text": [{"auto_map": {"A": "b.C"}}]}"#, &[(remote, "b.C")]);
    says(r#"{"custom_pipelines": {"t": {"impl": "a.B"}}}"#, &[(remote, "a.B")]);
    says(
        r#"{"_class_name": ["pipeline", "MyPipeline"]}"#,
        &[(remote, "pipeline"), (remote, "MyPipeline")],
    );
    says(r#"{"model_type": "x", "_attn_implementation": "who/kernel"}"#, &[(remote, "who/kernel")]);
    let trust = Kind::Trust.id();
    for value in ["true", "1", "\"yes\"", "[0]"] {
        says(
            &std::format!("{{\"model_type\": 1, \"trust_remote_code\": {value}}}"),
            &[(trust, "trust_remote_code")],
        );
    }
}

#[test]
fn modules_are_judged() {
    let (module, dangerous) = (Kind::Module.id(), Kind::Dangerous.id());
    says(
        r#"{"_class_name": "XPipeline", "unet": ["os", "system"], "vae": ["my_vae", "Vae"]}"#,
        &[(dangerous, "os"), (module, "my_vae")],
    );
    says(
        r#"{"unet": ["os", "system"], "_class_name": "a", "_class_name": "X\u0050ipeline"}"#,
        &[(dangerous, "os")],
    );
    says(r#"[{"path": "", "type": "custom_st.Transformer"}]"#, &[(module, "custom_st")]);
    says(
        r#"[{"path": "../..", "type": "subprocess.Popen"}]"#,
        &[(Kind::Shard.id(), "../.."), (dangerous, "subprocess")],
    );
}

#[test]
fn templates_that_escape_are_found_wherever_they_stand() {
    let template = Kind::Template.id();
    let escape = "{{ ''.__class__ }}";
    says(&std::format!(r#"{{"chat_template": "{escape}"}}"#), &[(template, "chat_template")]);
    says(
        &std::format!(r#"{{"chat_template": [{{"name": "a", "template": "{escape}"}}]}}"#),
        &[(template, "chat_template")],
    );
    says(&std::format!(r#"{{"model_type": "x", "prompt": ["{escape}"]}}"#), &[(template, "")]);
    says(r#"{"chat_template": "{{ ''.\u005f_class__ }}"}"#, &[(template, "chat_template")]);
}

#[test]
fn shards_are_named_once_in_a_row() {
    says(
        r#"{"metadata": {"total_size": 8}, "weight_map": {"a": "x-1.bin", "b": "x-\u0031.bin", "c": "x-2.bin"}}"#,
        &[("?", "x-1.bin"), ("?", "x-2.bin")],
    );
    says(
        r#"{"weightsManifest": [{"weights": [{"name": "a", "shape": [2, 3], "dtype": "float32"}, {"name": "b", "dtype": "float32", "shape": [], "quantization": {"dtype": "uint8"}}], "paths": ["group1-shard1of1.bin"]}]}"#,
        &[("25", "group1-shard1of1.bin")],
    );
    says(
        r#"{"weightsManifest": [{"paths": ["a", "b"], "weights": [{"shape": [1], "dtype": "bool"}]}, {"paths": ["c"], "weights": [{"shape": [1], "dtype": "string"}]}]}"#,
        &[("?", "a"), ("?", "b"), ("?", "c")],
    );
}

#[test]
fn shards_that_leave_the_folder_are_reported() {
    let (shard, name) = (Kind::Shard.id(), Kind::ShardName.id());
    says(
        r#"{"weight_map": {"a": "../x.bin", "b": "/etc/passwd"}}"#,
        &[(shard, "../x.bin"), (shard, "/etc/passwd")],
    );
    says(r#"{"weight_map": {"a": "\u002e./x"}}"#, &[(shard, "\\u002e./x")]);
    says(r#"{"weight_map": {"a": 1, "b": {"c": ["d"]}}}"#, &[(name, "a"), (name, "b")]);
    says(r#"{"weight_map": []}"#, &[(name, "weight_map")]);
    says(
        r#"{"weightsManifest": [{"paths": ["..\\x", 7]}], "auto_map": "a.B"}"#,
        &[(shard, "..\\\\x"), (name, "paths"), (Kind::RemoteCode.id(), "a.B")],
    );
    let long = std::format!(r#"{{"weight_map": {{"a": "\n{}"}}}}"#, "x".repeat(LONGEST));
    assert_eq!(seen(&long).len(), 1);
}

#[test]
fn deeper_json_than_is_followed_is_a_finding() {
    let deep =
        std::format!("{{\"x\": {}{}, \"auto_map\": \"a.B\"}}", "[".repeat(200), "]".repeat(200));
    assert!(accepts_config(deep.as_bytes()));
    says(&deep, &[(Kind::Depth.id(), "")]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_stops_the_reader(pieces in proptest::collection::vec(prop::sample::select(std::vec![
        "{", "}", "[", "]", ",", ":", "\"auto_map\"", "\"weight_map\"", "\"weightsManifest\"", "\"paths\"",
        "\"weights\"", "\"shape\"", "\"dtype\"", "\"quantization\"", "\"_class_name\"", "\"XPipeline\"", "\"type\"",
        "\"path\"", "1", "null", "\"chat_template\"", "\"trust_remote_code\"", "{\"weightsManifest\":[{\"weights\":[{",
    ]), 0..24)) {
        let text = pieces.concat();
        seen(&text);
    }
}
