"""The rules of HOUSE_STYLE and DESIGN that a machine can check, each a function from one source file to its offences.

A rule yields (line, what is wrong); `RULES` says beside each what to do about it. `tests/test_house.py` runs them over
the package and shows, on a planted offence each, that they can fail.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from isostate.notation import ALPHABET

Offences = Iterator[tuple[int, str]]
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

# DESIGN's table: what each folder may import, beside itself and level 0.
LEVEL_0 = {"notation", "quantities", "config", "records"}
MODELS = {"mixers", "model"}
TRAINED = MODELS | {"data", "costs"}
MAY_IMPORT: dict[str, set[str]] = {
    **{name: set() for name in [*LEVEL_0, "data", "mixers", "laws"]},
    "model": {"mixers"},
    **dict.fromkeys(["costs", "parallel", "moe", "vision"], MODELS),
    **dict.fromkeys(["train", "generate"], TRAINED),
    "export": MODELS | {"costs"},
    **dict.fromkeys(["study", "serve", "tune"], TRAINED | {"train", "generate"}),
    "report": {"laws"},
}
MAY_IMPORT["cli"] = set(MAY_IMPORT)
TORCH_FREE = LEVEL_0 | {"data", "laws", "report"}  # nowhere in them; cli: not at the top of the file
OPTIONAL_EXTRAS = {"tokenizers", "pyarrow", "matplotlib"}  # the third-party packages imported where they are needed
BANNED_NAMES = {"utils", "util", "helpers", "helper", "misc", "common", "manager", "managers"}
ANY_SHAPE = {"x", "like"}  # of a function that works element by element, and a tensor that lends its dtype and device
MAX_FILE_LINES, MAX_FUNCTION_LINES = 300, 50


@dataclass(frozen=True)
class Source:
    """One file of the package; `path` is relative to src/isostate, such as 'mixers/power.py'."""

    path: str
    text: str
    tree: ast.Module = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tree", ast.parse(self.text))

    @property
    def component(self) -> str:
        """'mixers' for mixers/power.py, 'config' for config.py, '' for __init__.py; __main__.py is a verb."""
        first = PurePosixPath(self.path).with_suffix("").parts[0]
        return {"__init__": "", "__main__": "cli"}.get(first, first)

    @property
    def is_init(self) -> bool:
        return self.path.endswith("__init__.py")


def imports_of(source: Source, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted module) of every import in `tree`; `from isostate import laws` gives 'isostate.laws'."""
    package = ["isostate", *PurePosixPath(source.path).parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "isostate" else [module]
            yield from ((node.lineno, name) for name in names)


def functions_of(tree: ast.AST) -> Iterator[FunctionNode]:
    return (node for node in ast.walk(tree) if isinstance(node, FunctionNode))


def run_at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node that runs when the module is imported: all but function bodies and the `__main__` block."""
    waiting: list[ast.AST] = [node for node in tree.body if "__main__" not in ast.unparse(node)]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, FunctionNode):
            waiting += [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
        elif not isinstance(node, ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def imports_downward(source: Source) -> Offences:
    mine = source.component
    if mine not in MAY_IMPORT:
        if mine:
            yield 1, f"{mine!r} stands in no level of MAY_IMPORT"
        return
    allowed = MAY_IMPORT[mine] | LEVEL_0 | {mine}
    for line, module in imports_of(source, source.tree):
        head, *rest = module.split(".")
        if head == "isostate" and rest and rest[0] in MAY_IMPORT and rest[0] not in allowed:
            yield line, f"{mine} imports {module}"


def torch_kept_out(source: Source) -> Offences:
    if source.component in TORCH_FREE:
        found = imports_of(source, source.tree)
    elif source.component == "cli":
        found = (at for node in run_at_import(source.tree) for at in imports_of(source, node))
    else:
        return
    yield from {(line, f"imports {module}") for line, module in found if module.split(".")[0] == "torch"}


def imports_at_the_top(source: Source) -> Offences:
    if source.component in {"cli", "study"}:  # their verbs import torch's world when they need it
        return
    inside = (at for function in functions_of(source.tree) for at in imports_of(source, function))
    for line, module in sorted(set(inside)):
        if module.split(".")[0] not in OPTIONAL_EXTRAS:
            yield line, f"imports {module} inside a function"


def short_files(source: Source) -> Offences:
    lines = source.text.count("\n")
    if lines > MAX_FILE_LINES:
        yield 1, f"{lines} lines, at most {MAX_FILE_LINES}"


def short_functions(source: Source) -> Offences:
    for node in functions_of(source.tree):
        docstring = node.body[0] if ast.get_docstring(node) else None
        lines = (node.end_lineno or 0) - node.lineno + 1
        lines -= (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
        if lines > MAX_FUNCTION_LINES:
            yield node.lineno, f"{node.name} has {lines} lines without its docstring, at most {MAX_FUNCTION_LINES}"


def no_printing(source: Source) -> Offences:
    for node in ast.walk(source.tree):
        if source.component != "cli" and isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
            yield node.lineno, "calls print"


def no_pickle(source: Source) -> Offences:
    pickles = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    for line, module in imports_of(source, source.tree):
        if module.split(".")[0] in pickles:
            yield line, f"imports {module}"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            allows = any(word.arg == "allow_pickle" and ast.unparse(word.value) != "False" for word in node.keywords)
            if called in {"torch.save", "torch.load"} or allows:
                yield node.lineno, f"calls {called}{' with allow_pickle' if allows else ''}"


def no_broad_except(source: Source) -> Offences:
    broad = {"Exception", "BaseException"}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {ast.unparse(one) if one else "everything" for one in caught}
            last = node.body[-1]
            raises_again = isinstance(last, ast.Raise) and last.exc is None
            if names & (broad | {"everything"}) and not raises_again:
                yield node.lineno, f"catches {', '.join(sorted(names))}"
        elif isinstance(node, ast.Call) and broad & {ast.unparse(argument) for argument in node.args}:
            yield node.lineno, f"gives Exception to {ast.unparse(node.func)}"


def nothing_at_import(source: Source) -> Offences:
    probes = r"os\.(environ|getenv)|torch\.(cuda|backends|set_|manual_seed|get_num_threads)|(?<!\w)open\(|random\.seed"
    for node in run_at_import(source.tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and source.component != "cli":
            yield node.lineno, f"runs {ast.unparse(node)[:60]} at import"
        elif isinstance(node, ast.Call | ast.Attribute) and (found := re.match(probes, ast.unparse(node) + "(")):
            yield node.lineno, f"uses {found.group()} at import"


def _annotated(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """(line, name, annotation) of parameters, and of fields of dataclasses."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation:
            yield node.lineno, node.arg, ast.unparse(node.annotation)
        elif isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(d) for d in node.decorator_list):
            for item in node.body:
                if isinstance(item, ast.AnnAssign):
                    yield item.lineno, ast.unparse(item.target), ast.unparse(item.annotation)


def tensors_carry_shapes(source: Source) -> Offences:
    if source.component not in MODELS:
        return
    for line, name, annotation in _annotated(source.tree):
        is_tensor = re.fullmatch(r"(torch\.)?Tensor( \| None)?", annotation)
        if is_tensor and name not in ANY_SHAPE and not re.search(r"_[A-Z][A-Z1]*$", name):
            yield line, f"tensor {name!r} has no shape in its name"
    for line, name in _bound_names(source.tree):
        shape = re.fullmatch(r"[a-z][a-z0-9_]*_([A-Z][A-Z1]*)", name)
        unknown = sorted(set(shape.group(1)) - {*ALPHABET, "1"}) if shape else []
        if unknown:
            yield line, f"{name!r} uses {', '.join(unknown)}, no letter of the alphabet"


def _bound_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def law_symbols_in_laws(source: Source) -> Offences:
    for line, name in _bound_names(source.tree):
        if name in set("NDCSL") and source.component != "laws":
            yield line, f"bare {name}"
        elif name == "flops":
            yield line, "bare flops"


def configs_are_frozen(source: Source) -> Offences:
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ClassDef) or source.path == "config.py":
            continue
        bases = {ast.unparse(base).split(".")[-1] for base in node.bases}
        if "BaseModel" in bases:
            yield node.lineno, f"{node.name} subclasses BaseModel"
        elif node.name.endswith("Config") and not any(base.endswith("Config") for base in bases):
            yield node.lineno, f"{node.name} does not subclass Config"
        if any(bases) and re.search(r"frozen\W{1,4}False", ast.unparse(node)):
            yield node.lineno, f"{node.name} is not frozen"


def _is_one_statement(node: ast.stmt) -> bool:
    return isinstance(node, FunctionNode) and len(node.body) - bool(ast.get_docstring(node)) <= 1


def docstrings_on_what_is_public(source: Source) -> Offences:
    if not ast.get_docstring(source.tree):
        yield 1, "the module has no docstring"
    for node in source.tree.body:
        plain = _is_one_statement(node)  # says what it does by doing it
        if isinstance(node, DEFINITIONS) and not (plain or node.name.startswith("_") or ast.get_docstring(node)):
            yield node.lineno, f"{node.name} has no docstring"


def inits_only_gather(source: Source) -> Offences:
    for node in source.tree.body if source.is_init else []:
        if isinstance(node, FunctionNode) and not _is_one_statement(node):  # a look-up in the registry may stay
            yield node.lineno, f"__init__.py defines {node.name}"


def no_banned_names(source: Source) -> Offences:
    for part in PurePosixPath(source.path).with_suffix("").parts:
        if part in BANNED_NAMES:
            yield 1, f"is named {part!r}"


def no_loose_ends(source: Source) -> Offences:
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := re.search(r"#.*\b(TODO|FIXME|XXX|HACK)\b", line):
            yield number, f"holds a {found.group(1)}"


RULES: dict[Callable[[Source], Offences], str] = {
    imports_downward: "move the shared part down a level (DESIGN's table; MAY_IMPORT in tests/house.py) or pass it in",
    torch_kept_out: "work on numpy arrays or plain numbers; in cli.py import torch inside the verb that needs it",
    imports_at_the_top: "move the import to the top of the file; a cycle means that something stands a level too high",
    short_files: "it wants to be two things: split it",
    short_functions: "it wants to be two things: split it",
    no_printing: "return the text, or emit an event; only cli.py prints",
    no_pickle: "write JSON or safetensors; np.load with allow_pickle=False",
    no_broad_except: "name the exception you expect; to clean up and go on rising, end the handler with a bare `raise`",
    nothing_at_import: "move it into the function that needs it, or under `if __name__ == '__main__':`",
    tensors_carry_shapes: "name it by its shape, x_BTD, in notation.ALPHABET; x has any shape, like lends its dtype",
    law_symbols_in_laws: "say n_params, n_tokens, train_flops, loss_nats, fwd_flops; for a dimension n_chunks, d_model",
    configs_are_frozen: "subclass isostate.config.Config and leave its model_config alone",
    docstrings_on_what_is_public: "say what it is, with shapes, units, errors, source; or start its name with _",
    inits_only_gather: "move it to a file with a name; __init__.py re-exports and holds the registry",
    no_banned_names: "name the file after what it does",
    no_loose_ends: "do it, or file an issue and delete the comment",
}
