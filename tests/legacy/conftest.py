"""`HookedTransformer` is gone from TransformerLens 4, so these tests have an environment of their own: `make test-legacy`."""

from importlib import metadata

collect_ignore_glob = ["test_*.py"] if int(metadata.version("transformer-lens").split(".")[0]) >= 4 else []
