"""What Prow's plugin config-updater gets in the cluster; prowconfig/updater.py says what it follows and needs."""

ANNOTATION = "config-updater"
"""Annotation of a ConfigMap that the plugin writes; its value is the repository that it writes from."""
