"""Calls a reward function for vapo: one JSON object per line in and out. Needs Python 3.8 and nothing else."""
import asyncio
import faulthandler
import importlib.machinery
import importlib.util
import inspect
import itertools
import json
import math
import numbers
import os
import queue
import signal
import sys
import threading
import traceback

# Prints of the user's code, also those of C libraries and child processes, go to stderr, and its input is empty.
requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(2, 1)
sys.stderr.reconfigure(line_buffering=True)
sys.stdout = sys.stderr
# Asked where it hangs, the process answers even inside of a C function.
faulthandler.register(signal.SIGUSR2, file=2, all_threads=False)

VERL = ("data_source", "solution_str", "ground_truth", "extra_info")
TRL = ("prompts", "completions")
LOOP = asyncio.new_event_loop()


class Refused(Exception):
    """What is wrong, said by this file: its own lines are of no interest."""


def printable(value, most=1000):
    """A text that can be sent, of limited length."""
    try:
        text = value if isinstance(value, str) else str(value)
    except Exception:
        text = f"({type(value).__name__} that cannot be printed)"
    text = text if len(text) <= most else text[:most] + ".."
    return text.encode("utf-8", "replace").decode("utf-8")


def kind(value):
    """A value, for messages."""
    return f"{type(value).__name__} {printable(repr(value), 80)}" if value is not None else "None"


def explain(error):
    """An exception with its traceback, on one line, without the lines of this file and of the importing machinery."""
    if isinstance(error, Refused):
        return printable(error)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    own = list(itertools.dropwhile(lambda frame: frame.filename == "<string>", frames))[-6:]
    steps = [f"{os.path.basename(frame.filename)}:{frame.lineno} in {frame.name}: {frame.line}" for frame in own]
    trace = f"; traceback: {' > '.join(steps)}" if steps else ""
    return f"{type(error).__name__}: {printable(error, 500)}{printable(trace)}"


def load(path, name):
    """The function of that name in a file."""
    sys.argv[:] = [path]
    sys.path[:] = [os.path.dirname(path)] + [entry for entry in sys.path if entry != ""]
    loader = importlib.machinery.SourceFileLoader("custom_module", path)
    spec = importlib.util.spec_from_file_location("custom_module", path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    # Data classes and pickles look their module up here.
    sys.modules[spec.name] = module
    loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        own = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == spec.name]
        raise Refused(f"it has no function `{name}`; it has {printable(', '.join(own), 200) or 'none'}")
    return function


class Reward:
    """A reward function, called with the parameters of verl or of TRL, whichever it has."""

    def __init__(self, function, name):
        self.function = function
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            raise Refused(f"the parameters of `{name}` cannot be read") from None
        self.names = set(signature.parameters)
        self.takes_any = any(one.kind is one.VAR_KEYWORD for one in signature.parameters.values())
        self.is_verl = "solution_str" in self.names
        if not self.is_verl and self.names.isdisjoint(TRL):
            raise Refused(
                f"`{name}{printable(signature, 200)}` has neither verl's parameters ({', '.join(VERL)}) nor TRL's"
                f" ({', '.join(TRL)} and columns of the data by name)"
            )
        call = getattr(function, "__call__", None)
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
        # One call for several responses, or calls that wait at the same time.
        self.takes_several = self.is_async or not self.is_verl

    def call(self, arguments):
        """Calls the function with those arguments that it takes."""
        own = arguments if self.takes_any else {name: arguments[name] for name in arguments if name in self.names}
        return self.function(**own)

    def grade(self, items):
        """A result for each response: an object, or None if the reward does not apply to it."""
        if not self.is_verl:
            return trl_results(finished(self.call(trl_arguments(items))), len(items))
        if self.is_async:
            values = LOOP.run_until_complete(together([self.call(verl_arguments(item)) for item in items]))
        else:
            values = [finished(self.call(verl_arguments(item))) for item in items]
        return [attempted(verl_result, value) for value in values]


async def together(calls):
    return await asyncio.gather(*calls, return_exceptions=True)


def finished(value):
    """The value itself, or what a coroutine returns."""
    return LOOP.run_until_complete(value) if inspect.isawaitable(value) else value


def attempted(convert, value):
    """The result that a value means, or the error that it is."""
    if isinstance(value, BaseException):
        return {"error": explain(value)}
    try:
        return convert(value)
    except Exception as error:
        return {"error": explain(error)}


def verl_arguments(item):
    columns = dict(item["columns"])
    extra = columns.pop("extra_info", None)
    if not isinstance(extra, dict):
        extra = {} if extra is None else {"extra_info": extra}
    return {
        "data_source": item["data_source"],
        "solution_str": item["response"],
        "ground_truth": item["ground_truth"],
        "extra_info": {**columns, **extra},
    }


def trl_arguments(items):
    names = dict.fromkeys(name for item in items for name in item["columns"])
    names = [name for name in names if name not in ("prompt", "completion")]
    columns = {name: [item["columns"].get(name) for item in items] for name in names}
    for name in ("ground_truth", "data_source"):
        columns.setdefault(name, [item[name] for item in items])
    prompts = [item["prompt"] for item in items]
    completions = [
        item["response"] if isinstance(item["prompt"], str) else [{"role": "assistant", "content": item["response"]}]
        for item in items
    ]
    return {**columns, "prompts": prompts, "completions": completions}


def score(value):
    """A finite number, also one of numpy or torch."""
    found = value
    if not isinstance(value, numbers.Real) and hasattr(value, "item"):
        try:
            value = value.item()
        except Exception:
            pass
    if not isinstance(value, numbers.Real):
        raise Refused(f"it returned {kind(found)}, expected a number")
    number = float(value)
    if not math.isfinite(number):
        raise Refused(f"it returned {number}, expected a finite number")
    return number


def verl_result(value):
    if not isinstance(value, dict):
        return {"score": score(value)}
    if "score" not in value:
        raise Refused(f"it returned a dict without `score`: {kind(value)}")
    result = {"score": score(value["score"])}
    if value.get("acc") is not None:
        result["correct"] = score(value["acc"]) == 1
    if value.get("pred") is not None:
        result["answer"] = printable(value["pred"])
    return result


def trl_results(values, count):
    if hasattr(values, "tolist"):
        values = values.tolist()
    if not isinstance(values, (list, tuple)):
        raise Refused(f"it returned {kind(values)}, expected a list of {count} numbers or None")
    if len(values) != count:
        raise Refused(f"it returned a list of {len(values)}, expected {count}: one for each completion")
    return [value if value is None else attempted(lambda one: {"score": score(one)}, value) for value in values]


def bounded(results):
    """Results whose texts together are short enough for one line."""
    most = 100_000 // max(len(results), 1)
    for result in results:
        for name in ("answer", "error"):
            if result and name in result:
                result[name] = printable(result[name], most)
    return results


def reply(message):
    replies.write(json.dumps(message, allow_nan=False, ensure_ascii=False).encode("utf-8") + b"\n")
    replies.flush()


def feed(lines):
    """Passes requests on. When they end, vapo has ended, and so does this process, whatever it is doing."""
    for line in requests:
        lines.put(line)
    os._exit(0)


def main(path, name):
    lines = queue.SimpleQueue()
    threading.Thread(target=feed, args=(lines,), daemon=True).start()
    reward = None
    while True:
        request = json.loads(lines.get())
        try:
            if reward is None:
                reward = Reward(load(path, name), name)
                answer = {"takes_several": reward.takes_several}
            else:
                answer = {"results": bounded(reward.grade(request["items"]))}
        except BaseException as error:
            answer = {"error": explain(error)}
        reply({"id": request["id"], **answer})


main(*sys.argv[1:])
