"""The twin of a module class: the same class with a place for quantizers.

A module gets its quantizers by becoming an instance of the twin of its class. It stays the same
object with the same parameters, buffers and hooks, so that state_dict(), optimizers and whoever
holds it see nothing new. The twin reads parameters as the running forward wants them.
"""

import copyreg
import functools
import weakref

from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from tensorquant._core import Error
from tensorquant.torch import fast_paths, frames, recurrent
from tensorquant.torch.names import parametrized

_ATTACHED = "_tensorquant"  # the attribute of a module

_twins = weakref.WeakValueDictionary()  # by class, as long as there are objects of them


def attached(module):
    """The ModulePlan of a module, or None."""
    return vars(module).get(_ATTACHED)


def attach(module, plan):
    """Makes the forwards of a module go through a plan, which replaces an earlier one."""
    detach(module)
    object.__setattr__(module, "__class__", twin_of(type(module), parametrized(module)))
    vars(module)[_ATTACHED] = plan  # past __setattr__, which looks for parameters


def detach(module):
    """Gives a module back as it was before attach()."""
    if vars(module).pop(_ATTACHED, None) is not None:
        object.__setattr__(module, "__class__", _without_twin(type(module)))


def _without_twin(kind):
    """A class without the twin that it is, or was derived from since, as fully_shard() does."""
    if "_tensorquant_base" in vars(kind):
        return kind._tensorquant_base
    if not hasattr(kind, "_tensorquant_base"):
        return kind
    members = {k: v for k, v in vars(kind).items() if k not in ("__dict__", "__weakref__")}
    return type(kind)(kind.__name__, tuple(map(_without_twin, kind.__bases__)), members)


def float_class(module):
    """The class of a module without anything attached."""
    return getattr(type(module), "_tensorquant_base", type(module))


def twin_of(base, properties=()):
    """The twin of a class.

    Args:
        base: The class.
        properties: The names of those of its properties that are parameters.
    """
    twin = _twins.get(base)
    if twin is None:
        twin = _twins[base] = _make_twin(base, properties)
    return twin


def _make_twin(base, properties):
    # Functions and no attributes of the class: a compiler may take that for something of its own.
    float_forward, float_getattr = base.forward, base.__getattr__

    @functools.wraps(float_forward)  # who calls it may read the signature
    def forward(self, *args, **kwargs):
        plan = self.__dict__.get(_ATTACHED)
        if plan is None:
            return float_forward(self, *args, **kwargs)
        return plan.call(self, float_forward, args, kwargs)

    def __getattr__(self, name):  # nn.Module keeps its parameters behind it
        value = float_getattr(self, name)
        return _as_read(self, name, value) if name in self.__dict__["_parameters"] else value

    def __reduce_ex__(self, protocol):
        function, arguments, *rest = base.__reduce_ex__(self, protocol)
        if function is not copyreg.__newobj__:
            raise Error(
                f"{base.__name__} has a way of its own to be copied; strip() the model first"
            )
        return _new_twin, (base, tuple(properties), *arguments[1:]), *rest

    def _replicate_for_data_parallel(self):
        raise Error("a quantized model in DataParallel: use DistributedDataParallel instead")

    members = {
        "__module__": base.__module__,
        "__qualname__": base.__qualname__,
        "__doc__": base.__doc__,
        "__getattr__": __getattr__,
        "__reduce_ex__": __reduce_ex__,
        "_replicate_for_data_parallel": _replicate_for_data_parallel,
        "_tensorquant_base": base,
        "_tensorquant_properties": frozenset(properties),
        **{name: _property(base, name) for name in properties},
        **fast_paths.members(base),
        **recurrent.members(base),
    }
    if float_forward is not nn.Module.forward:
        members["forward"] = forward
    if issubclass(base, LazyModuleMixin):
        members |= _lazy_members(base)
    return type(base)(base.__name__, (base,), members)


def _as_read(module, name, value):
    """A parameter as the running forward reads it."""
    frame = frames.top()
    plan = None if frame is None else module.__dict__.get(_ATTACHED)
    if plan is None or value is None:
        return value
    if name in plan.parameters:
        return frame.read(plan.parameters[name], value)
    frame.notice_reading(plan)
    return value


def _lazy_members(base):
    """Of a class whose objects make their parameters in the first forward and change their class."""

    def initialize_parameters(self, *args, **kwargs):
        with frames.float_reads():
            base.initialize_parameters(self, *args, **kwargs)

    becomes = base.cls_to_become
    return {
        "initialize_parameters": initialize_parameters,
        "cls_to_become": None if becomes is None else twin_of(becomes),
    }


def _property(base, name):
    its = getattr(base, name)
    return property(lambda self: _as_read(self, name, its.fget(self)), its.fset, its.fdel)


def _new_twin(base, properties, *arguments):
    """An empty object of the twin of a class, for copy and pickle."""
    twin = twin_of(base, properties)
    return twin.__new__(twin, *arguments)
