"""What the rules allow beyond their own words, each with its reason. Yours to extend, in a pull request."""

PROW_IMAGES = "us-docker.pkg.dev/k8s-infra-prow/images/"
"""Where Prow's own images come from; all that are from there must be of one release."""

IMAGES: dict[str, str] = {
    PROW_IMAGES: "Prow's own, built by the project",
    "ghcr.io/versity/versitygw:": "the store of jobs' logs",
    "ghcr.io/chmouel/gosmee:": "the relay from GitHub to hook",
    "quay.io/oauth2-proxy/oauth2-proxy:": "the login before deck",
    "docker.io/library/python:": "the stack's own small programs",
}
"""What an image's name may begin with."""

CLUSTER_RIGHTS: dict[str, str] = {}
"""Names of ClusterRoles and of ClusterRoleBindings."""

UNRESTRICTED: dict[str, str] = {}
"""Workloads, as `Kind namespace/name`, that need not satisfy the Pod Security Standard `restricted`."""
