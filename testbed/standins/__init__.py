"""Stand-ins for the Pulumi language host and provider plugins, for a machine that cannot download the official ones."""
