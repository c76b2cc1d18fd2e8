"""Stand-ins for the Pulumi language host and provider plugins, where the official ones cannot be had."""
