"""Checks a header with the trust root that it holds, and looks for newer roots only then."""

from device_verifier import inquiry
from tests.conformance.broken.serving import serve


def learn(facts, *, sources, memory, **options):
    learned = honest(facts, sources=sources, memory=memory, **options)
    walk(facts, sources, memory, [])
    return learned


walk, honest = inquiry._walk_roots, inquiry.learn
inquiry._walk_roots = lambda *_: None
inquiry.learn = learn

from device_verifier import updater  # noqa: E402 - it takes `learn` as it is patched

updater.learn = learn

serve()
