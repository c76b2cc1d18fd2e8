"""Stand-ins for plugins of Pulumi, of which no machine without a download site can have the official ones.

What stands in, in the whole testbed, and why. Whatever of it is installed on the machine goes before it.

- The language host of Python (language_python.py): its module is not served by the Go module proxy.
- The providers of GitHub and of random (github_provider.py, random_provider.py): neither are theirs.
- GitHub itself (testbed/github) and Slack (testbed/slack.py): services of others.
- gosmee, the relay (testbed/gosmee): its module is not served.

Everything else is the real one, built from its own module (testbed/tools): Pulumi's CLI and Kubernetes provider,
Kubernetes, Prow and what they need.
"""
