"""The Python half of check_layers.py: which part of the package may import which, and where frameworks are imported."""

import ast

# A part may import itself and the parts on the lines above its own.
ORDER = [
    {"_core"},
    {"numbers"},
    {"maps"},
    {"ops", "search"},
    {"frontend"},
    {"keras", "torch", "onnx"},
    {"original"},
]
RANKS = {part: rank for rank, parts in enumerate(ORDER) for part in parts}

# What the package's face, its own __init__.py, hands on: whoever imports it imports no framework.
FACE = {"_core", "numbers", "maps"}

# A framework by the names of its modules. Only its own front-end and ops/<framework> import it.
FRAMEWORKS = {
    "keras": "keras",
    "torch": "torch",
    "tensorflow": "tensorflow",
    "jax": "jax",
    "jaxlib": "jax",
    "onnx": "onnx",
    "onnxruntime": "onnx",
}


def module_of(path):
    """The name of a file's module inside the package, as a tuple: ("ops", "torch", "library")."""
    parts = path.with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def framework_of(module):
    """The framework that a module of the package may import, or None."""
    return next((FRAMEWORKS[name] for name in module[:2] if name in FRAMEWORKS), None)


def imports(tree, package):
    """The line and the full name, as a tuple, of all that a file imports, also inside functions.

    `package`: the names of the file's package, for what it imports relative to itself.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = tuple(alias.name.split("."))
                yield node.lineno, name if alias.asname else name[:1]  # "import a.b" binds a
        elif isinstance(node, ast.ImportFrom):
            source = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                source = package[: len(package) - node.level + 1] + source
            for alias in node.names:
                yield node.lineno, (*source, alias.name)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = getattr(node.func, "attr", getattr(node.func, "id", None))
            if function in ("import_module", "__import__"):
                yield node.lineno, tuple(str(node.args[0].value).split("."))


def import_offence(module, target):
    """What is wrong with an import of `target`, a full name, in a module of the package; or None."""
    mine = framework_of(module)
    if target[0] != "tensorquant":
        theirs = FRAMEWORKS.get(target[0])
        return f"only {theirs}/ and ops/{theirs} may import {target[0]}" if theirs not in (None, mine) else None
    if len(target) == 1 or (len(target) == 2 and target[1] != "_core"):
        return "the package's own face is imported, not the module that has the name"
    part = target[1]
    if not module:
        return None if part in FACE else f"the package's face may not import {part}/"
    if part != module[0] and RANKS.get(part, len(ORDER)) >= RANKS[module[0]]:
        return f"{module[0]}/ may not import {part}/"
    theirs = framework_of(target[1:]) if part == "ops" else None
    return f"only {theirs}/ and ops/{theirs} may import ops/{theirs}" if theirs not in (None, mine) else None


def offences(root):
    package = root / "python" / "tensorquant"
    for path in sorted(package.rglob("*.py")):
        name, module = path.relative_to(root), module_of(path.relative_to(package))
        if module and module[0] not in RANKS:
            yield f"{name}: the part '{module[0]}' has no place in the order of parts"
            continue
        tree = ast.parse(path.read_text())
        is_face = path.name == "__init__.py"
        for node in tree.body:
            if is_face and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield f"{name}:{node.lineno}: __init__.py hands names on and defines nothing: {node.name}"
        for line, target in imports(tree, ("tensorquant", *(module if is_face else module[:-1]))):
            if offence := import_offence(module, target):
                yield f"{name}:{line}: {offence}"
