//! The tables are held to what is published, to what PyTorch allows, and to their own order.

extern crate std;

use proptest::prelude::*;
use std::string::String;
use std::vec::Vec;

use super::published::PUBLISHED;
use super::*;

fn class(module: &str, name: &str) -> Class {
    judge(module, name, false).class
}

fn family(module: &str, name: &str) -> Option<&'static str> {
    match class(module, name) {
        Class::Dangerous(family) => Some(family.id),
        Class::Allowed(_) | Class::Unknown => None,
    }
}

#[test]
fn every_published_name_is_dangerous() {
    let missed: Vec<_> =
        PUBLISHED.iter().filter(|(module, name, _)| family(module, name).is_none()).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

/// What `torch.load(weights_only=True)` allows besides dtypes, storages and dense tensor
/// classes: `_get_allowed_globals` of PyTorch 1.13 to 2.13.
const WEIGHTS_ONLY: &[(&str, &str)] = &[
    ("collections", "OrderedDict"),
    ("collections", "Counter"),
    ("torch.nn.parameter", "Parameter"),
    ("torch.serialization", "_get_layout"),
    ("torch", "Size"),
    ("torch", "Tensor"),
    ("torch", "device"),
    ("_codecs", "encode"),
    ("builtins", "bytearray"),
    ("builtins", "set"),
    ("builtins", "complex"),
    ("torch", "per_tensor_affine"),
    ("torch", "per_tensor_symmetric"),
    ("torch", "per_channel_affine"),
    ("torch", "per_channel_symmetric"),
    ("torch", "per_channel_affine_float_qparams"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_parameter_with_state"),
    ("torch._utils", "_rebuild_qtensor"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_tensor_v3"),
    ("torch._utils", "_rebuild_sparse_tensor"),
    ("torch._utils", "_rebuild_sparse_csr_tensor"),
    ("torch._utils", "_rebuild_meta_tensor_no_storage"),
    ("torch._utils", "_rebuild_nested_tensor"),
    ("torch._utils", "_rebuild_wrapper_subclass"),
    ("torch._utils", "_rebuild_device_tensor_from_numpy"),
    ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"),
    ("torch._tensor", "_rebuild_from_type_v2"),
    ("torch.storage", "TypedStorage"),
    ("torch.storage", "UntypedStorage"),
    ("torch", "FloatStorage"),
    ("torch", "QUInt2x4Storage"),
    ("torch.cuda", "HalfStorage"),
    ("torch", "FloatTensor"),
    ("torch.cuda", "FloatTensor"),
    ("torch.sparse", "FloatTensor"),
    ("torch.cuda.sparse", "FloatTensor"),
    ("torch", "float8_e8m0fnu"),
    ("torch", "float4_e2m1fn_x2"),
    ("torch", "bits16"),
    ("torch", "uint1"),
    ("torch", "int7"),
];

/// What PyTorch allows and this project does not.
const STRICTER: &[(&str, &str, &str)] = &[
    (
        "torch._utils",
        "_rebuild_nested_tensor",
        "sizes and offsets are read out of tensors unchecked; PyTorch dropped it after 2.13",
    ),
    (
        "torch._tensor",
        "_rebuild_from_type_v2",
        "calls the function that it is given with a tuple that nobody has checked, and sets any attribute of what comes out",
    ),
    (
        "torch.sparse",
        "FloatTensor",
        "made bare and filled by BUILD: sparse tensors are rebuilt by _rebuild_sparse_tensor",
    ),
    ("torch.cuda.sparse", "FloatTensor", "as torch.sparse.FloatTensor"),
];

#[test]
fn what_pytorch_allows_is_allowed_or_listed() {
    for (module, name) in WEIGHTS_ONLY {
        let stricter = STRICTER.iter().any(|(one, two, _)| (one, two) == (module, name));
        match class(module, name) {
            Class::Allowed(_) => assert!(!stricter, "{module} {name}"),
            Class::Unknown => assert!(stricter, "{module} {name}"),
            Class::Dangerous(family) => panic!("{module} {name} is {}", family.id),
        }
    }
}

#[test]
fn every_allowed_global_is_judged_allowed() {
    for entry in allowed_globals() {
        assert_eq!(class(entry.module, entry.name), Class::Allowed(entry));
        assert_eq!(dangerous(entry.module, entry.name), None);
        assert_eq!(python3_name(entry.module, entry.name), (entry.module, entry.name));
        if let Some(shape) = entry.call {
            assert!(usize::from(shape.required) <= shape.args.len());
        }
    }
}

/// What honest whole-object pickles hold. None of it is an attack.
const HONEST: &[(&str, &str)] = &[
    ("sklearn.linear_model._logistic", "LogisticRegression"),
    ("sklearn.tree._tree", "Tree"),
    ("sklearn.ensemble.forest", "RandomForestClassifier"),
    ("sklearn.neighbors._kd_tree", "newObj"),
    ("sklearn.pipeline", "Pipeline"),
    ("madmom.ml.nn.layers", "FeedForwardLayer"),
    ("xgboost.core", "Booster"),
    ("xgboost.sklearn", "XGBClassifier"),
    ("lightgbm.basic", "Booster"),
    ("omegaconf.dictconfig", "DictConfig"),
    ("omegaconf.base", "ContainerMetadata"),
    ("typing", "Any"),
    ("torch.nn.modules.linear", "Linear"),
    ("torch.nn.modules.container", "Sequential"),
    ("torch.optim.adam", "Adam"),
    ("torch._C", "Generator"),
    ("torch._C._nn", "gelu"),
    ("torch.utils.hooks", "RemovableHandle"),
    ("torch.distributed.checkpoint.metadata", "Metadata"),
    ("numpy.random._pickle", "__randomstate_ctor"),
    ("numpy.random._pickle", "__generator_ctor"),
    ("numpy.random", "__RandomState_ctor"),
    ("numpy.random.mtrand", "RandomState"),
    ("numpy.ma.core", "_mareconstruct"),
    ("numpy", "memmap"),
    ("scipy.sparse._csr", "csr_matrix"),
    ("scipy.sparse.csr", "csr_matrix"),
    ("scipy.interpolate._interpolate", "interp1d"),
    ("pandas.core.frame", "DataFrame"),
    ("pandas._libs.internals", "_unpickle_block"),
    ("re", "_compile"),
    ("functools", "partial"),
    ("collections", "namedtuple"),
    ("collections", "UserDict"),
    ("enum", "Enum"),
    ("logging", "getLogger"),
    ("itertools", "count"),
    ("builtins", "iter"),
    ("builtins", "reversed"),
    ("random", "Random"),
    ("_random", "Random"),
    ("zoneinfo", "ZoneInfo"),
    ("copyreg", "__newobj__"),
    ("__main__", "Model"),
    ("transformers.training_args", "TrainingArguments"),
    ("transformers.trainer_utils", "IntervalStrategy"),
    ("ultralytics.nn.tasks", "DetectionModel"),
    ("models.yolo", "Model"),
    ("timm.models.vision_transformer", "VisionTransformer"),
    ("joblib.memory", "Memory"),
    ("fastai.learner", "Learner"),
    ("astropy.io.fits", "Header"),
];

#[test]
fn honest_names_are_no_attack() {
    for (module, name) in HONEST {
        assert_eq!(class(module, name), Class::Unknown, "{module} {name}");
        let python2 = judge(module, name, true);
        assert_eq!(python2.class, Class::Unknown, "{module} {name}");
    }
}

#[test]
fn python_2_names_are_renamed_for_old_protocols_only() {
    assert_eq!(python3_name("__builtin__", "xrange"), ("builtins", "range"));
    assert_eq!(python3_name("__builtin__", "set"), ("builtins", "set"));
    assert_eq!(python3_name("copy_reg", "_reconstructor"), ("copyreg", "_reconstructor"));
    assert_eq!(python3_name("itertools", "izip"), ("builtins", "zip"));
    assert_eq!(python3_name("exceptions", "ValueError"), ("builtins", "ValueError"));
    assert_eq!(python3_name("urllib2", "urlopen"), ("urllib.request", "urlopen"));
    assert_eq!(python3_name("torch", "load"), ("torch", "load"));

    assert!(matches!(judge("__builtin__", "set", true).class, Class::Allowed(_)));
    assert_eq!(judge("__builtin__", "set", false).class, Class::Unknown);
    assert!(matches!(judge("copy_reg", "_reconstructor", true).class, Class::Allowed(_)));
    assert_eq!(judge("copy_reg", "_reconstructor", false).class, Class::Unknown);
    for fix_imports in [false, true] {
        let judgement = judge("__builtin__", "eval", fix_imports);
        assert!(matches!(judgement.class, Class::Dangerous(_)));
        assert_eq!(judgement.python3, ("builtins", "eval"));
        assert!(matches!(judge("commands", "getoutput", fix_imports).class, Class::Dangerous(_)));
    }
}

#[test]
fn dotted_names_are_never_allowed() {
    let nested = judge("collections", "OrderedDict.fromkeys", false);
    assert_eq!((nested.class, nested.dotted), (Class::Unknown, true));
    let other = judge("somebody.models", "Net.Config", false);
    assert_eq!((other.class, other.dotted), (Class::Unknown, false));
    assert!(judge("torch.nn", "Module.forward", false).dotted);
    assert!(!judge("torch", "Tensor", false).dotted);
    assert!(judge("pathlib", "os.system", false).dotted);
}

#[test]
fn odd_names_are_unknown_and_do_no_harm() {
    for name in ["", ".", "..", "...", ".os.", "\0", "é.ü", "__", "____", "_", "_._", "a..b"] {
        for module in ["", ".", "..", "é", "collections", "collections.", ".collections", "os."] {
            let _ = judge(module, name, true);
        }
    }
    assert_eq!(class("", ""), Class::Unknown);
    assert_eq!(class("collections", "OrderedDict "), Class::Unknown);
    assert_eq!(class("collections ", "OrderedDict"), Class::Unknown);
    assert_eq!(class("Collections", "OrderedDict"), Class::Unknown);
}

#[test]
fn deep_names_are_walks_and_take_no_time() {
    let deep = std::vec!["torch"; 100_000].join(".");
    assert!(family("torch", &deep).is_some());
    assert_eq!(family(&deep, "x"), None);
    let under = std::vec!["_"; 1_000_000].join("a");
    assert_eq!(family("torch", &under), None);
}

#[test]
fn the_tables_are_sorted() {
    assert!(generated::ALLOWED.is_sorted_by_key(|entry| (entry.module, entry.name)));
    assert!(generated::EXACT.is_sorted_by_key(|(module, name, _)| (*module, *name)));
    assert!(generated::MODULES.is_sorted_by_key(|(module, _)| *module));
    assert!(generated::PACKAGES.is_sorted_by_key(|(package, _)| *package));
    assert!(generated::NAME_RENAMES.is_sorted_by_key(|(old, _)| *old));
    assert!(generated::MODULE_RENAMES.is_sorted_by_key(|(old, _)| *old));
    for names in
        [generated::REACHED, generated::VENDORED, generated::HARMLESS_DUNDERS, generated::KNOWN]
    {
        assert!(names.is_sorted());
    }
}

#[test]
fn the_version_and_the_hash_are_there() {
    assert!(!VERSION.is_empty());
    assert_eq!(SHA256.len(), 64);
    assert!(SHA256.bytes().all(|byte| byte.is_ascii_hexdigit()));
}

/// The plain way to look a direct name up: every pattern, one after the other.
fn naive(module: &str, name: &str) -> Option<&'static str> {
    let exact = generated::EXACT.iter().find(|(one, two, _)| (*one, *two) == (module, name));
    if let Some((_, _, family)) = exact {
        return Some(family.id);
    }
    let joined = std::format!("{module}.{name}");
    let whole = |path: &str| generated::MODULES.iter().find(|(known, _)| *known == path);
    let under = |path: &str| {
        generated::PACKAGES.iter().find(|(known, _)| {
            path == *known || path.strip_prefix(known).is_some_and(|rest| rest.starts_with('.'))
        })
    };
    whole(module)
        .or_else(|| under(&joined).filter(|(known, _)| *known == joined))
        .or_else(|| whole(&joined))
        .or_else(|| under(module))
        .map(|(_, family)| family.id)
}

fn any_module() -> impl Strategy<Value = String> {
    let known: Vec<String> = generated::EXACT
        .iter()
        .map(|(module, _, _)| *module)
        .chain(generated::MODULES.iter().map(|(module, _)| *module))
        .chain(generated::PACKAGES.iter().map(|(package, _)| *package))
        .map(String::from)
        .collect();
    let part = prop::sample::select(std::vec!["x", "io", "f2py", "utils", "load", "core"]);
    (prop::sample::select(known), prop::collection::vec(part, 0..3), any::<bool>()).prop_map(
        |(mut module, parts, cut)| {
            for part in parts {
                module.push('.');
                module.push_str(part);
            }
            if cut && let Some((parent, _)) = module.rsplit_once('.') {
                return String::from(parent);
            }
            module
        },
    )
}

proptest! {
    #[test]
    fn direct_names_are_looked_up_as_the_plain_way_does(
        module in any_module(),
        name in prop::sample::select(std::vec!["load", "x", "main", "eval", "f2py", "testing", "distutils"]),
    ) {
        prop_assert_eq!(reach(&module, name).map(|family| family.id), naive(&module, name));
    }

    #[test]
    fn a_walk_is_as_bad_as_where_it_leads(
        start in prop::sample::select(std::vec!["torch", "numpy", "collections", "pathlib", "nobody"]),
        module in any_module(),
        name in "[a-z]{1,6}",
    ) {
        let joined = std::format!("{module}.{name}");
        if reach(&module, &name).is_some() {
            prop_assert!(dangerous(start, &joined).is_some(), "{} {}", start, joined);
        }
    }

    #[test]
    fn no_name_makes_it_panic(module in any::<String>(), name in any::<String>(), fix in any::<bool>()) {
        let judgement = judge(&module, &name, fix);
        if let Class::Allowed(entry) = judgement.class {
            prop_assert!(!name.contains('.'));
            prop_assert!(entry.name == name || entry.name == judgement.python3.1);
        }
    }

    #[test]
    fn made_up_names_do_not_panic(module in "[a-z_.]{0,40}", name in "[a-z_.]{0,40}") {
        let _ = judge(&module, &name, true);
    }
}
