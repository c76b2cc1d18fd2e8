"""Prow as Pulumi components. Each file holds one idea; `__main__.py` wires them."""
