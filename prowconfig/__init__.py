"""Prow's configuration, as people write it in `prow/`: read, checked and rendered. It imports no Pulumi.

`files.load` reads and checks a folder, `checkconfig` asks Prow itself, `render` makes the texts that Prow gets, and
`python -m prowconfig` is the command for editors, pre-commit and presubmits.
"""
