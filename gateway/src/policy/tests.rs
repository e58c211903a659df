use std::fs;

use proptest::prelude::*;

use super::*;
use crate::{Source, Verdict, scan, scan_path};

/// An instance of a class that no rule knows: 25 for the import, 15 for the call, 10 unsigned.
const UNKNOWN: &[u8] = b"\x80\x02cmy_app.models\nConfig\n)\x81.";
const HOSTILE: &[u8] = b"cposix\nsystem\n(S'echo secure-torch'\ntR.";

fn mistake(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let error = Policy::from_toml(text, folder.path()).unwrap_err();
    assert_eq!(error.code(), Code::Policy, "{text}");
    error.to_string().replace(&*folder.path().to_string_lossy(), "F")
}

#[test]
fn names_split_at_the_last_dot_or_the_colon() {
    let name = |text: &str| text.parse::<GlobalName>().map(|n| (n.module, n.name)).ok();
    assert_eq!(name("a.b.C"), Some(("a.b".into(), "C".into())));
    assert_eq!(name("a.b:C.d"), Some(("a.b".into(), "C.d".into())));
    for bad in ["", "a", ".a", "a.", ":"] {
        assert_eq!(name(bad), None, "{bad}");
    }
    for text in ["a.b.C", "a.b:C.d"] {
        assert_eq!(text.parse::<GlobalName>().unwrap().to_string(), text);
    }
}

#[test]
fn a_file_sets_numbers_and_names() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
max_threat_score = 15
[limits]
archive.depth = 2
pickle = { globals = 1_000 }
[formats]
allow = ["safetensors", "text"]
deny = ["pickle"]
[[allow]]
global = "my_app.models.Config"
paths = ["models/**"]
reason = "ours"
expires = 9999-12-31
[[ignore]]
rule = "format.mismatch"
subject = "a.bin"
reason = "named by hand"
"#;
    let policy = Policy::from_toml(text, folder.path()).unwrap();
    assert_eq!(policy.max_threat_score, 15);
    assert_eq!((policy.limits.archive.depth, policy.limits.pickle.globals), (2, 1_000));
    let lines: Vec<_> = policy
        .file
        .unwrap()
        .entries()
        .into_iter()
        .map(|entry| (entry.line, entry.kind.name(), entry.what))
        .collect();
    let row = |line, kind, what: &str| (line, kind, what.to_owned());
    assert_eq!(
        lines,
        [
            row(2, "max_threat_score", "15"),
            row(4, "limits", "archive.depth = 2"),
            row(5, "limits", "pickle.globals = 1000"),
            row(7, "formats.allow", "safetensors, text"),
            row(8, "formats.deny", "pickle"),
            row(9, "allow", "my_app.models.Config"),
            row(14, "ignore", "format.mismatch on a.bin"),
        ]
    );
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let allow = "[[allow]]\nglobal = \"a.b\"\nreason = \"r\"\n";
    let ignore = "[[ignore]]\nreason = \"r\"\n";
    for (text, place, what) in [
        ("max_threat_score = ".to_owned(), (1, 20), ""),
        ("max_threat_score = 101".to_owned(), (1, 20), "from 0 to 100"),
        ("max_threat_score = -1".to_owned(), (1, 20), "a whole number"),
        ("max_threat_score = \"20\"".to_owned(), (1, 20), "not text"),
        ("\nmax_threat = 1".to_owned(), (2, 1), "`max_threat` is no key here"),
        ("[limits]\narchive.deep = 1".to_owned(), (2, 9), "`archive.deep`"),
        ("[limits]\narchive.depth = 4294967296".to_owned(), (2, 17), "cannot be set"),
        ("[limits]\npickle.name_bytes = 1".to_owned(), (2, 21), "cannot be set"),
        ("[formats]\ndeny = [\"pickel\"]".to_owned(), (2, 9), "`pickel`"),
        ("[formats]\nallow=[\"onnx\"]\ndeny=[\"onnx\"]".to_owned(), (3, 7), "both"),
        ("allow = 1".to_owned(), (1, 9), "a list is wanted"),
        (format!("{allow}expire = 2027-01-01"), (4, 1), "`expire`"),
        (format!("{allow}expires = \"2027-01-01\""), (4, 11), "a day"),
        (format!("{allow}expires = 2027-01-01T00:00:00Z"), (4, 11), "a day"),
        (format!("{allow}paths = []"), (4, 9), "empty list"),
        (format!("{allow}paths = [\"a[\"]"), (4, 10), "a["),
        (format!("{allow}paths = [\"/a\"]"), (4, 10), "from the policy's folder"),
        (format!("{allow}paths = [\"a/../b\"]"), (4, 10), "from the policy's folder"),
        (format!("{allow}paths = \"a\""), (4, 9), "a list is wanted"),
        ("[[allow]]\nglobal = \"a.b\"".to_owned(), (1, 1), "no `reason`"),
        ("[[allow]]\nreason = \"r\"".to_owned(), (1, 1), "no `global`"),
        ("[[allow]]\nglobal = \"a\"\nreason = \"r\"".to_owned(), (2, 10), "MODULE.NAME"),
        ("[[allow]]\nglobal = \"a.b\"\nreason = \" \"".to_owned(), (3, 10), "empty"),
        (format!("{ignore}rule = \"format.mismtach\""), (3, 8), "no rule is called"),
        (format!("{ignore}rule = \"native-code\""), (3, 8), "never ignored"),
        (format!("{ignore}rule = \"pickle.global.dangerous\""), (3, 8), "never ignored"),
        (format!("{ignore}rule = \"trust.unsigned\""), (3, 8), "never ignored"),
    ] {
        let (line, column) = place;
        let said = mistake(&text);
        let place = format!("F/secure-torch.toml, line {line}, column {column}: ");
        assert!(said.contains(&place) && said.contains(what), "{text}\n{said}");
    }
    assert!(!mistake("a\u{1b}[2J = 1").contains('\u{1b}'));
}

#[test]
fn rules_of_attacks_are_never_ignored() {
    use secure_torch_core::score::Rule;
    for rule in Rule::ALL {
        let kept = rule.points() >= 70 || rule == Rule::TrustUnsigned;
        assert_eq!(file::never_ignored(rule).is_some(), kept, "{}", rule.id());
    }
}

#[test]
fn a_global_is_allowed_below_its_paths_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("models/deep")).unwrap();
    fs::create_dir_all(root.join("other")).unwrap();
    for path in ["models/a.pkl", "models/deep/b.pkl", "other/c.pkl", "d.pkl"] {
        fs::write(root.join(path), UNKNOWN).unwrap();
    }
    let text =
        "[[allow]]\nglobal = \"my_app.models.Config\"\nreason = \"ours\"\npaths = [\"models/**\"]";
    let policy = Policy::from_toml(text, root).unwrap();
    let verdict = |path: &str| scan_path(&root.join(path), &policy).unwrap();
    for (path, verdict_wanted) in [
        ("models/a.pkl", Verdict::Allow),
        ("models/deep/b.pkl", Verdict::Allow),
        ("other/c.pkl", Verdict::Block),
        ("d.pkl", Verdict::Block),
        ("models/../other/c.pkl", Verdict::Block),
        ("other/../models/a.pkl", Verdict::Allow),
    ] {
        let report = verdict(path);
        assert_eq!(report.verdict, verdict_wanted, "{path}");
        let applied = report.policy.unwrap().applied;
        assert_eq!(applied.len(), usize::from(verdict_wanted == Verdict::Allow), "{path}");
    }
    // A name in memory is no path, whatever it says.
    let name = root.join("models/a.pkl");
    let bytes = Source::from_bytes(&name.to_string_lossy(), UNKNOWN.to_vec());
    assert_eq!(scan(&bytes, &policy).verdict, Verdict::Block);
    #[cfg(unix)]
    {
        // A link to a folder carries nothing into a scope.
        std::os::unix::fs::symlink("../other", root.join("models/linked")).unwrap();
        assert_eq!(verdict("models/linked/c.pkl").verdict, Verdict::Block);
    }
}

#[test]
fn an_entry_that_has_ended_is_not_applied_and_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.pkl");
    fs::write(&path, UNKNOWN).unwrap();
    let text =
        "[[allow]]\nglobal = \"my_app.models.Config\"\nreason = \"ours\"\nexpires = 2027-01-01";
    let at = |today| {
        let file = file::parse(text, Path::new("p.toml"), folder.path(), today).unwrap();
        scan_path(&path, &Policy::of(file)).unwrap()
    };
    assert_eq!(at(date::Date(2027, 1, 1)).verdict, Verdict::Allow);
    let ended = at(date::Date(2027, 1, 2));
    assert_eq!(ended.verdict, Verdict::Block);
    assert!(ended.limits.iter().any(|note| note.contains("p.toml:1 held until 2027-01-01")));
    assert!(ended.policy.unwrap().applied.is_empty());
}

#[test]
fn what_the_rules_call_dangerous_stays_dangerous() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[allow]]\nglobal = \"posix.system\"\nreason = \"no\"";
    let policy = Policy::from_toml(text, folder.path()).unwrap();
    let report = scan(&Source::from_bytes("m.pkl", HOSTILE.to_vec()), &policy);
    assert_eq!(report.verdict, Verdict::Block);
    assert!(report.score_breakdown.contains_key("pickle.global.dangerous"));
    assert!(report.limits.iter().any(|note| note.contains("stays dangerous")));
}

#[test]
fn an_ignored_finding_stays_in_sight_and_loses_its_points() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[ignore]]\nrule = \"pickle.trailing-data\"\nreason = \"our exporter's footer\"";
    let policy = Policy::from_toml(text, folder.path()).unwrap();
    let bytes = b"\x80\x02}.footer\x01".to_vec();
    let before = scan(&Source::from_bytes("m.pkl", bytes.clone()), &Policy::default());
    let after = scan(&Source::from_bytes("m.pkl", bytes), &policy);
    assert_eq!((before.threat_score, after.threat_score), (25, 10));
    assert_eq!(after.verdict, Verdict::Allow);
    let reasons: Vec<_> = after.findings.iter().map(|f| f.ignored.as_deref()).collect();
    assert_eq!(reasons, [Some("our exporter's footer")]);
    assert_eq!(after.policy.unwrap().applied[0].line, 1);
}

#[test]
fn a_denied_format_blocks_with_a_reason_and_without_points() {
    let folder = tempfile::tempdir().unwrap();
    let judge = |text: &str| {
        let policy = Policy::from_toml(text, folder.path()).unwrap();
        scan(&Source::from_bytes("m.pkl", b"\x80\x02}.".to_vec()), &policy)
    };
    for text in ["formats.deny = [\"pickle\"]", "formats.allow = [\"safetensors\"]"] {
        let report = judge(text);
        assert_eq!((report.verdict, report.threat_score), (Verdict::Block, 10), "{text}");
        assert!(report.reasons[0].contains("pickle"), "{:?}", report.reasons);
        assert!(report.policy.unwrap().applied.len() == 1);
    }
    assert_eq!(judge("formats.allow = [\"pickle\"]").verdict, Verdict::Allow);
}

proptest! {
    /// Whatever a policy allows, only the globals that it names lose their points.
    #[test]
    fn a_policy_lets_through_what_it_names_and_nothing_else(
        named in proptest::collection::btree_set(0_u8..6, 0..4),
        asked in proptest::collection::btree_set(0_u8..6, 0..4),
        expired in any::<bool>(),
        reverse in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let end = if expired { "1999-01-01" } else { "9999-01-01" };
        let mut rows: Vec<String> = named
            .iter()
            .map(|n| format!("[[allow]]\nglobal = \"mod{n}.f\"\nreason = \"r\"\nexpires = {end}\n"))
            .collect();
        if reverse {
            rows.reverse();
        }
        let policy = Policy::from_toml(&rows.concat(), folder.path()).unwrap();
        let mut bytes = b"\x80\x02".to_vec();
        for n in &asked {
            bytes.extend(format!("cmod{n}\nf\n0").bytes());
        }
        bytes.extend(b"}.");
        let report = scan(&Source::from_bytes("m.pkl", bytes), &policy);
        let covered = asked.iter().all(|n| named.contains(n) && !expired);
        prop_assert_eq!(report.verdict == Verdict::Allow, covered);
        for global in &report.globals {
            let n = global.module.trim_start_matches("mod").parse::<u8>().unwrap();
            prop_assert_eq!(global.class == "allowed", named.contains(&n) && !expired);
        }
    }
}

#[test]
fn the_day_can_be_given() {
    let text = "[[ignore]]\nrule = \"format.unknown\"\nreason = \"r\"\nexpires = 2026-01-01\n";
    let folder = tempfile::tempdir().unwrap();
    let verdict = |days| {
        let policy = Policy::from_toml_on(text, folder.path(), days).unwrap();
        scan(&Source::from_bytes("m.xyz", vec![7; 9]), &policy).verdict
    };
    // The last day counts whole.
    assert_eq!(verdict(20_454), Verdict::Allow);
    assert_eq!(verdict(20_455), Verdict::Block);
    assert_eq!(verdict(u64::MAX), Verdict::Block);
}
