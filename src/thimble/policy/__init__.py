"""Rules on models: sentences with predicates, policies that choose among them, and the verdict.

A rule is added by adding a `Rule` to the tuple of its file; the registry, `thimble check` and
docs/check.md have it then.
"""
