//! What a name means in a program, where it means more or less than in a pickle.
//!
//! In a pickle every name that the families of `spec/rules/dangerous.toml` claim is an attack. A
//! program that serves a model opens files, logs, reads the environment and copies objects, so
//! here only the families count that no handler of weights needs, and of those not the names that
//! handlers use every day.

use crate::rules::{self, Family};

/// The families that count in a program.
const FAMILIES: [&str; 7] = [
    "process-execution",
    "dynamic-code",
    "code-loading",
    "network",
    "native-memory",
    "nested-deserialisation",
    "scanner",
];

/// Names of those families that honest programs use, in byte order: the name itself, and what is
/// below it. They say where things are and what the machine is, run threads and no programs, hold
/// types and tests, compile arithmetic, or read models, which are judged as the files that they are.
const EVERYDAY: &[&str] = &[
    "_thread",
    "asyncio.CancelledError",
    "asyncio.Event",
    "asyncio.Lock",
    "asyncio.Queue",
    "asyncio.Semaphore",
    "asyncio.TimeoutError",
    "asyncio.create_task",
    "asyncio.gather",
    "asyncio.get_event_loop",
    "asyncio.get_running_loop",
    "asyncio.new_event_loop",
    "asyncio.run",
    "asyncio.set_event_loop",
    "asyncio.sleep",
    "asyncio.to_thread",
    "asyncio.wait_for",
    "attr",
    "attrs",
    "concurrent.futures.Future",
    "concurrent.futures.ThreadPoolExecutor",
    "concurrent.futures.as_completed",
    "concurrent.futures.wait",
    "dataclasses",
    "distutils.version",
    "django",
    "fire",
    "flask",
    "gettext",
    "hypothesis",
    "importlib.metadata",
    "importlib.resources",
    "importlib.util.find_spec",
    "importlib_metadata",
    "importlib_resources",
    "jinja2",
    "joblib.Parallel",
    "joblib.dump",
    "joblib.load",
    "keras.layers.Lambda",
    "keras.models.load_model",
    "keras.saving",
    "mock",
    "multiprocessing.cpu_count",
    "numba",
    "numpy.lib.format",
    "numpy.load",
    "numpy.testing",
    "os.DirEntry",
    "os.F_OK",
    "os.PathLike",
    "os.R_OK",
    "os.W_OK",
    "os.X_OK",
    "os.access",
    "os.altsep",
    "os.cpu_count",
    "os.curdir",
    "os.devnull",
    "os.environ",
    "os.error",
    "os.extsep",
    "os.fspath",
    "os.get_terminal_size",
    "os.getcwd",
    "os.getenv",
    "os.getpid",
    "os.getppid",
    "os.getuid",
    "os.linesep",
    "os.listdir",
    "os.makedirs",
    "os.mkdir",
    "os.name",
    "os.pardir",
    "os.path",
    "os.pathsep",
    "os.scandir",
    "os.sched_getaffinity",
    "os.sep",
    "os.stat",
    "os.strerror",
    "os.urandom",
    "os.walk",
    "pandas.io",
    "pickle.Pickler",
    "pickle.dump",
    "pickle.dumps",
    "pkg_resources.parse_version",
    "platform",
    "plistlib",
    "psutil.cpu_count",
    "psutil.cpu_percent",
    "psutil.virtual_memory",
    "pytest",
    "ruamel.yaml.YAML",
    "setuptools",
    "signal.SIGALRM",
    "signal.SIGINT",
    "signal.SIGTERM",
    "signal.alarm",
    "signal.signal",
    "site",
    "six",
    "sympy",
    "tensorflow.keras.layers.Lambda",
    "tensorflow.keras.models.load_model",
    "tensorflow.saved_model",
    "threading",
    "torch._dynamo.config",
    "torch._inductor.config",
    "torch.export.load",
    "torch.fx",
    "torch.jit.load",
    "torch.library",
    "torch.load",
    "torch.multiprocessing.set_start_method",
    "torch.package",
    "torch.serialization.load",
    "torch.testing",
    "torch.utils.benchmark",
    "torch.utils.hipify",
    "transformers.pipeline",
    "triton",
    "types",
    "typing",
    "unittest",
    "uuid",
    "warnings",
    "yaml.SafeLoader",
    "yaml.dump",
    "yaml.safe_dump",
    "yaml.safe_load",
];

/// Names of other families that no honest program beside weights needs, in byte order.
const BESIDES: &[&str] = &[
    "gc.get_objects",
    "gc.get_referrers",
    "operator.methodcaller",
    "shutil.rmtree",
    "sys._getframe",
    "sys.meta_path",
    "sys.modules",
    "sys.path_hooks",
    "sys.setprofile",
    "sys.settrace",
];

/// Modules that other modules hold as an attribute: `torch.os.system`.
const CARRIED: [&str; 8] =
    ["builtins", "ctypes", "importlib", "os", "pickle", "socket", "subprocess", "sys"];

/// Builtins that run text, or find a module by its text.
pub(super) const BUILTINS: [&[u8]; 7] =
    [b"__import__", b"breakpoint", b"compile", b"eval", b"exec", b"execfile", b"globals"];

/// Attributes by which any object leads to the interpreter.
pub(super) const LEADING_OUT: [&[u8]; 9] = [
    b"__builtins__",
    b"__code__",
    b"__getattribute__",
    b"__globals__",
    b"__import__",
    b"__loader__",
    b"__subclasses__",
    b"f_builtins",
    b"f_globals",
];

/// Whether a path is in a table, or below what is.
fn is_under(path: &str, table: &[&str]) -> bool {
    let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
    ends.filter_map(|end| path.get(..end)).any(|head| table.binary_search(&head).is_ok())
}

/// What is bad about a dotted path from a module on, if it is.
pub(super) fn dangerous(path: &str) -> Option<&'static str> {
    let mut rest = path;
    let mut first = true;
    loop {
        let (head, below) = rest.split_once('.').unwrap_or((rest, ""));
        if first || !below.is_empty() && CARRIED.contains(&head) {
            if is_under(rest, BESIDES) {
                return Some("interpreter");
            }
            let family = counted(rules::claimed(head, below));
            if family.is_some() && !is_under(rest, EVERYDAY) {
                return family;
            }
        }
        if below.is_empty() {
            return None;
        }
        (rest, first) = (below, false);
    }
}

/// Whether everything of a module is bad, so that it is not to be handed on as a value.
pub(super) fn is_dangerous_module(path: &str) -> bool {
    let (head, below) = path.split_once('.').unwrap_or((path, ""));
    !is_under(path, EVERYDAY)
        && (matches!(path, "builtins" | "pickle" | "sys")
            || counted(rules::claimed(head, below)).is_some())
}

fn counted(family: Option<&'static Family>) -> Option<&'static str> {
    family.map(|family| family.id).filter(|id| FAMILIES.contains(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_in_order() {
        assert!(EVERYDAY.is_sorted() && BESIDES.is_sorted());
    }

    #[test]
    fn what_handlers_use_every_day_is_not_dangerous() {
        for path in [
            "os.path.join",
            "os.environ.get",
            "sys.path.append",
            "logging.getLogger",
            "json.loads",
            "torch.load",
            "torch.nn.functional.relu",
            "numpy.load",
            "io.BytesIO",
            "zipfile.ZipFile",
            "pathlib.Path",
            "time.time",
            "re.compile",
            "transformers.AutoModel.from_pretrained",
            "torch.utils.data.DataLoader",
            "abc.ABC",
            "PIL.Image.open",
            "base64.b64decode",
            "inspect.signature",
            "vllm.entrypoints.openai.protocol.ErrorResponse",
            "functools.partial",
            "itertools.chain",
            "copy.deepcopy",
        ] {
            assert_eq!(dangerous(path), None, "{path}");
        }
    }

    #[test]
    fn what_starts_programs_or_loads_code_is() {
        for path in [
            "os.system",
            "subprocess.run",
            "socket.socket",
            "ctypes.CDLL",
            "requests.get",
            "marshal.loads",
            "pickle.loads",
            "importlib.import_module",
            "urllib.request.urlopen",
            "torch.os.system",
            "pathlib.os.popen",
            "sys.modules",
            "builtins.eval",
            "shutil.rmtree",
            "os.remove",
            "posix.system",
            "pty.spawn",
            "runpy.run_path",
            "torch.hub.load",
        ] {
            assert!(dangerous(path).is_some(), "{path}");
        }
        assert!(is_dangerous_module("os") && is_dangerous_module("subprocess"));
        assert!(!is_dangerous_module("json") && !is_dangerous_module("torch"));
        assert!(!is_dangerous_module("logging") && !is_dangerous_module("threading"));
    }
}
