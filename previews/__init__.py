"""What a change would do to the stack, as people read it: in a pull request, after a merge, and by hand.

    python -m previews preview    what `pulumi up` would do; as a comment on the pull request that it runs for
    python -m previews up         do it, then see that nothing is left to do
    python -m previews drift      what was changed by hand on the cluster or on GitHub

GitHub Actions (.github/workflows), Prow (examples/stack-previews) and people run the same. It needs the Pulumi CLI
and what is in requirements.txt, and it takes the backend and the passphrase from the environment as the CLI does.
"""
